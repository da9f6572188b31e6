#include "base/hlc.h"

uint64_t hlc_next(struct hlc *hlc, struct wall now)
{
    uint64_t value = hlc->last + 1;
    if (value >= HLC_LIMIT) {
        return 0;
    }
    /* A wall clock far in the future or before 1970 is wrong, and is not followed. */
    if (now.us > 0 && (uint64_t)now.us > value && (uint64_t)now.us < HLC_WALL_LIMIT) {
        value = (uint64_t)now.us;
    }
    hlc->last = value;
    return value;
}

bool hlc_observe(struct hlc *hlc, uint64_t seen)
{
    if (seen >= HLC_SEEN_LIMIT) {
        return false;
    }
    hlc->last = seen > hlc->last ? seen : hlc->last;
    return true;
}
