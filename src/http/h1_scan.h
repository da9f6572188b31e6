/*
 * Measures the head of a request (or the trailers of a chunked body) as its bytes arrive: every line ends in
 * CRLF, and CR and LF are nowhere else; the limits hold; where is the empty line? Deciding code.
 *
 * The head is parsed only when it is whole and in one piece. So slices need not be glued together, and a
 * request means the same however its bytes were cut. RFC 9112, 2.2 lets a server take a bare LF for a line's
 * end; we don't, since another server on the way may not (request smuggling, RFC 9112, 11.2).
 */
#ifndef EA_HTTP_H1_SCAN_H
#define EA_HTTP_H1_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/h1_fault.h"
#include "http/server.h"

/* All zero: before the request line. H1_SCAN_TRAILERS: no request line. */
struct h1_scan {
    uint32_t line;        /* complete lines; 0: in the request line */
    uint32_t line_bytes;  /* of the current one, without its end */
    uint32_t field_bytes; /* of the complete field lines, with their ends */
    uint8_t empty_lines;  /* before the request line */
    bool cr;              /* the last byte was a CR */
    bool done;            /* the empty line was seen */
};

#define H1_SCAN_TRAILERS ((struct h1_scan){.line = 1})

/* Empty lines before a request line that are forgiven (RFC 9112, 2.2 asks for one). */
#define H1_EMPTY_LINES_MAX 4

/* Looks at n more bytes. Returns how many belong here: all, unless scan->done was set, or *fault by what
 * comes behind them. */
size_t h1_scan(struct h1_scan *scan, const struct http_limits *limits, const uint8_t *bytes, size_t n,
               enum h1_fault *fault);

/* What methods and field names are made of (RFC 9110, 5.6.2). */
bool h1_is_token_char(uint8_t c);

#endif
