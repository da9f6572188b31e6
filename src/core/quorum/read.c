/* Reads: who leads, as q nodes say. Equal ones that were not sent yet are asked once: join.c. */
#include "core/quorum/internal.h"

static const char *const why_no_quorum = "no majority of the store's nodes agrees on who leads";
static const char *const why_no_time = "no majority of the store's nodes answered in time";

static void read_start(struct quorum *q, struct attempt *a)
{
    if (nodes_are_coming(q)) {
        attempt_block(q, a, PHASE_QUEUED);
        return;
    }
    attempt_round(q, a, PHASE_ASK);
}

static void read_ask(struct quorum *q, struct attempt *a, struct slot *s)
{
    attempt_command(a, s, QUORUM_READ, a->deadline)->exact = a->request->op == OP_INFO;
    attempt_send(q, a, s);
}

static void read_note(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    bool sane = quorum_observe(q, reply->token);
    s->answered = true;
    s->answer = reply->answer;
    s->name = reply->answer == QUORUM_NAME ? attempt_name(q, reply->name) : 0;
    s->seen.token = sane && reply->answer == QUORUM_NAME ? reply->token : 0;
    s->left_ms = reply->answer == QUORUM_NAME ? reply->left_ms : -1;
}

static void finish(struct quorum *q, struct attempt *a, enum err err, const char *why,
                   const struct election_tenure *tenure)
{
    a->request->elected = false;
    /* Nobody leads, and whatever else is remembered of the election is not ours to know. */
    a->request->tenure = *tenure;
    attempt_answer(q, a, err, why);
}

/* When q nodes at least still hold it: the q-th longest of what is left. */
static struct mono expiry(const struct quorum *q, const struct attempt *a, const struct slot *just)
{
    int64_t best_ms = -1;
    for (unsigned i = 0; i < q->n; i++) {
        unsigned longer = 0;
        for (unsigned k = 0; k < q->n; k++) {
            const struct slot *s = &a->slots[k];
            longer += slot_fresh(a, s) && s->name == just->name && s->left_ms >= a->slots[i].left_ms ? 1 : 0;
        }
        bool named = slot_fresh(a, &a->slots[i]) && a->slots[i].name == just->name;
        if (named && longer >= q->majority && a->slots[i].left_ms > best_ms) {
            best_ms = a->slots[i].left_ms;
        }
    }
    if (best_ms < 0) {
        return (struct mono){0};
    }
    return mono_add_ms(q->now.mono, best_ms);
}

static unsigned same(const struct quorum *q, const struct attempt *a, uint64_t name)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += slot_fresh(a, &a->slots[i]) && a->slots[i].name == name && name != 0 ? 1 : 0;
    }
    return n;
}

/* No name can have a quorum, whatever the nodes hold that have not answered or have no memory. */
static bool nobody(const struct quorum *q, const struct attempt *a)
{
    unsigned known = 0;
    unsigned most = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        bool told =
            slot_fresh(a, s) && (s->answer == QUORUM_NAME || (s->answer == QUORUM_NONE && !s->recovering));
        known += told ? 1 : 0;
        unsigned n = same(q, a, s->name);
        most = told && n > most ? n : most;
    }
    return most + (q->n - known) < q->majority;
}

/* Nodes are read one after the other, and a tenure whose node fails is refilled on another meanwhile: what looks like a
 * tenure without a quorum is read once more. */
static bool read_again(struct quorum *q, struct attempt *a)
{
    bool named = false;
    for (unsigned i = 0; i < q->n; i++) {
        named = named || (slot_fresh(a, &a->slots[i]) && a->slots[i].answer == QUORUM_NAME);
    }
    if (!named || a->looked_again) {
        return false;
    }
    a->looked_again = true;
    attempt_round(q, a, PHASE_ASK);
    return true;
}

static void read_judge(struct quorum *q, struct attempt *a, struct slot *just,
                       const struct quorum_reply *reply)
{
    if (attempt_phase(a) != PHASE_ASK) {
        return;
    }
    static const struct election_tenure none;
    unsigned tokens = 0;
    bool named = just != NULL && slot_fresh(a, just) && just->answer == QUORUM_NAME;
    if (named && attempt_same_name(q, a, just, &tokens) >= q->majority) {
        struct election_tenure tenure = {
            .leader = reply->name,
            .token = tokens >= q->majority ? just->seen.token : 0,
            .expires = expiry(q, a, just),
        };
        finish(q, a, EA_OK, NULL, &tenure);
    } else if (nobody(q, a) && !read_again(q, a)) {
        finish(q, a, EA_NOT_FOUND, NULL, &none);
    } else if (a->request != NULL && attempt_pending(q, a) == 0) {
        finish(q, a, EA_UNAVAILABLE, why_no_quorum, &none);
    }
}

static void read_after(struct quorum *q, struct attempt *a, struct slot *s) {}

static void read_expired(struct quorum *q, struct attempt *a)
{
    static const struct election_tenure none;
    finish(q, a, EA_UNAVAILABLE, why_no_time, &none);
}

const struct attempt_ops read_ops = {
    .start = read_start,
    .ask = read_ask,
    .note = read_note,
    .judge = read_judge,
    .after = read_after,
    .expired = read_expired,
};
