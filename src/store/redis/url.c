#include "store/redis/url.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

#define SHOWN_BYTES    160
#define HOST_BYTES_MAX 253

/* --- showing --- */

static size_t scheme_end(struct str text)
{
    const char *found = memmem(text.p, text.n, "://", 3);
    return found != NULL ? (size_t)(found - text.p) + 3 : 0;
}

/* Of a broken URL it is not known where the password ends, so everything up to the last @ is taken for it. */
static size_t credentials_end(struct str text)
{
    const char *at = text.n > 0 ? memrchr(text.p, '@', text.n) : NULL;
    return at != NULL ? (size_t)(at - text.p) : 0;
}

static void show_query(struct buf *out, struct str query)
{
    struct str rest = query;
    bool first = true;
    for (struct str part; str_split(&rest, '&', &part); first = false) {
        const char *equals = part.n > 0 ? memchr(part.p, '=', part.n) : NULL;
        bool known = str_starts(part, STR("addr="));
        buf_format(out, "%s", first ? "?" : "&");
        if (known || equals == NULL) {
            buf_add_str(out, part);
        } else {
            buf_add(out, part.p, (size_t)(equals - part.p) + 1);
            buf_format(out, "***");
        }
    }
}

void redis_url_show(struct str text, char *out, size_t cap)
{
    struct buf shown = BUF_EMPTY;
    size_t begin = scheme_end(text);
    size_t at = credentials_end(text);
    buf_add(&shown, text.p, begin);
    if (at > begin || (at == begin && text.n > begin && text.p[begin] == '@')) {
        const char *colon = memchr(text.p + begin, ':', at - begin);
        buf_add(&shown, text.p + begin, colon != NULL ? (size_t)(colon - text.p) - begin : at - begin);
        if (colon != NULL) {
            buf_format(&shown, ":***");
        }
        begin = at;
    }
    struct str rest = {text.p + begin, text.n - begin};
    const char *mark = rest.n > 0 ? memchr(rest.p, '?', rest.n) : NULL;
    size_t head = mark != NULL ? (size_t)(mark - rest.p) : rest.n;
    buf_add(&shown, rest.p, head);
    if (mark != NULL) {
        show_query(&shown, (struct str){mark + 1, rest.n - head - 1});
    }
    (void)str_escape(buf_str(&shown), out, cap);
    buf_fini(&shown);
}

static enum err fail(struct str text, struct error *error, const char *what)
{
    char shown[SHOWN_BYTES];
    redis_url_show(text, shown, sizeof shown);
    return error_set(error, EA_CONFIG, "redis.urls: %s: %s", shown, what);
}

/* --- parsing --- */

static char *copy(struct str s)
{
    char *z = mem_alloc(s.n + 1);
    if (s.n > 0) {
        memcpy(z, s.p, s.n);
    }
    z[s.n] = '\0';
    return z;
}

/* NULL: a malformed escape, or a byte that no name or password has. */
static char *decode(struct str s)
{
    char *z = mem_alloc(s.n + 1);
    size_t n = str_percent_decode(s, z);
    if (n == SIZE_MAX || memchr(z, '\0', n) != NULL) {
        mem_free(z);
        return NULL;
    }
    z[n] = '\0';
    return z;
}

/* The length of the head of s without any of these. */
static size_t head_without(struct str s, const char *stops)
{
    size_t n = 0;
    while (n < s.n && (s.p[n] == '\0' || strchr(stops, s.p[n]) == NULL)) {
        n++;
    }
    return n;
}

static bool is_host(struct str host, bool brackets)
{
    if (host.n == 0 || host.n > HOST_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                     c == '-' || c == '_';
        if (!plain && !(brackets && (c == ':' || c == '%'))) {
            return false;
        }
    }
    return true;
}

/* "host", "host:port", "[::1]:port". NULL, or what is wrong. */
static const char *parse_address(struct redis_address *out, struct str text)
{
    struct str host = text;
    struct str port = {NULL, 0};
    bool brackets = text.n > 0 && text.p[0] == '[';
    if (brackets) {
        const char *end = memchr(text.p, ']', text.n);
        if (end == NULL) {
            return "the ] of the IPv6 address is missing";
        }
        host = (struct str){text.p + 1, (size_t)(end - text.p) - 1};
        port = (struct str){end + 1, text.n - host.n - 2};
        if (port.n > 0 && port.p[0] != ':') {
            return "behind the ] of an IPv6 address only :port may stand";
        }
    } else {
        const char *colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;
        host.n = colon != NULL ? (size_t)(colon - text.p) : text.n;
        port = (struct str){text.p + host.n, text.n - host.n};
    }
    if (!is_host(host, brackets)) {
        return host.n == 0 ? "the host is missing" : "the host is not a name or an address";
    }
    uint64_t number = REDIS_PORT;
    if (port.n > 0 &&
        (!str_to_u64((struct str){port.p + 1, port.n - 1}, &number) || number == 0 || number > 65535)) {
        return "the port must be a number from 1 to 65535";
    }
    struct buf shown = BUF_EMPTY;
    buf_format(&shown, brackets ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(host), (unsigned)number);
    *out = (struct redis_address){copy(host), (uint16_t)number, copy(buf_str(&shown))};
    buf_fini(&shown);
    return NULL;
}

static const char *add_server(struct redis_url *url, struct str text)
{
    if (url->n_servers == REDIS_SERVERS_MAX) {
        return "more than 64 servers";
    }
    const char *wrong = parse_address(&url->servers[url->n_servers], text);
    url->n_servers += wrong == NULL;
    return wrong;
}

static const char *parse_credentials(struct redis_url *url, struct str text)
{
    const char *colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;
    if (colon == NULL) {
        return "a user needs a password: user:password@host, or :password@host for the default user";
    }
    struct str user = {text.p, (size_t)(colon - text.p)};
    struct str password = {colon + 1, text.n - user.n - 1};
    if (password.n == 0) {
        return "the password is empty";
    }
    url->password = decode(password);
    url->user = user.n > 0 ? decode(user) : NULL;
    if (url->password == NULL || (user.n > 0 && url->user == NULL)) {
        return "user or password has a malformed percent-escape";
    }
    return NULL;
}

static const char *parse_query(struct redis_url *url, struct str query)
{
    for (struct str part; str_split(&query, '&', &part);) {
        if (!str_starts(part, STR("addr="))) {
            return "the only parameter is addr=host:port";
        }
        const char *wrong = add_server(url, (struct str){part.p + 5, part.n - 5});
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static const char *parse_db(struct redis_url *url, struct str path)
{
    uint64_t db = 0;
    if (path.n > 0 && (!str_to_u64(path, &db) || db > REDIS_DB_MAX)) {
        return "behind the / stands the number of the database, 0 to 65535";
    }
    url->db = (unsigned)db;
    return NULL;
}

static const char *parse(struct redis_url *url, struct str text)
{
    struct str rest;
    if (str_starts(text, STR("rediss://"))) {
        url->tls = true;
    } else if (!str_starts(text, STR("redis://"))) {
        return "a URL begins with redis:// or rediss://";
    }
    size_t begin = scheme_end(text);
    rest = (struct str){text.p + begin, text.n - begin};
    size_t authority_n = head_without(rest, "/?#");
    struct str authority = {rest.p, authority_n};
    rest = (struct str){rest.p + authority_n, rest.n - authority_n};
    if (rest.n > 0 && memchr(rest.p, '#', rest.n) != NULL) {
        return "a # must be written as %23";
    }
    if (rest.n > 0 && memchr(rest.p, '@', rest.n) != NULL) {
        return "user and password must not hold / ? # as they are: write %2F %3F %23";
    }
    size_t at = credentials_end(authority);
    const char *wrong = NULL;
    if (at > 0 || (authority.n > 0 && authority.p[0] == '@')) {
        wrong = parse_credentials(url, (struct str){authority.p, at});
        authority = (struct str){authority.p + at + 1, authority.n - at - 1};
    }
    if (wrong == NULL) {
        wrong = add_server(url, authority);
    }
    if (wrong == NULL && rest.n > 0 && rest.p[0] == '/') {
        size_t path_n = head_without(rest, "?");
        wrong = parse_db(url, (struct str){rest.p + 1, path_n - 1});
        rest = (struct str){rest.p + path_n, rest.n - path_n};
    }
    if (wrong == NULL && rest.n > 0) {
        wrong = parse_query(url, (struct str){rest.p + 1, rest.n - 1});
    }
    return wrong;
}

enum err redis_url_parse(struct redis_url *out, struct str text, struct error *error)
{
    memset(out, 0, sizeof *out);
    const char *wrong = parse(out, text);
    if (wrong == NULL) {
        return EA_OK;
    }
    redis_url_fini(out);
    return fail(text, error, wrong);
}

void redis_url_fini(struct redis_url *url)
{
    for (size_t i = 0; i < url->n_servers; i++) {
        mem_free(url->servers[i].host);
        mem_free(url->servers[i].text);
    }
    if (url->password != NULL) {
        explicit_bzero(url->password, strlen(url->password));
    }
    mem_free(url->password);
    mem_free(url->user);
    memset(url, 0, sizeof *url);
}

/* --- all of them --- */

static enum err check_mode(const struct redis_url *url, struct str text, enum redis_mode mode,
                           struct error *error)
{
    if (mode == REDIS_SINGLE && url->n_servers > 1) {
        return fail(text, error, "in mode single a URL is one server; addr= belongs to sharding and cluster");
    }
    if (mode == REDIS_CLUSTER && url->db != 0) {
        return fail(text, error, "a Redis Cluster has database 0 only");
    }
    return EA_OK;
}

/* One server that counts twice would make a majority of one. The seeds of one cluster may repeat. */
static const struct redis_address *find_twice(const struct redis_url *urls, size_t n, size_t *a, size_t *b)
{
    for (*a = 0; *a < n; ++*a) {
        for (size_t i = 0; i < urls[*a].n_servers; i++) {
            for (*b = *a; *b < n; ++*b) {
                for (size_t j = *a == *b ? i + 1 : 0; j < urls[*b].n_servers; j++) {
                    if (strcmp(urls[*a].servers[i].text, urls[*b].servers[j].text) == 0) {
                        return &urls[*a].servers[i];
                    }
                }
            }
        }
    }
    return NULL;
}

static enum err check_all(const struct redis_url *urls, size_t n, enum redis_mode mode, struct error *error)
{
    size_t a;
    size_t b;
    if (n % 2 == 0) {
        return error_set(
            error, EA_CONFIG,
            "redis.urls: %zu nodes: the number must be odd (1, 3, 5, ...), since an even one bears "
            "no more failures than one less",
            n);
    }
    for (size_t i = 1; mode == REDIS_SHARDING && i < n; i++) {
        if (urls[i].n_servers != urls[0].n_servers) {
            return error_set(
                error, EA_CONFIG,
                "redis.urls: group 1 has %zu servers and group %zu has %zu: all groups must have "
                "the same size",
                urls[0].n_servers, i + 1, urls[i].n_servers);
        }
    }
    const struct redis_address *twice = find_twice(urls, n, &a, &b);
    if (twice != NULL) {
        return error_set(error, EA_CONFIG, "redis.urls: %s is named twice, in URL %zu and in URL %zu",
                         twice->text, a + 1, b + 1);
    }
    return EA_OK;
}

enum err redis_urls_parse(struct redis_url *out, size_t *n, const char *const *texts, size_t n_texts,
                          enum redis_mode mode, struct error *error)
{
    *n = 0;
    if (n_texts == 0) {
        return error_set(error, EA_CONFIG,
                         "redis.urls: no URL is given; the redis driver needs 1, 3, 5, ...");
    }
    if (n_texts > REDIS_NODES_MAX) {
        return error_set(error, EA_CONFIG, "redis.urls: %zu nodes; at most %d", n_texts, REDIS_NODES_MAX);
    }
    for (size_t i = 0; i < n_texts; i++) {
        struct str text = str_of(texts[i]);
        enum err err = redis_url_parse(&out[i], text, error);
        if (err != EA_OK) {
            return err;
        }
        ++*n;
        err = check_mode(&out[i], text, mode, error);
        if (err != EA_OK) {
            return err;
        }
    }
    return check_all(out, *n, mode, error);
}

void redis_urls_fini(struct redis_url *urls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        redis_url_fini(&urls[i]);
    }
}
