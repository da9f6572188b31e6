/*
 * One operation under way. It asks nodes in rounds, judges after every answer, answers its request once, and
 * lives on until nothing that it placed on a node is in doubt.
 *
 *   queued ──► blocked ──► set ──► claim ──► over          a campaign; look also comes first, for a leader
 *     │           ▲ │       │ ▲      │ ▲ low               that we know
 *     │           └─┼───────┤ │      ▼ │
 *     │             │       ├─┼──► look┘
 *     │             │       ▼ │      │
 *     │             │      wait ◄────┘ (split vote: undo, 10-50 ms)
 *     └──► look ──► over (extend)      └──► ask ──► over (resign, handover, read)
 */
#include <assert.h>
#include <string.h>

#include "core/lease.h"
#include "core/quorum/internal.h"

#define SMALL_NAMES_BYTES 192
#define LARGE_NAMES_BYTES (KIND_BYTES_MAX + 3 * NAME_BYTES_MAX)

const struct sm_state attempt_phases[PHASE_COUNT] = {
    [PHASE_QUEUED] = {"queued", SM_TO(PHASE_BLOCKED) | SM_TO(PHASE_SET) | SM_TO(PHASE_LOOK) |
                                    SM_TO(PHASE_ASK) | SM_TO(PHASE_OVER)},
    [PHASE_BLOCKED] = {"blocked", SM_TO(PHASE_BLOCKED) | SM_TO(PHASE_SET) | SM_TO(PHASE_LOOK) |
                                      SM_TO(PHASE_CLAIM) | SM_TO(PHASE_ASK) | SM_TO(PHASE_OVER)},
    [PHASE_SET] = {"set", SM_TO(PHASE_LOOK) | SM_TO(PHASE_CLAIM) | SM_TO(PHASE_BLOCKED) | SM_TO(PHASE_WAIT) |
                              SM_TO(PHASE_OVER)},
    [PHASE_LOOK] = {"look", SM_TO(PHASE_LOOK) | SM_TO(PHASE_SET) | SM_TO(PHASE_CLAIM) | SM_TO(PHASE_BLOCKED) |
                                SM_TO(PHASE_WAIT) | SM_TO(PHASE_OVER)},
    [PHASE_CLAIM] = {"claim", SM_TO(PHASE_CLAIM) | SM_TO(PHASE_LOOK) | SM_TO(PHASE_BLOCKED) |
                                  SM_TO(PHASE_WAIT) | SM_TO(PHASE_OVER)},
    [PHASE_WAIT] = {"wait", SM_TO(PHASE_WAIT) | SM_TO(PHASE_SET) | SM_TO(PHASE_OVER)},
    [PHASE_ASK] = {"ask", SM_TO(PHASE_ASK) | SM_TO(PHASE_BLOCKED) | SM_TO(PHASE_OVER)},
    [PHASE_OVER] = {"over", 0, .final = true},
};

/* --- Memory --- */

static size_t slots_bytes(const struct quorum *q)
{
    return sizeof(struct attempt) + q->n * sizeof(struct slot);
}

void attempts_init(struct quorum *q)
{
    slab_init(&q->small, slots_bytes(q) + SMALL_NAMES_BYTES, 64);
    slab_init(&q->large, slots_bytes(q) + LARGE_NAMES_BYTES, 16);
}

static struct str keep_name(char **at, struct str name)
{
    struct str kept = {*at, name.n};
    if (name.n > 0) {
        memcpy(*at, name.p, name.n);
    }
    *at += name.n;
    return kept;
}

/* The client's slices end with its request; commands live longer. */
static void keep_names(struct quorum *q, struct attempt *a, const struct election_request *request)
{
    char *at = (char *)&a->slots[q->n];
    a->names.kind = keep_name(&at, request->kind);
    a->names.election = keep_name(&at, request->election);
    a->names.candidate = keep_name(&at, request->candidate);
    a->names.from = keep_name(&at, request->from);
    a->names.hash = str_hash(a->names.election, str_hash(a->names.kind, 0));
}

static void list_append(struct quorum *q, struct attempt *a)
{
    a->prev = q->attempts_last;
    if (a->prev != NULL) {
        a->prev->next = a;
    } else {
        q->attempts = a;
    }
    q->attempts_last = a;
    q->n_attempts++;
}

static void list_remove(struct quorum *q, struct attempt *a)
{
    if (a->prev != NULL) {
        a->prev->next = a->next;
    } else {
        q->attempts = a->next;
    }
    if (a->next != NULL) {
        a->next->prev = a->prev;
    } else {
        q->attempts_last = a->prev;
    }
    q->n_attempts--;
}

struct attempt *attempt_new(struct quorum *q, struct election_request *request, const struct attempt_ops *ops)
{
    size_t names = request->kind.n + request->election.n + request->candidate.n + request->from.n;
    assert(names <= LARGE_NAMES_BYTES);
    bool small = names <= SMALL_NAMES_BYTES;
    struct attempt *a = slab_alloc(small ? &q->small : &q->large);
    memset(a, 0, slots_bytes(q));
    a->small = small;
    a->ops = ops;
    a->request = request;
    sm_init(&a->phase, attempt_phases, PHASE_COUNT, PHASE_QUEUED);
    keep_names(q, a, request);
    a->began = q->now.mono;
    a->wall = q->now.wall;
    a->term_ms = request->term_ms;
    a->priority = request->priority;
    a->past = request->past;
    a->deadline = mono_min(request->deadline, mono_add_ms(q->now.mono, q->options.operation_timeout_ms));
    a->deadline.us -= QUORUM_TIMER_US; /* Q18: answers are never late, timers are */
    for (unsigned i = 0; i < q->n; i++) {
        a->slots[i].cmd.node = i;
    }
    list_append(q, a);
    wheel_start(&q->wheel, &a->timer, a->deadline);
    return a;
}

void attempt_free(struct quorum *q, struct attempt *a)
{
    wheel_stop(&q->wheel, &a->timer);
    list_remove(q, a);
    q->n_undos -= a->undo_counted ? 1 : 0;
    slab_free(a->small ? &q->small : &q->large, a);
}

/* --- What is owed --- */

static bool owes(const struct quorum *q, const struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        if (a->slots[i].held != HELD_NONE) {
            return true;
        }
    }
    return false;
}

/* Undos that can't be delivered are kept up to a bound: what stands on a node ends by itself. */
static void forget_oldest_undo(struct quorum *q)
{
    for (struct attempt *a = q->attempts; a != NULL; a = a->next) {
        if (a->undo_counted) {
            for (unsigned i = 0; i < q->n; i++) {
                a->slots[i].held = HELD_NONE;
            }
            attempt_settle(q, a);
            return;
        }
    }
}

void attempt_settle(struct quorum *q, struct attempt *a)
{
    if (a->request != NULL || a->queued || attempt_pending(q, a) > 0) {
        return;
    }
    if (!owes(q, a)) {
        if (!a->dead) { /* freed at the end of the call: others may be walking the list */
            a->dead = true;
            a->waiter_next = q->dead;
            q->dead = a;
        }
        return;
    }
    if (!a->undo_counted) {
        a->undo_counted = true;
        q->n_undos++;
        if (q->n_undos > q->options.undos_max) {
            forget_oldest_undo(q);
        }
    }
}

void attempt_owed(struct quorum *q, unsigned node)
{
    struct attempt *next = NULL;
    for (struct attempt *a = q->attempts; a != NULL; a = next) {
        next = a->next;
        struct slot *s = &a->slots[node];
        if (s->out || s->held == HELD_NONE) {
            continue;
        }
        if (a->request == NULL) {
            a->ops->after(q, a, s);
            attempt_settle(q, a);
        } else if (attempt_phase(a) == PHASE_WAIT) {
            a->ops->ask(q, a, s);
        }
    }
}

/* --- Asking --- */

void attempt_move(struct attempt *a, enum phase phase)
{
    sm_move(&a->phase, phase);
}

struct quorum_command *attempt_command(struct attempt *a, struct slot *s, enum quorum_verb verb,
                                       struct mono deadline)
{
    assert(!s->out);
    s->cmd = (struct quorum_command){
        .verb = verb,
        .node = s->cmd.node,
        .deadline = deadline,
        .names = &a->names,
        .term_ms = a->term_ms,
        .token = a->claim.token,
        .owner = a->claim.owner,
        .priority = a->priority,
        .wall = a->wall,
        .user = NULL,
    };
    return &s->cmd;
}

void attempt_send_aside(struct quorum *q, struct attempt *a, struct slot *s)
{
    s->out = true;
    q->hooks.send(q->hooks.arg, &s->cmd);
}

void attempt_send(struct quorum *q, struct attempt *a, struct slot *s)
{
    s->round = a->round;
    s->answered = false;
    s->recovering = node_state(&q->nodes[s->cmd.node]) == QUORUM_NODE_RECOVERING;
    attempt_send_aside(q, a, s);
}

static bool wants_asking(const struct quorum *q, const struct attempt *a, const struct slot *s)
{
    return !s->out && s->round < a->round && node_usable(&q->nodes[s->cmd.node]);
}

void attempt_round(struct quorum *q, struct attempt *a, enum phase phase)
{
    attempt_move(a, phase);
    a->round++;
    for (unsigned i = 0; i < q->n; i++) {
        if (wants_asking(q, a, &a->slots[i])) {
            a->ops->ask(q, a, &a->slots[i]);
        }
    }
    if (attempt_pending(q, a) == 0) {
        a->ops->judge(q, a, NULL, NULL);
    }
}

void attempt_block(struct quorum *q, struct attempt *a, enum phase resume)
{
    a->resume = resume;
    attempt_move(a, PHASE_BLOCKED);
    q->n_blocked++;
}

void attempt_unblock_all(struct quorum *q)
{
    struct attempt *next = NULL;
    for (struct attempt *a = q->attempts; a != NULL && q->n_blocked > 0; a = next) {
        next = a->next;
        if (attempt_phase(a) == PHASE_BLOCKED) {
            q->n_blocked--;
            a->ops->start(q, a);
            attempt_settle(q, a);
        }
    }
}

/* --- Hearing --- */

void attempt_reply(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply)
{
    struct node *node = &q->nodes[s->cmd.node];
    s->out = false;
    if (reply->answer == QUORUM_AMNESIAC && !s->recovering) {
        node_suspect(q, node);
    }
    a->ops->note(q, a, s, reply);
    if (a->won || (a->request == NULL && q->faults.undo_before_reply)) {
        s->held = HELD_NONE;
    }
    /* An undo that a server refuses is tried again with the next look at the node, not at once. */
    bool owing = (s->cmd.verb == QUORUM_UNDO || s->cmd.verb == QUORUM_RESTORE) && s->held != HELD_NONE;
    if (a->request != NULL && !owing && wants_asking(q, a, s)) {
        a->ops->ask(q, a, s);
    }
    if (a->request != NULL) {
        a->ops->judge(q, a, s, reply);
    } else if (!owing && !s->out && node_usable(node)) {
        a->ops->after(q, a, s);
    }
    attempt_settle(q, a);
}

void attempt_timer(struct quorum *q, struct attempt *a)
{
    if (a->request == NULL) {
        return;
    }
    if (!mono_before(q->now.mono, a->deadline)) {
        a->ops->expired(q, a);
    } else {
        wheel_start(&q->wheel, &a->timer, a->deadline);
        a->ops->start(q, a);
    }
    attempt_settle(q, a);
}

/* --- Counting --- */

bool attempt_is_unsent(const struct quorum *q, const struct attempt *a)
{
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *s = &a->slots[i];
        if (s->round != 0 && s->round == a->round && (!s->out || s->cmd.sent)) {
            return false;
        }
    }
    return true;
}

unsigned attempt_pending(const struct quorum *q, const struct attempt *a)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += a->slots[i].out ? 1 : 0;
    }
    return n;
}

uint64_t attempt_name(const struct quorum *q, struct str name)
{
    uint64_t hash = str_hash(name, q->seed);
    return hash != 0 ? hash : 1;
}

unsigned attempt_same_name(const struct quorum *q, const struct attempt *a, const struct slot *s,
                           unsigned *same_token)
{
    unsigned names = 0;
    *same_token = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct slot *other = &a->slots[i];
        if (slot_fresh(a, other) && other->answer == s->answer && other->name == s->name) {
            names++;
            *same_token += other->seen.token == s->seen.token ? 1 : 0;
        }
    }
    return names;
}

/* --- Answering --- */

/* Those that joined get the first one's answer. The leader it names may lie in the memory of the first. */
static void share_answer(struct election_request *first)
{
    for (struct election_request *r = first->next; r != NULL; r = r->next) {
        r->elected = first->elected;
        r->tenure = first->tenure;
        if (str_eq(r->tenure.leader, r->candidate)) {
            r->tenure.leader = r->candidate;
        }
    }
}

void attempt_answer(struct quorum *q, struct attempt *a, enum err err, const char *why)
{
    struct election_request *request = a->request;
    join_close(q, a);
    share_answer(request);
    a->request = NULL;
    wheel_stop(&q->wheel, &a->timer);
    q->n_blocked -= attempt_phase(a) == PHASE_BLOCKED ? 1 : 0;
    attempt_move(a, PHASE_OVER);
    while (request != NULL) { /* and those that joined */
        struct election_request *next = request->next;
        request->err = err;
        request->why = str_of(why);
        request->decided = q->now.mono;
        request->next = NULL;
        *q->answered_end = request;
        q->answered_end = &request->next;
        request = next;
    }
    for (unsigned i = 0; i < q->n; i++) {
        struct slot *s = &a->slots[i];
        if (!s->out && node_usable(&q->nodes[i])) {
            a->ops->after(q, a, s);
        }
    }
}

void attempt_fail(struct quorum *q, struct attempt *a, enum err err, const char *why)
{
    a->request->elected = false;
    a->request->tenure = (struct election_tenure){0};
    attempt_answer(q, a, err, why);
}

void attempt_held(struct quorum *q, struct attempt *a, struct str leader, uint64_t token)
{
    a->request->elected = false;
    a->request->tenure = (struct election_tenure){.leader = leader, .token = token};
    attempt_answer(q, a, EA_HELD, NULL);
}

void attempt_win(struct quorum *q, struct attempt *a, uint64_t token)
{
    assert(token > 0 && token < HLC_LIMIT);
    struct election_request *request = a->request;
    a->won = true;
    a->claim.token = token;
    for (unsigned i = 0; i < q->n; i++) {
        a->slots[i].held = HELD_NONE; /* Q9: what a quorum holds is never taken back */
    }
    request->elected = request->op == OP_CAMPAIGN;
    request->tenure = (struct election_tenure){
        .leader = request->candidate,
        .token = token,
        .expires = mono_add_ms(a->began, a->term_ms),
        .term_ms = a->term_ms,
        .renewed_at = q->now.wall,
    };
    hint_put(q, &a->names, token, a->valid_until);
    if (a->session != NULL && request->op != OP_HANDOVER) {
        a->session->owner = a->claim.owner;
    }
    attempt_answer(q, a, EA_OK, NULL);
}
