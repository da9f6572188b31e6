/*
 * Server-sent events (HTML standard, 9.2) on an exchange: an encoder, nothing more. Who has more events than a client
 * takes decides by what the writes return; see exchange_write().
 *
 *     sse_start(ex);
 *     waiting = sse_send(ex, &(struct sse_event){.id = id, .data = json});
 *     ...
 *     exchange_finish(ex, NULL, 0);
 */
#ifndef EA_HTTP_SSE_H
#define EA_HTTP_SSE_H

#include "base/buf.h"
#include "http/exchange.h"

struct sse_event {
    struct str id;   /* empty: none; without CR, LF and NUL */
    struct str name; /* "event:"; empty: none, the client's "message" */
    struct str data; /* each of its lines becomes a line of "data:" */
};

/* Adds the event as it goes over the wire. Line ends in data (CRLF, CR, LF) all arrive as LF. */
void sse_encode(struct buf *out, const struct sse_event *event);

/* Begins the answer: 200, text/event-stream, not to be cached or buffered by proxies. */
void sse_start(struct exchange *ex);

/* Both return the bytes that now wait for the client. */
size_t sse_send(struct exchange *ex, const struct sse_event *event);
/* A line that clients ignore and that keeps proxies awake. */
size_t sse_keep_awake(struct exchange *ex);

/* The id of the last event that a client which comes back has seen; empty if it said none. */
struct str sse_last_id(const struct exchange *ex);

#endif
