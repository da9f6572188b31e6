/* What must hold, each named by it. The promises are those of elections.md, and so are the exceptions. */
#include <inttypes.h>

#include "base/mem.h"
#include "core/lease.h"
#include "qsim.h"

#define ROUNDING_US (3 * US_PER_MS) /* timers fire at whole milliseconds, and clocks are rounded */

/* --- Exceptions --- */

/* Somebody did what the promises leave to tokens. */
bool checks_uncovered(const struct qsim *sim, uint8_t election)
{
    return sim->weather.majority_loss || sim->weather.steps ||
           sim->now < sim->facts[election].uncovered_until;
}

static bool tokens_uncovered(const struct qsim *sim)
{
    return sim->weather.majority_loss;
}

/* --- Grants --- */

static struct grant *grant_find(struct facts *facts, uint64_t token)
{
    for (size_t i = facts->n; i > 0; i--) {
        if (facts->grants[i - 1].token == token) {
            return &facts->grants[i - 1];
        }
    }
    return NULL;
}

static struct grant *grant_add(struct qsim *sim, struct facts *facts, uint64_t token, uint8_t name)
{
    if (facts->n == facts->capacity) {
        facts->capacity = facts->capacity * 2 + 16;
        facts->grants = mem_realloc(facts->grants, facts->capacity * sizeof facts->grants[0]);
    }
    facts->grants[facts->n] =
        (struct grant){.token = token, .name = name, .at = sim->now, .ended_at = INT64_MAX};
    return &facts->grants[facts->n++];
}

/* Promise 2. */
static void check_token_unique(struct qsim *sim, const struct grant *grant, uint8_t name)
{
    if (grant->name != name) {
        trace_fail(sim->trace, "check_token_unique", "%" PRIu64 " is of %c and of %c", grant->token,
                   name_letter(grant->name), name_letter(name));
    }
}

/* Promise 2: what was granted before this was asked has a smaller token. */
static void check_token_grows(struct qsim *sim, const struct facts *facts, const struct ask *ask)
{
    for (size_t i = 0; i < facts->n; i++) {
        const struct grant *grant = &facts->grants[i];
        if (grant->at < ask->submitted && grant->token > ask->answer.token) {
            trace_fail(sim->trace, "check_token_grows",
                       "%s of %c answered with %" PRIu64 ", but %c had %" PRIu64,
                       election_op_name(ask->question.op), name_letter(ask->question.candidate),
                       ask->answer.token, name_letter(grant->name), grant->token);
        }
    }
}

/* A tenure that was ended by its leader, and told so, is over. */
static void check_token_not_revived(struct qsim *sim, const struct grant *grant, const struct ask *ask)
{
    if (grant->ended_at < ask->submitted) {
        trace_fail(sim->trace, "check_token_not_revived", "%" PRIu64 " of %c was ended and leads again",
                   grant->token, name_letter(grant->name));
    }
}

/* Never led again: what the client has given up. */
static void check_past_never_led(struct qsim *sim, const struct ask *ask)
{
    if (ask->answer.token <= ask->question.past) {
        trace_fail(sim->trace, "check_past_never_led", "%c leads with %" PRIu64 ", past %" PRIu64,
                   name_letter(ask->question.candidate), ask->answer.token, ask->question.past);
    }
}

/* Promise 3. */
static void check_grant_in_time(struct qsim *sim, const struct ask *ask)
{
    struct mono until = lease_valid_until(ask->request.start, ask->question.term_ms);
    if (!mono_before(agent_now(sim, ask->agent).mono, until)) {
        trace_fail(sim->trace, "check_grant_in_time", "%s of %c is answered without validity",
                   election_op_name(ask->question.op), name_letter(ask->question.candidate));
    }
}

static void check_grant(struct qsim *sim, struct ask *ask)
{
    struct facts *facts = &sim->facts[ask->question.election];
    uint8_t name = ask->question.candidate;
    enum election_op op = ask->question.op;
    if (ask->answer.token == 0) {
        trace_fail(sim->trace, "check_token_unique", "a tenure without a token");
        return;
    }
    if (op != OP_HANDOVER) {
        check_grant_in_time(sim, ask);
    }
    if (op == OP_CAMPAIGN && !tokens_uncovered(sim)) {
        check_past_never_led(sim, ask);
    }
    struct grant *grant = grant_find(facts, ask->answer.token);
    if (!tokens_uncovered(sim)) {
        check_token_grows(sim, facts, ask);
        if (grant != NULL) {
            check_token_unique(sim, grant, name);
            check_token_not_revived(sim, grant, ask);
        }
    }
    if (grant == NULL) {
        sim->counters->grants++;
        (void)grant_add(sim, facts, ask->answer.token, name);
    } else {
        sim->counters->adoptions += op == OP_CAMPAIGN ? 1 : 0;
    }
}

static void note_end(struct qsim *sim, const struct ask *ask)
{
    struct grant *grant = grant_find(&sim->facts[ask->question.election], ask->question.token);
    if (ask->answer.err == EA_OK && ask->question.token != 0 && grant != NULL && grant->ended_at > sim->now) {
        grant->ended_at = sim->now;
    }
}

/* --- Leaders --- */

static const struct client *valid_leader(const struct qsim *sim, uint8_t election)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        const struct client *client = &sim->clients[i];
        if (client->election == election && sim->now < client->until && sim->now >= client->uncovered_until) {
            return client;
        }
    }
    return NULL;
}

/* Promise 1, by the clients' own counting. */
static void check_one_leader(struct qsim *sim, uint8_t election, uint8_t name)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        const struct client *other = &sim->clients[i];
        if (other->election == election && other->name != name && sim->now < other->until &&
            sim->now >= other->uncovered_until) {
            trace_fail(sim->trace, "check_one_leader", "e%u: %c and %c", election, name_letter(name),
                       name_letter(other->name));
        }
    }
    for (unsigned i = 0; i < FOREIGNERS && election == 0; i++) {
        if (name != FOREIGN + i && sim->now < sim->foreigners[i].until) {
            trace_fail(sim->trace, "check_one_leader", "%c and the foreign %c", name_letter(name),
                       name_letter((uint8_t)(FOREIGN + i)));
        }
    }
}

void check_belief(struct qsim *sim, uint8_t election, uint8_t name, uint64_t token)
{
    struct facts *facts = &sim->facts[election];
    sim->counters->beliefs_checked++;
    bool covered = name >= sim->n_clients || sim->now >= sim->clients[name].uncovered_until;
    if (!checks_uncovered(sim, election) && covered && !sim->weather.twins) {
        check_one_leader(sim, election, name);
    }
    if (token != 0 && token < facts->believed && !tokens_uncovered(sim) && !sim->weather.twins &&
        !checks_uncovered(sim, election) && covered) {
        trace_fail(sim->trace, "check_token_grows", "%c believes in %" PRIu64 " after %" PRIu64,
                   name_letter(name), token, facts->believed);
    }
    facts->believed = token > facts->believed ? token : facts->believed;
}

/* Promise 4: while it is valid nobody says that it is over. */
static void check_promise_kept(struct qsim *sim, const struct ask *ask)
{
    const struct question *question = &ask->question;
    if (question->client >= sim->n_clients || question->id == 0) {
        return;
    }
    const struct client *client = &sim->clients[question->client];
    bool speaks = client->incarnation == question->incarnation && question->sent >= client->given_up_at &&
                  sim->now < client->until && sim->now >= client->uncovered_until &&
                  (question->token == 0 || question->token == client->token);
    bool taken = ask->answer.err == EA_NOT_FOUND || (ask->answer.err == EA_HELD && !ask->answer.moved);
    if (speaks && taken && client->since <= ask->submitted && !checks_uncovered(sim, question->election) &&
        !sim->weather.twins && !sim->weather.foreign) {
        trace_fail(sim->trace, "check_promise_kept", "%c still led with %" PRIu64 " and is told: %s",
                   name_letter(client->name), client->token, err_text(ask->answer.err));
    }
}

/* A read that lies within somebody's validity names them. */
static void check_reads_are_true(struct qsim *sim, const struct ask *ask)
{
    uint8_t election = ask->question.election;
    const struct client *leader = valid_leader(sim, election);
    if (leader == NULL || leader->since >= ask->submitted || checks_uncovered(sim, election) ||
        sim->weather.twins || (sim->weather.foreign && election == 0)) {
        return;
    }
    /* A read is plain: a node emptied a moment ago counts until its loss is noticed, and a bare lease stands for a
     * foreign tenure (token 0). What is committed (a token) is never wrong. */
    bool plain = sim->weather.memory && ask->answer.token == 0;
    bool other =
        ask->answer.err == EA_NOT_FOUND || (ask->answer.err == EA_OK && ask->answer.leader != leader->name);
    if (other && !plain) {
        trace_fail(sim->trace, "check_reads_are_true", "%c leads, and a read says %c",
                   name_letter(leader->name), name_letter(ask->answer.leader));
    }
    if (ask->answer.err == EA_OK && ask->answer.token != 0 && ask->answer.token < leader->token) {
        trace_fail(sim->trace, "check_reads_are_true", "%c leads with %" PRIu64 ", and a read says %" PRIu64,
                   name_letter(leader->name), leader->token, ask->answer.token);
    }
}

/* --- Answers --- */

/* Promise 6. */
static void check_answer_bounded(struct qsim *sim, const struct ask *ask)
{
    int64_t took = mono_sub(agent_now(sim, ask->agent).mono, ask->request.start);
    if (!ask->paused && took > sim->operation_timeout_ms * US_PER_MS + ROUNDING_US) {
        trace_fail(sim->trace, "check_answer_bounded", "#%" PRIu64 " %s took %" PRId64 " us",
                   ask->question.id, election_op_name(ask->question.op), took);
    }
}

/* When everything works, a leader's extension does. */
static void check_calm_extend(struct qsim *sim, const struct ask *ask)
{
    const struct question *question = &ask->question;
    if (!sim->calm || ask->submitted < sim->calm_since || question->op != OP_EXTEND ||
        question->client >= sim->n_clients || sim->weather.twins || sim->weather.foreign) {
        return;
    }
    const struct client *client = &sim->clients[question->client];
    if (sim->now < client->until && client->since < sim->calm_since && ask->answer.err == EA_UNAVAILABLE) {
        trace_fail(sim->trace, "check_calm_extend", "%c leads, everything works, and it is told: unavailable",
                   name_letter(client->name));
    }
}

static void check_loss(struct qsim *sim, const struct ask *ask)
{
    if (ask->answer.leader == ask->question.candidate || ask->answer.leader == NOBODY) {
        trace_fail(sim->trace, "check_loss", "%c has lost against %c", name_letter(ask->question.candidate),
                   name_letter(ask->answer.leader));
    }
    if (ask->answer.leader >= FOREIGN && ask->answer.token != 0) {
        trace_fail(sim->trace, "check_foreign_token", "a foreign tenure with token %" PRIu64,
                   ask->answer.token);
    }
}

void check_answer(struct qsim *sim, struct ask *ask)
{
    enum election_op op = ask->question.op;
    bool good = ask->answer.err == EA_OK;
    check_answer_bounded(sim, ask);
    check_calm_extend(sim, ask);
    if (op == OP_CAMPAIGN && good && !ask->answer.elected) {
        check_loss(sim, ask);
    } else if ((op == OP_CAMPAIGN || op == OP_EXTEND || op == OP_HANDOVER) && good) {
        check_grant(sim, ask);
    }
    if (op == OP_EXTEND) {
        check_promise_kept(sim, ask);
    } else if (op == OP_RESIGN || op == OP_HANDOVER) {
        note_end(sim, ask);
    } else if (op == OP_GET || op == OP_INFO) {
        check_reads_are_true(sim, ask);
    }
}

/* --- Nodes --- */

/* Nothing is placed for longer than the node's max_term allows to wait for (scenario 9). */
void check_placed(struct qsim *sim, unsigned node, int64_t px_ms)
{
    if (px_ms > sim->term_most_ms && !sim->directed && !sim->weather.steps) {
        trace_fail(sim->trace, "check_placed", "node %u: %" PRId64 " ms", node, px_ms);
    }
}

/* --- Ends of a run --- */

/* Progress: everything has worked since `from`; somebody has led since. */
void check_calm(struct qsim *sim, int64_t from)
{
    for (uint8_t election = 0; election < sim->n_elections; election++) {
        bool stood = false;
        bool led = false;
        for (unsigned i = 0; i < sim->n_clients; i++) {
            const struct client *client = &sim->clients[i];
            stood |= client->election == election && client->quiet_until < from;
            led |= client->election == election && client->until > from;
        }
        if (stood && !led) {
            trace_fail(sim->trace, "check_progress", "e%u: everything works, and nobody leads", election);
        }
    }
    sim->counters->calms_reached++;
}

/* Promise 5: long after the last question nothing stands anywhere, and no agent is busy. */
void check_silence(struct qsim *sim)
{
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        for (uint8_t election = 0; election < sim->n_elections; election++) {
            uint8_t name = node_lease(sim, node, election);
            if (name != NOBODY && !sim->weather.steps) {
                trace_fail(sim->trace, "check_nothing_left", "node %u, e%u: %c", node, election,
                           name_letter(name));
            }
        }
    }
    for (unsigned agent = 0; agent < sim->n_agents; agent++) {
        struct quorum_status status;
        quorum_status(sim->agents[agent].quorum, &status);
        if (status.attempts != 0 || status.undos != 0) {
            trace_fail(sim->trace, "check_nothing_left",
                       "agent %u has %" PRIu64 " attempts, %" PRIu64 " undos", agent, status.attempts,
                       status.undos);
        }
    }
}
