/*
 * The configuration: one row of config.def a setting, from which the parser, --help, --print-config,
 * docs/configuration.md and the tests follow (spec: config.md). Leaf room: base and libyaml only.
 */
#ifndef EA_CONFIG_CONFIG_H
#define EA_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* A list of strings; the config owns them. */
struct config_list {
    char **items;
    size_t n;
};

/* The types a row may have, as C types. Durations are microseconds; ports 0..65535; flags are bool. */
/* The values: one member a row of config.def, of the row's type, named by the row. Strings belong to the
 * config. */
struct config;

struct config_io {
    char **env; /* "NAME=value", NULL-terminated */
    int argc;   /* with argv[0] */
    char **argv;
    const char *dotenv; /* path of the .env file; NULL: none is read */
    /* Called for each warning (unknown EA_ variable); text is printable. NULL: dropped. */
    void (*warn)(void *arg, const char *text);
    void *arg;
};

enum config_action { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_PRINT, CONFIG_CHECK };

/* Reads .env, environment, file and flags, in the order the specification gives, and checks everything.
 * EA_CONFIG (exit 78) with the name, the value and what would be right. */
enum err config_load(struct config **out, const struct config_io *io, enum config_action *action,
                     struct error *error) EA_MUST_CHECK;
void config_free(struct config *config);

/* --print-config: YAML that config_load() would read to the same result; secrets are masked. */
void config_print(const struct config *config, struct buf *out);

/* --help. */
void config_help(const char *program, struct buf *out);

/* SIGHUP: which settings differ, and whether they can change while running. */
void config_diff(const struct config *running, const struct config *fresh,
                 void (*row)(void *arg, const char *key, bool reloadable), void *arg);

#endif
