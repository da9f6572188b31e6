#include "config/dotenv.h"

#include "base/buf.h"

static bool is_name_byte(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_byte(s.p[i], i == 0)) {
            return false;
        }
    }
    return s.n > 0;
}

static struct str skip(struct str s, size_t n)
{
    return str_from(s.p + n, s.n - n);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The end of an unquoted value: a '#' behind a space starts a comment. */
static struct str cut_comment(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '#' && (i == 0 || is_space(s.p[i - 1]))) {
            return str_trim(str_from(s.p, i));
        }
    }
    return str_trim(s);
}

static char unescape(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/* `s` starts with a quote. The words of what is wrong, or NULL and the value in *out. */
static const char *read_quoted(struct str s, struct buf *out)
{
    char quote = s.p[0];
    size_t i = 1;
    for (; i < s.n && s.p[i] != quote; i++) {
        char c = s.p[i];
        if (quote == '"' && c == '\\' && i + 1 < s.n) {
            i++;
            c = s.p[i];
            if (strchr("nrt\"\\$'", c) == NULL || c == '\0') {
                return "an escape that is none of \\n \\r \\t \\\" \\\\ \\$";
            }
            c = unescape(c);
        }
        buf_add(out, &c, 1);
    }
    if (i == s.n) {
        return "a quote that is not closed on its line";
    }
    struct str rest = str_trim(skip(s, i + 1));
    if (rest.n > 0 && rest.p[0] != '#') {
        return "text behind the closing quote";
    }
    return NULL;
}

/* The words of what is wrong with the line, or NULL. */
static const char *parse_line(struct str line, unsigned number, dotenv_entry entry, void *arg)
{
    line = str_trim(line);
    if (line.n == 0 || line.p[0] == '#') {
        return NULL;
    }
    if (memchr(line.p, '\0', line.n) != NULL) {
        return "a NUL byte";
    }
    if (str_starts(line, STR("export ")) || str_starts(line, STR("export\t"))) {
        line = str_trim(skip(line, 7));
    }
    const char *equals = memchr(line.p, '=', line.n);
    if (equals == NULL) {
        return "no \"=\": a line is NAME=value";
    }
    size_t at = (size_t)(equals - line.p);
    struct str name = str_trim(str_from(line.p, at));
    if (!is_name(name)) {
        return "a name that is not of letters, digits and _";
    }
    struct str value = str_trim(skip(line, at + 1));
    if (value.n == 0 || (value.p[0] != '"' && value.p[0] != '\'')) {
        entry(arg, number, name, cut_comment(value));
        return NULL;
    }
    struct buf text = BUF_EMPTY;
    const char *wrong = read_quoted(value, &text);
    if (wrong == NULL) {
        entry(arg, number, name, buf_str(&text));
    }
    buf_fini(&text);
    return wrong;
}

enum err dotenv_parse(struct str text, const char *file, dotenv_entry entry, void *arg, struct error *error)
{
    if (str_starts(text, STR("\xef\xbb\xbf"))) {
        text = skip(text, 3); /* a byte order mark, as editors of Windows write it */
    }
    unsigned number = 0;
    for (struct str line; str_split(&text, '\n', &line);) {
        number++;
        const char *wrong = parse_line(line, number, entry, arg);
        if (wrong != NULL) {
            return error_set(error, EA_CONFIG, "%s:%u: %s", file, number, wrong);
        }
    }
    return EA_OK;
}
