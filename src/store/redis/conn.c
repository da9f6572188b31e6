#include "store/redis/conn.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/redis/greeting.h"

#define BACKOFF_MIN_MS     50
#define BACKOFF_MAX_MS     2000
#define CONNECT_TIMEOUT_MS 1000
#define RECHECK_MASTER_MS  INT64_C(10000)
#define RECHECK_REPLICA_MS INT64_C(1000) /* it may become one that counts */
/* A timer that comes later than this says that we were paused, not that the server was silent. */
#define LATE_MS INT64_C(500)

enum { WAITING, CONNECTING, GREETING, PREPARING, READY, CLOSING, STATES };

static const struct sm_state states[STATES] = {
    [WAITING] = {"waiting", SM_TO(CONNECTING), false},
    [CONNECTING] = {"connecting", SM_TO(GREETING) | SM_TO(WAITING), false},
    [GREETING] = {"greeting", SM_TO(PREPARING) | SM_TO(CLOSING), false},
    [PREPARING] = {"preparing", SM_TO(READY) | SM_TO(CLOSING), false},
    [READY] = {"ready", SM_TO(CLOSING), false},
    [CLOSING] = {"closing", SM_TO(WAITING), false},
};

static bool is_open(const struct redis_conn *conn)
{
    unsigned now = sm_now(&conn->sm);
    return now == GREETING || now == PREPARING || now == READY;
}

bool conn_is_ready(const struct redis_conn *conn)
{
    return sm_now(&conn->sm) == READY;
}

static void set_timer(struct redis_conn *conn, int64_t ms)
{
    conn->timer_at = mono_add_ms(loop_now(conn->options.loop), ms);
    loop_timer_start(conn->options.loop, &conn->timer, conn->timer_at);
}

/* --- the end of a connection --- */

static void wait_for_next(struct redis_conn *conn)
{
    sm_move(&conn->sm, WAITING);
    if (conn->over) {
        loop_timer_stop(conn->options.loop, &conn->timer);
        return;
    }
    /* Jitter, so that the loops of all agents do not come back at once. */
    set_timer(conn, rng_range(loop_rng(conn->options.loop), conn->backoff_ms / 2, conn->backoff_ms));
    conn->backoff_ms = conn->backoff_ms * 2 < BACKOFF_MAX_MS ? conn->backoff_ms * 2 : BACKOFF_MAX_MS;
}

static void drop(struct redis_conn *conn, const char *why)
{
    if (!is_open(conn)) {
        return;
    }
    (void)snprintf(conn->why, sizeof conn->why, "%s", why);
    sm_move(&conn->sm, CLOSING);
    stream_abort(conn->stream);
}

void conn_misfit(struct redis_conn *conn, const char *why)
{
    if (is_open(conn)) {
        conn->misfits++;
        drop(conn, why);
    }
}

static void hand_back(struct redis_conn *conn)
{
    while (conn->first != NULL) {
        struct redis_call *call = conn->first;
        conn->first = call->next;
        if (conn->first == NULL) {
            conn->end = &conn->first;
        }
        call->lost(conn, call);
    }
}

/* Why the server, or TLS, ended it, with what may cure that. */
static void note_end(struct redis_conn *conn, const struct stream *stream, enum err why)
{
    const char *tls = stream_is_tls(stream) ? tls_stream_failure(stream) : "";
    const char *how = why == EA_CLOSED ? "it closed the connection" : err_text(why);
    if (tls[0] != '\0') {
        (void)snprintf(
            conn->why, sizeof conn->why,
            "TLS: %s (redis.tls.ca and redis.tls.server_name say whom to trust, redis.tls.cert who "
            "we are)",
            tls);
    } else if (sm_now(&conn->sm) == GREETING && conn->options.tls == NULL) {
        (void)snprintf(conn->why, sizeof conn->why, "%s before it said who it is: for TLS write rediss://",
                       how);
    } else {
        (void)snprintf(conn->why, sizeof conn->why, "%s", how);
    }
}

static void on_closed(struct stream *stream, enum err why)
{
    struct redis_conn *conn = stream->user;
    if (is_open(conn)) {
        note_end(conn, stream, why);
        sm_move(&conn->sm, CLOSING);
    }
    conn->stream = NULL;
    buf_clear(&conn->output);
    resp_reader_reset(&conn->reader);
    hand_back(conn);
    conn->options.down(conn, conn->why);
    wait_for_next(conn);
}

/* --- replies --- */

/* ["message", channel, text]: comes unasked, where there is a channel. */
static bool take_message(struct redis_conn *conn, const struct resp_value *value)
{
    if (conn->options.channel.n == 0 || value->type != RESP_ARRAY || value->n != 3 ||
        value->items[0].type != RESP_STRING || !str_eq(value->items[0].str, STR("message"))) {
        return false;
    }
    if (value->items[2].type == RESP_STRING) {
        conn->options.message(conn, value->items[2].str);
    }
    return true;
}

static enum err take_reply(struct redis_conn *conn, const struct resp_value *value)
{
    struct redis_call *call = conn->first;
    if (take_message(conn, value)) {
        return EA_OK;
    }
    if (call == NULL) {
        conn_misfit(conn, "it answered more than was asked");
        return EA_PROTOCOL;
    }
    if (--call->replies == 0) {
        conn->first = call->next;
        if (conn->first == NULL) {
            conn->end = &conn->first;
        }
    }
    enum err err = call->reply(conn, call, value);
    if (err != EA_OK) {
        conn_misfit(conn, "an answer does not fit the question");
    }
    return err;
}

static void on_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct redis_conn *conn = stream->user;
    struct error error = ERROR_NONE;
    const struct resp_value *value = NULL;
    conn->heard = loop_now(conn->options.loop);
    enum err err = resp_reader_feed(&conn->reader, bytes, n, &error);
    while (err == EA_OK && is_open(conn)) {
        err = resp_reader_next(&conn->reader, &value, &error);
        if (err != EA_OK || value == NULL) {
            break;
        }
        err = take_reply(conn, value);
    }
    if (err != EA_OK) {
        conn_misfit(conn, error.text); /* unless its end was said already */
    }
}

static const struct stream_handler handler = {.on_data = on_data, .on_closed = on_closed};

/* --- calls --- */

void conn_sent(struct redis_conn *conn, struct redis_call *call)
{
    assert(is_open(conn) && call->replies > 0);
    if (conn->first == NULL) {
        conn->heard = loop_now(conn->options.loop);
    }
    call->next = NULL;
    *conn->end = call;
    conn->end = &call->next;
}

void conn_flush(struct redis_conn *conn)
{
    if (conn->output.n > 0 && is_open(conn)) {
        stream_write(conn->stream, conn->output.p, conn->output.n);
    }
    buf_clear(&conn->output);
}

size_t conn_backlog(const struct redis_conn *conn)
{
    return conn->output.n + (is_open(conn) ? stream_backlog(conn->stream) : 0);
}

/* --- READY: scripts and silence --- */

static void lost_ours(struct redis_conn *conn, struct redis_call *call)
{
    conn->loading_sent = conn->loading_sent && call != &conn->loading;
    conn->ping_sent = conn->ping_sent && call != &conn->ping;
    conn->recheck_sent = conn->recheck_sent && call != &conn->recheck;
}

/* An error to PING (no right to it, a blocking script) is a sign of life too. */
static enum err ping_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    conn->ping_sent = false;
    return EA_OK;
}

/* One that cannot be loaded answers NOSCRIPT again when it is called, which is told there. */
static enum err loading_reply(struct redis_conn *conn, struct redis_call *call,
                              const struct resp_value *value)
{
    conn->loading_sent = call->replies > 0;
    return EA_OK;
}

void conn_load_scripts(struct redis_conn *conn)
{
    if (!conn_is_ready(conn) || conn->loading_sent) {
        return;
    }
    conn->loading = (struct redis_call){.reply = loading_reply, .lost = lost_ours};
    conn->loading.replies = greeting_write_scripts(conn->edition, &conn->output);
    conn->loading_sent = true;
    conn_sent(conn, &conn->loading);
    conn_flush(conn);
}

static enum err recheck_reply(struct redis_conn *conn, struct redis_call *call,
                              const struct resp_value *value)
{
    conn->recheck_sent = false;
    if (!greeting_is_same(conn, value)) {
        drop(conn, conn->hello.master ? "it is no longer the master that it was, and is looked at anew"
                                      : "it is no longer the replica that it was, and is looked at anew");
    }
    return EA_OK;
}

void conn_recheck(struct redis_conn *conn)
{
    if (!conn_is_ready(conn) || conn->recheck_sent || conn->options.channel.n > 0) {
        return;
    }
    conn->recheck = (struct redis_call){.replies = 1, .reply = recheck_reply, .lost = lost_ours};
    greeting_write_recheck(&conn->output);
    conn->recheck_sent = true;
    conn->rechecked = loop_now(conn->options.loop);
    conn_sent(conn, &conn->recheck);
    conn_flush(conn);
}

static void recheck_if_due(struct redis_conn *conn)
{
    int64_t ms = conn->hello.master ? RECHECK_MASTER_MS : RECHECK_REPLICA_MS;
    if (mono_sub(loop_now(conn->options.loop), conn->rechecked) >= ms * 1000) {
        conn_recheck(conn);
    }
}

static void watch_silence(struct redis_conn *conn)
{
    struct loop *loop = conn->options.loop;
    int64_t quiet_ms = mono_sub(loop_now(loop), conn->heard) / 1000;
    if (conn->first != NULL && quiet_ms >= conn->options.silence_ms) {
        drop(conn, "it has not answered for redis.operation_timeout");
        return;
    }
    if (conn->first == NULL && quiet_ms >= conn->options.silence_ms && !conn->ping_sent) {
        conn->ping = (struct redis_call){.replies = 1, .reply = ping_reply, .lost = lost_ours};
        resp_begin(&conn->output, 1);
        resp_add(&conn->output, STR("PING"));
        conn->ping_sent = true;
        conn_sent(conn, &conn->ping);
        conn_flush(conn);
    }
    recheck_if_due(conn);
    set_timer(conn, conn->options.silence_ms / 8 + 1);
}

/* --- the greeting --- */

static void become_ready(struct redis_conn *conn)
{
    sm_move(&conn->sm, READY);
    conn->backoff_ms = BACKOFF_MIN_MS;
    conn->hello.since = loop_now(conn->options.loop);
    conn->rechecked = conn->hello.since;
    set_timer(conn, conn->options.silence_ms / 8 + 1);
    conn->options.up(conn);
}

static enum err greeting_reply(struct redis_conn *conn, struct redis_call *call,
                               const struct resp_value *value)
{
    struct error error = ERROR_NONE;
    bool greeted = sm_now(&conn->sm) == GREETING;
    enum err err = greeted ? greeting_take_fact(conn, call->replies, value, &error)
                           : greeting_take_preparation(conn, call->replies, value, &error);
    if (err != EA_OK) {
        drop(conn, error.text);
        return EA_OK;
    }
    if (call->replies > 0) {
        return EA_OK;
    }
    if (greeted) {
        sm_move(&conn->sm, PREPARING);
        call->replies = greeting_write_preparation(conn, &conn->output);
        conn_sent(conn, call);
        conn_flush(conn);
    } else if (conn->options.admit != NULL && conn->options.admit(conn, &error) != EA_OK) {
        drop(conn, error.text);
    } else {
        become_ready(conn);
    }
    return EA_OK;
}

static void on_connected(void *user, struct stream *stream, enum err err, const struct error *error)
{
    struct redis_conn *conn = user;
    conn->connect = NULL;
    if (err != EA_OK) {
        conn->options.down(conn, error->text);
        wait_for_next(conn);
        return;
    }
    sm_move(&conn->sm, GREETING);
    conn->stream = stream;
    stream_start(stream, &handler, conn);
    conn->greeting = (struct redis_call){.reply = greeting_reply, .lost = lost_ours};
    conn->greeting.replies = greeting_write_hello(conn, &conn->output);
    conn_sent(conn, &conn->greeting);
    conn_flush(conn);
    set_timer(conn, conn->options.silence_ms);
}

static void open_connection(struct redis_conn *conn)
{
    struct loop *loop = conn->options.loop;
    sm_move(&conn->sm, CONNECTING);
    conn->connect = connect_open(loop, &(struct connect_options){
                                           .host = str_of(conn->options.address->host),
                                           .port = conn->options.address->port,
                                           .tls = conn->options.tls,
                                           .server_name = conn->options.server_name,
                                           .deadline = mono_add_ms(loop_now(loop), CONNECT_TIMEOUT_MS),
                                           .done = on_connected,
                                           .user = conn,
                                       });
}

static void fire(struct loop *loop, struct loop_timer *timer)
{
    struct redis_conn *conn = CONTAINER_OF(timer, struct redis_conn, timer);
    bool late = mono_sub(loop_now(loop), conn->timer_at) > LATE_MS * 1000;
    if (sm_now(&conn->sm) == WAITING) {
        open_connection(conn);
    } else if (is_open(conn) && late) {
        conn->heard = loop_now(loop); /* its answers may lie in the socket */
        set_timer(conn, LATE_MS);
    } else if (conn_is_ready(conn)) {
        watch_silence(conn);
    } else {
        drop(conn, conn->options.tls != NULL ? "it does not answer; is it a Redis, and does it speak TLS?"
                                             : "it does not answer; is it a Redis?");
    }
}

/* --- life --- */

void conn_init(struct redis_conn *conn, const struct redis_conn_options *options)
{
    memset(conn, 0, sizeof *conn);
    conn->options = *options;
    conn->end = &conn->first;
    conn->backoff_ms = BACKOFF_MIN_MS;
    conn->timer.fire = fire;
    sm_init(&conn->sm, states, STATES, WAITING);
    resp_reader_init(&conn->reader);
    set_timer(conn, 0);
}

void conn_close(struct redis_conn *conn)
{
    conn->over = true;
    loop_timer_stop(conn->options.loop, &conn->timer);
    if (conn->connect != NULL) {
        connect_cancel(conn->connect);
        conn->connect = NULL;
        sm_move(&conn->sm, WAITING);
    }
    drop(conn, "the agent ends");
}

bool conn_is_closed(const struct redis_conn *conn)
{
    return conn->over && sm_now(&conn->sm) == WAITING;
}

void conn_fini(struct redis_conn *conn)
{
    assert(conn->stream == NULL && conn->connect == NULL && conn->first == NULL);
    resp_reader_fini(&conn->reader);
    buf_fini(&conn->output);
}
