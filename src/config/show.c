#include "config/show.h"

#include <inttypes.h>

#include "base/mem.h"
#include "config/value.h"

#define HELP_COLUMNS 100
#define HELP_INDENT  8

void config_show_default(const struct config_row *row, struct buf *out)
{
    if (row->computed != NULL) {
        buf_add_str(out, str_of(row->computed));
        return;
    }
    buf_add_str(out, str_of(row->fallback));
    for (size_t env = 0; env < CONFIG_ENV_COUNT; env++) {
        if (row->by_env[env] != NULL) {
            buf_format(out, "; %s in %s", row->by_env[env], config_words_env[env].word);
        }
    }
}

/* Plain YAML of these bytes alone means the text itself, unless a word of YAML's is among them. */
static bool is_plain(struct str text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (str_eq_nocase(text, str_of(words[i]))) {
            return false;
        }
    }
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 ? c != '/' : strchr("._-/", c) == NULL)) {
            return false;
        }
    }
    return text.n > 0;
}

/* Three bytes of UTF-8 that YAML's reader refuses, or that it takes for a line break: U+2028, U+2029, U+FEFF,
 * U+FFFE, U+FFFF. */
static bool must_escape(struct str rest)
{
    static const char odd[][4] = {"\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf", "\xef\xbf\xbe",
                                  "\xef\xbf\xbf"};
    for (size_t i = 0; i < ARRAY_LENGTH(odd); i++) {
        if (rest.n >= 3 && memcmp(rest.p, odd[i], 3) == 0) {
            return true;
        }
    }
    return false;
}

void config_show_yaml(struct str text, struct buf *out)
{
    if (is_plain(text)) {
        buf_add_str(out, text);
        return;
    }
    buf_add_str(out, STR("\""));
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char *p = (const unsigned char *)text.p + i;
        if (must_escape(str_from(p, text.n - i))) {
            buf_format(out, "\\u%04X", (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU));
            i += 2;
        } else if (*p == '"' || *p == '\\') {
            buf_format(out, "\\%c", *p);
        } else {
            buf_add(out, p, 1);
        }
    }
    buf_add_str(out, STR("\""));
}

static bool is_text(enum config_type type)
{
    switch (type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_ADDRESS:
    case CONFIG_TYPE_DRIVER:
    case CONFIG_TYPE_SECRET:
        return true;
    default:
        return false;
    }
}

static void print_value(const struct config_row *row, const void *member, struct buf *out)
{
    struct buf text = BUF_EMPTY;
    config_value_print(row, member, &text);
    if (is_text(row->type)) {
        config_show_yaml(buf_str(&text), out);
    } else if (row->type == CONFIG_TYPE_LIST || row->type == CONFIG_TYPE_BUCKETS) {
        struct str rest = buf_str(&text);
        buf_add_str(out, STR("["));
        const char *separator = "";
        for (struct str item; str_split(&rest, ',', &item); separator = ", ") {
            buf_add_str(out, str_of(separator));
            config_show_yaml(item, out);
        }
        buf_add_str(out, STR("]"));
    } else {
        buf_add_str(out, buf_str(&text));
    }
    buf_fini(&text);
}

static bool has_value(const struct config_row *row, const void *member)
{
    switch (row->type) {
    case CONFIG_TYPE_LIST:
        return ((const struct config_list *)member)->n > 0;
    case CONFIG_TYPE_BUCKETS:
        return ((const struct config_buckets *)member)->n > 0;
    case CONFIG_TYPE_SECRET:
        return ((const struct config_secret *)member)->text != NULL;
    default:
        return !is_text(row->type) || *(char *const *)member != NULL;
    }
}

/* As a comment. Only plain ASCII: YAML's reader refuses some characters that a file's name may have. */
static void print_origin(const char *origin, struct buf *out)
{
    if (origin == NULL) {
        return;
    }
    for (const char *p = origin; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~') {
            return;
        }
    }
    buf_format(out, "  # %s", origin);
}

static void indent(struct buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        buf_add_str(out, STR("  "));
    }
}

static bool is_printed(const struct config *config, const struct config_row *row)
{
    return (row->flags & CONFIG_NOT_IN_FILE) == 0 && has_value(row, config_member_const(config, row));
}

/* Rows of one map stand together in config.def only by habit; all are printed where the first one stands. */
static bool is_first_of_map(const struct config *config, size_t index, struct str prefix)
{
    for (size_t i = 0; i < index; i++) {
        if (str_starts(str_of(config_rows[i].key), prefix) && is_printed(config, &config_rows[i])) {
            return false;
        }
    }
    return true;
}

/* Prints the rows whose keys start with `prefix` ("" or "grpc."), from row `start` on, as one map. */
static void print_map(const struct config *config, size_t start, struct str prefix, size_t depth,
                      struct buf *out)
{
    for (size_t i = start; i < CONFIG_SETTING_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        if (!str_starts(str_of(row->key), prefix) || !is_printed(config, row)) {
            continue;
        }
        const char *rest = row->key + prefix.n;
        const char *dot = strchr(rest, '.');
        if (dot != NULL) {
            struct str inner = str_from(row->key, (size_t)(dot - row->key) + 1);
            if (is_first_of_map(config, i, inner)) {
                indent(out, depth);
                buf_add(out, rest, (size_t)(dot - rest));
                buf_add_str(out, STR(":\n"));
                print_map(config, i, inner, depth + 1, out);
            }
            continue;
        }
        indent(out, depth);
        buf_add_str(out, str_of(rest));
        buf_add_str(out, STR(": "));
        print_value(row, config_member_const(config, row), out);
        print_origin(config->origin[i], out);
        buf_add_str(out, STR("\n"));
    }
}

void config_print(const struct config *config, struct buf *out)
{
    print_map(config, 0, STR(""), 0, out);
}

/* Adds words, breaking lines at spaces before HELP_COLUMNS, each line indented. */
static void add_wrapped(struct buf *out, struct str text)
{
    size_t column = 0;
    for (struct str word; str_split(&text, ' ', &word);) {
        if (column > 0 && column + 1 + word.n > HELP_COLUMNS) {
            buf_add_str(out, STR("\n"));
            column = 0;
        }
        if (column == 0) {
            buf_format(out, "%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        } else {
            buf_add_str(out, STR(" "));
            column++;
        }
        buf_add_str(out, word);
        column += word.n;
    }
    buf_add_str(out, STR("\n"));
}

/* What stands behind the "=" of a flag. */
static void help_placeholder(const struct config_row *row, struct buf *out)
{
    if (row->type == CONFIG_TYPE_BOOL) {
        buf_add_str(out, STR("true|false"));
    } else if (row->type == CONFIG_TYPE_ENUM_WORDS) {
        for (const struct config_word *w = row->words; w->word != NULL; w++) {
            buf_format(out, "%s%s", w == row->words ? "" : "|", w->word);
        }
    } else {
        buf_format(out, "<%s>", config_type_name(row->type));
    }
}

/* Whether the placeholder leaves something to say about what may stand there. */
static bool has_bounds(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_COUNT || row->type == CONFIG_TYPE_DURATION ||
           row->type == CONFIG_TYPE_TEXT || row->type == CONFIG_TYPE_BUCKETS ||
           (row->flags & CONFIG_OR_NONE) != 0;
}

static void help_row(const struct config_row *row, struct buf *out)
{
    buf_format(out, "  --%s=", row->key);
    help_placeholder(row, out);
    buf_format(out, "   %s\n", row->variable);
    struct buf text = BUF_EMPTY;
    buf_add_str(&text, str_of(row->help));
    if (has_bounds(row)) {
        buf_add_str(&text, STR(" Takes "));
        config_value_expected(row, &text);
        buf_add_str(&text, STR("."));
    }
    size_t before = text.n;
    buf_add_str(&text, STR(" Default: "));
    size_t start = text.n;
    config_show_default(row, &text);
    if (text.n == start) {
        text.n = before;
    } else {
        buf_add_str(&text, STR("."));
    }
    if ((row->flags & CONFIG_RELOADABLE) != 0) {
        buf_add_str(&text, STR(" SIGHUP reloads it."));
    }
    add_wrapped(out, buf_str(&text));
    buf_fini(&text);
}

void config_help(const char *program, struct buf *out)
{
    buf_format(
        out,
        "Usage: %s [--key=value ...]\n\n"
        "Leader election as a service, over gRPC and HTTP.\n\n"
        "  --help, -h       this text\n"
        "  --version, -V    the version\n"
        "  --check-config   checks the configuration and ends: 0 if it is right, else 78\n"
        "  --print-config   prints the configuration as YAML, secrets masked, and where it comes from\n\n"
        "Each setting is a flag, an environment variable and a key of the YAML file; a flag wins over\n"
        "the file, the file over the environment, the environment over .env in the working directory.\n"
        "Durations are written 300ms, 10s, 5m, 1h; lists are separated by commas.\n",
        program);
    const struct config_group *group = NULL;
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        if (config_group_of(&config_rows[i]) != group) {
            group = config_group_of(&config_rows[i]);
            buf_format(out, "\n%s\n", group->title);
        }
        help_row(&config_rows[i], out);
    }
}

void config_diff(const struct config *running, const struct config *fresh,
                 void (*row)(void *arg, const char *key, bool reloadable), void *arg)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        const struct config_row *r = &config_rows[i];
        /* Another file with the same settings in it changes nothing. */
        if ((r->flags & CONFIG_NOT_IN_FILE) == 0 &&
            !config_value_equal(r, config_member_const(running, r), config_member_const(fresh, r))) {
            row(arg, r->key, (r->flags & CONFIG_RELOADABLE) != 0);
        }
    }
}
