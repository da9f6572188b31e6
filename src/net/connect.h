/* Outgoing connections: names are looked up (lookup.h) and their addresses tried one by one. Loop thread. */
#ifndef EA_NET_CONNECT_H
#define EA_NET_CONNECT_H

#include "base/error.h"
#include "net/loop.h"
#include "net/stream.h"

struct tls_context;
struct connect;

struct connect_options {
    struct str host; /* name, address, or "unix:/path"; copied */
    uint16_t port;
    struct tls_context *tls; /* NULL: plain */
    struct str server_name;  /* TLS: the name to verify; empty: host */
    struct mono deadline;
    /* EA_OK and a stream that the callee starts before it returns; or an error and NULL. Never inside
     * connect_open(). */
    void (*done)(void *user, struct stream *stream, enum err err, const struct error *error);
    void *user;
};

/* Holds the TLS context. TLS begins when the stream is started: that it fails is said by on_closed and
 * tls_stream_failure(). */
struct connect *connect_open(struct loop *loop, const struct connect_options *options);

/* done is not called any more. Only before it was, not inside it. */
void connect_cancel(struct connect *connect);

#endif
