#include "support.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "metrics/family.h"

static void two_kinds(void *arg, void (*row)(void *row_arg, struct str kind, uint64_t n), void *row_arg)
{
    row(row_arg, STR("default"), 2);
    row(row_arg, STR("say \"hi\"\\\n"), 1);
    /* A kind may come from several loops. */
    row(row_arg, STR("default"), 5);
}

static const struct metrics_gauges gauges = {
    .connections = {{1, 2}, {3, 4}},
    .elections = two_kinds,
    .store_node = "embedded",
    .store_node_state = 1,
};

/* Something in every family. */
static struct metrics *make_full(void)
{
    struct metrics *m = make_metrics(2);
    for (unsigned i = 0; i < 2; i++) {
        struct metrics_lane *lane = metrics_lane(m, i);
        for (int a = 0; a < METRICS_ACTION_COUNT; a++) {
            metrics_request_begin(lane, (enum metrics_action)a);
            metrics_request_end(lane, (enum metrics_action)a, a % 2 == 0, 2000);
        }
        metrics_unavailable(lane);
        metrics_leader_change(lane, STR("default"), "elected");
        metrics_store_operation(lane, "embedded", "commit", true, 10);
        metrics_store_operation(lane, "embedded", "commit", false, 10);
    }
    return m;
}

static void gauges_are_read_at_the_scrape(void **state)
{
    struct metrics *m = make_full();
    struct buf page = render(m, &gauges, false);
    assert_sample(&page, "election_agent_connections{agent=\"a\",protocol=\"http1\",tls=\"false\"}", "1");
    assert_sample(&page, "election_agent_connections{agent=\"a\",protocol=\"http1\",tls=\"true\"}", "2");
    assert_sample(&page, "election_agent_connections{agent=\"a\",protocol=\"http2\",tls=\"false\"}", "3");
    assert_sample(&page, "election_agent_connections{agent=\"a\",protocol=\"http2\",tls=\"true\"}", "4");
    assert_sample(&page, "election_agent_elections{agent=\"a\",kind=\"default\"}", "7");
    assert_sample(&page, "election_agent_elections{agent=\"a\",kind=\"say \\\"hi\\\"\\\\\\n\"}", "1");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"embedded\",state=\"up\"}", "0");
    assert_sample(&page,
                  "election_agent_store_node_state{agent=\"a\",node=\"embedded\",state=\"recovering\"}", "1");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"embedded\",state=\"down\"}",
                  "0");
    assert_sample(&page, "election_agent_build_info{agent=\"a\",version=\"1.2\",commit=\"abc\"}", "1");
    assert_sample(&page, "process_start_time_seconds{agent=\"a\"}", "1000.5");
    buf_fini(&page);
    /* A kind without elections stays, at zero. */
    const struct metrics_gauges none = {.store_node = NULL};
    page = render(m, &none, false);
    assert_null(value_of(&page, "election_agent_elections{agent=\"a\",kind=\"default\"}"));
    buf_fini(&page);
    metrics_free(m);
}

static void three_nodes(void *arg, void (*row)(void *row_arg, const char *node, int state), void *row_arg)
{
    row(row_arg, "a:1", 0);
    row(row_arg, "b:2", 1);
    row(row_arg, "c:3", 2);
}

static void a_store_of_several_nodes_shows_each_and_counts_those_that_are_down(void **state)
{
    struct metrics *m = make_metrics(1);
    struct buf page = render(m, &gauges, false);
    assert_sample(&page, "election_agent_disconnected_redis_backends{agent=\"a\"}", "0");
    buf_fini(&page);
    const struct metrics_gauges nodes = {.store_nodes = three_nodes, .claim_retries = 7, .undo_pending = 2};
    page = render(m, &nodes, false);
    assert_sample(&page, "election_agent_disconnected_redis_backends{agent=\"a\"}", "1");
    assert_sample(&page, "election_agent_claim_retries_total{agent=\"a\"}", "7");
    assert_sample(&page, "election_agent_undo_pending{agent=\"a\"}", "2");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"a:1\",state=\"up\"}", "1");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"b:2\",state=\"recovering\"}",
                  "1");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"c:3\",state=\"up\"}", "0");
    assert_sample(&page, "election_agent_store_node_state{agent=\"a\",node=\"c:3\",state=\"down\"}", "1");
    buf_fini(&page);
    metrics_free(m);
}

static void no_kinds(void *arg, void (*row)(void *row_arg, struct str kind, uint64_t n), void *row_arg) {}

static void a_kind_without_elections_stays_at_zero(void **state)
{
    struct metrics *m = make_full();
    const struct metrics_gauges none = {.elections = no_kinds};
    struct buf page = render(m, &none, false);
    assert_sample(&page, "election_agent_elections{agent=\"a\",kind=\"default\"}", "0");
    buf_fini(&page);
    metrics_free(m);
}

static void many_kinds(void *arg, void (*row)(void *row_arg, struct str kind, uint64_t n), void *row_arg)
{
    row(row_arg, STR("other"), 1000);
    for (int i = 0; i < 200; i++) {
        char kind[16];
        snprintf(kind, sizeof kind, "k%d", i);
        row(row_arg, str_of(kind), 1);
    }
}

static void elections_of_a_flood_of_kinds_count_as_other(void **state)
{
    struct metrics *m = make_metrics(1);
    const struct metrics_gauges many = {.elections = many_kinds};
    struct buf page = render(m, &many, false);
    const char *sample = "election_agent_elections{agent=\"a\",kind=\"other\"}";
    assert_sample(&page, "election_agent_elections{agent=\"a\",kind=\"k98\"}", "1");
    assert_null(value_of(&page, "election_agent_elections{agent=\"a\",kind=\"k99\"}"));
    assert_sample(&page, sample, "1101");
    assert_null(strstr(strstr(page.p, sample) + 1, sample));
    buf_fini(&page);
    metrics_free(m);
}

static void labels_from_outside_are_escaped(void **state)
{
    static const double bucket = 1;
    const struct metrics_options options = {.lanes = 1,
                                            .agent = STR("a\"\\\n\xff\xc3\xa4"),
                                            .buckets = &bucket,
                                            .n_buckets = 1,
                                            .version = "\"",
                                            .commit = ""};
    struct metrics *m = metrics_new(&options);
    struct buf page = render(m, NULL, false);
    /* Broken UTF-8 anywhere: no byte above ASCII of that text is trusted. */
    assert_sample(&page,
                  "election_agent_build_info{agent=\"a\\\"\\\\\\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\","
                  "version=\"\\\"\",commit=\"\"}",
                  "1");
    buf_fini(&page);
    metrics_free(m);
}

/* The family a sample's line belongs to: its name without the suffixes of its type. */
static bool is_of_family(struct str line, const struct metrics_family *family)
{
    static const char *const histogram[] = {"_bucket{", "_sum{", "_count{"};
    struct str name = str_of(family->name);
    if (!str_starts(line, name)) {
        return false;
    }
    struct str rest = str_from(line.p + name.n, line.n - name.n);
    if (family->type != METRICS_HISTOGRAM) {
        return str_starts(rest, STR("{"));
    }
    for (size_t i = 0; i < 3; i++) {
        if (str_starts(rest, str_of(histogram[i]))) {
            return true;
        }
    }
    return false;
}

/* Families in order, each with its head and its own samples only, each sample once, OpenMetrics ended. */
static void check_structure(bool openmetrics)
{
    struct metrics *m = make_full();
    struct buf page = render(m, &gauges, openmetrics);
    struct str rest = str_of(page.p);
    struct str line = {NULL, 0};
    assert_true(str_split(&rest, '\n', &line));
    for (size_t i = 0; i < METRICS_FAMILY_COUNT; i++) {
        struct buf head = BUF_EMPTY;
        metrics_family_head(&metrics_families[i], openmetrics, &head);
        assert_memory_equal(line.p, head.p, head.n);
        for (size_t at = 0; at < head.n; at++) {
            if (head.p[at] == '\n') {
                assert_true(str_split(&rest, '\n', &line));
            }
        }
        buf_fini(&head);
        size_t samples = 0;
        for (; line.n > 0 && line.p[0] != '#'; samples++) {
            assert_true(is_of_family(line, &metrics_families[i]));
            assert_true(str_split(&rest, '\n', &line));
        }
        assert_true(samples > 0);
    }
    assert_true(openmetrics ? str_eq(line, STR("# EOF")) : line.n == 0);
    buf_fini(&page);
    metrics_free(m);
}

static void families_follow_each_other_with_their_samples(void **state)
{
    check_structure(false);
    check_structure(true);
}

static void openmetrics_spells_bounds_with_a_fraction(void **state)
{
    struct metrics *m = make_full();
    struct buf page = render(m, NULL, true);
    const char *name =
        "election_agent_request_duration_seconds_bucket{agent=\"a\",action=\"campaign\",status="
        "\"success\",le=";
    char sample[160];
    snprintf(sample, sizeof sample, "%s\"1.0\"}", name);
    assert_sample(&page, sample, "2");
    snprintf(sample, sizeof sample, "%s\"0.0025\"}", name);
    assert_sample(&page, sample, "2");
    snprintf(sample, sizeof sample, "%s\"+Inf\"}", name);
    assert_sample(&page, sample, "2");
    assert_null(strstr(page.p, "le=\"1\""));
    buf_fini(&page);
    metrics_free(m);
}

/* Prometheus' own judgement. Not skipped where the tool is missing: then nobody has judged. */
static void promtool_finds_nothing_to_say(void **state)
{
    struct metrics *m = make_full();
    struct buf page = render(m, &gauges, false);
    FILE *tool = popen("promtool check metrics", "w"); /* NOLINT(cert-env33-c): a fixed command */
    assert_non_null(tool);
    assert_int_equal(fwrite(page.p, 1, page.n - 1, tool), page.n - 1);
    int status = pclose(tool);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("promtool check metrics (of Debian's package prometheus) ended with %d",
                 WIFEXITED(status) ? WEXITSTATUS(status) : status);
    }
    buf_fini(&page);
    metrics_free(m);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *place)
{
    return remove(path);
}

/* The database's own reader; it wants a time behind each value, which a scrape need not have. */
static void prometheus_reads_the_openmetrics_page(void **state)
{
    char directory[] = "/tmp/test-openmetrics-XXXXXX";
    assert_non_null(mkdtemp(directory));
    char path[64];
    char command[256];
    snprintf(path, sizeof path, "%s/page", directory);
    snprintf(command, sizeof command, "promtool tsdb create-blocks-from openmetrics -q %s %s/db", path,
             directory);
    struct metrics *m = make_full();
    struct buf page = render(m, &gauges, true);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    struct str rest = str_from(page.p, page.n - 2); /* without the last line feed */
    for (struct str line; str_split(&rest, '\n', &line);) {
        fprintf(file, "%.*s%s\n", STR_ARG(line), line.p[0] == '#' ? "" : " 1700000000");
    }
    assert_int_equal(fclose(file), 0);
    int status = system(command); /* NOLINT(cert-env33-c): a fixed command */
    nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(status, 0);
    buf_fini(&page);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gauges_are_read_at_the_scrape),
        cmocka_unit_test(a_store_of_several_nodes_shows_each_and_counts_those_that_are_down),
        cmocka_unit_test(a_kind_without_elections_stays_at_zero),
        cmocka_unit_test(elections_of_a_flood_of_kinds_count_as_other),
        cmocka_unit_test(labels_from_outside_are_escaped),
        cmocka_unit_test(families_follow_each_other_with_their_samples),
        cmocka_unit_test(openmetrics_spells_bounds_with_a_fraction),
        cmocka_unit_test(promtool_finds_nothing_to_say),
        cmocka_unit_test(prometheus_reads_the_openmetrics_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
