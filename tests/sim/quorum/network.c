/*
 * Connections between agents and nodes. Packets of one connection keep their order; a lost packet is a lost
 * connection, which the agent notices late. What was sent on a connection that has ended may still run on its
 * node, until the agent's next connection has had it killed.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "qsim.h"

#define BACKOFF_LEAST_US (50 * US_PER_MS)
#define BACKOFF_MOST_US  (300 * US_PER_MS)

/* --- Memory --- */

static struct flight *flight_new(struct qsim *sim)
{
    struct flight *flight = sim->free_flights;
    if (flight == NULL) {
        return mem_zalloc(sizeof *flight);
    }
    sim->free_flights = flight->next;
    return flight;
}

static void flight_free(struct qsim *sim, struct flight *flight)
{
    assert(flight->command == NULL);
    flight->next = sim->free_flights;
    sim->free_flights = flight;
}

static void out_push(struct conn *conn, struct flight *flight)
{
    flight->next = conn->out;
    flight->link = &conn->out;
    if (conn->out != NULL) {
        conn->out->link = &flight->next;
    }
    conn->out = flight;
}

static void out_remove(struct flight *flight)
{
    *flight->link = flight->next;
    if (flight->next != NULL) {
        flight->next->link = flight->link;
    }
}

static bool is_current(const struct qsim *sim, const struct conn *conn)
{
    const struct agent_model *agent = &sim->agents[conn->agent];
    return agent->quorum != NULL && agent->boot == conn->boot && agent->conns[conn->node] == conn;
}

/* --- Sending --- */

void network_send(struct qsim *sim, unsigned agent, struct quorum_command *command)
{
    struct conn *conn = sim->agents[agent].conns[command->node];
    assert(conn != NULL && conn->up); /* a node without a connection is not asked */
    command->next = NULL;
    *conn->queue_end = command;
    conn->queue_end = &command->next;
}

static uint8_t name_of(struct str name)
{
    return name.n == 0 ? NOBODY : (uint8_t)(name.p[0] - 'A');
}

static int64_t in_order(struct qsim *sim, const struct conn *conn, int64_t *last)
{
    int64_t at = sim->now + qsim_delay(sim) + sim->nodes[conn->node].slow_us;
    at = at > *last ? at : *last;
    *last = at;
    return at - sim->now;
}

static void lose(struct qsim *sim, struct conn *conn)
{
    if (!conn->broken) {
        conn->broken = true;
        int64_t notice_us = rng_range(&sim->rng, US_PER_MS, sim->operation_timeout_ms * US_PER_MS);
        qsim_after(sim, notice_us, (struct event){.kind = EV_NOTICE, .what = conn});
    }
}

static bool loses(struct qsim *sim)
{
    return !sim->calm && sim->weather.loss_permille > 0 &&
           rng_below(&sim->rng, 1000) < sim->weather.loss_permille;
}

static void fly(struct qsim *sim, struct conn *conn, struct quorum_command *command)
{
    struct flight *flight = flight_new(sim);
    command->sent = true;
    flight->conn = conn;
    flight->command = command;
    flight->copy = *command;
    flight->election = 0;
    flight->candidate = NOBODY;
    flight->from = NOBODY;
    flight->over = false;
    flight->answered = false;
    if (command->names != NULL) {
        flight->election = (uint8_t)(command->names->election.p[0] - '0');
        flight->candidate = name_of(command->names->candidate);
        flight->from = name_of(command->names->from);
    }
    out_push(conn, flight);
    if (loses(sim)) {
        lose(sim, conn);
    }
    flight->lost = conn->broken; /* what left before still arrives */
    qsim_after(sim, in_order(sim, conn, &conn->last_to_node),
               (struct event){.kind = EV_ARRIVE, .what = flight});
}

static void answer(struct qsim *sim, struct conn *conn, struct quorum_command *command,
                   enum quorum_answer word)
{
    struct quorum_reply reply = {.answer = word};
    sim->counters->dropped_unsent += word == QUORUM_DROPPED ? 1 : 0;
    quorum_reply(sim->agents[conn->agent].quorum, agent_now(sim, conn->agent), command, &reply);
}

static void flush(struct qsim *sim, struct conn *conn)
{
    struct mono now = agent_now(sim, conn->agent).mono;
    struct quorum_command *queue = conn->queue;
    conn->queue = NULL;
    conn->queue_end = &conn->queue;
    while (queue != NULL) {
        struct quorum_command *command = queue;
        queue = command->next;
        if (mono_before(now, command->deadline)) {
            fly(sim, conn, command);
        } else {
            answer(sim, conn, command, QUORUM_DROPPED); /* may queue more, behind */
        }
    }
}

void network_flush(struct qsim *sim, unsigned agent)
{
    for (bool again = true; again;) {
        again = false;
        for (unsigned node = 0; node < sim->n_nodes; node++) {
            struct conn *conn = sim->agents[agent].conns[node];
            if (conn != NULL && conn->up && conn->queue != NULL && sim->now >= conn->stalled_until) {
                flush(sim, conn);
                again = true;
            }
        }
    }
}

/* --- At the node, and back --- */

static void hold(struct qsim *sim, struct flight *flight)
{
    if (flight->command != NULL) {
        out_remove(flight);
    }
    flight->next = sim->held;
    sim->held = flight;
}

static void drop(struct qsim *sim, struct flight *flight)
{
    /* Its command is given back when the agent notices. */
    if (flight->command == NULL) {
        flight_free(sim, flight);
    } else {
        flight->over = true;
    }
}

void network_arrive(struct qsim *sim, struct flight *flight)
{
    struct conn *conn = flight->conn;
    struct node_model *node = &sim->nodes[conn->node];
    if (conn->hold_to_node) {
        hold(sim, flight);
        return;
    }
    if (node->up && sim->now < node->stopped_until) {
        qsim_after(sim, node->stopped_until - sim->now, (struct event){.kind = EV_ARRIVE, .what = flight});
        return;
    }
    if (conn->killed || !node->up || flight->lost) {
        sim->counters->killed_commands += conn->killed && node->up ? 1 : 0;
        drop(sim, flight);
        return;
    }
    sim->counters->ran_on_dead_conns += !is_current(sim, conn) ? 1 : 0;
    node_execute(sim, flight);
    if (conn->broken || loses(sim)) {
        lose(sim, conn);
        drop(sim, flight);
        return;
    }
    qsim_after(sim, in_order(sim, conn, &conn->last_to_agent),
               (struct event){.kind = EV_REPLY, .what = flight});
}

void network_reply(struct qsim *sim, struct flight *flight)
{
    struct conn *conn = flight->conn;
    if (!is_current(sim, conn) || flight->command == NULL) {
        drop(sim, flight);
        return;
    }
    if (agent_paused(sim, conn->agent)) {
        qsim_after(sim, sim->agents[conn->agent].paused_until - sim->now,
                   (struct event){.kind = EV_REPLY, .what = flight});
        return;
    }
    if (conn->hold_to_agent) {
        flight->answered = true;
        hold(sim, flight);
        return;
    }
    if (conn->broken) {
        drop(sim, flight);
        return;
    }
    struct quorum_command *command = flight->command;
    flight->command = NULL;
    out_remove(flight);
    if (flight->name != NOBODY) {
        flight->reply.name = str_from(&flight->letter, 1);
    }
    quorum_reply(sim->agents[conn->agent].quorum, agent_now(sim, conn->agent), command, &flight->reply);
    flight_free(sim, flight);
    agent_leave(sim, conn->agent);
}

/* Scenarios: what was held on this way goes on, in its order. */
void network_release(struct qsim *sim, unsigned agent, unsigned node)
{
    struct flight *order = NULL;
    struct flight **link = &sim->held;
    while (*link != NULL) { /* newest first: turns round */
        struct flight *flight = *link;
        if (flight->conn->agent != agent || flight->conn->node != node) {
            link = &flight->next;
            continue;
        }
        *link = flight->next;
        flight->next = order;
        order = flight;
    }
    for (struct conn *conn = sim->conns; conn != NULL; conn = conn->all) {
        if (conn->agent == agent && conn->node == node) {
            conn->hold_to_node = false;
            conn->hold_to_agent = false;
        }
    }
    while (order != NULL) {
        struct flight *flight = order;
        order = flight->next;
        if (flight->command != NULL) {
            out_push(flight->conn, flight);
        }
        qsim_after(sim, US_PER_MS,
                   (struct event){.kind = flight->answered ? EV_REPLY : EV_ARRIVE, .what = flight});
    }
}

/* --- Connections --- */

/* Everything is given back, then the node is down. */
static void close_conn(struct qsim *sim, struct conn *conn)
{
    struct agent_model *agent = &sim->agents[conn->agent];
    bool was_up = conn->up;
    conn->broken = true;
    while (conn->out != NULL) {
        struct flight *last = conn->out; /* newest first: the oldest is given back first */
        while (last->next != NULL) {
            last = last->next;
        }
        struct quorum_command *command = last->command;
        out_remove(last);
        last->command = NULL;
        if (last->over) {
            flight_free(sim, last);
        }
        answer(sim, conn, command, QUORUM_LOST);
    }
    for (struct flight *held = sim->held; held != NULL; held = held->next) {
        if (held->conn == conn && held->command != NULL) {
            struct quorum_command *command = held->command;
            held->command = NULL;
            answer(sim, conn, command, QUORUM_LOST);
        }
    }
    while (conn->queue != NULL) {
        struct quorum_command *command = conn->queue;
        conn->queue = command->next;
        if (conn->queue == NULL) {
            conn->queue_end = &conn->queue;
        }
        answer(sim, conn, command, QUORUM_DROPPED);
    }
    conn->up = false;
    if (was_up) {
        quorum_node_down(agent->quorum, agent_now(sim, conn->agent), conn->node);
    }
}

void network_notice(struct qsim *sim, struct conn *conn)
{
    if (!is_current(sim, conn) || conn->closed) {
        return;
    }
    if (agent_paused(sim, conn->agent)) {
        qsim_after(sim, sim->agents[conn->agent].paused_until - sim->now,
                   (struct event){.kind = EV_NOTICE, .what = conn});
        return;
    }
    NOTE(sim, "agent %u sees that node %u is gone", conn->agent, conn->node);
    conn->closed = true;
    close_conn(sim, conn);
    qsim_after(
        sim, sim->directed ? BACKOFF_LEAST_US : rng_range(&sim->rng, BACKOFF_LEAST_US, BACKOFF_MOST_US),
        (struct event){.kind = EV_DIAL, .who = conn->agent * QSIM_NODES + conn->node, .number = conn->boot});
    agent_leave(sim, conn->agent);
}

void network_cut(struct qsim *sim, unsigned agent, unsigned node, int64_t notice_us)
{
    struct conn *conn = sim->agents[agent].conns[node];
    if (conn == NULL || conn->broken) {
        return;
    }
    NOTE(sim, "agent %u and node %u are cut off", agent, node);
    conn->broken = true;
    qsim_after(sim, notice_us, (struct event){.kind = EV_NOTICE, .what = conn});
}

void network_dial(struct qsim *sim, unsigned agent, unsigned node, uint64_t boot)
{
    struct agent_model *self = &sim->agents[agent];
    if (self->quorum == NULL || self->boot != boot) {
        return;
    }
    struct conn *conn = mem_zalloc(sizeof *conn);
    conn->agent = agent;
    conn->node = node;
    conn->boot = boot;
    conn->queue_end = &conn->queue;
    conn->previous = self->conns[node];
    conn->all = sim->conns;
    sim->conns = conn;
    self->conns[node] = conn;
    qsim_after(sim, qsim_delay(sim), (struct event){.kind = EV_GREET, .what = conn});
}

/* HELLO, INFO, CLIENT KILL of the connection before. */
void network_greet(struct qsim *sim, struct conn *conn)
{
    struct node_model *node = &sim->nodes[conn->node];
    if (!is_current(sim, conn)) {
        return;
    }
    if (!node->up || sim->now < node->stopped_until || conn->broken) {
        conn->broken = true; /* refused, or without an answer */
        qsim_after(sim, BACKOFF_LEAST_US, (struct event){.kind = EV_NOTICE, .what = conn});
        return;
    }
    for (struct conn *old = conn->previous; old != NULL; old = old->previous) {
        old->killed = old->killed || sim->mutation != MUTATION_NOTHING_KILLED;
    }
    node_hello(sim, conn->node, &conn->hello);
    qsim_after(sim, in_order(sim, conn, &conn->last_to_agent),
               (struct event){.kind = EV_READY, .what = conn});
}

void network_ready(struct qsim *sim, struct conn *conn)
{
    if (!is_current(sim, conn)) {
        return;
    }
    if (agent_paused(sim, conn->agent)) {
        qsim_after(sim, sim->agents[conn->agent].paused_until - sim->now,
                   (struct event){.kind = EV_READY, .what = conn});
        return;
    }
    if (conn->broken || conn->closed) {
        return; /* its notice is under way */
    }
    NOTE(sim, "agent %u is connected to node %u (%s)", conn->agent, conn->node, conn->hello.run_id);
    conn->up = true;
    struct quorum_now now = agent_now(sim, conn->agent);
    conn->hello.since = now.mono;
    quorum_node_up(sim->agents[conn->agent].quorum, now, conn->node, &conn->hello);
    agent_leave(sim, conn->agent);
}

/* --- Ends --- */

/* An agent's process is gone: some of what it had not written yet, from the front, had left all the same. */
void network_agent_died(struct qsim *sim, unsigned agent)
{
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        struct conn *conn = sim->agents[agent].conns[node];
        if (conn == NULL) {
            continue;
        }
        for (struct quorum_command *c = conn->queue; c != NULL && conn->up && !sim->directed; c = c->next) {
            if (qsim_chance(sim, 50)) {
                break;
            }
            fly(sim, conn, c);
        }
        conn->queue = NULL;
        conn->queue_end = &conn->queue;
        while (conn->out != NULL) {
            struct flight *flight = conn->out;
            out_remove(flight);
            flight->command = NULL;
            if (flight->over) {
                flight_free(sim, flight);
            }
        }
        for (struct flight *held = sim->held; held != NULL; held = held->next) {
            if (held->conn == conn) {
                held->command = NULL;
            }
        }
        sim->agents[agent].conns[node] = NULL;
    }
}

void network_fini(struct qsim *sim)
{
    while (sim->held != NULL) {
        struct flight *flight = sim->held;
        sim->held = flight->next;
        flight->command = NULL;
        flight_free(sim, flight);
    }
    while (sim->conns != NULL) {
        struct conn *conn = sim->conns;
        sim->conns = conn->all;
        mem_free(conn);
    }
}
