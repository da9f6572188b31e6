/* The body of an HTTP/1.1 request out of its bytes: so many of them, or chunks. Deciding code. */
#ifndef EA_HTTP_H1_BODY_H
#define EA_HTTP_H1_BODY_H

#include "http/h1_head.h"
#include "http/h1_scan.h"

struct h1_body {
    uint64_t left;       /* not chunked: what is still to come */
    uint64_t content;    /* chunked: bytes of content so far, */
    uint64_t overhead;   /* and of sizes, extensions and line ends */
    struct h1_scan scan; /* the trailers */
    bool chunked;
    bool in_trailers;
    bool done;
};

/* As the head says that the body comes. The caller's memory, nothing to free. */
void h1_body_init(struct h1_body *body, const struct h1_head *head);

/*
 * Takes bytes and gives the pieces of the content among them to on_piece, whose fault ends it. Returns how
 * many bytes it took: all, unless body->done or *fault was set. Trailers are checked and forgotten.
 */
size_t h1_body_take(struct h1_body *body, struct h1_llhttp *parser, const struct http_limits *limits,
                    const uint8_t *bytes, size_t n, h1_on_piece *on_piece, void *user, enum h1_fault *fault);

#endif
