/* What an implementation of struct stream provides. See net/stream.h for the meaning of each call. */
#ifndef EA_NET_STREAM_OPS_H
#define EA_NET_STREAM_OPS_H

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
    bool tls;
};

#endif
