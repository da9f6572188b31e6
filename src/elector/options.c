#include "elector/options.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "config/near.h"

#define VARIABLE_BYTES 64
#define SHOWN_BYTES    80
#define DURATION_LEAST INT64_C(2)
#define DURATION_MOST  INT64_C(3600)
#define SECOND_US      INT64_C(1000000)

enum type { TEXT, NAME, ADDRESS, SECONDS, STRATEGY, BACKEND, LOG_FORMAT, LOG_LEVEL };

struct row {
    enum type type;
    size_t offset;
    const char *flag;
    const char *fallback;
    const char *argument;
    const char *help;
};

static const struct row rows[] = {
#define O(type, member, flag, fallback, argument, help) \
    {type, offsetof(struct options, member), flag, fallback, argument, help},
#include "elector/options.def"
#undef O
};

static void variable_of(const struct row *row, char out[VARIABLE_BYTES])
{
    int n = snprintf(out, VARIABLE_BYTES, "ELECTOR_%s", row->flag);
    assert(n > 0 && n < VARIABLE_BYTES);
    for (char *p = out; *p != '\0'; p++) {
        *p = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    }
}

/* The last of several counts, as with every other program. */
static const char *look_up(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; env != NULL && env[i] != NULL; i++) {
        if (strncmp(env[i], name, n) == 0 && env[i][n] == '=') {
            return env[i] + n + 1;
        }
    }
    return NULL;
}

/* --- values --- */

/* Where a value came from, for messages. */
struct source {
    const char *name; /* "--http" or "ELECTOR_HTTP" */
    const char *value;
};

static enum err bad_value(struct error *error, const struct source *source, const char *right)
{
    char shown[SHOWN_BYTES];
    str_escape(str_of(source->value), shown, sizeof shown);
    return error_set(error, EA_CONFIG, "%s=\"%s\": %s", source->name, shown, right);
}

static enum err read_text(char *out, size_t cap, const struct source *source, struct error *error)
{
    struct str text = str_of(source->value);
    if (text.n >= cap || !str_is_utf8(text) || str_has_control(text)) {
        return bad_value(error, source, "not a text without control characters of reasonable length");
    }
    memcpy(out, text.p, text.n + 1);
    return EA_OK;
}

static bool is_name_char(char c, bool inner)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (inner && (c == '-' || c == '.'));
}

/* The API server would refuse it later, and far from here. */
static enum err read_name(char *out, const struct source *source, struct error *error)
{
    struct str name = str_of(source->value);
    bool good = name.n > 0 && name.n < OPTIONS_NAME_BYTES;
    for (size_t i = 0; good && i < name.n; i++) {
        bool inner = i > 0 && i + 1 < name.n && name.p[i - 1] != '.' && name.p[i + 1] != '.';
        good = is_name_char(name.p[i], inner || (name.p[i] == '-' && i > 0 && i + 1 < name.n &&
                                                 name.p[i - 1] != '.' && name.p[i + 1] != '.'));
    }
    if (!good) {
        return bad_value(
            error, source,
            "a name in Kubernetes is 1 to 253 lower-case letters, digits, '-' and '.', and begins and "
            "ends with a letter or digit");
    }
    memcpy(out, name.p, name.n + 1);
    return EA_OK;
}

static enum err read_address(struct address *out, const struct source *source, struct error *error)
{
    struct str text = str_of(source->value);
    const char *colon = strrchr(source->value, ':');
    uint64_t port = 0;
    if (str_starts(text, STR("unix:/")) && text.n < sizeof out->host) {
        memcpy(out->host, text.p, text.n + 1);
        out->port = 0;
        return EA_OK;
    }
    if (colon == NULL || !str_to_u64(str_of(colon + 1), &port) || port > UINT16_MAX) {
        return bad_value(error, source,
                         "want host:port with a port from 0 to 65535, such as 0.0.0.0:6060 or [::]:6060");
    }
    struct str host = str_from(text.p, (size_t)(colon - text.p));
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = str_from(host.p + 1, host.n - 2);
    } else if (host.n > 0 && memchr(host.p, ':', host.n) != NULL) {
        return bad_value(error, source, "an IPv6 address stands in brackets, such as [::]:6060");
    }
    host = host.n > 0 ? host : STR("::");
    if (host.n >= sizeof out->host) {
        return bad_value(error, source, "the host is too long");
    }
    memcpy(out->host, host.p, host.n);
    out->host[host.n] = '\0';
    out->port = (uint16_t)port;
    return EA_OK;
}

static enum err read_seconds(int64_t *out, const struct source *source, struct error *error)
{
    int64_t us;
    if (!str_to_duration_us(str_of(source->value), &us) || us % SECOND_US != 0 ||
        us < DURATION_LEAST * SECOND_US || us > DURATION_MOST * SECOND_US) {
        return bad_value(error, source, "want whole seconds from 2s to 1h, such as 15s");
    }
    *out = us;
    return EA_OK;
}

static enum err read_word(int *out, const char *first, const char *second, const struct source *source,
                          struct error *error)
{
    bool is_second = strcmp(source->value, second) == 0;
    if (!is_second && strcmp(source->value, first) != 0) {
        char right[SHOWN_BYTES];
        snprintf(right, sizeof right, "want %s or %s", first, second);
        return bad_value(error, source, right);
    }
    *out = is_second;
    return EA_OK;
}

static enum err read_value(struct options *options, const struct row *row, const struct source *source,
                           struct error *error)
{
    void *member = (char *)options + row->offset;
    int word = 0;
    enum err err = EA_OK;
    switch (row->type) {
    case TEXT:
        return read_text(member, OPTIONS_TEXT_BYTES, source, error);
    case NAME:
        return read_name(member, source, error);
    case ADDRESS:
        return read_address(member, source, error);
    case SECONDS:
        return read_seconds(member, source, error);
    case STRATEGY:
        err = read_word(&word, "owner", "renew", source, error);
        *(enum contest_strategy *)member = word ? CONTEST_RENEW : CONTEST_OWNER;
        return err;
    case BACKEND:
        err = read_word(&word, "kubernetes", "agent", source, error);
        *(enum backend *)member = word ? BACKEND_AGENT : BACKEND_KUBERNETES;
        return err;
    case LOG_FORMAT:
        err = read_word(&word, "text", "json", source, error);
        *(enum log_format *)member = word ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT;
        return err;
    case LOG_LEVEL:
        return log_level_parse(str_of(source->value), member)
                   ? EA_OK
                   : bad_value(error, source, "want debug, info, warning, error, panic or fatal");
    }
    return EA_OK;
}

/* --- flags --- */

static const struct row *find_flag(struct str name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if (str_eq(name, str_of(rows[i].flag))) {
            return &rows[i];
        }
    }
    return NULL;
}

static enum err unknown_flag(struct error *error, struct str name)
{
    char shown[SHOWN_BYTES];
    str_escape(name, shown, sizeof shown);
    struct near near = {.wanted = name};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        near_try(&near, rows[i].flag);
    }
    return near.word != NULL
               ? error_set(error, EA_CONFIG, "--%s: no such flag; did you mean --%s?", shown, near.word)
               : error_set(error, EA_CONFIG, "--%s: no such flag; --help lists them", shown);
}

/* Fills given[row] with the flags' values. */
static enum err read_flags(const char **given, int argc, char *const *argv, enum options_action *action,
                           struct error *error)
{
    for (int i = 1; i < argc; i++) {
        struct str word = str_of(argv[i]);
        if (str_eq(word, STR("--help")) || str_eq(word, STR("-h"))) {
            *action = OPTIONS_HELP;
            return EA_OK;
        }
        if (str_eq(word, STR("--version"))) {
            *action = OPTIONS_VERSION;
            return EA_OK;
        }
        if (!str_starts(word, STR("--"))) {
            return error_set_str(error, EA_CONFIG, "flags begin with --, which this does not", word);
        }
        const char *equals = strchr(argv[i], '=');
        struct str name = str_from(word.p + 2, equals != NULL ? (size_t)(equals - word.p) - 2 : word.n - 2);
        const struct row *row = find_flag(name);
        if (row == NULL) {
            return unknown_flag(error, name);
        }
        if (equals == NULL && i + 1 == argc) {
            return error_set(error, EA_CONFIG, "--%s wants a value: --%s=%s", row->flag, row->flag,
                             row->argument);
        }
        given[row - rows] = equals != NULL ? equals + 1 : argv[++i];
    }
    return EA_OK;
}

/* --- all together --- */

static enum err default_pod_name(struct options *options, char *const *env, struct error *error)
{
    const char *name = look_up(env, "POD_NAME");
    if (name != NULL && name[0] != '\0') {
        return read_name(options->pod_name, &(struct source){"POD_NAME", name}, error);
    }
    char host[OPTIONS_NAME_BYTES];
    if (gethostname(host, sizeof host) != 0) {
        return error_set(error, EA_CONFIG,
                         "--pod-name is not given, and the host has no name of at most %d bytes",
                         OPTIONS_NAME_BYTES - 1);
    }
    host[sizeof host - 1] = '\0';
    return read_name(options->pod_name, &(struct source){"the host name", host}, error);
}

static enum err check_together(const struct options *options, struct error *error)
{
    if (options->backend == BACKEND_AGENT) {
        return error_set(
            error, EA_CONFIG,
            "--backend=agent: this version elects in Kubernetes only; want --backend=kubernetes");
    }
    if (options->agent[0] != '\0') {
        return error_set(error, EA_CONFIG,
                         "--agent belongs to --backend=agent, and this version elects in Kubernetes only");
    }
    if (options->election[0] == '\0' || options->election_namespace[0] == '\0') {
        const char *flag = options->election[0] == '\0' ? "election" : "election-namespace";
        return error_set(error, EA_CONFIG, "--%s=NAME (or its variable) is required; --help says more", flag);
    }
    bool health = options->health_url[0] != '\0' || options->health_file[0] != '\0';
    if (health && options->strategy == CONTEST_OWNER) {
        return error_set(error, EA_CONFIG,
                         "--health-url and --health-file belong to --strategy=renew: an owner leads until "
                         "its pod is deleted");
    }
    if (options->health_url[0] != '\0' && !str_starts(str_of(options->health_url), STR("http://"))) {
        return error_set(error, EA_CONFIG,
                         "--health-url begins with http://, such as http://127.0.0.1:8080/healthz");
    }
    return EA_OK;
}

enum err options_read(struct options *options, int argc, char *const *argv, char *const *env,
                      enum options_action *action, struct error *error)
{
    const char *given[ARRAY_LENGTH(rows)] = {NULL};
    *options = (struct options){.election = ""};
    *action = OPTIONS_RUN;
    enum err err = read_flags(given, argc, argv, action, error);
    if (err != EA_OK || *action != OPTIONS_RUN) {
        return err;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char variable[VARIABLE_BYTES];
        char flag[VARIABLE_BYTES];
        variable_of(&rows[i], variable);
        snprintf(flag, sizeof flag, "--%s", rows[i].flag);
        const char *set = look_up(env, variable);
        set = set != NULL && set[0] == '\0' ? NULL : set; /* manifests write "" for "not set" */
        struct source source = {given[i] != NULL ? flag : variable, given[i] != NULL ? given[i] : set};
        source.value = source.value != NULL ? source.value : rows[i].fallback;
        if (source.value != NULL) {
            err = read_value(options, &rows[i], &source, error);
        }
        if (err != EA_OK) {
            return err;
        }
    }
    err = check_together(options, error);
    if (err == EA_OK && options->pod_name[0] == '\0') {
        err = default_pod_name(options, env, error);
    }
    return err;
}

void options_help(struct buf *out)
{
    buf_format(
        out,
        "elector takes part in one election for the pod it runs in, and answers on localhost who leads.\n\n"
        "    elector --election=NAME --election-namespace=NAME [FLAG...]\n\n");
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char variable[VARIABLE_BYTES];
        variable_of(&rows[i], variable);
        buf_format(out, "  --%s=%s\n      %s", rows[i].flag, rows[i].argument, rows[i].help);
        if (rows[i].fallback != NULL) {
            buf_format(out, " (default: %s)", rows[i].fallback);
        }
        buf_format(out, "\n      %s\n", variable);
    }
    buf_format(out, "  --help, --version\n\nA flag wins over its variable.\n");
}
