/*
 * Elections led, per kind, as one lane has seen them in the answers of servers: for the metric, it decides
 * nothing. The lane's thread writes; reading is for any thread.
 */
#ifndef EA_STORE_REDIS_CENSUS_H
#define EA_STORE_REDIS_CENSUS_H

#include <stdint.h>

#include <uv.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/slab.h"
#include "base/str.h"
#include "core/names.h"

#define CENSUS_KINDS_MAX 100 /* more of them are not counted apart: as the metric has it */

struct census {
    uv_mutex_t lock; /* of kinds and their counts */
    struct {
        char kind[KIND_BYTES_MAX];
        uint8_t n;
        uint64_t elections;
    } kinds[CENSUS_KINDS_MAX];
    unsigned n_kinds;
    struct map led; /* by the hash of kind and election */
    struct slab entries;
    uint64_t cursor; /* of the sweep */
};

void census_init(struct census *census);
void census_fini(struct census *census);

/* It is led until then, or by nobody any more. */
void census_led(struct census *census, uint64_t hash, struct str kind, struct mono until);
void census_ended(struct census *census, uint64_t hash);

/* Forgets some of those whose time is over; called now and then. */
void census_sweep(struct census *census, struct mono now);

/* Adds up several: row() once per kind. */
void census_sum(struct census *const *censuses, unsigned n,
                void (*row)(void *arg, struct str kind, uint64_t n), void *arg);

#endif
