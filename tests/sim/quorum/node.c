/*
 * A model of a server: one command at a time, as command.h words it, keys that expire by its own clock, and
 * what can befall its memory. Mutations of the scripts lie here.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "qsim.h"

#define FENCE_MS (INT64_C(7) * 24 * 3600 * 1000)

int64_t node_ms(const struct qsim *sim, unsigned node)
{
    return ticker_read(&sim->nodes[node].clock, sim->now) / US_PER_MS;
}

void node_hello(const struct qsim *sim, unsigned node, struct quorum_hello *hello)
{
    const struct node_model *self = &sim->nodes[node];
    *hello = (struct quorum_hello){.master = !self->replica, .evicts = self->evicts};
    (void)snprintf(hello->run_id, sizeof hello->run_id, "run%" PRIu64, self->run);
    (void)snprintf(hello->replication_id, sizeof hello->replication_id, "rep%" PRIu64, self->replication);
}

static struct quorum_marker final_marker(const struct quorum_hello *hello)
{
    struct quorum_marker marker = {.there = true};
    memcpy(marker.run_id, hello->run_id, sizeof marker.run_id);
    memcpy(marker.replication_id, hello->replication_id, sizeof marker.replication_id);
    return marker;
}

bool node_admitted(const struct qsim *sim, unsigned node)
{
    struct quorum_hello hello;
    node_hello(sim, node, &hello);
    struct quorum_marker wanted = final_marker(&hello);
    return sim->nodes[node].up && quorum_marker_is(&sim->nodes[node].memory.marker, &wanted);
}

/* --- Memory --- */

static struct memory nothing(void)
{
    struct memory memory = {0};
    for (unsigned i = 0; i < QSIM_ELECTIONS; i++) {
        memory.keys[i].lease = NOBODY;
    }
    return memory;
}

void node_boot(struct qsim *sim, unsigned node, enum memory_fate fate)
{
    struct node_model *self = &sim->nodes[node];
    self->up = true;
    self->run = ++sim->runs;
    self->stopped_until = 0;
    if (fate == MEMORY_EMPTY) {
        self->memory = nothing();
        self->replication = self->run;
    } else if (fate == MEMORY_OLD) {
        self->memory = self->snapshot;
    }
    if (self->run <= sim->n_nodes) {
        self->snapshot = self->memory;
    }
    NOTE(sim, "node %u starts, %s", node,
         fate == MEMORY_EMPTY ? "empty"
         : fate == MEMORY_OLD ? "from a snapshot"
                              : "with its memory");
}

void node_die(struct qsim *sim, unsigned node)
{
    NOTE(sim, "node %u dies", node);
    sim->nodes[node].up = false;
    for (struct conn *conn = sim->conns; conn != NULL; conn = conn->all) {
        if (conn->node == node && !conn->killed) {
            conn->killed = true;
            conn->broken = true;
            if (sim->agents[conn->agent].conns[node] == conn && sim->agents[conn->agent].boot == conn->boot) {
                qsim_after(sim, sim->directed ? US_PER_MS : rng_range(&sim->rng, 100, 20 * US_PER_MS),
                           (struct event){.kind = EV_NOTICE, .what = conn});
            }
        }
    }
}

void node_flush(struct qsim *sim, unsigned node)
{
    NOTE(sim, "node %u: FLUSHALL", node);
    sim->nodes[node].memory = nothing();
}

/* --- Keys --- */

static struct keys *keys_now(struct qsim *sim, unsigned node, uint8_t election)
{
    struct keys *keys = &sim->nodes[node].memory.keys[election];
    int64_t now = node_ms(sim, node);
    if (keys->lease != NOBODY && now > keys->lease_expires_ms) {
        keys->lease = NOBODY;
    }
    if (keys->tenure.there && now > keys->tenure.expires_ms) {
        keys->tenure.there = false;
    }
    if (keys->fence != 0 && now > keys->fence_expires_ms) {
        keys->fence = 0;
    }
    return keys;
}

static const struct tenure_key *counted(const struct qsim *sim, const struct keys *keys)
{
    const struct tenure_key *t = &keys->tenure;
    bool same_time = t->expires_ms == keys->lease_expires_ms || sim->mutation == MUTATION_STALE_TENURE_COUNTS;
    return keys->lease != NOBODY && t->there && t->name == keys->lease && same_time ? t : NULL;
}

const struct tenure_key *node_tenure(struct qsim *sim, unsigned node, uint8_t election)
{
    return counted(sim, keys_now(sim, node, election));
}

uint8_t node_lease(struct qsim *sim, unsigned node, uint8_t election)
{
    return keys_now(sim, node, election)->lease;
}

/* What foreign programs do: SET NX PX, compare-and-expire, compare-and-delete, by name. */
bool node_foreign_step(struct qsim *sim, unsigned node, uint8_t election, unsigned op, uint8_t name,
                       int64_t px)
{
    struct keys *keys = keys_now(sim, node, election);
    int64_t until = node_ms(sim, node) + px;
    if (op == 1 && keys->lease == NOBODY) {
        keys->lease = name;
        keys->lease_expires_ms = until;
        return true;
    }
    if (op == 2 && keys->lease == name) {
        keys->lease_expires_ms = until;
        return true;
    }
    if (op == 3 && keys->lease == name) {
        keys->lease = NOBODY;
        return true;
    }
    return false;
}

struct call {
    struct qsim *sim;
    unsigned node;
    struct node_model *self;
    struct keys *keys;
    const struct tenure_key *t;
    int64_t now_ms;
    uint64_t f;
    bool amnesiac;
    struct flight *flight;
    const struct quorum_command *c;
    struct quorum_reply *r;
};

static void reply_name(struct call *call, uint8_t name)
{
    call->flight->name = name;
    call->flight->letter = name_letter(name);
    call->r->name = name == NOBODY ? STR("") : str_from(&call->flight->letter, 1);
}

static void set_fence(struct call *call, uint64_t fence)
{
    call->keys->fence = fence;
    call->keys->fence_expires_ms = call->now_ms + FENCE_MS;
}

static void write_until(struct call *call, uint8_t name, struct quorum_claim claim, int64_t expires_ms)
{
    call->keys->lease = name;
    call->keys->lease_expires_ms = expires_ms;
    call->keys->tenure =
        (struct tenure_key){.there = true, .name = name, .claim = claim, .expires_ms = expires_ms};
}

/* write(name, t, owner) of command.h. */
static void write_lease(struct call *call, uint8_t name, struct quorum_claim claim)
{
    int64_t until = call->now_ms + call->c->term_ms;
    if (call->keys->lease == name && call->keys->lease_expires_ms > until &&
        call->sim->mutation != MUTATION_SHORTENED) {
        until = call->keys->lease_expires_ms;
    }
    check_placed(call->sim, call->node, until - call->now_ms);
    write_until(call, name, claim, until);
}

static void delete_both(struct call *call)
{
    call->keys->lease = NOBODY;
    call->keys->tenure.there = false;
}

static bool too_low(const struct call *call)
{
    return call->sim->mutation == MUTATION_FENCE_NOT_STRICT ? call->f > call->c->token
                                                            : call->f >= call->c->token;
}

/* --- Verbs --- */

static void run_set(struct call *call, bool sets)
{
    struct keys *keys = call->keys;
    call->r->fence = keys->fence;
    if (keys->lease != NOBODY) {
        call->r->answer = QUORUM_NAME;
        reply_name(call, keys->lease);
        const struct tenure_key *t = &keys->tenure;
        call->r->token = t->there && t->name == keys->lease ? t->claim.token : 0;
        return;
    }
    call->r->answer = sets ? QUORUM_NEW : QUORUM_NONE;
    if (sets) {
        keys->lease = call->flight->candidate;
        keys->lease_expires_ms = call->now_ms + call->c->term_ms;
        if (call->c->term_ms > call->sim->operation_timeout_ms) {
            trace_fail(call->sim->trace, "check_transient_lease", "a set for %" PRId64 " ms",
                       call->c->term_ms);
        }
    }
}

static void run_claim(struct call *call)
{
    const struct quorum_command *c = call->c;
    struct quorum_claim seen = call->t != NULL ? call->t->claim : (struct quorum_claim){0};
    bool expected = c->expect.token == 0
                        ? call->t == NULL
                        : seen.token == c->expect.token && quorum_owner_is(seen.owner, c->expect.owner);
    if (call->keys->lease != call->flight->candidate) {
        call->r->answer = QUORUM_NO;
    } else if (!expected && call->sim->mutation != MUTATION_CLAIM_EXPECTS_NOTHING) {
        call->r->answer = QUORUM_CHANGED;
    } else if (too_low(call)) {
        call->r->answer = QUORUM_LOW;
        call->r->fence = call->f;
        call->sim->counters->claims_low++;
    } else if (call->amnesiac && call->sim->mutation != MUTATION_AMNESIACS_GRANT) {
        call->r->answer = QUORUM_AMNESIAC;
    } else {
        write_lease(call, call->flight->candidate, (struct quorum_claim){c->token, c->owner});
        set_fence(call, c->token);
    }
}

static void run_look(struct call *call)
{
    const struct quorum_command *c = call->c;
    struct quorum_reply *r = call->r;
    r->fence = call->f;
    if (call->keys->lease == NOBODY) {
        r->answer = call->amnesiac ? QUORUM_AMNESIAC : QUORUM_MISSING;
    } else if (call->keys->lease != call->flight->candidate) {
        r->answer = QUORUM_OTHER;
        r->committed = call->t != NULL;
        r->token = call->t != NULL ? call->t->claim.token : 0;
        reply_name(call, call->keys->lease);
    } else if (call->t == NULL) {
        r->answer = QUORUM_BARE;
    } else {
        struct quorum_claim claim = call->t->claim;
        if (quorum_owner_cmp(c->owner, claim.owner) > 0 || call->sim->mutation == MUTATION_OWNER_GOES_BACK) {
            claim.owner = c->owner;
        }
        r->expires_ms = call->keys->lease_expires_ms;
        write_lease(call, call->flight->candidate, claim);
        call->keys->fence_expires_ms = call->now_ms + FENCE_MS;
        r->token = claim.token;
        r->owner = claim.owner;
    }
}

static void run_repair(struct call *call)
{
    const struct quorum_command *c = call->c;
    enum mutation mutation = call->sim->mutation;
    bool lower = (call->t != NULL && call->t->claim.token < c->token) ||
                 (call->t == NULL && mutation == MUTATION_FORCE_OVER_BARE);
    const struct quorum_marker *marker = &call->self->memory.marker;
    const struct quorum_hello *hello = &call->flight->conn->hello;
    bool very_nonce = c->nonce != 0 && marker->there && marker->nonce == c->nonce &&
                      strcmp(marker->run_id, hello->run_id) == 0 &&
                      strcmp(marker->replication_id, hello->replication_id) == 0;
    /* The floor speaks for what the node has forgotten; the nodes that the leader counted speak against it. */
    uint64_t f =
        c->force && very_nonce && mutation != MUTATION_FLOOR_STOPS_REPAIR ? call->keys->fence : call->f;
    if (f > c->token && mutation != MUTATION_REPAIR_ABOVE_FENCE) {
        call->r->answer = QUORUM_LOW;
        call->r->fence = call->f;
    } else if (call->keys->lease != NOBODY && !(c->force && lower)) {
        call->r->answer = QUORUM_OTHER;
    } else if (call->amnesiac && !(c->force && very_nonce)) {
        call->r->answer = QUORUM_AMNESIAC;
    } else {
        call->sim->counters->repairs++;
        write_lease(call, call->flight->candidate, (struct quorum_claim){c->token, c->owner});
        set_fence(call, f > c->token ? f : c->token);
    }
}

static void run_undo(struct call *call)
{
    const struct quorum_command *c = call->c;
    bool ours = call->t == NULL || call->sim->mutation == MUTATION_UNDO_BY_NAME;
    for (unsigned i = 0; i < c->n_tried && !ours; i++) {
        ours = call->t->claim.token == c->tried[i].token &&
               quorum_owner_is(call->t->claim.owner, c->tried[i].owner);
    }
    call->sim->counters->undos++;
    if (call->keys->lease == call->flight->candidate && ours) {
        delete_both(call);
    }
}

static void run_resign(struct call *call)
{
    const struct quorum_command *c = call->c;
    bool theirs = call->keys->lease != call->flight->candidate && call->t == NULL;
    if (theirs && c->force && c->token + 1 > call->f) {
        set_fence(call, c->token + 1);
    }
    if (call->keys->lease == NOBODY) {
        call->r->answer = QUORUM_NONE;
        return;
    }
    struct quorum_claim seen = call->t != NULL ? call->t->claim : (struct quorum_claim){0};
    bool any = call->sim->mutation == MUTATION_RESIGN_BY_NAME;
    bool owner_fits = c->owner.clock == 0 || quorum_owner_is(seen.owner, c->owner) || any;
    bool token_fits = c->token == 0 || seen.token == c->token || any;
    if (call->keys->lease != call->flight->candidate || !owner_fits || !token_fits) {
        call->r->answer = QUORUM_NO;
        call->r->token = seen.token;
        reply_name(call, call->keys->lease);
        return;
    }
    call->r->token = seen.token;
    if (seen.token != 0) {
        set_fence(call, seen.token + 1 > call->f ? seen.token + 1 : call->f);
    }
    delete_both(call);
}

static void run_handover(struct call *call)
{
    const struct quorum_command *c = call->c;
    struct keys *keys = call->keys;
    struct quorum_claim seen = call->t != NULL ? call->t->claim : (struct quorum_claim){0};
    bool asks = call->flight->from != NOBODY || c->expect.token != 0 || c->expect.owner.clock != 0;
    bool bare_suffices = call->sim->mutation == MUTATION_HANDOVER_FROM_BARE && keys->lease != NOBODY;
    bool fits = (!asks || call->t != NULL || bare_suffices) &&
                (call->flight->from == NOBODY || keys->lease == call->flight->from) &&
                (c->expect.token == 0 || c->expect.token == seen.token) &&
                (c->expect.owner.clock == 0 || quorum_owner_is(c->expect.owner, seen.owner));
    if (call->amnesiac) {
        call->r->answer = QUORUM_AMNESIAC;
    } else if (!fits) {
        call->r->answer = QUORUM_NO;
        call->r->token = seen.token;
        reply_name(call, keys->lease);
    } else if (too_low(call)) {
        call->r->answer = QUORUM_LOW;
        call->r->fence = call->f;
    } else {
        uint8_t old = keys->lease;
        int64_t old_expires = old != NOBODY ? keys->lease_expires_ms : 0;
        int64_t until = call->now_ms + c->term_ms;
        write_until(call, call->flight->candidate, (struct quorum_claim){c->token, c->owner},
                    old_expires > until ? old_expires : until);
        keys->tenure.replaced = true;
        keys->tenure.old_lease = old;
        keys->tenure.old_committed = seen.token != 0;
        keys->tenure.old_claim = seen;
        keys->tenure.old_expires_ms = old_expires;
        set_fence(call, c->token);
        call->r->token = seen.token;
        reply_name(call, old);
    }
}

static bool is_that(const struct call *call)
{
    return call->keys->lease == call->flight->candidate && call->t != NULL &&
           call->t->claim.token == call->c->token && quorum_owner_is(call->t->claim.owner, call->c->owner);
}

static void run_restore(struct call *call)
{
    if (!is_that(call)) {
        return;
    }
    struct tenure_key t = *call->t;
    delete_both(call);
    call->sim->counters->restores++;
    if (t.replaced && t.old_lease != NOBODY && call->now_ms <= t.old_expires_ms) {
        write_until(call, t.old_lease, t.old_claim, t.old_expires_ms);
        call->keys->tenure.there = t.old_committed;
    }
}

static void run_restore_expiry(struct call *call)
{
    if (is_that(call)) {
        call->sim->counters->expiries_put_back++;
        call->keys->lease_expires_ms = call->c->expires_ms;
        call->keys->tenure.expires_ms = call->c->expires_ms;
    }
}

static void run_read(struct call *call)
{
    const struct keys *keys = call->keys;
    if (keys->lease == NOBODY) {
        call->r->answer = QUORUM_NONE;
        return;
    }
    const struct tenure_key *t = &keys->tenure;
    call->r->answer = QUORUM_NAME;
    reply_name(call, keys->lease);
    call->r->left_ms = -1;
    if (call->c->exact) {
        call->r->token = call->t != NULL ? call->t->claim.token : 0;
        call->r->left_ms = keys->lease_expires_ms - call->now_ms;
    } else {
        call->r->token = t->there && t->name == keys->lease ? t->claim.token : 0;
    }
}

/* --- Verbs about the node --- */

static void reply_node(struct call *call)
{
    const struct memory *memory = &call->self->memory;
    call->r->marker = memory->marker;
    call->r->floor = memory->floor;
    call->r->ceiling = memory->ceiling;
    call->r->max_term_ms = memory->max_term_ms;
    call->r->node_us = ticker_read(&call->self->clock, call->sim->now);
}

static void raise_numbers(struct call *call)
{
    struct memory *memory = &call->self->memory;
    const struct quorum_command *c = call->c;
    memory->floor = c->floor > memory->floor ? c->floor : memory->floor;
    memory->ceiling = c->ceiling > memory->ceiling ? c->ceiling : memory->ceiling;
    memory->max_term_ms = c->max_term_ms > memory->max_term_ms ? c->max_term_ms : memory->max_term_ms;
}

static void run_node(struct call *call)
{
    const struct quorum_command *c = call->c;
    struct memory *memory = &call->self->memory;
    if (c->verb == QUORUM_NODE_MARK) {
        bool very = quorum_marker_is(&memory->marker, &c->marker_old);
        if (very || call->sim->mutation == MUTATION_MARK_ANYTHING) {
            raise_numbers(call);
            call->sim->counters->readmissions += c->marker.nonce == 0 && memory->marker.nonce != 0 ? 1 : 0;
            memory->marker = c->marker;
        } else {
            call->r->answer = QUORUM_CHANGED;
        }
    } else if (c->verb == QUORUM_NODE_RAISE) {
        if (call->amnesiac) {
            call->r->answer = QUORUM_AMNESIAC;
        } else {
            raise_numbers(call);
        }
    }
    reply_node(call);
}

static void run_verb(struct call *call)
{
    switch (call->c->verb) {
    case QUORUM_SET:
        run_set(call, true);
        break;
    case QUORUM_PEEK:
        run_set(call, false);
        break;
    case QUORUM_CLAIM:
        run_claim(call);
        break;
    case QUORUM_LOOK:
        run_look(call);
        break;
    case QUORUM_REPAIR:
        run_repair(call);
        break;
    case QUORUM_UNDO:
        run_undo(call);
        break;
    case QUORUM_RESIGN:
        run_resign(call);
        break;
    case QUORUM_HANDOVER:
        run_handover(call);
        break;
    case QUORUM_RESTORE:
        run_restore(call);
        break;
    case QUORUM_RESTORE_EXPIRY:
        run_restore_expiry(call);
        break;
    case QUORUM_READ:
        run_read(call);
        break;
    default:
        run_node(call);
        break;
    }
}

void node_execute(struct qsim *sim, struct flight *flight)
{
    unsigned node = flight->conn->node;
    struct node_model *self = &sim->nodes[node];
    const struct quorum_command *c = &flight->copy;
    flight->reply = (struct quorum_reply){.answer = QUORUM_OK};
    flight->name = NOBODY;
    sim->counters->commands++;
    bool writes = c->verb != QUORUM_PEEK && c->verb != QUORUM_READ && c->verb != QUORUM_NODE_READ;
    if (sim->now < self->failing_until || (self->replica && writes)) {
        flight->reply.answer = QUORUM_FAILED;
        return;
    }
    struct quorum_marker wanted = final_marker(&flight->conn->hello);
    struct call call = {
        .sim = sim,
        .node = node,
        .self = self,
        .now_ms = node_ms(sim, node),
        .amnesiac = !quorum_marker_is(&self->memory.marker, &wanted),
        .flight = flight,
        .c = c,
        .r = &flight->reply,
    };
    if (flight->copy.names != NULL) {
        call.keys = keys_now(sim, node, flight->election);
        call.t = counted(sim, call.keys);
        call.f = call.keys->fence > self->memory.floor ? call.keys->fence : self->memory.floor;
    }
    run_verb(&call);
    NOTE(sim,
         "  n%u a%u: %s e%u %c t=%" PRIu64 " o=%" PRIu64 ".%" PRIu64 " -> %s %c t=%" PRIu64 " F=%" PRIu64,
         node, flight->conn->agent, quorum_verb_word(c->verb), flight->election,
         name_letter(flight->candidate), c->token, c->owner.clock, c->owner.agent,
         quorum_answer_word(flight->reply.answer), name_letter(flight->name), flight->reply.token, call.f);
}
