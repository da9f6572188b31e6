/*
 * Campaigns. Round 1 sets the bare lease where nothing stands; round 2 claims it with a token, or looks where the name was
 * there already. Campaigns for one election inside this agent are served in order: the head of the line works,
 * the others wait. If they came before its commands were sent they share its loss, and its success if they are
 * of the same candidate.
 */
#include <assert.h>

#include "core/lease.h"
#include "core/quorum/internal.h"

static const char *const why_no_time = "no majority of the store's nodes answered in time";
static const char *const why_split = "the vote was split until the time was over";
static const char *const why_unproven =
    "a tenure of this candidate stands on nodes that are no majority, and may be valid: it must end first";
static const char *const why_taken = "another agent is working for this candidate";
static const char *const why_clock = "the range of tokens is used up";
static const char *const why_late = "no validity was left when the answer was known";

/* --- The line before an election --- */

static struct attempt *find_head(const struct quorum *q, const struct attempt *a, uint64_t hash)
{
    for (struct map_node *n = map_first(&q->heads, hash); n != NULL; n = map_next(n, hash)) {
        struct attempt *head = CONTAINER_OF(n, struct attempt, node);
        if (str_eq(head->names.election, a->names.election) && str_eq(head->names.kind, a->names.kind)) {
            return head;
        }
    }
    return NULL;
}

static uint64_t line_hash(const struct quorum *q, const struct attempt *a)
{
    return str_hash(a->names.election, a->names.hash ^ q->seed);
}

static void become_head(struct quorum *q, struct attempt *a)
{
    map_add(&q->heads, &a->node, line_hash(q, a));
    a->head = true;
    a->queued = true;
    a->waiter_next = NULL;
    *q->starts_end = a;
    q->starts_end = &a->waiter_next;
}

/* Q17: it is in its first round (sets; looks, if it may lead already), or the first of another try, and nothing of that
 * can have reached a node yet. */
static bool takes_company(const struct quorum *q, const struct attempt *head)
{
    enum phase phase = attempt_phase(head);
    bool first = phase == PHASE_QUEUED || phase == PHASE_SET || (phase == PHASE_LOOK && head->hinted);
    return first && attempt_is_unsent(q, head);
}

void campaign_enter(struct quorum *q, struct attempt *a)
{
    struct attempt *head = find_head(q, a, line_hash(q, a));
    if (head == NULL) {
        become_head(q, a);
        return;
    }
    a->queued = true;
    a->joined = takes_company(q, head);
    if (head->waiters == NULL) {
        head->waiters = a;
    } else {
        head->waiters_last->waiter_next = a;
    }
    head->waiters_last = a;
}

void campaign_leave(struct quorum *q, struct attempt *a)
{
    if (!a->head) {
        return;
    }
    a->head = false;
    map_remove(&q->heads, &a->node);
    struct attempt *next = a->waiters;
    struct attempt *last = a->waiters_last;
    a->waiters = NULL;
    while (next != NULL && next->request == NULL) { /* answered while it waited */
        struct attempt *gone = next;
        next = gone->waiter_next;
        gone->queued = false;
        attempt_settle(q, gone);
    }
    if (next != NULL) {
        next->waiters = next->waiter_next;
        next->waiters_last = last;
        become_head(q, next);
    }
}

static void answer(struct quorum *q, struct attempt *a, enum err err, const char *why)
{
    attempt_fail(q, a, err, why);
    campaign_leave(q, a);
}

/* --- Losing --- */

static void lose_one(struct quorum *q, struct attempt *a, struct str leader, uint64_t token)
{
    if (q->hooks.lost != NULL) {
        q->hooks.lost(q->hooks.arg, &a->names, a->priority);
    }
    a->request->elected = false;
    a->request->tenure = (struct election_tenure){.leader = leader, .token = token};
    attempt_answer(q, a, EA_OK, NULL);
}

/* True if `s` is the answer that makes it certain: "The same other name on q -> lost". */
static bool lost(struct quorum *q, struct attempt *a, const struct slot *s, const struct quorum_reply *reply)
{
    bool named = s != NULL && slot_fresh(a, s) && !s->own && s->name != 0 &&
                 (s->answer == QUORUM_NAME || s->answer == QUORUM_OTHER);
    unsigned tokens = 0;
    if (!named || attempt_same_name(q, a, s, &tokens) < q->majority) {
        return false;
    }
    uint64_t token = tokens >= q->majority ? s->seen.token : 0;
    bool by_sets = attempt_phase(a) == PHASE_SET;
    for (struct attempt *w = by_sets ? a->waiters : NULL; w != NULL; w = w->waiter_next) {
        if (w->request != NULL && w->joined && !str_eq(w->names.candidate, reply->name)) {
            lose_one(q, w, reply->name, token);
        }
    }
    hint_drop(q, &a->names, a->names.candidate);
    lose_one(q, a, reply->name, token);
    campaign_leave(q, a);
    return true;
}

/* --- Asking --- */

static void ask_set(struct quorum *q, struct attempt *a, struct slot *s)
{
    bool ready = node_state(&q->nodes[s->cmd.node]) == QUORUM_NODE_READY || q->faults.set_on_recovering;
    struct quorum_command *cmd = attempt_command(a, s, ready ? QUORUM_SET : QUORUM_PEEK, a->deadline);
    if (ready) { /* Q4, scenario 5: what a node without memory lets us set is no evidence */
        int64_t most_ms = q->options.operation_timeout_ms;
        cmd->term_ms = a->term_ms < most_ms ? a->term_ms : most_ms;
        s->held_before = s->held;
        s->held = HELD_UNKNOWN;
    }
    attempt_send(q, a, s);
    s->recovering = s->recovering && !ready;
}

/* Another attempt's claim for this token is there, or may still be taken there. */
static bool may_take(const struct slot *s, uint64_t token)
{
    if (s->own && s->expect.token == token) {
        return true;
    }
    bool others =
        s->name != 0 && !s->own && s->committed; /* a bare one may be taken back before the claim arrives */
    return !others && !s->recovering && s->fence < token;
}

/*
 * Q20: a tenure of the candidate's own, on too few nodes to count, may be another attempt's whose other claims are under
 * way. It is replaced only when it can't get a quorum any more: our claims on the other nodes close them to it.
 */
static bool is_held_back(const struct quorum *q, const struct attempt *a, const struct slot *s)
{
    uint64_t token = s->expect.token;
    if (token <= a->past || attempt_tried(a, token) || q->faults.claim_all_at_once) {
        return false;
    }
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += may_take(&a->slots[i], token) ? 1 : 0;
    }
    return n >= q->majority;
}

static void ask_claim(struct quorum *q, struct attempt *a, struct slot *s)
{
    bool others = s->name != 0 && !s->own;
    bool foreign_owner = s->expect.token != 0 && !quorum_owner_is(s->expect.owner, a->claim.owner);
    if (node_state(&q->nodes[s->cmd.node]) != QUORUM_NODE_READY || others || foreign_owner ||
        is_held_back(q, a, s)) {
        return;
    }
    s->held_before = s->held;
    s->held = s->had_tenure ? HELD_NONE : HELD_UNKNOWN;
    attempt_command(a, s, QUORUM_CLAIM, a->deadline)->expect = s->expect;
    attempt_send(q, a, s);
}

static void undo(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (s->held == HELD_NONE) {
        return;
    }
    struct quorum_command *cmd = attempt_command(a, s, QUORUM_UNDO, MONO_NEVER);
    cmd->n_tried = a->n_tried;
    for (unsigned i = 0; i < a->n_tried; i++) {
        cmd->tried[i] = a->tried[i];
    }
    attempt_send_aside(q, a, s);
}

static void campaign_ask(struct quorum *q, struct attempt *a, struct slot *s)
{
    switch (attempt_phase(a)) {
    case PHASE_SET:
        ask_set(q, a, s);
        break;
    case PHASE_LOOK:
        look_ask(q, a, s);
        break;
    case PHASE_CLAIM:
        ask_claim(q, a, s);
        break;
    case PHASE_WAIT:
        undo(q, a, s);
        break;
    default:
        break;
    }
}

/* --- Noting --- */

static void note_set(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    bool sane = quorum_observe(q, reply->fence) && quorum_observe(q, reply->token);
    s->answered = true;
    s->answer = reply->answer;
    s->fence = reply->fence;
    s->seen = (struct quorum_claim){.token = sane ? reply->token : 0};
    s->expect = (struct quorum_claim){0};
    s->name = 0;
    s->own = false;
    bool set = s->cmd.verb == QUORUM_SET;
    switch (reply->answer) {
    case QUORUM_NEW:
        s->held = HELD_SURE;
        s->own = true;
        s->had_tenure = false;
        break;
    case QUORUM_NAME:
        s->name = attempt_name(q, reply->name);
        s->own = str_eq(reply->name, a->names.candidate);
        /* Our own from before may be what an undo of this attempt has not reached yet. */
        s->held = set && !s->own ? HELD_NONE : set ? s->held_before : s->held;
        break;
    case QUORUM_LOST:
        break;
    default:
        s->held = set ? s->held_before : s->held;
        break;
    }
}

static void note_claim(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    s->answered = true;
    s->answer = reply->answer;
    switch (reply->answer) {
    case QUORUM_OK:
        s->expect = (struct quorum_claim){s->cmd.token, s->cmd.owner};
        s->seen = s->expect;
        s->fence = s->cmd.token;
        s->own = true;
        s->held = s->had_tenure ? HELD_NONE : HELD_SURE;
        break;
    case QUORUM_NO:
        s->own = false;
        s->name = 0;
        s->held = HELD_NONE;
        break;
    case QUORUM_LOST:
        break;
    case QUORUM_LOW:
        if (quorum_observe(q, reply->fence)) {
            s->fence = reply->fence;
        } else {
            s->answer = QUORUM_FAILED;
        }
        s->held = s->held_before;
        break;
    default: /* changed: somebody else's tenure; an undo would pass it by */
        s->held = s->held_before;
        break;
    }
}

static void campaign_note(struct quorum *q, struct attempt *a, struct slot *s,
                          const struct quorum_reply *reply)
{
    switch (s->cmd.verb) {
    case QUORUM_SET:
    case QUORUM_PEEK:
        note_set(q, a, s, reply);
        break;
    case QUORUM_LOOK:
        look_note(q, a, s, reply);
        break;
    case QUORUM_CLAIM:
        note_claim(q, a, s, reply);
        break;
    case QUORUM_UNDO:
        if (reply->answer == QUORUM_OK) {
            s->held = HELD_NONE;
            s->own = false;
        }
        break;
    default:
        break;
    }
}

/* --- Deciding --- */

/* Those that wait, are the same candidate and asked for no more than was written, and that before it was. */
static void share_win(struct quorum *q, struct attempt *a, uint64_t token)
{
    for (struct attempt *w = a->waiters; w != NULL; w = w->waiter_next) {
        bool equal = w->request != NULL && w->joined && w->session == NULL && w->term_ms <= a->term_ms &&
                     w->past < token && str_eq(w->names.candidate, a->names.candidate);
        if (equal) {
            w->valid_until = lease_valid_until(w->request->start, w->term_ms);
        }
        if (equal && mono_before(q->now.mono, w->valid_until)) { /* Q6 */
            attempt_win(q, w, token);
        }
    }
}

static void win(struct quorum *q, struct attempt *a, uint64_t token, bool claimed)
{
    if (!mono_before(q->now.mono, a->valid_until) && !q->faults.validity_unchecked) {
        answer(q, a, EA_UNAVAILABLE, why_late); /* Q6; scenario 16 */
        return;
    }
    struct election_event event = {
        .at = q->now.wall,
        .action = ACTION_ELECTED,
        .kind = a->names.kind,
        .election = a->names.election,
        .leader = a->names.candidate,
        .token = token,
    };
    attempt_win(q, a, token);
    if (claimed && q->hooks.event != NULL) {
        q->hooks.event(q->hooks.arg, &event);
    }
    if (a->session == NULL) {
        share_win(q, a, token);
    }
    campaign_leave(q, a);
}

static void wait_and_retry(struct quorum *q, struct attempt *a)
{
    if (!mono_before(q->now.mono, a->valid_until)) {
        answer(q, a, EA_UNAVAILABLE, why_split);
        return;
    }
    q->retries++;
    a->retry_at = mono_add_us(q->now.mono, rng_range(&q->rng, QUORUM_SPLIT_MIN_US, QUORUM_SPLIT_MAX_US));
    wheel_start(&q->wheel, &a->timer, mono_min(a->retry_at, a->deadline));
    attempt_round(q, a, PHASE_WAIT);
}

/* A new token must be above `past`, or its own client would not lead with it: after a majority's memory was lost
 * clocks alone order tokens, and they differ. A client's number may move our clock so far ahead of the wall as
 * ceilings are, and no further: it can't use up the range (T5). */
static void follow_past(struct quorum *q, const struct attempt *a)
{
    uint64_t wall = q->now.wall.us > 0 ? (uint64_t)q->now.wall.us : 0;
    if (a->past <= wall + (uint64_t)QUORUM_AHEAD_US) {
        bool followed = quorum_observe(q, a->past); /* not beyond the range */
        (void)followed;
    }
}

static void start_claim(struct quorum *q, struct attempt *a)
{
    follow_past(q, a);
    if (a->n_tried == QUORUM_CLAIMS_MAX) {
        wait_and_retry(q, a);
        return;
    }
    uint64_t token = quorum_clock(q); /* Q1: above every fence that was read */
    if (token == 0) {
        answer(q, a, EA_UNAVAILABLE, why_clock);
        return;
    }
    if (!node_raised_ceiling(q, token)) { /* Q10 */
        attempt_block(q, a, PHASE_CLAIM);
        return;
    }
    a->claim.token = token;
    a->tried[a->n_tried++] = a->claim;
    attempt_round(q, a, PHASE_CLAIM);
}

/* The first round, or that of another try: who waits by now shares what comes of it. */
static void start_round(struct quorum *q, struct attempt *a, enum phase phase)
{
    for (struct attempt *w = a->waiters; w != NULL; w = w->waiter_next) {
        w->joined = true;
    }
    attempt_round(q, a, phase);
}

static void start_set(struct quorum *q, struct attempt *a)
{
    start_round(q, a, PHASE_SET);
}

/* Nothing was placed that would have to be undone, and the answers under way may still name one leader on q: with
 * a node down the first of two answers must not send a loser round and round. */
static bool may_be_lost(const struct quorum *q, const struct attempt *a, unsigned placed)
{
    unsigned most = 0;
    for (unsigned i = 0; i < q->n; i++) {
        unsigned tokens;
        const struct slot *s = &a->slots[i];
        bool named = slot_fresh(a, s) && s->answer == QUORUM_NAME && !s->own;
        unsigned same = named ? attempt_same_name(q, a, s, &tokens) : 0;
        most = same > most ? same : most;
    }
    return placed == 0 && most + attempt_pending(q, a) >= q->majority;
}

static void judge_set(struct quorum *q, struct attempt *a, struct slot *just,
                      const struct quorum_reply *reply)
{
    unsigned fresh = 0;
    unsigned own = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s)) {
            fresh += s->answer == QUORUM_NEW ? 1 : 0;
            own += s->answer == QUORUM_NAME && s->own ? 1 : 0;
        }
    }
    if (q->faults.keep_without_look && own >= q->majority && reply != NULL && reply->token > 0) {
        win(q, a, reply->token, false);
    } else if (fresh + own >= q->majority) {
        if (own > 0) {
            attempt_round(q, a, PHASE_LOOK);
        } else {
            start_claim(q, a);
        }
    } else if (fresh + own + attempt_pending(q, a) < q->majority && !may_be_lost(q, a, fresh + own)) {
        wait_and_retry(q, a); /* "it can't win: undo at once, no claim" */
    }
}

/* Q5: whether q nodes with memory answered without this token: then it has no quorum ("proof"). */
enum proof { PROVEN, OPEN, UNPROVEN };

static enum proof prove_absent(const struct quorum *q, const struct attempt *a, uint64_t token)
{
    unsigned without = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        bool heard = slot_fresh(a, s) && (!s->recovering || q->faults.count_recovering);
        without += heard && (s->answer == QUORUM_MISSING || s->answer == QUORUM_OTHER ||
                             s->answer == QUORUM_BARE || (s->answer == QUORUM_OK && s->seen.token != token))
                       ? 1
                       : 0;
    }
    return without >= q->majority ? PROVEN : without + attempt_pending(q, a) >= q->majority ? OPEN : UNPROVEN;
}

static enum proof prove_all(const struct quorum *q, const struct attempt *a)
{
    enum proof worst = PROVEN;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s) && s->answer == QUORUM_OK && s->seen.token > a->past) {
            enum proof proof = prove_absent(q, a, s->seen.token);
            worst = proof > worst ? proof : worst;
        }
    }
    return worst;
}

static unsigned claimable(const struct quorum *q, const struct attempt *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        bool ready = slot_fresh(a, s) && !s->recovering;
        n += ready && (s->answer == QUORUM_BARE ||
                       (s->answer == QUORUM_OK && quorum_owner_is(s->seen.owner, a->claim.owner)))
                 ? 1
                 : 0;
    }
    return n;
}

/* No tenure can be adopted any more. */
static void judge_claimable(struct quorum *q, struct attempt *a)
{
    enum proof proof = prove_all(q, a);
    unsigned n = claimable(q, a);
    if (proof == UNPROVEN) {
        answer(q, a, EA_UNAVAILABLE, why_unproven);
    } else if (proof == PROVEN && n >= q->majority) {
        start_claim(q, a);
    } else if (n + attempt_pending(q, a) >= q->majority) {
        return;
    } else if (a->hinted) { /* there is nothing to adopt: begin as everybody does */
        a->hinted = false;
        start_set(q, a);
    } else if (attempt_pending(q, a) == 0 || proof == PROVEN) {
        wait_and_retry(q, a);
    }
}

static void judge_look(struct quorum *q, struct attempt *a, struct slot *just,
                       const struct quorum_reply *reply)
{
    unsigned best = 0;
    uint64_t token = look_best(q, a, &best);
    bool wanted = token > a->past || q->faults.past_ignored; /* Q7; scenario 17 */
    if (best >= q->majority && wanted) {
        win(q, a, token, false);
        return;
    }
    if (best + attempt_pending(q, a) >= q->majority && best < q->majority) {
        return;
    }
    if (look_met_greater(q, a)) {
        if (!look_again(q, a)) {
            answer(q, a, EA_UNAVAILABLE, why_taken);
        }
        return;
    }
    judge_claimable(q, a);
}

/* Claims that waited for others to be answered, and need not any more. How many may still be asked. */
static unsigned release_claims(struct quorum *q, struct attempt *a)
{
    unsigned waiting = 0;
    for (unsigned i = 0; i < q->n; i++) {
        struct slot *s = &a->slots[i];
        bool unasked = !s->out && !slot_fresh(a, s) && s->own && s->expect.token != 0;
        if (unasked) {
            ask_claim(q, a, s);
            waiting += !s->out && is_held_back(q, a, s) ? 1 : 0;
        }
    }
    return waiting;
}

static void judge_claim(struct quorum *q, struct attempt *a, struct slot *just,
                        const struct quorum_reply *reply)
{
    unsigned ok = 0;
    bool low = false;
    bool changed = false;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (slot_fresh(a, s)) {
            ok += s->answer == QUORUM_OK ? 1 : 0;
            low |= s->answer == QUORUM_LOW;
            changed |= s->answer == QUORUM_CHANGED;
        }
    }
    if (ok >= q->majority) { /* Q2 */
        win(q, a, a->claim.token, true);
        return;
    }
    unsigned waiting = changed || low ? 0 : release_claims(q, a);
    unsigned pending = attempt_pending(q, a);
    if (ok + pending >= q->majority || (pending > 0 && ok + pending + waiting >= q->majority)) {
        return;
    } else if (changed) {
        attempt_round(q, a, PHASE_LOOK);
    } else if (low) {
        q->claims_low++;
        start_claim(q, a);
    } else {
        wait_and_retry(q, a);
    }
}

static void campaign_judge(struct quorum *q, struct attempt *a, struct slot *just,
                           const struct quorum_reply *reply)
{
    if (lost(q, a, just, reply)) {
        return;
    }
    switch (attempt_phase(a)) {
    case PHASE_SET:
        judge_set(q, a, just, reply);
        break;
    case PHASE_LOOK:
        judge_look(q, a, just, reply);
        break;
    case PHASE_CLAIM:
        judge_claim(q, a, just, reply);
        break;
    default:
        break;
    }
}

/* --- Beginning, going on, ending --- */

static void begin(struct quorum *q, struct attempt *a)
{
    if (a->claim.owner.clock == 0) {
        a->claim.owner = quorum_owner_new(q);
        a->valid_until = lease_valid_until(a->request->start, a->term_ms);
    }
    if (a->claim.owner.clock == 0) {
        answer(q, a, EA_UNAVAILABLE, why_clock);
    } else if (!node_raised_term(q, a->term_ms)) {
        attempt_block(q, a, PHASE_QUEUED);
    } else if (hint_get(q, &a->names) > a->past) {
        a->hinted = true;
        start_round(q, a, PHASE_LOOK);
    } else {
        start_set(q, a);
    }
}

static void retry(struct quorum *q, struct attempt *a)
{
    unsigned ready = node_count(q, QUORUM_NODE_READY) + node_count(q, QUORUM_NODE_RECOVERING);
    bool clean = true;
    for (unsigned i = 0; i < q->n; i++) {
        clean = clean && !a->slots[i].out && a->slots[i].held == HELD_NONE;
    }
    if (clean) {
        a->n_tried = 0; /* nothing of them is left anywhere */
    }
    if (ready < q->majority || a->n_tried == QUORUM_CLAIMS_MAX) {
        wait_and_retry(q, a);
    } else {
        start_set(q, a);
    }
}

static void campaign_start(struct quorum *q, struct attempt *a)
{
    switch (attempt_phase(a)) {
    case PHASE_QUEUED:
        begin(q, a);
        break;
    case PHASE_BLOCKED:
        if (a->resume == PHASE_CLAIM) {
            start_claim(q, a);
        } else {
            begin(q, a);
        }
        break;
    case PHASE_WAIT:
        retry(q, a);
        break;
    default:
        break;
    }
}

static void campaign_after(struct quorum *q, struct attempt *a, struct slot *s)
{
    if (!a->won) {
        if (s->held != HELD_NONE) {
            undo(q, a, s);
        } else {
            look_put_back(q, a, s);
        }
        return;
    }
    bool bare = s->answered && s->own && !s->repaired &&
                (s->answer == QUORUM_NEW || (s->answer == QUORUM_NAME && s->cmd.verb == QUORUM_SET));
    s->held = HELD_NONE;
    if (bare && a->n_tried > 0 && node_state(&q->nodes[s->cmd.node]) == QUORUM_NODE_READY &&
        mono_before(q->now.mono, a->valid_until)) {
        /* Its set was answered after the election was won: "claim on all non-recovering nodes". */
        s->repaired = true;
        attempt_command(a, s, QUORUM_CLAIM, a->valid_until);
        attempt_send_aside(q, a, s);
    } else if (!bare) {
        look_repair(q, a, s);
    }
}

static void campaign_expired(struct quorum *q, struct attempt *a)
{
    answer(q, a, EA_UNAVAILABLE, attempt_phase(a) == PHASE_WAIT ? why_split : why_no_time);
}

const struct attempt_ops campaign_ops = {
    .start = campaign_start,
    .ask = campaign_ask,
    .note = campaign_note,
    .judge = campaign_judge,
    .after = campaign_after,
    .expired = campaign_expired,
};
