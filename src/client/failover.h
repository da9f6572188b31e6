/*
 * How one node takes part in the election of its project: when it stands, renews, steps down, hands over, and when the
 * program's callbacks run. Deciding code: times, chance and answers come in, wants go out; at most one question to the
 * store is under way. One thread at a time.
 *
 * What is safe rests on three rules, each asserted where it is kept:
 *   F1  A leadership is told (hooks.lead) only up to the start of the last proven renewal + lease_ttl - drift.
 *   F2  start and stop alternate, and a stop carries the token of its start.
 *   F3  A lease is given away (resigned, handed over) only after on_start has returned and on_stop has, or has had its
 *       time.
 */
#ifndef EA_CLIENT_FAILOVER_H
#define EA_CLIENT_FAILOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/sm.h"
#include "election.h"

#define FAILOVER_STOP_MS 1000 /* on_stop's time */

/*
 *                     ┌────────────lost────────────┐
 *                     ▼                            │
 *   FOLLOWING ──tick──► STANDING ──elected──► LEADING ──lost, drift, step down, hand over──► STOPPING
 *     ▲   ▲               │                                                               │    │
 *     │   └───────────────┘ not elected            ┌──────────callbacks over, still ours──┘    │ not ours
 *     │                                            ▼                                           │
 *     └─────────────────────────────────────── GIVING                                          │
 *     ▲                                                                                        │
 *     └────────────────────────────────────────────────────────────────────────────────────────┘
 *   OVER follows FOLLOWING, STANDING, STOPPING and GIVING once it was closed.
 */
extern const struct sm_state failover_states[ELECTION_OVER + 1];

enum failover_ask {
    FAILOVER_NOTHING,
    FAILOVER_READ,
    FAILOVER_CAMPAIGN,
    FAILOVER_EXTEND,
    FAILOVER_RESIGN,
    FAILOVER_HAND_OVER
};

/* What the store is asked. `start` and the texts are valid until the answer. */
struct failover_question {
    enum failover_ask ask;
    struct mono start;
    struct mono deadline;
    uint64_t token;   /* extend, resign, hand over: of our tenure */
    uint64_t past;    /* campaign */
    const char *heir; /* hand over: to whom */
};

enum failover_outcome {
    FAILOVER_OK,   /* campaign: elected; read: there is a leader; others: done */
    FAILOVER_LOST, /* campaign, extend, hand over: another holds it, `leader`; read, extend, resign: nobody */
    FAILOVER_UNKNOWN /* the store could not decide */
};

struct failover_answer {
    enum failover_outcome outcome;
    const char *leader; /* campaign, read, extend: who leads; empty: nobody. Valid during the call */
    uint64_t token;     /* of the leader; 0: not known */
};

/* Called inside the functions below; must not call back. */
struct failover_hooks {
    /* This node leads until then under that token; {0}, 0: not any more. */
    void (*lead)(void *arg, struct mono until, uint64_t token);
    void (*start)(void *arg, uint64_t token); /* on_start begins; failover_started() tells its end */
    void (*end)(void *arg, uint64_t token);   /* its context is over */
    void (*stop)(void *arg, uint64_t token);  /* on_stop begins; failover_stopped() tells its end */
    void (*change)(void *arg, const char *leader, const char *previous, uint64_t token);
    void (*note)(void *arg, enum election_act act, const char *node, uint64_t token, const char *why);
    void *arg;
};

struct failover_settings {
    const char *node_id; /* outlives it, as a text of at most 253 bytes */
    int32_t priority;
    enum election_strategy strategy;
    int64_t ttl_ms;
    int64_t max_drift_ms;
    int64_t tick_ms;
    int64_t fail_back_delay_ms;
    int64_t min_tenure_ms;
    int64_t close_timeout_ms;
    uint64_t seed;
    struct failover_hooks hooks;
};

/* A node that is alive. */
struct failover_node {
    char name[ELECTION_NAME_BYTES];
    int32_t priority;
    struct mono since; /* alive without a break, as seen here */
    struct mono seen;
    struct wall seen_wall;
};

struct failover {
    struct failover_settings settings;
    struct sm state;
    struct rng rng;

    struct mono tick_at;
    struct mono pause_until; /* does not stand before */
    unsigned deferred;       /* ticks left to a better node */
    bool beat_due;

    enum failover_ask busy; /* under way */
    struct mono asked;      /* when */
    bool urgent;            /* tell the store now, not at the next tick */

    uint64_t token;     /* of our tenure, until it was given or lost; 0: none */
    uint64_t past;      /* the highest that was given up */
    bool stranger_gone; /* no tenure of a former life has this node's name any more: it may stand */
    struct mono elected_at;
    struct mono renewed; /* the start of the last proven renewal */
    struct wall renewed_wall;

    uint64_t callback;      /* the token of the start that has no finished stop; 0: none */
    bool starting;          /* on_start runs */
    bool stopping;          /* on_stop runs */
    bool owned;             /* STOPPING: the lease is still ours */
    struct mono keep_until; /* STOPPING: renewed until then */
    struct mono stop_late_at;
    struct mono give_up_at; /* closing: on_start is not waited for any longer */
    bool handing_over;
    bool abandoned; /* closed while a callback runs */
    bool closing;
    char heir[ELECTION_NAME_BYTES];

    char leader[ELECTION_NAME_BYTES]; /* as known; empty: nobody */
    uint64_t leader_token;
    char doubted
        [ELECTION_NAME_BYTES]; /* led, and left or died: what it said of itself until then does not count */
    struct mono doubted_at;

    struct failover_node nodes[ELECTION_NODES_MAX]; /* the others and this one */
    size_t n_nodes;
};

void failover_init(struct failover *f, const struct failover_settings *settings, struct mono now);

/* --- news --- */

void failover_tick(struct failover *f, struct mono now);
void failover_answer(struct failover *f, const struct failover_answer *answer, struct mono now,
                     struct wall wall);
void failover_started(struct failover *f, int result, struct mono now); /* on_start returned */
void failover_stopped(struct failover *f, struct mono now);             /* on_stop returned */
/* The election changed hands, somebody said: the truth is asked for now. */
void failover_hint(struct failover *f, struct mono now);
void failover_step_down(struct failover *f, struct mono now);
void failover_close(struct failover *f, struct mono now);
/* What hooks.lead prolonged was over already: somebody was told so. */
void failover_lapsed(struct failover *f, struct mono now);

/* --- nodes --- */

/* A server tells that a node was alive so long ago. */
void failover_see(struct failover *f, const char *name, int32_t priority, int64_t age_us, struct mono now,
                  struct wall wall);
/* How long a silent node counts as alive. Less than lease_ttl: a leader that died is not alive any more when the next
 * one is elected. */
int64_t failover_live_us(const struct failover *f);
/* Whether this node may be elected or leads: only then it says that it lives. */
bool failover_stands(const struct failover *f, struct mono now);

/* --- wants --- */

/* What to ask the store now; anything but FAILOVER_NOTHING is answered by failover_answer() before there is another. */
struct failover_question failover_next(struct failover *f, struct mono now);

/* Once a tick: whether to tell that this node lives, and to hear who else does. */
bool failover_beat(struct failover *f);

/* When failover_tick() and failover_next() should be called again, if nothing happens before. */
struct mono failover_wake(const struct failover *f);

static inline enum election_state failover_state(const struct failover *f)
{
    return (enum election_state)sm_now(&f->state);
}

#endif
