/*
 * The other end of an HTTP/2 connection, for tests: a server on a memory stream, a clock that stands still,
 * and a client that writes its frames by hand, so that it can write wrong ones. What the server sends is told
 * as text, a line a frame:
 *
 *     HEADERS 1 :status=200 content-type=application/grpc
 *     DATA 1 "hello" END
 *     RST_STREAM 1 8
 *     GOAWAY 1 11 "too_many_pings"
 *     PING ACK
 *     CLOSED
 *
 * SETTINGS and WINDOW_UPDATE are left out, and counted.
 */
#ifndef EA_TESTS_H2_PEER_H
#define EA_TESTS_H2_PEER_H

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/conn.h"
#include "http/grpc.h"
#include "http/server.h"
#include "net/memstream.h"

struct peer {
    struct clock_fake clock;
    struct loop *loop;
    struct http_server *server;
    struct stream *stream; /* the client's end; NULL when closed */
    nghttp2_hd_deflater *deflater;
    nghttp2_hd_inflater *inflater;
    bool text;        /* what comes is no frames: logged as it is */
    bool silent;      /* acknowledges neither SETTINGS nor PING */
    struct buf in;    /* bytes of a frame that is not whole */
    struct buf block; /* a header block that is not whole */
    struct buf log;
    uint64_t window_updates;
    int64_t window[2]; /* given by WINDOW_UPDATE: [0] to the connection, [1] to all streams together */

    /* The server's side. */
    struct grpc_server *grpc;
    struct http_limits limits;
    struct exchange *ex; /* the last that a handler kept */
    struct buf heard;    /* what handlers were told, as text */
    int refused;         /* on_refused: how often */
    int last_refused;    /* and with what */
};

struct peer_field {
    const char *name;
    const char *value;
};

/* limits NULL: the defaults. options NULL: an endless stream. Sends the preface and SETTINGS unless `mute`.
 */
struct peer_options {
    const struct http_limits *limits;
    const struct memstream_options *stream;
    const struct grpc_method *const *methods;
    size_t n_methods;
    bool mute;
};

void peer_init(struct peer *peer, const struct peer_options *options);
/* Closes the client's end, waits until the server has let all go. */
void peer_fini(struct peer *peer);

/* Runs turns until nothing happens any more. The clock stands still. */
void peer_run(struct peer *peer);
/* Moves the clock in steps of a tenth of a second, with turns between. */
void peer_wait_us(struct peer *peer, int64_t us);

/* What was logged since the last call. Valid until the next. */
const char *peer_log(struct peer *peer);
/* The same of what the handlers heard. */
const char *peer_heard(struct peer *peer);

/* Written at once; arrives with the next turn. */
void peer_raw(struct peer *peer, const void *bytes, size_t n);
void peer_frame(struct peer *peer, uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t n);
void peer_headers(struct peer *peer, int32_t id, uint8_t flags, const struct peer_field *fields, size_t n);
void peer_data(struct peer *peer, int32_t id, const void *bytes, size_t n, bool end);
void peer_reset(struct peer *peer, int32_t id, uint32_t code);
void peer_ping(struct peer *peer);
void peer_window(struct peer *peer, int32_t id, uint32_t n);
void peer_settings(struct peer *peer, uint16_t id, uint32_t value);

/* GET or POST `path`; a POST goes on with peer_data(). */
void peer_get(struct peer *peer, int32_t id, const char *path);
void peer_post(struct peer *peer, int32_t id, const char *path);

/*
 * The handler, by path: /echo answers the body; /late keeps the exchange in peer->ex; /stream streams its
 * input into peer->heard and keeps the exchange; /done answers 200 without waiting for the body; /bytes?N
 * answers N bytes; gRPC goes to the methods; all else is 404.
 */
extern const struct http_handler peer_handler;

#endif
