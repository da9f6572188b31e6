/*
 * The interface of every store: where elections are kept and decided.
 *
 * A request is the caller's memory, from store_submit() until its `done` is called, exactly once; it may be
 * called before submit returns. Slices in the result are the store's and valid only during `done`. A request
 * is submitted and answered on the same lane. A lane is one event loop: what a store keeps per loop
 * (connections, batches, the leases a loop owns) it keeps per lane; an election may belong to another lane,
 * which is the store's own affair.
 *
 * Deciding is the store's, checking of what clients sent is not: names, terms and numbers have been checked
 * (core/names.h) before a request gets here, and stores assert it.
 */
#ifndef EA_STORE_STORE_H
#define EA_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "core/event.h"
#include "core/request.h"
#include "store/kubernetes_options.h"
#include "store/redis_options.h"

struct loop;
struct store;

enum store_state { STORE_STARTING, STORE_UP, STORE_DOWN, STORE_CLOSING };

struct store_status {
    enum store_state state;
    char why[160]; /* printable; empty when up */
};

struct store_options {
    const char *driver; /* a row of stores.def */
    struct loop *
        *lanes; /* the loops, an array that outlives the store; NULL for stores that need none (memory) */
    unsigned n_lanes;
    const struct clock *clock;
    uint64_t seed;       /* 0: from the kernel */
    int64_t max_term_ms; /* lease.max_term */
    /* Every change of leader, in order per election, called on the lane of its owner; of a store that others
     * share: what was decided here, until store_watch(). `kind` etc. valid during the call. NULL: not wanted.
     */
    void (*on_event)(void *user, unsigned lane, const struct election_event *event);
    /* The status changed; called on lane 0. NULL: not wanted. */
    void (*on_status)(void *user);
    void *user;
    /* embedded */
    const char *path; /* directory of the database; ":memory:" keeps nothing */
    bool sync_power;  /* every commit durable before the answer */
    /* redis */
    const struct redis_options *redis; /* needed during open only */
    /* kubernetes */
    const struct kubernetes_options *kubernetes; /* needed during open only */
    /* A node answered a command: how long it took. `node` and `operation` live as long as the store. On the
     * lane's thread. NULL: not wanted. */
    void (*on_operation)(void *user, unsigned lane, const char *node, const char *operation, bool success,
                         int64_t duration_us);
};

/* What only a store of many nodes has to count. */
struct store_counts {
    uint64_t
        claim_retries; /* claims that a node refused as too low, and that were made again, since the start */
    uint64_t undo_pending; /* attempts whose undo is not answered yet */
};

struct store_ops {
    const char *name;
    /* Before the loops run, on the main thread. The answer to a request may be EA_UNAVAILABLE until the store
     * is up. */
    enum err (*open)(struct store **out, const struct store_options *options, struct error *error);
    void (*submit)(struct store *store, unsigned lane, struct election_request *request);
    void (*status)(struct store *store, struct store_status *out); /* any thread */
    /* Elections led now, per kind, as this agent knows; any thread. */
    void (*count)(struct store *store, void (*row)(void *arg, struct str kind, uint64_t elections),
                  void *arg);
    /* On the main thread after the loops stopped. Requests still open are answered EA_UNAVAILABLE before. */
    void (*close)(struct store *store);
    /* The nodes it keeps elections on, for the metric: state is 0 up, 1 recovering, 2 down. Any thread. NULL:
     * one, called as the store and in its state. */
    void (*nodes)(struct store *store, void (*row)(void *arg, const char *node, int state), void *arg);
    /* Any thread. NULL: nothing of the kind happens. */
    void (*counts)(struct store *store, struct store_counts *out);
    /* See store_beat(). NULL: candidates are not kept. */
    void (*beat)(struct store *store, unsigned lane, const struct election_beat *beat);
    /* See store_watch(). Any thread. NULL: everything is told anyway. */
    void (*watch)(struct store *store);
};

struct store {
    const struct store_ops *ops;
};

/* Looks the driver up in stores.def. EA_CONFIG with the list of drivers if there is none of that name. */
enum err store_open(struct store **out, const struct store_options *options,
                    struct error *error) EA_MUST_CHECK;

static inline void store_submit(struct store *store, unsigned lane, struct election_request *request)
{
    request->lane = lane;
    store->ops->submit(store, lane, request);
}

static inline void store_status(struct store *store, struct store_status *out)
{
    store->ops->status(store, out);
}

static inline void store_count(struct store *store,
                               void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    store->ops->count(store, row, arg);
}

/* Somebody observes: from now on on_event is told every change, whoever made it, and expiries; some moments later,
 * on lane 0. Costs messages and questions to the nodes, and stays. What is led at present is asked for by OP_INFO;
 * how that ends is told too. Any thread. */
static inline void store_watch(struct store *store)
{
    if (store->ops->watch != NULL) {
        store->ops->watch(store);
    }
}

/*
 * A candidate says that it is alive, and hears who else is; nothing is decided by it. The struct is copied, its texts
 * are needed during the call only. Every server that keeps candidates answers for itself, or not at all: `seen` is
 * called for each candidate of each answer, on the lane's thread, until the store is closed.
 */
static inline void store_beat(struct store *store, unsigned lane, const struct election_beat *beat)
{
    if (store->ops->beat != NULL) {
        store->ops->beat(store, lane, beat);
    }
}

static inline void store_close(struct store *store)
{
    store->ops->close(store);
}

#endif
