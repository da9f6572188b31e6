#include "http/h2_mem.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

#define PAGE_BYTES      ((size_t)4096)
#define PAGES_PER_BLOCK ((size_t)64)
/* The least size of a frame buffer: a frame's header and the least SETTINGS_MAX_FRAME_SIZE. */
#define FRAME_BYTES_MIN ((size_t)9 + 16384)
#define FRAME_BYTES_MAX ((size_t)32 * 1024)
/* Free pages that keep their memory, for connections that come and go. */
#define FREE_PAGES_WARM ((size_t)64)

void h2_mem_init(struct h2_mem *mem)
{
    *mem = (struct h2_mem){.frame = NULL};
}

void h2_mem_fini(struct h2_mem *mem)
{
    assert(mem->n_free == mem->n_pages);
    for (size_t i = 0; i < mem->n_blocks; i++) {
        munmap(mem->blocks[i], PAGES_PER_BLOCK * PAGE_BYTES);
    }
    mem_free(mem->blocks);
    mem_free(mem->free);
    mem_free(mem->frame);
    h2_mem_init(mem);
}

static void add_block(struct h2_mem *mem)
{
    void *block =
        mmap(NULL, PAGES_PER_BLOCK * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        return;
    }
    mem->blocks = mem_realloc(mem->blocks, (mem->n_blocks + 1) * sizeof *mem->blocks);
    mem->blocks[mem->n_blocks++] = block;
    mem->n_pages += PAGES_PER_BLOCK;
    if (mem->cap_free < mem->n_pages) {
        mem->cap_free = mem->n_pages;
        mem->free = mem_realloc(mem->free, mem->cap_free * sizeof *mem->free);
    }
    for (size_t i = 0; i < PAGES_PER_BLOCK; i++) {
        mem->free[mem->n_free++] = (char *)block + (PAGES_PER_BLOCK - 1 - i) * PAGE_BYTES;
    }
}

/* A page of zeros; NULL if the kernel gives no more mappings (then the heap has to do). */
static void *page_take(struct h2_mem *mem)
{
    if (mem->n_free == 0) {
        add_block(mem);
    }
    return mem->n_free > 0 ? mem->free[--mem->n_free] : NULL;
}

static void page_give(struct h2_mem *mem, void *page)
{
    if (mem->n_free >= FREE_PAGES_WARM && madvise(page, PAGE_BYTES, MADV_DONTNEED) == 0) {
        mem->free[mem->n_free++] = page;
        return;
    }
    memset(page, 0, PAGE_BYTES);
    mem->free[mem->n_free++] = page;
}

/* --- nghttp2's view --- */

static void *h2_malloc(size_t n, void *user)
{
    (void)user;
    return mem_alloc(n);
}

static void *h2_calloc(size_t count, size_t n, void *user)
{
    struct h2_session_mem *session_mem = user;
    size_t total = 0;
    if (__builtin_mul_overflow(count, n, &total)) {
        return NULL;
    }
    if (session_mem->building && total == PAGE_BYTES && session_mem->page == NULL) {
        session_mem->page = page_take(session_mem->mem);
        if (session_mem->page != NULL) {
            return session_mem->page;
        }
    }
    return mem_zalloc(total);
}

static void h2_free(void *p, void *user)
{
    struct h2_session_mem *session_mem = user;
    if (p == NULL || p == session_mem->mem->frame) {
        return;
    }
    if (p == session_mem->page) {
        page_give(session_mem->mem, p);
        session_mem->page = NULL;
        return;
    }
    mem_free(p);
}

static void *h2_realloc(void *p, size_t n, void *user)
{
    struct h2_session_mem *session_mem = user;
    struct h2_mem *mem = session_mem->mem;
    if (p == NULL && session_mem->building && n >= FRAME_BYTES_MIN && n <= FRAME_BYTES_MAX) {
        if (mem->frame == NULL) {
            mem->frame = mem_alloc(n);
            mem->frame_bytes = n;
        }
        if (n <= mem->frame_bytes) {
            return mem->frame;
        }
    }
    if (p != NULL && (p == mem->frame || p == session_mem->page)) {
        /* nghttp2 grows neither in place; if a version did, it gets a block of its own. */
        size_t old = p == mem->frame ? mem->frame_bytes : PAGE_BYTES;
        void *moved = mem_alloc(n);
        memcpy(moved, p, old < n ? old : n);
        h2_free(p, user);
        return moved;
    }
    return mem_realloc(p, n);
}

nghttp2_session *h2_mem_session(struct h2_session_mem *session_mem, struct h2_mem *mem,
                                const nghttp2_session_callbacks *callbacks, void *user,
                                const nghttp2_option *option)
{
    *session_mem = (struct h2_session_mem){.mem = mem, .building = true};
    nghttp2_mem table = {
        .mem_user_data = session_mem,
        .malloc = h2_malloc,
        .free = h2_free,
        .calloc = h2_calloc,
        .realloc = h2_realloc,
    };
    nghttp2_session *session = NULL;
    int rv = nghttp2_session_server_new3(&session, callbacks, user, option, &table);
    assert(rv == 0);
    session_mem->building = false;
    return session;
}

static bool all_zero(const void *page)
{
    const uint64_t *word = page;
    uint64_t any = 0;
    for (size_t i = 0; i < PAGE_BYTES / sizeof *word; i++) {
        any |= word[i];
    }
    return any == 0;
}

void h2_mem_rest(struct h2_session_mem *session_mem)
{
    if (session_mem->page == NULL || session_mem->resting || !all_zero(session_mem->page)) {
        return;
    }
    /* A failure costs memory only. */
    session_mem->resting = madvise(session_mem->page, PAGE_BYTES, MADV_DONTNEED) == 0;
}
