/*
 * A lane's counters. Its thread alone writes them, a scrape on any thread reads: atomics without order, and a
 * plain add instead of a locked one. Nothing of another lane lies on the same cache line.
 */
#ifndef EA_METRICS_LANE_H
#define EA_METRICS_LANE_H

#include <stdatomic.h>

#include "metrics/kinds.h"
#include "metrics/metrics.h"

#define CACHE_LINE_BYTES 64

typedef _Atomic(uint64_t) lane_counter;

struct lane_histogram {
    lane_counter buckets[METRICS_BUCKETS_MAX + 1]; /* not cumulative; the last in use is +Inf */
    lane_counter sum_us;
};

/* Durations of one operation on one node of the store, with one outcome. */
struct lane_series {
    const char *node;
    const char *operation;
    bool success;
    struct lane_histogram histogram;
};

struct metrics_lane {
    char before[CACHE_LINE_BYTES];
    struct metrics *metrics;
    lane_counter begun[METRICS_ACTION_COUNT];
    struct lane_histogram requests[METRICS_ACTION_COUNT][2]; /* [fail, success]; their sum is what ended */
    lane_counter unavailable;
    lane_counter changes[METRICS_KINDS_MAX + 1][METRICS_REASON_COUNT];
    /* Filled in order; a series is complete when n_series counts it. */
    struct lane_series *series[METRICS_STORE_SERIES_MAX + 2];
    _Atomic(unsigned) n_series;
    char after[CACHE_LINE_BYTES];
};

struct metrics {
    unsigned lanes;
    struct metrics_lane **lane;
    int64_t
        bounds_us[METRICS_BUCKETS_MAX]; /* upper bounds: a duration belongs to the first that is not below */
    double bounds_s[METRICS_BUCKETS_MAX];
    size_t n_bounds;
    struct str labels; /* the constant ones, escaped: agent="x" */
    struct kinds kinds;
    struct wall started;
    char *version;
    char *commit;
};

static inline uint64_t lane_read(const lane_counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

extern const char *const metrics_action_names[METRICS_ACTION_COUNT];
extern const char *const metrics_reason_names[METRICS_REASON_COUNT];

/* A label's value: backslash, quote and line feed escaped, bytes that are no UTF-8 replaced. */
struct buf;
void metrics_add_label_value(struct buf *out, struct str value);

#endif
