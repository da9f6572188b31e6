/*
 * Resign: one round that names owner and token where we have them. It counts on a node when nothing can bring
 * the tenure back there: its fence is above the token. Where no lease stands, or another's without a tenure, the fence
 * is raised only on demand (else a repair under way would put the tenure back as soon as that lease is gone, scenario
 * 11), and that is demanded when another node has confirmed the token: a client's number alone must not move a fence
 * (T5, Q15). Another's tenure keeps its fence: it may have a quorum, and would not be refilled any more.
 */
#include "core/quorum/internal.h"

static const char *const why_no_quorum =
    "too few of the store's nodes answered to be sure that the tenure ended";

static void resign_start(struct quorum *q, struct attempt *a)
{
    a->known = a->request->token;
    a->claim.owner = a->session != NULL ? a->session->owner : (struct quorum_owner){0};
    if (nodes_are_coming(q)) {
        attempt_block(q, a, PHASE_QUEUED);
        return;
    }
    attempt_round(q, a, PHASE_ASK);
}

static void fill(const struct quorum *q, struct attempt *a, struct slot *s)
{
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_RESIGN, a->deadline);
    cmd->token = a->known;
    cmd->force = a->confirmed;
    cmd->owner = a->claim.owner;
    if (q->faults.resign_any_token) {
        cmd->token = 0;
        cmd->owner = (struct quorum_owner){0};
    }
}

static void resign_ask(struct quorum *q, struct attempt *a, struct slot *s)
{
    fill(q, a, s);
    attempt_send(q, a, s);
}

static void resign_note(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    bool sane = quorum_observe(q, reply->token);
    s->answered = true;
    s->answer = reply->answer;
    s->seen.token = reply->token;
    if (reply->answer == QUORUM_OK && sane && reply->token > 0) {
        a->known = reply->token > a->known ? reply->token : a->known;
        a->confirmed = true;
    }
    s->own = reply->answer == QUORUM_NO && str_eq(reply->name, a->names.candidate);
}

/* The demand raises the fence there. */
static bool obeys(const struct slot *s)
{
    return s->answer == QUORUM_NONE || (s->answer == QUORUM_NO && !s->own && s->seen.token == 0);
}

/*
 * Nothing can bring the tenure back here. "No" of the same token is this very tenure under another owner: it still
 * stands. The own name without a tenure settles nothing: the claim for it may still be under way to this node. Nor
 * does another's name without a tenure, which is taken back when that candidate loses.
 */
static bool is_settled(const struct attempt *a, const struct slot *s)
{
    bool later = s->answer == QUORUM_NO && s->seen.token > a->known;
    bool told = obeys(s) && s->cmd.force && s->cmd.token >= a->known;
    return s->answer == QUORUM_OK || later || told;
}

static void tell_token(struct quorum *q, struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        struct slot *s = &a->slots[i];
        bool unsettled = slot_fresh(a, s) && obeys(s) && !is_settled(a, s) && !s->out;
        if (unsettled && a->confirmed && node_usable(&q->nodes[i])) {
            resign_ask(q, a, s);
        }
    }
}

static void resigned(struct quorum *q, struct attempt *a)
{
    struct election_event event = {
        .at = q->now.wall,
        .action = ACTION_RESIGNED,
        .kind = a->names.kind,
        .election = a->names.election,
        .leader = a->names.candidate,
        .token = a->known,
    };
    hint_drop(q, &a->names, a->names.candidate);
    a->request->tenure = (struct election_tenure){0};
    attempt_answer(q, a, EA_OK, NULL);
    if (q->hooks.event != NULL) {
        q->hooks.event(q->hooks.arg, &event);
    }
}

static void resign_judge(struct quorum *q, struct attempt *a, struct slot *just,
                         const struct quorum_reply *reply)
{
    if (attempt_phase(a) != PHASE_ASK) {
        return;
    }
    unsigned ok = 0;
    unsigned settled = 0;
    unsigned none = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (!slot_fresh(a, s)) {
            continue;
        }
        ok += s->answer == QUORUM_OK ? 1 : 0;
        settled += is_settled(a, s) ? 1 : 0;
        /* What a recovering node does not hold, it may have forgotten. */
        none += (s->answer == QUORUM_NONE || s->answer == QUORUM_NO) && !s->recovering ? 1 : 0;
    }
    if (ok > 0) {
        tell_token(q, a);
    }
    if (ok > 0 && settled >= q->majority) {
        resigned(q, a);
    } else if (ok == 0 && none >= q->majority) {
        hint_drop(q, &a->names, a->names.candidate);
        attempt_fail(q, a, EA_NOT_FOUND, NULL);
    } else if (attempt_pending(q, a) == 0) {
        attempt_fail(q, a, EA_UNAVAILABLE, why_no_quorum);
    }
}

/* The answer did not need this node; a repair under way to it must find a fence all the same (scenario 11). */
static void resign_after(struct quorum *q, struct attempt *a, struct slot *s)
{
    bool unsettled = s->answered && obeys(s) && !is_settled(a, s);
    if (a->confirmed && unsettled && mono_before(q->now.mono, a->deadline)) {
        fill(q, a, s);
        attempt_send_aside(q, a, s);
    }
}

static void resign_expired(struct quorum *q, struct attempt *a)
{
    attempt_fail(q, a, EA_UNAVAILABLE, why_no_quorum);
}

const struct attempt_ops resign_ops = {
    .start = resign_start,
    .ask = resign_ask,
    .note = resign_note,
    .judge = resign_judge,
    .after = resign_after,
    .expired = resign_expired,
};
