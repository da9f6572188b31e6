#include "http/h2.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

/* Frames written by hand: RFC 9113, 4.1 and 6.8. */
#define FRAME_HEADER_BYTES 9
#define GOAWAY_FIXED_BYTES 8
#define GOAWAY_TEXT_MAX    64
/* Flood limits of nghttp2's own, beside h2_guard.c's: it answers them with a fatal error. */
#define SETTINGS_ENTRIES_MAX 32
#define OUTBOUND_ACKS_MAX    200
#define EXCHANGES_KEEP       256

static inline struct h2_conn *h2_of(struct http_conn *http)
{
    return CONTAINER_OF(http, struct h2_conn, http);
}

/* --- what connections share --- */

struct http2_shared *http2_shared_new(struct loop *loop)
{
    struct http2_shared *shared = mem_zalloc(sizeof *shared);
    shared->loop = loop;
    slab_init(&shared->exchanges, H2_EXCHANGE_BYTES, EXCHANGES_KEEP);
    h2_mem_init(&shared->mem);
    int rv = nghttp2_session_callbacks_new(&shared->callbacks);
    assert(rv == 0);
    h2_request_callbacks(shared->callbacks);
    rv = nghttp2_option_new(&shared->option);
    assert(rv == 0);
    nghttp2_option_set_no_auto_window_update(shared->option, 1);
    nghttp2_option_set_no_closed_streams(shared->option, 1);
    nghttp2_option_set_max_settings(shared->option, SETTINGS_ENTRIES_MAX);
    nghttp2_option_set_max_outbound_ack(shared->option, OUTBOUND_ACKS_MAX);
    nghttp2_option_set_max_deflate_dynamic_table_size(shared->option, H2_ENCODER_TABLE_BYTES);
    /* Ours comes first, and says ENHANCE_YOUR_CALM. */
    nghttp2_option_set_stream_reset_rate_limit(shared->option, (uint64_t)4 * H2_GUARD_RESETS,
                                               (uint64_t)4 * H2_GUARD_RESETS);
    return shared;
}

void http2_shared_free(struct http2_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    nghttp2_option_del(shared->option);
    nghttp2_session_callbacks_del(shared->callbacks);
    h2_mem_fini(&shared->mem);
    slab_fini(&shared->exchanges);
    mem_free(shared);
}

/* --- the end --- */

void h2_conn_condemn(struct h2_conn *conn, enum h2_verdict verdict)
{
    if (conn->verdict == H2_FINE) {
        conn->verdict = (uint8_t)verdict;
    }
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
    *p++ = (uint8_t)(v >> 24);
    *p++ = (uint8_t)(v >> 16);
    *p++ = (uint8_t)(v >> 8);
    *p++ = (uint8_t)v;
    return p;
}

void h2_conn_goodbye(struct h2_conn *conn, uint32_t code, const char *text)
{
    assert(!conn->in_session);
    if (conn->closing) {
        return;
    }
    conn->closing = true;
    size_t n = strlen(text);
    assert(n <= GOAWAY_TEXT_MAX);
    /* Output is whole frames always, so one more fits behind it. */
    uint8_t frame[FRAME_HEADER_BYTES + GOAWAY_FIXED_BYTES + GOAWAY_TEXT_MAX] = {0};
    frame[2] = (uint8_t)(GOAWAY_FIXED_BYTES + n);
    frame[3] = NGHTTP2_GOAWAY;
    uint8_t *p = put_u32(frame + FRAME_HEADER_BYTES, (uint32_t)conn->last_stream);
    p = put_u32(p, code);
    memcpy(p, text, n);
    stream_write(conn->http.stream, frame, FRAME_HEADER_BYTES + GOAWAY_FIXED_BYTES + n);
    http_server_refused(conn->http.server, 0);
    stream_close(conn->http.stream);
}

static void end_condemned(struct h2_conn *conn)
{
    h2_conn_goodbye(conn, NGHTTP2_ENHANCE_YOUR_CALM, h2_verdict_text((enum h2_verdict)conn->verdict));
}

static uint32_t code_of(int rv)
{
    switch (rv) {
    case NGHTTP2_ERR_BAD_CLIENT_MAGIC:
        return NGHTTP2_PROTOCOL_ERROR;
    case NGHTTP2_ERR_FLOODED:
    case NGHTTP2_ERR_TOO_MANY_SETTINGS:
        return NGHTTP2_ENHANCE_YOUR_CALM;
    default:
        return NGHTTP2_INTERNAL_ERROR;
    }
}

/* Closes when there is nothing more to say or hear: after a GOAWAY, or when the last stream of a drain is
 * done. */
static void close_if_done(struct h2_conn *conn)
{
    if (conn->closing) {
        return;
    }
    bool left = conn->drain == H2_LEAVING && conn->n_streams == 0;
    bool wants = nghttp2_session_want_read(conn->session) != 0;
    if ((left || !wants) && nghttp2_session_want_write(conn->session) == 0) {
        conn->closing = true;
        stream_close(conn->http.stream);
    }
}

/* --- output --- */

void h2_conn_flush_later(struct h2_conn *conn)
{
    if (!conn->closing) {
        stream_flush_later(conn->http.stream);
    }
}

/* All that nghttp2 has to send, as long as the stream takes it well. False if the session is broken. */
static bool send_frames(struct h2_conn *conn)
{
    struct stream *stream = conn->http.stream;
    ssize_t n = 0;
    while (stream_backlog(stream) <= STREAM_HIGH_BYTES) {
        const uint8_t *bytes = NULL;
        conn->in_session = true;
        n = nghttp2_session_mem_send(conn->session, &bytes);
        conn->in_session = false;
        if (n <= 0) {
            break;
        }
        stream_write(stream, bytes, (size_t)n);
    }
    return n >= 0;
}

static void h2_flush(struct http_conn *http)
{
    struct h2_conn *conn = h2_of(http);
    if (conn->closing) {
        return;
    }
    bool fine = send_frames(conn);
    if (fine && conn->writable != NULL) {
        h2_answer_call_writable(conn); /* what they write goes out in the next turn */
    }
    if (fine) {
        h2_request_run_waiting(conn);
    }
    if (conn->verdict != H2_FINE) {
        end_condemned(conn);
        return;
    }
    if (!fine) {
        h2_conn_goodbye(conn, NGHTTP2_INTERNAL_ERROR, "");
        return;
    }
    close_if_done(conn);
    int64_t stall_us = http_server_limits(http->server)->write_stall_us;
    if (conn->pending_bytes > 0 && stall_us > 0) {
        h2_time_arm(conn, mono_add_us(conn->moved, stall_us));
    }
}

/* --- input --- */

static void h2_data(struct http_conn *http, const uint8_t *bytes, size_t n)
{
    struct h2_conn *conn = h2_of(http);
    if (conn->closing) {
        return;
    }
    conn->heard = h2_conn_now(conn);
    conn->in_session = true;
    ssize_t rv = nghttp2_session_mem_recv(conn->session, bytes, n);
    h2_conn_settle_chunk(conn);
    conn->in_session = false;
    if (conn->verdict != H2_FINE) {
        end_condemned(conn);
        return;
    }
    if (rv < 0) {
        h2_conn_goodbye(conn, code_of((int)rv), "");
        return;
    }
    /* mem_recv takes all, unless the session is over. */
    bool turn = conn->waiting != NULL && !h2_conn_congested(conn);
    if (turn || nghttp2_session_want_write(conn->session) != 0 ||
        nghttp2_session_want_read(conn->session) == 0) {
        h2_conn_flush_later(conn);
    }
}

static void h2_end(struct http_conn *http)
{
    struct h2_conn *conn = h2_of(http);
    if (conn->closing) {
        return;
    }
    /* What was asked for whole is still answered; the rest will never be whole. */
    conn->drain = H2_LEAVING;
    for (struct h2_stream *stream = conn->streams; stream != NULL; stream = stream->next) {
        if (stream->input != H2_IN_END && stream->input != H2_IN_WAIT_END) {
            int rv = nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
            assert(rv == 0);
            stream->reset_by_us = true;
        }
    }
    h2_conn_flush_later(conn);
}

static void h2_writable(struct http_conn *http)
{
    h2_flush(http);
}

static void h2_timeout(struct http_conn *http)
{
    h2_time_fired(h2_of(http));
}

static void h2_drain(struct http_conn *http)
{
    h2_time_drain(h2_of(http));
}

static void h2_closed(struct http_conn *http, enum err why)
{
    (void)why;
    struct h2_conn *conn = h2_of(http);
    assert(!conn->in_session);
    conn->closing = true;
    loop_timer_stop(conn->shared->loop, &http->timer);
    while (conn->streams != NULL) {
        h2_stream_detach(conn->streams);
    }
    nghttp2_session_del(conn->session);
    mem_free(conn);
}

/* --- the beginning --- */

static const struct http_conn_ops h2_conn_ops = {
    .data = h2_data,
    .end = h2_end,
    .flush = h2_flush,
    .writable = h2_writable,
    .timeout = h2_timeout,
    .drain = h2_drain,
    .closed = h2_closed,
};

static void greet(struct h2_conn *conn, const struct http_limits *limits)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->streams},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)H2_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, H2_DECODER_TABLE_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    int rv = nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LENGTH(settings));
    assert(rv == 0);
    rv = nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0, H2_CONN_WINDOW_BYTES);
    assert(rv == 0);
}

struct http_conn *http2_conn_new(struct http_server *server, struct stream *stream)
{
    const struct http_limits *limits = http_server_limits(server);
    struct h2_conn *conn = mem_zalloc(sizeof *conn);
    conn->http.ops = &h2_conn_ops;
    conn->http.server = server;
    conn->http.stream = stream;
    conn->http.version = 2;
    conn->shared = http_server_http2(server);
    struct mono now = h2_conn_now(conn);
    conn->armed = MONO_NEVER;
    conn->head_since = MONO_NEVER;
    conn->pinged = MONO_NEVER;
    conn->heard = now;
    conn->opened = now;
    conn->idle_since = now;
    conn->moved = now;
    h2_guard_init(&conn->guard, limits->ping_min_us, now);
    conn->session =
        h2_mem_session(&conn->mem, &conn->shared->mem, conn->shared->callbacks, conn, conn->shared->option);
    greet(conn, limits);
    h2_time_arm(conn, now);
    stream_flush_later(stream);
    return &conn->http;
}
