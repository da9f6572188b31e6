#include "config/row.h"

#include <stddef.h>

#include "base/mem.h"
#include "config/near.h"

const struct config_word config_words_env[] = {
    {"production", CONFIG_PRODUCTION},
    {"development", CONFIG_DEVELOPMENT},
    {"test", CONFIG_TEST},
    {NULL, 0},
};
const struct config_word config_words_log_level[] = {
    {"debug", LOG_DEBUG},
    {"info", LOG_INFO},
    {"warning", LOG_WARNING},
    {"error", LOG_ERROR},
    {"panic", LOG_PANIC},
    {"fatal", LOG_FATAL},
    {NULL, 0},
};
const struct config_word config_words_log_format[] = {
    {"json", LOG_FORMAT_JSON},
    {"text", LOG_FORMAT_TEXT},
    {NULL, 0},
};
const struct config_word config_words_sync[] = {
    {"process", CONFIG_SYNC_PROCESS},
    {"power", CONFIG_SYNC_POWER},
    {NULL, 0},
};

const struct config_word config_words_redis_mode[] = {
    {"single", CONFIG_REDIS_SINGLE},
    {"sharding", CONFIG_REDIS_SHARDING},
    {"cluster", CONFIG_REDIS_CLUSTER},
    {NULL, 0},
};

const struct config_word config_words_redis_layout[] = {
    {"flat", CONFIG_REDIS_FLAT},
    {"kind", CONFIG_REDIS_KIND},
    {NULL, 0},
};

const struct config_group config_groups[] = {
#define GROUP(title_, text_) {.title = (title_), .text = (text_), .line = __LINE__},
#include "config/config.def"
};
const size_t config_group_count = ARRAY_LENGTH(config_groups);

const struct config_later config_laters[] = {
#define LATER(variable_, key_, protects_) {.variable = (variable_), .key = (key_), .protects = (protects_)},
#include "config/config.def"
};
const size_t config_later_count = ARRAY_LENGTH(config_laters);

const struct config_row config_rows[CONFIG_SETTING_COUNT] = {
#define SETTING(type_, member, variable_, key_, fallback_, help_, ...) \
    {.line = __LINE__,                                                 \
     .type = CONFIG_TYPE_##type_,                                      \
     .offset = offsetof(struct config, member),                        \
     .variable = (variable_),                                          \
     .key = (key_),                                                    \
     .fallback = (fallback_),                                          \
     .help = (help_),                                                  \
     __VA_ARGS__},
#include "config/config.def"
};

const struct config_row *config_row_by_key(struct str key)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (str_eq(key, str_of(config_rows[i].key))) {
            return &config_rows[i];
        }
    }
    return NULL;
}

const struct config_row *config_row_by_variable(struct str variable)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (str_eq(variable, str_of(config_rows[i].variable))) {
            return &config_rows[i];
        }
    }
    return NULL;
}

const struct config_later *config_later_by_key(struct str key)
{
    for (size_t i = 0; i < config_later_count; i++) {
        if (str_eq(key, str_of(config_laters[i].key))) {
            return &config_laters[i];
        }
    }
    return NULL;
}

const struct config_later *config_later_by_variable(struct str variable)
{
    for (size_t i = 0; i < config_later_count; i++) {
        if (str_eq(variable, str_of(config_laters[i].variable))) {
            return &config_laters[i];
        }
    }
    return NULL;
}

const struct config_group *config_group_of(const struct config_row *row)
{
    const struct config_group *group = &config_groups[0];
    for (size_t i = 0; i < config_group_count && config_groups[i].line < row->line; i++) {
        group = &config_groups[i];
    }
    return group;
}

static bool is_inside(const char *key, struct str prefix)
{
    struct str whole = str_of(key);
    return whole.n > prefix.n + 1 && str_starts(whole, prefix) && whole.p[prefix.n] == '.';
}

bool config_key_is_group(struct str prefix)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (is_inside(config_rows[i].key, prefix)) {
            return true;
        }
    }
    for (size_t i = 0; i < config_later_count; i++) {
        if (is_inside(config_laters[i].key, prefix)) {
            return true;
        }
    }
    return false;
}

const char *config_suggest_key(struct str key)
{
    struct near near = {.wanted = key};
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        near_try(&near, config_rows[i].key);
    }
    return near.word;
}

const char *config_suggest_variable(struct str variable)
{
    struct near near = {.wanted = variable};
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        near_try(&near, config_rows[i].variable);
    }
    return near.word;
}
