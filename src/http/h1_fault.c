#include "http/h1_fault.h"

#include <assert.h>
#include <stdio.h>

#include "base/mem.h"
#include "http/server.h"

/* `%` in a text stands for the limit that was broken. */
static const struct {
    int status;
    const char *text;
} faults[H1_FAULTS] = {
    [H1_FINE] = {200, "fine"},
    [H1_NOT_HTTP] = {400, "this is not HTTP (TLS on a plain port?)"},
    [H1_BARE_LF] = {400, "a line feed without a carriage return before it"},
    [H1_BARE_CR] = {400, "a carriage return without a line feed behind it"},
    [H1_FOLDED] = {400, "a header line begins with a space: folded lines are obsolete and not accepted"},
    [H1_EMPTY_LINES] = {400, "too many empty lines before the request"},
    [H1_LINE_TOO_LONG] = {414, "the request line is longer than % bytes"},
    [H1_FIELDS_TOO_LARGE] = {431, "the header fields are larger than % bytes"},
    [H1_TOO_MANY_FIELDS] = {431, "there are more than % header fields"},
    [H1_LISTS_TOO_LARGE] = {431,
                            "the values of header fields that come several times are too large together"},
    [H1_BAD_LINE] = {400, "the request line is not: method, space, target, space, HTTP/1.1"},
    [H1_BAD_TARGET] = {400, "the request target is not a path or an http URI"},
    [H1_BAD_VERSION] = {505, "the version is neither HTTP/1.1 nor HTTP/1.0, nor HTTP/2 with its preface"},
    [H1_BAD_FIELD] = {400, "a header line is malformed"},
    [H1_BAD_LENGTH] = {400, "content-length is not one decimal number"},
    [H1_LENGTH_AND_CODING] = {400, "content-length and transfer-encoding contradict each other"},
    [H1_BAD_CODING] = {400, "transfer-encoding is malformed or does not end in chunked"},
    [H1_UNKNOWN_CODING] = {501, "the only transfer-encoding known here is chunked"},
    [H1_NO_HOST] = {400, "HTTP/1.1 needs a host field"},
    [H1_BAD_HOST] = {400, "the host field is malformed"},
    [H1_TWO_HOSTS] = {400, "there is more than one host field"},
    [H1_CONNECT] = {501, "CONNECT is not offered: this is not a proxy"},
    [H1_EXPECTATION] = {417, "the only expectation known here is 100-continue"},
    [H1_BODY_TOO_LARGE] = {413, "the body is larger than % bytes"},
    [H1_BAD_CHUNK] = {400, "the chunked body is malformed"},
    [H1_CHUNK_OVERHEAD] = {400, "the chunked body has more framing than content"},
    [H1_HEAD_LATE] = {408, "the head of the request did not come within % ms"},
    [H1_BODY_LATE] = {408, "the body of the request did not come within % ms"},
    [H1_CUT_OFF] = {400, "the request ends in its middle"},
};

int h1_fault_status(enum h1_fault fault)
{
    assert((unsigned)fault < H1_FAULTS);
    return faults[fault].status;
}

static uint64_t broken_limit(enum h1_fault fault, const struct http_limits *limits)
{
    switch (fault) {
    case H1_LINE_TOO_LONG:
        return limits->request_line_bytes;
    case H1_FIELDS_TOO_LARGE:
        return limits->header_bytes;
    case H1_TOO_MANY_FIELDS:
        return limits->header_count;
    case H1_BODY_TOO_LARGE:
        return limits->body_bytes;
    case H1_HEAD_LATE:
        return (uint64_t)limits->header_us / 1000;
    case H1_BODY_LATE:
        return (uint64_t)limits->body_us / 1000;
    default:
        return 0;
    }
}

size_t h1_fault_text(enum h1_fault fault, const struct http_limits *limits, char out[H1_FAULT_TEXT_BYTES])
{
    assert((unsigned)fault < H1_FAULTS);
    size_t n = 0;
    for (const char *c = faults[fault].text; *c != '\0'; c++) {
        assert(n + 20 < H1_FAULT_TEXT_BYTES);
        if (*c == '%') {
            n += str_from_u64(broken_limit(fault, limits), out + n);
        } else {
            out[n++] = *c;
        }
    }
    return n;
}
