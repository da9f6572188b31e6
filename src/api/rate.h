/*
 * A limit of calls a second: a token bucket that holds one second's worth, kept as the one time at which the
 * bucket would be full again. Deciding code; one thread.
 */
#ifndef EA_API_RATE_H
#define EA_API_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct rate {
    uint64_t per_s;
    int64_t full_ns; /* on the mono clock */
};

/* One call at `now`, at `per_s` calls a second; false: over the limit. 0: no limit. The limit may change
 * between calls. */
bool rate_take(struct rate *rate, uint64_t per_s, struct mono now);

#endif
