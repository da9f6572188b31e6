/* What can be wrong with an HTTP/1.1 request, and what the client is told. */
#ifndef EA_HTTP_H1_FAULT_H
#define EA_HTTP_H1_FAULT_H

#include <stddef.h>

struct http_limits;

enum h1_fault {
    H1_FINE,
    H1_NOT_HTTP,
    H1_BARE_LF,
    H1_BARE_CR,
    H1_FOLDED,
    H1_EMPTY_LINES,
    H1_LINE_TOO_LONG,
    H1_FIELDS_TOO_LARGE,
    H1_TOO_MANY_FIELDS,
    H1_LISTS_TOO_LARGE,
    H1_BAD_LINE,
    H1_BAD_TARGET,
    H1_BAD_VERSION,
    H1_BAD_FIELD,
    H1_BAD_LENGTH,
    H1_LENGTH_AND_CODING,
    H1_BAD_CODING,
    H1_UNKNOWN_CODING,
    H1_NO_HOST,
    H1_BAD_HOST,
    H1_TWO_HOSTS,
    H1_CONNECT,
    H1_EXPECTATION,
    H1_BODY_TOO_LARGE,
    H1_BAD_CHUNK,
    H1_CHUNK_OVERHEAD,
    H1_HEAD_LATE,
    H1_BODY_LATE,
    H1_CUT_OFF,
    H1_FAULTS
};

/* The status that answers it. */
int h1_fault_status(enum h1_fault fault);

/* ASCII without quotes, backslashes and control characters; names the limit that was broken. Returns the
 * length. */
#define H1_FAULT_TEXT_BYTES 160
size_t h1_fault_text(enum h1_fault fault, const struct http_limits *limits, char out[H1_FAULT_TEXT_BYTES]);

#endif
