/*
 * An agent's process around struct quorum: it turns questions into requests, dies between two commands, is
 * suspended and comes back, and keeps sessions of clients that hold a connection.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "core/lease.h"
#include "qsim.h"

#define WALL_START_US INT64_C(1767225600000000)

struct quorum_now agent_now(const struct qsim *sim, unsigned agent)
{
    const struct agent_model *self = &sim->agents[agent];
    return (struct quorum_now){.mono = {ticker_read(&self->clock, sim->now)},
                               .wall = {WALL_START_US + ticker_read(&self->wall, sim->now)}};
}

/* --- Asks --- */

static struct ask *ask_new(struct qsim *sim, unsigned agent)
{
    struct ask *ask = sim->free_asks;
    if (ask != NULL) {
        sim->free_asks = ask->next;
    } else {
        ask = mem_alloc(sizeof *ask);
    }
    *ask = (struct ask){.sim = sim, .agent = agent, .submitted = sim->now, .next = sim->agents[agent].asks};
    ask->link = &sim->agents[agent].asks;
    if (ask->next != NULL) {
        ask->next->link = &ask->next;
    }
    sim->agents[agent].asks = ask;
    return ask;
}

static void ask_remove(struct ask *ask)
{
    *ask->link = ask->next;
    if (ask->next != NULL) {
        ask->next->link = ask->link;
    }
    if (!ask->kept) {
        ask->next = ask->sim->free_asks;
        ask->sim->free_asks = ask;
    }
}

static void count_answer(struct qsim *sim, const struct ask *ask)
{
    struct qsim_counters *counters = sim->counters;
    const struct answer *answer = &ask->answer;
    if (answer->err == EA_UNAVAILABLE) {
        counters->unavailable++;
        return;
    }
    switch (ask->question.op) {
    case OP_CAMPAIGN:
        counters->losses += answer->elected ? 0 : 1;
        break;
    case OP_EXTEND:
        counters->extensions += answer->err == EA_OK ? 1 : 0;
        counters->refusals += answer->err == EA_OK ? 0 : 1;
        break;
    case OP_RESIGN:
        counters->resignations += answer->err == EA_OK ? 1 : 0;
        break;
    case OP_HANDOVER:
        counters->handovers += answer->err == EA_OK ? 1 : 0;
        break;
    default:
        counters->reads++;
        break;
    }
}

static void send_answer(struct qsim *sim, const struct question *question, const struct answer *answer)
{
    struct message *message = message_new(sim);
    message->question = *question;
    message->answer = *answer;
    qsim_after(sim, qsim_delay(sim), (struct event){.kind = EV_ANSWER, .what = message});
}

static void done(struct election_request *request)
{
    struct ask *ask = request->user;
    struct qsim *sim = ask->sim;
    assert(!ask->done);
    ask->done = true;
    ask->answered = sim->now;
    ask->answer = (struct answer){
        .err = request->err,
        .elected = request->err == EA_OK && request->elected,
        .moved = ask->session != NULL && ask->session->moved,
        .leader = request->tenure.leader.n == 1 ? (uint8_t)(request->tenure.leader.p[0] - 'A') : NOBODY,
        .token = request->tenure.token,
    };
    const struct question *question = &ask->question;
    NOTE(sim, "agent %u answers #%" PRIu64 " %s: %s%s leader=%c t=%" PRIu64 " %.*s", ask->agent, question->id,
         election_op_name(question->op), ask->answer.err == EA_OK ? "ok" : err_text(ask->answer.err),
         ask->answer.elected ? " elected" : "", name_letter(ask->answer.leader), ask->answer.token,
         STR_ARG(request->why));
    count_answer(sim, ask);
    check_answer(sim, ask);
    if (ask->session != NULL) {
        struct agent_model *self = &sim->agents[ask->agent];
        bool left = ask->session == &self->left[question->client];
        *(left ? &self->left_busy[question->client] : &self->session_busy[question->client]) = false;
        if (!left && ask->answer.err == EA_OK && (ask->answer.elected || question->op == OP_EXTEND)) {
            self->session_token[question->client] = ask->answer.token;
        }
    }
    if (question->client < sim->n_clients && question->id != 0) {
        send_answer(sim, question, &ask->answer);
    }
    ask_remove(ask);
}

static struct str letter(const char *c)
{
    return *c == '-' ? STR("") : str_from(c, 1);
}

struct ask *agent_submit(struct qsim *sim, const struct question *question, struct quorum_session *session,
                         bool kept)
{
    unsigned agent = question->agent;
    struct agent_model *self = &sim->agents[agent];
    struct ask *ask = ask_new(sim, agent);
    struct quorum_now now = agent_now(sim, agent);
    ask->kept = kept;
    ask->question = *question;
    ask->session = session;
    ask->election = (char)('0' + question->election);
    ask->candidate =
        name_letter(question->op == OP_GET || question->op == OP_INFO ? NOBODY : question->candidate);
    ask->from = name_letter(question->from);
    ask->request = (struct election_request){
        .op = question->op,
        .kind = STR("default"),
        .election = str_from(&ask->election, 1),
        .candidate = letter(&ask->candidate),
        .from = letter(&ask->from),
        .token = question->token,
        .past = question->past,
        .term_ms = question->term_ms,
        .priority = 1,
        .start = now.mono,
        .deadline = mono_add_ms(now.mono, sim->operation_timeout_ms),
        .done = done,
        .user = ask,
    };
    quorum_submit(self->quorum, now, &ask->request, session);
    agent_leave(sim, agent);
    return ask;
}

/* --- Sessions --- */

static void refuse(struct qsim *sim, const struct question *question)
{
    struct answer answer = {.err = EA_UNAVAILABLE, .leader = NOBODY};
    send_answer(sim, question, &answer);
}

static void session_question(struct qsim *sim, const struct question *question)
{
    struct agent_model *self = &sim->agents[question->agent];
    unsigned client = question->client;
    struct quorum_session *session = &self->sessions[client];
    if (self->session_busy[client]) {
        refuse(sim, question);
        return;
    }
    bool known = session->owner.clock != 0 && self->session_token[client] == question->token;
    if (question->op == OP_CAMPAIGN || (question->op == OP_EXTEND && (!known || session->moved))) {
        *session = (struct quorum_session){0};
    } else if (!known) { /* nothing that this agent could resign for it */
        refuse(sim, question);
        return;
    }
    self->session_busy[client] = true;
    (void)agent_submit(sim, question, session, false);
}

static void submit_late(struct qsim *sim, unsigned agent, unsigned client, enum election_op op,
                        struct quorum_session *session, uint64_t token)
{
    const struct client *owner = &sim->clients[client];
    struct question question = {
        .client = client,
        .op = op,
        .election = owner->election,
        .candidate = owner->name,
        .from = NOBODY,
        .agent = agent,
        .hold = true,
        .token = token,
        .term_ms = owner->term_ms,
        .sent = sim->now,
    };
    (void)agent_submit(sim, &question, session, false);
}

/* The client leads at another agent now: what it had here ends late. */
void agent_left(struct qsim *sim, unsigned agent, unsigned client)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->quorum == NULL || self->session_busy[client] || self->left_busy[client]) {
        return;
    }
    self->left[client] = self->sessions[client];
    self->left_token[client] = self->session_token[client];
    self->sessions[client] = (struct quorum_session){0};
    self->session_token[client] = 0;
}

/* What the agent does for a session whose client has gone elsewhere: it renews, not knowing, or closes, late. */
void agent_late(struct qsim *sim, unsigned agent, uint64_t what)
{
    struct agent_model *self = &sim->agents[agent];
    unsigned client = (unsigned)(what / 2);
    bool closes = what % 2 == 1;
    struct quorum_session *session = closes ? &self->left[client] : &self->sessions[client];
    bool busy = closes ? self->left_busy[client] : self->session_busy[client];
    if (self->quorum == NULL || busy || session->owner.clock == 0 || session->moved) {
        return;
    }
    if (agent_paused(sim, agent)) {
        qsim_after(sim, self->paused_until - sim->now,
                   (struct event){.kind = EV_LATE, .who = agent, .number = what});
        return;
    }
    sim->counters->late_closes += closes ? 1 : 0;
    if (closes) {
        self->left_busy[client] = true;
        submit_late(sim, agent, client, OP_RESIGN, session, self->left_token[client]);
    } else {
        self->session_busy[client] = true;
        submit_late(sim, agent, client, OP_EXTEND, session, self->session_token[client]);
    }
}

void agent_question(struct qsim *sim, const struct question *question)
{
    struct agent_model *self = &sim->agents[question->agent];
    if (self->quorum == NULL) {
        if (qsim_chance(sim, 50)) {
            refuse(sim, question);
        }
        return;
    }
    if (agent_paused(sim, question->agent)) {
        struct message *message = message_new(sim);
        message->question = *question;
        qsim_after(sim, self->paused_until - sim->now, (struct event){.kind = EV_QUESTION, .what = message});
        return;
    }
    if (question->hold) {
        session_question(sim, question);
    } else {
        (void)agent_submit(sim, question, NULL, false);
    }
}

/* --- Life and death --- */

static void hook_send(void *arg, struct quorum_command *command)
{
    struct ask *self = arg; /* carries sim and agent only */
    struct agent_model *agent = &self->sim->agents[self->agent];
    network_send(self->sim, self->agent, command);
    if (agent->sends_to_live > 0 && --agent->sends_to_live == 0) {
        agent->doomed = true;
    }
}

static void hook_node(void *arg, unsigned node, enum quorum_node_state state, const char *why)
{
    const struct ask *self = arg;
    NOTE(self->sim, "agent %u: node %u is %s (%s)", self->agent, node, quorum_node_state_word(state), why);
}

static struct quorum_faults agent_faults(enum mutation mutation)
{
    struct quorum_faults faults = {0};
#define FAULT(name)                          \
    if (mutation == MUTATION_fault_##name) { \
        faults.name = true;                  \
    }
    QUORUM_FAULTS(FAULT)
#undef FAULT
    return faults;
}

void agent_boot(struct qsim *sim, unsigned agent)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->quorum != NULL) {
        return;
    }
    self->boot++;
    self->paused_until = 0;
    self->timer_at = INT64_MAX;
    self->doomed = false;
    self->sends_to_live = 0;
    struct quorum_options options = {
        .nodes = sim->n_nodes,
        .agent = 1 + rng_below(&sim->rng, 1 << 30),
        .seed = rng_next(&sim->rng),
        .operation_timeout_ms = sim->operation_timeout_ms,
        .max_term_ms = sim->max_term_ms,
        .hints = qsim_chance(sim, 50) ? 1 : 64,
        .undos_max = 1000,
        .hooks = {.send = hook_send, .node = hook_node, .arg = &sim->hook_args[agent]},
    };
    sim->hook_args[agent] = (struct ask){.sim = sim, .agent = agent};
    self->quorum = quorum_new(&options, agent_now(sim, agent));
    struct quorum_faults faults = agent_faults(sim->mutation);
    quorum_set_faults(self->quorum, &faults);
    NOTE(sim, "agent %u starts as %" PRIu64, agent, options.agent);
    for (unsigned i = 0; i < QSIM_CLIENTS; i++) {
        self->sessions[i] = (struct quorum_session){0};
        self->session_busy[i] = false;
        self->session_token[i] = 0;
        self->left[i] = (struct quorum_session){0};
        self->left_busy[i] = false;
    }
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        qsim_after(sim, sim->directed ? 0 : rng_range(&sim->rng, 0, 10 * US_PER_MS),
                   (struct event){.kind = EV_DIAL, .who = agent * QSIM_NODES + node, .number = self->boot});
    }
}

void agent_crash(struct qsim *sim, unsigned agent)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->quorum == NULL) {
        return;
    }
    NOTE(sim, "agent %u crashes", agent);
    network_agent_died(sim, agent);
    quorum_free(self->quorum);
    self->quorum = NULL;
    while (self->asks != NULL) {
        struct ask *ask = self->asks;
        ask_remove(ask);
    }
}

void agent_pause(struct qsim *sim, unsigned agent, int64_t us)
{
    struct agent_model *self = &sim->agents[agent];
    NOTE(sim, "agent %u is suspended for %" PRId64 " ms", agent, us / US_PER_MS);
    self->paused_until = sim->now + us;
    for (struct ask *ask = self->asks; ask != NULL; ask = ask->next) {
        ask->paused = true;
    }
}

static void set_timer(struct qsim *sim, unsigned agent)
{
    struct agent_model *self = &sim->agents[agent];
    struct mono next = quorum_next(self->quorum);
    if (next.us == MONO_NEVER.us) {
        return;
    }
    int64_t at = ticker_when(&self->clock, next.us);
    at = at > sim->now ? at : sim->now + 1;
    if (at < self->timer_at) {
        self->timer_at = at;
        qsim_after(sim, at - sim->now, (struct event){.kind = EV_TIMER, .who = agent, .number = self->boot});
    }
}

/* The end of a turn: everything is written, then perhaps the process dies. */
void agent_leave(struct qsim *sim, unsigned agent)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->doomed) {
        sim->counters->deaths_midway++;
        agent_crash(sim, agent);
        qsim_after(sim, rng_range(&sim->rng, 1, 1500) * US_PER_MS,
                   (struct event){.kind = EV_BOOT, .who = agent});
        return;
    }
    network_flush(sim, agent);
    set_timer(sim, agent);
}

void agent_timer(struct qsim *sim, unsigned agent, uint64_t boot)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->quorum == NULL || self->boot != boot || sim->now < self->timer_at) {
        return;
    }
    if (agent_paused(sim, agent)) {
        self->timer_at = self->paused_until;
        qsim_after(sim, self->paused_until - sim->now,
                   (struct event){.kind = EV_TIMER, .who = agent, .number = boot});
        return;
    }
    self->timer_at = INT64_MAX;
    quorum_timer(self->quorum, agent_now(sim, agent));
    agent_leave(sim, agent);
}
