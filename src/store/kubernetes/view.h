/*
 * An election as its Lease shows it: who leads, with which token, until when by our own clock; and the changes of
 * leader that follow from one state of the Lease to the next. Deciding code.
 *
 * The rule of time is client-go's: times in a Lease are somebody's wall clock and are never compared with ours. A
 * tenure is over when we have seen its Lease unchanged for its duration, counted from when *we* first saw it so; what
 * we wrote ourselves counts from when that was decided, which is before anybody else can have seen it.
 *
 * The token is leaseTransitions. The annotation LEASE_LAST_NOTE says how the tenure with the present token began or
 * ended; without it (electors, other programs) it is guessed.
 *
 * A Lease that somebody deletes takes nothing from its leader: the view goes on holding it until its time is over, and
 * who extends makes the Lease anew.
 */
#ifndef EA_STORE_KUBERNETES_VIEW_H
#define EA_STORE_KUBERNETES_VIEW_H

#include "core/request.h"
#include "kube/lease.h"
#include "store/kubernetes/name.h"
#include "store/kubernetes/notes.h"

#define LEASE_LAST_NOTE "election-agent/last" /* "elected 217003041": what happened, and to which token */
#define LEASE_TOKEN_MAX INT32_MAX             /* leaseTransitions is an int32 */

struct view {
    struct lease_election id;
    struct kube_lease lease; /* version empty: there is none */
    char gone[KUBE_UID_BYTES];
    int64_t token_max; /* ever seen here */

    bool led;
    bool
        forever; /* its holder has it as long as it exists (an elector's strategy `owner`): not ours to change */
    bool ours;    /* an agent began this tenure */
    bool mine;    /* we wrote the Lease last */
    bool strange; /* its holder is no name that a candidate can have */
    char leader[NAME_BYTES_MAX];
    size_t leader_bytes;
    uint64_t token;
    struct mono expires;
    int32_t term_ms;
    struct wall elected_at;
    struct wall renewed_at;
    struct mono seen; /* when its leader was last heard of */
    int32_t priority;

    struct notes notes;
    void (*on_event)(void *arg, const struct election_event *event);
    void *arg;
};

/* Of an election whose Lease has not been seen; names are copied. */
void view_init(struct view *view, const struct lease_election *id, const char *ns, const char *name);
void view_fini(struct view *view);

static inline struct str view_kind(const struct view *view)
{
    return str_from(view->id.kind, view->id.kind_bytes);
}

static inline struct str view_election(const struct view *view)
{
    return str_from(view->id.election, view->id.election_bytes);
}

static inline struct str view_leader(const struct view *view)
{
    return str_from(view->leader, view->leader_bytes);
}

static inline bool view_exists(const struct view *view)
{
    return view->lease.version[0] != '\0';
}

static inline bool view_is_led(const struct view *view, struct mono now)
{
    return view->led && (view->forever || mono_before(now, view->expires));
}

/*
 * The Lease was seen so. `first`: it was there before we were, so what it shows is no event. Old news (an older
 * version, or an object that was deleted) are ignored.
 */
void view_see(struct view *view, const struct kube_lease *lease, bool first, struct mono now,
              struct wall wall);

/* There is no Lease any more; uid NULL: whichever it was. */
void view_see_gone(struct view *view, const char *uid, struct mono now, struct wall wall);

/* Ends a tenure whose time is over: the caller has made sure that the Lease is still the same. */
void view_end(struct view *view, struct mono now, struct wall wall);

/* Who leads, for an answer; all zero if nobody does. Slices point into the view. */
struct election_tenure view_tenure(const struct view *view, struct mono now);

#endif
