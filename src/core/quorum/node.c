/*
 * Nodes: what we think of each, and what is asked of it besides elections, one command at a time. The diagram of the states
 * stands in quorum.h.
 */
#include "core/quorum/internal.h"

#include <assert.h>
#include <string.h>

const struct sm_state node_states[QUORUM_NODE_STATE_COUNT] = {
    [QUORUM_NODE_DOWN] = {"down", SM_TO(QUORUM_NODE_CHECKING) | SM_TO(QUORUM_NODE_UNFIT)},
    [QUORUM_NODE_CHECKING] = {"checking", SM_TO(QUORUM_NODE_DOWN) | SM_TO(QUORUM_NODE_RECOVERING) |
                                              SM_TO(QUORUM_NODE_READY)},
    [QUORUM_NODE_RECOVERING] = {"recovering", SM_TO(QUORUM_NODE_DOWN) | SM_TO(QUORUM_NODE_CHECKING) |
                                                  SM_TO(QUORUM_NODE_READY)},
    [QUORUM_NODE_READY] = {"ready", SM_TO(QUORUM_NODE_DOWN) | SM_TO(QUORUM_NODE_CHECKING)},
    [QUORUM_NODE_UNFIT] = {"unfit", SM_TO(QUORUM_NODE_DOWN)},
};

void node_init(struct quorum *q, unsigned index)
{
    struct node *node = &q->nodes[index];
    *node = (struct node){.index = index, .cmd = {.node = index}};
    sm_init(&node->state, node_states, QUORUM_NODE_STATE_COUNT, QUORUM_NODE_DOWN);
}

unsigned node_count(const struct quorum *q, enum quorum_node_state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += node_state(&q->nodes[i]) == state ? 1 : 0;
    }
    return n;
}

/* A deployment, or a slot, that nobody has used yet: no node remembers anything. It is declared fresh in a moment. */
static bool may_be_fresh(const struct quorum *q)
{
    bool blank = true;
    for (unsigned i = 0; i < q->n; i++) {
        const struct node *node = &q->nodes[i];
        blank = blank && node_state(node) != QUORUM_NODE_READY &&
                (node_state(node) != QUORUM_NODE_RECOVERING || node->marker.blank);
    }
    return blank;
}

/* It is being looked at, or gets its final marker just now. */
static bool is_coming(const struct node *node, bool fresh)
{
    bool final = node->out && node->cmd.verb == QUORUM_NODE_MARK && node->cmd.marker.nonce == 0;
    return node_state(node) == QUORUM_NODE_CHECKING ||
           (node_state(node) == QUORUM_NODE_RECOVERING && (final || fresh));
}

bool nodes_are_coming(const struct quorum *q)
{
    bool fresh = may_be_fresh(q);
    unsigned here = 0;
    unsigned coming = 0;
    for (unsigned i = 0; i < q->n; i++) {
        bool comes = is_coming(&q->nodes[i], fresh);
        coming += comes ? 1 : 0;
        here += !comes && node_usable(&q->nodes[i]) ? 1 : 0;
    }
    bool enough = here + coming >= q->majority || node_count(q, QUORUM_NODE_CHECKING) > 0;
    return here < q->majority && coming > 0 && enough;
}

/* How often nodes are looked at: more often while one is on its way. */
static void schedule_poll(struct quorum *q)
{
    unsigned coming = node_count(q, QUORUM_NODE_CHECKING) + node_count(q, QUORUM_NODE_RECOVERING);
    bool any = coming + node_count(q, QUORUM_NODE_READY) > 0;
    struct mono at = mono_add_ms(q->now.mono, coming > 0 ? QUORUM_CENSUS_MS : QUORUM_POLL_MS);
    wheel_start(&q->wheel, &q->poll, any ? at : MONO_NEVER);
}

void node_move(struct quorum *q, struct node *node, enum quorum_node_state state, const char *why)
{
    if (node_state(node) == state) {
        return;
    }
    sm_move(&node->state, state);
    schedule_poll(q);
    if (q->hooks.node != NULL) {
        q->hooks.node(q->hooks.arg, node->index, state, why);
    }
    if (node_usable(node)) {
        attempt_owed(q, node->index);
    }
    if (state == QUORUM_NODE_READY) {
        node_raise_ahead(q);
    }
    if (state != QUORUM_NODE_CHECKING) { /* what waited for it goes on, or finds that it waited in vain */
        attempt_unblock_all(q);
    }
}

/* --- Coming and going --- */

void node_up(struct quorum *q, struct node *node, const struct quorum_hello *hello)
{
    assert(node_state(node) == QUORUM_NODE_DOWN && !node->out);
    bool same_server = strcmp(node->hello.run_id, hello->run_id) == 0;
    node->hello = *hello;
    if (!same_server) {
        node->clock_us = 0; /* else a step while we were away is noticed by the next read */
    }
    bool later = mono_before(q->reachable_since, hello->since);
    q->reachable_since = later ? hello->since : q->reachable_since;
    if (!hello->master) {
        node_move(q, node, QUORUM_NODE_UNFIT, "a replica: writes to it are refused or lost");
        return;
    }
    if (hello->evicts && !q->options.allow_eviction) {
        node_move(q, node, QUORUM_NODE_UNFIT,
                  "it evicts keys when memory is short (maxmemory-policy is not noeviction), and would "
                  "forget leases");
        return;
    }
    node_move(q, node, QUORUM_NODE_CHECKING,
              hello->evicts ? "connected; it evicts keys, which is allowed" : "connected");
    node->want_read = true;
    node_drive(q, node);
}

/* What is under way may be answered by either server. The new one's memory is not proven: its answers are those
 * of a recovering node (Q4), and the old one's are no worse for being counted so. */
void node_moved(struct quorum *q, struct node *node, const struct quorum_hello *hello)
{
    assert(node_connected(node) && hello->master);
    node->hello = *hello;
    node->clock_us = 0;
    node->stale = node->out;
    node_unsure(node);
    for (struct attempt *a = q->attempts; a != NULL; a = a->next) {
        struct slot *s = &a->slots[node->index];
        s->recovering = s->recovering || s->out;
    }
    node_move(q, node, QUORUM_NODE_CHECKING, "its slot moved to another server");
    node->want_read = true;
    node_drive(q, node);
}

void node_down(struct quorum *q, struct node *node)
{
    assert(!node->out);
    for (const struct attempt *a = q->attempts; a != NULL; a = a->next) {
        assert(!a->slots[node->index].out); /* all was handed back before */
    }
    node->want_read = false;
    node_move(q, node, QUORUM_NODE_DOWN, "the connection ended");
    admission_judge(q);
}

void node_suspect(struct quorum *q, struct node *node)
{
    if (node_state(node) != QUORUM_NODE_READY) {
        return;
    }
    node_move(q, node, QUORUM_NODE_CHECKING, "it says that its memory is not proven");
    node->want_read = true;
    node_drive(q, node);
}

/* --- Commands --- */

void node_send(struct quorum *q, struct node *node, enum quorum_verb verb)
{
    assert(!node->out && node_connected(node));
    node->cmd.verb = verb;
    node->cmd.node = node->index;
    node->cmd.deadline = MONO_NEVER;
    node->cmd.sent = false;
    node->cmd.redirects = 0;
    node->cmd.names = NULL;
    node->out = true;
    node->asked = q->now.mono;
    node->cmd_census = q->census;
    node->cmd_seq = ++q->seq;
    q->hooks.send(q->hooks.arg, &node->cmd);
}

void node_drive(struct quorum *q, struct node *node)
{
    if (node->out || !node_connected(node)) {
        return;
    }
    if (node->want_read) {
        node->want_read = false;
        node_send(q, node, QUORUM_NODE_READ);
        return;
    }
    bool low = node->sure_ceiling < q->want_ceiling || node->sure_term_ms < q->want_term_ms;
    if (node_state(node) == QUORUM_NODE_READY && low) {
        node->cmd.ceiling = q->want_ceiling;
        node->cmd.max_term_ms = q->want_term_ms;
        node_send(q, node, QUORUM_NODE_RAISE);
    }
}

void node_reply(struct quorum *q, struct node *node, const struct quorum_reply *reply)
{
    assert(node->out);
    node->out = false;
    if (node->stale) {
        node->stale = false;
        node_drive(q, node);
        return;
    }
    node->heard_seq = node->cmd.verb != QUORUM_NODE_RAISE ? node->cmd_seq : 0;
    bool heard =
        reply->answer != QUORUM_LOST && reply->answer != QUORUM_DROPPED && reply->answer != QUORUM_FAILED;
    if (!heard) {
        return; /* the end of the connection, or the next poll asks again */
    }
    if (node->cmd.verb == QUORUM_NODE_RAISE) {
        if (reply->answer == QUORUM_OK) {
            node_sure(q, node, reply->ceiling, reply->max_term_ms);
        } else {
            node_suspect(q, node);
        }
    } else {
        admission_read(q, node, reply);
    }
    node_drive(q, node);
}

/* --- Raising ahead (Q10) --- */

/*
 * A ceiling, or a longest term, stands when q nodes remember it at one moment. That q nodes have confirmed it one
 * after the other is not enough: the first may have lost its memory, and been proven by a second, before the
 * second was raised; then too few remember. So when q nodes have confirmed, they are read once more, by reads sent
 * after the last confirmation: who remembers it then has not lost it before. From that moment on every set of
 * witnesses has a node that knows, as long as no majority forgets.
 */
static unsigned ready_and_sure(const struct quorum *q, uint64_t ceiling, int64_t term_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct node *node = &q->nodes[i];
        bool sure = node->sure_ceiling >= ceiling && node->sure_term_ms >= term_ms;
        n += node_state(node) == QUORUM_NODE_READY && sure ? 1 : 0;
    }
    return n;
}

static void attest(struct quorum *q)
{
    unsigned n = 0;
    for (unsigned i = 0; i < q->n; i++) {
        n += q->nodes[i].attests ? 1 : 0;
    }
    if (n < q->majority) {
        return;
    }
    q->proving = false;
    q->stands_ceiling = q->proof_ceiling > q->stands_ceiling ? q->proof_ceiling : q->stands_ceiling;
    q->stands_term_ms = q->proof_term_ms > q->stands_term_ms ? q->proof_term_ms : q->stands_term_ms;
    attempt_unblock_all(q);
}

/*
 * What stands is known to all ready nodes but N - q: to those that have forgotten it, ready ones have told it since. So
 * where more know less, a majority has forgotten without our noticing, and nothing stands.
 */
static void doubt_what_stands(struct quorum *q)
{
    unsigned less = 0;
    for (unsigned i = 0; i < q->n; i++) {
        const struct node *node = &q->nodes[i];
        bool sure = node_state(node) == QUORUM_NODE_READY && node->sure_ceiling > 0;
        bool knows = node->sure_ceiling >= q->stands_ceiling && node->sure_term_ms >= q->stands_term_ms;
        less += sure && !knows ? 1 : 0;
    }
    if (less > q->n - q->majority) {
        q->stands_ceiling = 0;
        q->stands_term_ms = 0;
    }
}

static uint64_t ceiling_to_prove(const struct quorum *q)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < q->n; i++) {
        uint64_t sure = q->nodes[i].sure_ceiling;
        bool more = sure > q->stands_ceiling && sure > most;
        most = more && ready_and_sure(q, sure, 0) >= q->majority ? sure : most;
    }
    return most;
}

static int64_t term_to_prove(const struct quorum *q)
{
    int64_t most = 0;
    for (unsigned i = 0; i < q->n; i++) {
        int64_t sure = q->nodes[i].sure_term_ms;
        bool more = sure > q->stands_term_ms && sure > most;
        most = more && ready_and_sure(q, 0, sure) >= q->majority ? sure : most;
    }
    return most;
}

/* Looks for the most that q ready nodes have confirmed, and begins to prove it: of the two only what is news, for what
 * stands may have been said by others. */
static void prove_more(struct quorum *q)
{
    if (q->proving && ready_and_sure(q, q->proof_ceiling, q->proof_term_ms) >= q->majority) {
        return;
    }
    q->proving = false;
    doubt_what_stands(q);
    uint64_t ceiling = ceiling_to_prove(q);
    int64_t term_ms = term_to_prove(q);
    if ((ceiling == 0 && term_ms == 0) || ready_and_sure(q, ceiling, term_ms) < q->majority) {
        return;
    }
    q->proving = true;
    q->proof_ceiling = ceiling;
    q->proof_term_ms = term_ms;
    q->proof_seq = q->seq;
    for (unsigned i = 0; i < q->n; i++) {
        struct node *node = &q->nodes[i];
        node->attests = false;
        if (node_state(node) == QUORUM_NODE_READY) {
            node->want_read = true;
            node_drive(q, node);
        }
    }
}

void node_sure(struct quorum *q, struct node *node, uint64_t ceiling, int64_t max_term_ms)
{
    node->sure_ceiling = ceiling > node->sure_ceiling ? ceiling : node->sure_ceiling;
    node->sure_term_ms = max_term_ms > node->sure_term_ms ? max_term_ms : node->sure_term_ms;
    bool read = node->heard_seq > q->proof_seq;
    if (q->proving && read && ceiling >= q->proof_ceiling && max_term_ms >= q->proof_term_ms) {
        node->attests = true;
        attest(q);
    }
    prove_more(q);
}

void node_unsure(struct node *node)
{
    node->sure_ceiling = 0;
    node->sure_term_ms = 0;
    node->attests = false;
}

void node_unsure_all(struct quorum *q)
{
    q->proving = false;
    q->stands_ceiling = 0;
    q->stands_term_ms = 0;
    for (unsigned i = 0; i < q->n; i++) {
        node_unsure(&q->nodes[i]);
    }
}

static void drive_all(struct quorum *q)
{
    for (unsigned i = 0; i < q->n; i++) {
        node_drive(q, &q->nodes[i]);
    }
}

static void want_ceiling(struct quorum *q, uint64_t token)
{
    uint64_t most = HLC_LIMIT - 1;
    uint64_t ahead = token < most - QUORUM_AHEAD_US ? token + QUORUM_AHEAD_US : most;
    if (ahead > q->want_ceiling) {
        q->want_ceiling = ahead;
    }
    drive_all(q);
}

bool node_raised_ceiling(struct quorum *q, uint64_t token)
{
    if (q->faults.ceiling_not_raised || token <= q->stands_ceiling) {
        return true;
    }
    want_ceiling(q, token);
    return false;
}

bool node_raised_term(struct quorum *q, int64_t term_ms)
{
    if (q->faults.ceiling_not_raised || term_ms <= q->stands_term_ms) {
        return true;
    }
    q->want_term_ms = term_ms > q->want_term_ms ? term_ms : q->want_term_ms;
    drive_all(q);
    return false;
}

/* Before a grant has to wait for it. */
void node_raise_ahead(struct quorum *q)
{
    if (node_count(q, QUORUM_NODE_READY) < q->majority) {
        return;
    }
    uint64_t wall = q->now.wall.us > 0 ? (uint64_t)q->now.wall.us : 0;
    uint64_t next = q->hlc.last + 1 > wall ? q->hlc.last + 1 : wall;
    if (next < HLC_LIMIT - QUORUM_AHEAD_US && next + QUORUM_AHEAD_US / 2 > q->stands_ceiling) {
        want_ceiling(q, next);
    }
}

void node_poll(struct quorum *q)
{
    schedule_poll(q);
    node_raise_ahead(q);
    for (unsigned i = 0; i < q->n && q->n_undos > 0; i++) {
        if (node_usable(&q->nodes[i])) {
            attempt_owed(q, i);
        }
    }
    if (admission_census_over(q)) {
        admission_census(q);
    }
}
