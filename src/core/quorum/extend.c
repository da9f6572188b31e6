/*
 * Extend: a look everywhere. One token on q nodes is success; a tenure that restarts have thinned is refilled in the same
 * operation, where that is safe; what lacks it afterwards is repaired.
 */
#include "core/lease.h"
#include "core/quorum/internal.h"

static const char *const why_no_quorum = "no majority of the store's nodes holds or lacks the tenure";
static const char *const why_no_time = "no majority of the store's nodes answered in time";
static const char *const why_clock = "the range of tokens is used up";
static const char *const why_late = "no validity was left when the answer was known";
static const char *const why_moved = "the session moved to another agent";
static const char *const why_taken = "another operation has taken the tenure over meanwhile";

static void extend_start(struct quorum *q, struct attempt *a)
{
    if (a->claim.owner.clock == 0) {
        bool known = a->session != NULL && a->session->owner.clock != 0;
        a->claim.owner = known ? a->session->owner : quorum_owner_new(q);
        a->valid_until = lease_valid_until(a->request->start, a->term_ms);
        /* Known is what the client names, or what this agent has seen a quorum hold: nothing else is refilled (Q11)
         * (E4: what a dead agent claimed on a few nodes was never granted). */
        a->known = a->request->token != 0 ? a->request->token : hint_get(q, &a->names);
    }
    if (a->claim.owner.clock == 0) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_clock);
    } else if (!node_raised_term(q, a->term_ms)) {
        attempt_block(q, a, PHASE_QUEUED);
    } else {
        attempt_round(q, a, PHASE_LOOK);
    }
}

static void extend_note(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    if (s->cmd.verb == QUORUM_LOOK) {
        look_note(q, a, s, reply);
    } else if (s->cmd.verb == QUORUM_REPAIR && s->refill == REFILL_ASKED) {
        s->refill = reply->answer == QUORUM_OK ? REFILL_DONE : REFILL_REFUSED;
    }
}

/* What the answers to the looks add up to. */
struct tally {
    unsigned holding;   /* ready nodes with the known token under our owner, and those refilled */
    unsigned refilling; /* asked, not answered */
    unsigned empty;     /* ready nodes without a lease where F <= known: may be refilled */
    unsigned missing;   /* ready nodes without a lease */
    unsigned pending;   /* looks that can still be answered */
};

static bool refillable(const struct quorum *q, const struct attempt *a, const struct slot *s)
{
    bool ready = !s->recovering || q->faults.count_recovering;
    return slot_fresh(a, s) && s->answer == QUORUM_MISSING && ready && s->refill == REFILL_NOT &&
           (s->fence <= a->known || q->faults.refill_unchecked);
}

static struct tally tally_slots(const struct quorum *q, const struct attempt *a)
{
    struct tally t = {0};
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        bool asked = s->out && s->refill == REFILL_ASKED;
        bool ready = !s->recovering || q->faults.count_recovering;
        t.refilling += asked ? 1 : 0;
        t.pending += s->out && !asked ? 1 : 0;
        t.empty += refillable(q, a, s) ? 1 : 0;
        t.missing +=
            slot_fresh(a, s) && ready && s->answer == QUORUM_MISSING && s->refill != REFILL_DONE ? 1 : 0;
        t.holding += s->refill == REFILL_DONE ||
                             (slot_fresh(a, s) && ready && s->answer == QUORUM_OK &&
                              s->seen.token == a->known && quorum_owner_is(s->seen.owner, a->claim.owner))
                         ? 1
                         : 0;
    }
    return t;
}

static void refill(struct quorum *q, struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        struct slot *s = &a->slots[i];
        if (s->out || !refillable(q, a, s) || node_state(&q->nodes[i]) != QUORUM_NODE_READY) {
            continue;
        }
        s->refill = REFILL_ASKED;
        q->repairs++;
        struct quorum_command *cmd =
            attempt_command(a, s, QUORUM_REPAIR, mono_min(a->deadline, a->valid_until));
        cmd->token = a->known;
        attempt_send_aside(q, a, s);
    }
}

static void succeed(struct quorum *q, struct attempt *a, uint64_t token)
{
    if (a->request->token != 0 && token != a->request->token) {
        attempt_held(q, a, a->request->candidate, token);
    } else if (!mono_before(q->now.mono, a->valid_until) && !q->faults.validity_unchecked) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_late);
    } else {
        attempt_win(q, a, token);
    }
}

/* Another's committed name on q nodes. */
static bool held_by_other(struct quorum *q, struct attempt *a, const struct slot *just,
                          const struct quorum_reply *reply)
{
    if (just == NULL || !slot_fresh(a, just) || just->answer != QUORUM_OTHER || !just->committed) {
        return false;
    }
    unsigned names = 0;
    unsigned tokens = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        bool same = slot_fresh(a, s) && s->answer == QUORUM_OTHER && s->committed && s->name == just->name;
        names += same ? 1 : 0;
        tokens += same && s->seen.token == just->seen.token ? 1 : 0;
    }
    if (names < q->majority) {
        return false;
    }
    hint_drop(q, &a->names, a->names.candidate);
    attempt_held(q, a, reply->name, tokens >= q->majority ? just->seen.token : 0);
    return true;
}

static bool has_nothing(const struct attempt *a, const struct slot *s)
{
    bool heard = s->answer == QUORUM_MISSING || s->answer == QUORUM_AMNESIAC || s->answer == QUORUM_OTHER;
    return slot_fresh(a, s) && heard && !s->own;
}

/* All have answered, nobody holds anything of the candidate's, and q nodes with memory have one other name: a foreign
 * agent's lease has no tenure, and is held all the same. While a node holds the candidate's token, or may do so, such
 * names may be losers' transient leases, and the leader must not lose by them (scenario 10). */
static bool held_without_tenure(struct quorum *q, struct attempt *a, const struct slot *just,
                                const struct quorum_reply *reply)
{
    for (unsigned i = 0; i < q->n; i++) {
        if (!has_nothing(a, &a->slots[i])) {
            return false;
        }
    }
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        unsigned names = 0;
        for (unsigned k = 0; k < q->n; k++) {
            const struct slot *other = &a->slots[k];
            names += slot_fresh(a, s) && slot_fresh(a, other) && s->answer == QUORUM_OTHER &&
                             other->answer == QUORUM_OTHER && !other->recovering && other->name == s->name
                         ? 1
                         : 0;
        }
        if (names >= q->majority) {
            bool last = just != NULL && just->name == s->name && reply->answer == QUORUM_OTHER;
            hint_drop(q, &a->names, a->names.candidate);
            attempt_held(q, a, last ? reply->name : (struct str){NULL, 0}, 0);
            return true;
        }
    }
    return false;
}

static void taken_over(struct quorum *q, struct attempt *a)
{
    if (a->session != NULL && a->session->owner.clock != 0) { /* scenario 4: and it never resigns */
        a->session->moved = true;
        a->request->tenure = (struct election_tenure){0};
        attempt_answer(q, a, EA_HELD, why_moved);
    } else if (!look_again(q, a)) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_taken);
    }
}

/* No q nodes hold one token under our owner, nor will by the answers that can still come to the looks. */
static void judge_thin(struct quorum *q, struct attempt *a, const struct slot *just,
                       const struct quorum_reply *reply)
{
    struct tally t = tally_slots(q, a);
    bool some = t.holding >= 1 && a->known != 0;
    if (some && t.empty > 0 && t.holding + t.refilling + t.empty >= q->majority) {
        refill(q, a);
        return;
    }
    unsigned most = t.holding + t.refilling + t.empty + t.pending;
    bool possible = a->known != 0 && t.holding + t.pending > 0 && most >= q->majority;
    if (possible && t.pending + t.refilling > 0) {
        return;
    }
    if (t.missing >= q->majority) {
        hint_drop(q, &a->names, a->names.candidate);
        attempt_fail(q, a, EA_NOT_FOUND, NULL);
    } else if (t.pending + t.refilling == 0 && !held_without_tenure(q, a, just, reply)) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_no_quorum);
    }
}

static void extend_judge(struct quorum *q, struct attempt *a, struct slot *just,
                         const struct quorum_reply *reply)
{
    if (attempt_phase(a) != PHASE_LOOK) {
        return;
    }
    unsigned best = 0;
    uint64_t token = look_best(q, a, &best);
    if (best >= q->majority) {
        succeed(q, a, token);
        return;
    }
    if (held_by_other(q, a, just, reply)) {
        return;
    }
    if (look_met_greater(q, a) && best + attempt_pending(q, a) < q->majority) {
        taken_over(q, a);
        return;
    }
    judge_thin(q, a, just, reply);
}

static void extend_after(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (a->won) {
        look_repair(q, a, s);
    } else if (a->session == NULL) {
        /* The owner of a session serves many renewals: a late one must not take back what the next promised. */
        look_put_back(q, a, s);
    }
}

static void extend_expired(struct quorum *q, struct attempt *a)
{
    struct tally t = tally_slots(q, a);
    bool gone = attempt_phase(a) == PHASE_LOOK && t.missing >= q->majority;
    attempt_fail(q, a, gone ? EA_NOT_FOUND : EA_UNAVAILABLE, gone ? NULL : why_no_time);
}

const struct attempt_ops extend_ops = {
    .start = extend_start,
    .ask = look_ask,
    .note = extend_note,
    .judge = extend_judge,
    .after = extend_after,
    .expired = extend_expired,
};
