/*
 * A connection's way through here:
 *
 *     accept ──► sniff ──► HTTP/1.1 | HTTP/2 ──► drain (age, shutdown) ──► closed
 *                  │              │                    │
 *                  └── timeout ───┴── write stall ─────┴── grace over ──► aborted
 */
#include "http/server.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/slab.h"
#include "http/conn.h"

/* RFC 9113, 3.4: what a client of HTTP/2 with prior knowledge sends first. */
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_BYTES (sizeof preface - 1)

/* A backlog that has not fallen in so many looks, write_stall_us / STALL_LOOKS apart, is a stalled client. */
#define STALL_LOOKS 4

/* Exchanges kept for the next requests when traffic falls. */
#define EXCHANGES_KEPT 64

#define SECOND_US INT64_C(1000000)

const struct http_limits http_limits_default = {
    .request_line_bytes = (size_t)8 * 1024,
    .header_bytes = (size_t)16 * 1024,
    .header_count = 100,
    .body_bytes = (size_t)64 * 1024,
    .header_us = 2 * SECOND_US,
    .body_us = 10 * SECOND_US,
    .idle_us = 30 * SECOND_US,
    .age_us = 300 * SECOND_US,
    .age_grace_us = 30 * SECOND_US,
    .ping_idle_us = 10 * SECOND_US,
    .ping_timeout_us = 3 * SECOND_US,
    .ping_min_us = 10 * SECOND_US,
    .write_stall_us = 20 * SECOND_US,
    .streams = 1000,
};

/* A stream of which it is not known yet what it speaks. The bytes read so far are `matched` bytes of the
 * preface, so they need not be kept. */
struct sniff {
    struct http_server *server;
    struct stream *stream;
    struct sniff *prev;
    struct sniff *next;
    struct loop_timer timer;
    size_t matched;
};

struct http_server {
    struct loop *loop;
    struct http_limits limits;
    const struct http_handler *handler;
    void *user;
    struct http_counts counts;
    struct http_conn *conns;
    struct sniff *sniffs;
    struct slab exchanges; /* HTTP/1.1's */
    struct http2_shared *http2;
    size_t held; /* exchanges with a hold; they may outlive their connection */
    struct loop_timer stall_timer;
    int64_t date_second;
    char date[HTTP_DATE_BYTES];

    bool draining;
    struct loop_timer drain_timer;
    struct loop_task drained_task;
    void (*drained)(void *user);
    void *drained_user;
};

/* Only the loop's thread writes a count, so it need not be a locked addition. */
static void count(_Atomic uint64_t *counter, uint64_t change)
{
    uint64_t now = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, now + change, memory_order_relaxed);
}

/* A drain is over when nothing is left that could touch the server. */
static void settle(struct http_server *server)
{
    if (server->draining && server->conns == NULL && server->sniffs == NULL && server->held == 0) {
        loop_at_end(server->loop, LOOP_STAGE_FREE, &server->drained_task);
    }
}

/* --- the server's own times --- */

static void age_fire(struct loop *loop, struct loop_timer *timer)
{
    struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, age_timer);
    if (conn->draining) {
        stream_abort(conn->stream); /* the grace is over */
        return;
    }
    conn->draining = true;
    if (conn->server->limits.age_grace_us > 0) {
        loop_timer_start(loop, timer, mono_add_us(loop_now(loop), conn->server->limits.age_grace_us));
    }
    conn->ops->drain(conn);
}

/* ±10 %, so that clients that came together do not return together. */
static void age_start(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    int64_t age_us = server->limits.age_us;
    if (age_us > 0) {
        age_us += rng_range(loop_rng(server->loop), -age_us / 10, age_us / 10);
        loop_timer_start(server->loop, &conn->age_timer, mono_add_us(loop_now(server->loop), age_us));
    }
}

static void stall_start(struct http_server *server)
{
    int64_t us = server->limits.write_stall_us / STALL_LOOKS;
    if (us > 0 && server->conns != NULL) {
        loop_timer_start(server->loop, &server->stall_timer, mono_add_us(loop_now(server->loop), us));
    }
}

/*
 * Looks at every connection a few times in the stall time. A timer per connection would be started with each
 * answer; this costs nothing on the way of a request. A producer stops above EXCHANGE_HIGH_BYTES, so a
 * backlog that never falls is one of which the client takes (next to) nothing.
 */
static void stall_fire(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct http_server *server = CONTAINER_OF(timer, struct http_server, stall_timer);
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        size_t backlog = stream_backlog(conn->stream);
        bool fallen = backlog == 0 || conn->stalled_bytes == 0 || backlog < conn->stalled_bytes;
        conn->stalled_bytes = backlog;
        conn->stalled_looks = fallen ? 0 : (uint8_t)(conn->stalled_looks + 1);
        if (conn->stalled_looks == STALL_LOOKS) {
            conn->stalled_looks = 0;
            http_server_refused(server, 0);
            stream_abort(conn->stream);
        }
    }
    stall_start(server);
}

/* --- a connection whose version is known --- */

static void conn_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct http_conn *conn = stream->user;
    conn->ops->data(conn, bytes, n);
}

static void conn_end(struct stream *stream)
{
    struct http_conn *conn = stream->user;
    conn->ops->end(conn);
}

static void conn_flush(struct stream *stream)
{
    struct http_conn *conn = stream->user;
    conn->ops->flush(conn);
}

static void conn_drain(struct stream *stream)
{
    struct http_conn *conn = stream->user;
    conn->ops->writable(conn);
}

static void conn_closed(struct stream *stream, enum err why)
{
    struct http_conn *conn = stream->user;
    struct http_server *server = conn->server;
    count(&server->counts.connections[conn->version - 1][stream_is_tls(stream)], (uint64_t)-1);
    loop_timer_stop(server->loop, &conn->age_timer);
    loop_timer_stop(server->loop, &conn->timer);
    if (conn->prev != NULL) {
        conn->prev->next = conn->next;
    } else {
        server->conns = conn->next;
    }
    if (conn->next != NULL) {
        conn->next->prev = conn->prev;
    }
    conn->stream = NULL;
    conn->ops->closed(conn, why);
    settle(server);
}

static const struct stream_handler conn_handler = {
    .on_data = conn_data,
    .on_end = conn_end,
    .on_flush = conn_flush,
    .on_drain = conn_drain,
    .on_closed = conn_closed,
};

static void conn_timeout(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, timer);
    conn->ops->timeout(conn);
}

static struct http_conn *conn_new(struct http_server *server, struct stream *stream, uint8_t version)
{
    struct http_conn *conn = version == 2 ? http2_conn_new(server, stream) : http1_conn_new(server, stream);
    conn->server = server;
    conn->stream = stream;
    conn->version = version;
    conn->timer.fire = conn_timeout;
    conn->age_timer.fire = age_fire;
    conn->prev = NULL;
    conn->next = server->conns;
    server->conns = conn;
    if (conn->next != NULL) {
        conn->next->prev = conn;
    } else {
        stall_start(server);
    }
    count(&server->counts.connections[version - 1][stream_is_tls(stream)], 1);
    age_start(conn);
    stream->handler = &conn_handler;
    stream->user = conn;
    return conn;
}

/* --- sniffing: which version is it? --- */

static void sniff_free(struct sniff *sniff)
{
    struct http_server *server = sniff->server;
    loop_timer_stop(server->loop, &sniff->timer);
    if (sniff->prev != NULL) {
        sniff->prev->next = sniff->next;
    } else {
        server->sniffs = sniff->next;
    }
    if (sniff->next != NULL) {
        sniff->next->prev = sniff->prev;
    }
    count(&server->counts.undecided, (uint64_t)-1);
    mem_free(sniff);
}

/* The version is known: hands the stream over, with what was read of it before. */
static struct http_conn *sniff_become(struct sniff *sniff, uint8_t version, size_t read_before)
{
    struct http_conn *conn = conn_new(sniff->server, sniff->stream, version);
    sniff_free(sniff);
    if (read_before > 0) {
        conn->ops->data(conn, (const uint8_t *)preface, read_before);
    }
    return conn;
}

static void sniff_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct sniff *sniff = stream->user;
    size_t read_before = sniff->matched;
    struct str alpn = stream_alpn(stream);
    uint8_t version = 0;
    if (alpn.n > 0) {
        version = str_eq(alpn, STR("h2")) ? 2 : 1;
    } else {
        size_t at = 0;
        while (at < n && sniff->matched < PREFACE_BYTES && bytes[at] == (uint8_t)preface[sniff->matched]) {
            at++;
            sniff->matched++;
        }
        if (sniff->matched == PREFACE_BYTES) {
            version = 2;
        } else if (at < n) {
            version = 1;
        }
    }
    if (version != 0) {
        struct http_conn *conn = sniff_become(sniff, version, read_before);
        conn->ops->data(conn, bytes, n);
    }
}

static void sniff_end(struct stream *stream)
{
    struct sniff *sniff = stream->user;
    if (sniff->matched == 0) {
        stream_close(stream);
        return;
    }
    struct http_conn *conn = sniff_become(sniff, 1, sniff->matched);
    conn->ops->end(conn);
}

static void sniff_closed(struct stream *stream, enum err why)
{
    (void)why;
    struct sniff *sniff = stream->user;
    struct http_server *server = sniff->server;
    sniff_free(sniff);
    settle(server);
}

static const struct stream_handler sniff_handler = {
    .on_data = sniff_data,
    .on_end = sniff_end,
    .on_closed = sniff_closed,
};

/* No answer: what would be understood is not known. */
static void sniff_timeout(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct sniff *sniff = CONTAINER_OF(timer, struct sniff, timer);
    http_server_refused(sniff->server, 0);
    stream_abort(sniff->stream);
}

void http_server_accept(struct http_server *server, struct stream *stream)
{
    struct sniff *sniff = mem_zalloc(sizeof *sniff);
    sniff->server = server;
    sniff->stream = stream;
    sniff->timer.fire = sniff_timeout;
    sniff->next = server->sniffs;
    if (sniff->next != NULL) {
        sniff->next->prev = sniff;
    }
    server->sniffs = sniff;
    count(&server->counts.accepted, 1);
    count(&server->counts.undecided, 1);
    if (server->limits.header_us > 0) {
        loop_timer_start(server->loop, &sniff->timer,
                         mono_add_us(loop_now(server->loop), server->limits.header_us));
    }
    stream_start(stream, &sniff_handler, sniff);
    if (server->draining) {
        stream_abort(stream);
    }
}

/* --- drain --- */

static void drained_run(struct loop *loop, struct loop_task *task)
{
    struct http_server *server = CONTAINER_OF(task, struct http_server, drained_task);
    void (*drained)(void *user) = server->drained;
    server->drained = NULL;
    loop_timer_stop(loop, &server->drain_timer);
    if (drained != NULL) {
        drained(server->drained_user); /* may free the server */
    }
}

void http_server_held(struct http_server *server, int change)
{
    server->held += (size_t)change;
    settle(server);
}

static void drain_deadline(struct loop *loop, struct loop_timer *timer)
{
    (void)loop;
    struct http_server *server = CONTAINER_OF(timer, struct http_server, drain_timer);
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        stream_abort(conn->stream);
    }
    for (struct sniff *sniff = server->sniffs; sniff != NULL; sniff = sniff->next) {
        stream_abort(sniff->stream);
    }
}

void http_server_drain(struct http_server *server, struct mono deadline, void (*done)(void *user), void *user)
{
    assert(!server->draining);
    server->draining = true;
    server->drained = done;
    server->drained_user = user;
    loop_timer_start(server->loop, &server->drain_timer, deadline);
    for (struct sniff *sniff = server->sniffs; sniff != NULL; sniff = sniff->next) {
        stream_close(sniff->stream);
    }
    for (struct http_conn *conn = server->conns; conn != NULL; conn = conn->next) {
        conn->draining = true;
        conn->ops->drain(conn);
    }
    settle(server);
}

/* --- what the versions ask --- */

struct loop *http_server_loop(const struct http_server *server)
{
    return server->loop;
}

const struct http_limits *http_server_limits(const struct http_server *server)
{
    return &server->limits;
}

const struct http_handler *http_server_handler(const struct http_server *server, void **user)
{
    *user = server->user;
    return server->handler;
}

struct slab *http_server_exchanges(struct http_server *server)
{
    return &server->exchanges;
}

struct http2_shared *http_server_http2(struct http_server *server)
{
    return server->http2;
}

bool http_server_draining(const struct http_server *server)
{
    return server->draining;
}

void http_server_refused(struct http_server *server, int status)
{
    count(&server->counts.refused, 1);
    if (server->handler->on_refused != NULL) {
        server->handler->on_refused(status, server->user);
    }
}

static void two_digits(char *out, int value)
{
    out[0] = (char)('0' + value / 10 % 10);
    out[1] = (char)('0' + value % 10);
}

/* By hand: strftime() would ask the locale for the names. */
static void date_format(int64_t second, char out[HTTP_DATE_BYTES])
{
    static const char form[HTTP_DATE_BYTES] = "Day, 00 Mon 0000 00:00:00 GMT";
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t t = (time_t)second;
    struct tm tm = {0};
    gmtime_r(&t, &tm);
    memcpy(out, form, sizeof form);
    memcpy(out, days + (ptrdiff_t)3 * tm.tm_wday, 3);
    two_digits(out + 5, tm.tm_mday);
    memcpy(out + 8, months + (ptrdiff_t)3 * tm.tm_mon, 3);
    two_digits(out + 12, (tm.tm_year + 1900) / 100);
    two_digits(out + 14, (tm.tm_year + 1900) % 100);
    two_digits(out + 17, tm.tm_hour);
    two_digits(out + 20, tm.tm_min);
    two_digits(out + 23, tm.tm_sec);
}

struct str http_server_date(struct http_server *server)
{
    int64_t second = loop_wall(server->loop).us / SECOND_US;
    if (second != server->date_second) {
        server->date_second = second;
        date_format(second, server->date);
    }
    return str_from(server->date, HTTP_DATE_BYTES);
}

/* --- the server itself --- */

struct http_server *http_server_new(const struct http_server_options *options)
{
    struct http_server *server = mem_zalloc(sizeof *server);
    server->loop = options->loop;
    server->limits = options->limits;
    server->handler = options->handler;
    server->user = options->user;
    server->date_second = -1;
    server->stall_timer.fire = stall_fire;
    server->drain_timer.fire = drain_deadline;
    server->drained_task.run = drained_run;
    slab_init(&server->exchanges, http1_exchange_bytes, EXCHANGES_KEPT);
    server->http2 = http2_shared_new(server->loop);
    return server;
}

void http_server_set_limits(struct http_server *server, const struct http_limits *limits)
{
    server->limits = *limits;
    stall_start(server);
}

const struct http_counts *http_server_counts(const struct http_server *server)
{
    return &server->counts;
}

void http_server_free(struct http_server *server)
{
    assert(server->conns == NULL && server->sniffs == NULL && server->held == 0);
    loop_timer_stop(server->loop, &server->stall_timer);
    loop_timer_stop(server->loop, &server->drain_timer);
    slab_fini(&server->exchanges);
    http2_shared_free(server->http2);
    mem_free(server);
}
