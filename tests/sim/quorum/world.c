/* Time, and the course of a run. See qsim.h. */
#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "qsim.h"

#define MILLION      INT64_C(1000000)
#define START_US     (10 * MILLION)
#define FAST_LEAST   50
#define FAST_MOST_US (3 * US_PER_MS)

/* --- Clocks --- */

int64_t ticker_read(const struct ticker *ticker, int64_t now)
{
    return ticker->offset_us + now + now * ticker->rate_ppm / MILLION;
}

int64_t ticker_when(const struct ticker *ticker, int64_t us)
{
    int64_t at = (us - ticker->offset_us) * MILLION / (MILLION + ticker->rate_ppm);
    while (ticker_read(ticker, at) < us) {
        at++;
    }
    return at;
}

/* --- Events: a heap, earliest first --- */

static bool earlier(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void qsim_after(struct qsim *sim, int64_t us, struct event event)
{
    event.at = sim->now + (us > 0 ? us : 0);
    event.order = sim->orders++;
    if (sim->n_events == sim->events_capacity) {
        sim->events_capacity = sim->events_capacity * 2 + 256;
        sim->events = mem_realloc(sim->events, sim->events_capacity * sizeof sim->events[0]);
    }
    size_t i = sim->n_events++;
    while (i > 0 && earlier(&event, &sim->events[(i - 1) / 2])) {
        sim->events[i] = sim->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    sim->events[i] = event;
}

static struct event take_next(struct qsim *sim)
{
    struct event first = sim->events[0];
    struct event last = sim->events[--sim->n_events];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < sim->n_events && earlier(&sim->events[child + 1], &sim->events[child])) {
            child++;
        }
        if (child >= sim->n_events || !earlier(&sim->events[child], &last)) {
            break;
        }
        sim->events[i] = sim->events[child];
        i = child;
    }
    sim->events[i] = last;
    return first;
}

static void run_message(struct qsim *sim, const struct event *event)
{
    struct message *message = event->what;
    struct question question = message->question;
    struct answer answer = message->answer;
    message_free(sim, message);
    if (event->kind == EV_QUESTION) {
        agent_question(sim, &question);
    } else {
        client_hear(sim, &question, &answer);
    }
}

static void run_flush(struct qsim *sim, const struct conn *conn)
{
    const struct agent_model *agent = &sim->agents[conn->agent];
    if (agent->quorum != NULL && agent->conns[conn->node] == conn && !agent_paused(sim, conn->agent)) {
        agent_leave(sim, conn->agent);
    }
}

static void run_event(struct qsim *sim, const struct event *event)
{
    switch (event->kind) {
    case EV_ARRIVE:
        network_arrive(sim, event->what);
        break;
    case EV_REPLY:
        network_reply(sim, event->what);
        break;
    case EV_FLUSH:
        run_flush(sim, event->what);
        break;
    case EV_NOTICE:
        network_notice(sim, event->what);
        break;
    case EV_DIAL:
        network_dial(sim, event->who / QSIM_NODES, event->who % QSIM_NODES, event->number);
        break;
    case EV_GREET:
        network_greet(sim, event->what);
        break;
    case EV_READY:
        network_ready(sim, event->what);
        break;
    case EV_TIMER:
        agent_timer(sim, event->who, event->number);
        break;
    case EV_QUESTION:
    case EV_ANSWER:
        run_message(sim, event);
        break;
    case EV_THINK:
        client_think(sim, event->who);
        break;
    case EV_TIMEOUT:
        client_time_out(sim, event->who, event->number);
        break;
    case EV_BOOT:
        agent_boot(sim, event->who);
        break;
    case EV_NODE_BOOT:
        if (!sim->nodes[event->who].up) {
            node_boot(sim, event->who, (enum memory_fate)event->number);
        }
        break;
    case EV_FAULT:
        weather_fault(sim);
        break;
    case EV_HEAL:
        if (sim->nodes[event->who].up && sim->nodes[event->who].replica) {
            sim->nodes[event->who].replica = false;
            node_die(sim, event->who);
            node_boot(sim, event->who, MEMORY_KEPT);
        }
        break;
    case EV_LATE:
        agent_late(sim, event->who, event->number);
        break;
    case EV_FOREIGN_THINK:
        foreign_think(sim, event->who);
        break;
    case EV_FOREIGN_STEP:
        foreign_step(sim, event->who, event->number);
        break;
    }
}

void qsim_until(struct qsim *sim, int64_t at)
{
    while (sim->n_events > 0 && sim->events[0].at <= at && !trace_failed(sim->trace)) {
        struct event event = take_next(sim);
        assert(event.at >= sim->now);
        sim->now = event.at;
        run_event(sim, &event);
    }
    sim->now = at;
}

/* --- Chance --- */

bool qsim_chance(struct qsim *sim, unsigned percent)
{
    return rng_below(&sim->rng, 100) < percent;
}

/* Mostly fast, sometimes slower than a term. */
int64_t qsim_delay(struct qsim *sim)
{
    if (sim->directed) {
        return US_PER_MS;
    }
    if (!sim->calm && qsim_chance(sim, sim->weather.slow_percent)) {
        return rng_range(&sim->rng, US_PER_MS, sim->weather.slow_us);
    }
    return rng_range(&sim->rng, FAST_LEAST, FAST_MOST_US);
}

/* --- A run --- */

struct qsim *qsim_new(struct qsim_counters *counters, struct trace *trace)
{
    struct qsim *sim = mem_zalloc(sizeof *sim);
    sim->counters = counters;
    sim->trace = trace;
    return sim;
}

void qsim_free(struct qsim *sim)
{
    while (sim->free_flights != NULL) {
        struct flight *flight = sim->free_flights;
        sim->free_flights = flight->next;
        mem_free(flight);
    }
    while (sim->free_messages != NULL) {
        struct message *message = sim->free_messages;
        sim->free_messages = message->next;
        mem_free(message);
    }
    while (sim->free_asks != NULL) {
        struct ask *ask = sim->free_asks;
        sim->free_asks = ask->next;
        mem_free(ask);
    }
    mem_free(sim->events);
    mem_free(sim);
}

void qsim_begin(struct qsim *sim, uint64_t seed, enum mutation mutation, bool tracing)
{
    struct qsim fresh = {
        .trace = sim->trace,
        .tracing = tracing,
        .counters = sim->counters,
        .mutation = mutation,
        .now = START_US,
        .events = sim->events,
        .events_capacity = sim->events_capacity,
        .free_flights = sim->free_flights,
        .free_messages = sim->free_messages,
        .free_asks = sim->free_asks,
    };
    *sim = fresh;
    rng_seed(&sim->rng, seed);
}

static struct ticker any_clock(struct qsim *sim, int64_t offset_most_us)
{
    int64_t rate_ppm = sim->directed ? 0 : rng_range(&sim->rng, -4900, 4900);
    int64_t offset_us = rng_range(&sim->rng, 0, offset_most_us);
    return (struct ticker){.offset_us = offset_us, .rate_ppm = rate_ppm};
}

void qsim_start(struct qsim *sim)
{
    for (unsigned node = 0; node < sim->n_nodes; node++) {
        sim->nodes[node].clock = any_clock(sim, 100 * MILLION);
        node_boot(sim, node, MEMORY_EMPTY);
    }
    for (unsigned agent = 0; agent < sim->n_agents; agent++) {
        sim->agents[agent].clock = any_clock(sim, 100 * MILLION);
        sim->agents[agent].wall = any_clock(sim, sim->directed ? 1 : 5 * MILLION);
        agent_boot(sim, agent);
    }
}

void qsim_end(struct qsim *sim)
{
    for (unsigned agent = 0; agent < sim->n_agents; agent++) {
        agent_crash(sim, agent);
    }
    while (sim->n_events > 0) {
        struct event event = sim->events[--sim->n_events];
        if (event.kind == EV_QUESTION || event.kind == EV_ANSWER) {
            message_free(sim, event.what);
        } else if (event.kind == EV_ARRIVE || event.kind == EV_REPLY) {
            struct flight *flight = event.what;
            flight->next = sim->free_flights;
            sim->free_flights = flight;
        }
    }
    network_fini(sim);
    for (unsigned i = 0; i < QSIM_ELECTIONS; i++) {
        mem_free(sim->facts[i].grants);
        sim->facts[i].grants = NULL;
    }
}

static void run_course(struct qsim *sim)
{
    int64_t rough_ms = rng_range(&sim->rng, 2000, 6000);
    qsim_until(sim, sim->now + rough_ms * US_PER_MS);
    weather_heal(sim);
    /* The longest a node takes to be admitted again, and an agent to see it. */
    int64_t slack_ms = sim->operation_timeout_ms + 3000;
    int64_t wait_ms = sim->max_term_ms + sim->max_term_ms / 20 + slack_ms + sim->weather.slow_us / US_PER_MS;
    qsim_until(sim, sim->now + wait_ms * US_PER_MS);
    sim->calm_since = sim->now;
    qsim_until(sim, sim->now + (2 * sim->term_most_ms + 1000) * US_PER_MS);
    if (!trace_failed(sim->trace)) {
        check_calm(sim, sim->calm_since);
    }
    sim->silent = true;
    int64_t rest_ms = 2 * sim->operation_timeout_ms + 2 * sim->term_most_ms + 1000;
    qsim_until(sim, sim->now + rest_ms * US_PER_MS);
    if (!trace_failed(sim->trace)) {
        check_silence(sim);
    }
}

void qsim_run(struct qsim *sim, uint64_t seed, enum mutation mutation, bool tracing)
{
    qsim_begin(sim, seed, mutation, tracing);
    weather_pick(sim);
    NOTE(sim, "seed %" PRIu64 ": %u nodes, %u agents, %u clients", seed, sim->n_nodes, sim->n_agents,
         sim->n_clients);
    qsim_start(sim);
    for (unsigned client = 0; client < sim->n_clients; client++) {
        client_init(sim, client);
    }
    for (unsigned who = 0; who < FOREIGNERS && sim->weather.foreign; who++) {
        qsim_after(sim, (int64_t)rng_below(&sim->rng, 900 * US_PER_MS),
                   (struct event){.kind = EV_FOREIGN_THINK, .who = who});
    }
    if (sim->weather.fault_every_us > 0) {
        qsim_after(sim, rng_range(&sim->rng, 1, 2 * sim->weather.fault_every_us),
                   (struct event){.kind = EV_FAULT});
    }
    run_course(sim);
    qsim_end(sim);
}
