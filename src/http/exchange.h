/*
 * An exchange: one request and its answer, whatever version of HTTP carries it. HTTP/1.1 and HTTP/2 make
 * exchanges; REST, gRPC and event streams live on them and do not know which version it is.
 *
 * Loop thread. The exchange's memory is the connection's slab; everything that belongs to the request
 * (slices, body, decoded message, the store's request) lives in its arena and ends with it. It lives until
 * the answer is finished, or the client is gone, *and* all holds are released: whoever waits for a store
 * holds it, and may answer a client that has gone (nothing happens then).
 */
#ifndef EA_HTTP_EXCHANGE_H
#define EA_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "net/loop.h"

struct exchange;
struct http_server;

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER /* a well-formed method that nobody here knows */
};

const char *http_method_name(enum http_method method);
/* HTTP_OTHER if none of ours; names are case-sensitive (RFC 9110, 9.1). */
enum http_method http_method_find(struct str name);

enum http_header {
#define H(id, name) HTTP_##id,
#include "http/headers.def"
#undef H
    HTTP_HEADERS
};

/* Which field this (lower-case) name is; HTTP_HEADERS if none of ours. */
enum http_header http_header_find(struct str name);

/* A field of an answer. Names are lower-case literals. Values are copied. */
struct http_field {
    struct str name;
    struct str value;
};

/*
 * What a version of HTTP provides. exchange.c keeps the rules before it calls one: nothing of a gone or
 * finished exchange gets here, and `started` and `finished` are set already (finish: `started` tells whether
 * start came before). An operation may free the exchange unless it is held.
 */
struct exchange_ops {
    void (*start)(struct exchange *ex, int status, const struct http_field *fields, size_t n);
    void (*answer)(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                   struct str body);
    size_t (*write)(struct exchange *ex, struct str bytes);
    void (*finish)(struct exchange *ex, const struct http_field *trailers, size_t n);
    void (*consumed)(struct exchange *ex, size_t n);
    void (*reset)(struct exchange *ex, uint32_t h2_code);
    /* The exchange is over and the last hold was let go: free it, unless it is still needed to read the rest
     * of its request. Over without any hold, the version frees it by itself. */
    void (*released)(struct exchange *ex);
};

struct exchange {
    const struct exchange_ops *ops;
    struct http_server *server;
    struct loop *loop;
    struct arena arena;

    /* The request. Slices point into the arena or, until the handler returns, into the read buffer (see
     * `stable`). They may move between on_head and on_request: keep none from the one to the other. */
    enum http_method method;
    uint8_t version;  /* 1 or 2 */
    bool secure;      /* over TLS */
    bool stable;      /* slices outlive the handler's call; else exchange_keep() makes them so */
    struct str path;  /* raw, begins with '/', without query; "*" for OPTIONS * */
    struct str query; /* raw, without '?' */
    struct str host;  /* :authority or Host */
    struct str
        header[HTTP_HEADERS]; /* p NULL: not there. A field that came several times is joined by ", ". */
    struct str body;          /* on_request: all of it */
    struct mono arrived;      /* when its last needed byte was read: validity counts from here */

    /* --- the handler's, set in on_head or on_request --- */
    void *user;
    bool no_date; /* the answer carries no Date field (gRPC) */
    /* Streaming input (only if on_head returned HTTP_STREAM): pieces in order, `last` with the final (maybe
     * empty) one. Each byte must be given back by exchange_consumed(), which is what bounds memory. */
    void (*on_data)(struct exchange *ex, struct str piece, bool last);
    /* Output that was refused fits again. */
    void (*on_writable)(struct exchange *ex);
    /* The client is gone (reset, closed). Called once, never after the answer is finished. Calls are still
     * allowed and do nothing. */
    void (*on_gone)(struct exchange *ex);

    /* --- http's own --- */
    uint32_t holds;
    bool started;  /* the answer has begun */
    bool finished; /* and ended */
    bool gone;
};

enum http_intake {
    HTTP_BUFFER, /* collect the body (bounded), then on_request */
    HTTP_STREAM, /* on_data gets it */
    HTTP_DONE    /* answered already; what else comes is thrown away */
};

/* Who answers. One table for a server. */
struct http_handler {
    /* The head has come. Method, path and headers are there. */
    enum http_intake (*on_head)(struct exchange *ex, void *user);
    /* The whole request has come (HTTP_BUFFER). */
    void (*on_request)(struct exchange *ex, void *user);
    /* A rule of HTTP was broken, and `status` answered without the handler (0: the connection or stream just
     * ended). It says nothing about an exchange: one that the handler has seen already hears of its end by
     * on_gone, unless its answer was finished. May be NULL. */
    void (*on_refused)(int status, void *user);
};

/*
 * --- answering ---
 *
 * Content-Length (or chunking), Date and connection management are http's; HEAD answers lose their body
 * there. A header value with CR, LF or NUL is a bug and asserted against; so are more than 8 KiB of fields
 * (HTTP/1.1).
 */

/* The whole answer at once; the body is copied into the connection's output. */
void exchange_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                     struct str body);

/* In pieces: start, write..., finish. */
void exchange_start(struct exchange *ex, int status, const struct http_field *fields, size_t n);
/* All of it is taken (copied); returns the bytes that now wait for the client. A producer of unbounded output
 * stops when that is over EXCHANGE_HIGH_BYTES and goes on at on_writable; nobody's memory grows otherwise. */
#define EXCHANGE_HIGH_BYTES ((size_t)64 * 1024)
size_t exchange_write(struct exchange *ex, struct str bytes);
/* Trailers: HTTP/2 only, ignored by HTTP/1.1. Without a start before it, it is the trailers-only answer of
 * gRPC: `trailers` come with :status 200 and end of stream. */
void exchange_finish(struct exchange *ex, const struct http_field *trailers, size_t n);

/* n bytes of streamed input were dealt with. */
void exchange_consumed(struct exchange *ex, size_t n);

/* Ends it with RST_STREAM (HTTP/2) or by closing the connection (HTTP/1.1). */
void exchange_reset(struct exchange *ex, uint32_t h2_code);

/* Keeps the exchange and its arena beyond its answer or the client's leaving. */
void exchange_hold(struct exchange *ex);
void exchange_release(struct exchange *ex);

/* Copies what `path`, `query`, `host`, `header` and `body` point to into the arena unless it is stable
 * already. Call before returning from a handler without having answered. */
void exchange_keep(struct exchange *ex);

#endif
