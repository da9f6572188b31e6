#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"

/* Static thread-local storage: the dynamic kind is allocated at its first use, and would end the program if that
 * failed. */
static __thread struct mem_source *source __attribute__((tls_model("initial-exec")));

struct mem_source *mem_use(struct mem_source *fresh)
{
    struct mem_source *before = source;
    source = fresh;
    return before;
}

/* No stdio: it might want memory. */
static _Noreturn void out_of_memory(void)
{
    static const char words[] = "out of memory\n";
    if (source != NULL && source->exhausted != NULL) {
        source->exhausted(source);
    }
    ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
    (void)ignored;
    abort();
}

/* malloc(0) may return NULL, which would look like failure. */
static size_t at_least_one(size_t n)
{
    return n > 0 ? n : 1;
}

static void *from_pool(size_t n)
{
    return source != NULL ? pool_alloc(source->pool, n) : NULL;
}

void *mem_try_alloc(size_t n)
{
    void *p = from_pool(n);
    return p != NULL ? p : malloc(at_least_one(n));
}

void *mem_try_zalloc(size_t count, size_t n)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, n, &bytes)) {
        return NULL;
    }
    void *p = from_pool(bytes);
    if (p != NULL) {
        memset(p, 0, bytes);
        return p;
    }
    return calloc(1, at_least_one(bytes));
}

void *mem_try_realloc(void *p, size_t n)
{
    if (p == NULL) {
        return mem_try_alloc(n);
    }
    if (source == NULL || !pool_owns(source->pool, p)) {
        return realloc(p, at_least_one(n));
    }
    size_t has = pool_size(p);
    if (n <= has) {
        return p;
    }
    void *q = mem_try_alloc(n);
    if (q != NULL) {
        memcpy(q, p, has);
        pool_free(source->pool, p);
    }
    return q;
}

void *mem_alloc(size_t n)
{
    void *p = mem_try_alloc(n);
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = mem_try_zalloc(1, n);
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = mem_try_realloc(p, n);
    if (q == NULL) {
        out_of_memory();
    }
    return q;
}

void *mem_dup(const void *p, size_t n)
{
    void *q = mem_alloc(n);
    if (n > 0) {
        memcpy(q, p, n);
    }
    return q;
}

void *mem_alloc_aligned(size_t alignment, size_t n)
{
    void *p = source != NULL ? pool_alloc_aligned(source->pool, alignment, n) : NULL;
    if (p == NULL && posix_memalign(&p, alignment, at_least_one(n)) != 0) {
        out_of_memory();
    }
    return p;
}

void mem_free(void *p)
{
    if (source != NULL && pool_owns(source->pool, p)) {
        pool_free(source->pool, p);
    } else {
        free(p);
    }
}
