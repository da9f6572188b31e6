/*
 * A client as stupid as real ones: it asks again at another agent, gives up waiting, repeats old questions, crashes
 * and comes back under its name. It keeps the contract of elections.md: validity counts from its own sending, a
 * resignation counts as given once it is sent, and its next campaign names what it has given up.
 */
#include <assert.h>
#include <inttypes.h>

#include "base/mem.h"
#include "core/lease.h"
#include "qsim.h"

#define MILLION       INT64_C(1000000)
#define UNDER_WAY_US  (INT64_C(30) * 1000 * US_PER_MS) /* longer than anything in this world is under way */
#define RATE_MOST_PPM 4900                             /* within 1 % of each other */

struct message *message_new(struct qsim *sim)
{
    struct message *message = sim->free_messages;
    if (message == NULL) {
        return mem_alloc(sizeof *message);
    }
    sim->free_messages = message->next;
    return message;
}

void message_free(struct qsim *sim, struct message *message)
{
    message->next = sim->free_messages;
    sim->free_messages = message;
}

void client_init(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    *self = (struct client){.name = (uint8_t)client};
    if (sim->weather.twins && client % 2 == 1) {
        self->name = (uint8_t)(client - 1);
    }
    self->election = qsim_chance(sim, 80) ? 0 : (uint8_t)(sim->n_elections - 1);
    if (self->name != client) {
        self->election = sim->clients[self->name].election;
    }
    self->home = (unsigned)rng_below(&sim->rng, sim->n_agents);
    self->moved_from = self->home;
    self->hold = qsim_chance(sim, 25);
    self->plain = !self->hold && qsim_chance(sim, 20);
    self->hears_late = qsim_chance(sim, 50);
    self->rate_ppm = rng_range(&sim->rng, -RATE_MOST_PPM, RATE_MOST_PPM);
    self->term_ms = (int32_t)rng_range(&sim->rng, sim->term_least_ms, sim->term_most_ms);
    qsim_after(sim, rng_range(&sim->rng, 0, 300 * US_PER_MS),
               (struct event){.kind = EV_THINK, .who = client});
}

static bool believes(const struct qsim *sim, const struct client *self)
{
    return sim->now < self->until;
}

/* --- Asking --- */

static void travel(struct qsim *sim, const struct question *question)
{
    struct message *message = message_new(sim);
    message->question = *question;
    qsim_after(sim, qsim_delay(sim), (struct event){.kind = EV_QUESTION, .what = message});
}

static struct question make_question(struct qsim *sim, unsigned client, enum election_op op)
{
    struct client *self = &sim->clients[client];
    bool elsewhere = !self->hold && qsim_chance(sim, 25);
    return (struct question){
        .id = ++sim->ids,
        .client = client,
        .incarnation = self->incarnation,
        .op = op,
        .election = self->election,
        .candidate = self->name,
        .from = NOBODY,
        .agent = elsewhere ? (unsigned)rng_below(&sim->rng, sim->n_agents) : self->home,
        .hold = self->hold && op != OP_GET && op != OP_INFO,
        .past = op == OP_CAMPAIGN && !self->plain ? self->past : 0,
        .term_ms = qsim_chance(sim, 75)
                       ? self->term_ms
                       : (int32_t)rng_range(&sim->rng, sim->term_least_ms, sim->term_most_ms),
        .sent = sim->now,
    };
}

static void ask(struct qsim *sim, const struct question *question)
{
    struct client *self = &sim->clients[question->client];
    self->waiting = question->id;
    self->waits_for = question->op;
    self->late[self->n_late++ % QSIM_LATE] = *question;
    sim->counters->pasts += question->past > 0 ? 1 : 0;
    NOTE(sim, "%c.%u asks #%" PRIu64 " a%u %s e%u %c from=%c t=%" PRIu64 " past=%" PRIu64 " term=%d%s",
         name_letter(self->name), self->incarnation, question->id, question->agent,
         election_op_name(question->op), question->election, name_letter(question->candidate),
         name_letter(question->from), question->token, question->past, question->term_ms,
         question->hold ? " hold" : "");
    if (sim->calm || !qsim_chance(sim, 4)) {
        travel(sim, question);
    }
    int64_t patience_ms =
        qsim_chance(sim, 30) ? sim->operation_timeout_ms / 4 : sim->operation_timeout_ms + 50;
    qsim_after(sim, patience_ms * US_PER_MS,
               (struct event){.kind = EV_TIMEOUT, .who = question->client, .number = question->id});
}

/* From now on it is not the leader, whatever becomes of the question that says so. */
static void give_up(struct qsim *sim, struct client *self)
{
    self->quiet_until = self->until;
    self->given_up_at = sim->now;
    self->past = self->past < self->token ? self->token : self->past;
    if (sim->mutation != MUTATION_CLIENT_RESIGNS_FIRST) {
        self->until = sim->now;
    }
    if (self->plain) {
        self->uncovered_until = sim->now + UNDER_WAY_US;
    }
}

static void crash(struct qsim *sim, struct client *self)
{
    NOTE(sim, "%c.%u crashes", name_letter(self->name), self->incarnation);
    /* What a client has given up it remembers; a crash ends its belief and what it waits for. */
    self->incarnation++;
    self->waiting = 0;
    self->quiet_until = self->quiet_until > sim->now ? self->quiet_until : sim->now;
    self->until = sim->now;
    self->given_up_at = sim->now;
    self->token = 0;
    self->n_late = 0;
}

static void hand_over(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    struct question question = make_question(sim, client, OP_HANDOVER);
    unsigned heir = (unsigned)rng_below(&sim->rng, sim->n_clients);
    question.candidate = sim->clients[heir].name;
    question.from = self->name;
    question.token = self->plain ? 0 : self->token;
    question.hold = question.hold && question.token != 0;
    give_up(sim, self);
    ask(sim, &question);
}

/* A session goes to another agent; what it leaves behind comes late. */
static void move(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    unsigned old = self->home;
    self->home = (self->home + 1) % sim->n_agents;
    if (self->home == old) {
        return;
    }
    self->moved_from = old;
    sim->counters->moves++;
    qsim_after(sim, rng_range(&sim->rng, 1, 1500) * US_PER_MS,
               (struct event){.kind = EV_LATE, .who = old, .number = 2 * client});
}

static void lead(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    uint64_t dice = rng_below(&sim->rng, 100);
    struct question question;
    dice = sim->calm_since != 0 ? dice * 66 / 100 : dice; /* at the end they only lead */
    if (dice < 58) {
        if (self->hold && dice < 12) {
            move(sim, client);
        }
        question = make_question(sim, client, OP_EXTEND);
        question.token = !self->hold && (self->plain || qsim_chance(sim, 20)) ? 0 : self->token;
    } else if (dice < 66) {
        question = make_question(sim, client, self->hold ? OP_EXTEND : OP_CAMPAIGN);
        question.token = self->hold ? self->token : 0;
    } else if (dice < 76) {
        question = make_question(sim, client, OP_RESIGN);
        question.token = self->plain ? 0 : self->token;
        give_up(sim, self);
    } else if (dice < 84) {
        hand_over(sim, client);
        return;
    } else if (dice < 88) {
        crash(sim, self);
        return;
    } else {
        question = make_question(sim, client, qsim_chance(sim, 70) ? OP_GET : OP_INFO);
    }
    ask(sim, &question);
}

static void repeat(struct qsim *sim, const struct client *self)
{
    if (self->n_late == 0 || sim->calm) {
        return;
    }
    unsigned n = self->n_late < QSIM_LATE ? self->n_late : QSIM_LATE;
    struct question question = self->late[rng_below(&sim->rng, n)];
    bool gives_up = question.op == OP_RESIGN || question.op == OP_HANDOVER;
    if (gives_up && question.token == 0) {
        return; /* outside of the promises */
    }
    NOTE(sim, "the network repeats #%" PRIu64, question.id);
    question.agent = question.hold ? question.agent : (unsigned)rng_below(&sim->rng, sim->n_agents);
    travel(sim, &question);
}

static void override(struct qsim *sim, unsigned client)
{
    struct question question = make_question(sim, client, OP_HANDOVER);
    struct facts *facts = &sim->facts[question.election];
    question.hold = false;
    question.candidate = sim->clients[rng_below(&sim->rng, sim->n_clients)].name;
    facts->uncovered_until = sim->now + UNDER_WAY_US;
    sim->counters->overrides++;
    ask(sim, &question);
}

static void stand(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    uint64_t dice = rng_below(&sim->rng, 100);
    struct question question;
    if (sim->now < self->quiet_until) {
        return;
    }
    if (dice < 70 || sim->calm) {
        question = make_question(sim, client, OP_CAMPAIGN);
    } else if (dice < 80) {
        question = make_question(sim, client, OP_GET);
    } else if (dice < 84) {
        repeat(sim, self);
        return;
    } else if (dice < 87 && sim->weather.overrides) {
        override(sim, client);
        return;
    } else if (dice < 90 && self->hold) {
        move(sim, client);
        return;
    } else {
        return;
    }
    ask(sim, &question);
}

void client_think(struct qsim *sim, unsigned client)
{
    struct client *self = &sim->clients[client];
    if (sim->silent) {
        return;
    }
    bool leads = believes(sim, self);
    if (self->waiting == 0) {
        if (leads) {
            lead(sim, client);
        } else {
            stand(sim, client);
        }
    }
    int64_t most_ms = leads ? self->term_ms / 2 : 400;
    qsim_after(sim, rng_range(&sim->rng, US_PER_MS, most_ms * US_PER_MS),
               (struct event){.kind = EV_THINK, .who = client});
}

void client_time_out(struct qsim *sim, unsigned client, uint64_t id)
{
    struct client *self = &sim->clients[client];
    if (self->waiting == id) {
        self->waiting = 0;
    }
}

/* --- Hearing --- */

static void believe(struct qsim *sim, struct client *self, const struct question *question,
                    const struct answer *answer)
{
    int64_t from = sim->mutation == MUTATION_CLIENT_COUNTS_FROM_ANSWER ? sim->now : question->sent;
    int64_t worth = question->term_ms * US_PER_MS;
    worth -= sim->mutation == MUTATION_CLIENT_NO_DRIFT ? 0 : lease_drift_us(question->term_ms);
    int64_t until = from + worth * MILLION / (MILLION + self->rate_ppm);
    bool stale = answer->token < self->token && !self->plain && !sim->weather.majority_loss;
    if (until <= sim->now || stale) {
        return;
    }
    if (!believes(sim, self)) {
        self->since = sim->now;
    }
    /* What was promised at another agent ends with the stream there: its close may reach a node that has not seen the
     * move yet. So a session that moves counts from here alone (found by seed 29571). */
    bool moves = question->hold && self->moved_from != self->home;
    self->until = until > self->until || moves ? until : self->until;
    self->token = answer->token;
    NOTE(sim, "%c.%u leads e%u with t=%" PRIu64 " until %" PRId64 ".%03d", name_letter(self->name),
         self->incarnation, self->election, self->token, self->until / US_PER_MS,
         (int)(self->until % US_PER_MS));
    check_belief(sim, self->election, self->name, self->token);
}

void client_hear(struct qsim *sim, const struct question *question, const struct answer *answer)
{
    struct client *self = &sim->clients[question->client];
    bool waited = self->waiting == question->id;
    if (question->incarnation != self->incarnation) {
        return;
    }
    if (waited) {
        self->waiting = 0;
    }
    bool gave_up = question->op == OP_RESIGN || question->op == OP_HANDOVER;
    if (gave_up && waited) {
        if (answer->err == EA_OK || answer->err == EA_NOT_FOUND) {
            self->quiet_until = sim->now; /* answered: it may stand again at once */
        }
        if (sim->mutation == MUTATION_CLIENT_RESIGNS_FIRST) {
            self->until = sim->now;
        }
        return;
    }
    if ((question->hold && question->agent != self->home) || (!waited && !self->hears_late) ||
        question->sent < self->given_up_at || (question->sent == self->given_up_at && self->past > 0)) {
        return;
    }
    bool led = (question->op == OP_CAMPAIGN && answer->err == EA_OK && answer->elected) ||
               (question->op == OP_EXTEND && answer->err == EA_OK);
    if (led) {
        believe(sim, self, question, answer);
    }
    if (led && question->hold && question->agent == self->home && self->moved_from != self->home) {
        /* It leads here; the stream that it had there is closed, and that arrives late. */
        agent_left(sim, self->moved_from, question->client);
        qsim_after(
            sim, rng_range(&sim->rng, 1, 1500) * US_PER_MS,
            (struct event){.kind = EV_LATE, .who = self->moved_from, .number = 2 * question->client + 1});
        self->moved_from = self->home;
    }
}
