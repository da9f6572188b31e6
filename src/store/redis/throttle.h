/*
 * Who is worth telling of: each of many now and then, and all together so many a second. It remembers a fixed
 * number; of the others it forgets when they were told of last, and lets them pass earlier. Deciding code: no I/O, no
 * clock, one thread.
 */
#ifndef EA_STORE_REDIS_THROTTLE_H
#define EA_STORE_REDIS_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define THROTTLE_AGAIN_MS 10000        /* the same one passes again */
#define THROTTLE_MARKS    16384        /* are remembered; a power of two */
#define THROTTLE_GAP_US   INT64_C(500) /* from one to the next, on average */
#define THROTTLE_BURST    256          /* that may pass at once */

/* When somebody passed last. */
struct throttle_mark {
    uint64_t hash;
    struct mono at;
};

struct throttle {
    struct mono free_at; /* ahead of the present by what passed too early */
    struct throttle_mark marks[THROTTLE_MARKS];
};

/* All zero is a new one. True: pass, and that is remembered. */
bool throttle_pass(struct throttle *throttle, uint64_t hash, struct mono now);

#endif
