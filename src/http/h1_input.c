/* Bytes to requests: see h1.c for the whole. */
#include "base/slab.h"
#include "http/h1.h"

/* The first buffer for pieces of a head. */
#define GATHER_BYTES 512

static void hx_new(struct h1_conn *h1)
{
    struct http_server *server = h1->conn.server;
    struct h1_exchange *hx = slab_alloc(http_server_exchanges(server));
    memset(hx, 0, offsetof(struct h1_exchange, memory));
    arena_init(&hx->ex.arena, hx->memory, sizeof hx->memory);
    hx->ex.ops = &h1_exchange_ops;
    hx->ex.server = server;
    hx->ex.loop = h1_loop(h1);
    hx->ex.version = 1;
    hx->ex.secure = stream_is_tls(h1->conn.stream);
    hx->h1 = h1;
    h1->hx = hx;
}

/* --- the head --- */

/* Adds to what the arena has gathered; `hint` is how much it may become. */
static void gather(struct h1_exchange *hx, const void *bytes, size_t n, size_t hint)
{
    if (hx->gathered_bytes + n > hx->gathered_room) {
        size_t room = hx->gathered_room * 2;
        room = room < GATHER_BYTES ? GATHER_BYTES : room;
        room = room < hint ? hint : room;
        room = room < hx->gathered_bytes + n ? hx->gathered_bytes + n : room;
        char *bigger = arena_alloc(&hx->ex.arena, room);
        if (hx->gathered_bytes > 0) {
            memcpy(bigger, hx->gathered, hx->gathered_bytes);
        }
        hx->gathered = bigger;
        hx->gathered_room = room;
    }
    memcpy(hx->gathered + hx->gathered_bytes, bytes, n);
    hx->gathered_bytes += n;
}

static void body_end(struct h1_conn *h1);

/* The head is parsed: asks the handler. */
static void head_end(struct h1_conn *h1, const struct h1_head *head)
{
    struct h1_exchange *hx = h1->hx;
    struct exchange *ex = &hx->ex;
    ex->method = head->method;
    ex->path = head->path;
    ex->query = head->query;
    ex->host = head->host;
    ex->arrived = loop_now(ex->loop);
    hx->minor = head->minor;
    h1->keep_alive = head->keep_alive;
    h1_body_init(&hx->body, head);
    sm_move(&h1->state, H1_BODY);
    h1_set_deadline(h1, h1_limits(h1)->body_us);
    if (head->expect.p != NULL) { /* RFC 9110, 10.1.1 */
        if (!str_eq_nocase(head->expect, STR("100-continue"))) {
            h1_refuse(h1, H1_EXPECTATION);
            return;
        }
        hx->awaits_continue = !hx->body.done;
    }

    void *user;
    const struct http_handler *handler = http_server_handler(h1->conn.server, &user);
    h1->in_handler = true;
    hx->intake = handler->on_head(ex, user);
    h1->in_handler = false;
    if (h1_state(h1) == H1_CLOSING) {
        h1_settle(h1);
        return;
    }
    hx->discard = hx->intake == HTTP_DONE || ex->finished;
    if (!hx->discard && hx->intake == HTTP_BUFFER && head->length > h1_limits(h1)->body_bytes) {
        h1_refuse(h1, H1_BODY_TOO_LARGE);
        return;
    }
    if (hx->awaits_continue && !hx->discard) {
        hx->awaits_continue = false;
        stream_write(h1->conn.stream, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    }
    if (hx->body.done) {
        body_end(h1);
    }
}

static size_t take_head(struct h1_conn *h1, const uint8_t *bytes, size_t n)
{
    struct h1_exchange *hx = h1->hx;
    const struct http_limits *limits = h1_limits(h1);
    enum h1_fault fault;
    size_t used = h1_scan(&hx->scan, limits, bytes, n, &fault);
    if (fault == H1_FINE && !hx->scan.done) {
        gather(hx, bytes, used, 0);
        h1_watch_deadline(h1);
        return used;
    }
    struct h1_head head;
    if (fault == H1_FINE) {
        const uint8_t *whole = bytes;
        size_t whole_bytes = used;
        if (hx->gathered_bytes > 0) {
            gather(hx, bytes, used, 0);
            whole = (const uint8_t *)hx->gathered;
            whole_bytes = hx->gathered_bytes;
            hx->gathered = NULL; /* the next is the body's */
            hx->gathered_bytes = hx->gathered_room = 0;
            hx->ex.stable = true;
        }
        fault = h1_head_parse(&head, &hx->parser, whole, whole_bytes, hx->ex.header, &hx->ex.arena);
    }
    if (fault != H1_FINE) {
        h1_refuse(h1, fault);
    } else {
        head_end(h1, &head);
    }
    return used;
}

/* --- the body --- */

static void give_piece(struct h1_conn *h1, struct str piece, bool last)
{
    struct exchange *ex = &h1->hx->ex;
    h1->hx->unconsumed += piece.n;
    h1->in_handler = true;
    ex->on_data(ex, piece, last);
    h1->in_handler = false;
}

static enum h1_fault take_piece(void *user, struct str piece)
{
    struct h1_conn *h1 = user;
    struct h1_exchange *hx = h1->hx;
    struct exchange *ex = &hx->ex;
    if (h1_state(h1) == H1_CLOSING) {
        return H1_FINE; /* reset by the handler, with more pieces in the same read */
    }
    if (hx->intake == HTTP_STREAM && !hx->discard) {
        give_piece(h1, piece, false);
        return H1_FINE;
    }
    size_t had = hx->discard ? hx->discarded : hx->gathered_bytes;
    if (had + piece.n > h1_limits(h1)->body_bytes) {
        return H1_BODY_TOO_LARGE;
    }
    if (hx->discard) {
        hx->discarded += piece.n;
    } else if (!hx->body.chunked && hx->body.left == 0 && hx->gathered_bytes == 0) {
        ex->body = piece; /* all of it, in the read buffer */
        ex->stable = false;
    } else {
        size_t hint = hx->body.chunked ? 0 : piece.n + (size_t)hx->body.left;
        gather(hx, piece.p, piece.n, hint);
    }
    return H1_FINE;
}

/* The whole request is there. */
static void body_end(struct h1_conn *h1)
{
    struct h1_exchange *hx = h1->hx;
    struct exchange *ex = &hx->ex;
    sm_move(&h1->state, H1_ANSWER);
    h1->deadline = MONO_NEVER;
    ex->arrived = loop_now(ex->loop);
    if (hx->gathered_bytes > 0) {
        ex->body = str_from(hx->gathered, hx->gathered_bytes);
    }
    if (!hx->discard && hx->intake == HTTP_STREAM) {
        give_piece(h1, STR(""), true);
    } else if (!hx->discard) {
        void *user;
        const struct http_handler *handler = http_server_handler(h1->conn.server, &user);
        h1->in_handler = true;
        handler->on_request(ex, user);
        h1->in_handler = false;
    }
    h1_settle(h1);
}

static size_t take_body(struct h1_conn *h1, const uint8_t *bytes, size_t n)
{
    struct h1_exchange *hx = h1->hx;
    enum h1_fault fault;
    size_t used = h1_body_take(&hx->body, &hx->parser, h1_limits(h1), bytes, n, take_piece, h1, &fault);
    if (h1_state(h1) == H1_CLOSING) {
        h1_settle(h1);
    } else if (fault != H1_FINE) {
        h1_refuse(h1, fault);
    } else if (hx->body.done) {
        body_end(h1);
    }
    return used;
}

/* --- whatever comes --- */

static bool congested(const struct h1_conn *h1)
{
    return stream_backlog(h1->conn.stream) > STREAM_HIGH_BYTES;
}

/* A server forgives empty lines between requests (RFC 9112, 2.2); they begin none. */
static size_t skip_empty_lines(const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (n - at >= 2 && bytes[at] == '\r' && bytes[at + 1] == '\n') {
        at += 2;
    }
    return at;
}

size_t h1_take(struct h1_conn *h1, const uint8_t *bytes, size_t n)
{
    size_t at = 0;
    while (at < n) {
        switch (h1_state(h1)) {
        case H1_IDLE:
            if (congested(h1)) {
                return at;
            }
            at += skip_empty_lines(bytes + at, n - at);
            if (at < n) {
                hx_new(h1);
                sm_move(&h1->state, H1_HEAD);
                h1_set_deadline(h1, h1_limits(h1)->header_us);
            }
            break;
        case H1_HEAD:
            at += take_head(h1, bytes + at, n - at);
            break;
        case H1_BODY:
            at += take_body(h1, bytes + at, n - at);
            break;
        case H1_ANSWER:
            /* What waits pauses the stream, which then can't tell that the client leaves: not for these. */
            return at + skip_empty_lines(bytes + at, n - at);
        case H1_CLOSING:
        default:
            return n;
        }
    }
    if (h1_state(h1) == H1_BODY) { /* the rest comes with another read */
        h1_watch_deadline(h1);
        if (!h1->hx->discard) {
            exchange_keep(&h1->hx->ex);
        }
    }
    return at;
}
