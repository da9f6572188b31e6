/*
 * The kinds that have counters of their own. Clients choose kinds, so their number is bounded: those that
 * come when the table is full count as "other". A kind once seen stays, since its counters must not vanish.
 *
 * Any thread. Looking up a known kind takes no lock; adding one, which happens at most METRICS_KINDS_MAX
 * times in a process, does.
 */
#ifndef EA_METRICS_KINDS_H
#define EA_METRICS_KINDS_H

#include <pthread.h>
#include <stdatomic.h>

#include "metrics/metrics.h"

#define KINDS_SLOTS 256 /* a power of two, more than twice METRICS_KINDS_MAX */
#define KINDS_OTHER METRICS_KINDS_MAX

struct kind {
    uint64_t hash;
    unsigned index; /* of its counters: 0 .. METRICS_KINDS_MAX - 1 */
    struct str name;
};

struct kinds {
    pthread_mutex_t adding;
    _Atomic(struct kind *) slots[KINDS_SLOTS]; /* open addressing, linear probing, nothing is removed */
    _Atomic(struct kind *) by_index[METRICS_KINDS_MAX]; /* in the order they came */
    _Atomic(unsigned) count;
};

/* The caller's memory. Fini when nobody looks up any more. */
void kinds_init(struct kinds *kinds);
void kinds_fini(struct kinds *kinds);

/* The index of the kind's counters, KINDS_OTHER when it has none of its own. */
unsigned kinds_index(struct kinds *kinds, struct str name);

/* Of an index below the count. */
struct str kinds_name(struct kinds *kinds, unsigned index);
unsigned kinds_count(struct kinds *kinds);

#endif
