/*
 * What server.c and the two versions of HTTP agree on: a connection. Internal to http/.
 *
 * server.c owns the stream's handler, the list of connections, the sniffing of the version, the age and the
 * drain; h1.c and h2.c own what the bytes mean. A connection embeds `struct http_conn` first and is freed by
 * its own `closed`.
 */
#ifndef EA_HTTP_CONN_H
#define EA_HTTP_CONN_H

#include "http/exchange.h"
#include "http/server.h"
#include "net/stream.h"

struct http_conn;

struct http_conn_ops {
    /* Input, as stream_handler.on_data. */
    void (*data)(struct http_conn *conn, const uint8_t *bytes, size_t n);
    /* The peer sends no more. */
    void (*end)(struct http_conn *conn);
    /* The turn ends, after stream_flush_later(). */
    void (*flush)(struct http_conn *conn);
    /* The backlog has fallen. */
    void (*writable)(struct http_conn *conn);
    /* conn->timer fired: the connection's own timeouts. */
    void (*timeout)(struct http_conn *conn);
    /* Take no new requests, finish what runs, close: drain, or the age is over (HTTP/2: GOAWAY). May be
     * called twice. */
    void (*drain)(struct http_conn *conn);
    /* The stream is gone: tell the exchanges (on_gone) and free the connection when the last one is released.
     */
    void (*closed)(struct http_conn *conn, enum err why);
};

struct http_conn {
    const struct http_conn_ops *ops;
    struct http_server *server;
    struct stream *stream;  /* NULL after closed */
    struct http_conn *prev; /* the server's list, server.c's */
    struct http_conn *next;
    struct loop_timer timer;     /* the version's own timeouts (ops->timeout) */
    struct loop_timer age_timer; /* server.c's */
    size_t stalled_bytes;        /* server.c's: the backlog it last saw, */
    uint8_t stalled_looks;       /* and how many times in a row it had not fallen */
    uint8_t version;             /* 1 or 2 */
    bool draining;               /* set by server.c before the first ops->drain */
};

/*
 * Allocate and set up (embedding struct http_conn, ops and version set); server.c links it and then hands it
 * the bytes read so far through ops->data.
 */
struct http_conn *http1_conn_new(struct http_server *server, struct stream *stream);
struct http_conn *http2_conn_new(struct http_server *server, struct stream *stream);

/* What the HTTP/2 connections of one server share: buffers, slabs, nghttp2's tables of callbacks and options.
 * Made by http_server_new(), freed by http_server_free() after the last connection and exchange. */
struct http2_shared;
struct http2_shared *http2_shared_new(struct loop *loop);
void http2_shared_free(struct http2_shared *shared);
struct http2_shared *http_server_http2(struct http_server *server);

/* Size of an HTTP/1.1 exchange, for the server's slab. */
extern const size_t http1_exchange_bytes;

/* What both versions need of the server. */
struct loop *http_server_loop(const struct http_server *server);
const struct http_limits *http_server_limits(const struct http_server *server);
const struct http_handler *http_server_handler(const struct http_server *server, void **user);
/* Slab for HTTP/1.1's exchanges, shared by the connections on this loop. (HTTP/2's is in http2_shared.) */
struct slab *http_server_exchanges(struct http_server *server);
/* The whole server drains (not only this connection, because of its age). */
bool http_server_draining(const struct http_server *server);
/* The value of the Date field (RFC 9110, 5.6.7), made once a second. */
#define HTTP_DATE_BYTES 29
struct str http_server_date(struct http_server *server);
/* A rule was broken and `status` answered (0: just closed): counts, and tells handler->on_refused. */
void http_server_refused(struct http_server *server, int status);
/* exchange.c's: an exchange got its first hold (1), or its last one was let go (-1). A drain waits for it. */
void http_server_held(struct http_server *server, int change);

/* The client of an unfinished exchange is gone: marks it, tells the handler, and lets the exchange go
 * (ops->released) unless somebody holds it. Forget the exchange before calling this. */
void http_exchange_gone(struct exchange *ex);

#endif
