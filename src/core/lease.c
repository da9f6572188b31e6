/* The arithmetic of leases: see lease.h. */
#include "core/lease.h"

#include <assert.h>

#define US_PER_MS       1000
#define DRIFT_TIMER_US  2000 /* the resolution of timers */
#define DRIFT_US_PER_MS 10   /* 1 % */

int64_t lease_drift_us(int64_t term_ms)
{
    return term_ms * DRIFT_US_PER_MS + DRIFT_TIMER_US;
}

struct mono lease_valid_until(struct mono start, int64_t term_ms)
{
    /* L2: the holder stops before the tenure ends, on a clock that is 1 % slow too: (0.99 term - 2 ms) / 0.99
     * is less than the term. */
    struct mono until = mono_add_us(start, term_ms * US_PER_MS - lease_drift_us(term_ms));
    assert(mono_before(until, mono_add_ms(start, term_ms)));
    return until;
}

int64_t lease_left_ms(struct mono valid_until, struct mono now)
{
    return mono_before(now, valid_until) ? mono_sub(valid_until, now) / US_PER_MS : 0;
}

struct mono lease_expiry(struct mono now, int64_t term_ms, struct mono present)
{
    assert(term_ms > 0);
    return mono_max(mono_add_ms(now, term_ms), present); /* L3 */
}
