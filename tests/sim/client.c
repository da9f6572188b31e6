/*
 * A client as stupid as real ones: it asks again and again, gives up waiting, repeats old questions, crashes
 * and comes back under its name. It keeps the contract of elections.md all the same: validity counts from its
 * own sending time, a resignation counts as given once it is sent, and its next campaign says what it has
 * given up.
 */
#include <inttypes.h>

#include "core/lease.h"
#include "sim.h"

#define THINK_MOST_MS 900
#define TIMEOUT_MS    1500
#define TERM_LEAST_MS 1000
#define TERM_MOST_MS  6000
#define RATE_PPM      9900 /* within 1 % of each other */
#define MILLION       INT64_C(1000000)

void client_init(struct sim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    self->election = sim_chance(sim, 80) ? 0 : 1;
    self->rate_ppm = rng_range(&sim->rng, -RATE_PPM, RATE_PPM);
    self->rate_ppm /= sim_chance(sim, 50) ? 1 : 100;
    self->plain = sim_chance(sim, 25);
    self->term_ms = (int32_t)rng_range(&sim->rng, TERM_LEAST_MS, TERM_MOST_MS);
    sim_after_us(sim, rng_range(&sim->rng, 0, THINK_MOST_MS * US_PER_MS),
                 (struct due){.kind = DUE_THINK, .who = client});
}

static bool believes(const struct sim *sim, const struct client *client)
{
    return mono_before(sim->now, client->until);
}

static struct question make_question(struct sim *sim, unsigned client, enum election_op op)
{
    struct client *self = &sim->clients[client];
    return (struct question){
        .id = ++sim->ids,
        .client = client,
        .incarnation = self->incarnation,
        .op = op,
        .election = self->election,
        .candidate = client,
        .from = SIM_NOBODY,
        .past = op == OP_CAMPAIGN && !self->plain ? self->past : 0,
        .term_ms =
            sim_chance(sim, 70) ? self->term_ms : (int32_t)rng_range(&sim->rng, TERM_LEAST_MS, TERM_MOST_MS),
        .sent = sim->now,
    };
}

static void ask(struct sim *sim, const struct question *question)
{
    struct client *self = &sim->clients[question->client];
    self->waiting = question->id;
    self->old[self->n_old++ % SIM_OLD] = *question;
    sim_send_question(sim, question);
    sim_after_us(sim, TIMEOUT_MS * US_PER_MS,
                 (struct due){.kind = DUE_TIMEOUT, .who = question->client, .number = question->id});
}

/* From now on it is not the leader, whatever becomes of the question that says so. */
static void give_up(struct sim *sim, struct client *self)
{
    self->quiet_until = self->until;
    self->given_up_at = mono_add_us(sim->now, 1);
    if (self->past < self->token) {
        self->past = self->token;
    }
    if (sim->mutation != MUTATION_CLIENT_RESIGNS_FIRST) {
        self->until = sim->now;
    }
}

static void crash(struct sim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    trace_note(sim->trace, sim->now, "%.*s.%u crashes", STR_ARG(sim_client_name(client)), self->incarnation);
    self->incarnation++;
    self->waiting = 0;
    self->token = 0;
    self->until = sim->now;
    self->past = 0;
    self->given_up_at = sim->now;
    self->quiet_until = mono_add_us(sim->now, rng_range(&sim->rng, 0, TERM_MOST_MS * US_PER_MS));
    self->n_old = 0;
}

static void lead(struct sim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    uint64_t dice = rng_below(&sim->rng, 100);
    struct question question;
    if (dice < 55) {
        question = make_question(sim, client, OP_EXTEND);
        question.token = self->plain || sim_chance(sim, 20) ? 0 : self->token;
    } else if (dice < 65) {
        question = make_question(sim, client, OP_CAMPAIGN);
    } else if (dice < 74) {
        question = make_question(sim, client, OP_RESIGN);
        question.token = self->plain ? 0 : self->token;
        give_up(sim, self);
    } else if (dice < 82) {
        question = make_question(sim, client, OP_HANDOVER);
        question.candidate = (unsigned)rng_below(&sim->rng, sim->n_clients);
        question.from = client;
        question.token = self->plain ? 0 : self->token;
        give_up(sim, self);
    } else if (dice < 87) {
        crash(sim, client);
        return;
    } else {
        return; /* busy with its work */
    }
    ask(sim, &question);
}

/* Asks what it has no business asking. */
static void meddle(struct sim *sim, unsigned client)
{
    static const enum election_op ops[] = {OP_RESIGN, OP_EXTEND, OP_GET, OP_GET};
    struct client *self = &sim->clients[client];
    struct question question = make_question(sim, client, ops[rng_below(&sim->rng, 4)]);
    if (sim_chance(sim, 8)) { /* an override */
        question.op = OP_HANDOVER;
        question.candidate = (unsigned)rng_below(&sim->rng, sim->n_clients);
        question.from = sim_chance(sim, 50) ? (unsigned)rng_below(&sim->rng, sim->n_clients) : SIM_NOBODY;
    } else if (!self->plain) {
        question.token = self->token != 0 ? self->token : 1;
    }
    if (question.op == OP_RESIGN) {
        give_up(sim, self); /* an extension may be under way */
    }
    ask(sim, &question);
}

void client_think(struct sim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    sim_after_us(sim, rng_range(&sim->rng, US_PER_MS, THINK_MOST_MS * US_PER_MS),
                 (struct due){.kind = DUE_THINK, .who = client});
    if (self->n_old > 0 && sim_chance(sim, 6)) { /* says again what it said long ago */
        size_t n = self->n_old < SIM_OLD ? self->n_old : SIM_OLD;
        sim_send_question(sim, &self->old[rng_below(&sim->rng, n)]);
    }
    if (self->waiting != 0) {
        return;
    }
    if (believes(sim, self)) {
        lead(sim, client);
    } else if (sim_chance(sim, 20)) {
        meddle(sim, client);
    } else if (!mono_before(sim->now, self->quiet_until)) {
        struct question question = make_question(sim, client, OP_CAMPAIGN);
        ask(sim, &question);
    }
}

void client_time_out(struct sim *sim, unsigned client, uint64_t id)
{
    struct client *self = &sim->clients[client];
    if (self->waiting == id) {
        self->waiting = 0;
    }
}

/* The end of the validity, by its own clock, in true time (L2). */
static struct mono valid_until(const struct sim *sim, const struct client *self,
                               const struct question *question)
{
    struct mono start = sim->mutation == MUTATION_CLIENT_COUNTS_FROM_ANSWER ? sim->now : question->sent;
    int64_t by_its_clock_us = mono_sub(lease_valid_until(start, question->term_ms), start);
    if (sim->mutation == MUTATION_CLIENT_NO_DRIFT) {
        by_its_clock_us = (int64_t)question->term_ms * US_PER_MS;
    }
    return mono_add_us(start, by_its_clock_us * MILLION / (MILLION + self->rate_ppm));
}

void client_receive(struct sim *sim, const struct question *question, const struct reply *reply)
{
    struct client *self = &sim->clients[question->client];
    if (question->incarnation != self->incarnation) {
        return;
    }
    if (self->waiting == question->id) {
        self->waiting = 0;
    }
    if (question->op == OP_RESIGN || question->op == OP_HANDOVER) {
        if (sim->mutation == MUTATION_CLIENT_RESIGNS_FIRST) {
            self->until = sim->now;
        }
        return;
    }
    bool leads =
        (question->op == OP_CAMPAIGN && reply->elected) || (question->op == OP_EXTEND && reply->err == EA_OK);
    bool given_up =
        mono_before(question->sent, self->given_up_at) || (!self->plain && reply->token <= self->past);
    struct mono until = valid_until(sim, self, question);
    if (!leads || given_up || !mono_before(sim->now, until)) {
        return;
    }
    if (believes(sim, self) && reply->token < self->token) {
        return; /* an answer from before */
    }
    self->until = reply->token == self->token ? mono_max(self->until, until) : until;
    self->token = reply->token;
    trace_note(sim->trace, sim->now, "%.*s.%u believes in %" PRIu64 " until %" PRId64,
               STR_ARG(sim_client_name(question->client)), self->incarnation, self->token, self->until.us);
    check_grant_in_time(sim, until, reply);
}
