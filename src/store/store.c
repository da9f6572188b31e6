/* The table of stores: see store.h. */
#include "store/store.h"

#include "base/buf.h"
#include "base/mem.h"

#define STORE(name, operations) extern const struct store_ops operations;
#include "store/stores.def"
#undef STORE

static const struct {
    const char *name;
    const struct store_ops *ops;
} stores[] = {
#define STORE(name, operations) {#name, &operations},
#include "store/stores.def"
#undef STORE
};

enum err store_open(struct store **out, const struct store_options *options, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(stores); i++) {
        if (str_eq(str_of(stores[i].name), str_of(options->driver))) {
            return stores[i].ops->open(out, options, error);
        }
    }
    char driver[64];
    struct buf names = BUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(stores); i++) {
        buf_format(&names, "%s%s", i > 0 ? ", " : "", stores[i].name);
    }
    (void)str_escape(str_of(options->driver), driver, sizeof driver);
    enum err err = error_set(error, EA_CONFIG, "there is no store named \"%s\"; there are: %.*s", driver,
                             STR_ARG(buf_str(&names)));
    buf_fini(&names);
    return err;
}
