#include "net/stream.h"

#include <assert.h>
#include <string.h>

#include "net/stream_ops.h"

const struct sm_state stream_states[STREAM_STATES] = {
    [STREAM_NEW] = {"new", SM_TO(STREAM_OPEN) | SM_TO(STREAM_FLUSHING) | SM_TO(STREAM_DEAD), false},
    [STREAM_OPEN] = {"open", SM_TO(STREAM_FLUSHING) | SM_TO(STREAM_DEAD), false},
    [STREAM_FLUSHING] = {"flushing", SM_TO(STREAM_LINGERING) | SM_TO(STREAM_DEAD), false},
    [STREAM_LINGERING] = {"lingering", SM_TO(STREAM_DEAD), false},
    [STREAM_DEAD] = {"dead", 0, true},
};

void stream_start(struct stream *stream, const struct stream_handler *handler, void *user)
{
    assert(stream->handler == NULL && handler->on_data != NULL && handler->on_closed != NULL);
    stream->handler = handler;
    stream->user = user;
    stream->ops->start(stream);
}

uint8_t *stream_reserve(struct stream *stream, size_t min, size_t *room)
{
    return stream->ops->reserve(stream, min, room);
}

void stream_commit(struct stream *stream, size_t n)
{
    stream->ops->commit(stream, n);
}

void stream_write(struct stream *stream, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;

    while (n > 0) {
        size_t room;
        uint8_t *to = stream->ops->reserve(stream, 1, &room);
        size_t part = n < room ? n : room;

        memcpy(to, from, part);
        stream->ops->commit(stream, part);
        from += part;
        n -= part;
    }
}

size_t stream_backlog(const struct stream *stream)
{
    return stream->ops->backlog(stream);
}

void stream_flush_later(struct stream *stream)
{
    stream->ops->flush_later(stream);
}

void stream_pause(struct stream *stream)
{
    stream->ops->pause(stream);
}

void stream_resume(struct stream *stream)
{
    stream->ops->resume(stream);
}

void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}

void stream_abort(struct stream *stream)
{
    stream->ops->abort(stream);
}

size_t stream_peer(const struct stream *stream, char *out, size_t cap)
{
    return stream->ops->peer(stream, out, cap);
}

struct str stream_alpn(const struct stream *stream)
{
    return stream->ops->alpn != NULL ? stream->ops->alpn(stream) : STR("");
}

bool stream_is_tls(const struct stream *stream)
{
    return stream->ops->tls;
}
