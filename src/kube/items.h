/*
 * Takes the JSON text of a list apart while it arrives: each element of the top-level array "items" becomes an object
 * of its own, the rest (kind, metadata) is kept as a small document with an empty array. So a list of 50 MB never is in
 * memory at once, and no turn of the loop decodes more than what has just arrived. Deciding code.
 */
#ifndef EA_KUBE_ITEMS_H
#define EA_KUBE_ITEMS_H

#include <jansson.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

/* etcd takes no object above 1.5 MiB; JSON of one can be larger than its protobuf. */
#define KUBE_ITEM_BYTES_MAX  ((size_t)4 * 1024 * 1024)
#define KUBE_SHELL_BYTES_MAX ((size_t)64 * 1024)
#define KUBE_DEPTH_MAX       64

struct kube_items {
    struct buf item;  /* of the object that is arriving */
    struct buf shell; /* the document without its items */
    unsigned depth;   /* of open brackets */
    bool in_items;    /* inside the array "items" */
    bool after_item;  /* there, and a comma must come before the next */
    bool string;      /* inside a string */
    bool escape;      /* behind its backslash */
    bool items_key;   /* the last string of the outermost object was "items" */
    size_t string_at; /* where in the shell that string began */
    size_t n;         /* objects told so far */
};

/* Before the first byte of each document; fini frees what has come. */
void kube_items_init(struct kube_items *items);
void kube_items_fini(struct kube_items *items);

/* Calls `take` for each object that is complete with these bytes; the object is valid during the call. False from
 * `take` ends it, with *error set there; else EA_PROTOCOL for what is no JSON, EA_TOO_LARGE over a bound. */
enum err kube_items_feed(struct kube_items *items, struct str bytes, bool (*take)(void *arg, json_t *object),
                         void *arg, struct error *error) EA_MUST_CHECK;

/* After the last byte: the document without its items; json_decref() it. EA_PROTOCOL if it is not complete. */
enum err kube_items_end(struct kube_items *items, json_t **shell, struct error *error) EA_MUST_CHECK;

/* Parses one document strictly: no duplicate keys, bounded depth. EA_PROTOCOL with `what` and where. */
enum err kube_json_parse(struct str text, json_t **out, struct error *error) EA_MUST_CHECK;

#endif
