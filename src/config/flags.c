#include "config/flags.h"

#include "config/value.h"

/* Longer than every key; longer flags are unknown. */
#define KEY_BYTES_MAX 64
#define SHOWN_BYTES   64

static const struct {
    const char *text;
    enum config_action action;
} actions[] = {
    {"--help", CONFIG_HELP},          {"-h", CONFIG_HELP},
    {"--version", CONFIG_VERSION},    {"-V", CONFIG_VERSION},
    {"--print-config", CONFIG_PRINT}, {"--check-config", CONFIG_CHECK},
};

/* CONFIG_RUN when the argument asks for no action. */
static enum config_action action_of(const char *argument)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(argument, actions[i].text) == 0) {
            return actions[i].action;
        }
    }
    return CONFIG_RUN;
}

static enum err fail_unknown(struct str name, struct error *error)
{
    char shown[SHOWN_BYTES];
    str_escape(name, shown, sizeof shown);
    const char *near = config_suggest_key(name);
    if (near != NULL) {
        return error_set(error, EA_CONFIG, "unknown flag --%s; did you mean --%s?", shown, near);
    }
    return error_set(error, EA_CONFIG, "unknown flag --%s; --help lists all", shown);
}

static struct str normalise(struct str name, char out[KEY_BYTES_MAX])
{
    if (name.n > KEY_BYTES_MAX) {
        return STR("");
    }
    for (size_t i = 0; i < name.n; i++) {
        out[i] = name.p[i] == '-' ? '_' : name.p[i];
    }
    return str_from(out, name.n);
}

/* argv[*at] is a flag; moves *at behind what belongs to it. */
static enum err parse_flag(int argc, char **argv, int *at, const struct flags_sink *sink, struct error *error)
{
    struct str name = str_of(argv[(*at)++] + 2);
    struct str value = {NULL, 0};
    const char *equals = memchr(name.p, '=', name.n);
    if (equals != NULL) {
        size_t n = (size_t)(equals - name.p);
        value = str_from(equals + 1, name.n - n - 1);
        name.n = n;
    }
    char key_bytes[KEY_BYTES_MAX];
    struct str key = normalise(name, key_bytes);
    const struct config_row *row = config_row_by_key(key);
    const struct config_later *later = config_later_by_key(key);
    if (row == NULL && later == NULL) {
        return fail_unknown(name, error);
    }
    if (value.p == NULL) {
        if (*at < argc && strncmp(argv[*at], "--", 2) != 0) {
            value = str_of(argv[(*at)++]);
        } else if (row != NULL && row->type == CONFIG_TYPE_BOOL) {
            value = STR("true");
        } else {
            return error_set(error, EA_CONFIG, "--%s: a value is missing: --%s=<value>",
                             row ? row->key : later->key, row ? row->key : later->key);
        }
    }
    if (row == NULL) {
        return sink->later(sink->arg, later, error);
    }
    sink->setting(sink->arg, row, value);
    return EA_OK;
}

enum err flags_parse(int argc, char **argv, const struct flags_sink *sink, enum config_action *action,
                     struct error *error)
{
    *action = CONFIG_RUN;
    for (int i = 1; i < argc; i++) {
        enum config_action wanted = action_of(argv[i]);
        if (wanted == CONFIG_HELP || wanted == CONFIG_VERSION) {
            *action = wanted;
            return EA_OK;
        }
    }
    for (int i = 1; i < argc;) {
        enum config_action wanted = action_of(argv[i]);
        if (wanted != CONFIG_RUN) {
            /* --print-config checks, too, so it wins over --check-config. */
            *action = *action == CONFIG_PRINT ? CONFIG_PRINT : wanted;
            i++;
            continue;
        }
        if (strncmp(argv[i], "--", 2) != 0 || argv[i][2] == '\0') {
            char shown[SHOWN_BYTES];
            str_escape(str_of(argv[i]), shown, sizeof shown);
            return error_set(error, EA_CONFIG, "unexpected argument \"%s\": a flag is --key=value", shown);
        }
        enum err e = parse_flag(argc, argv, &i, sink, error);
        if (e != EA_OK) {
            return e;
        }
    }
    return EA_OK;
}
