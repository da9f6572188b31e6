#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No stdio: it might want memory. */
static _Noreturn void out_of_memory(void)
{
    static const char words[] = "out of memory\n";
    ssize_t ignored = write(STDERR_FILENO, words, sizeof words - 1);
    (void)ignored;
    abort();
}

/* malloc(0) may return NULL, which would look like failure. */
static size_t at_least_one(size_t n)
{
    return n > 0 ? n : 1;
}

void *mem_alloc(size_t n)
{
    void *p = malloc(at_least_one(n));
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, at_least_one(n));
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, at_least_one(n));
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
    void *p;
    if (posix_memalign(&p, alignment, at_least_one(n)) != 0) {
        out_of_memory();
    }
    return p;
}

void mem_free(void *p)
{
    free(p);
}
