/*
 * A slab: objects of one size that come and go often (connections, streams, calls). Freed objects are kept on
 * a list and handed out again, last freed first; whole empty pages go back to the heap when more than `keep`
 * objects are idle. One thread. Never returns NULL (see mem.h). Under ASan freed objects are poisoned.
 */
#ifndef EA_BASE_SLAB_H
#define EA_BASE_SLAB_H

#include <stddef.h>

struct slab_page;

struct slab {
    size_t object_bytes; /* rounded up to 16 */
    size_t page_bytes;   /* a power of two, and the alignment of pages: an address tells its page */
    size_t per_page;
    size_t keep;              /* idle objects kept when pages become empty */
    size_t used;              /* handed out now */
    size_t idle;              /* on free lists */
    struct slab_page *partly; /* pages with a free object */
    struct slab_page *full;
};

/* object_bytes of one object, > 0; `keep` idle ones are not given back to the heap. */
void slab_init(struct slab *slab, size_t object_bytes, size_t keep);

/* All objects must have been freed. */
void slab_fini(struct slab *slab);

/* Not zeroed. */
void *slab_alloc(struct slab *slab) __attribute__((returns_nonnull, warn_unused_result));
void slab_free(struct slab *slab, void *object);

#endif
