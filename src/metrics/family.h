/*
 * The rows of metrics.def as data, for the page and for the generator of docs/metrics.md.
 */
#ifndef EA_METRICS_FAMILY_H
#define EA_METRICS_FAMILY_H

#include <stdbool.h>

#include "base/buf.h"

enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

enum metrics_id {
#define METRIC(id, ...) METRICS_ID_##id,
#include "metrics/metrics.def"
    METRICS_FAMILY_COUNT
};

struct metrics_family {
    enum metrics_type type;
    const char *name;
    const char *unit;
    const char *labels;
    const char *help;
};

extern const struct metrics_family metrics_families[METRICS_FAMILY_COUNT];

const char *metrics_type_name(enum metrics_type type); /* "counter" */

/* The lines that introduce a family. OpenMetrics names a counter's family without _total, and its unit. */
void metrics_family_head(const struct metrics_family *family, bool openmetrics, struct buf *out);

#endif
