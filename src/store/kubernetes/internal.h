/*
 * Inside the Kubernetes store: what its files share.
 *
 *   kubernetes.c  the store's operations; requests on their way from their lane to lane 0 and back
 *   entry.c       one election: the queue of its requests, and what is asked of the API server for them
 *   mirror.c      all elections: the watch, lists, counts, the status
 *   check.c       whether the namespace is there, and we may create Leases in it
 *   decide.c      the rules;  view.c  what a Lease means;  notes.c  what is only shown;  name.c  names
 *
 * Everything but the way of requests happens on lane 0, where the client of the API server lives. Requests about one
 * election are decided one after the other. What can be answered without a write is answered when the API server has
 * been asked since the request came (one question serves all that wait), so that what one agent has answered counts
 * at every other at once; only lists are answered from what the watch has told.
 */
#ifndef EA_STORE_KUBERNETES_INTERNAL_H
#define EA_STORE_KUBERNETES_INTERNAL_H

#include <stdatomic.h>

#include <uv.h>

#include "base/map.h"
#include "net/loop.h"
#include "store/kubernetes/decide.h"
#include "store/store.h"

/* Leases are never deleted, and clients choose their names: beyond so many there are no new ones. */
#define LEASES_MAX 20000

struct kubernetes;

/* A request on its way. */
struct job {
    struct loop_message message;
    struct kubernetes *store;
    struct election_request *request;
    struct entry *entry;
    struct job *next;
    struct job **link; /* that points here; NULL: in no queue */
    struct loop_timer deadline;
    uint64_t came; /* its place in the order of arrivals and questions */
};

struct kind {
    struct kind *next;
    struct str name;
    uint64_t led;
};

enum entry_call { CALL_NONE, CALL_LOOK, CALL_WRITE };

struct entry {
    struct map_node node;
    struct kubernetes *store;
    struct view view;
    struct kind *kind; /* NULL: it has never been led */
    bool counted;      /* in kind->led */
    bool working;      /* in entry_work(): what is called from there may call it */
    bool doubt;        /* a list did not name it, and may be older than it */
    bool due;          /* the tenure's time is over, and nobody has been told */
    bool undo;         /* a grant whose outcome was not known in time is there: it is taken back */
    bool unsure;       /* whether `plan` was carried out is not known */
    struct job *first;
    struct job **end;

    enum entry_call call;
    struct kube_lease_call lease_call;
    uint64_t sent; /* the place of the call in the order */
    struct mono sent_at;
    uint64_t fresh; /* of the last one that was answered */
    struct mono fresh_at;
    struct plan plan;
    struct job *writer; /* whose plan it is; NULL: nobody waits */

    struct loop_timer timer; /* the end of the tenure, or of a pause */
    struct mono resume;      /* what no request waits for is not tried before */
    uint64_t generation;     /* of the list that named it last */
};

/* See check.c. */
struct check {
    struct kube_lease_call call;
    struct loop_timer again;
    bool passed;
    char trouble[sizeof((struct error *)0)->text]; /* what only people can mend; empty: nothing yet */
};

struct kubernetes {
    struct store store;
    struct store_options options;
    struct loop *loop; /* of lane 0 */
    struct loop **lanes;
    unsigned n_lanes;
    struct kube *kube;
    char *ns;
    uint64_t seed;

    struct check check;
    struct kube_lease_watch *watch;
    enum store_state heard; /* of the watch alone */
    struct map entries;     /* by the hash of the Lease's name */
    uint64_t order;
    uint64_t generation;
    bool synced;                                   /* once */
    bool whole;                                    /* the watch tells everything */
    char trouble[sizeof((struct error *)0)->text]; /* the last one that was logged */

    _Atomic unsigned open; /* jobs */
    bool closing;

    uv_mutex_t lock; /* guards what follows */
    struct kind *kinds;
    struct store_status status;
};

/* --- kubernetes.c --- */

/* The request is answered on its lane; slices are copied. The job is gone. */
void job_answer(struct job *job);
void job_refuse(struct job *job, enum err err, struct str why);

/* --- entry.c --- */

struct entry *entry_new(struct kubernetes *store, const struct lease_election *id, const char *name);
void entry_free(struct entry *entry); /* nothing waits, and nothing is under way */

/* A request has come. */
void entry_take(struct entry *entry, struct job *job);

/* Something has changed; goes on with what there is to do. The entry may be gone afterwards. */
void entry_work(struct entry *entry);

/* Answers all that waits and ends what is under way. */
void entry_close(struct entry *entry);

/* --- mirror.c --- */

/* Begins to watch; close ends every request (EA_UNAVAILABLE) and forgets all elections. */
void mirror_open(struct kubernetes *store);
void mirror_close(struct kubernetes *store);
/* The election's entry, made if there is none; the mirror's. */
struct entry *mirror_entry(struct kubernetes *store, struct str kind, struct str election);
/* Frees an entry of which nothing is left to know; nothing waits there. */
void mirror_forget(struct entry *entry);
/* Answers an OP_LIST; the job is gone. */
void mirror_list(struct kubernetes *store, struct job *job);
/* store_ops.count. Any thread. */
void mirror_count(struct kubernetes *store, void (*row)(void *arg, struct str kind, uint64_t elections),
                  void *arg);
void mirror_led(struct entry *entry, bool led); /* counts it */
void mirror_tell(struct kubernetes *store);     /* the status, from the watch and the check */

/* --- check.c --- */

/* Asks at once, and again until it is passed; close ends that. */
void check_open(struct kubernetes *store);
void check_close(struct kubernetes *store);

#endif
