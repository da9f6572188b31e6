#include "support.h"

#include <string.h>

#include "metrics/family.h"

static bool ends_in(const char *text, const char *end)
{
    return str_ends(str_of(text), str_of(end));
}

static void names_follow_the_rules_of_prometheus(void **state)
{
    for (size_t i = 0; i < METRICS_FAMILY_COUNT; i++) {
        const struct metrics_family *f = &metrics_families[i];
        assert_int_equal(strspn(f->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(f->name));
        assert_true(str_starts(str_of(f->name), STR("election_agent_")) ||
                    str_starts(str_of(f->name), STR("process_")));
        assert_int_equal(ends_in(f->name, "_total"), f->type == METRICS_COUNTER);
        if (f->unit[0] != '\0') {
            assert_non_null(strstr(f->name, f->unit));
        }
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(f->name, metrics_families[k].name);
        }
    }
}

static void helps_are_sentences_that_need_no_escapes(void **state)
{
    for (size_t i = 0; i < METRICS_FAMILY_COUNT; i++) {
        const char *help = metrics_families[i].help;
        assert_int_equal(help[strlen(help) - 1], '.');
        assert_null(strpbrk(help, "\\\"\n"));
    }
}

static void check_head(enum metrics_id id, bool openmetrics, const char *words)
{
    struct buf out = BUF_EMPTY;
    metrics_family_head(&metrics_families[id], openmetrics, &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, words);
    buf_fini(&out);
}

static void heads_differ_between_the_formats(void **state)
{
    check_head(METRICS_ID_process_cpu, false,
               "# HELP process_cpu_seconds_total Processor time used, user and system.\n"
               "# TYPE process_cpu_seconds_total counter\n");
    check_head(METRICS_ID_process_cpu, true,
               "# HELP process_cpu_seconds Processor time used, user and system.\n"
               "# TYPE process_cpu_seconds counter\n"
               "# UNIT process_cpu_seconds seconds\n");
    check_head(METRICS_ID_process_open_fds, true,
               "# HELP process_open_fds File descriptors open.\n"
               "# TYPE process_open_fds gauge\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_follow_the_rules_of_prometheus),
        cmocka_unit_test(helps_are_sentences_that_need_no_escapes),
        cmocka_unit_test(heads_differ_between_the_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
