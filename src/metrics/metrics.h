/*
 * Metrics: one row of metrics.def a metric, from which code, docs/metrics.md and the tests follow (spec:
 * metrics.md).
 *
 * Each lane (event loop) counts for itself with plain adds (relaxed atomics, no lock, no contended line); a
 * scrape adds the lanes up. Leaf room: base only; what other rooms know (connections, elections) comes in
 * through the gather hook at the scrape.
 */
#ifndef EA_METRICS_METRICS_H
#define EA_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

struct metrics;
struct metrics_lane;

/* METRICS_ACTION(name, label) */
#define METRICS_ACTIONS(A)           \
    A(CAMPAIGN, "campaign")          \
    A(EXTEND, "extend_elected_term") \
    A(RESIGN, "resign")              \
    A(HANDOVER, "handover")          \
    A(GET_LEADER, "get_leader")      \
    A(LIST_LEADERS, "list_leaders")  \
    A(GET_ELECTION, "get_election")  \
    A(GET_PODS, "get_pods")

enum metrics_action {
#define A(name, label) METRICS_##name,
    METRICS_ACTIONS(A)
#undef A
        METRICS_ACTION_COUNT,
    METRICS_NO_ACTION = METRICS_ACTION_COUNT /* not measured (status, health, reflection) */
};

/* What brings a change of leadership about (the words of core/event.h). METRICS_REASON(name, label) */
#define METRICS_REASONS(R)        \
    R(ELECTED, "elected")         \
    R(RESIGNED, "resigned")       \
    R(HANDED_OVER, "handed_over") \
    R(EXPIRED, "expired")         \
    R(STEPPED_DOWN, "stepped_down")

enum metrics_reason {
#define R(name, label) METRICS_REASON_##name,
    METRICS_REASONS(R)
#undef R
        METRICS_REASON_COUNT
};

struct metrics_options {
    unsigned lanes;
    struct str agent;      /* the constant label */
    const double *buckets; /* of request_duration_seconds, ascending, in seconds; copied */
    size_t n_buckets;      /* at most METRICS_BUCKETS_MAX */
    struct wall started;   /* of the process */
    const char *version;
    const char *commit;
};

#define METRICS_BUCKETS_MAX 32
/* Label values that clients choose are bounded: kinds beyond this many count as "other". */
#define METRICS_KINDS_MAX        100
#define METRICS_STORE_SERIES_MAX 64

/* All counters are 0. Options are copied. Free when no lane counts any more. The lane's counters live as long. */
struct metrics *metrics_new(const struct metrics_options *options);
void metrics_free(struct metrics *metrics);
struct metrics_lane *metrics_lane(struct metrics *metrics, unsigned lane);

/* On the lane's thread. METRICS_NO_ACTION is ignored. */
void metrics_request_begin(struct metrics_lane *lane, enum metrics_action action);
void metrics_request_end(struct metrics_lane *lane, enum metrics_action action, bool success,
                         int64_t duration_us);
void metrics_unavailable(struct metrics_lane *lane);
/* reason: one of METRICS_REASONS. */
void metrics_leader_change(struct metrics_lane *lane, struct str kind, const char *reason);
/* operation: a literal; node: a store's node name. Both stay where they are as long as the metrics live, and
 * are few: beyond METRICS_STORE_SERIES_MAX combinations they count as "other". */
void metrics_store_operation(struct metrics_lane *lane, const char *node, const char *operation, bool success,
                             int64_t duration_us);

/* What is read at the scrape. Filled by the caller of metrics_render(). */
struct metrics_gauges {
    uint64_t connections[2][2]; /* [0: HTTP/1.1, 1: HTTP/2][0: plain, 1: TLS] */
    /* Calls row() for each kind. */
    void (*elections)(void *arg, void (*row)(void *row_arg, struct str kind, uint64_t n), void *row_arg);
    void *arg;
    const char *store_node; /* the store's one node ("embedded"), and its state: 0 up, 1 recovering, 2 down */
    int store_node_state;
    /* Of a store with several nodes, instead of these two: calls row() for each, with the same states. */
    void (*store_nodes)(void *arg, void (*row)(void *row_arg, const char *node, int state), void *row_arg);
    uint64_t claim_retries; /* since the start */
    uint64_t undo_pending;
};

/* The page is appended to out. gauges may be NULL: the families stay empty. `openmetrics` chooses the format
 * (Accept: application/openmetrics-text). Any thread. */
void metrics_render(struct metrics *metrics, const struct metrics_gauges *gauges, bool openmetrics,
                    struct buf *out);

#define METRICS_TEXT_TYPE        "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

#endif
