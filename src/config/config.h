/*
 * The configuration: one row of config.def a setting, from which the parser, --help, --print-config,
 * docs/configuration.md and the tests follow (spec: config.md). Leaf room: base and libyaml only.
 *
 * A `struct config` is read-only after config_load() and may be read on any thread. A reload makes a second
 * one; config_diff() says what of it can be taken over.
 */
#ifndef EA_CONFIG_CONFIG_H
#define EA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/str.h"

#define CONFIG_MS_US     INT64_C(1000)
#define CONFIG_SECOND_US (1000 * CONFIG_MS_US)
#define CONFIG_HOUR_US   (3600 * CONFIG_SECOND_US)
/* Terms travel as milliseconds in an int32: 24 days is the last whole number of days that fits. */
#define CONFIG_TERM_MAX_US (24 * 24 * CONFIG_HOUR_US)
#define CONFIG_BUCKETS_MAX 32
#define CONFIG_NO_PORT     (-1) /* what `none` means for a port */

enum config_env { CONFIG_PRODUCTION, CONFIG_DEVELOPMENT, CONFIG_TEST, CONFIG_ENV_COUNT };
enum config_sync { CONFIG_SYNC_PROCESS, CONFIG_SYNC_POWER };
enum config_redis_mode { CONFIG_REDIS_SINGLE, CONFIG_REDIS_SHARDING, CONFIG_REDIS_CLUSTER };
enum config_redis_layout { CONFIG_REDIS_FLAT, CONFIG_REDIS_KIND };

/* A list of strings; the config owns them. */
struct config_list {
    char **items;
    size_t n;
};

/* Bounds of a histogram, ascending, in seconds. */
struct config_buckets {
    double *seconds;
    size_t n;
};

/* Text that is never shown. Its own type, so that it can't be printed by mistake. */
struct config_secret {
    char *text;
};

/* The types of config.def as C types. Strings are terminated, UTF-8, without control characters, and the
 * config's. A row without a value is NULL. */
#define CONFIG_C_TEXT      char *
#define CONFIG_C_PATH      char *
#define CONFIG_C_ADDRESS   char * /* "::", "127.0.0.1", "unix:/path" */
#define CONFIG_C_DRIVER    char * /* one of config_io.drivers */
#define CONFIG_C_SECRET    struct config_secret
#define CONFIG_C_LIST      struct config_list
#define CONFIG_C_BUCKETS   struct config_buckets
#define CONFIG_C_COUNT     uint32_t /* `none`, where it is allowed, is 0 */
#define CONFIG_C_PORT      int      /* `none`, where it is allowed, is CONFIG_NO_PORT */
#define CONFIG_C_BOOL      bool
#define CONFIG_C_DURATION  int64_t /* microseconds, a whole number of milliseconds */
#define CONFIG_C_ENUM(tag) enum tag

enum config_setting {
#define SETTING(type, member, ...) CONFIG_SETTING_##member,
#include "config/config.def"
    CONFIG_SETTING_COUNT
};

/* In the order of the rows, which is for readers. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct config {
#define SETTING(type, member, ...) CONFIG_C_##type member;
#include "config/config.def"
    /* Where each value came from ("EA_GRPC_PORT", "agent.yaml:3", "--grpc.port"); NULL: the default. */
    char *origin[CONFIG_SETTING_COUNT];
};

struct config_io {
    char **env; /* "NAME=value", NULL-terminated; NULL: empty */
    int argc;   /* with argv[0] */
    char **argv;
    const char *dotenv; /* path of the .env file; NULL: none is read. A missing one is no error. */
    const char *const
        *drivers;        /* names of the stores of this build, NULL-terminated; NULL: "embedded" alone */
    unsigned processors; /* for the default of `threads`; 0: ask the system */
    /* Called for each warning (unknown EA_ variable); text is printable. NULL: dropped. */
    void (*warn)(void *arg, const char *text);
    void *arg;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_PRINT, CONFIG_CHECK };

/*
 * Reads .env, environment, file and flags, in the order the specification gives, and checks everything. Only
 * the value that wins is checked: a flag can overrule a broken variable. Blocks on file I/O.
 *
 * EA_CONFIG (exit 78) with the source, the name, the value and what would be right; *out is NULL then, and
 * for CONFIG_HELP and CONFIG_VERSION, which look at flags alone. The error says --help only as "--help".
 */
enum err config_load(struct config **out, const struct config_io *io, enum config_action *action,
                     struct error *error) EA_MUST_CHECK;
/* NULL is allowed. */
void config_free(struct config *config);

/* --print-config: YAML that config_load() would read to the same result; secrets are masked. */
void config_print(const struct config *config, struct buf *out);

/* --help. */
void config_help(const char *program, struct buf *out);

/* SIGHUP: which settings differ, and whether they can change while running. Where a value comes from does
 * not matter. */
void config_diff(const struct config *running, const struct config *fresh,
                 void (*row)(void *arg, const char *key, bool reloadable), void *arg);

#endif
