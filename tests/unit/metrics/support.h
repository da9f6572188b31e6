/*
 * What the tests of metrics share: a small set of metrics, and looking things up on the page.
 */
#ifndef EA_TESTS_METRICS_SUPPORT_H
#define EA_TESTS_METRICS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above. */
#include <cmocka.h>

#include "metrics/metrics.h"

/* Agent "a", buckets 1 ms, 2.5 ms, 1 s, started at 1000.5 s, version "1.2", commit "abc". */
struct metrics *make_metrics(unsigned lanes);

/* The page, terminated; to be given to buf_fini(). */
struct buf render(struct metrics *metrics, const struct metrics_gauges *gauges, bool openmetrics);

/* The value behind "<sample> " at the start of a line; NULL: there is no such line. In static memory. */
const char *value_of(const struct buf *page, const char *sample);

#define assert_sample(page, sample, value)                      \
    do {                                                        \
        const char *found_ = value_of(page, sample);            \
        if (found_ == NULL) {                                   \
            fail_msg("no sample %s in\n%s", sample, (page)->p); \
        } else {                                                \
            assert_string_equal(found_, value);                 \
        }                                                       \
    } while (0)

#endif
