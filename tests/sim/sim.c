/* The world: time and network. See sim.h. */
#include "sim.h"

#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"

#define STEPS 700

static const struct str elections[SIM_ELECTIONS] = {STR_INIT("orders"), STR_INIT("r\xc3\xa9gion 2")};
static const struct str names[SIM_CLIENTS] = {STR_INIT("A"), STR_INIT("B"), STR_INIT("C"),
                                              STR_INIT("D"), STR_INIT("E"), STR_INIT("F")};

struct str sim_election_name(unsigned election)
{
    return elections[election];
}

struct str sim_client_name(unsigned client)
{
    return client == SIM_NOBODY ? STR("") : names[client];
}

unsigned sim_client_of(struct str name)
{
    unsigned client = 0;
    while (client < SIM_CLIENTS && !str_eq(names[client], name)) {
        client++;
    }
    return client;
}

unsigned sim_election_of(struct str name)
{
    unsigned election = 0;
    while (election < SIM_ELECTIONS && !str_eq(elections[election], name)) {
        election++;
    }
    return election;
}

bool sim_is_promise(const struct question *question, const struct reply *reply)
{
    bool gives = question->op == OP_EXTEND || question->op == OP_HANDOVER;
    return reply->err == EA_OK && (gives || (question->op == OP_CAMPAIGN && reply->elected));
}

bool sim_chance(struct sim *sim, uint64_t percent)
{
    return rng_below(&sim->rng, 100) < percent;
}

struct wall sim_wall(const struct sim *sim)
{
    return (struct wall){INT64_C(1767225600000000) + sim->now.us + sim->wall_offset_us};
}

void sim_after_us(struct sim *sim, int64_t us, struct due due)
{
    due.at = mono_add_us(sim->now, us);
    due.order = sim->orders++;
    sim->dues = mem_realloc(sim->dues, (sim->n_dues + 1) * sizeof sim->dues[0]);
    sim->dues[sim->n_dues++] = due;
}

/* Mostly fast, sometimes slower than a term. */
static int64_t network_delay_us(struct sim *sim)
{
    if (!sim_chance(sim, sim->weather.slow_percent)) {
        return rng_range(&sim->rng, 100, 5 * US_PER_MS);
    }
    return rng_range(&sim->rng, US_PER_MS, (sim_chance(sim, 30) ? 9000 : 600) * US_PER_MS);
}

static void send(struct sim *sim, struct due due)
{
    if (!sim_chance(sim, sim->weather.loss_percent)) {
        sim_after_us(sim, network_delay_us(sim), due);
    }
    if (sim_chance(sim, sim->weather.repeat_percent)) {
        sim_after_us(sim, network_delay_us(sim), due);
    }
}

void sim_send_question(struct sim *sim, const struct question *question)
{
    trace_note(sim->trace, sim->now,
               "%.*s.%u asks #%" PRIu64 " %s e%u %.*s from=%.*s token=%" PRIu64 " past=%" PRIu64 " term=%d",
               STR_ARG(sim_client_name(question->client)), question->incarnation, question->id,
               election_op_name(question->op), question->election,
               STR_ARG(sim_client_name(question->candidate)), STR_ARG(sim_client_name(question->from)),
               question->token, question->past, question->term_ms);
    send(sim, (struct due){.kind = DUE_REQUEST, .question = *question});
}

void sim_send_reply(struct sim *sim, const struct question *question, const struct reply *reply)
{
    send(sim, (struct due){.kind = DUE_ANSWER, .question = *question, .reply = *reply});
}

static struct due take_next(struct sim *sim)
{
    size_t first = 0;
    assert(sim->n_dues > 0); /* every client always has a next thought */
    for (size_t i = 1; i < sim->n_dues; i++) {
        const struct due *due = &sim->dues[i];
        const struct due *best = &sim->dues[first];
        if (due->at.us < best->at.us || (due->at.us == best->at.us && due->order < best->order)) {
            first = i;
        }
    }
    struct due next = sim->dues[first];
    sim->dues[first] = sim->dues[--sim->n_dues];
    return next;
}

static void run_due(struct sim *sim, const struct due *due)
{
    bool same_boot = sim->agent.up && due->who == sim->agent.boots;
    switch (due->kind) {
    case DUE_REQUEST:
        agent_receive(sim, &due->question);
        break;
    case DUE_ANSWER:
        client_receive(sim, &due->question, &due->reply);
        break;
    case DUE_THINK:
        client_think(sim, due->who);
        break;
    case DUE_TIMEOUT:
        client_time_out(sim, due->who, due->number);
        break;
    case DUE_COMMIT:
        if (same_boot) {
            agent_commit(sim, due->number);
        }
        break;
    case DUE_EXPIRE:
        if (same_boot) {
            agent_expire(sim);
        }
        break;
    case DUE_CRASH:
        if (same_boot) {
            agent_crash(sim);
        }
        break;
    case DUE_BOOT:
        agent_boot(sim);
        break;
    }
}

/* One draw a statement: the order within an initialiser is the compiler's, and a seed means the same
 * everywhere. */
static void pick_weather(struct sim *sim)
{
    struct weather *weather = &sim->weather;
    bool calm = sim_chance(sim, 15);
    weather->slow_disk_percent = rng_below(&sim->rng, 20);
    if (calm) {
        return;
    }
    weather->bad_disk_percent = sim_chance(sim, 30) ? 1 + rng_below(&sim->rng, 40) : 0;
    weather->loss_percent = rng_below(&sim->rng, 12);
    weather->repeat_percent = rng_below(&sim->rng, 10);
    weather->slow_percent = rng_below(&sim->rng, 30);
    weather->crash_percent = rng_below(&sim->rng, 9);
}

static void fini(struct sim *sim)
{
    agent_fini(sim);
    facts_fini(sim);
    arena_reset(&sim->arena);
    mem_free(sim->dues);
    mem_free(sim);
}

void sim_run(uint64_t seed, enum decider_rules rules, enum mutation mutation, struct sim_counters *counters,
             struct trace *trace)
{
    struct sim *sim = mem_zalloc(sizeof *sim);
    sim->trace = trace;
    sim->counters = counters;
    sim->rules = rules;
    sim->mutation = mutation;
    sim->now = (struct mono){1000000};
    rng_seed(&sim->rng, seed);
    arena_init(&sim->arena, NULL, 0);
    pick_weather(sim);
    sim->n_clients = (unsigned)rng_range(&sim->rng, 2, SIM_CLIENTS);
    agent_boot(sim);
    for (unsigned i = 0; i < sim->n_clients; i++) {
        client_init(sim, i);
    }
    for (unsigned i = 0; i < STEPS && !trace_failed(trace); i++) {
        struct due due = take_next(sim);
        assert(!mono_before(due.at, sim->now));
        sim->now = due.at;
        run_due(sim, &due);
        checks_run(sim);
    }
    fini(sim);
}
