#include "api/rate.h"

#define SECOND_NS INT64_C(1000000000)

bool rate_take(struct rate *rate, uint64_t per_s, struct mono now)
{
    if (per_s == 0) {
        return true;
    }
    int64_t now_ns = now.us * 1000;
    if (rate->per_s != per_s) {
        *rate = (struct rate){.per_s = per_s, .full_ns = now_ns};
    }
    /* A rate over 10^9 costs nothing, which is no limit either. */
    int64_t cost_ns = per_s < (uint64_t)SECOND_NS ? SECOND_NS / (int64_t)per_s : 0;
    int64_t full_ns = (rate->full_ns > now_ns ? rate->full_ns : now_ns) + cost_ns;
    if (full_ns - now_ns > SECOND_NS) {
        return false;
    }
    rate->full_ns = full_ns;
    return true;
}
