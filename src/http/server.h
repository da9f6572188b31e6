/*
 * The HTTP side of a listener: takes accepted streams, tells HTTP/2 (preface or ALPN) from HTTP/1.1, makes
 * exchanges, enforces limits and timeouts, drains. One per loop. Loop thread.
 */
#ifndef EA_HTTP_SERVER_H
#define EA_HTTP_SERVER_H

#include "http/exchange.h"
#include "net/stream.h"

/* Times in microseconds, sizes in bytes; 0 in a time: none. */
struct http_limits {
    size_t request_line_bytes; /* 8 KiB: 414 */
    size_t header_bytes;       /* 16 KiB, all fields: 431 */
    size_t header_count;       /* 100: 431 */
    size_t body_bytes;         /* 64 KiB: 413 */
    int64_t header_us;         /* 2 s from the first byte of a request to the end of its head: 408; also from
                                  accept (TLS handshake included) until the version is known: closed */
    int64_t body_us;           /* 10 s for the body: 408 */
    int64_t idle_us;           /* 30 s (grpc.max_connection_idle): HTTP/1.1 closes, HTTP/2 GOAWAY */
    int64_t age_us; /* 300 s ± 10 % (grpc.max_connection_age): HTTP/2 GOAWAY, HTTP/1.1 "connection: close" */
    int64_t age_grace_us;    /* 30 s, then by force */
    int64_t ping_idle_us;    /* 10 s: HTTP/2 PING to an idle client */
    int64_t ping_timeout_us; /* 3 s without an answer: closed */
    int64_t ping_min_us;    /* 10 s: more frequent client pings (two strikes allowed) get ENHANCE_YOUR_CALM */
    int64_t write_stall_us; /* 20 s during which a client with a backlog takes nothing: closed */
    uint32_t streams;       /* 1000 concurrent HTTP/2 streams */
};

extern const struct http_limits http_limits_default;

/* Counted per loop, read from any thread. */
struct http_counts {
    _Atomic uint64_t connections[2][2]; /* [0: HTTP/1.1, 1: HTTP/2][0: plain, 1: TLS], open now */
    _Atomic uint64_t undecided;         /* open, too; their version is not known yet */
    _Atomic uint64_t accepted;
    _Atomic uint64_t refused; /* closed for a broken rule */
};

struct http_server_options {
    struct loop *loop;
    struct http_limits limits;
    const struct http_handler *handler;
    void *user; /* the handler's */
};

/* Serves nothing before http_server_accept(). Options are copied, the handler outlives the server. Loop thread, as all
 * below but the counts. */
struct http_server *http_server_new(const struct http_server_options *options);

/* Takes over an accepted stream and starts it. */
void http_server_accept(struct http_server *server, struct stream *stream);

/* Limits may change while running (reload); they hold from the next connection or request on. */
void http_server_set_limits(struct http_server *server, const struct http_limits *limits);

/* Live as long as the server. */
const struct http_counts *http_server_counts(const struct http_server *server);

/* Graceful: idle connections are closed, busy ones finish their requests (GOAWAY, "connection: close").
 * `done` when none is left; those that remain at the deadline are aborted. */
void http_server_drain(struct http_server *server, struct mono deadline, void (*done)(void *user),
                       void *user);

/* No connection may be left. */
void http_server_free(struct http_server *server);

#endif
