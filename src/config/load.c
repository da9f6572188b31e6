/*
 * The sources of the configuration, one after the other; each may overrule what came before:
 *
 *     defaults < .env < environment < YAML file < flags
 *
 * Texts are collected first, with where they came from; only those that win are read as values.
 */
#include "config/config.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/check.h"
#include "config/dotenv.h"
#include "config/file.h"
#include "config/flags.h"
#include "config/row.h"
#include "config/value.h"
#include "config/yaml_flat.h"

#define THREADS_DEFAULT_MAX 8
#define SHOWN_VALUE_BYTES   56
/* "<path>:<line>: <key or variable>" */
#define ORIGIN_BYTES (CONFIG_SHOWN_PATH_BYTES + 80)

/* The best text for a row so far. */
struct given {
    char *text; /* NULL: none; not terminated where the value has a NUL byte of its own */
    size_t n;
    char origin[ORIGIN_BYTES];
};

struct loader {
    const struct config_io *io;
    struct given given[CONFIG_SETTING_COUNT];
    struct given flags[CONFIG_SETTING_COUNT]; /* applied last, but read first */
    const char *file;                         /* of the entries being read, fit to be shown */
    struct given redis_prefix;                /* EA_REDIS_PREFIX, the other name of EA_KEY_PREFIX */
    bool in_cluster;                          /* KUBERNETES_SERVICE_HOST is set */
    enum err failed;                          /* by a callback that returns nothing */
    struct error *error;
};

static void warn(const struct loader *loader, const char *text)
{
    if (loader->io->warn != NULL) {
        loader->io->warn(loader->io->arg, text);
    }
}

static void give(struct given *given, struct str text, const char *origin)
{
    mem_free(given->text);
    given->text = mem_alloc(text.n + 1);
    memcpy(given->text, text.n > 0 ? text.p : "", text.n);
    given->text[text.n] = '\0';
    given->n = text.n;
    snprintf(given->origin, sizeof given->origin, "%s", origin);
}

/* A name this version does not act on. */
static enum err note_later(struct loader *loader, const struct config_later *later, const char *origin,
                           struct error *error)
{
    if (later->protects) {
        return error_set(error, EA_CONFIG,
                         "%s: this version has no TLS and no authentication; it does not run as if it had",
                         origin);
    }
    char text[ORIGIN_BYTES + 64];
    snprintf(text, sizeof text, "%s has no effect in this version", origin);
    warn(loader, text);
    return EA_OK;
}

/* Environment and .env: an empty variable counts as not set. */
static enum err take_variable(struct loader *loader, struct str name, struct str value, const char *origin)
{
    if (value.n == 0) {
        return EA_OK;
    }
    if (str_eq(name, STR("KUBERNETES_SERVICE_HOST"))) {
        loader->in_cluster = true;
        return EA_OK;
    }
    if (!str_starts(name, STR("EA_"))) {
        return EA_OK;
    }
    const struct config_row *row = config_row_by_variable(name);
    if (row != NULL) {
        give(&loader->given[row - config_rows], value, origin);
        return EA_OK;
    }
    if (str_eq(name, STR("EA_REDIS_PREFIX"))) {
        give(&loader->redis_prefix, value, origin);
        return EA_OK;
    }
    const struct config_later *later = config_later_by_variable(name);
    if (later != NULL) {
        return note_later(loader, later, origin, loader->error);
    }
    /* Only a warning: Kubernetes puts variables named after services into every container. */
    char text[ORIGIN_BYTES + 96];
    const char *near = config_suggest_variable(name);
    snprintf(text, sizeof text, "unknown variable %s%s%s%s", origin, near != NULL ? "; did you mean " : "",
             near != NULL ? near : "", near != NULL ? "?" : "");
    warn(loader, text);
    return EA_OK;
}

/* "<file>:<line>: <name>", or the name alone. */
static void make_origin(char out[ORIGIN_BYTES], const char *file, unsigned line, struct str name)
{
    char shown[64];
    str_escape(name, shown, sizeof shown);
    if (file != NULL) {
        snprintf(out, ORIGIN_BYTES, "%s:%u: %s", file, line, shown);
    } else {
        snprintf(out, ORIGIN_BYTES, "%s", shown);
    }
}

static bool is_in_environment(char **env, struct str name)
{
    for (; env != NULL && *env != NULL; env++) {
        struct str s = str_of(*env);
        /* An empty one counts as not set, here as well. */
        if (s.n > name.n + 1 && s.p[name.n] == '=' && memcmp(s.p, name.p, name.n) == 0) {
            return true;
        }
    }
    return false;
}

static void take_dotenv_entry(void *arg, unsigned line, struct str name, struct str value)
{
    struct loader *loader = arg;
    char origin[ORIGIN_BYTES];
    if (loader->failed != EA_OK || is_in_environment(loader->io->env, name)) {
        return;
    }
    make_origin(origin, loader->file, line, name);
    loader->failed = take_variable(loader, name, value, origin);
}

static enum err read_dotenv(struct loader *loader)
{
    if (loader->io->dotenv == NULL) {
        return EA_OK;
    }
    char shown[CONFIG_SHOWN_PATH_BYTES];
    config_file_show(loader->io->dotenv, shown);
    loader->file = shown;
    struct buf text = BUF_EMPTY;
    enum err e = config_file_read(loader->io->dotenv, &text, loader->error);
    if (e == EA_OK) {
        e = dotenv_parse(buf_str(&text), shown, take_dotenv_entry, loader, loader->error);
        if (loader->failed != EA_OK) {
            e = loader->failed;
        }
    } else if (e == EA_NOT_FOUND) {
        e = EA_OK;
    }
    loader->file = NULL;
    buf_fini(&text);
    return e;
}

static enum err read_environment(struct loader *loader)
{
    for (char **env = loader->io->env; env != NULL && *env != NULL; env++) {
        const char *equals = strchr(*env, '=');
        if (equals == NULL) {
            continue;
        }
        char origin[ORIGIN_BYTES];
        struct str name = str_from(*env, (size_t)(equals - *env));
        make_origin(origin, NULL, 0, name);
        enum err e = take_variable(loader, name, str_of(equals + 1), origin);
        if (e != EA_OK) {
            return e;
        }
    }
    return EA_OK;
}

static enum err fail_unknown_key(const char *origin, struct str key, struct error *error)
{
    const char *near = config_suggest_key(key);
    if (near != NULL) {
        return error_set(error, EA_CONFIG, "%s: unknown key; did you mean %s?", origin, near);
    }
    return error_set(error, EA_CONFIG, "%s: unknown key; --help lists all", origin);
}

static enum err take_yaml_entry(void *arg, const struct yaml_entry *entry, struct error *error)
{
    struct loader *loader = arg;
    char origin[ORIGIN_BYTES];
    make_origin(origin, loader->file, entry->line, entry->key);
    const struct config_later *later = config_later_by_key(entry->key);
    if (later != NULL) {
        return note_later(loader, later, origin, error);
    }
    const struct config_row *row = config_row_by_key(entry->key);
    if (row != NULL && (row->flags & CONFIG_NOT_IN_FILE) != 0) {
        return error_set(error, EA_CONFIG, "%s: has no place in the file; use %s or --%s", origin,
                         row->variable, row->key);
    }
    if (row == NULL && config_key_is_group(entry->key)) {
        return entry->kind == YAML_NULL || entry->kind == YAML_EMPTY_MAP
                   ? EA_OK
                   : error_set(error, EA_CONFIG, "%s: expected a map of settings", origin);
    }
    if (row == NULL) {
        return fail_unknown_key(origin, entry->key, error);
    }
    bool takes_list = row->type == CONFIG_TYPE_LIST || row->type == CONFIG_TYPE_BUCKETS;
    if (entry->kind == YAML_EMPTY_MAP || (entry->kind == YAML_LIST && !takes_list)) {
        return error_set(error, EA_CONFIG, "%s: expected one value, not a %s", origin,
                         entry->kind == YAML_LIST ? "list" : "map");
    }
    if (entry->kind != YAML_NULL) {
        give(&loader->given[row - config_rows], entry->value, origin);
    }
    return EA_OK;
}

static const struct given *winner(const struct loader *loader, enum config_setting setting)
{
    return loader->flags[setting].text != NULL ? &loader->flags[setting] : &loader->given[setting];
}

static enum err read_file(struct loader *loader)
{
    const struct given *path = winner(loader, CONFIG_SETTING_config_file);
    if (path->text == NULL) {
        return EA_OK;
    }
    char shown[CONFIG_SHOWN_PATH_BYTES];
    config_file_show(path->text, shown);
    loader->file = shown;
    struct buf text = BUF_EMPTY;
    enum err e = config_file_read(path->text, &text, loader->error);
    if (e == EA_OK) {
        e = yaml_parse_flat(buf_str(&text), shown, take_yaml_entry, loader, loader->error);
    } else {
        error_wrap(loader->error, "%s", path->origin);
        /* A missing file that was asked for is a mistake of the configuration. */
        e = EA_CONFIG;
        if (loader->error != NULL) {
            loader->error->code = e;
        }
    }
    loader->file = NULL;
    buf_fini(&text);
    return e;
}

static void take_flag(void *arg, const struct config_row *row, struct str value)
{
    struct loader *loader = arg;
    char origin[ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "--%s", row->key);
    give(&loader->flags[row - config_rows], value, origin);
}

static enum err take_later_flag(void *arg, const struct config_later *later, struct error *error)
{
    char origin[ORIGIN_BYTES];
    snprintf(origin, sizeof origin, "--%s", later->key);
    return note_later(arg, later, origin, error);
}

static unsigned default_threads(const struct config_io *io)
{
    unsigned n = io->processors;
    cpu_set_t set;
    if (n == 0 && sched_getaffinity(0, sizeof set, &set) == 0) {
        n = (unsigned)CPU_COUNT(&set);
    }
    if (n == 0) {
        n = 1;
    }
    return n > THREADS_DEFAULT_MAX ? THREADS_DEFAULT_MAX : n;
}

/* The one place that knows all defaults. NULL: the setting has no value. `space` holds what is computed. */
static const char *default_text(const struct loader *loader, const struct config_row *row,
                                enum config_env env, char space[16])
{
    if (row->offset == offsetof(struct config, threads)) {
        snprintf(space, 16, "%u", default_threads(loader->io));
        return space;
    }
    if (row->offset == offsetof(struct config, driver)) {
        return winner(loader, CONFIG_SETTING_redis_urls)->text != NULL ? "redis" : row->fallback;
    }
    return row->by_env[env] != NULL ? row->by_env[env] : row->fallback;
}

static enum err resolve(const struct loader *loader, const struct config_row *row, struct config *config)
{
    const struct given *given = winner(loader, (enum config_setting)(row - config_rows));
    char space[16];
    struct str text;
    if (given->text != NULL) {
        text = str_from(given->text, given->n);
    } else {
        text = str_of(default_text(loader, row, config->env, space));
        if (text.p == NULL) {
            return EA_OK;
        }
    }
    enum err e = config_value_parse(row, text, config_member(config, row), loader->error);
    if (e == EA_OK) {
        if (given->text != NULL) {
            config->origin[row - config_rows] = mem_dup(given->origin, strlen(given->origin) + 1);
        }
        return EA_OK;
    }
    if (row->type == CONFIG_TYPE_SECRET || (row->flags & CONFIG_MASKED) != 0) {
        return error_wrap(loader->error, "%s", given->origin);
    }
    char shown[SHOWN_VALUE_BYTES];
    str_escape(text, shown, sizeof shown);
    return error_wrap(loader->error, "%s: \"%s\"", given->text != NULL ? given->origin : row->key, shown);
}

static enum err resolve_all(const struct loader *loader, struct config *config)
{
    /* `env` first: defaults of the others depend on it. */
    const struct config_row *env = &config_rows[CONFIG_SETTING_env];
    enum err e = resolve(loader, env, config);
    for (size_t i = 0; i < CONFIG_SETTING_COUNT && e == EA_OK; i++) {
        if (&config_rows[i] != env) {
            e = resolve(loader, &config_rows[i], config);
        }
    }
    return e;
}

/* Two variables for one setting: which of them is meant can't be guessed. */
static enum err unite_prefixes(struct loader *loader)
{
    const struct given *other = &loader->redis_prefix;
    struct given *prefix = &loader->given[CONFIG_SETTING_key_prefix];
    if (other->text == NULL) {
        return EA_OK;
    }
    if (prefix->text != NULL &&
        !str_eq((struct str){prefix->text, prefix->n}, (struct str){other->text, other->n})) {
        return error_set(loader->error, EA_CONFIG, "%s and %s mean the same and differ: set one of them",
                         prefix->origin, other->origin);
    }
    give(prefix, (struct str){other->text, other->n}, other->origin);
    return EA_OK;
}

static enum err collect(struct loader *loader)
{
    enum err e = read_dotenv(loader);
    if (e == EA_OK) {
        e = read_environment(loader);
    }
    if (e == EA_OK) {
        e = unite_prefixes(loader);
    }
    if (e == EA_OK) {
        e = read_file(loader);
    }
    return e;
}

enum err config_load(struct config **out, const struct config_io *io, enum config_action *action,
                     struct error *error)
{
    struct error words = ERROR_NONE;
    struct loader *loader = mem_zalloc(sizeof *loader);
    loader->io = io;
    loader->error = error != NULL ? error : &words;
    struct config *config = NULL;
    const struct flags_sink sink = {take_flag, take_later_flag, loader};
    enum err e = flags_parse(io->argc, io->argv, &sink, action, loader->error);
    if (e != EA_OK || *action == CONFIG_HELP || *action == CONFIG_VERSION) {
        goto out;
    }
    e = collect(loader);
    if (e != EA_OK) {
        goto out;
    }
    config = mem_zalloc(sizeof *config);
    e = resolve_all(loader, config);
    if (e == EA_OK) {
        e = config_check(config, io, loader->in_cluster, loader->error);
    }
    if (e != EA_OK) {
        config_free(config);
        config = NULL;
    }
out:
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        mem_free(loader->given[i].text);
        mem_free(loader->flags[i].text);
    }
    mem_free(loader->redis_prefix.text);
    mem_free(loader);
    *out = config;
    return e;
}

void config_free(struct config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        config_value_fini(&config_rows[i], config_member(config, &config_rows[i]));
        mem_free(config->origin[i]);
    }
    mem_free(config);
}
