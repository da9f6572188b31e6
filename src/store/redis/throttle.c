#include "store/redis/throttle.h"

/* Its own mark, or the one that it may overwrite: the older of two. */
static struct throttle_mark *mark_of(struct throttle *throttle, uint64_t hash)
{
    struct throttle_mark *a = &throttle->marks[hash % THROTTLE_MARKS];
    struct throttle_mark *b = &throttle->marks[(hash >> 32) % THROTTLE_MARKS];
    if (a->hash == hash || b->hash == hash) {
        return a->hash == hash ? a : b;
    }
    return mono_before(a->at, b->at) ? a : b;
}

bool throttle_pass(struct throttle *throttle, uint64_t hash, struct mono now)
{
    struct throttle_mark *mark = mark_of(throttle, hash);
    if (mark->hash == hash && mono_before(now, mono_add_ms(mark->at, THROTTLE_AGAIN_MS))) {
        return false;
    }
    struct mono free_at = mono_before(throttle->free_at, now) ? now : throttle->free_at;
    if (mono_sub(free_at, now) > (THROTTLE_BURST - 1) * THROTTLE_GAP_US) {
        return false; /* and not remembered: its turn may come with its next campaign */
    }
    throttle->free_at = mono_add_us(free_at, THROTTLE_GAP_US);
    *mark = (struct throttle_mark){hash, now};
    return true;
}
