/* What an implementation of struct stream provides. See net/stream.h for the meaning of each call. */
#ifndef EA_NET_STREAM_OPS_H
#define EA_NET_STREAM_OPS_H

#include "base/sm.h"
#include "net/stream.h"

struct stream_ops {
    void (*start)(struct stream *stream);
    uint8_t *(*reserve)(struct stream *stream, size_t min, size_t *room);
    void (*commit)(struct stream *stream, size_t n);
    size_t (*backlog)(const struct stream *stream);
    void (*flush_later)(struct stream *stream);
    void (*pause)(struct stream *stream);
    void (*resume)(struct stream *stream);
    void (*close)(struct stream *stream);
    void (*abort)(struct stream *stream);
    size_t (*peer)(const struct stream *stream, char *out, size_t cap);
    struct str (*alpn)(const struct stream *stream);
    /* on_drain once the backlog is at STREAM_LOW_BYTES or less, also if it was not above HIGH; for a stream
     * that stands on this one. */
    void (*expect_drain)(struct stream *stream);
    bool tls;
};

/*
 * The life of a stream that moves the bytes itself (sockets, memory):
 *
 *     NEW ──start──► OPEN ──close──► FLUSHING ──all written──► LINGERING ──peer ended, or time is up──► DEAD
 *      │               │                │                                                               ▲
 *      └───close───────┼───────────────►│                                                               │
 *      └───────────────┴──error, abort──┴───────────────────────────────────────────────────────────────┘
 */
enum { STREAM_NEW, STREAM_OPEN, STREAM_FLUSHING, STREAM_LINGERING, STREAM_DEAD, STREAM_STATES };

extern const struct sm_state stream_states[STREAM_STATES];

/* After stream_close(): a peer that takes nothing for so long is cut off. */
#define STREAM_FLUSH_STALL_MS 10000

#endif
