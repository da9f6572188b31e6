/*
 * HTTP/2's times: one timer per connection. See h2.h.
 *
 * The way of a request does not touch the timer: it stays set to the earliest time at which something could
 * be due, and when it fires, everything is looked at and the next time is found. Only what brings a nearer
 * time arms it.
 *
 *                    drain, idle            PING back, or late           no stream left
 *       H2_OPEN ──────────────────► H2_ANNOUNCED ──────────► H2_LEAVING ──────────────► closed
 *               GOAWAY 2^31-1, PING              GOAWAY last
 */
#include "http/h2.h"

#include <assert.h>

/* If limits name none: how long the PING of a drain may take. */
#define ANNOUNCED_US_DEFAULT 1000000

static const uint8_t keepalive_bytes[8] = {'e', 'a', '-', 'a', 'l', 'i', 'v', 'e'};
static const uint8_t leaving_bytes[8] = {'e', 'a', '-', 'l', 'e', 'a', 'v', 'e'};

/* 0 means never. */
static struct mono after(struct mono t, int64_t us)
{
    return us > 0 ? mono_add_us(t, us) : MONO_NEVER;
}

void h2_time_arm(struct h2_conn *conn, struct mono at)
{
    if (mono_before(at, conn->armed) && !conn->closing) {
        conn->armed = at;
        loop_timer_start(conn->shared->loop, &conn->http.timer, at);
    }
}

/* --- drain --- */

static void leave(struct h2_conn *conn)
{
    conn->drain = H2_LEAVING;
    int rv = nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                                   nghttp2_session_get_last_proc_stream_id(conn->session), NGHTTP2_NO_ERROR,
                                   NULL, 0);
    assert(rv == 0);
    h2_conn_flush_later(conn);
}

static int64_t announced_us(const struct http_limits *limits)
{
    return limits->ping_timeout_us > 0 ? limits->ping_timeout_us : ANNOUNCED_US_DEFAULT;
}

void h2_time_drain(struct h2_conn *conn)
{
    if (conn->closing || conn->drain != H2_OPEN) {
        return;
    }
    conn->drain = H2_ANNOUNCED;
    conn->announced = h2_conn_now(conn);
    int rv = nghttp2_submit_shutdown_notice(conn->session);
    assert(rv == 0);
    h2_time_arm(conn, mono_add_us(conn->announced, announced_us(http_server_limits(conn->http.server))));
    h2_conn_flush_later(conn);
}

void h2_time_announced(struct h2_conn *conn)
{
    /* Not before: nghttp2 sends PING ahead of what waits, and this one must come behind. */
    if (conn->drain == H2_ANNOUNCED) {
        int rv = nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, leaving_bytes);
        assert(rv == 0);
    }
}

void h2_time_pong(struct h2_conn *conn)
{
    conn->pinged = MONO_NEVER;
    if (conn->drain == H2_ANNOUNCED) {
        leave(conn);
    }
}

/* --- what may be due --- */

struct look {
    struct h2_conn *conn;
    const struct http_limits *limits;
    struct mono now;
    struct mono next; /* when to look again */
};

/* Whether `at` has come; if not, the look that comes after this one is not later than it. */
static bool due(struct look *look, struct mono at)
{
    if (!mono_before(look->now, at)) {
        return true;
    }
    look->next = mono_min(look->next, at);
    return false;
}

/* Gone without a word: nobody is there to hear one. */
static void drop(struct h2_conn *conn, bool broke_rule)
{
    conn->closing = true;
    if (broke_rule) {
        http_server_refused(conn->http.server, 0);
    }
    stream_abort(conn->http.stream);
}

/* The client must go on with what it began: its SETTINGS, a header block, a body. */
static void look_at_input(struct look *look)
{
    struct h2_conn *conn = look->conn;
    if (!conn->settled && due(look, after(conn->opened, look->limits->header_us))) {
        h2_conn_goodbye(conn, NGHTTP2_PROTOCOL_ERROR, "no SETTINGS came");
        return;
    }
    if (conn->head_since.us != MONO_NEVER.us && due(look, after(conn->head_since, look->limits->header_us))) {
        h2_conn_goodbye(conn, NGHTTP2_ENHANCE_YOUR_CALM, "the header fields took too long");
        return;
    }
    for (struct h2_stream *stream = conn->streams; stream != NULL; stream = stream->next) {
        if (stream->input == H2_IN_BUFFER && due(look, after(stream->opened, look->limits->body_us))) {
            h2_stream_refuse(stream, 408, "the body took too long\n");
        }
    }
}

/* Answers wait for a window that does not open. (A backlog that does not fall is server.c's.) */
static void look_at_output(struct look *look)
{
    struct h2_conn *conn = look->conn;
    if (!conn->closing && conn->pending_bytes > 0 &&
        due(look, after(conn->moved, look->limits->write_stall_us))) {
        drop(conn, true);
    }
}

static void look_at_peer(struct look *look)
{
    struct h2_conn *conn = look->conn;
    if (conn->closing) {
        return;
    }
    if (conn->pinged.us != MONO_NEVER.us && mono_before(conn->pinged, conn->heard)) {
        conn->pinged = MONO_NEVER; /* whatever came, it is alive */
    }
    if (conn->pinged.us != MONO_NEVER.us) {
        if (due(look, after(conn->pinged, look->limits->ping_timeout_us))) {
            drop(conn, false);
        }
    } else if (conn->drain != H2_ANNOUNCED && due(look, after(conn->heard, look->limits->ping_idle_us))) {
        int rv = nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, keepalive_bytes);
        assert(rv == 0);
        conn->pinged = look->now;
        (void)due(look, after(look->now, look->limits->ping_timeout_us));
        h2_conn_flush_later(conn);
    }
}

static void look_at_rest(struct look *look)
{
    struct h2_conn *conn = look->conn;
    if (conn->closing) {
        return;
    }
    if (conn->n_streams == 0 && !conn->mem.resting && due(look, mono_add_us(conn->heard, H2_REST_US))) {
        h2_mem_rest(&conn->mem);
    }
    if (conn->drain == H2_ANNOUNCED && due(look, mono_add_us(conn->announced, announced_us(look->limits)))) {
        leave(conn);
    }
    if (conn->drain == H2_OPEN && conn->n_streams == 0 &&
        due(look, after(conn->idle_since, look->limits->idle_us))) {
        h2_time_drain(conn);
    }
}

void h2_time_fired(struct h2_conn *conn)
{
    conn->armed = MONO_NEVER;
    if (conn->closing) {
        return;
    }
    struct look look = {
        .conn = conn,
        .limits = http_server_limits(conn->http.server),
        .now = h2_conn_now(conn),
        .next = MONO_NEVER,
    };
    look_at_input(&look);
    look_at_output(&look);
    look_at_rest(&look);
    look_at_peer(&look);
    h2_time_arm(conn, look.next);
}
