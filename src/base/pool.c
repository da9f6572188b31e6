#include "base/pool.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define UNIT_BYTES   ((size_t)16)
#define STEPS        4  /* classes per power of two */
#define LARGEST_BITS 26 /* 64 MiB */

/* Before each block, so that a block is aligned as the header is. */
struct header {
    size_t bytes;
    size_t class;
};

_Static_assert(sizeof(struct header) == UNIT_BYTES, "blocks stay aligned");

static unsigned bits(size_t n)
{
    return (unsigned)(sizeof n * 8) - (unsigned)__builtin_clzl(n);
}

/* The class of n bytes, and how many its blocks hold: 16, 32, 48, 64, 80, 96, 112, 128, 160, 192, ... */
static size_t class_of(size_t n, size_t *bytes)
{
    if (n <= UNIT_BYTES * STEPS) {
        size_t units = n > 0 ? (n + UNIT_BYTES - 1) / UNIT_BYTES : 1;
        *bytes = units * UNIT_BYTES;
        return units - 1;
    }
    unsigned power = bits(n - 1); /* 2^(power-1) < n <= 2^power */
    size_t step = ((size_t)1 << (power - 1)) / STEPS;
    size_t steps = (n - ((size_t)1 << (power - 1)) + step - 1) / step;
    *bytes = ((size_t)1 << (power - 1)) + steps * step;
    return STEPS - 1 + (size_t)(power - bits(UNIT_BYTES * STEPS)) * STEPS + steps;
}

bool pool_init(struct pool *pool, size_t bytes)
{
    memset(pool, 0, sizeof *pool);
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        return false;
    }
    pool->first = p;
    pool->at = p;
    pool->end = pool->first + bytes;
    return true;
}

void pool_fini(struct pool *pool)
{
    if (pool->first != NULL) {
        (void)munmap(pool->first, (size_t)(pool->end - pool->first));
    }
    memset(pool, 0, sizeof *pool);
}

static bool is_aligned(const void *p, size_t alignment)
{
    return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* A freed block of the class, or NULL. For the usual alignment the first one fits. */
static void *take_freed(struct pool *pool, size_t class, size_t alignment)
{
    void **at = &pool->freed[class];
    while (*at != NULL && !is_aligned(*at, alignment)) {
        at = *at;
    }
    void *p = *at;
    if (p != NULL) {
        memcpy(at, p, sizeof(void *));
    }
    return p;
}

void *pool_alloc_aligned(struct pool *pool, size_t alignment, size_t n)
{
    size_t bytes;
    if (n > (size_t)1 << LARGEST_BITS) {
        return NULL;
    }
    size_t class = class_of(n, &bytes);
    assert(class < POOL_CLASSES && bytes >= n);
    void *p = take_freed(pool, class, alignment);
    if (p != NULL) {
        return p;
    }
    size_t block = (uintptr_t)pool->at + sizeof(struct header);
    size_t skip = (alignment - block) & (alignment - 1);
    size_t left = (size_t)(pool->end - pool->at);
    if (left < skip || left - skip < sizeof(struct header) + bytes) {
        return NULL;
    }
    struct header *header = (struct header *)(void *)(pool->at + skip);
    *header = (struct header){bytes, class};
    pool->at += skip + sizeof *header + bytes;
    return header + 1;
}

void *pool_alloc(struct pool *pool, size_t n)
{
    return pool_alloc_aligned(pool, UNIT_BYTES, n);
}

static const struct header *header_of(const void *p)
{
    return (const struct header *)p - 1;
}

void pool_free(struct pool *pool, void *p)
{
    const struct header *header = header_of(p);
    assert(pool_owns(pool, p) && header->class < POOL_CLASSES);
    memcpy(p, &pool->freed[header->class], sizeof(void *));
    pool->freed[header->class] = p;
}

size_t pool_size(const void *p)
{
    return header_of(p)->bytes;
}
