/* Answers to bytes: see h1.c for the whole. */
#include <assert.h>

#include "base/mem.h"
#include "base/slab.h"
#include "http/h1.h"

/* Head and body of an answer up to this size are written together. */
#define TOGETHER_BYTES ((size_t)8 * 1024)

const size_t http1_exchange_bytes = sizeof(struct h1_exchange);

static struct h1_exchange *hx_of(struct exchange *ex)
{
    return CONTAINER_OF(ex, struct h1_exchange, ex);
}

static void hx_free(struct h1_exchange *hx)
{
    struct slab *slab = http_server_exchanges(hx->ex.server);
    arena_reset(&hx->ex.arena);
    slab_free(slab, hx);
}

void h1_let_go(struct h1_conn *h1)
{
    struct h1_exchange *hx = h1->hx;
    if (hx == NULL) {
        return;
    }
    h1->hx = NULL;
    hx->h1 = NULL;
    if (!hx->ex.finished) {
        http_exchange_gone(&hx->ex);
    } else if (hx->ex.holds == 0) {
        hx_free(hx);
    }
}

static void hx_released(struct exchange *ex)
{
    struct h1_exchange *hx = hx_of(ex);
    if (hx->h1 == NULL) {
        hx_free(hx);
    }
}

/* --- answers --- */

/* Writes the head, and `body` if it is short enough; returns how much of the body it wrote. */
static size_t write_head(struct h1_conn *h1, struct h1_answer *answer, struct str body)
{
    if (h1->conn.draining || h1->hx->awaits_continue) {
        h1->keep_alive = false;
    }
    answer->date = http_server_date(h1->conn.server);
    answer->close = !h1->keep_alive;
    answer->keep_alive = h1->hx->minor == 0;
    size_t room = h1_answer_room(answer);
    assert(room <= TOGETHER_BYTES);
    size_t together = room + body.n <= TOGETHER_BYTES ? body.n : 0;
    size_t had;
    char *out = (char *)stream_reserve(h1->conn.stream, room + together, &had);
    size_t n = h1_answer_write(answer, out);
    if (together > 0) {
        memcpy(out + n, body.p, together);
    }
    stream_commit(h1->conn.stream, n + together);
    return together;
}

static void write_answer(struct h1_conn *h1, int status, const struct http_field *fields, size_t n,
                         struct str body)
{
    struct h1_answer answer = {
        .status = status, .framing = H1_BY_LENGTH, .length = body.n, .fields = fields, .n_fields = n};
    if (!h1_answer_has_body(status) || h1->hx->ex.method == HTTP_HEAD) {
        body.n = 0;
    }
    size_t wrote = write_head(h1, &answer, body);
    if (wrote < body.n) {
        stream_write(h1->conn.stream, body.p + wrote, body.n - wrote);
    }
}

void h1_refuse(struct h1_conn *h1, enum h1_fault fault)
{
    struct exchange *ex = &h1->hx->ex;
    bool began = ex->started;
    bool torn = began && !ex->finished;
    h1->keep_alive = false;
    if (!began) {
        char text[H1_FAULT_TEXT_BYTES];
        size_t n = h1_fault_text(fault, h1_limits(h1), text);
        struct str body = arena_format(&ex->arena, "{\"message\":\"%.*s\"}", (int)n, text);
        const struct http_field type = {STR("content-type"), STR("application/json; charset=utf-8")};
        write_answer(h1, h1_fault_status(fault), &type, 1, body);
    }
    if (torn) {
        h1_close_hard(h1); /* the client must not take the half for the whole */
    } else {
        h1_close_gently(h1);
    }
    h1_let_go(h1);
    http_server_refused(h1->conn.server, began ? 0 : h1_fault_status(fault));
}

static void hx_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                      struct str body)
{
    struct h1_exchange *hx = hx_of(ex);
    struct h1_conn *h1 = hx->h1;
    hx->discard = true;
    write_answer(h1, status, fields, n, body);
    h1_settle(h1);
}

static void hx_start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    struct h1_exchange *hx = hx_of(ex);
    if (hx->minor == 0) {
        hx->framing = H1_BY_CLOSE;
        hx->h1->keep_alive = false;
    } else {
        hx->framing = H1_BY_CHUNKS;
    }
    struct h1_answer answer = {.status = status, .framing = hx->framing, .fields = fields, .n_fields = n};
    write_head(hx->h1, &answer, STR(""));
    if (!h1_answer_has_body(status) || ex->method == HTTP_HEAD) {
        hx->framing = H1_BY_LENGTH; /* of 0: what is written is dropped */
    }
}

/* RFC 9112, 7.1 */
static void write_chunk(struct stream *stream, struct str bytes)
{
    char size[16 + 2];
    size_t at = sizeof size;
    size[--at] = '\n';
    size[--at] = '\r';
    for (size_t n = bytes.n; n > 0; n >>= 4) {
        size[--at] = "0123456789abcdef"[n & 15];
    }
    size_t size_bytes = sizeof size - at;
    if (bytes.n > TOGETHER_BYTES) {
        stream_write(stream, size + at, size_bytes);
        stream_write(stream, bytes.p, bytes.n);
        stream_write(stream, "\r\n", 2);
        return;
    }
    size_t room;
    uint8_t *out = stream_reserve(stream, size_bytes + bytes.n + 2, &room);
    memcpy(out, size + at, size_bytes);
    memcpy(out + size_bytes, bytes.p, bytes.n);
    out[size_bytes + bytes.n] = '\r';
    out[size_bytes + bytes.n + 1] = '\n';
    stream_commit(stream, size_bytes + bytes.n + 2);
}

static size_t hx_write(struct exchange *ex, struct str bytes)
{
    struct h1_exchange *hx = hx_of(ex);
    struct stream *stream = hx->h1->conn.stream;
    if (bytes.n > 0 && hx->framing == H1_BY_CLOSE) {
        stream_write(stream, bytes.p, bytes.n);
    } else if (bytes.n > 0 && hx->framing == H1_BY_CHUNKS) { /* a chunk of size 0 would be the last one */
        write_chunk(stream, bytes);
    }
    return stream_backlog(stream);
}

static void hx_finish(struct exchange *ex, const struct http_field *trailers, size_t n)
{
    (void)trailers;
    (void)n;
    struct h1_exchange *hx = hx_of(ex);
    struct h1_conn *h1 = hx->h1;
    hx->discard = true;
    if (!ex->started) {
        write_answer(h1, 200, NULL, 0, STR(""));
    } else if (hx->framing == H1_BY_CHUNKS) {
        stream_write(h1->conn.stream, "0\r\n\r\n", 5);
    }
    h1_settle(h1);
}

static void hx_consumed(struct exchange *ex, size_t n)
{
    struct h1_exchange *hx = hx_of(ex);
    assert(n <= hx->unconsumed);
    hx->unconsumed -= n;
    if (hx->h1 != NULL && !hx->h1->in_handler) {
        h1_gate(hx->h1);
    }
}

static void hx_reset(struct exchange *ex, uint32_t h2_code)
{
    (void)h2_code;
    struct h1_conn *h1 = hx_of(ex)->h1;
    h1_close_hard(h1);
    h1_settle(h1);
}

const struct exchange_ops h1_exchange_ops = {
    .start = hx_start,
    .answer = hx_answer,
    .write = hx_write,
    .finish = hx_finish,
    .consumed = hx_consumed,
    .reset = hx_reset,
    .released = hx_released,
};
