/* What comes: nghttp2's callbacks, from frames to exchanges. See h2.h. */
#include "http/h2.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define BODY_BYTES_FIRST 1024

/* --- a stream's life --- */

static struct h2_stream *stream_new(struct h2_conn *conn, int32_t id)
{
    struct http2_shared *shared = conn->shared;
    struct h2_stream *stream = slab_alloc(&shared->exchanges);
    memset(stream, 0, offsetof(struct h2_stream, block));
    struct exchange *ex = &stream->ex;
    ex->ops = &h2_exchange_ops;
    ex->server = conn->http.server;
    ex->loop = shared->loop;
    ex->version = 2;
    ex->secure = stream_is_tls(conn->http.stream);
    arena_init(&ex->arena, stream->block, H2_EXCHANGE_BYTES - offsetof(struct h2_stream, block));
    stream->shared = shared;
    stream->conn = conn;
    stream->id = id;
    stream->opened = h2_conn_now(conn);
    stream->next = conn->streams;
    if (stream->next != NULL) {
        stream->next->prev = stream;
    }
    conn->streams = stream;
    conn->n_streams++;
    conn->mem.resting = false;
    exchange_hold(ex); /* the connection's */
    return stream;
}

/* --- requests that wait for their turn --- */

static void waiting_add(struct h2_conn *conn, struct h2_stream *stream)
{
    stream->next_waiting = NULL;
    if (conn->waiting != NULL) {
        conn->last_waiting->next_waiting = stream;
    } else {
        conn->waiting = stream;
    }
    conn->last_waiting = stream;
}

/* Of those that are reset, which the guard counts, or when the connection ends; else it is the first. */
static void waiting_remove(struct h2_conn *conn, struct h2_stream *stream)
{
    struct h2_stream *before = NULL;
    for (struct h2_stream *at = conn->waiting; at != stream; at = at->next_waiting) {
        before = at;
    }
    if (before != NULL) {
        before->next_waiting = stream->next_waiting;
    } else {
        conn->waiting = stream->next_waiting;
    }
    if (conn->last_waiting == stream) {
        conn->last_waiting = before;
    }
}

static void unlink_stream(struct h2_conn *conn, struct h2_stream *stream)
{
    if (stream->prev != NULL) {
        stream->prev->next = stream->next;
    } else {
        conn->streams = stream->next;
    }
    if (stream->next != NULL) {
        stream->next->prev = stream->prev;
    }
    if (stream->queued_writable) {
        struct h2_stream **at = &conn->writable;
        while (*at != stream) {
            at = &(*at)->next_writable;
        }
        *at = stream->next_writable;
    }
    if (conn->chunk_owner == stream) {
        conn->chunk_owner = NULL;
    }
    if (stream->input == H2_IN_WAIT || stream->input == H2_IN_WAIT_END) {
        waiting_remove(conn, stream);
    }
    conn->n_streams--;
    conn->n_answered -= stream->finishing;
    conn->head_bytes -= stream->head_bytes;
    conn->pending_bytes -= stream->out_n - stream->out_at;
}

void h2_conn_consume(struct h2_conn *conn, size_t n)
{
    conn->withheld += n;
    if (conn->withheld > 0 && conn->pending_bytes <= H2_PENDING_BYTES_HIGH && !conn->closing) {
        int rv = nghttp2_session_consume_connection(conn->session, conn->withheld);
        assert(rv == 0);
        conn->withheld = 0;
    }
}

void h2_stream_detach(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;
    unlink_stream(conn, stream);
    h2_conn_consume(conn, stream->unconsumed);
    stream->unconsumed = 0;
    stream->conn = NULL;
    if (conn->n_streams == 0 && !conn->closing) {
        conn->idle_since = h2_conn_now(conn);
        h2_time_arm(conn, mono_add_us(conn->idle_since, H2_REST_US));
    }
    struct exchange *ex = &stream->ex;
    if (!ex->finished && !ex->gone) {
        http_exchange_gone(ex);
    }
    exchange_release(ex);
}

void h2_stream_refuse(struct h2_stream *stream, int status, const char *text)
{
    struct exchange *ex = &stream->ex;
    struct http_server *server = ex->server;
    if (stream->input != H2_IN_END) {
        stream->input = H2_IN_DISCARD;
    }
    if (!ex->started && !ex->gone) {
        const struct http_field type = {STR("content-type"), STR("text/plain; charset=utf-8")};
        h2_exchange_ops.answer(ex, status, &type, 1, str_of(text));
        http_exchange_gone(ex); /* for its handler, this is the end */
    }
    http_server_refused(server, status);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    conn->head_since = h2_conn_now(conn);
    h2_time_arm(conn, mono_add_us(conn->head_since, http_server_limits(conn->http.server)->header_us));
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    conn->last_stream = frame->hd.stream_id;
    struct h2_stream *stream = stream_new(conn, frame->hd.stream_id);
    return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

/* --- from head to end --- */

/* Asks the handler. */
static void begin(struct h2_conn *conn, struct h2_stream *stream)
{
    struct exchange *ex = &stream->ex;
    ex->arrived = h2_conn_now(conn);
    stream->opened = ex->arrived;
    const struct http_limits *limits = http_server_limits(conn->http.server);
    void *handler_user = NULL;
    const struct http_handler *handler = http_server_handler(conn->http.server, &handler_user);
    switch (handler->on_head(ex, handler_user)) {
    case HTTP_BUFFER:
        stream->input = H2_IN_BUFFER;
        if (limits->body_us > 0) {
            h2_time_arm(conn, mono_add_us(stream->opened, limits->body_us));
        }
        break;
    case HTTP_STREAM:
        stream->input = H2_IN_STREAM;
        break;
    case HTTP_DONE:
        stream->input = H2_IN_DISCARD;
        break;
    }
}

/* RFC 9110, 10.1.1. Whoever sends a body without waiting for this needs it no more. */
static void tell_to_continue(struct h2_stream *stream)
{
    bool wants = stream->awaits_continue && stream->body_bytes == 0 &&
                 (stream->input == H2_IN_BUFFER || stream->input == H2_IN_STREAM);
    if (!wants || stream->ex.started) {
        return;
    }
    const nghttp2_nv status = {
        .name = (uint8_t *)":status", .namelen = 7, .value = (uint8_t *)"100", .valuelen = 3};
    int rv =
        nghttp2_submit_headers(stream->conn->session, NGHTTP2_FLAG_NONE, stream->id, NULL, &status, 1, NULL);
    assert(rv == 0);
    h2_conn_flush_later(stream->conn);
}

static void head_came(struct h2_conn *conn, struct h2_stream *stream)
{
    struct exchange *ex = &stream->ex;
    if (stream->refused != 0) {
        h2_stream_refuse(stream, stream->refused, "the header fields are too large or too many\n");
        return;
    }
    bool asterisk = ex->method == HTTP_OPTIONS && str_eq(ex->path, STR("*"));
    if (ex->path.n == 0 || (ex->path.p[0] != '/' && !asterisk)) {
        h2_stream_refuse(stream, 400, "the path does not begin with /\n");
        return;
    }
    if (conn->waiting != NULL || h2_conn_congested(conn)) {
        stream->input = H2_IN_WAIT;
        waiting_add(conn, stream);
        return;
    }
    begin(conn, stream);
    tell_to_continue(stream);
}

static void append_body(struct h2_stream *stream, struct str piece)
{
    if (stream->body_n + piece.n > stream->body_cap) {
        size_t cap = stream->body_cap > 0 ? stream->body_cap : BODY_BYTES_FIRST;
        while (cap < stream->body_n + piece.n) {
            cap *= 2;
        }
        stream->body = mem_realloc(stream->body, cap);
        stream->body_cap = cap;
    }
    memcpy(stream->body + stream->body_n, piece.p, piece.n);
    stream->body_n += piece.n;
}

static void give_piece(struct h2_conn *conn, struct h2_stream *stream, struct str piece, bool last)
{
    stream->ex.arrived = h2_conn_now(conn);
    if (!stream->ex.finished && stream->ex.on_data != NULL) {
        stream->ex.on_data(&stream->ex, piece, last);
    }
}

void h2_conn_settle_chunk(struct h2_conn *conn)
{
    struct h2_stream *stream = conn->chunk_owner;
    if (stream == NULL) {
        return;
    }
    conn->chunk_owner = NULL;
    struct str piece = stream->chunk;
    stream->chunk = (struct str){NULL, 0};
    if (stream->input == H2_IN_WAIT) {
        append_body(stream, piece); /* and no window: what may come now is bounded */
    } else if (stream->input == H2_IN_BUFFER) {
        append_body(stream, piece);
        /* The stream's window must let the rest in; the connection's, which bounds what all its bodies hold,
         * is given back when the request was handled. */
        int rv = nghttp2_session_consume_stream(conn->session, stream->id, piece.n);
        assert(rv == 0);
    } else if (stream->input == H2_IN_STREAM) {
        give_piece(conn, stream, piece, false);
    } else {
        h2_conn_consume(conn, stream->unconsumed);
        stream->unconsumed = 0;
    }
}

static void body_came(struct h2_conn *conn, struct h2_stream *stream)
{
    struct exchange *ex = &stream->ex;
    ex->arrived = h2_conn_now(conn);
    bool chunk = conn->chunk_owner == stream;
    if (chunk && stream->body_n == 0) {
        ex->body = stream->chunk;
    } else {
        if (chunk) {
            append_body(stream, stream->chunk);
        }
        ex->body = str_from(stream->body, stream->body_n);
    }
    ex->stable = ex->body.n == 0; /* the fields are in the arena */
    if (chunk) {
        conn->chunk_owner = NULL;
    }
    void *handler_user = NULL;
    const struct http_handler *handler = http_server_handler(conn->http.server, &handler_user);
    /* The exchange may be answered and stays all the same until nghttp2 closes the stream. */
    handler->on_request(ex, handler_user);
    mem_free(stream->body);
    stream->body = NULL;
    h2_conn_consume(conn, stream->unconsumed);
    stream->unconsumed = 0;
}

/* The client has said all. */
static void input_ended(struct h2_conn *conn, struct h2_stream *stream)
{
    uint8_t was = stream->input;
    if (was == H2_IN_WAIT) {
        h2_conn_settle_chunk(conn);
        stream->input = H2_IN_WAIT_END;
        return;
    }
    stream->input = H2_IN_END;
    switch (was) {
    case H2_IN_BUFFER:
        body_came(conn, stream);
        break;
    case H2_IN_STREAM: {
        struct str piece = {"", 0};
        if (conn->chunk_owner == stream) {
            conn->chunk_owner = NULL;
            piece = stream->chunk;
        }
        give_piece(conn, stream, piece, true);
        break;
    }
    default:
        break;
    }
}

static bool body_is_too_large(struct h2_conn *conn, struct h2_stream *stream)
{
    if (stream->input != H2_IN_BUFFER ||
        stream->body_bytes <= http_server_limits(conn->http.server)->body_bytes) {
        return false;
    }
    h2_conn_consume(conn, stream->unconsumed);
    stream->unconsumed = 0;
    h2_stream_refuse(stream, 413, "the body is too large\n");
    return true;
}

/* As if all that came while it waited came now, in one piece. */
static void resume(struct h2_conn *conn, struct h2_stream *stream)
{
    bool whole = stream->input == H2_IN_WAIT_END;
    char *bytes = stream->body;
    struct str piece = {bytes, stream->body_n};
    stream->body = NULL;
    stream->body_n = 0;
    stream->body_cap = 0;
    begin(conn, stream);
    if (!whole) {
        tell_to_continue(stream);
    }
    if (piece.n > 0 && !body_is_too_large(conn, stream)) {
        stream->chunk = piece;
        conn->chunk_owner = stream;
    }
    if (whole) {
        input_ended(conn, stream);
    }
    h2_conn_settle_chunk(conn);
    mem_free(bytes);
}

void h2_request_run_waiting(struct h2_conn *conn)
{
    assert(!conn->in_session);
    while (conn->waiting != NULL && !h2_conn_congested(conn)) {
        struct h2_stream *stream = conn->waiting;
        waiting_remove(conn, stream);
        resume(conn, stream);
    }
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n,
                         void *user)
{
    (void)flags;
    struct h2_conn *conn = user;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL || stream->input == H2_IN_DISCARD || stream->ex.finished) {
        /* Only the connection's window: the stream's runs out, and with it what such a client can send. */
        h2_conn_consume(conn, n);
        return 0;
    }
    h2_conn_settle_chunk(conn);
    stream->body_bytes += n;
    stream->unconsumed += n;
    if (body_is_too_large(conn, stream)) {
        return 0;
    }
    /* It stays where it is: mostly this is the whole body, and the frame says so in a moment. */
    stream->chunk = str_from(bytes, n);
    conn->chunk_owner = stream;
    return 0;
}

/* --- frames --- */

static int judge(struct h2_conn *conn, enum h2_verdict verdict)
{
    if (verdict == H2_FINE) {
        return 0;
    }
    h2_conn_condemn(conn, verdict);
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    (void)session;
    struct h2_conn *conn = user;
    if (hd->type != NGHTTP2_CONTINUATION) {
        conn->head_since = MONO_NEVER;
    }
    if (hd->type == NGHTTP2_RST_STREAM) {
        return 0; /* judged when it is whole */
    }
    return judge(conn, h2_guard_frame(&conn->guard, hd->type, hd->flags, hd->length, h2_conn_now(conn)));
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        bool head = frame->hd.type == NGHTTP2_HEADERS;
        if (head) {
            conn->head_since = MONO_NEVER;
        }
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (stream == NULL) {
            return 0;
        }
        bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        if (head && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            stream->awaits_continue = stream->awaits_continue && !ends;
            head_came(conn, stream);
        }
        if (ends) {
            input_ended(conn, stream);
        }
        return 0;
    }
    case NGHTTP2_SETTINGS:
        conn->settled = true;
        return 0;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            h2_time_pong(conn);
            return 0;
        }
        return judge(conn, h2_guard_ping(&conn->guard, h2_conn_now(conn)));
    case NGHTTP2_RST_STREAM:
        return judge(conn, h2_guard_reset(&conn->guard, h2_conn_now(conn)));
    default:
        return 0;
    }
}

/* nghttp2 answers it itself, by RST_STREAM or GOAWAY. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int why, void *user)
{
    (void)session;
    (void)frame;
    (void)why;
    struct h2_conn *conn = user;
    conn->head_since = MONO_NEVER;
    return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct h2_conn *conn = user;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        h2_guard_answered(&conn->guard);
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
            return 0;
        }
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (stream != NULL && stream->input != H2_IN_END) {
            /* Answered before all was said (RFC 9113, 8.1): the client need not go on. */
            return nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                             NGHTTP2_NO_ERROR);
        }
        return 0;
    }
    case NGHTTP2_RST_STREAM: {
        struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR && (stream == NULL || !stream->reset_by_us)) {
            return judge(conn, h2_guard_reset(&conn->guard, h2_conn_now(conn)));
        }
        return 0;
    }
    case NGHTTP2_GOAWAY:
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            http_server_refused(conn->http.server, 0);
        } else {
            h2_time_announced(conn);
        }
        return 0;
    default:
        return 0;
    }
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)code;
    (void)user;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream != NULL) {
        h2_stream_detach(stream);
    }
    return 0;
}

void h2_request_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, h2_head_field);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
}
