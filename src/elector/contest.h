/*
 * How an elector takes part in one election: what it knows of the Lease, what to ask of the API server next, and who
 * leads. Deciding code: times come in, wants go out; at most one want is under way.
 *
 * owner   A Lease that exists is leadership, of the pod that owns it, until the garbage collector removes it with its
 *         pod. Only creating it can be won, so nothing is ever renewed and no clock matters. The API server may be
 *         away for as long as it likes.
 * renew   A Lease is held for its duration since its last change. The holder counts from before it *sent* the write,
 *         less an allowance for clocks of different speed; the others count from when they *saw* it. So the holder
 *         always stops first, whatever any clock shows. Every write checks the resourceVersion it is based on.
 *         leaseTransitions counts tenures: it is the fencing token.
 *
 * A Lease that carries our name but is none of our own doing (a pod of the same name before us, this program before it
 * crashed) is not ours: nobody is shown as the leader then.
 */
#ifndef EA_ELECTOR_CONTEST_H
#define EA_ELECTOR_CONTEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/sm.h"

#define CONTEST_NAME_BYTES 254
#define CONTEST_UID_BYTES  64

enum contest_strategy { CONTEST_OWNER, CONTEST_RENEW };

/* A Lease, as far as the contest looks. */
struct contest_lease {
    char uid[CONTEST_UID_BYTES];
    char version[CONTEST_UID_BYTES]; /* opaque; compared as a number where both are numbers */
    char holder[CONTEST_NAME_BYTES]; /* empty: nobody */
    char owner[CONTEST_UID_BYTES];   /* uid of the pod that owns it; empty: none */
    int64_t duration_us;             /* 0: held as long as it exists */
    int64_t transitions;
    /* Compared with what we wrote ourselves, for being the same, and with nothing else. */
    struct wall acquired;
    struct wall renewed;
};

/*
 *     LOOKING ──► FREE ◄──► HELD          LOOKING  nothing is known yet
 *        │          │▲       │▲           FREE     there is no Lease
 *        │          ▼│       ▼│           HELD     there is one, not ours
 *        ├───────► LEADING ───┘           LEADING  it is ours, and valid
 *        └─────────►└──► OVER             OVER     asked to stop; any state may end here
 */
enum contest_state {
    CONTEST_LOOKING,
    CONTEST_FREE,
    CONTEST_HELD,
    CONTEST_LEADING,
    CONTEST_OVER,
    CONTEST_STATES
};

extern const struct sm_state contest_states[CONTEST_STATES];

struct contest_settings {
    enum contest_strategy strategy;
    const char *candidate; /* outlives the contest */
    int64_t duration_us;   /* renew: of the Lease, whole seconds */
    int64_t interval_us;   /* renew: between renewals */
    uint64_t seed;         /* of the jitter */
};

enum contest_want {
    CONTEST_NOTHING,
    CONTEST_ASK_POD, /* is our pod still there, and not terminating? */
    CONTEST_READ,    /* the Lease */
    CONTEST_CREATE,  /* it, as write says */
    CONTEST_UPDATE   /* the newest known Lease, to what write says, at its version */
};

struct contest_write {
    char holder[CONTEST_NAME_BYTES]; /* empty: release */
    int64_t transitions;
    struct wall acquired;
    struct wall renewed; /* of each write another */
};

enum contest_outcome {
    CONTEST_DONE, /* with the Lease as it is now; CONTEST_ASK_POD: without */
    CONTEST_CONFLICT, /* it exists already, or has changed since: nothing was written by this attempt that we know */
    CONTEST_MISSING, /* there is none */
    CONTEST_FAILED,  /* nothing was done */
    CONTEST_UNKNOWN  /* perhaps it was done */
};

struct contest {
    struct contest_settings settings;
    struct sm state;
    struct rng rng;

    struct contest_lease lease;   /* the newest known; uid empty: none */
    struct mono observed;         /* when we saw its last change */
    char gone[CONTEST_UID_BYTES]; /* uid of the last Lease that was deleted: old news of it are no news */
    int64_t transitions_max;      /* ever seen: a new Lease goes on counting here */
    struct mono free_at;          /* renew: a deleted Lease may be held for its duration all the same */

    char pod[CONTEST_UID_BYTES]; /* owner: uid of our pod; empty: not known yet */
    bool pod_checked;            /* asked just now, for the create that follows */

    bool tenure; /* a Lease was written by us, and is... */
    char tenure_uid[CONTEST_UID_BYTES];
    int64_t tenure_transitions;
    struct wall tenure_acquired;
    struct mono valid_until; /* renew */
    struct mono renew_at;

    enum contest_want busy;
    struct mono sent;           /* when the want under way was handed out */
    struct contest_write write; /* what it writes */
    struct wall last_written;
    bool unsure; /* the outcome of `write`, sent then, is not known */
    struct mono unsure_sent;
    bool read_needed;
    struct mono retry_at;
    unsigned failures;  /* in a row */
    unsigned conflicts; /* in a row */
    bool sick;          /* renew: does not lead, does not stand */
    bool released;

    /* --- what is shown --- */
    char leader[CONTEST_NAME_BYTES]; /* empty: nobody that we know */
    bool known;                      /* there has been a leader */
    uint64_t changes;                /* of `leader` */
    struct mono vacant_since;        /* MONO_NEVER: not vacant */
    uint64_t won;                    /* tenures begun, */
    uint64_t lost;                   /* and ended */
};

/* Looks for the Lease first. The caller's memory, nothing to free; `settings` is copied. */
void contest_init(struct contest *contest, const struct contest_settings *settings);

/* --- news --- */

/* The Lease was seen so. True if it is news (and not older than what is known). */
bool contest_see(struct contest *contest, const struct contest_lease *lease, struct mono now);
/* The Lease of this uid was deleted. */
void contest_see_gone(struct contest *contest, const char *uid, struct mono now);
/* A list did not name it, which may be older than what is known: it is read. */
void contest_doubt(struct contest *contest, struct mono now);
void contest_see_health(struct contest *contest, bool healthy, struct mono now);
/* No more standing; renew: what is held is released. */
void contest_stop(struct contest *contest, struct mono now);
/* Time has passed. Call it before anything is shown. */
void contest_tick(struct contest *contest, struct mono now);

/* --- acts --- */

/* What to do now. Anything but CONTEST_NOTHING is answered by contest_answer() before there is another. */
enum contest_want contest_next(struct contest *contest, struct contest_write *write, struct mono now,
                               struct wall wall);
void contest_answer(struct contest *contest, enum contest_outcome outcome, const struct contest_lease *lease,
                    struct mono now);
/* The answer to CONTEST_ASK_POD: its uid; NULL with CONTEST_DONE: it is terminating. */
void contest_answer_pod(struct contest *contest, enum contest_outcome outcome, const char *uid,
                        struct mono now);

/* When contest_tick() and contest_next() should be called again, if nothing happens before; after `now`. */
struct mono contest_wake(const struct contest *contest, struct mono now);

static inline bool contest_leads(const struct contest *contest)
{
    return sm_now(&contest->state) == CONTEST_LEADING;
}

/* Stopped, with nothing left to release or to wait for. */
bool contest_is_over(const struct contest *contest);

/* Owner: the pod is known. Renew: it needs none. */
static inline bool contest_knows_pod(const struct contest *contest)
{
    return contest->settings.strategy == CONTEST_RENEW || contest->pod[0] != '\0';
}

#endif
