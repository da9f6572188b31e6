/*
 * A connection that speaks HTTP/1.1: one request after the other.
 *
 *     IDLE ──first byte──► HEAD ──whole──► BODY ──whole──► ANSWER ──finished──► IDLE
 *      │                    │               │                │
 *      └────────────────────┴───────────────┴────────────────┴── fault, close ──► CLOSING
 *
 * While a request waits for its answer nothing is parsed: pipelined requests stay in the socket (the stream
 * is paused), but for what was read together with the request, which `pending` keeps. So answers are in
 * order, and a client can't make us remember more than one read.
 *
 * When a whole request comes in one read, which is the rule, nothing is copied and nothing allocated: slices
 * point into the read buffer. Otherwise its pieces are gathered in the exchange's arena.
 *
 * Timeouts are lazy: moving `deadline` is an assignment, and the timer, when it fires early, starts itself
 * again. Loop thread.
 */
#include "http/h1.h"

#include <assert.h>

#include "base/mem.h"

/* A client that has ended its side may be one that shut down writing and reads on, or one that has left. A
 * store answers within this time; who waits longer (for a leadership) has to keep its side open. */
#define HALF_CLOSED_US INT64_C(1000000)

static const struct sm_state states[H1_STATES] = {
    [H1_IDLE] = {"idle", SM_TO(H1_HEAD) | SM_TO(H1_CLOSING), false},
    [H1_HEAD] = {"head", SM_TO(H1_BODY) | SM_TO(H1_CLOSING), false},
    [H1_BODY] = {"body", SM_TO(H1_ANSWER) | SM_TO(H1_CLOSING), false},
    [H1_ANSWER] = {"answer", SM_TO(H1_IDLE) | SM_TO(H1_CLOSING), false},
    [H1_CLOSING] = {"closing", 0, true},
};

static struct h1_conn *h1_of(struct http_conn *conn)
{
    return CONTAINER_OF(conn, struct h1_conn, conn);
}

/* --- times --- */

void h1_set_deadline(struct h1_conn *h1, int64_t us)
{
    h1->deadline = us > 0 ? mono_add_us(loop_now(h1_loop(h1)), us) : MONO_NEVER;
}

void h1_watch_deadline(struct h1_conn *h1)
{
    struct loop_timer *timer = &h1->conn.timer;
    if (h1->deadline.us != MONO_NEVER.us &&
        (!wheel_started(&timer->entry) || mono_before(h1->deadline, timer->entry.at))) {
        loop_timer_start(h1_loop(h1), timer, h1->deadline);
    }
}

/* --- the end of a request and of the connection --- */

static void closing(struct h1_conn *h1)
{
    sm_move(&h1->state, H1_CLOSING);
    h1->deadline = MONO_NEVER;
    /* `pending` stays until the stream is closed: the request in hand may point into it. */
}

void h1_close_gently(struct h1_conn *h1)
{
    closing(h1);
    stream_close(h1->conn.stream);
}

void h1_close_hard(struct h1_conn *h1)
{
    closing(h1);
    stream_abort(h1->conn.stream);
}

/* The request is read and answered. */
static void request_end(struct h1_conn *h1)
{
    h1_let_go(h1);
    bool last = !h1->keep_alive || http_server_draining(h1->conn.server);
    if (last || (h1->ended && h1->pending == NULL)) {
        h1_close_gently(h1);
        return;
    }
    sm_move(&h1->state, H1_IDLE);
    h1_set_deadline(h1, h1_limits(h1)->idle_us);
    h1_watch_deadline(h1);
    if (h1->paused || h1->pending != NULL) {
        stream_flush_later(h1->conn.stream); /* not now: we may be deep in a store's callback */
    }
}

void h1_settle(struct h1_conn *h1)
{
    if (h1->in_handler || h1->hx == NULL) {
        return;
    }
    if (h1_state(h1) == H1_CLOSING) {
        h1_let_go(h1);
    } else if (h1_state(h1) == H1_ANSWER && h1->hx->ex.finished) {
        request_end(h1);
    }
}

/* --- input and its end --- */

void h1_gate(struct h1_conn *h1)
{
    if (h1_state(h1) == H1_CLOSING) {
        return;
    }
    bool full = h1->hx != NULL && h1->hx->unconsumed > EXCHANGE_HIGH_BYTES;
    bool pause = full || h1->pending != NULL;
    if (pause == h1->paused) {
        return;
    }
    h1->paused = pause;
    if (pause) {
        stream_pause(h1->conn.stream);
    } else {
        stream_resume(h1->conn.stream);
    }
}

static void h1_data(struct http_conn *conn, const uint8_t *bytes, size_t n)
{
    struct h1_conn *h1 = h1_of(conn);
    assert(h1->pending == NULL); /* it pauses the stream */
    size_t used = h1_take(h1, bytes, n);
    if (h1_state(h1) == H1_CLOSING) {
        return;
    }
    if (used < n) {
        h1->pending_bytes = n - used;
        h1->pending = mem_dup(bytes + used, h1->pending_bytes);
    }
    h1_gate(h1);
}

/* The peer sends no more, and all it has sent was taken. */
static void input_ended(struct h1_conn *h1)
{
    switch (h1_state(h1)) {
    case H1_IDLE:
        h1_close_gently(h1);
        break;
    case H1_HEAD:
    case H1_BODY:
        h1_refuse(h1, H1_CUT_OFF);
        break;
    case H1_ANSWER:
        if (h1->hx->ex.started) {
            h1_close_hard(h1); /* whoever reads a stream keeps its side open */
            h1_let_go(h1);
        } else {
            h1_set_deadline(h1, HALF_CLOSED_US);
            h1_watch_deadline(h1);
        }
        break;
    case H1_CLOSING:
    default:
        break;
    }
}

static void h1_end(struct http_conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    h1->ended = true;
    if (h1->pending == NULL) {
        input_ended(h1);
    }
}

/* Goes on with what was read too early. */
static void take_pending(struct h1_conn *h1)
{
    if (h1->pending == NULL || h1_state(h1) != H1_IDLE) {
        return;
    }
    h1->pending_at += h1_take(h1, h1->pending + h1->pending_at, h1->pending_bytes - h1->pending_at);
    if (h1_state(h1) == H1_CLOSING || h1->pending_at < h1->pending_bytes) {
        return;
    }
    mem_free(h1->pending);
    h1->pending = NULL;
    h1->pending_at = 0;
    h1->pending_bytes = 0;
    if (h1->ended) {
        input_ended(h1);
    }
}

static void h1_flush(struct http_conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    take_pending(h1);
    h1_gate(h1);
}

/* --- the rest of the connection --- */

static void h1_writable(struct http_conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    struct exchange *ex = h1->hx != NULL ? &h1->hx->ex : NULL;
    if (ex != NULL && ex->started && !ex->finished && ex->on_writable != NULL) {
        h1->in_handler = true;
        ex->on_writable(ex);
        h1->in_handler = false;
        h1_settle(h1);
    }
    take_pending(h1);
    h1_gate(h1);
}

static void h1_timeout(struct http_conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    if (mono_before(loop_now(h1_loop(h1)), h1->deadline)) {
        h1_watch_deadline(h1); /* it was moved since */
        return;
    }
    switch (h1_state(h1)) {
    case H1_IDLE:
        if (h1->pending == NULL) { /* else it waits for the client to read: server.c looks after that */
            h1_close_gently(h1);
        }
        break;
    case H1_HEAD:
        h1_refuse(h1, H1_HEAD_LATE);
        break;
    case H1_BODY:
        h1_refuse(h1, H1_BODY_LATE);
        break;
    case H1_ANSWER:
        h1_close_hard(h1);
        h1_let_go(h1);
        break;
    case H1_CLOSING:
    default:
        break;
    }
}

/* An old connection says so in its next answer, where no request can cross it on the way; only when the whole
 * server goes are idle ones closed. */
static void h1_drain(struct http_conn *conn)
{
    struct h1_conn *h1 = h1_of(conn);
    if (h1_state(h1) == H1_IDLE && h1->pending == NULL && http_server_draining(conn->server)) {
        h1_close_gently(h1);
    }
}

static void h1_closed(struct http_conn *conn, enum err why)
{
    (void)why;
    struct h1_conn *h1 = h1_of(conn);
    h1_let_go(h1);
    mem_free(h1->pending);
    mem_free(h1);
}

static const struct http_conn_ops conn_ops = {
    .data = h1_data,
    .end = h1_end,
    .flush = h1_flush,
    .writable = h1_writable,
    .timeout = h1_timeout,
    .drain = h1_drain,
    .closed = h1_closed,
};

struct http_conn *http1_conn_new(struct http_server *server, struct stream *stream)
{
    struct h1_conn *h1 = mem_zalloc(sizeof *h1);
    h1->conn.ops = &conn_ops;
    h1->conn.server = server;
    h1->conn.stream = stream;
    h1->conn.version = 1;
    h1->keep_alive = true;
    sm_init(&h1->state, states, H1_STATES, H1_IDLE);
    /* Empty lines have told the version, but begin no request: the first has the time of a head to begin. */
    const struct http_limits *limits = h1_limits(h1);
    h1_set_deadline(h1, limits->header_us > 0 ? limits->header_us : limits->idle_us);
    h1_watch_deadline(h1);
    return &h1->conn;
}
