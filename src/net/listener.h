/*
 * Listening sockets. Each loop has a listener of its own on the same address (SO_REUSEPORT), and the kernel
 * spreads connections. For a unix socket, loops share the one socket.
 */
#ifndef EA_NET_LISTENER_H
#define EA_NET_LISTENER_H

#include "base/error.h"
#include "net/loop.h"
#include "net/stream.h"

struct listener;
struct tls_context;

struct listener_options {
    struct str address;      /* "::" (dual stack), "0.0.0.0", "127.0.0.1", "::1", or "unix:/path" */
    uint16_t port;           /* 0: the kernel chooses; see listener_port(). Unused for unix. */
    struct tls_context *tls; /* NULL: plain. Must outlive the listener. */
    /* A listener of another loop whose address, port and (unix) socket this one shares; address and port
     * above are then not looked at. NULL: this is the first, and nobody else, not even another process of
     * this user that would share, may have the address. Needed during listener_open() only; that listener
     * must not be closed meanwhile. */
    const struct listener *sibling;
    /* Whether another connection may be had; false: it is closed at once. NULL: always. */
    bool (*admit)(void *user);
    /* A connection; the callee calls stream_start() before it returns. With TLS it comes before the
     * handshake. */
    void (*on_accept)(struct stream *stream, void *user);
    void *user;
};

/* EA_BUSY (in use), EA_CONFIG (no such address, too long a path) or EA_IO (all else), with an error that
 * names the address and the cure. A stale unix socket (nobody accepts there) is
 * replaced. */
enum err listener_open(struct listener **out, struct loop *loop, const struct listener_options *options,
                       struct error *error) EA_MUST_CHECK;

uint16_t listener_port(const struct listener *listener); /* 0 for unix */

/* Stops accepting; the listener's memory goes at the end of the turn. Accepted streams live on. The first
 * of siblings removes a unix socket from the file system. */
void listener_close(struct listener *listener);

#endif
