/*
 * A growing byte buffer for text and messages (commands to servers, metrics page, log lines, files). One owner.
 */
#ifndef EA_BASE_BUF_H
#define EA_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct buf {
    char *p;
    size_t n;
    size_t cap;
};

#define BUF_EMPTY ((struct buf){NULL, 0, 0})

/* Frees the bytes, and leaves BUF_EMPTY; clear keeps the memory for the next bytes. */
void buf_fini(struct buf *b);
void buf_clear(struct buf *b);

char *buf_grow(struct buf *b, size_t n) __attribute__((returns_nonnull)); /* of buf_reserve() */

/* Room for n more bytes behind b->n; the caller writes them and adds to b->n. */
static inline char *buf_reserve(struct buf *b, size_t n)
{
    return b->p != NULL && n <= b->cap - b->n ? b->p + b->n : buf_grow(b, n);
}

void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_format(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; broken UTF-8 becomes U+FFFD, so that the result is always valid JSON. */
void buf_add_json(struct buf *b, struct str s);

static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}

#endif
