#include "support.h"

#include <stdio.h>
#include <string.h>

struct metrics *make_metrics(unsigned lanes)
{
    static const double buckets[] = {0.001, 0.0025, 1.0};
    return metrics_new(&(const struct metrics_options){
        .lanes = lanes,
        .agent = STR("a"),
        .buckets = buckets,
        .n_buckets = 3,
        .started = {1000500000},
        .version = "1.2",
        .commit = "abc",
    });
}

struct buf render(struct metrics *metrics, const struct metrics_gauges *gauges, bool openmetrics)
{
    struct buf page = BUF_EMPTY;
    metrics_render(metrics, gauges, openmetrics, &page);
    buf_add(&page, "", 1);
    return page;
}

const char *value_of(const struct buf *page, const char *sample)
{
    static char value[64];
    size_t n = strlen(sample);
    struct str rest = str_of(page->p);
    for (struct str line; str_split(&rest, '\n', &line);) {
        if (line.n > n + 1 && memcmp(line.p, sample, n) == 0 && line.p[n] == ' ') {
            snprintf(value, sizeof value, "%.*s", (int)(line.n - n - 1), line.p + n + 1);
            return value;
        }
    }
    return NULL;
}
