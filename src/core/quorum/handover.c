/*
 * Handover: one round on all nodes with memory; once more with a higher token if one was too low; and if no quorum took
 * it, everything is put back, so that the old leader is the leader still (scenario 7).
 */
#include "core/lease.h"
#include "core/quorum/internal.h"

static const char *const why_no_quorum =
    "no majority of the store's nodes took the handover: it was taken back";
static const char *const why_no_time =
    "no majority of the store's nodes answered in time: the handover was taken back";
static const char *const why_clock = "the range of tokens is used up";
static const char *const why_late = "no validity was left when the answer was known";

static void handover_start(struct quorum *q, struct attempt *a)
{
    if (a->claim.owner.clock == 0) {
        a->claim.owner = quorum_owner_new(q);
        a->valid_until = lease_valid_until(a->request->start, a->term_ms);
    }
    a->claim.token = quorum_clock(q);
    if (a->claim.owner.clock == 0 || a->claim.token == 0) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_clock);
        return;
    }
    bool ceiling = node_raised_ceiling(q, a->claim.token);
    bool term = node_raised_term(q, a->term_ms);
    if (ceiling && term) {
        attempt_round(q, a, PHASE_ASK);
    } else {
        attempt_block(q, a, PHASE_QUEUED);
    }
}

static void restore(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (s->held == HELD_NONE) {
        return;
    }
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_RESTORE, MONO_NEVER);
    cmd->token = s->placed.token;
    cmd->owner = s->placed.owner;
    attempt_send_aside(q, a, s);
}

static void handover_ask(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (attempt_phase(a) != PHASE_ASK) {
        return;
    }
    if (s->held != HELD_NONE) { /* of the first token: its conditions hold again when it was put back */
        restore(q, a, s);
        return;
    }
    if (node_state(&q->nodes[s->cmd.node]) != QUORUM_NODE_READY) {
        return;
    }
    s->held = HELD_UNKNOWN;
    s->placed = a->claim;
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_HANDOVER, a->deadline);
    cmd->expect.token = a->request->token;
    cmd->expect.owner = a->session != NULL ? a->session->owner : (struct quorum_owner){0};
    attempt_send(q, a, s);
}

static void handover_note(struct quorum *q, struct attempt *a, struct slot *s,
                          const struct quorum_reply *reply)
{
    if (s->cmd.verb == QUORUM_RESTORE) {
        s->held = reply->answer == QUORUM_OK ? HELD_NONE : s->held;
        return;
    }
    if (s->cmd.verb != QUORUM_HANDOVER) {
        return;
    }
    bool sane = quorum_observe(q, reply->token) && quorum_observe(q, reply->fence);
    s->answered = true;
    s->answer = reply->answer;
    s->name = reply->name.n > 0 ? attempt_name(q, reply->name) : 0;
    s->seen.token = sane ? reply->token : 0;
    if (reply->answer == QUORUM_OK) {
        s->held = HELD_SURE;
        s->expect = s->seen;
        s->seen = s->placed;
    } else if (reply->answer != QUORUM_LOST) {
        s->held = HELD_NONE;
    }
}

/* Whether somebody led: a tenure that a quorum held stood on one at least of the nodes that took the handover. */
static bool was_led(const struct quorum *q, const struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s) && s->answer == QUORUM_OK && s->expect.token != 0) {
            return true;
        }
    }
    return false;
}

static void succeed(struct quorum *q, struct attempt *a, struct str replaced)
{
    bool led = was_led(q, a);
    if (!mono_before(q->now.mono, a->valid_until) && !q->faults.validity_unchecked) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_late);
        return;
    }
    struct election_event event = {
        .at = q->now.wall,
        .action = led ? ACTION_HANDED_OVER : ACTION_ELECTED,
        .kind = a->names.kind,
        .election = a->names.election,
        .leader = a->names.candidate,
        .previous = led ? replaced : (struct str){NULL, 0},
        .token = a->claim.token,
    };
    if (led) {
        hint_drop(q, &a->names, replaced);
    }
    attempt_win(q, a, a->claim.token);
    if (q->hooks.event != NULL) {
        q->hooks.event(q->hooks.arg, &event);
    }
}

static void refuse(struct quorum *q, struct attempt *a, struct slot *just, const struct quorum_reply *reply)
{
    unsigned tokens = 0;
    bool named = just != NULL && just->answer == QUORUM_NO && slot_fresh(a, just) && just->name != 0 &&
                 attempt_same_name(q, a, just, &tokens) >= q->majority;
    if (named) {
        attempt_held(q, a, reply->name, tokens >= q->majority ? just->seen.token : 0);
    } else {
        attempt_fail(q, a, EA_HELD, NULL);
    }
}

static void handover_judge(struct quorum *q, struct attempt *a, struct slot *just,
                           const struct quorum_reply *reply)
{
    if (attempt_phase(a) != PHASE_ASK) {
        return;
    }
    unsigned ok = 0;
    unsigned no = 0;
    bool low = false;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s)) {
            ok += s->answer == QUORUM_OK ? 1 : 0;
            no += s->answer == QUORUM_NO ? 1 : 0;
            low |= s->answer == QUORUM_LOW;
        }
    }
    if (ok >= q->majority) {
        succeed(q, a, just != NULL && just->answer == QUORUM_OK ? reply->name : a->names.from);
    } else if (no >= q->majority) {
        refuse(q, a, just, reply);
    } else if (ok + attempt_pending(q, a) >= q->majority) {
        return;
    } else if (low && !a->again) {
        a->again = true;
        q->claims_low++;
        handover_start(q, a);
    } else if (attempt_pending(q, a) == 0) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_no_quorum);
    }
}

/* Q16 */
static void handover_after(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (a->won) {
        look_repair(q, a, s);
    } else {
        restore(q, a, s);
    }
}

static void handover_expired(struct quorum *q, struct attempt *a)
{
    attempt_fail(q, a, EA_UNAVAILABLE, why_no_time);
}

const struct attempt_ops handover_ops = {
    .start = handover_start,
    .ask = handover_ask,
    .note = handover_note,
    .judge = handover_judge,
    .after = handover_after,
    .expired = handover_expired,
};
