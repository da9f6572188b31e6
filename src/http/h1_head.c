/*
 * Where we are stricter than llhttp 8 in its strict mode, because some other server or proxy reads each of
 * these differently, and from such differences request smuggling is made (RFC 9112, 11.2):
 *
 *     several spaces in the request line; RTSP/1.1 and HTTP/0.9 request lines; a fragment in the target;
 *     an empty field name; transfer codings before "chunked"
 *
 * (h1_scan.c holds the rest: bare LF, folded lines.)
 */
#include "http/h1_head.h"

#include "http/h1_scan.h"

/* While the fields come in. */
struct fields {
    struct str *header;
    struct arena *arena;
    struct str host;
    struct str expect;
    struct str coding;
    size_t joined; /* bytes of the arena that lists have taken */
    bool two_hosts;
};

/* --- fields --- */

#define NAME_BYTES_MAX 24
/* Each field that is added to a list copies the list. */
#define JOINED_BYTES_MAX ((size_t)16 * 1024)

/* RFC 9110, 5.3: fields of one name are one list. */
static enum h1_fault join(struct fields *fields, struct str *list, struct str value)
{
    if (list->p == NULL) {
        *list = value;
        return H1_FINE;
    }
    fields->joined += list->n + 2 + value.n;
    if (fields->joined > JOINED_BYTES_MAX) {
        return H1_LISTS_TOO_LARGE;
    }
    char *joined = arena_alloc(fields->arena, list->n + 2 + value.n);
    memcpy(joined, list->p, list->n);
    joined[list->n] = ',';
    joined[list->n + 1] = ' ';
    if (value.n > 0) {
        memcpy(joined + list->n + 2, value.p, value.n);
    }
    *list = str_from(joined, list->n + 2 + value.n);
    return H1_FINE;
}

static enum h1_fault take_field(void *user, struct str name, struct str value)
{
    struct fields *fields = user;
    if (name.n == 0) {
        return H1_BAD_FIELD;
    }
    if (value.p == NULL) {
        value.p = ""; /* p NULL says: not there */
    }
    if (name.n > NAME_BYTES_MAX) {
        return H1_FINE;
    }
    /* Names are tokens: among their characters, setting this bit makes the letters lower-case and nothing
     * else one of our names'. */
    char lower[NAME_BYTES_MAX];
    for (size_t i = 0; i < name.n; i++) {
        lower[i] = (char)(name.p[i] | 0x20);
    }
    struct str lower_name = str_from(lower, name.n);
    enum http_header id = http_header_find(lower_name);
    if (id != HTTP_HEADERS) {
        return join(fields, &fields->header[id], value);
    } else if (str_eq(lower_name, STR("host"))) {
        fields->two_hosts = fields->host.p != NULL;
        fields->host = value;
        return fields->two_hosts ? H1_TWO_HOSTS : H1_FINE;
    } else if (str_eq(lower_name, STR("expect"))) {
        return join(fields, &fields->expect, value);
    } else if (str_eq(lower_name, STR("transfer-encoding"))) {
        return join(fields, &fields->coding, value);
    }
    return H1_FINE;
}

/* --- target and host --- */

/* RFC 3986, 3.2.2: unreserved, percent-encoded, sub-delims. */
static const bool reg_name_char[256] = {
    ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['-'] = true, ['.'] = true,
    ['_'] = true,         ['~'] = true,         ['%'] = true,         ['!'] = true, ['$'] = true,
    ['&'] = true,         ['\''] = true,        ['('] = true,         [')'] = true, ['*'] = true,
    ['+'] = true,         [','] = true,         [';'] = true,         ['='] = true,
};

/* uri-host [ ":" port ] (RFC 9110, 7.2; RFC 3986, 3.2.2); empty is allowed. */
static bool is_host(struct str host)
{
    size_t at = 0;
    if (host.n > 0 && host.p[0] == '[') {
        for (at = 1; at < host.n && host.p[at] != ']'; at++) {
            char c = host.p[at];
            if (c != ':' && c != '.' && !(c >= '0' && c <= '9') &&
                !((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) {
                return false;
            }
        }
        if (at == host.n) {
            return false;
        }
        at++;
    } else {
        for (; at < host.n && host.p[at] != ':'; at++) {
            if (!reg_name_char[(uint8_t)host.p[at]]) {
                return false;
            }
        }
    }
    if (at == host.n) {
        return true;
    }
    if (host.p[at] != ':') {
        return false;
    }
    for (at++; at < host.n; at++) {
        if (host.p[at] < '0' || host.p[at] > '9') {
            return false;
        }
    }
    return true;
}

/* RFC 9112, 3.2: origin-form, absolute-form, asterisk-form. (authority-form belongs to CONNECT.) */
static bool split_target(struct h1_head *head, struct str target)
{
    if (memchr(target.p, '#', target.n) != NULL) {
        return false;
    }
    if (str_eq(target, STR("*"))) {
        head->path = target;
        return head->method == HTTP_OPTIONS;
    }
    if (target.p[0] != '/') {
        size_t scheme = 0;
        if (target.n > 7 && str_eq_nocase(str_from(target.p, 7), STR("http://"))) {
            scheme = 7;
        } else if (target.n > 8 && str_eq_nocase(str_from(target.p, 8), STR("https://"))) {
            scheme = 8;
        }
        struct str rest = str_from(target.p + scheme, target.n - scheme);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?') {
            n++;
        }
        head->host = str_from(rest.p, n);
        /* An empty host and user information are to be refused (RFC 9110, 4.2.1, 4.2.4); '@' is none of a
         * host's characters. */
        if (scheme == 0 || n == 0 || !is_host(head->host)) {
            return false;
        }
        target = str_from(rest.p + n, rest.n - n);
    }
    const char *question = target.n > 0 ? memchr(target.p, '?', target.n) : NULL;
    head->path = target;
    if (question != NULL) {
        head->path.n = (size_t)(question - target.p);
        head->query = str_from(question + 1, target.n - head->path.n - 1);
    }
    if (head->path.n == 0) {
        /* RFC 9112, 3.2.4: OPTIONS of an absolute-form without path and query is of the server as such. */
        head->path = head->method == HTTP_OPTIONS && question == NULL ? STR("*") : STR("/");
    }
    return true;
}

/* --- the whole --- */

/* The method, if the line begins with one and a single space. */
static struct str method_of(struct str line)
{
    size_t n = 0;
    while (n < line.n && h1_is_token_char((uint8_t)line.p[n])) {
        n++;
    }
    bool well = n > 0 && n + 1 < line.n && line.p[n] == ' ' && line.p[n + 1] != ' ';
    return str_from(line.p, well ? n : 0);
}

/* llhttp also takes "RTSP/1.1", several spaces, and no version at all. */
static enum h1_fault check_version(const struct h1_llhttp_head *parsed, const char *end)
{
    const char *at = parsed->target.p + parsed->target.n;
    if (end - at < 9 || memcmp(at, " HTTP/", 6) != 0) {
        return H1_BAD_LINE;
    }
    return parsed->major == 1 && parsed->minor <= 1 ? H1_FINE : H1_BAD_VERSION;
}

/* RFC 9112, 6.1 and 6.3 */
static enum h1_fault check_coding(const struct h1_llhttp_head *parsed, struct str coding)
{
    if (!parsed->coded) {
        return H1_FINE;
    }
    if (parsed->minor == 0) {
        return H1_BAD_CODING;
    }
    if (!str_eq_nocase(coding, STR("chunked"))) {
        return H1_UNKNOWN_CODING;
    }
    return parsed->chunked ? H1_FINE : H1_BAD_CODING;
}

enum h1_fault h1_head_parse(struct h1_head *head, struct h1_llhttp *parser, const uint8_t *bytes, size_t n,
                            struct str header[HTTP_HEADERS], struct arena *arena)
{
    struct str text = str_from(bytes, n);
    while (text.n > 0 && text.p[0] == '\r') { /* empty lines, which h1_scan() has counted */
        text = str_from(text.p + 2, text.n - 2);
    }
    struct str method = method_of(text);
    if (method.n == 0) {
        return H1_BAD_LINE;
    }
    if (str_eq(method, STR("CONNECT"))) {
        return H1_CONNECT;
    }
    *head = (struct h1_head){.method = http_method_find(method)};

    struct fields fields = {.header = header, .arena = arena};
    struct h1_llhttp_head parsed = {0};
    enum h1_fault fault = h1_llhttp_head(parser, text.p, text.n, head->method == HTTP_OTHER ? method.n : 0,
                                         &parsed, take_field, &fields);
    if (fault == H1_FINE) {
        fault = check_version(&parsed, text.p + text.n);
    }
    if (fault == H1_FINE && !split_target(head, parsed.target)) {
        fault = H1_BAD_TARGET;
    }
    if (fault == H1_FINE) {
        fault = check_coding(&parsed, fields.coding);
    }
    if (fault == H1_FINE && fields.host.p == NULL && parsed.minor == 1) {
        fault = H1_NO_HOST;
    }
    if (fault == H1_FINE && !is_host(fields.host)) {
        fault = H1_BAD_HOST;
    }
    if (fault != H1_FINE) {
        return fault;
    }
    if (head->host.p == NULL) { /* RFC 9112, 3.2.2: a host in the target overrides the field */
        head->host = fields.host;
    }
    head->expect = parsed.minor == 1 ? fields.expect : (struct str){NULL, 0};
    head->length = parsed.length;
    head->chunked = parsed.chunked;
    head->keep_alive = parsed.keep_alive;
    head->minor = parsed.minor;
    return H1_FINE;
}
