/* One suite, every store: conformance ROW runs it against one row of rows.c. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "bench.h"

#define TESTS_MAX 64 /* of a suite */

static unsigned n_excluded;

static const struct exclusion *exclusion_of(const struct row *row, const char *test)
{
    for (const struct exclusion *e = row->excluded; e != NULL && e->test != NULL; e++) {
        if (strcmp(e->test, test) == 0) {
            return e;
        }
    }
    return NULL;
}

static int run_suite(const struct row *row, const char *what, struct suite suite)
{
    char name[64];
    struct CMUnitTest tests[TESTS_MAX];
    size_t n = 0;
    (void)snprintf(name, sizeof name, "%s: %s", row->name, what);
    for (size_t i = 0; i < suite.n; i++) {
        const struct exclusion *exclusion = exclusion_of(row, suite.tests[i].name);
        if (exclusion == NULL) {
            assert_true(n < TESTS_MAX);
            tests[n++] = suite.tests[i];
        } else {
            n_excluded++;
            (void)printf("not for %s: %s: %s\n", row->name, exclusion->test, exclusion->why);
        }
    }
    (void)fflush(stdout);
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

/* An exclusion of a test that is not there (any more) hides nothing, or the wrong thing. */
static int check_exclusions(const struct row *row)
{
    unsigned n = 0;
    for (const struct exclusion *e = row->excluded; e != NULL && e->test != NULL; e++) {
        n++;
    }
    if (n != n_excluded) {
        (void)fprintf(stderr, "%s: %u tests are excluded, %u were found\n", row->name, n, n_excluded);
    }
    return n != n_excluded;
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
    log_set_level(row->plan != NULL ? LOG_ERROR : LOG_WARNING); /* empty servers are news to the store */
    bench_choose(row);
    int failed = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(suites); i++) {
        failed += run_suite(row, suites[i].what, suites[i].suite());
    }
    failed += row->plan != NULL ? run_suite(row, "servers", suite_servers()) : 0;
    failed += row->survives ? run_suite(row, "restart", suite_restart())
                            : run_suite(row, "restart", suite_forgetful());
    failed += check_exclusions(row);
    bench_dismiss();
    return failed == 0 ? 0 : 1;
}
