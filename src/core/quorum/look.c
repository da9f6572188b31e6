/*
 * Looking: what campaign and extend share. A look takes ownership of the candidate's tenure on a node and tells its token; it
 * counts only where the answer carries our own owner ("Every operation counts only answers that carry its own
 * owner"), since whoever relies on a tenure took ownership in the very script he counted (Q3).
 */
#include "core/quorum/internal.h"

void look_ask(struct quorum *q, struct attempt *a, struct slot *s)
{
    attempt_command(a, s, QUORUM_LOOK, a->deadline)->token = 0;
    attempt_send(q, a, s);
}

static void note_tenure(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    s->own = true;
    s->committed = true;
    s->seen = (struct quorum_claim){reply->token, reply->owner};
    s->expect = s->seen; /* "by claims that expect exactly what look returned" */
    if (attempt_tried(a, reply->token)) {
        return;
    }
    s->had_tenure = true;
    s->held = q->faults.give_back_adopted ? HELD_SURE : HELD_NONE; /* Q9 */
    if (q->faults.give_back_adopted && a->n_tried < QUORUM_CLAIMS_MAX) {
        a->tried[a->n_tried++] = s->seen;
    }
    /* A second look's too, though it may find no more than the first one wrote: between the two another operation may
     * have promised what it found. */
    s->put_back = s->seen;
    s->put_back_ms = reply->expires_ms;
}

void look_note(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    bool sane = quorum_observe(q, reply->token) && quorum_observe(q, reply->fence) &&
                quorum_observe(q, reply->owner.clock);
    s->answered = true;
    s->answer = sane ? reply->answer : QUORUM_FAILED;
    s->fence = reply->fence;
    s->seen = (struct quorum_claim){.token = reply->token};
    switch (s->answer) {
    case QUORUM_OK:
        note_tenure(q, a, s, reply);
        break;
    case QUORUM_BARE:
        s->own = true;
        s->committed = false;
        s->expect = (struct quorum_claim){0};
        break;
    case QUORUM_MISSING:
    case QUORUM_AMNESIAC:
        s->own = false;
        s->name = 0;
        s->held = HELD_NONE; /* nothing of ours stands there */
        break;
    case QUORUM_OTHER:
        s->own = false;
        s->committed = reply->committed;
        s->name = attempt_name(q, reply->name);
        s->held = HELD_NONE;
        break;
    default:
        break;
    }
}

static bool counts(const struct quorum *q, const struct attempt *a, const struct slot *s, uint64_t token)
{
    if (s->refill == REFILL_DONE && a->known == token) {
        return true;
    }
    return slot_fresh(a, s) && s->answer == QUORUM_OK && s->seen.token == token &&
           (quorum_owner_is(s->seen.owner, a->claim.owner) || q->faults.any_owner_counts);
}

unsigned look_count(const struct quorum *q, const struct attempt *a, uint64_t token)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += counts(q, a, &a->slots[i], token) ? 1 : 0;
    }
    return n;
}

uint64_t look_best(const struct quorum *q, const struct attempt *a, unsigned *count)
{
    uint64_t best = 0;
    *count = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (!slot_fresh(a, s) || s->answer != QUORUM_OK) {
            continue;
        }
        unsigned n = look_count(q, a, s->seen.token);
        if (n > *count || (n == *count && s->seen.token > best)) {
            best = s->seen.token;
            *count = n;
        }
    }
    return best;
}

bool look_met_greater(const struct quorum *q, const struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s) && s->answer == QUORUM_OK &&
            quorum_owner_cmp(s->seen.owner, a->claim.owner) > 0) {
            return true;
        }
    }
    return false;
}

bool look_again(struct quorum *q, struct attempt *a)
{
    if (a->looked_again) {
        return false;
    }
    a->looked_again = true;
    a->claim.owner = quorum_owner_new(q); /* above all that was read */
    if (a->claim.owner.clock == 0) {
        return false;
    }
    attempt_round(q, a, PHASE_LOOK);
    return true;
}

void look_put_back(struct quorum *q, struct attempt *a, struct slot *s)
{
    /* Q14, scenario 22: what can't be proven must not live as long as somebody asks. Only while the owner is ours:
     * an answer that was given meanwhile, by whomever, keeps what it promised. */
    bool ours = s->put_back.token != 0 && quorum_owner_is(s->put_back.owner, a->claim.owner);
    if (!ours || q->faults.expiry_not_put_back) {
        return;
    }
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_RESTORE_EXPIRY, MONO_NEVER);
    cmd->token = s->put_back.token;
    cmd->owner = s->put_back.owner;
    cmd->expires_ms = s->put_back_ms;
    s->put_back = (struct quorum_claim){0};
    attempt_send_aside(q, a, s);
}

/* Its last answer says that it lacks what we hold; a repair may help. A bare lease is never overwritten, and
 * above F nothing can be done: those aren't asked. */
static bool lacks(const struct attempt *a, const struct slot *s)
{
    if (!s->answered || s->refill == REFILL_DONE) {
        return false;
    }
    switch (s->answer) {
    case QUORUM_MISSING:
    case QUORUM_AMNESIAC:
    case QUORUM_NONE:
    case QUORUM_NO:
    case QUORUM_CHANGED:
    case QUORUM_NAME:
        return true;
    case QUORUM_OTHER:
        return s->committed;
    case QUORUM_OK:
        return s->seen.token < a->claim.token;
    default:
        return false;
    }
}

void look_repair(struct quorum *q, struct attempt *a, struct slot *s)
{
    const struct node *node = &q->nodes[s->cmd.node];
    if (s->repaired || !mono_before(q->now.mono, a->valid_until) || !lacks(a, s)) {
        return;
    }
    s->repaired = true;
    q->repairs++;
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_REPAIR, a->valid_until);
    cmd->force = true;
    cmd->nonce = node_state(node) == QUORUM_NODE_RECOVERING ? node->marker.nonce : 0;
    attempt_send_aside(q, a, s);
}
