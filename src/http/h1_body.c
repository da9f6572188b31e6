#include "http/h1_body.h"

/* Framing that a byte of content may cost: one-byte chunks take 5. More is extensions, which nobody here
 * reads and which must not be a way to send without end. */
#define OVERHEAD_PER_BYTE 8

/* One call of take_chunks(). */
struct chunks {
    struct h1_body *body;
    const struct http_limits *limits;
    h1_on_piece *on_piece;
    void *user;
    const char *counted; /* up to here everything is counted */
};

/* Counts framing up to `at`. */
static enum h1_fault count_overhead(struct chunks *chunks, const char *at)
{
    struct h1_body *body = chunks->body;
    body->overhead += (size_t)(at - chunks->counted);
    chunks->counted = at;
    uint64_t limit = chunks->limits->header_bytes + OVERHEAD_PER_BYTE * body->content;
    return body->overhead > limit ? H1_CHUNK_OVERHEAD : H1_FINE;
}

static enum h1_fault chunk_piece(void *user, struct str piece)
{
    struct chunks *chunks = user;
    enum h1_fault fault = count_overhead(chunks, piece.p);
    if (fault != H1_FINE) {
        return fault;
    }
    chunks->body->content += piece.n;
    chunks->counted = piece.p + piece.n;
    return chunks->on_piece(chunks->user, piece);
}

void h1_body_init(struct h1_body *body, const struct h1_head *head)
{
    *body = (struct h1_body){
        .left = head->length,
        .chunked = head->chunked,
        .done = !head->chunked && head->length == 0,
        .scan = H1_SCAN_TRAILERS,
    };
}

static size_t take_counted(struct h1_body *body, const uint8_t *bytes, size_t n, h1_on_piece *on_piece,
                           void *user, enum h1_fault *fault)
{
    size_t take = n < body->left ? n : (size_t)body->left;
    body->left -= take;
    body->done = body->left == 0;
    *fault = on_piece(user, str_from(bytes, take));
    return take;
}

static size_t take_chunks(struct h1_body *body, struct h1_llhttp *parser, const struct http_limits *limits,
                          const uint8_t *bytes, size_t n, h1_on_piece *on_piece, void *user,
                          enum h1_fault *fault)
{
    const char *text = (const char *)bytes;
    struct chunks chunks = {body, limits, on_piece, user, text};
    size_t used = h1_llhttp_chunks(parser, text, n, chunk_piece, &chunks, &body->in_trailers, fault);
    /* Not after a fault of a piece: the position is before it then. */
    if (text + used >= chunks.counted) {
        enum h1_fault overhead = count_overhead(&chunks, text + used);
        *fault = overhead != H1_FINE ? overhead : *fault;
    }
    return used;
}

static size_t take_trailers(struct h1_body *body, struct h1_llhttp *parser, const struct http_limits *limits,
                            const uint8_t *bytes, size_t n, enum h1_fault *fault)
{
    size_t used = h1_scan(&body->scan, limits, bytes, n, fault);
    enum h1_fault before = h1_llhttp_trailers(parser, (const char *)bytes, used, &body->done);
    if (before != H1_FINE) {
        *fault = before;
    } else if (*fault == H1_FINE && body->done != body->scan.done) {
        *fault = H1_BAD_CHUNK;
    }
    return used;
}

size_t h1_body_take(struct h1_body *body, struct h1_llhttp *parser, const struct http_limits *limits,
                    const uint8_t *bytes, size_t n, h1_on_piece *on_piece, void *user, enum h1_fault *fault)
{
    size_t used = 0;
    *fault = H1_FINE;
    while (used < n && !body->done && *fault == H1_FINE) {
        const uint8_t *at = bytes + used;
        if (!body->chunked) {
            used += take_counted(body, at, n - used, on_piece, user, fault);
        } else if (!body->in_trailers) {
            used += take_chunks(body, parser, limits, at, n - used, on_piece, user, fault);
        } else {
            used += take_trailers(body, parser, limits, at, n - used, fault);
        }
    }
    return used;
}
