/*
 * Foreign programs on the same lease keys: SET NX PX on every node, compare-and-expire, compare-and-delete by name;
 * a majority counts, from the sending. Exclusion must hold between them and us. They also delete leases of our
 * candidates by name, where those have stopped leading.
 */
#include <inttypes.h>

#include "qsim.h"

#define NODE_BITS 8
#define MILLION   INT64_C(1000000)

static void begin(struct qsim *sim, unsigned who, unsigned op)
{
    struct foreigner *self = &sim->foreigners[who];
    self->op = op;
    self->sent = sim->now;
    self->good = 0;
    self->bad = 0;
    self->number++;
    NOTE(sim, "foreign %c: %s", name_letter((uint8_t)(FOREIGN + who)),
         op == 1   ? "set"
         : op == 2 ? "expire"
                   : "delete");
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        qsim_after(
            sim, qsim_delay(sim),
            (struct event){.kind = EV_FOREIGN_STEP, .who = who, .number = self->number << NODE_BITS | node});
    }
}

/* A client of ours that also has a foreign agent: it resigns there, by name. */
static void delete_ours(struct qsim *sim, unsigned who)
{
    struct client *client = &sim->clients[rng_below(&sim->rng, sim->n_clients)];
    if (client->election != 0 || sim->now < client->until || client->plain) {
        return;
    }
    sim->foreigners[who].victim = client->name;
    client->uncovered_until = INT64_MAX; /* by name: whatever comes later */
    begin(sim, who, 4);
}

void foreign_think(struct qsim *sim, unsigned who)
{
    struct foreigner *self = &sim->foreigners[who];
    if (sim->silent || sim->calm) {
        return;
    }
    qsim_after(sim, rng_range(&sim->rng, 50, 500) * US_PER_MS,
               (struct event){.kind = EV_FOREIGN_THINK, .who = who});
    if (self->op != 0 && sim->now < self->sent + 400 * US_PER_MS) {
        return;
    }
    self->term_ms = sim->term_least_ms;
    if (sim->now < self->until) {
        bool stays = qsim_chance(sim, 70);
        self->until = stays ? self->until : sim->now;
        begin(sim, who, stays ? 2 : 3);
    } else if (qsim_chance(sim, 10)) {
        delete_ours(sim, who);
    } else {
        begin(sim, who, 1);
    }
}

void foreign_step(struct qsim *sim, unsigned who, uint64_t what)
{
    struct foreigner *self = &sim->foreigners[who];
    unsigned node = (unsigned)(what & ((1 << NODE_BITS) - 1));
    if (what >> NODE_BITS != self->number || !sim->nodes[node].up ||
        sim->now < sim->nodes[node].stopped_until) {
        return;
    }
    uint8_t name = self->op == 4 ? self->victim : (uint8_t)(FOREIGN + who);
    bool good = node_foreign_step(sim, node, 0, self->op == 4 ? 3 : self->op, name, self->term_ms);
    self->good += good ? 1 : 0;
    self->bad += good ? 0 : 1;
    NOTE(sim, "  n%u foreign %u of %c: %s", node, self->op, name_letter(name), good ? "done" : "refused");
    int64_t until = self->sent + (self->term_ms * INT64_C(990) - 2 * US_PER_MS) * MILLION / (MILLION + 4900);
    if ((self->op == 1 || self->op == 2) && self->good >= sim->majority && sim->now < until) {
        self->until = until;
        self->op = 0;
        sim->counters->foreign_tenures++;
        check_belief(sim, 0, name, 0);
    } else if (self->op == 1 && self->bad > sim->n_nodes - sim->majority) {
        begin(sim, who, 3); /* takes back what it has set */
    }
}
