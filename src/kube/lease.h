/*
 * Lease objects (coordination.k8s.io/v1): read, written and watched. Loop thread.
 *
 * Times in a Lease are the writer's clock and are for people: nothing here or above compares them with ours.
 */
#ifndef EA_KUBE_LEASE_H
#define EA_KUBE_LEASE_H

#include "kube/kube.h"
#include "kube/watch.h"

#define KUBE_UID_BYTES 64

/* A Lease with all that we use of it. May be copied only by kube_lease_copy(); kube_lease_fini() ends it. */
struct kube_lease {
    char ns[KUBE_NAME_BYTES_MAX + 1];
    char name[KUBE_NAME_BYTES_MAX + 1];
    char uid[KUBE_UID_BYTES];
    char version[KUBE_VERSION_BYTES];     /* resourceVersion; in an update: what it must still be */
    char holder[KUBE_NAME_BYTES_MAX + 1]; /* spec.holderIdentity; empty: nobody */
    int32_t duration_s;                   /* spec.leaseDurationSeconds; 0: not set */
    int64_t transitions;                  /* spec.leaseTransitions; 0: not set, or 0 */
    struct wall acquired;                 /* spec.acquireTime; 0: not set */
    struct wall renewed;                  /* spec.renewTime; 0: not set */
    bool deleting;                        /* has a deletion timestamp */
    /* metadata.labels, .annotations, .ownerReferences and .finalizers, ours and others', kept over an update. NULL:
     * none. */
    json_t *meta;
};

void kube_lease_fini(struct kube_lease *lease);
void kube_lease_copy(struct kube_lease *to, const struct kube_lease *from); /* `to` is zeroed, or a lease */

/* metadata.annotations[key]; empty if there is none. Valid until the lease is changed. */
struct str kube_lease_annotation(const struct kube_lease *lease, const char *key);
void kube_lease_annotate(struct kube_lease *lease, const char *key, struct str value);
void kube_lease_label(struct kube_lease *lease, const char *key, const char *value);

/* Makes `uid` (of a v1 Pod) the owner: the garbage collector removes the Lease with it. */
void kube_lease_own(struct kube_lease *lease, const char *pod_name, const char *pod_uid);
/* The first owner's uid; empty if there is none. */
struct str kube_lease_owner(const struct kube_lease *lease);

/* EA_PROTOCOL if it is no Lease, or has values that do not fit. */
enum err kube_lease_decode(struct kube_lease *out, const json_t *object, struct error *error) EA_MUST_CHECK;
void kube_lease_encode(const struct kube_lease *lease, struct buf *out);

/* A request about one Lease. The caller's memory until `done`; zero it before first use; may be used again after. */
struct kube_lease_call {
    struct mono deadline;
    bool once;    /* never tried again */
    bool dry_run; /* of a write: it is checked and answered like any other, and not done */
    void (*done)(struct kube_lease_call *call);
    void *user;

    /* As in struct kube_request. `lease` is as the API server has it now; only with EA_OK, and not after a delete.
     * The call's: valid during `done`. */
    enum err err;
    int status;
    bool maybe_done;
    char reason[KUBE_REASON_BYTES];
    struct error error;
    struct kube_lease lease;

    struct kube *kube;
    struct kube_request request;
};

/* The Lease of that name: EA_NOT_FOUND if there is none. */
void kube_lease_get(struct kube *kube, struct kube_lease_call *call, const char *ns, const char *name);
/* lease->version is empty. EA_HELD if there is one of that name, EA_NOT_FOUND if there is no such namespace. */
void kube_lease_create(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease);
/* lease->version must be set: EA_HELD if the Lease has changed since. */
void kube_lease_update(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease);
/* Only while it is this uid and version, where they are not empty; else EA_HELD. */
void kube_lease_delete(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease);
/* As kube_cancel(): `done` is not called any more, a write may have been done. */
void kube_lease_cancel(struct kube_lease_call *call);

struct kube_lease_watch_options {
    const char *ns;
    const char *name;     /* NULL: all of the namespace */
    const char *selector; /* labelSelector; NULL: all */
    /* `lease` is NULL where the event has no object; valid during the call. May stop the watch. */
    void (*on_event)(void *user, enum kube_event event, const struct kube_lease *lease);
    void *user;
};

struct kube_lease_watch;
/* As kube_watch_start(), with Leases for objects; options are copied. What is no Lease of ours is passed over. */
struct kube_lease_watch *kube_lease_watch_start(struct kube *kube,
                                                const struct kube_lease_watch_options *options);
/* No events afterwards; its memory goes at the end of the turn. */
void kube_lease_watch_stop(struct kube_lease_watch *watch);
/* As kube_watch_is_live() and kube_watch_error(). */
bool kube_lease_watch_is_live(const struct kube_lease_watch *watch);
const struct error *kube_lease_watch_error(const struct kube_lease_watch *watch);

/* --- the pod that the elector runs in --- */

/* GETs a pod and gives its uid; `done` as above with `uid` filled. */
struct kube_pod_call {
    struct mono deadline;
    void (*done)(struct kube_pod_call *call);
    void *user;

    enum err err;
    int status;
    struct error error;
    char uid[KUBE_UID_BYTES];
    bool terminating; /* has a deletion timestamp */

    struct kube *kube;
    struct kube_request request;
};
void kube_pod_get(struct kube *kube, struct kube_pod_call *call, const char *ns, const char *name);
void kube_pod_cancel(struct kube_pod_call *call);

#endif
