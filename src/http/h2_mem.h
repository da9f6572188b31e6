/*
 * Memory of nghttp2's sessions. Loop thread.
 *
 * A session is a handful of small blocks, which come from the heap, and two large ones made with it:
 *
 *  - the frame buffer (16 KiB), which holds a frame from when nghttp2 packs it until
 * nghttp2_session_mem_send() hands it out. Whoever calls that copies the bytes at once, as its contract
 * demands, and nghttp2 never looks at them again; so all sessions of a loop share one buffer, which stays in
 * the processor's cache;
 *  - the table of streams (4 KiB), which is all zeros while the session has no stream. It lives on a page of
 * its own, and h2_mem_rest() gives the page's memory back to the kernel while it is all zeros: it reads as
 * zeros after that, too.
 *
 * Nothing else is assumed of nghttp2's inside: if another version allocates differently, blocks come from the
 * heap.
 */
#ifndef EA_HTTP_H2_MEM_H
#define EA_HTTP_H2_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include <nghttp2/nghttp2.h>

/* A loop's. */
struct h2_mem {
    void *frame; /* the shared frame buffer; NULL until the first session wants it */
    size_t frame_bytes;
    void **free; /* pages that nobody uses; all zeros */
    size_t n_free;
    size_t cap_free;
    void **blocks; /* what pages were cut from */
    size_t n_blocks;
    size_t n_pages;
};

/* A session's; must stay where it is as long as the session. */
struct h2_session_mem {
    struct h2_mem *mem;
    void *page;    /* NULL: none */
    bool building; /* the session is being made */
    bool resting;  /* the page was given back since it was last used */
};

void h2_mem_init(struct h2_mem *mem);
/* All sessions must be gone. */
void h2_mem_fini(struct h2_mem *mem);

/* nghttp2_session_server_new3() with our memory. Never fails for want of memory (see base/mem.h). */
nghttp2_session *h2_mem_session(struct h2_session_mem *session_mem, struct h2_mem *mem,
                                const nghttp2_session_callbacks *callbacks, void *user,
                                const nghttp2_option *option);

/* The session has been quiet for a while and has no stream: its page goes back to the kernel. A system call.
 */
void h2_mem_rest(struct h2_session_mem *session_mem);

#endif
