#include "metrics/family.h"

const struct metrics_family metrics_families[METRICS_FAMILY_COUNT] = {
#define METRIC(id, type_, name_, unit_, labels_, help_) \
    [METRICS_ID_##id] = {                               \
        .type = METRICS_##type_,                        \
        .name = (name_),                                \
        .unit = (unit_),                                \
        .labels = (labels_),                            \
        .help = (help_),                                \
    },
#include "metrics/metrics.def"
};

const char *metrics_type_name(enum metrics_type type)
{
    static const char *const names[] = {
        [METRICS_COUNTER] = "counter", [METRICS_GAUGE] = "gauge", [METRICS_HISTOGRAM] = "histogram"};
    return names[type];
}

void metrics_family_head(const struct metrics_family *family, bool openmetrics, struct buf *out)
{
    struct str name = str_of(family->name);
    if (openmetrics && family->type == METRICS_COUNTER) {
        name.n -= strlen("_total");
    }
    buf_format(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", STR_ARG(name), family->help, STR_ARG(name),
               metrics_type_name(family->type));
    if (openmetrics && family->unit[0] != '\0') {
        buf_format(out, "# UNIT %.*s %s\n", STR_ARG(name), family->unit);
    }
}
