#include "http/h1_scan.h"

#include <string.h>

bool h1_is_token_char(uint8_t c)
{
    static const bool token[256] = {
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,  ['#'] = true,
        ['$'] = true,         ['%'] = true,         ['&'] = true,         ['\''] = true, ['*'] = true,
        ['+'] = true,         ['-'] = true,         ['.'] = true,         ['^'] = true,  ['_'] = true,
        ['`'] = true,         ['|'] = true,         ['~'] = true,
    };
    return token[c];
}

/* Bytes that the current line may still have. */
static size_t line_room(const struct h1_scan *scan, const struct http_limits *limits)
{
    size_t limit = limits->request_line_bytes;
    size_t used = scan->line_bytes;
    if (scan->line > 0) {
        limit = limits->header_bytes;
        used += scan->field_bytes + 2;
    }
    return limit > used ? limit - used : 0;
}

static enum h1_fault line_begin(const struct h1_scan *scan, uint8_t first)
{
    if (first == '\r') {
        return H1_FINE;
    }
    if (first == '\n') {
        return H1_BARE_LF;
    }
    if (scan->line == 0) {
        return h1_is_token_char(first) ? H1_FINE : H1_NOT_HTTP;
    }
    return first == ' ' || first == '\t' ? H1_FOLDED : H1_FINE;
}

/* CRLF was seen. */
static enum h1_fault line_end(struct h1_scan *scan, const struct http_limits *limits)
{
    scan->cr = false;
    if (scan->line_bytes == 0) {
        if (scan->line > 0) {
            scan->done = true;
        } else if (++scan->empty_lines > H1_EMPTY_LINES_MAX) {
            return H1_EMPTY_LINES;
        }
        return H1_FINE;
    }
    if (scan->line > 0) {
        scan->field_bytes += scan->line_bytes + 2;
        if (scan->line > limits->header_count) {
            return H1_TOO_MANY_FIELDS;
        }
    }
    scan->line++;
    scan->line_bytes = 0;
    return H1_FINE;
}

/* Takes bytes of a line up to its CR, or up to the first that is wrong. */
static size_t line_text(struct h1_scan *scan, const struct http_limits *limits, const uint8_t *bytes,
                        size_t n, enum h1_fault *fault)
{
    /* One byte more than fits is looked at, so that the first thing wrong is what is told. */
    size_t room = line_room(scan, limits);
    size_t look = n <= room ? n : room + 1;
    const uint8_t *cr = memchr(bytes, '\r', look);
    size_t text = cr != NULL ? (size_t)(cr - bytes) : look;
    const uint8_t *lf = memchr(bytes, '\n', text);
    if (lf != NULL) {
        *fault = H1_BARE_LF;
        return (size_t)(lf - bytes);
    }
    if (text > room) {
        *fault = scan->line == 0 ? H1_LINE_TOO_LONG : H1_FIELDS_TOO_LARGE;
        return room;
    }
    scan->line_bytes += (uint32_t)text;
    scan->cr = cr != NULL;
    return text + scan->cr;
}

size_t h1_scan(struct h1_scan *scan, const struct http_limits *limits, const uint8_t *bytes, size_t n,
               enum h1_fault *fault)
{
    size_t at = 0;
    *fault = H1_FINE;
    while (at < n && !scan->done && *fault == H1_FINE) {
        if (scan->cr) {
            if (bytes[at] != '\n') {
                *fault = H1_BARE_CR;
                break;
            }
            *fault = line_end(scan, limits);
            at++;
            continue;
        }
        if (scan->line_bytes == 0) {
            *fault = line_begin(scan, bytes[at]);
        }
        if (*fault == H1_FINE) {
            at += line_text(scan, limits, bytes + at, n - at, fault);
        }
    }
    return at;
}
