/* Every store on the bench: a row each. */
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "store/memory/memory.h"

#define STORE(name, operations) extern const struct store_ops operations;
#include "store/stores.def"
#undef STORE

/* Stores that are alone with their elections. */
static const struct exclusion kept_alone[] = {
    {"a_tenure_that_servers_keep_goes_on_as_if_nothing_had_happened",
     "after a restart a tenure runs for its full term, since its last extension may not be written (S3)"},
    {NULL, NULL},
};

static const struct exclusion kept_by_servers[] = {
    {"a_tenure_is_back_with_its_full_term",
     "the restart of an agent is nothing to a tenure that servers keep"},
    {NULL, NULL},
};

#define KUBERNETES \
    .ops = &store_kubernetes_ops, .loops = true, .api_server = true, .survives = true, .excluded = kept_alone
#define PLAN(...) (&(const struct servers_plan){__VA_ARGS__})
#define REDIS(n)                                                                                           \
    .ops = &store_redis_ops, .lanes = (n), .loops = true, .survives = true, .lean = true, .late_us = 1000, \
    .excluded = kept_by_servers

static const struct row rows[] = {
    {.name = "memory", .ops = &store_memory_ops, .lanes = 1, .sweep = memory_sweep},
    {.name = "memory-3-lanes", .ops = &store_memory_ops, .lanes = 3, .sweep = memory_sweep},
    {.name = "embedded",
     .ops = &store_embedded_ops,
     .lanes = 1,
     .loops = true,
     .survives = true,
     .excluded = kept_alone},
    {.name = "embedded-3-lanes",
     .ops = &store_embedded_ops,
     .lanes = 3,
     .loops = true,
     .survives = true,
     .excluded = kept_alone},
    {.name = "embedded-power",
     .ops = &store_embedded_ops,
     .lanes = 2,
     .loops = true,
     .survives = true,
     .sync_power = true,
     .excluded = kept_alone},
    {.name = "embedded-no-file", .ops = &store_embedded_ops, .lanes = 2, .loops = true, .path = ":memory:"},
    {.name = "kubernetes", KUBERNETES, .lanes = 1},
    {.name = "kubernetes-3-lanes", KUBERNETES, .lanes = 3},
    {.name = "redis", REDIS(1), .plan = PLAN(.mode = REDIS_SINGLE, .nodes = 3, .each = 1)},
    {.name = "redis-1-node", REDIS(1), .plan = PLAN(.mode = REDIS_SINGLE, .nodes = 1, .each = 1)},
    {.name = "redis-3-lanes", REDIS(3), .plan = PLAN(.mode = REDIS_SINGLE, .nodes = 3, .each = 1)},
    {.name = "redis-before-7",
     REDIS(2),
     .plan = PLAN(.mode = REDIS_SINGLE, .old = true, .nodes = 3, .each = 1)},
    {.name = "redis-kind",
     REDIS(1),
     .plan = PLAN(.mode = REDIS_SINGLE, .layout = REDIS_KIND, .nodes = 3, .each = 1)},
    {.name = "redis-sharding", REDIS(1), .plan = PLAN(.mode = REDIS_SHARDING, .each = 2, .nodes = 3)},
    {.name = "redis-cluster", REDIS(1), .plan = PLAN(.mode = REDIS_CLUSTER, .each = 3, .nodes = 3)},
};

const struct row *row_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}
