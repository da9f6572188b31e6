#include "support.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/family.h"

#define DURATION "election_agent_request_duration_seconds"
#define RESIGNED "{agent=\"a\",action=\"resign\",status=\"success\""

static void a_duration_counts_up_to_and_with_its_bound(void **state)
{
    struct metrics *m = make_metrics(1);
    struct metrics_lane *lane = metrics_lane(m, 0);
    const int64_t durations[] = {-5, 0, 1000, 1001, 2500, 2501, 1000000, 1000001, 3600000000};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        metrics_request_begin(lane, METRICS_RESIGN);
        metrics_request_end(lane, METRICS_RESIGN, true, durations[i]);
    }
    struct buf page = render(m, NULL, false);
    assert_sample(&page, DURATION "_bucket" RESIGNED ",le=\"0.001\"}", "3");
    assert_sample(&page, DURATION "_bucket" RESIGNED ",le=\"0.0025\"}", "5");
    assert_sample(&page, DURATION "_bucket" RESIGNED ",le=\"1\"}", "7");
    assert_sample(&page, DURATION "_bucket" RESIGNED ",le=\"+Inf\"}", "9");
    assert_sample(&page, DURATION "_count" RESIGNED "}", "9");
    assert_sample(&page, DURATION "_sum" RESIGNED "}", "3602.007003");
    assert_sample(&page, DURATION "_count{agent=\"a\",action=\"resign\",status=\"fail\"}", "0");
    assert_sample(&page, DURATION "_count{agent=\"a\",action=\"campaign\",status=\"success\"}", "0");
    buf_fini(&page);
    metrics_free(m);
}

static void outcomes_and_actions_are_told_apart(void **state)
{
    struct metrics *m = make_metrics(1);
    struct metrics_lane *lane = metrics_lane(m, 0);
    for (int a = 0; a < METRICS_ACTION_COUNT; a++) {
        for (int i = 0; i <= a; i++) {
            metrics_request_begin(lane, (enum metrics_action)a);
            metrics_request_end(lane, (enum metrics_action)a, false, 1);
        }
    }
    struct buf page = render(m, NULL, false);
    static const char *const names[] = {"campaign",   "extend_elected_term", "resign",       "handover",
                                        "get_leader", "list_leaders",        "get_election", "get_pods"};
    for (int a = 0; a < METRICS_ACTION_COUNT; a++) {
        char sample[160];
        char value[4];
        snprintf(sample, sizeof sample, DURATION "_count{agent=\"a\",action=\"%s\",status=\"fail\"}",
                 names[a]);
        snprintf(value, sizeof value, "%d", a + 1);
        assert_sample(&page, sample, value);
    }
    buf_fini(&page);
    metrics_free(m);
}

static void what_is_not_measured_changes_nothing(void **state)
{
    struct metrics *m = make_metrics(1);
    struct buf before = BUF_EMPTY;
    metrics_request_begin(metrics_lane(m, 0), METRICS_NO_ACTION);
    metrics_request_end(metrics_lane(m, 0), METRICS_NO_ACTION, true, 5);
    before = render(m, NULL, false);
    struct str rest = str_of(before.p);
    for (struct str line; str_split(&rest, '\n', &line);) {
        if (str_starts(line, STR("election_agent_request"))) {
            assert_true(str_ends(line, STR(" 0")));
        }
    }
    buf_fini(&before);
    metrics_free(m);
}

static void requests_in_flight_are_those_begun_and_not_ended(void **state)
{
    struct metrics *m = make_metrics(2);
    for (int i = 0; i < 5; i++) {
        metrics_request_begin(metrics_lane(m, 0), METRICS_CAMPAIGN);
        metrics_request_begin(metrics_lane(m, 1), METRICS_CAMPAIGN);
    }
    metrics_request_end(metrics_lane(m, 0), METRICS_CAMPAIGN, true, 1);
    metrics_request_end(metrics_lane(m, 1), METRICS_CAMPAIGN, false, 1);
    struct buf page = render(m, NULL, false);
    assert_sample(&page, "election_agent_requests_in_flight{agent=\"a\",action=\"campaign\"}", "8");
    assert_sample(&page, "election_agent_requests_in_flight{agent=\"a\",action=\"resign\"}", "0");
    buf_fini(&page);
    metrics_free(m);
}

static void lanes_are_added_up(void **state)
{
    struct metrics *m = make_metrics(3);
    for (unsigned i = 0; i < 3; i++) {
        metrics_unavailable(metrics_lane(m, i));
        metrics_request_end(metrics_lane(m, i), METRICS_RESIGN, true, 500);
        metrics_leader_change(metrics_lane(m, i), STR("k"), "resigned");
        metrics_store_operation(metrics_lane(m, i), "n", "put", true, 1500);
    }
    struct buf page = render(m, NULL, false);
    assert_sample(&page, "election_agent_unavailable_total{agent=\"a\"}", "3");
    assert_sample(&page, DURATION "_sum" RESIGNED "}", "0.0015");
    assert_sample(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"k\",reason=\"resigned\"}",
                  "3");
    assert_sample(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"k\",reason=\"expired\"}",
                  "0");
    assert_sample(
        &page,
        "election_agent_store_operation_duration_seconds_count{agent=\"a\",node=\"n\",operation=\"put\","
        "status=\"success\"}",
        "3");
    buf_fini(&page);
    metrics_free(m);
}

static void every_reason_has_its_counter(void **state)
{
    static const char *const reasons[] = {"elected", "resigned", "handed_over", "expired", "stepped_down"};
    struct metrics *m = make_metrics(1);
    for (int r = 0; r < METRICS_REASON_COUNT; r++) {
        for (int i = 0; i <= r; i++) {
            metrics_leader_change(metrics_lane(m, 0), STR("k"), reasons[r]);
        }
    }
    struct buf page = render(m, NULL, false);
    for (int r = 0; r < METRICS_REASON_COUNT; r++) {
        char sample[160];
        char value[4];
        snprintf(sample, sizeof sample,
                 "election_agent_leader_changes_total{agent=\"a\",kind=\"k\",reason=\"%s\"}", reasons[r]);
        snprintf(value, sizeof value, "%d", r + 1);
        assert_sample(&page, sample, value);
    }
    buf_fini(&page);
    metrics_free(m);
}

static void kinds_of_a_flood_count_as_other(void **state)
{
    struct metrics *m = make_metrics(1);
    for (int i = 0; i < 1000; i++) {
        char kind[16];
        snprintf(kind, sizeof kind, "k%d", i);
        metrics_leader_change(metrics_lane(m, 0), str_of(kind), "elected");
    }
    metrics_leader_change(metrics_lane(m, 0), STR("k99"), "elected");
    struct buf page = render(m, NULL, false);
    assert_sample(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"k99\",reason=\"elected\"}",
                  "2");
    assert_null(
        value_of(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"k100\",reason=\"elected\"}"));
    assert_sample(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"other\",reason=\"elected\"}",
                  "900");
    buf_fini(&page);
    metrics_free(m);
}

static void a_kind_named_other_is_counted_with_the_others(void **state)
{
    struct metrics *m = make_metrics(1);
    metrics_leader_change(metrics_lane(m, 0), STR("other"), "elected");
    for (int i = 0; i < METRICS_KINDS_MAX; i++) {
        char kind[16];
        snprintf(kind, sizeof kind, "k%d", i);
        metrics_leader_change(metrics_lane(m, 0), str_of(kind), "elected");
    }
    struct buf page = render(m, NULL, false);
    const char *sample = "election_agent_leader_changes_total{agent=\"a\",kind=\"other\",reason=\"elected\"}";
    assert_sample(&page, sample, "2");
    assert_null(strstr(strstr(page.p, sample) + 1, sample));
    buf_fini(&page);
    metrics_free(m);
}

static void store_series_beyond_the_bound_are_other(void **state)
{
    static char names[METRICS_STORE_SERIES_MAX + 10][8];
    struct metrics *m = make_metrics(1);
    for (int i = 0; i < METRICS_STORE_SERIES_MAX + 10; i++) {
        snprintf(names[i], sizeof names[i], "op%d", i);
        metrics_store_operation(metrics_lane(m, 0), "n", names[i], i % 2 == 0, 1);
        metrics_store_operation(metrics_lane(m, 0), "n", names[i], i % 2 == 0, 1);
    }
    struct buf page = render(m, NULL, false);
    const char *name = "election_agent_store_operation_duration_seconds_count";
    char sample[160];
    snprintf(sample, sizeof sample, "%s{agent=\"a\",node=\"n\",operation=\"op63\",status=\"fail\"}", name);
    assert_sample(&page, sample, "2");
    snprintf(sample, sizeof sample, "%s{agent=\"a\",node=\"other\",operation=\"other\",status=\"success\"}",
             name);
    assert_sample(&page, sample, "10");
    snprintf(sample, sizeof sample, "%s{agent=\"a\",node=\"other\",operation=\"other\",status=\"fail\"}",
             name);
    assert_sample(&page, sample, "10");
    buf_fini(&page);
    metrics_free(m);
}

static void equal_names_at_other_addresses_are_one_series(void **state)
{
    char node[] = "n";
    struct metrics *m = make_metrics(1);
    metrics_store_operation(metrics_lane(m, 0), "n", "put", true, 1);
    metrics_store_operation(metrics_lane(m, 0), node, "put", true, 1);
    struct buf page = render(m, NULL, false);
    const char *sample =
        "election_agent_store_operation_duration_seconds_count{agent=\"a\",node=\"n\",operation="
        "\"put\",status=\"success\"}";
    assert_sample(&page, sample, "2");
    assert_null(strstr(strstr(page.p, sample) + 1, sample));
    buf_fini(&page);
    metrics_free(m);
}

#define LANES       3
#define PER_LANE    20000
#define SAMPLE_STEP 64

struct counter {
    pthread_t thread;
    struct metrics_lane *lane;
    _Atomic(bool) *done;
};

static void *count_much(void *arg)
{
    struct counter *counter = arg;
    for (unsigned i = 0; i < PER_LANE; i++) {
        metrics_request_begin(counter->lane, METRICS_CAMPAIGN);
        metrics_request_end(counter->lane, METRICS_CAMPAIGN, true, (int64_t)i);
        if (i % SAMPLE_STEP == 0) {
            char kind[16];
            snprintf(kind, sizeof kind, "k%u", i / SAMPLE_STEP);
            metrics_leader_change(counter->lane, str_of(kind), "elected");
            metrics_store_operation(counter->lane, "n", i % 2 == 0 ? "get" : "put", true, 1);
            metrics_unavailable(counter->lane);
        }
    }
    atomic_store(counter->done, true);
    return NULL;
}

/* Run under ThreadSanitizer, too. */
static void lanes_count_while_a_scrape_reads(void **state)
{
    struct metrics *m = make_metrics(LANES);
    struct counter counters[LANES];
    _Atomic(bool) done[LANES] = {false};
    for (unsigned i = 0; i < LANES; i++) {
        counters[i].lane = metrics_lane(m, i);
        counters[i].done = &done[i];
        assert_int_equal(pthread_create(&counters[i].thread, NULL, count_much, &counters[i]), 0);
    }
    const char *sample = DURATION "_count{agent=\"a\",action=\"campaign\",status=\"success\"}";
    unsigned long long before = 0;
    while (!(atomic_load(&done[0]) && atomic_load(&done[1]) && atomic_load(&done[2]))) {
        struct buf page = render(m, NULL, false);
        const char *value = value_of(&page, sample);
        assert_non_null(value);
        unsigned long long now = strtoull(value, NULL, 10);
        assert_true(now >= before && now <= (unsigned long long)LANES * PER_LANE);
        before = now;
        buf_fini(&page);
    }
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(counters[i].thread, NULL);
    }
    struct buf page = render(m, NULL, false);
    assert_sample(&page, sample, "60000");
    assert_sample(&page, "election_agent_requests_in_flight{agent=\"a\",action=\"campaign\"}", "0");
    assert_sample(&page, "election_agent_leader_changes_total{agent=\"a\",kind=\"k0\",reason=\"elected\"}",
                  "3");
    buf_fini(&page);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_counts_up_to_and_with_its_bound),
        cmocka_unit_test(outcomes_and_actions_are_told_apart),
        cmocka_unit_test(what_is_not_measured_changes_nothing),
        cmocka_unit_test(requests_in_flight_are_those_begun_and_not_ended),
        cmocka_unit_test(lanes_are_added_up),
        cmocka_unit_test(every_reason_has_its_counter),
        cmocka_unit_test(kinds_of_a_flood_count_as_other),
        cmocka_unit_test(a_kind_named_other_is_counted_with_the_others),
        cmocka_unit_test(store_series_beyond_the_bound_are_other),
        cmocka_unit_test(equal_names_at_other_addresses_are_one_series),
        cmocka_unit_test(lanes_count_while_a_scrape_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
