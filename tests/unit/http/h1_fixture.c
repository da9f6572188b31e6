#include "h1_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/slab.h"
#include "http/conn.h"
#include "net/stream_ops.h"

/* --- the handler --- */

static struct fixture *fixture_of(struct exchange *ex)
{
    return ex->user;
}

static void on_gone(struct exchange *ex)
{
    struct fixture *f = fixture_of(ex);
    f->gone++;
    if (f->held == ex && !f->keeps_gone) {
        f->held = NULL;
        exchange_release(ex);
    }
}

static void flood(struct exchange *ex)
{
    static const char piece[1000];
    fixture_of(ex)->writable++;
    while (exchange_write(ex, str_from(piece, sizeof piece)) < EXCHANGE_HIGH_BYTES) {
    }
}

static void hold(struct exchange *ex)
{
    exchange_keep(ex);
    exchange_hold(ex);
    fixture_of(ex)->held = ex;
}

static void on_piece(struct exchange *ex, struct str piece, bool last)
{
    struct fixture *f = fixture_of(ex);
    f->uploaded += piece.n;
    if (str_eq(ex->path, STR("/slow"))) {
        f->unconsumed += piece.n;
        return;
    }
    exchange_consumed(ex, piece.n);
    if (last) {
        struct str text = arena_format(&ex->arena, "%zu", f->uploaded);
        exchange_answer(ex, 200, NULL, 0, text);
    }
}

static enum http_intake on_head(struct exchange *ex, void *user)
{
    struct fixture *f = user;
    f->heads++;
    ex->user = f;
    ex->on_gone = on_gone;
    if (str_eq(ex->path, STR("/early"))) {
        exchange_answer(ex, 200, NULL, 0, STR("early"));
        return HTTP_DONE;
    }
    if (str_eq(ex->path, STR("/upload")) || str_eq(ex->path, STR("/slow"))) {
        f->uploaded = 0;
        ex->on_data = on_piece;
        if (str_eq(ex->path, STR("/slow"))) {
            hold(ex);
        }
        return HTTP_STREAM;
    }
    return HTTP_BUFFER;
}

static void answer_echo(struct exchange *ex)
{
    struct str accept = ex->header[HTTP_ACCEPT];
    struct str text =
        arena_format(&ex->arena, "%s %.*s query=%.*s host=%.*s accept=%.*s body=%.*s%s",
                     http_method_name(ex->method), STR_ARG(ex->path), STR_ARG(ex->query), STR_ARG(ex->host),
                     STR_ARG(accept), STR_ARG(ex->body), ex->secure ? " secure" : "");
    const struct http_field type = {STR("content-type"), STR("text/plain")};
    exchange_answer(ex, 200, &type, 1, text);
}

static void on_request(struct exchange *ex, void *user)
{
    static const char big[100000];
    struct fixture *f = user;
    f->requests++;
    if (str_eq(ex->path, STR("/echo")) || str_eq(ex->path, STR("*"))) {
        answer_echo(ex);
    } else if (str_eq(ex->path, STR("/hold"))) {
        hold(ex);
    } else if (str_eq(ex->path, STR("/stream"))) {
        exchange_start(ex, 200, NULL, 0);
        exchange_write(ex, STR("one"));
        exchange_write(ex, STR(""));
        exchange_write(ex, STR("two-and-a-half-of-it"));
        exchange_finish(ex, NULL, 0);
    } else if (str_eq(ex->path, STR("/flood"))) {
        hold(ex);
        ex->on_writable = flood;
        exchange_start(ex, 200, NULL, 0);
        flood(ex);
    } else if (str_eq(ex->path, STR("/reset"))) {
        exchange_reset(ex, 0);
    } else if (str_eq(ex->path, STR("/empty"))) {
        exchange_answer(ex, 204, NULL, 0, STR(""));
    } else if (str_eq(ex->path, STR("/long"))) {
        exchange_start(ex, 200, NULL, 0);
        exchange_write(ex, str_from(big, sizeof big));
        exchange_finish(ex, NULL, 0);
    } else if (str_eq(ex->path, STR("/big"))) {
        exchange_answer(ex, 200, NULL, 0, str_from(big, sizeof big));
    } else {
        exchange_answer(ex, 404, NULL, 0, STR(""));
    }
}

static void on_refused(int status, void *user)
{
    struct fixture *f = user;
    f->refused++;
    f->last_refused = status;
}

static const struct http_handler handler = {
    .on_head = on_head,
    .on_request = on_request,
    .on_refused = on_refused,
};

/* --- the server --- */

void fixture_init(struct fixture *f, const struct http_limits *limits)
{
    *f = (struct fixture){.held = NULL};
    clock_fake_init(&f->clock);
    const struct loop_options options = {.clock = &f->clock.clock, .seed = 7};
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    const struct http_server_options server = {
        .loop = f->loop,
        .limits = limits != NULL ? *limits : http_limits_default,
        .handler = &handler,
        .user = f,
    };
    f->server = http_server_new(&server);
}

static void drained(void *user)
{
    struct fixture *f = user;
    f->drained++;
}

void fixture_fini(struct fixture *f)
{
    if (f->drained == 0) {
        http_server_drain(f->server, loop_now(f->loop), drained, f);
        fixture_advance_ms(f, 5000);
    }
    assert_int_equal(f->drained, 1);
    http_server_free(f->server);
    fixture_settle(f);
    loop_free(f->loop);
}

void fixture_settle(struct fixture *f)
{
    for (unsigned turns = 0; loop_step(f->loop); turns++) {
        assert_true(turns < 1000000);
    }
}

void fixture_advance_ms(struct fixture *f, int64_t ms)
{
    fixture_settle(f);
    while (ms > 0) {
        int64_t step = ms < 50 ? ms : 50;
        clock_fake_advance_us(&f->clock, step * 1000);
        fixture_settle(f);
        ms -= step;
    }
}

/* --- clients --- */

static void client_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct client *client = stream->user;
    buf_add(&client->got, bytes, n);
    if (client->take > 0 && client->got.n >= client->take) {
        stream_pause(stream);
    }
}

static void client_end(struct stream *stream)
{
    struct client *client = stream->user;
    client->ended = true;
    stream_close(stream);
}

static void client_closed(struct stream *stream, enum err why)
{
    struct client *client = stream->user;
    client->stream = NULL;
    client->closed = true;
    client->why = why;
}

static const struct stream_handler client_handler = {
    .on_data = client_data,
    .on_end = client_end,
    .on_closed = client_closed,
};

void client_open(struct fixture *f, struct client *client, const struct memstream_options *options)
{
    *client = (struct client){.got = BUF_EMPTY};
    struct stream *server_side;
    memstream_pair(f->loop, options, &client->stream, &server_side);
    stream_start(client->stream, &client_handler, client);
    http_server_accept(f->server, server_side);
}

static const char *alpn_chosen;

static struct str alpn_of(const struct stream *stream)
{
    (void)stream;
    return str_of(alpn_chosen);
}

void client_open_tls(struct fixture *f, struct client *client, const char *alpn)
{
    static struct stream_ops ops;
    *client = (struct client){.got = BUF_EMPTY};
    struct stream *server_side;
    memstream_pair(f->loop, NULL, &client->stream, &server_side);
    ops = *server_side->ops;
    ops.tls = true;
    ops.alpn = alpn_of;
    alpn_chosen = alpn;
    server_side->ops = &ops;
    stream_start(client->stream, &client_handler, client);
    http_server_accept(f->server, server_side);
}

void client_send(struct client *client, struct str bytes)
{
    if (client->stream != NULL) {
        stream_write(client->stream, bytes.p, bytes.n);
    }
}

void client_send_buf(struct client *client, struct buf *text)
{
    client_send(client, buf_str(text));
    buf_clear(text);
}

void client_fini(struct fixture *f, struct client *client)
{
    fixture_settle(f);
    if (client->stream != NULL) {
        stream_abort(client->stream);
        fixture_settle(f);
    }
    buf_fini(&client->got);
}

const char *client_take(struct client *client)
{
    static char text[256 * 1024];
    assert_true(client->got.n < sizeof text);
    if (client->got.n > 0) {
        memcpy(text, client->got.p, client->got.n);
    }
    text[client->got.n] = '\0';
    buf_clear(&client->got);
    return text;
}

const char *refusal(int status, const char *reason, const char *message)
{
    static char text[1024];
    snprintf(text, sizeof text,
             "HTTP/1.1 %d %s\r\ndate: " TEST_DATE "\r\ncontent-type: application/json; charset=utf-8\r\n"
             "content-length: %zu\r\nconnection: close\r\n\r\n{\"message\":\"%s\"}",
             status, reason, strlen(message) + sizeof "{\"message\":\"\"}" - 1, message);
    return text;
}

/* --- a fixture with one client --- */

int one_setup(void **state)
{
    struct one *one = calloc(1, sizeof *one);
    fixture_init(&one->f, NULL);
    client_open(&one->f, &one->client, NULL);
    *state = one;
    return 0;
}

int one_teardown(void **state)
{
    struct one *one = *state;
    client_fini(&one->f, &one->client);
    fixture_fini(&one->f);
    free(one);
    return 0;
}

void say(struct one *one, const char *bytes)
{
    client_send(&one->client, str_of(bytes));
    fixture_settle(&one->f);
}

size_t exchanges(struct one *one)
{
    return http_server_exchanges(one->f.server)->used;
}

/* --- words --- */

const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end != NULL ? end + 4 : "(no head)";
}

unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        n++;
    }
    return n;
}

void repeat(struct buf *text, char c, size_t n)
{
    memset(buf_reserve(text, n), c, n);
    text->n += n;
}
