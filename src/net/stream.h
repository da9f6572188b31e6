/*
 * A stream: bytes in order, both ways, plain or TLS or in memory behind one table of operations.
 *
 * Loop thread only. Input is pushed: the handler must take all of it, or pause the stream first. Output is
 * collected in chunks borrowed from the loop and written once, at the turn's end; an idle stream holds no
 * buffer. Closing is asynchronous: on_closed is the last call, and the stream's memory is gone when it
 * returns.
 */
#ifndef EA_NET_STREAM_H
#define EA_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "net/loop.h"

struct stream;

struct stream_handler {
    /* Input. The bytes are the loop's, valid during the call only. Never called while paused or after
     * stream_close(). */
    void (*on_data)(struct stream *stream, const uint8_t *bytes, size_t n);
    /* The peer will send no more; output still goes out. May be NULL: then the stream is closed after its
     * output. */
    void (*on_end)(struct stream *stream);
    /* The turn ends: produce output now. Called when stream_flush_later() was asked for. May be NULL. */
    void (*on_flush)(struct stream *stream);
    /* The backlog has fallen to STREAM_LOW_BYTES or less after it had been over STREAM_HIGH_BYTES. May be
     * NULL. */
    void (*on_drain)(struct stream *stream);
    /* The last call. EA_OK: closed by us; EA_CLOSED: by the peer; else what went wrong. Not called inside
     * another of the stream's own functions. */
    void (*on_closed)(struct stream *stream, enum err why);
};

/* The producer should stop above HIGH and go on after on_drain. Not enforced here. */
#define STREAM_HIGH_BYTES ((size_t)64 * 1024)
#define STREAM_LOW_BYTES  ((size_t)16 * 1024)

struct stream_ops; /* net/stream_ops.h: the table an implementation fills */

struct stream {
    const struct stream_ops *ops;
    const struct stream_handler *handler;
    void *user; /* the handler's */
    struct loop *loop;
};

/* Sets handler and user and begins to read. Once, right after accept or connect. */
void stream_start(struct stream *stream, const struct stream_handler *handler, void *user);

/* Room for at least `min` (<= 16 KiB) contiguous bytes of output; *room says how many there are. The bytes
 * count when committed, before any other call on the stream. After stream_close() the bytes are taken and
 * thrown away. */
uint8_t *stream_reserve(struct stream *stream, size_t min, size_t *room) __attribute__((returns_nonnull));
void stream_commit(struct stream *stream, size_t n);

/* The same by copy, any length. */
void stream_write(struct stream *stream, const void *bytes, size_t n);

/* Bytes committed and not yet taken by the kernel (or peer). */
size_t stream_backlog(const struct stream *stream);

/* Calls on_flush at the end of this turn, before output is written. Committed output needs no such call. */
void stream_flush_later(struct stream *stream);

/* Stops and resumes on_data. Bytes that were decrypted already may be kept (bounded) and come first on
 * resume. */
void stream_pause(struct stream *stream);
void stream_resume(struct stream *stream);

/* Writes what is committed, then ends our side (FIN, close_notify) and closes once the peer has ended too or
 * `linger` is over. */
#define STREAM_LINGER_MS 2000
void stream_close(struct stream *stream);

/* Throws committed output away and closes at once (RST; over a unix socket the peer sees an end). */
void stream_abort(struct stream *stream);

/* The peer as text, "[2001:db8::1]:1234", "unix"; out is terminated. Returns the length. */
size_t stream_peer(const struct stream *stream, char *out, size_t cap);

/* The protocol chosen by ALPN ("h2", "http/1.1"); empty without TLS or when none was chosen. Known at the
 * first on_data. */
struct str stream_alpn(const struct stream *stream);

/* Whether bytes are encrypted on their way. */
bool stream_is_tls(const struct stream *stream);

#endif
