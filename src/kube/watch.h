/*
 * Lists in pages, and watches that keep a list true. Loop thread.
 */
#ifndef EA_KUBE_WATCH_H
#define EA_KUBE_WATCH_H

#include <jansson.h>

#include "kube/items.h"
#include "kube/kube.h"

#define KUBE_PATH_BYTES    1024
#define KUBE_VERSION_BYTES 64 /* of a resourceVersion, which is opaque */

/*
 * A list, a page after the other. Objects are decoded one by one as their bytes arrive, so that neither memory nor a
 * turn of the loop grows with the list. The caller's memory until `done`; zero it before use.
 */
struct kube_list {
    /* --- the question --- */
    const char *what; /* as kube_request.what */
    const char *path; /* of the collection, without query; at most KUBE_PATH_BYTES; must outlive the list */
    const char *selector; /* labelSelector, not yet escaped; NULL: all; must outlive the list */
    const char *field;    /* fieldSelector, likewise */
    unsigned page_size;   /* 0: KUBE_PAGE_SIZE */
    bool once;            /* no page is tried again */
    struct mono deadline;
    /* An object, valid during the call, which must not call the client. False ends the list with `error` as set
     * there. */
    bool (*item)(struct kube_list *list, json_t *object);
    void (*done)(struct kube_list *list);
    void *user;

    /* --- the answer; status 410: the list has become too old between two pages, begin anew; EA_TOO_LARGE when the objects are more than KUBE_LIST_ITEMS_MAX or KUBE_LIST_BYTES_MAX --- */
    enum err err;
    int status;
    struct error error;
    char version[KUBE_VERSION_BYTES]; /* of the whole list: where a watch goes on */

    /* --- the list's own --- */
    struct kube *kube;
    struct kube_request request;
    struct kube_items items;
    char *next; /* the `continue` token; NULL on the first page */
    size_t n_items;
    size_t n_bytes;
};

#define KUBE_PAGE_SIZE      100 /* pods of 10 KB: a megabyte a page */
#define KUBE_LIST_ITEMS_MAX 100000
#define KUBE_LIST_BYTES_MAX ((size_t)512 * 1024 * 1024)

/* Asks for the first page. `item` and `done` are never called inside. */
void kube_list_start(struct kube *kube, struct kube_list *list);

/* `done` is not called any more. Harmless if it was. */
void kube_list_cancel(struct kube_list *list);

enum kube_event {
    KUBE_LISTING,  /* what is there follows as KUBE_ADDED; object is NULL */
    KUBE_ADDED,    /* may be known already */
    KUBE_MODIFIED, /* may be new */
    KUBE_DELETED,  /* object is its last state */
    KUBE_SYNCED,   /* the list is over: what it did not name since KUBE_LISTING is gone; object is NULL */
    KUBE_BROKEN,   /* nothing is heard for now; it is tried again by itself; kube_watch_error() says why */
    KUBE_RESUMED,  /* it is heard again, and nothing was missed; object is NULL */
};

struct kube_watch;

struct kube_watch_options {
    const char *what;     /* "watch leases" */
    const char *path;     /* of the collection; copied */
    const char *selector; /* labelSelector; NULL: all; copied */
    const char *field;    /* fieldSelector, e.g. "metadata.name=x"; NULL: all; copied */
    /* Never inside kube_watch_start(). May stop the watch. */
    void (*on_event)(void *user, enum kube_event event, json_t *object);
    void *user;
};

/*
 * Lists, then watches from there, with bookmarks; reopens from the last resourceVersion when the stream ends; lists
 * again on 410 Gone; waits with a growing jittered pause between failures.
 */
struct kube_watch *kube_watch_start(struct kube *kube, const struct kube_watch_options *options);

/* No events afterwards; may be called inside on_event. */
void kube_watch_stop(struct kube_watch *watch);

/* That it runs on. */
struct loop *kube_watch_loop(const struct kube_watch *watch);

/* Whether everything that has happened is (or is about to be) told: synced, and the stream open. */
bool kube_watch_is_live(const struct kube_watch *watch);

/* Why it is broken; words are empty when it is not. */
const struct error *kube_watch_error(const struct kube_watch *watch);

#endif
