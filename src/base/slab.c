#include "base/slab.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN 1
#endif
#endif
#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region(p, n)
#define UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#include "base/mem.h"

#define ALIGNMENT      16
#define PAGE_BYTES_MIN ((size_t)16 * 1024)
#define PER_PAGE_MIN   8

/* A freed object's first bytes. */
struct free_object {
    struct free_object *next;
};

/* At the head of its memory. Objects are carved one by one, so that a page costs memory only as it is used.
 */
struct slab_page {
    struct slab_page *prev;
    struct slab_page *next;
    struct slab *owner; /* to catch an object freed into a slab it isn't of */
    struct free_object *free;
    size_t used;
    size_t carved; /* objects that were ever handed out */
};

#define HEAD_BYTES ((sizeof(struct slab_page) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1))

void slab_init(struct slab *slab, size_t object_bytes, size_t keep)
{
    assert(object_bytes > 0 && object_bytes < SIZE_MAX / 64);
    size_t bytes = (object_bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    size_t page_bytes = PAGE_BYTES_MIN;
    while (page_bytes < HEAD_BYTES + PER_PAGE_MIN * bytes) {
        page_bytes *= 2;
    }
    *slab = (struct slab){
        .object_bytes = bytes,
        .page_bytes = page_bytes,
        .per_page = (page_bytes - HEAD_BYTES) / bytes,
        .keep = keep,
    };
}

static void list_add(struct slab_page **head, struct slab_page *page)
{
    page->prev = NULL;
    page->next = *head;
    if (*head != NULL) {
        (*head)->prev = page;
    }
    *head = page;
}

static void list_remove(struct slab_page **head, struct slab_page *page)
{
    if (page->prev != NULL) {
        page->prev->next = page->next;
    } else {
        *head = page->next;
    }
    if (page->next != NULL) {
        page->next->prev = page->prev;
    }
}

static void page_new(struct slab *slab)
{
    struct slab_page *page = mem_alloc_aligned(slab->page_bytes, slab->page_bytes);
    *page = (struct slab_page){.owner = slab};
    POISON((char *)page + HEAD_BYTES, slab->page_bytes - HEAD_BYTES);
    list_add(&slab->partly, page);
    slab->idle += slab->per_page;
}

static void page_free(struct slab *slab, struct slab_page *page)
{
    list_remove(&slab->partly, page);
    slab->idle -= slab->per_page;
    UNPOISON(page, slab->page_bytes);
    mem_free(page);
}

void slab_fini(struct slab *slab)
{
    assert(slab->used == 0);
    while (slab->partly != NULL) {
        page_free(slab, slab->partly);
    }
    assert(slab->full == NULL && slab->idle == 0);
}

void *slab_alloc(struct slab *slab)
{
    if (slab->partly == NULL) {
        page_new(slab);
    }
    struct slab_page *page = slab->partly;
    void *object = page->free;
    if (object != NULL) {
        UNPOISON(object, slab->object_bytes);
        page->free = page->free->next;
    } else {
        object = (char *)page + HEAD_BYTES + page->carved * slab->object_bytes;
        page->carved++;
        UNPOISON(object, slab->object_bytes);
    }
    page->used++;
    slab->used++;
    slab->idle--;
    if (page->used == slab->per_page) {
        list_remove(&slab->partly, page);
        list_add(&slab->full, page);
    }
    return object;
}

void slab_free(struct slab *slab, void *object)
{
    if (object == NULL) {
        return;
    }
    size_t in_page = (uintptr_t)object & (slab->page_bytes - 1);
    struct slab_page *page = (struct slab_page *)(void *)((char *)object - in_page);
    assert(page->owner == slab && page->used > 0);
    if (page->used == slab->per_page) {
        list_remove(&slab->full, page);
        list_add(&slab->partly, page);
    } else if (page != slab->partly) {
        /* To the front: the object freed last is in the processor's caches, so it goes out first. */
        list_remove(&slab->partly, page);
        list_add(&slab->partly, page);
    }
    struct free_object *freed = object;
    freed->next = page->free;
    page->free = freed;
    POISON(object, slab->object_bytes);
    page->used--;
    slab->used--;
    slab->idle++;
    if (page->used == 0 && slab->idle > slab->keep) {
        page_free(slab, page);
    }
}
