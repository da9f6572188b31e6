/*
 * An arena: memory that ends all at once. A call's memory is one, reset with the answer.
 *
 * The first block may be the caller's own (a slab's), so that an ordinary request allocates nothing; more
 * blocks come from the heap and are freed at reset. One thread. Alignment is 16. Never returns NULL (see
 * mem.h).
 */
#ifndef EA_BASE_ARENA_H
#define EA_BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena_block;

struct arena {
    char *at;                   /* next free byte */
    char *end;                  /* behind the last one of the current block */
    char *first;                /* caller's block, NULL if none */
    size_t first_bytes;         /* its size */
    struct arena_block *blocks; /* heap blocks, newest first */
};

/* `block` (16-aligned) stays the caller's and must outlive the arena; NULL and 0 for none. */
void arena_init(struct arena *arena, void *block, size_t bytes);

/* Frees all, keeps the caller's block. The arena can be used again. */
void arena_reset(struct arena *arena);

/* More than arena_init()'s block: a heap block of at least n. */
void *arena_alloc_slow(struct arena *arena, size_t n) __attribute__((returns_nonnull));

static inline void *arena_alloc(struct arena *arena, size_t n)
{
    /* What is left is a multiple of 16, so a fitting n still fits when rounded up; and no n can overflow. */
    if (n > (size_t)(arena->end - arena->at)) {
        return arena_alloc_slow(arena, n);
    }
    void *p = arena->at;
    arena->at += (n + 15) & ~(size_t)15;
    return p;
}

/* n zeroed bytes. */
void *arena_zalloc(struct arena *arena, size_t n);

/* A copy of s, followed by a terminator that is not counted. */
struct str arena_str(struct arena *arena, struct str s);

/* printf into the arena; the result is terminated. */
struct str arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
