/*
 * The rows of config.def as data, for the code of this room and for the generator of docs/configuration.md.
 */
#ifndef EA_CONFIG_ROW_H
#define EA_CONFIG_ROW_H

#include "config/config.h"

enum config_type {
    CONFIG_TYPE_TEXT,
    CONFIG_TYPE_PATH,
    CONFIG_TYPE_ADDRESS,
    CONFIG_TYPE_DRIVER,
    CONFIG_TYPE_SECRET,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_BUCKETS,
    CONFIG_TYPE_COUNT,
    CONFIG_TYPE_PORT,
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_DURATION,
    CONFIG_TYPE_ENUM_WORDS,
};
#define CONFIG_TYPE_ENUM(tag) CONFIG_TYPE_ENUM_WORDS

enum {
    CONFIG_RELOADABLE = 1,  /* may change on SIGHUP */
    CONFIG_OR_NONE = 2,     /* `none` is a value */
    CONFIG_NOT_IN_FILE = 4, /* no YAML key; not part of --print-config */
    CONFIG_MASKED = 8,      /* URLs: their passwords are never shown */
};

struct config_word {
    const char *word;
    int value;
};

extern const struct config_word config_words_env[]; /* ends with .word NULL; the others too */
extern const struct config_word config_words_log_level[];
extern const struct config_word config_words_log_format[];
extern const struct config_word config_words_sync[];
extern const struct config_word config_words_redis_mode[];
extern const struct config_word config_words_redis_layout[];

struct config_row {
    int line; /* in config.def; a row belongs to the last group above it */
    enum config_type type;
    unsigned flags;
    size_t offset; /* in struct config */
    const char *variable;
    const char *key;
    const char *fallback;                 /* default; NULL: none, or see computed */
    const char *by_env[CONFIG_ENV_COUNT]; /* default in this env, where it differs */
    const char *computed;                 /* words for a default that config_load() works out */
    const char *help;
    int64_t low; /* numbers and durations (us): bounds. Texts: high is the most bytes. Lists: items. */
    int64_t high;
    const struct config_word *words;
};

struct config_group {
    const char *title;
    const char *text;
    int line; /* in config.def */
};

struct config_later {
    const char *variable;
    const char *key;
    bool protects; /* ignoring it would leave open what somebody wanted locked */
};

extern const struct config_row config_rows[CONFIG_SETTING_COUNT];
extern const struct config_group config_groups[];
extern const size_t config_group_count;
extern const struct config_later config_laters[];
extern const size_t config_later_count;

/* The row's member of config. */
static inline void *config_member(struct config *config, const struct config_row *row)
{
    return (char *)config + row->offset;
}

static inline const void *config_member_const(const struct config *config, const struct config_row *row)
{
    return (const char *)config + row->offset;
}

/* NULL when there is none. */
const struct config_row *config_row_by_key(struct str key);
const struct config_row *config_row_by_variable(struct str variable);
const struct config_later *config_later_by_key(struct str key);
const struct config_later *config_later_by_variable(struct str variable);
const struct config_group *config_group_of(const struct config_row *row);

/* Whether `prefix` is a map that has settings in it ("grpc", "redis.tls"). */
bool config_key_is_group(struct str prefix);

/* The known name nearest to a misspelt one; NULL when none is near. */
const char *config_suggest_key(struct str key);
const char *config_suggest_variable(struct str variable);

#endif
