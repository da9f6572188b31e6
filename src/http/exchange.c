#include "http/exchange.h"

#include <assert.h>

#include "http/conn.h"

static const char *const methods[] = {
    [HTTP_GET] = "GET",     [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE", [HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const char *http_method_name(enum http_method method)
{
    return (unsigned)method <= HTTP_OTHER ? methods[method] : "OTHER";
}

enum http_method http_method_find(struct str name)
{
    for (enum http_method method = HTTP_GET; method < HTTP_OTHER; method++) {
        if (str_eq(name, str_of(methods[method]))) {
            return method;
        }
    }
    return HTTP_OTHER;
}

enum http_header http_header_find(struct str name)
{
    /* A bit for each length that one of ours has: most other names end here. */
#define H(id, text) | (UINT32_C(1) << (sizeof(text) - 1))
    static const uint32_t lengths = 0
#include "http/headers.def"
        ;
#undef H
    if (name.n > 31 || (lengths >> name.n & 1) == 0) {
        return HTTP_HEADERS;
    }
#define H(id, text)                                                                  \
    if (name.n == sizeof(text) - 1 && memcmp(name.p, text, sizeof(text) - 1) == 0) { \
        return HTTP_##id;                                                            \
    }
#include "http/headers.def"
#undef H
    return HTTP_HEADERS;
}

/* Over: the client has got everything, or is not there to get it. */
static bool over(const struct exchange *ex)
{
    return ex->finished || ex->gone;
}

static void check_fields(const struct http_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str value = fields[i].value;
        /* A line break in a value would let whoever chose it write fields of his own. */
        for (size_t at = 0; at < value.n; at++) {
            assert(value.p[at] != '\r' && value.p[at] != '\n' && value.p[at] != '\0');
        }
    }
}

void exchange_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                     struct str body)
{
    if (over(ex)) {
        return;
    }
    assert(!ex->started);
    check_fields(fields, n);
    ex->started = true;
    ex->finished = true;
    ex->ops->answer(ex, status, fields, n, body);
}

void exchange_start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    if (over(ex)) {
        return;
    }
    assert(!ex->started);
    check_fields(fields, n);
    ex->started = true;
    ex->ops->start(ex, status, fields, n);
}

size_t exchange_write(struct exchange *ex, struct str bytes)
{
    if (over(ex)) {
        return 0;
    }
    assert(ex->started);
    return ex->ops->write(ex, bytes);
}

void exchange_finish(struct exchange *ex, const struct http_field *trailers, size_t n)
{
    if (over(ex)) {
        return;
    }
    check_fields(trailers, n);
    ex->finished = true;
    ex->ops->finish(ex, trailers, n);
}

void exchange_consumed(struct exchange *ex, size_t n)
{
    if (!ex->gone && n > 0) {
        ex->ops->consumed(ex, n);
    }
}

void exchange_reset(struct exchange *ex, uint32_t h2_code)
{
    if (over(ex)) {
        return;
    }
    ex->finished = true;
    ex->ops->reset(ex, h2_code);
}

void exchange_hold(struct exchange *ex)
{
    assert(ex->holds < UINT32_MAX);
    if (ex->holds++ == 0) {
        http_server_held(ex->server, 1);
    }
}

void exchange_release(struct exchange *ex)
{
    assert(ex->holds > 0);
    if (--ex->holds > 0) {
        return;
    }
    struct http_server *server = ex->server;
    if (over(ex)) {
        ex->ops->released(ex);
    }
    http_server_held(server, -1);
}

void http_exchange_gone(struct exchange *ex)
{
    assert(!over(ex));
    ex->gone = true;
    /* The handler may let its holds go in on_gone. */
    exchange_hold(ex);
    if (ex->on_gone != NULL) {
        ex->on_gone(ex);
    }
    exchange_release(ex);
}

/* Copies *s to `to` and points it there; returns what is behind the copy. */
static char *move(struct str *s, char *to)
{
    if (s->n > 0) {
        memcpy(to, s->p, s->n);
        s->p = to;
    } else if (s->p != NULL) {
        s->p = ""; /* there, but empty */
    }
    return to + s->n;
}

void exchange_keep(struct exchange *ex)
{
    if (ex->stable) {
        return;
    }
    size_t n = ex->path.n + ex->query.n + ex->host.n + ex->body.n;
    for (int i = 0; i < HTTP_HEADERS; i++) {
        n += ex->header[i].n;
    }
    char *to = arena_alloc(&ex->arena, n);
    to = move(&ex->path, to);
    to = move(&ex->query, to);
    to = move(&ex->host, to);
    for (int i = 0; i < HTTP_HEADERS; i++) {
        to = move(&ex->header[i], to);
    }
    move(&ex->body, to);
    ex->stable = true;
}
