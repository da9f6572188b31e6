/*
 * Output in flight: a queue of bytes in chunks borrowed from the loop, and the loop's pool of such chunks.
 * Internal to net/. Loop thread.
 */
#ifndef EA_NET_OUTPUT_H
#define EA_NET_OUTPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "net/loop.h"

struct chunk {
    struct chunk *next;
    uint32_t begin; /* bytes[begin..end) are waiting */
    uint32_t end;
    uint8_t bytes[LOOP_CHUNK_BYTES];
};

/* Idle chunks, last returned first: its pages are the ones most likely in the cache. */
struct chunk_pool {
    struct chunk *idle;
    size_t n;      /* idle ones */
    size_t lent;   /* the others */
    size_t unused; /* the smallest n since the last trim: so many were not needed */
};

/* So many stay for ever, and at most so many stay at all. */
#define CHUNK_POOL_KEEP ((size_t)8)
#define CHUNK_POOL_MAX  ((size_t)256)

struct chunk *chunk_pool_get(struct chunk_pool *pool) __attribute__((returns_nonnull));
void chunk_pool_put(struct chunk_pool *pool, struct chunk *chunk);

/* Gives back to the heap what was not needed since the last trim. True if another trim may find more. */
bool chunk_pool_trim(struct chunk_pool *pool);
void chunk_pool_fini(struct chunk_pool *pool);

/* Zeroed: empty. */
struct output {
    struct chunk *head;
    struct chunk *tail;
    size_t bytes;
};

/* See stream_reserve(). */
uint8_t *output_reserve(struct output *out, struct loop *loop, size_t min, size_t *room)
    __attribute__((returns_nonnull));
void output_commit(struct output *out, size_t n);
void output_write(struct output *out, struct loop *loop, const void *bytes, size_t n);

/* The waiting bytes from the front, in at most `max` pieces; returns how many pieces. *n is their sum. */
unsigned output_peek(const struct output *out, struct iovec *pieces, unsigned max, size_t *n);

/* Drops n bytes from the front, and every chunk that holds none. */
void output_consume(struct output *out, struct loop *loop, size_t n);
void output_clear(struct output *out, struct loop *loop);

#endif
