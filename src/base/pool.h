/*
 * A pool: memory reserved in one piece, for a part of a program that must not fail for want of memory later. Blocks
 * come in size classes, four to a power of two; freed blocks are used again for their class and never joined, so that
 * work that repeats itself needs no more after its first rounds. Pages that are not used cost nothing.
 *
 * One thread at a time.
 */
#ifndef EA_BASE_POOL_H
#define EA_BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

#define POOL_CLASSES 96

struct pool {
    char *first; /* of the mapping */
    char *at;    /* not given out yet */
    char *end;
    void *freed[POOL_CLASSES];
};

/* False: the kernel has not that much. */
bool pool_init(struct pool *pool, size_t bytes);
void pool_fini(struct pool *pool); /* with all blocks */

/* NULL when it is exhausted. Alignment is 16. */
void *pool_alloc(struct pool *pool, size_t n);
/* The same for more; `alignment` is a power of two. */
void *pool_alloc_aligned(struct pool *pool, size_t alignment, size_t n);
void pool_free(struct pool *pool, void *p);

/* How many bytes a block holds, at least what it was asked for. */
size_t pool_size(const void *p);

static inline bool pool_owns(const struct pool *pool, const void *p)
{
    return (const char *)p >= pool->first && (const char *)p < pool->end;
}

#endif
