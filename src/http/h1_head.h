/*
 * What the head of an HTTP/1.1 request means: llhttp's parse, and the rules of RFC 9110 and 9112 that it
 * leaves to us. Deciding code.
 */
#ifndef EA_HTTP_H1_HEAD_H
#define EA_HTTP_H1_HEAD_H

#include "http/exchange.h"
#include "http/h1_fault.h"
#include "http/h1_llhttp.h"

struct h1_head {
    enum http_method method;
    struct str path; /* begins with '/', or is "*" */
    struct str query;
    struct str host;   /* of the target if that names one, else of the host field */
    struct str expect; /* p NULL: not there */
    uint64_t length;   /* of the body, when it is not chunked */
    bool chunked;
    bool keep_alive;
    uint8_t minor; /* HTTP/1.minor */
};

/*
 * Parses a head that h1_scan() found whole: n bytes up to and with the empty line. Slices point into `bytes`.
 * The fields that the service looks at go to `header` (all zero before); one that came several times is
 * joined in the arena.
 */
enum h1_fault h1_head_parse(struct h1_head *head, struct h1_llhttp *parser, const uint8_t *bytes, size_t n,
                            struct str header[HTTP_HEADERS], struct arena *arena);

#endif
