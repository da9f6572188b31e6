/* What must hold, by name; DESIGN.md says which invariant each one checks. */
#include <inttypes.h>

#include "core/lease.h"
#include "sim.h"

#define NOTICED_MOST_US (10 * US_PER_MS) /* expiry is exact to 10 ms (spec: embedded.md) */
#define STRUCTURE_EVERY 8                /* steps */

static bool named(const struct question *question, const struct tenure_facts *tenure)
{
    return tenure != NULL && question->candidate == tenure->leader &&
           (question->token == 0 || question->token == tenure->token);
}

/* --- at the moment of a decision --- */

/* What is answered about the leader is so (also E8: what was refused changed nothing). */
static void check_reads_are_true(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    const struct tenure_facts *present = facts_present(sim, question->election);
    bool silent = question->op == OP_RESIGN;
    bool none = reply->leader == SIM_NOBODY && reply->token == 0;
    bool is_true =
        present == NULL || silent ? none : reply->leader == present->leader && reply->token == present->token;
    if (!is_true) {
        trace_fail(sim->trace, "check_reads_are_true", "%s: answered %" PRIu64 ", present is %" PRIu64,
                   election_op_name(question->op), reply->token, present != NULL ? present->token : 0);
    }
}

/* L5: nobody is answered from a tenure that is over, and what is over was noticed. */
static void check_expired_is_gone(struct sim *sim, const struct reply *reply)
{
    const struct tenure_facts *present = facts_present(sim, sim->decision.question->election);
    bool answered = reply->leader != SIM_NOBODY && !mono_before(sim->now, reply->expires);
    bool overlooked = present != NULL && present->expires.us != 0 && !mono_before(sim->now, present->expires);
    if (answered || overlooked) {
        trace_fail(sim->trace, "check_expired_is_gone", "tenure %" PRIu64 " is over, and was answered",
                   reply->token);
    }
}

/* L3, L4, E7: the expiry is exactly what the rules say; sooner breaks a promise, later holds the election up.
 */
static void check_expiry(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    struct election_facts *facts = &sim->facts[question->election];
    struct tenure_facts *present = facts_present(sim, question->election);
    if (present == NULL || reply->leader == SIM_NOBODY) {
        return;
    }
    struct mono expected = present->expires;
    if (sim_is_promise(question, reply)) {
        if (question->op == OP_HANDOVER && sim->decision.before != 0) {
            expected = facts->tenures[sim->decision.before - 1].expires;
        }
        present->longest_ms =
            question->term_ms > present->longest_ms ? question->term_ms : present->longest_ms;
        expected = mono_max(expected, mono_add_ms(sim->now, question->term_ms));
    }
    if (mono_before(reply->expires, expected)) {
        trace_fail(sim->trace, "check_expiry_kept",
                   "tenure %" PRIu64 " expires at %" PRId64 ", promised %" PRId64, reply->token,
                   reply->expires.us, expected.us);
    } else if (mono_before(expected, reply->expires)) {
        trace_fail(sim->trace, "check_expiry_bounded",
                   "tenure %" PRIu64 " expires at %" PRId64 ", promised %" PRId64, reply->token,
                   reply->expires.us, expected.us);
    }
    present->expires = expected;
}

/* T4 */
static void check_past_never_led(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    if (reply->elected && reply->token <= question->past) {
        trace_fail(sim->trace, "check_past_never_led", "token %" PRIu64 " was given up", reply->token);
    }
    sim->counters->pasts += sim->decision.ended;
}

static void check_campaign(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    bool own = sim->decision.before == 0 || sim->decision.ended == 1 ||
               sim->facts[question->election].tenures[sim->decision.before - 1].leader == question->candidate;
    if (reply->err != EA_OK || reply->elected != own || sim->decision.began > 1) {
        trace_fail(sim->trace, "check_campaign", "elected=%d, began=%u", reply->elected, sim->decision.began);
    }
    check_past_never_led(sim, reply);
    sim->counters->grants += sim->decision.began;
    sim->counters->adoptions += reply->elected && sim->decision.began == 0;
    sim->counters->losses += !reply->elected;
}

/* E3, E4: exactly the holder of a running tenure is extended, and no tenure begins or ends by it. */
static void check_extend_revives_nothing(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    const struct tenure_facts *before =
        sim->decision.before != 0 ? &sim->facts[question->election].tenures[sim->decision.before - 1] : NULL;
    enum err expected = before == NULL ? EA_NOT_FOUND : named(question, before) ? EA_OK : EA_HELD;
    if (reply->err != expected || sim->decision.began != 0 || sim->decision.ended != 0) {
        trace_fail(sim->trace, "check_extend_revives_nothing", "%s, expected %s; %u began, %u ended",
                   err_name(reply->err), err_name(expected), sim->decision.began, sim->decision.ended);
    }
    sim->counters->extensions += reply->err == EA_OK;
    sim->counters->late_extensions += reply->err == EA_NOT_FOUND;
}

static void check_resign(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    const struct tenure_facts *before =
        sim->decision.before != 0 ? &sim->facts[question->election].tenures[sim->decision.before - 1] : NULL;
    bool expected = named(question, before);
    if (reply->err != (expected ? EA_OK : EA_NOT_FOUND) || sim->decision.ended != expected ||
        sim->decision.began != 0) {
        trace_fail(sim->trace, "check_resign_names", "%s; %u ended, %u began", err_name(reply->err),
                   sim->decision.ended, sim->decision.began);
    }
    sim->counters->resignations += reply->err == EA_OK;
    sim->counters->late_resignations += reply->err == EA_NOT_FOUND;
}

static void check_handover(struct sim *sim, const struct reply *reply)
{
    const struct question *question = sim->decision.question;
    const struct tenure_facts *before =
        sim->decision.before != 0 ? &sim->facts[question->election].tenures[sim->decision.before - 1] : NULL;
    bool from_holds = question->from == SIM_NOBODY || (before != NULL && question->from == before->leader);
    bool token_holds = question->token == 0 || (before != NULL && question->token == before->token);
    bool expected = from_holds && token_holds;
    if (reply->err != (expected ? EA_OK : EA_HELD) || sim->decision.began != expected) {
        trace_fail(sim->trace, "check_handover_names", "%s; %u began", err_name(reply->err),
                   sim->decision.began);
    }
    sim->counters->handovers += reply->err == EA_OK;
    sim->counters->refused_handovers += reply->err == EA_HELD;
}

/* A store that cannot write refuses changes, and then nothing has changed (E8). */
static void check_refusal(struct sim *sim, const struct reply *reply)
{
    bool empty = reply->leader == SIM_NOBODY && reply->token == 0 && !reply->elected;
    if (sim->decision.question->op == OP_GET || sim->decision.began != 0 || sim->decision.ended != 0 ||
        !empty) {
        trace_fail(sim->trace, "check_refusal", "%s: refused, but %u began and %u ended",
                   election_op_name(sim->decision.question->op), sim->decision.began, sim->decision.ended);
    }
    sim->counters->refusals++;
}

void check_decision(struct sim *sim, const struct reply *reply)
{
    if (sim->agent.down && reply->err == EA_UNAVAILABLE) {
        check_refusal(sim, reply);
        return;
    }
    switch (sim->decision.question->op) {
    case OP_CAMPAIGN:
        check_campaign(sim, reply);
        break;
    case OP_EXTEND:
        check_extend_revives_nothing(sim, reply);
        break;
    case OP_RESIGN:
        check_resign(sim, reply);
        break;
    case OP_HANDOVER:
        check_handover(sim, reply);
        break;
    default:
        break;
    }
    check_reads_are_true(sim, reply);
    check_expired_is_gone(sim, reply);
    check_expiry(sim, reply);
}

/* --- when a client begins to believe --- */

/* L2: its belief ends before the tenure does. */
void check_grant_in_time(struct sim *sim, struct mono until, const struct reply *reply)
{
    if (!mono_before(until, reply->expires)) {
        trace_fail(sim->trace, "check_grant_in_time",
                   "a client believes in %" PRIu64 " until %" PRId64 ", it ends at %" PRId64, reply->token,
                   until.us, reply->expires.us);
    }
}

/* --- after every step --- */

/* Does it believe, in a tenure that the promises cover? */
static bool believes_covered(struct sim *sim, const struct client *client)
{
    if (!mono_before(sim->now, client->until)) {
        return false;
    }
    const struct tenure_facts *tenure = facts_find(sim, client->election, client->token);
    return tenure == NULL || !tenure->uncovered;
}

/* L1, E1 */
static void check_one_leader(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_clients; i++) {
        for (unsigned k = i + 1; k < sim->n_clients; k++) {
            if (sim->clients[i].election == sim->clients[k].election &&
                believes_covered(sim, &sim->clients[i]) && believes_covered(sim, &sim->clients[k])) {
                trace_fail(sim->trace, "check_one_leader",
                           "%.*s leads with %" PRIu64 " and %.*s with %" PRIu64, STR_ARG(sim_client_name(i)),
                           sim->clients[i].token, STR_ARG(sim_client_name(k)), sim->clients[k].token);
            }
        }
    }
}

/* E2, E3: whoever rightly believes in its leadership is the leader. */
static void check_promise_kept(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n_clients && sim->agent.up; i++) {
        const struct client *client = &sim->clients[i];
        const struct tenure_facts *present = facts_present(sim, client->election);
        if (!believes_covered(sim, client)) {
            continue;
        }
        sim->counters->beliefs_checked++;
        if (present == NULL || present->token != client->token || present->leader != i) {
            trace_fail(sim->trace, "check_promise_kept",
                       "%.*s believes in %" PRIu64 " until %" PRId64 ", %" PRIu64 " leads",
                       STR_ARG(sim_client_name(i)), client->token, client->until.us,
                       present != NULL ? present->token : 0);
        }
    }
}

/* L5: an expiry is told although nobody asks. */
static void check_expiry_is_noticed(struct sim *sim)
{
    struct mono noticed_by = mono_add_us(facts_next_expiry(sim), NOTICED_MOST_US);
    if (sim->agent.up && mono_before(noticed_by, sim->now)) {
        trace_fail(sim->trace, "check_expired_is_gone", "an expiry was not noticed in time");
    }
}

/* The structural invariants, which the rules assert themselves, and that the writes add up to the state. */
static void check_structure(struct sim *sim)
{
    if (sim->agent.up && sim->orders % STRUCTURE_EVERY == 0 &&
        !decider_check(sim->agent.deciders[0], sim->now)) {
        trace_fail(sim->trace, "check_hooks_tell_records", "writes do not add up to what is there");
    }
}

void checks_run(struct sim *sim)
{
    check_one_leader(sim);
    check_promise_kept(sim);
    check_expiry_is_noticed(sim);
    check_structure(sim);
}
