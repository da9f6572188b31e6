/*
 * The agent around the rules: it decides at once, writes in groups, answers when what an answer relies on is
 * durable (S1), sets a timer for expiries, and comes back after a crash with what was durable: all, none or
 * the first part of what was under way (S2).
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "sim.h"

#define CEILING_STEP_US  INT64_C(10000000)
#define CEILING_LEFT_US  INT64_C(1000000)
#define EARLY_US         (100 * US_PER_MS) /* of the mutation DROP_EARLY */
#define RETRY_US         (1000 * US_PER_MS)
#define TIMER_LATE_US    (3 * US_PER_MS)
#define EVENT_LOST_EVERY 7
#define VACANT_KEPT      8

/* --- what is durable --- */

static void apply_write(struct agent *agent, const struct pending_write *write)
{
    if (write->drop) {
        (void)sim_records_drop(&agent->disk, &write->record);
    } else {
        sim_records_put(&agent->disk, &write->record);
    }
}

static void apply_writes(struct agent *agent, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        apply_write(agent, &agent->pending[i]);
    }
    agent->n_pending -= n;
    if (agent->n_pending > 0) {
        memmove(&agent->pending[0], &agent->pending[n], agent->n_pending * sizeof agent->pending[0]);
    }
}

static void start_commit(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    if (agent->committing || agent->n_pending == 0) {
        return;
    }
    agent->committing = true;
    int64_t most_ms = sim_chance(sim, sim->weather.slow_disk_percent) ? 400 : 5;
    sim_after_us(sim, rng_range(&sim->rng, 50, most_ms * US_PER_MS),
                 (struct due){.kind = DUE_COMMIT, .who = agent->boots, .number = agent->written});
}

static void take_write(void *arg, bool drop, const struct sim_record *record)
{
    struct sim *sim = arg;
    struct agent *agent = &sim->agent;
    agent->pending = mem_realloc(agent->pending, (agent->n_pending + 1) * sizeof agent->pending[0]);
    bool begins = !drop && record->token > agent->last_token;
    agent->pending[agent->n_pending++] = (struct pending_write){drop, begins, *record};
    agent->written++;
    if (drop) {
        return;
    }
    agent->marks[sim_election_of(str_of(record->election))] = agent->written;
    if (agent->last_token < record->token) {
        agent->last_token = record->token;
    }
}

static void take_event(void *arg, const struct election_event *event)
{
    struct sim *sim = arg;
    if (sim->mutation == MUTATION_EVENT_LOST && ++sim->agent.events % EVENT_LOST_EVERY == 0) {
        return;
    }
    facts_event(sim, event);
}

/* S4: no token is given above the ceiling, and the ceiling is durable before. */
static void raise_ceiling(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    uint64_t wall = (uint64_t)sim_wall(sim).us;
    uint64_t next = wall > agent->last_token ? wall : agent->last_token;
    if (next + CEILING_LEFT_US >= agent->ceiling) {
        agent->ceiling = next + CEILING_STEP_US;
    }
}

/* --- answers --- */

static void release_answers(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    size_t left = 0;
    for (size_t i = 0; i < agent->n_held; i++) {
        const struct held_answer *held = &agent->held[i];
        if (held->after <= agent->durable || sim->mutation == MUTATION_ANSWER_EARLY) {
            facts_told(sim, &held->question, &held->reply);
            sim_send_reply(sim, &held->question, &held->reply);
        } else {
            agent->held[left++] = *held;
        }
    }
    agent->n_held = left;
}

/* S1: `changed` says whether the decision wrote anything itself. */
static uint64_t waits_for(const struct sim *sim, const struct question *question, const struct reply *reply,
                          bool changed)
{
    if (changed) {
        return sim->agent.written;
    }
    bool confirms = sim_is_promise(question, reply) && sim->mutation != MUTATION_CONFIRM_EARLY;
    return confirms ? sim->agent.marks[question->election] : 0;
}

static void hold_answer(struct sim *sim, const struct question *question, const struct reply *reply,
                        bool changed)
{
    struct agent *agent = &sim->agent;
    agent->held = mem_realloc(agent->held, (agent->n_held + 1) * sizeof agent->held[0]);
    agent->held[agent->n_held++] =
        (struct held_answer){*question, *reply, waits_for(sim, question, reply, changed)};
    start_commit(sim);
    if (agent->n_pending > 0 &&
        sim_chance(sim, sim->weather.crash_percent)) { /* before the commit, or after it */
        sim_after_us(sim, rng_range(&sim->rng, 0, 10 * US_PER_MS),
                     (struct due){.kind = DUE_CRASH, .who = agent->boots});
    }
    release_answers(sim);
}

/* Answers that wait for a write up to `upto` will not be given. */
static void refuse_answers(struct sim *sim, uint64_t upto)
{
    static const struct reply refusal = {.err = EA_UNAVAILABLE, .leader = SIM_NOBODY};
    struct agent *agent = &sim->agent;
    size_t left = 0;
    for (size_t i = 0; i < agent->n_held; i++) {
        if (agent->held[i].after <= upto) {
            sim_send_reply(sim, &agent->held[i].question, &refusal);
        } else {
            agent->held[left++] = agent->held[i];
        }
    }
    agent->n_held = left;
}

/*
 * The disk refuses what was decided up to `upto`. Everything that waits is refused, also what waits for later
 * writes (it may rely on what failed), and every tenure that nobody was told of is taken back. The writes
 * stay in their order and are tried again.
 */
static void fail_commit(struct sim *sim, uint64_t upto)
{
    struct agent *agent = &sim->agent;
    bool all = sim->mutation != MUTATION_FAILURE_FORGETS_LATER;
    size_t n = all ? agent->n_pending : upto - agent->durable;
    trace_note(sim->trace, sim->now, "the disk fails: %zu writes, %zu answers", agent->n_pending,
               agent->n_held);
    sim->counters->failed_writes++;
    agent->down = true;
    decider_freeze(agent->deciders[0], "the disk fails");
    refuse_answers(sim, all ? agent->written : upto);
    facts_begin_decision(sim, NULL);
    for (size_t i = 0; i < n; i++) {
        struct pending_write write = agent->pending[i]; /* withdrawing adds to the list */
        agent->pending[i].begins = false;
        if (write.begins) {
            decider_withdraw(agent->deciders[0], sim->now, sim_wall(sim), &write.record);
        }
    }
    sim_after_us(sim, RETRY_US,
                 (struct due){.kind = DUE_COMMIT, .who = agent->boots, .number = agent->written});
}

void agent_commit(struct sim *sim, uint64_t upto)
{
    struct agent *agent = &sim->agent;
    if (decider_can_freeze(agent->deciders[0]) && sim_chance(sim, sim->weather.bad_disk_percent)) {
        fail_commit(sim, upto);
        return;
    }
    if (agent->down) {
        agent->down = false;
        decider_freeze(agent->deciders[0], NULL);
    }
    agent->committing = false;
    apply_writes(agent, upto - agent->durable);
    agent->durable = upto;
    if (sim_chance(sim, sim->weather.crash_percent)) { /* between the commit and its answers */
        agent_crash(sim);
        return;
    }
    release_answers(sim);
    start_commit(sim);
    if (sim_chance(sim, sim->weather.crash_percent)) {
        sim_after_us(sim, rng_range(&sim->rng, 0, 1000 * US_PER_MS),
                     (struct due){.kind = DUE_CRASH, .who = agent->boots});
    }
}

/* --- the timer --- */

static void set_timer(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    struct mono next = MONO_NEVER;
    for (size_t i = 0; i < 2 && sim->mutation != MUTATION_EXPIRE_NEVER; i++) {
        if (agent->deciders[i] != NULL) {
            next = mono_min(next, decider_next(agent->deciders[i], facts_next_expiry(sim)));
        }
    }
    if (next.us == MONO_NEVER.us) {
        return;
    }
    next = mono_max(next, mono_add_us(sim->now, US_PER_MS));
    if (mono_before(next, agent->expire_at)) {
        agent->expire_at = next;
        sim_after_us(sim, mono_sub(next, sim->now) + rng_range(&sim->rng, 0, TIMER_LATE_US),
                     (struct due){.kind = DUE_EXPIRE, .who = agent->boots});
    }
}

void agent_expire(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    agent->expire_at = MONO_NEVER;
    facts_begin_decision(sim, NULL);
    for (size_t i = 0; i < 2; i++) {
        if (agent->deciders[i] != NULL) {
            decider_expire(agent->deciders[i], sim->now, sim_wall(sim));
        }
    }
    start_commit(sim);
    set_timer(sim);
}

/* --- deciding --- */

static void fill_request(struct sim *sim, const struct question *question, struct election_request *request)
{
    *request = (struct election_request){
        .op = question->op,
        .kind = STR(SIM_KIND),
        .election = sim_election_name(question->election),
        .candidate = sim_client_name(question->candidate),
        .from = sim_client_name(question->from),
        .token = question->token,
        .past = question->past,
        .term_ms = question->term_ms,
        .start = sim->now,
        .deadline = MONO_NEVER,
        .arena = &sim->arena,
    };
    if (sim->mutation == MUTATION_RESIGN_ANY && request->op == OP_RESIGN) {
        request->token = 0;
    }
    if (sim->mutation == MUTATION_HANDOVER_ANY && request->op == OP_HANDOVER) {
        request->token = 0;
        request->from = STR("");
    }
    if (sim->mutation == MUTATION_PAST_IGNORED) {
        request->past = 0;
    }
}

/* Mutations that end a tenure early do it by a resignation that nobody sent. */
static void mutate_end(struct sim *sim, const struct question *question, const struct reply *reply)
{
    bool leads =
        reply->err == EA_OK && reply->leader == question->candidate && reply->leader == question->client;
    struct mono end = reply->expires;
    if (sim->mutation == MUTATION_DROP_EARLY) {
        end = mono_add_us(end, -EARLY_US);
    } else if (sim->mutation == MUTATION_SHORTER_EXTEND && question->op == OP_EXTEND) {
        end = mono_add_ms(sim->now, question->term_ms);
    }
    if (leads && mono_before(end, reply->expires)) {
        struct question resignation = *question;
        resignation.op = OP_RESIGN;
        resignation.token = reply->token;
        sim_after_us(sim, mono_sub(end, sim->now),
                     (struct due){.kind = DUE_REQUEST, .question = resignation});
    }
}

static void mutate_reply(struct sim *sim, struct decider *decider, struct election_request *request,
                         struct reply *reply)
{
    struct agent *agent = &sim->agent;
    if (sim->mutation == MUTATION_EXTEND_REVIVES && request->op == OP_EXTEND &&
        request->err == EA_NOT_FOUND) {
        request->op = OP_CAMPAIGN;
        decider_decide(decider, sim->now, sim_wall(sim), request);
    }
    reply->err = request->err;
    reply->elected = request->elected;
    reply->leader = sim_client_of(request->tenure.leader);
    reply->token = request->tenure.token;
    reply->expires = request->tenure.expires;
    if (sim->mutation == MUTATION_STALE_READS && request->op == OP_GET) {
        if (agent->cached.token != 0) {
            *reply = agent->cached;
        }
        agent->cached = *reply;
    }
}

void agent_receive(struct sim *sim, const struct question *question)
{
    struct agent *agent = &sim->agent;
    struct election_request request;
    struct reply reply = {0};
    if (!agent->up) {
        return;
    }
    struct decider *decider =
        agent->deciders[sim->mutation == MUTATION_TWO_OWNERS ? question->client % 2 : 0];
    raise_ceiling(sim);
    arena_reset(&sim->arena);
    fill_request(sim, question, &request);
    uint64_t written_before = agent->written;
    facts_begin_decision(sim, question);
    decider_decide(decider, sim->now, sim_wall(sim), &request);
    mutate_reply(sim, decider, &request, &reply);
    if (question->op == OP_RESIGN) {
        reply.ended = sim->decision.ended_token;
    }
    trace_note(sim->trace, sim->now,
               "decided #%" PRIu64 " %s: %s leader=%.*s token=%" PRIu64 " expires=%" PRId64, question->id,
               election_op_name(question->op), err_name(reply.err), STR_ARG(sim_client_name(reply.leader)),
               reply.token, reply.expires.us);
    facts_end_decision(sim, &reply);
    mutate_end(sim, question, &reply);
    hold_answer(sim, question, &reply, agent->written != written_before);
    set_timer(sim);
}

/* --- crashes --- */

static void free_deciders(struct agent *agent)
{
    for (size_t i = 0; i < 2; i++) {
        if (agent->deciders[i] != NULL) {
            decider_free(agent->deciders[i]);
            agent->deciders[i] = NULL;
        }
    }
}

void agent_crash(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    size_t survived = rng_below(&sim->rng, agent->n_pending + 1);
    trace_note(sim->trace, sim->now, "the agent crashes: %zu of %zu writes survive, %zu answers are lost",
               survived, agent->n_pending, agent->n_held);
    apply_writes(agent, survived);
    sim->counters->crashes++;
    sim->counters->writes_lost_in_a_crash += agent->n_pending;
    sim->counters->answers_lost_in_a_crash += agent->n_held;
    agent->durable = agent->written;
    agent->n_pending = 0;
    agent->n_held = 0;
    agent->up = false;
    agent->committing = false;
    agent->down = false;
    agent->cached = (struct reply){0};
    free_deciders(agent);
    if (sim_chance(sim, 40)) {
        sim->wall_offset_us += rng_range(&sim->rng, -7200, 60) * INT64_C(1000000);
    }
    sim_after_us(sim, rng_range(&sim->rng, US_PER_MS, 3000 * US_PER_MS), (struct due){.kind = DUE_BOOT});
}

static void restore(struct sim *sim, struct decider *decider, struct sim_record record)
{
    if (sim->mutation == MUTATION_RESTART_FORGETS) {
        return;
    }
    if (sim->mutation == MUTATION_RESTART_SHORTENS) {
        record.term_ms = (record.term_ms + 1) / 2;
    }
    if (sim->mutation == MUTATION_RESTART_RENUMBERS) {
        record.token++;
    }
    if (!decider_restore(decider, sim->now, &record)) {
        trace_fail(sim->trace, "check_restart_keeps", "a tenure could not be restored");
    }
    sim->counters->tenures_restored++;
}

void agent_boot(struct sim *sim)
{
    struct agent *agent = &sim->agent;
    struct sim_records restored = {0};
    agent->up = true;
    agent->boots++;
    agent->expire_at = MONO_NEVER;
    if (sim->mutation != MUTATION_CEILING_LATE) {
        agent->last_token =
            agent->ceiling; /* the first token will be above the old ceiling: raise it before */
    }
    trace_note(sim->trace, sim->now, "the agent starts with %zu tenures, ceiling %" PRIu64, agent->disk.n,
               agent->ceiling);
    for (size_t i = 0; i < (sim->mutation == MUTATION_TWO_OWNERS ? 2 : 1); i++) {
        agent->deciders[i] = decider_new(&(struct decider_options){
            .rules = sim->rules,
            .now = sim->now,
            .seed = rng_next(&sim->rng),
            .first_token = sim->mutation == MUTATION_NO_CEILING ? 0 : agent->ceiling,
            .vacant_kept = VACANT_KEPT,
            .event = take_event,
            .write = take_write,
            .arg = sim,
        });
        for (size_t r = 0; i == 0 && r < agent->disk.n; r++) {
            restore(sim, agent->deciders[i], agent->disk.at[r]);
        }
    }
    decider_records(agent->deciders[0], &restored);
    facts_restarted(sim, &restored);
    sim_records_fini(&restored);
    if (sim_chance(sim, 4 * sim->weather.crash_percent)) { /* and again */
        sim_after_us(sim, rng_range(&sim->rng, 0, 1500 * US_PER_MS),
                     (struct due){.kind = DUE_CRASH, .who = agent->boots});
    }
    set_timer(sim);
}

void agent_fini(struct sim *sim)
{
    free_deciders(&sim->agent);
    sim_records_fini(&sim->agent.disk);
    mem_free(sim->agent.pending);
    mem_free(sim->agent.held);
}
