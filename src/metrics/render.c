/*
 * The page: a family after the other, in the order of metrics.def, each with the lanes added up.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "metrics/family.h"
#include "metrics/lane.h"
#include "metrics/process.h"

struct page {
    struct metrics *metrics;
    const struct metrics_gauges *gauges; /* may be NULL */
    const struct process_facts *process;
    bool openmetrics;
    struct buf *out;
};

/* A histogram with its lanes added up. */
struct total {
    uint64_t buckets[METRICS_BUCKETS_MAX + 1];
    uint64_t sum_us;
};

void metrics_add_label_value(struct buf *out, struct str value)
{
    bool utf8 = str_is_utf8(value);
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"') {
            buf_format(out, "\\%c", c);
        } else if (c == '\n') {
            buf_add_str(out, STR("\\n"));
        } else if (!utf8 && (unsigned char)c >= 0x80) {
            buf_add_str(out, STR("\xef\xbf\xbd")); /* U+FFFD */
        } else {
            buf_add(out, &c, 1);
        }
    }
}

/* name{agent="x" and leaves the braces open for more labels. */
static void begin_sample(struct page *page, enum metrics_id id, const char *suffix)
{
    buf_add_str(page->out, str_of(metrics_families[id].name));
    buf_add_str(page->out, str_of(suffix));
    buf_add_str(page->out, STR("{"));
    buf_add_str(page->out, page->metrics->labels);
}

static void add_label(struct page *page, const char *name, struct str value)
{
    buf_format(page->out, ",%s=\"", name);
    metrics_add_label_value(page->out, value);
    buf_add_str(page->out, STR("\""));
}

static void end_sample(struct page *page, uint64_t value)
{
    buf_add_str(page->out, STR("} "));
    buf_add_u64(page->out, value);
    buf_add_str(page->out, STR("\n"));
}

/* Whole microseconds as seconds, exactly; without zeros at the end. */
static void end_sample_us(struct page *page, uint64_t us)
{
    char text[40];
    int n = snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (text[n - 1] == '0') {
        n--;
    }
    n -= text[n - 1] == '.';
    buf_format(page->out, "} %.*s\n", n, text);
}

static void add_histogram(struct total *total, const struct lane_histogram *histogram)
{
    for (size_t i = 0; i <= METRICS_BUCKETS_MAX; i++) {
        total->buckets[i] += lane_read(&histogram->buckets[i]);
    }
    total->sum_us += lane_read(&histogram->sum_us);
}

/* The label `le`. OpenMetrics wants whole numbers with a fraction, so that a bound has one spelling. */
static void add_bound(struct page *page, size_t i)
{
    if (i == page->metrics->n_bounds) {
        add_label(page, "le", STR("+Inf"));
        return;
    }
    char text[40];
    double bound = page->metrics->bounds_s[i];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text - 2, "%.*g", digits, bound);
        if (strtod(text, NULL) == bound) {
            break;
        }
    }
    if (page->openmetrics && strpbrk(text, ".e") == NULL) {
        memcpy(text + strlen(text), ".0", sizeof ".0");
    }
    add_label(page, "le", str_of(text));
}

/* `labels` writes the labels that tell this histogram from others of its family. */
static void histogram_samples(struct page *page, enum metrics_id id, const struct total *total,
                              const char *const labels[][2], size_t n_labels)
{
    uint64_t cumulative = 0;
    for (size_t i = 0; i <= page->metrics->n_bounds; i++) {
        begin_sample(page, id, "_bucket");
        for (size_t k = 0; k < n_labels; k++) {
            add_label(page, labels[k][0], str_of(labels[k][1]));
        }
        add_bound(page, i);
        cumulative += total->buckets[i];
        end_sample(page, cumulative);
    }
    begin_sample(page, id, "_sum");
    for (size_t k = 0; k < n_labels; k++) {
        add_label(page, labels[k][0], str_of(labels[k][1]));
    }
    end_sample_us(page, total->sum_us);
    begin_sample(page, id, "_count");
    for (size_t k = 0; k < n_labels; k++) {
        add_label(page, labels[k][0], str_of(labels[k][1]));
    }
    end_sample(page, cumulative);
}

static const char *status_name(bool success)
{
    return success ? "success" : "fail";
}

static void samples_request_duration(struct page *page)
{
    for (unsigned action = 0; action < METRICS_ACTION_COUNT; action++) {
        for (int success = 1; success >= 0; success--) {
            struct total total = {.sum_us = 0};
            for (unsigned i = 0; i < page->metrics->lanes; i++) {
                add_histogram(&total, &page->metrics->lane[i]->requests[action][success]);
            }
            const char *const labels[][2] = {{"action", metrics_action_names[action]},
                                             {"status", status_name(success != 0)}};
            histogram_samples(page, METRICS_ID_request_duration, &total, labels, ARRAY_LENGTH(labels));
        }
    }
}

static uint64_t count_ended(const struct metrics_lane *lane, unsigned action)
{
    uint64_t ended = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS_MAX; i++) {
        ended += lane_read(&lane->requests[action][0].buckets[i]) +
                 lane_read(&lane->requests[action][1].buckets[i]);
    }
    return ended;
}

static void samples_requests_in_flight(struct page *page)
{
    for (unsigned action = 0; action < METRICS_ACTION_COUNT; action++) {
        uint64_t in_flight = 0;
        for (unsigned i = 0; i < page->metrics->lanes; i++) {
            /* Read without order: a request may show as ended before it shows as begun. */
            uint64_t ended = count_ended(page->metrics->lane[i], action);
            uint64_t begun = lane_read(&page->metrics->lane[i]->begun[action]);
            in_flight += begun > ended ? begun - ended : 0;
        }
        begin_sample(page, METRICS_ID_requests_in_flight, "");
        add_label(page, "action", str_of(metrics_action_names[action]));
        end_sample(page, in_flight);
    }
}

static void samples_unavailable(struct page *page)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < page->metrics->lanes; i++) {
        total += lane_read(&page->metrics->lane[i]->unavailable);
    }
    begin_sample(page, METRICS_ID_unavailable, "");
    end_sample(page, total);
}

static struct str kind_label(struct page *page, unsigned index)
{
    return index == KINDS_OTHER ? STR("other") : kinds_name(&page->metrics->kinds, index);
}

/* What counts under kind `index` must not be two series when a client has a kind of the name "other". */
static bool is_named_other(struct page *page, unsigned index)
{
    return index != KINDS_OTHER && str_eq(kinds_name(&page->metrics->kinds, index), STR("other"));
}

struct election_counts {
    struct kinds *kinds;
    uint64_t n[METRICS_KINDS_MAX + 1];
};

static void count_elections(void *row_arg, struct str kind, uint64_t n)
{
    struct election_counts *counts = row_arg;
    counts->n[kinds_index(counts->kinds, kind)] += n;
}

static void samples_elections(struct page *page)
{
    if (page->gauges == NULL || page->gauges->elections == NULL) {
        return;
    }
    struct election_counts counts = {.kinds = &page->metrics->kinds};
    page->gauges->elections(page->gauges->arg, count_elections, &counts);
    unsigned known = kinds_count(&page->metrics->kinds);
    for (unsigned i = 0; i < known; i++) {
        if (is_named_other(page, i)) {
            counts.n[KINDS_OTHER] += counts.n[i];
            continue;
        }
        begin_sample(page, METRICS_ID_elections, "");
        add_label(page, "kind", kind_label(page, i));
        end_sample(page, counts.n[i]);
    }
    if (counts.n[KINDS_OTHER] > 0) {
        begin_sample(page, METRICS_ID_elections, "");
        add_label(page, "kind", STR("other"));
        end_sample(page, counts.n[KINDS_OTHER]);
    }
}

/* All reasons of a kind, once there was one change. */
static void kind_changes(struct page *page, struct str kind, const uint64_t changes[METRICS_REASON_COUNT])
{
    uint64_t any = 0;
    for (unsigned reason = 0; reason < METRICS_REASON_COUNT; reason++) {
        any |= changes[reason];
    }
    for (unsigned reason = 0; reason < METRICS_REASON_COUNT && any != 0; reason++) {
        begin_sample(page, METRICS_ID_leader_changes, "");
        add_label(page, "kind", kind);
        add_label(page, "reason", str_of(metrics_reason_names[reason]));
        end_sample(page, changes[reason]);
    }
}

static void add_changes(struct page *page, unsigned kind, uint64_t changes[METRICS_REASON_COUNT])
{
    for (unsigned i = 0; i < page->metrics->lanes; i++) {
        for (unsigned reason = 0; reason < METRICS_REASON_COUNT; reason++) {
            changes[reason] += lane_read(&page->metrics->lane[i]->changes[kind][reason]);
        }
    }
}

static void samples_leader_changes(struct page *page)
{
    uint64_t others[METRICS_REASON_COUNT] = {0};
    unsigned known = kinds_count(&page->metrics->kinds);
    for (unsigned i = 0; i < known; i++) {
        if (is_named_other(page, i)) {
            add_changes(page, i, others);
            continue;
        }
        uint64_t changes[METRICS_REASON_COUNT] = {0};
        add_changes(page, i, changes);
        kind_changes(page, kind_label(page, i), changes);
    }
    add_changes(page, KINDS_OTHER, others);
    kind_changes(page, STR("other"), others);
}

static void samples_connections(struct page *page)
{
    static const char *const protocols[] = {"http1", "http2"};
    static const char *const tls[] = {"false", "true"};
    if (page->gauges == NULL) {
        return;
    }
    for (int p = 0; p < 2; p++) {
        for (int t = 0; t < 2; t++) {
            begin_sample(page, METRICS_ID_connections, "");
            add_label(page, "protocol", str_of(protocols[p]));
            add_label(page, "tls", str_of(tls[t]));
            end_sample(page, page->gauges->connections[p][t]);
        }
    }
}

static bool same_series(const struct lane_series *a, const struct lane_series *b)
{
    return a->success == b->success && strcmp(a->operation, b->operation) == 0 &&
           strcmp(a->node, b->node) == 0;
}

/* Every series of every lane, in the order they came to be. */
static size_t collect_series(const struct metrics *metrics, const struct lane_series **out)
{
    size_t n = 0;
    for (unsigned i = 0; i < metrics->lanes; i++) {
        const struct metrics_lane *lane = metrics->lane[i];
        unsigned n_series = atomic_load_explicit(&lane->n_series, memory_order_acquire);
        for (unsigned k = 0; k < n_series; k++) {
            out[n++] = lane->series[k];
        }
    }
    return n;
}

static void samples_store_operation_duration(struct page *page)
{
    size_t room = page->metrics->lanes * ARRAY_LENGTH(page->metrics->lane[0]->series);
    /* An array of pointers is meant. NOLINTNEXTLINE(bugprone-sizeof-expression) */
    const struct lane_series **all = mem_alloc(room * sizeof *all);
    size_t n = collect_series(page->metrics, all);
    for (size_t i = 0; i < n; i++) {
        const struct lane_series *first = all[i];
        if (first == NULL) {
            continue;
        }
        struct total total = {.sum_us = 0};
        for (size_t k = i; k < n; k++) {
            if (all[k] != NULL && same_series(first, all[k])) {
                add_histogram(&total, &all[k]->histogram);
                all[k] = NULL;
            }
        }
        const char *const labels[][2] = {
            {"node", first->node}, {"operation", first->operation}, {"status", status_name(first->success)}};
        histogram_samples(page, METRICS_ID_store_operation_duration, &total, labels, ARRAY_LENGTH(labels));
    }
    mem_free(all);
}

enum { NODE_UP, NODE_RECOVERING, NODE_DOWN, NODE_STATES }; /* as metrics_gauges says them */

static void store_node(void *arg, const char *node, int now)
{
    static const char *const states[NODE_STATES] = {"up", "recovering", "down"};
    struct page *page = arg;
    for (int state = 0; state < NODE_STATES; state++) {
        begin_sample(page, METRICS_ID_store_node_state, "");
        add_label(page, "node", str_of(node));
        add_label(page, "state", str_of(states[state]));
        end_sample(page, now == state ? 1 : 0);
    }
}

static void samples_store_node_state(struct page *page)
{
    const struct metrics_gauges *gauges = page->gauges;
    if (gauges != NULL && gauges->store_nodes != NULL) {
        gauges->store_nodes(gauges->arg, store_node, page);
    } else if (gauges != NULL && gauges->store_node != NULL) {
        store_node(page, gauges->store_node, gauges->store_node_state);
    }
}

static void count_down(void *arg, const char *node, int now)
{
    uint64_t *down = arg;
    *down += now == NODE_DOWN;
}

/* The only store with nodes of its own is that on Redis. */
static void samples_disconnected_redis_backends(struct page *page)
{
    const struct metrics_gauges *gauges = page->gauges;
    uint64_t down = 0;
    if (gauges == NULL) {
        return;
    }
    if (gauges->store_nodes != NULL) {
        gauges->store_nodes(gauges->arg, count_down, &down);
    }
    begin_sample(page, METRICS_ID_disconnected_redis_backends, "");
    end_sample(page, down);
}

static void samples_claim_retries(struct page *page)
{
    if (page->gauges != NULL) {
        begin_sample(page, METRICS_ID_claim_retries, "");
        end_sample(page, page->gauges->claim_retries);
    }
}

static void samples_undo_pending(struct page *page)
{
    if (page->gauges != NULL) {
        begin_sample(page, METRICS_ID_undo_pending, "");
        end_sample(page, page->gauges->undo_pending);
    }
}

static void samples_build_info(struct page *page)
{
    begin_sample(page, METRICS_ID_build_info, "");
    add_label(page, "version", str_of(page->metrics->version));
    add_label(page, "commit", str_of(page->metrics->commit));
    end_sample(page, 1);
}

static void samples_process_cpu(struct page *page)
{
    begin_sample(page, METRICS_ID_process_cpu, "");
    end_sample_us(page, (uint64_t)page->process->cpu_us);
}

/* A number that could not be found out is left out. */
static void process_sample(struct page *page, enum metrics_id id, int64_t value)
{
    if (value >= 0) {
        begin_sample(page, id, "");
        end_sample(page, (uint64_t)value);
    }
}

static void samples_process_memory(struct page *page)
{
    process_sample(page, METRICS_ID_process_memory, page->process->resident_bytes);
}

static void samples_process_open_fds(struct page *page)
{
    process_sample(page, METRICS_ID_process_open_fds, page->process->open_fds);
}

static void samples_process_max_fds(struct page *page)
{
    process_sample(page, METRICS_ID_process_max_fds, page->process->max_fds);
}

static void samples_process_start_time(struct page *page)
{
    begin_sample(page, METRICS_ID_process_start_time, "");
    end_sample_us(page, (uint64_t)page->metrics->started.us);
}

void metrics_render(struct metrics *metrics, const struct metrics_gauges *gauges, bool openmetrics,
                    struct buf *out)
{
    static void (*const samples[METRICS_FAMILY_COUNT])(struct page * page) = {
#define METRIC(id, ...) [METRICS_ID_##id] = samples_##id,
#include "metrics/metrics.def"
    };
    struct process_facts process;
    process_read(&process);
    struct page page = {metrics, gauges, &process, openmetrics, out};
    for (size_t i = 0; i < METRICS_FAMILY_COUNT; i++) {
        metrics_family_head(&metrics_families[i], openmetrics, out);
        samples[i](&page);
    }
    if (openmetrics) {
        buf_add_str(out, STR("# EOF\n"));
    }
}
