/*
 * Resign: one round that names owner and token where we have them. It counts on a node when nothing can bring
 * the tenure back there: its fence is above the token, or another lease stands. A node without a lease raises its
 * fence only when it is told to (else a repair under way would put the tenure back, scenario 11), and it is told
 * to when another node has confirmed the token: a client's number alone must not move a fence (T5, Q15).
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
    /* "No" of the same token is this very tenure under another owner: it still stands there. The own name without
     * a tenure settles nothing either: the claim for it may still be under way to this node. */
    bool bare = reply->token == 0 && str_eq(reply->name, a->names.candidate);
    s->settled = reply->answer == QUORUM_OK ||
                 (reply->answer == QUORUM_NO && reply->token != a->known && !bare) ||
                 (reply->answer == QUORUM_NONE && s->cmd.force);
}

static void tell_token(struct quorum *q, struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        struct slot *s = &a->slots[i];
        bool unsettled = slot_fresh(a, s) && s->answer == QUORUM_NONE && !s->settled && !s->out;
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
        settled += s->settled ? 1 : 0;
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
    bool told = s->cmd.force || !s->answered || s->answer != QUORUM_NONE;
    if (a->confirmed && !told && mono_before(q->now.mono, a->deadline)) {
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
