/*
 * Memory. Out of memory ends the daemon with a message (leases lapse, which is safe); nothing of the first group
 * returns NULL.
 *
 * A library must not end the program. On a thread that has a source (mem_use) memory comes from the source's pool
 * first; when both pool and heap are exhausted the source is told, which leaves the failing call for good (longjmp):
 * what it was doing is lost, and only its pool can be thrown away. Memory of a pool is freed on a thread that has the
 * same source at that time.
 */
#ifndef EA_BASE_MEM_H
#define EA_BASE_MEM_H

#include <stddef.h>

struct pool;

struct mem_source {
    struct pool *pool;
    void (*exhausted)(struct mem_source *source); /* does not return */
};

/* The source of this thread from now on; NULL: the heap. Returns the one before. */
struct mem_source *mem_use(struct mem_source *fresh);

/* As malloc, calloc, realloc and (dup) a copy of n bytes; n may be 0. */
void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull, alloc_size(2), warn_unused_result));
void *mem_dup(const void *p, size_t n) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* `alignment` is a power of two and a multiple of a pointer's size. */
void *mem_alloc_aligned(size_t alignment, size_t n)
    __attribute__((malloc, returns_nonnull, alloc_align(1), alloc_size(2), warn_unused_result));
void mem_free(void *p);

/* For allocators of other libraries: malloc(), calloc() and realloc() with the thread's source before the heap. NULL
 * when both are exhausted. */
void *mem_try_alloc(size_t n);
void *mem_try_zalloc(size_t count, size_t n);
void *mem_try_realloc(void *p, size_t n);

/* `member`'s owner. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_LENGTH(a)                     (sizeof(a) / sizeof((a)[0]))

#endif
