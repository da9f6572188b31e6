/* Answers: the operations of an exchange on HTTP/2. See h2.h. */
#include "http/h2.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define FIELDS_MAX 24
/* The least buffer, and the largest that lives in the arena. */
#define OUT_BYTES_FIRST ((size_t)256)
#define OUT_BYTES_ARENA ((size_t)1024)
/* A heap buffer that has run empty is kept up to this size. */
#define OUT_BYTES_KEEP ((size_t)4096)

static inline struct h2_stream *h2_stream_of(struct exchange *ex)
{
    return CONTAINER_OF(ex, struct h2_stream, ex);
}

/* --- output that waits --- */

static size_t waiting(const struct h2_stream *stream)
{
    return stream->out_n - stream->out_at;
}

static void out_grow(struct h2_stream *stream, size_t need)
{
    size_t cap = stream->out_cap > 0 ? stream->out_cap : OUT_BYTES_FIRST;
    while (cap < need) {
        cap *= 2;
    }
    bool first = !stream->out_arena_used && cap <= OUT_BYTES_ARENA;
    stream->out_arena_used = true;
    char *larger = first ? arena_alloc(&stream->ex.arena, cap) : mem_alloc(cap);
    size_t n = waiting(stream);
    if (stream->out != NULL && n > 0) {
        memcpy(larger, stream->out + stream->out_at, n);
    }
    if (stream->out_on_heap) {
        mem_free(stream->out);
    }
    stream->out = larger;
    stream->out_cap = cap;
    stream->out_on_heap = !first;
    stream->out_at = 0;
    stream->out_n = n;
}

static void out_append(struct h2_stream *stream, struct str bytes)
{
    if (bytes.n > stream->out_cap - stream->out_n) {
        size_t n = waiting(stream);
        if (stream->out != NULL && bytes.n <= stream->out_cap - n) {
            memmove(stream->out, stream->out + stream->out_at, n);
            stream->out_at = 0;
            stream->out_n = n;
        } else {
            out_grow(stream, n + bytes.n);
        }
    }
    memcpy(stream->out + stream->out_n, bytes.p, bytes.n);
    stream->out_n += bytes.n;
    struct h2_conn *conn = stream->conn;
    if (conn->pending_bytes == 0) {
        conn->moved = h2_conn_now(conn);
    }
    conn->pending_bytes += bytes.n;
}

static void out_emptied(struct h2_stream *stream)
{
    stream->out_at = 0;
    stream->out_n = 0;
    if (stream->out_on_heap && stream->out_cap > OUT_BYTES_KEEP) {
        mem_free(stream->out);
        stream->out = NULL;
        stream->out_cap = 0;
        stream->out_on_heap = false;
    }
}

/* nghttp2 takes output: the data source of every answer. */
static ssize_t take_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
    struct h2_stream *stream = source->ptr;
    struct h2_conn *conn = user;
    size_t left = waiting(stream);
    n = n < left ? n : left;
    if (n == 0 && !stream->finishing) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0) {
        memcpy(to, stream->out + stream->out_at, n);
        stream->out_at += n;
        conn->pending_bytes -= n;
        conn->moved = h2_conn_now(conn);
        h2_conn_consume(conn, 0);
    }
    if (waiting(stream) == 0) {
        out_emptied(stream);
        if (stream->finishing) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (stream->n_trailers > 0) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                int rv = nghttp2_submit_trailer(session, id, stream->trailers, stream->n_trailers);
                assert(rv == 0);
            }
        }
    }
    if (stream->was_full && waiting(stream) <= EXCHANGE_HIGH_BYTES / 2) {
        stream->was_full = false;
        if (!stream->queued_writable) {
            stream->queued_writable = true;
            stream->next_writable = conn->writable;
            conn->writable = stream;
        }
    }
    return (ssize_t)n;
}

void h2_answer_call_writable(struct h2_conn *conn)
{
    assert(!conn->in_session);
    while (conn->writable != NULL) {
        struct h2_stream *stream = conn->writable;
        conn->writable = stream->next_writable;
        stream->queued_writable = false;
        if (!stream->ex.finished && stream->ex.on_writable != NULL) {
            stream->ex.on_writable(&stream->ex);
        }
    }
}

/* --- header fields --- */

/* nghttp2 copies neither: names are literals, values lie in the arena, which lives until the stream is
 * closed. */
static nghttp2_nv make_nv(struct str name, struct str value)
{
    bool varies = str_eq(name, STR("grpc-message"));
    return (nghttp2_nv){
        .name = (uint8_t *)name.p,
        .namelen = name.n,
        .value = (uint8_t *)value.p,
        .valuelen = value.n,
        /* A text that differs from answer to answer would only push useful fields out of the table. */
        .flags = (uint8_t)(NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE |
                           (varies ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE)),
    };
}

/* Appends the fields with their values copied into the arena by one allocation. */
static size_t add_fields(struct exchange *ex, nghttp2_nv *nva, size_t at, const struct http_field *fields,
                         size_t n)
{
    assert(at + n <= FIELDS_MAX);
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        bytes += fields[i].value.n;
    }
    char *copy = arena_alloc(&ex->arena, bytes);
    for (size_t i = 0; i < n; i++) {
        struct str value = fields[i].value;
        if (value.n > 0) {
            memcpy(copy, value.p, value.n);
        }
        nva[at++] = make_nv(fields[i].name, str_from(copy, value.n));
        copy += value.n;
    }
    return at;
}

static struct str status_text(struct exchange *ex, int status)
{
    assert(status >= 200 && status <= 599);
    if (status == 200) {
        return STR("200");
    }
    char *text = arena_alloc(&ex->arena, 3);
    text[0] = (char)('0' + status / 100);
    text[1] = (char)('0' + status / 10 % 10);
    text[2] = (char)('0' + status % 10);
    return str_from(text, 3);
}

/* RFC 9110, 8.6: these have no body, and no length that is true. */
static bool never_has_body(int status)
{
    return status == 204 || status == 304;
}

static size_t add_head(struct exchange *ex, nghttp2_nv *nva, int status, const struct http_field *fields,
                       size_t n)
{
    size_t at = 0;
    nva[at++] = make_nv(STR(":status"), status_text(ex, status));
    if (!ex->no_date) {
        /* The text is the server's: when it has changed before the frame is packed, it is only newer. */
        nva[at++] = make_nv(STR("date"), http_server_date(ex->server));
    }
    return add_fields(ex, nva, at, fields, n);
}

static void submit(struct h2_stream *stream, const nghttp2_nv *nva, size_t n, bool with_data)
{
    const nghttp2_data_provider provider = {.source = {.ptr = stream}, .read_callback = take_out};
    int rv = nghttp2_submit_response(stream->conn->session, stream->id, nva, n, with_data ? &provider : NULL);
    assert(rv == 0);
    stream->submitted = true;
    h2_conn_flush_later(stream->conn);
}

/* --- the operations --- */

/* Nothing can be sent any more; only the exchange doesn't know it yet. */
static bool mute(const struct h2_stream *stream)
{
    return stream->conn == NULL || stream->conn->closing;
}

static void set_finishing(struct h2_stream *stream)
{
    stream->finishing = true;
    stream->conn->n_answered++;
}

static void h2_start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream)) {
        return;
    }
    nghttp2_nv nva[FIELDS_MAX];
    size_t at = add_head(ex, nva, status, fields, n);
    stream->head_only = stream->head_only || never_has_body(status);
    submit(stream, nva, at, !stream->head_only);
}

static void h2_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                      struct str body)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream)) {
        return;
    }
    nghttp2_nv nva[FIELDS_MAX];
    size_t at = add_head(ex, nva, status, fields, n);
    if (!never_has_body(status)) {
        char *digits = arena_alloc(&ex->arena, 20);
        assert(at < FIELDS_MAX);
        nva[at++] = make_nv(STR("content-length"), str_from(digits, str_from_u64(body.n, digits)));
    }
    bool with_data = body.n > 0 && !stream->head_only && !never_has_body(status);
    set_finishing(stream);
    if (with_data) {
        out_append(stream, body);
    }
    submit(stream, nva, at, with_data);
}

/* nghttp2 asks for output again. */
static void wake(struct h2_stream *stream)
{
    if (stream->deferred) {
        stream->deferred = false;
        /* Fails only for a stream that is being reset; then nothing is to be sent. */
        (void)nghttp2_session_resume_data(stream->conn->session, stream->id);
    }
    h2_conn_flush_later(stream->conn);
}

static size_t h2_write(struct exchange *ex, struct str bytes)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream) || stream->head_only || bytes.n == 0) {
        return waiting(stream);
    }
    out_append(stream, bytes);
    wake(stream);
    size_t n = waiting(stream);
    stream->was_full = stream->was_full || n > EXCHANGE_HIGH_BYTES;
    return n;
}

static void h2_finish(struct exchange *ex, const struct http_field *trailers, size_t n)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream)) {
        return;
    }
    set_finishing(stream);
    if (!stream->submitted) {
        nghttp2_nv nva[FIELDS_MAX];
        size_t at = add_head(ex, nva, 200, trailers, n);
        submit(stream, nva, at, false);
        return;
    }
    if (n > 0) {
        stream->trailers = arena_alloc(&ex->arena, n * sizeof *stream->trailers);
        stream->n_trailers = add_fields(ex, stream->trailers, 0, trailers, n);
    }
    wake(stream);
}

static void h2_consumed(struct exchange *ex, size_t n)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream)) {
        return;
    }
    /* Of an exchange that was reset or refused, all has been given back already. */
    n = n < stream->unconsumed ? n : stream->unconsumed;
    stream->unconsumed -= n;
    nghttp2_session *session = stream->conn->session;
    h2_conn_consume(stream->conn, n);
    if (stream->input != H2_IN_END) { /* after the last piece, the stream's window interests nobody */
        int rv = nghttp2_session_consume_stream(session, stream->id, n);
        assert(rv == 0);
    }
    if (nghttp2_session_want_write(session) != 0) {
        h2_conn_flush_later(stream->conn);
    }
}

static void h2_reset(struct exchange *ex, uint32_t h2_code)
{
    struct h2_stream *stream = h2_stream_of(ex);
    if (mute(stream)) {
        return;
    }
    stream->reset_by_us = true;
    if (stream->input != H2_IN_END) {
        stream->input = H2_IN_DISCARD;
    }
    int rv = nghttp2_submit_rst_stream(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id, h2_code);
    assert(rv == 0);
    h2_conn_flush_later(stream->conn);
}

static void h2_released(struct exchange *ex)
{
    struct h2_stream *stream = h2_stream_of(ex);
    assert(stream->conn == NULL);
    if (stream->out_on_heap) {
        mem_free(stream->out);
    }
    mem_free(stream->body);
    arena_reset(&ex->arena);
    slab_free(&stream->shared->exchanges, stream);
}

const struct exchange_ops h2_exchange_ops = {
    .start = h2_start,
    .answer = h2_answer,
    .write = h2_write,
    .finish = h2_finish,
    .consumed = h2_consumed,
    .reset = h2_reset,
    .released = h2_released,
};
