/*
 * llhttp, strict, behind a small door: its header is included by h1_llhttp.c alone, since its names for
 * methods (HTTP_GET...) are those of http/exchange.h. Deciding code.
 */
#ifndef EA_HTTP_H1_LLHTTP_H
#define EA_HTTP_H1_LLHTTP_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "http/h1_fault.h"

#define H1_LLHTTP_BYTES 96

struct h1_llhttp {
    alignas(8) unsigned char state[H1_LLHTTP_BYTES];
};

/* What it says about a head. */
struct h1_llhttp_head {
    struct str target;
    uint64_t length; /* 0 if there is no content-length */
    uint8_t major;
    uint8_t minor;
    bool keep_alive;
    bool coded;   /* transfer-encoding was there */
    bool chunked; /* and ended in "chunked" */
};

typedef enum h1_fault h1_on_field(void *user, struct str name, struct str value);
typedef enum h1_fault h1_on_piece(void *user, struct str piece);

/*
 * Parses one whole head, n bytes from the method to the empty line. `method_bytes` is the length of a method
 * that llhttp need not know (another is put in its place), or 0. Each field goes to on_field, whose fault
 * ends it. Slices point into `bytes`.
 */
enum h1_fault h1_llhttp_head(struct h1_llhttp *parser, const char *bytes, size_t n, size_t method_bytes,
                             struct h1_llhttp_head *head, h1_on_field *on_field, void *user);

/* After a chunked head: takes chunks. Returns the bytes it took: all, unless *last was set (the chunk of size
 * 0 was seen, and trailers follow), or *fault by what comes behind them. */
size_t h1_llhttp_chunks(struct h1_llhttp *parser, const char *bytes, size_t n, h1_on_piece *on_piece,
                        void *user, bool *last, enum h1_fault *fault);

/* After the last chunk: checks n bytes of trailers. *end: and those were all. */
enum h1_fault h1_llhttp_trailers(struct h1_llhttp *parser, const char *bytes, size_t n, bool *end);

#endif
