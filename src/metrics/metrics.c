#include "metrics/metrics.h"

#include <assert.h>
#include <math.h>

#include "base/mem.h"
#include "metrics/lane.h"

const char *const metrics_action_names[METRICS_ACTION_COUNT] = {
#define A(name, label) [METRICS_##name] = (label),
    METRICS_ACTIONS(A)
#undef A
};

const char *const metrics_reason_names[METRICS_REASON_COUNT] = {
#define R(name, label) [METRICS_REASON_##name] = (label),
    METRICS_REASONS(R)
#undef R
};

/* The lane's thread is the only one that writes: no locked instruction is needed. */
static inline void count(lane_counter *counter, uint64_t n)
{
    atomic_store_explicit(counter, lane_read(counter) + n, memory_order_relaxed);
}

static char *copy(const char *z)
{
    return mem_dup(z, strlen(z) + 1);
}

static void set_bounds(struct metrics *metrics, const double *seconds, size_t n)
{
    assert(n <= METRICS_BUCKETS_MAX);
    for (size_t i = 0; i < n; i++) {
        assert(seconds[i] > 0 && (i == 0 || seconds[i] > seconds[i - 1]));
        metrics->bounds_s[i] = seconds[i];
        /* Durations are whole microseconds, so the next whole one below is the same bound; what is added
         * makes up for 0.0025 being a little less than that in binary. */
        metrics->bounds_us[i] = (int64_t)floor(seconds[i] * 1e6 + 1e-3);
    }
    metrics->n_bounds = n;
}

struct metrics *metrics_new(const struct metrics_options *options)
{
    struct metrics *metrics = mem_zalloc(sizeof *metrics);
    struct buf labels = BUF_EMPTY;
    set_bounds(metrics, options->buckets, options->n_buckets);
    kinds_init(&metrics->kinds);
    metrics->started = options->started;
    metrics->version = copy(options->version);
    metrics->commit = copy(options->commit);
    buf_add_str(&labels, STR("agent=\""));
    metrics_add_label_value(&labels, options->agent);
    buf_add_str(&labels, STR("\""));
    metrics->labels = buf_str(&labels);
    metrics->lanes = options->lanes;
    /* An array of pointers is meant. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    metrics->lane = mem_zalloc(options->lanes * sizeof *metrics->lane);
    for (unsigned i = 0; i < options->lanes; i++) {
        metrics->lane[i] = mem_zalloc(sizeof **metrics->lane);
        metrics->lane[i]->metrics = metrics;
    }
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL) {
        return;
    }
    for (unsigned i = 0; i < metrics->lanes; i++) {
        struct metrics_lane *lane = metrics->lane[i];
        for (unsigned k = 0; k < lane->n_series; k++) {
            mem_free(lane->series[k]);
        }
        mem_free(lane);
    }
    mem_free(metrics->lane);
    kinds_fini(&metrics->kinds);
    mem_free((char *)metrics->labels.p);
    mem_free(metrics->version);
    mem_free(metrics->commit);
    mem_free(metrics);
}

struct metrics_lane *metrics_lane(struct metrics *metrics, unsigned lane)
{
    assert(lane < metrics->lanes);
    return metrics->lane[lane];
}

static void observe(const struct metrics *metrics, struct lane_histogram *histogram, int64_t duration_us)
{
    /* Bounds ascend and most requests are fast: the first comparisons decide. */
    size_t i = 0;
    while (i < metrics->n_bounds && duration_us > metrics->bounds_us[i]) {
        i++;
    }
    count(&histogram->buckets[i], 1);
    count(&histogram->sum_us, duration_us > 0 ? (uint64_t)duration_us : 0);
}

void metrics_request_begin(struct metrics_lane *lane, enum metrics_action action)
{
    if (action < METRICS_ACTION_COUNT) {
        count(&lane->begun[action], 1);
    }
}

void metrics_request_end(struct metrics_lane *lane, enum metrics_action action, bool success,
                         int64_t duration_us)
{
    if (action < METRICS_ACTION_COUNT) {
        observe(lane->metrics, &lane->requests[action][success], duration_us);
    }
}

void metrics_unavailable(struct metrics_lane *lane)
{
    count(&lane->unavailable, 1);
}

static enum metrics_reason reason_of(const char *word)
{
    unsigned reason = 0;
    while (strcmp(metrics_reason_names[reason], word) != 0) {
        reason++;
        assert(reason < METRICS_REASON_COUNT);
    }
    return (enum metrics_reason)reason;
}

void metrics_leader_change(struct metrics_lane *lane, struct str kind, const char *reason)
{
    count(&lane->changes[kinds_index(&lane->metrics->kinds, kind)][reason_of(reason)], 1);
}

static struct lane_series *add_series(struct metrics_lane *lane, unsigned n, const char *node,
                                      const char *operation, bool success)
{
    lane->series[n] = mem_zalloc(sizeof **lane->series);
    lane->series[n]->node = node;
    lane->series[n]->operation = operation;
    lane->series[n]->success = success;
    atomic_store_explicit(&lane->n_series, n + 1, memory_order_release);
    return lane->series[n];
}

/* Few and stable: comparing pointers finds them. The same words at another address are another series here,
 * and the scrape adds them up. */
static struct lane_series *find_series(struct metrics_lane *lane, const char *node, const char *operation,
                                       bool success)
{
    unsigned n = atomic_load_explicit(&lane->n_series, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++) {
        struct lane_series *series = lane->series[i];
        if (series->node == node && series->operation == operation && series->success == success) {
            return series;
        }
    }
    if (n < METRICS_STORE_SERIES_MAX) {
        return add_series(lane, n, node, operation, success);
    }
    /* The two places behind the last are for all others. */
    static const char other[] = "other";
    return node == other ? add_series(lane, n, other, other, success)
                         : find_series(lane, other, other, success);
}

void metrics_store_operation(struct metrics_lane *lane, const char *node, const char *operation, bool success,
                             int64_t duration_us)
{
    observe(lane->metrics, &find_series(lane, node, operation, success)->histogram, duration_us);
}
