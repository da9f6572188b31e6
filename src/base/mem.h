/*
 * Memory of the daemon. Out of memory ends it with a message (leases lapse, which is safe); nothing here
 * returns NULL. Code that is shared with the library takes an allocator and returns EA_NOMEM instead.
 */
#ifndef EA_BASE_MEM_H
#define EA_BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull, alloc_size(1), warn_unused_result));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull, alloc_size(2), warn_unused_result));
void *mem_dup(const void *p, size_t n) __attribute__((malloc, returns_nonnull, warn_unused_result));
/* `alignment` is a power of two and a multiple of a pointer's size. */
void *mem_alloc_aligned(size_t alignment, size_t n)
    __attribute__((malloc, returns_nonnull, alloc_align(1), alloc_size(2), warn_unused_result));
void mem_free(void *p);

/* `member`'s owner. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_LENGTH(a)                     (sizeof(a) / sizeof((a)[0]))

#endif
