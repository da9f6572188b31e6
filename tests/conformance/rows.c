/* Every store on the bench: a row each. */
#include <string.h>

#include "base/mem.h"
#include "bench.h"
#include "store/memory/memory.h"

#define STORE(name, operations) extern const struct store_ops operations;
#include "store/stores.def"
#undef STORE

#define KUBERNETES .ops = &store_kubernetes_ops, .loops = true, .api_server = true, .survives = true

static const struct row rows[] = {
    {.name = "memory", .ops = &store_memory_ops, .lanes = 1, .sweep = memory_sweep},
    {.name = "memory-3-lanes", .ops = &store_memory_ops, .lanes = 3, .sweep = memory_sweep},
    {.name = "embedded", .ops = &store_embedded_ops, .lanes = 1, .loops = true, .survives = true},
    {.name = "embedded-3-lanes", .ops = &store_embedded_ops, .lanes = 3, .loops = true, .survives = true},
    {.name = "embedded-power",
     .ops = &store_embedded_ops,
     .lanes = 2,
     .loops = true,
     .survives = true,
     .sync_power = true},
    {.name = "embedded-no-file", .ops = &store_embedded_ops, .lanes = 2, .loops = true, .path = ":memory:"},
    {.name = "kubernetes", KUBERNETES, .lanes = 1},
    {.name = "kubernetes-3-lanes", KUBERNETES, .lanes = 3},
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
