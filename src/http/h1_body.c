#include "http/h1_body.h"

/* Framing that a byte of content may cost: one-byte chunks take 5. More is extensions, which nobody here
 * reads and which must not be a way to send without end. */
#define OVERHEAD_PER_BYTE 8

struct count {
    h1_on_piece *on_piece;
    void *user;
    uint64_t content;
};

static enum h1_fault count_piece(void *user, struct str piece)
{
    struct count *count = user;
    count->content += piece.n;
    return count->on_piece(count->user, piece);
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
    struct count count = {on_piece, user, 0};
    size_t used =
        h1_llhttp_chunks(parser, (const char *)bytes, n, count_piece, &count, &body->in_trailers, fault);
    if (*fault == H1_FINE) {
        body->content += count.content;
        body->overhead += used - count.content;
        if (body->overhead > limits->header_bytes + OVERHEAD_PER_BYTE * body->content) {
            *fault = H1_CHUNK_OVERHEAD;
        }
    }
    return used;
}

static size_t take_trailers(struct h1_body *body, struct h1_llhttp *parser, const struct http_limits *limits,
                            const uint8_t *bytes, size_t n, enum h1_fault *fault)
{
    size_t used = h1_scan(&body->scan, limits, bytes, n, fault);
    if (*fault == H1_FINE) {
        *fault = h1_llhttp_trailers(parser, (const char *)bytes, used, &body->done);
    }
    if (*fault == H1_FINE && body->done != body->scan.done) {
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
