/* What goes wrong, and when. A draw stands in a statement of its own, so that a seed means the same everywhere. */
#include "qsim.h"

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void weather_pick(struct qsim *sim)
{
    static const int64_t timeouts_ms[] = {200, 400, 1000, 3000};
    struct weather *weather = &sim->weather;
    uint64_t kind = rng_below(&sim->rng, 100);
    sim->n_nodes = qsim_chance(sim, 65) ? 3 : qsim_chance(sim, 90) ? 5 : 1;
    sim->majority = sim->n_nodes / 2 + 1;
    sim->n_agents = (unsigned)rng_range(&sim->rng, 1, QSIM_AGENTS);
    sim->n_clients = qsim_chance(sim, 3) ? QSIM_CLIENTS : (unsigned)rng_range(&sim->rng, 2, 5);
    sim->n_elections = qsim_chance(sim, 80) ? 1 : 2;
    sim->operation_timeout_ms = timeouts_ms[rng_below(&sim->rng, 4)];
    sim->term_least_ms = (int32_t)rng_range(&sim->rng, 250, 600);
    sim->term_most_ms = (int32_t)rng_range(&sim->rng, sim->term_least_ms, 2000);
    sim->max_term_ms = sim->term_most_ms + rng_range(&sim->rng, 0, 500);
    *weather = (struct weather){.fault_every_us = rng_range(&sim->rng, 60, 900) * US_PER_MS};
    weather->loss_permille = qsim_chance(sim, 50) ? (unsigned)rng_below(&sim->rng, 30) : 0;
    weather->slow_percent = (unsigned)rng_below(&sim->rng, 15);
    weather->slow_us = rng_range(&sim->rng, 5, qsim_chance(sim, 30) ? 2500 : 300) * US_PER_MS;
    weather->memory = qsim_chance(sim, 60);
    weather->overrides = kind < 10;
    weather->steps = kind >= 10 && kind < 18;
    weather->majority_loss = kind >= 18 && kind < 24;
    weather->foreign = kind >= 24 && kind < 34;
    weather->twins = kind >= 34 && kind < 40;
    if (kind >= 95) {
        weather->fault_every_us = 0;
        weather->loss_permille = 0;
    }
    weather->memory = (weather->memory && !weather->foreign) || weather->majority_loss;
}

/* --- Nodes --- */

/* A node that is down, or not yet admitted again, counts to the minority that may fail (promise 1). */
static bool may_fail(const struct qsim *sim, unsigned node)
{
    unsigned bad = 1;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        bad += i != node && !node_admitted(sim, i) ? 1 : 0;
    }
    return bad <= sim->n_nodes - sim->majority || sim->weather.majority_loss;
}

static void restart_node(struct qsim *sim, unsigned node)
{
    bool may_forget = sim->weather.memory && may_fail(sim, node);
    enum memory_fate fate = MEMORY_KEPT;
    if (may_forget) {
        fate = qsim_chance(sim, 50) ? MEMORY_EMPTY : qsim_chance(sim, 60) ? MEMORY_OLD : MEMORY_KEPT;
    } else if (!may_fail(sim, node) && qsim_chance(sim, 80)) {
        return;
    }
    sim->counters->node_restarts++;
    sim->counters->memory_losses += fate != MEMORY_KEPT ? 1 : 0;
    node_die(sim, node);
    int64_t down_us = rng_range(&sim->rng, 1, qsim_chance(sim, 50) ? 50 : 1500) * US_PER_MS;
    qsim_after(sim, down_us, (struct event){.kind = EV_NODE_BOOT, .who = node, .number = fate});
}

/* A cluster's failover: a replica without the last writes takes the place, at once. */
static void fail_over(struct qsim *sim, unsigned node)
{
    struct node_model *self = &sim->nodes[node];
    if (!sim->weather.memory || !may_fail(sim, node)) {
        return;
    }
    sim->counters->memory_losses++;
    node_die(sim, node);
    self->snapshot = self->last_moments;
    qsim_after(sim, rng_range(&sim->rng, 1, 100) * US_PER_MS,
               (struct event){.kind = EV_NODE_BOOT, .who = node, .number = MEMORY_OLD});
}

static void flush_node(struct qsim *sim, unsigned node)
{
    if (sim->weather.memory && may_fail(sim, node)) {
        sim->counters->flushes++;
        sim->counters->memory_losses++;
        node_flush(sim, node);
    }
}

static void lose_majority(struct qsim *sim)
{
    unsigned n = (unsigned)rng_range(&sim->rng, sim->majority, sim->n_nodes);
    sim->counters->majority_losses++;
    for (unsigned node = 0; node < n; node++) {
        if (sim->nodes[node].up) {
            node_die(sim, node);
            qsim_after(sim, rng_range(&sim->rng, 1, 300) * US_PER_MS,
                       (struct event){.kind = EV_NODE_BOOT, .who = node, .number = MEMORY_EMPTY});
        }
    }
}

static void step_clock(struct qsim *sim, unsigned node)
{
    static const int64_t steps_ms[] = {-5000, -200, 30, 300, 3000, 30000};
    if (!sim->weather.steps || !may_fail(sim, node)) {
        return;
    }
    sim->counters->clock_steps++;
    sim->nodes[node].clock.offset_us += steps_ms[rng_below(&sim->rng, 6)] * US_PER_MS;
    NOTE(sim, "node %u: its clock steps", node);
}

static void node_trouble(struct qsim *sim, unsigned node)
{
    struct node_model *self = &sim->nodes[node];
    uint64_t dice = rng_below(&sim->rng, 100);
    if (!self->up) {
        return;
    }
    if (dice < 30) {
        restart_node(sim, node);
    } else if (dice < 36) {
        fail_over(sim, node);
    } else if (dice < 42) {
        flush_node(sim, node);
    } else if (dice < 55) {
        sim->counters->node_stops++;
        self->stopped_until = sim->now + rng_range(&sim->rng, 10, 2500) * US_PER_MS;
        NOTE(sim, "node %u stops for a while", node);
    } else if (dice < 65) {
        sim->counters->node_failures++;
        self->failing_until = sim->now + rng_range(&sim->rng, 10, 1000) * US_PER_MS;
        NOTE(sim, "node %u refuses everything for a while", node);
    } else if (dice < 75) {
        self->slow_us = rng_range(&sim->rng, 1, 400) * US_PER_MS;
    } else if (dice < 80) {
        self->slow_us = 0;
    } else if (dice < 90) {
        self->snapshot = self->memory;
    } else if (dice < 94 && may_fail(sim, node)) { /* demoted: its connections end */
        self->replica = true;
        sim->counters->node_restarts++;
        node_die(sim, node);
        qsim_after(sim, US_PER_MS, (struct event){.kind = EV_NODE_BOOT, .who = node, .number = MEMORY_KEPT});
        qsim_after(sim, 500 * US_PER_MS, (struct event){.kind = EV_HEAL, .who = node});
    } else {
        step_clock(sim, node);
    }
    if (qsim_chance(sim, 30)) {
        self->last_moments = self->memory;
    }
}

/* --- Agents --- */

static void agent_trouble(struct qsim *sim, unsigned agent)
{
    struct agent_model *self = &sim->agents[agent];
    uint64_t dice = rng_below(&sim->rng, 100);
    if (self->quorum == NULL || agent_paused(sim, agent)) {
        return;
    }
    if (dice < 15) {
        sim->counters->agent_crashes++;
        agent_crash(sim, agent);
        qsim_after(sim, rng_range(&sim->rng, 1, 1500) * US_PER_MS,
                   (struct event){.kind = EV_BOOT, .who = agent});
    } else if (dice < 50) {
        self->sends_to_live = (uint64_t)rng_range(&sim->rng, 1, 30); /* dies between two commands */
    } else if (dice < 75) {
        sim->counters->agent_pauses++;
        agent_pause(sim, agent, rng_range(&sim->rng, 10, qsim_chance(sim, 50) ? 300 : 3000) * US_PER_MS);
    } else {
        int64_t jump_ms = rng_range(&sim->rng, -20000, 20000);
        sim->counters->wall_jumps++;
        self->wall.offset_us += jump_ms * US_PER_MS;
    }
}

static void link_trouble(struct qsim *sim, unsigned agent, unsigned node)
{
    struct conn *conn = sim->agents[agent].conns[node];
    if (conn == NULL || sim->agents[agent].quorum == NULL) {
        return;
    }
    if (qsim_chance(sim, 70)) {
        int64_t notice_ms = rng_range(&sim->rng, 0, qsim_chance(sim, 60) ? 30 : sim->operation_timeout_ms);
        sim->counters->cuts++;
        network_cut(sim, agent, node, notice_ms * US_PER_MS);
    } else {
        int64_t ms = rng_range(&sim->rng, 5, most(50, 2 * sim->operation_timeout_ms));
        conn->stalled_until = sim->now + ms * US_PER_MS;
        qsim_after(sim, ms * US_PER_MS, (struct event){.kind = EV_FLUSH, .what = conn});
        NOTE(sim, "agent %u can't write to node %u for a while", agent, node);
    }
}

void weather_fault(struct qsim *sim)
{
    if (sim->calm || sim->weather.fault_every_us == 0) {
        return;
    }
    uint64_t dice = rng_below(&sim->rng, 100);
    unsigned node = (unsigned)rng_below(&sim->rng, sim->n_nodes);
    unsigned agent = (unsigned)rng_below(&sim->rng, sim->n_agents);
    if (dice < 40) {
        node_trouble(sim, node);
    } else if (dice < 65) {
        agent_trouble(sim, agent);
    } else if (dice < 98) {
        link_trouble(sim, agent, node);
    } else if (sim->weather.majority_loss) {
        lose_majority(sim);
    }
    qsim_after(sim, rng_range(&sim->rng, 1, 2 * sim->weather.fault_every_us),
               (struct event){.kind = EV_FAULT});
}

/* Everything works again. */
void weather_heal(struct qsim *sim)
{
    NOTE(sim, "everything works again");
    sim->calm = true;
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        struct node_model *self = &sim->nodes[node];
        self->stopped_until = sim->now;
        self->failing_until = sim->now;
        self->slow_us = 0;
        self->evicts = false;
        if (self->replica) {
            self->replica = false;
            if (self->up) {
                node_die(sim, node);
                node_boot(sim, node, MEMORY_KEPT);
            }
        }
    }
    for (unsigned agent = 0; agent < sim->n_agents; agent++) {
        sim->agents[agent].sends_to_live = 0;
        if (sim->agents[agent].quorum == NULL) {
            agent_boot(sim, agent);
        }
    }
}
