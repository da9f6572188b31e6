/* One suite, every store: conformance ROW runs it against one row of rows.c. */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "bench.h"

static int run_suite(const struct row *row, const char *what, struct suite suite)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%s: %s", row->name, what);
    return _cmocka_run_group_tests(name, suite.tests, suite.n, NULL, NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *what;
        struct suite (*suite)(void);
    } suites[] = {
        {"campaign", suite_campaign}, {"extend", suite_extend}, {"resign", suite_resign},
        {"handover", suite_handover}, {"reads", suite_reads},   {"events", suite_events},
        {"limits", suite_limits},     {"lanes", suite_lanes},
    };
    const struct row *row = argc == 2 ? row_find(argv[1]) : NULL;
    if (row == NULL) {
        (void)fprintf(stderr, "usage: conformance ROW (see rows.c)\n");
        return 2;
    }
    log_set_level(LOG_WARNING);
    bench_choose(row);
    int failed = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(suites); i++) {
        failed += run_suite(row, suites[i].what, suites[i].suite());
    }
    failed += row->survives ? run_suite(row, "restart", suite_restart())
                            : run_suite(row, "restart", suite_forgetful());
    bench_dismiss();
    return failed == 0 ? 0 : 1;
}
