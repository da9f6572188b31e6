/*
 * The hybrid clock that tokens come from (spec: protocol.md, "token").
 *
 * A value is microseconds of wall time where the wall clock allows it, and one more than the last value where
 * it does not: values only grow, whatever the wall clock does. They stay below 2^53, since Lua and JavaScript
 * hold numbers as doubles. One thread, caller's memory.
 */
#ifndef EA_BASE_HLC_H
#define EA_BASE_HLC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define HLC_LIMIT (UINT64_C(1) << 53)

/*
 * Nobody can use up the range by a wrong or hostile number: the wall clock is followed, and values from elsewhere
 * are believed, only up to these. From the first to the second there are 5 * 10^14 values to be counted through,
 * a million a second for 17 years; from there to the end as many again.
 */
#define HLC_WALL_LIMIT (HLC_LIMIT - (UINT64_C(1) << 50)) /* in the year 2219 */
#define HLC_SEEN_LIMIT (HLC_LIMIT - (UINT64_C(1) << 49))

struct hlc {
    uint64_t last; /* the greatest value given out or seen */
};

/* The next value: greater than all given out and all seen. 0 when the range is used up. */
uint64_t hlc_next(struct hlc *hlc, struct wall now);

/* A value was read from elsewhere: everything given out from now on is greater. Values of HLC_SEEN_LIMIT and
 * more are refused (false): no clock of ours comes there. */
bool hlc_observe(struct hlc *hlc, uint64_t seen) __attribute__((warn_unused_result));

#endif
