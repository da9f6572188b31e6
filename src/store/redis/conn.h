/*
 * A connection to one Redis server: connects, introduces itself, keeps the order of calls and replies, notices
 * silence, and connects again for ever. Loop thread only.
 *
 *     WAITING ──backoff──► CONNECTING ──stream──► GREETING ──facts──► PREPARING ──scripts──► READY
 *        ▲                     │                     │                    │                    │
 *        └─────────────────────┴──── CLOSING ◄───────┴────────────────────┴────────────────────┘
 *
 * A call is written once; whether it was executed when the connection ends is not known, and it is not written
 * again. Before anything else the next connection has the server kill the last one, if it is still the same
 * server process: what lies in its queue then never runs.
 */
#ifndef EA_STORE_REDIS_CONN_H
#define EA_STORE_REDIS_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/sm.h"
#include "core/quorum/quorum.h"
#include "net/connect.h"
#include "net/loop.h"
#include "net/tls.h"
#include "store/redis/failure.h"
#include "store/redis/resp.h"
#include "store/redis/script.h"
#include "store/redis/url.h"

struct redis_conn;

/* The caller's memory, from conn_sent() until the last reply or `lost`, exactly one of which is the last call.
 */
struct redis_call {
    struct redis_call *next;
    unsigned replies; /* still to come */
    /* One reply; call->replies says how many follow. EA_PROTOCOL: it does not fit, and the connection ends. */
    enum err (*reply)(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value);
    void (*lost)(struct redis_conn *conn, struct redis_call *call);
};

struct redis_conn_options {
    struct loop *loop;
    const struct redis_address *address;
    const struct redis_url *url; /* user, password, database */
    struct tls_context *tls;     /* NULL: plain */
    struct str server_name;      /* TLS; empty: the host */
    int64_t silence_ms;          /* redis.operation_timeout */
    bool cluster;                /* what the server must be */
    bool old;                    /* treat it as one before 7.0 (for tests) */
    struct str shards_key;       /* where `shards` is kept, if any */
    struct str shards;           /* "2 of 3"; another one there is refused */
    struct str channel;          /* listens there, and does nothing else; empty: carries commands */
    /* A message on the channel, valid during the call. */
    void (*message)(struct redis_conn *conn, struct str text);
    /* The greeting is over: an error says why the server can't be used all the same. NULL: it can. */
    enum err (*admit)(struct redis_conn *conn, struct error *error);
    /* READY. Commands may be sent. */
    void (*up)(struct redis_conn *conn);
    /* It ended, or could not be had; `why` is printable. All calls were handed back. */
    void (*down)(struct redis_conn *conn, const char *why);
    void *user;
};

struct redis_conn {
    struct redis_conn_options options;
    struct sm sm;
    struct stream *stream;
    struct connect *connect;
    struct loop_timer timer; /* backoff, then the greeting's end, then silence */
    struct mono timer_at;
    struct mono heard; /* the last byte, or when the first of the unanswered calls was sent */
    int64_t backoff_ms;
    struct resp_reader reader;
    struct buf output; /* of this turn */
    struct redis_call *first;
    struct redis_call **end;
    struct redis_call greeting;
    struct redis_call loading;
    struct redis_call ping;
    struct redis_call recheck;
    struct mono rechecked; /* or greeted */
    bool loading_sent;
    bool ping_sent;
    bool recheck_sent;
    bool over;
    char why[sizeof((struct error *)0)->text];
    uint64_t misfits; /* connections that ended because a reply did not fit */

    /* Of the server, valid from PREPARING on. */
    struct quorum_hello hello;
    enum redis_edition edition;

    /* The last connection that carried commands, to be killed by the next. */
    uint64_t greeted_id; /* of this one */
    uint64_t client_id;
    char client_run_id[QUORUM_ID_BYTES];
};

/* Begins to connect in the next turn. */
void conn_init(struct redis_conn *conn, const struct redis_conn_options *options);

/* Ends; calls are handed back, `down` is called if it was READY. conn_is_closed() some turns later. */
void conn_close(struct redis_conn *conn);
bool conn_is_closed(const struct redis_conn *conn);
void conn_fini(struct redis_conn *conn);

bool conn_is_ready(const struct redis_conn *conn);

/* While READY: commands are appended to conn->output, each followed by this. */
void conn_sent(struct redis_conn *conn, struct redis_call *call);

/* Hands what was appended to the stream, once a turn. */
void conn_flush(struct redis_conn *conn);

/* Bytes that the server has not taken yet. */
size_t conn_backlog(const struct redis_conn *conn);

/* NOSCRIPT was answered: loads them all again. While READY. */
void conn_load_scripts(struct redis_conn *conn);

/*
 * Something says that the server is no longer what it said at the greeting: master or replica, and of which data. It is
 * asked, and if so the connection is made anew. That is also done by itself now and then.
 */
void conn_recheck(struct redis_conn *conn);

/* The connection must end: for a reply that does not fit. Counted. */
void conn_misfit(struct redis_conn *conn, const char *why);

#endif
