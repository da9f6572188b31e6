/* What was decided and what was told: see sim.h. Fed by events, decisions and answers; the rules are not
 * asked. */
#include <inttypes.h>

#include "base/hlc.h"
#include "base/mem.h"
#include "sim.h"

struct tenure_facts *facts_find(struct sim *sim, unsigned election, uint64_t token)
{
    struct election_facts *facts = &sim->facts[election];
    for (size_t i = facts->n; i-- > 0;) { /* the newest are asked for most */
        if (facts->tenures[i].token == token) {
            return &facts->tenures[i];
        }
    }
    return NULL;
}

struct tenure_facts *facts_present(struct sim *sim, unsigned election)
{
    struct election_facts *facts = &sim->facts[election];
    return facts->present != 0 ? &facts->tenures[facts->present - 1] : NULL;
}

struct mono facts_next_expiry(const struct sim *sim)
{
    struct mono next = MONO_NEVER;
    for (unsigned e = 0; e < SIM_ELECTIONS; e++) {
        const struct election_facts *facts = &sim->facts[e];
        if (facts->present != 0) {
            next = mono_min(next, facts->tenures[facts->present - 1].expires);
        }
    }
    return next;
}

void facts_fini(struct sim *sim)
{
    for (unsigned e = 0; e < SIM_ELECTIONS; e++) {
        mem_free(sim->facts[e].tenures);
    }
}

/* --- events --- */

static void begin_tenure(struct sim *sim, unsigned election, const struct election_event *event)
{
    struct election_facts *facts = &sim->facts[election];
    if (facts_find(sim, election, event->token) != NULL) { /* T2 */
        trace_fail(sim->trace, "check_token_unique", "token %" PRIu64 " is given twice", event->token);
    } else if (event->token <= facts->greatest) { /* T1 */
        trace_fail(sim->trace, "check_token_grows", "token %" PRIu64 " after %" PRIu64, event->token,
                   facts->greatest);
    } else if (event->token >= HLC_LIMIT) { /* T5 */
        trace_fail(sim->trace, "check_token_grows", "token %" PRIu64 " is too large", event->token);
    }
    facts->tenures = mem_realloc(facts->tenures, (facts->n + 1) * sizeof facts->tenures[0]);
    facts->tenures[facts->n++] =
        (struct tenure_facts){.token = event->token, .leader = sim_client_of(event->leader)};
    facts->present = facts->n;
    facts->greatest = event->token;
    sim->decision.began++;
}

/* Promise 1 leaves to tokens: what ended without a token, by somebody else, or by a former life of the
 * leader. */
static bool is_covered(const struct sim *sim, const struct tenure_facts *tenure,
                       const struct question *question)
{
    bool by_itself = question->client == tenure->leader &&
                     question->incarnation == sim->clients[question->client].incarnation;
    return by_itself && (question->token == tenure->token || question->op == OP_CAMPAIGN);
}

/* E2: nothing but this ends a tenure before its time. */
static void check_tenure_ends_rightly(struct sim *sim, const struct tenure_facts *tenure,
                                      enum election_action action)
{
    const struct question *question = sim->decision.question;
    bool rightly = false;
    if (action == ACTION_EXPIRED) {
        rightly = !mono_before(sim->now, tenure->expires);
    } else if (question != NULL && action == ACTION_RESIGNED) {
        bool resigns = question->op == OP_RESIGN;
        bool starts_over = question->op == OP_CAMPAIGN && tenure->token <= question->past;
        rightly = (resigns || starts_over) && question->candidate == tenure->leader;
    } else if (question != NULL && action == ACTION_HANDED_OVER) {
        rightly = question->op == OP_HANDOVER;
    } else if (action == ACTION_STEPPED_DOWN) {
        rightly = question == NULL && sim->agent.down && !tenure->told;
    }
    if (!rightly) {
        trace_fail(sim->trace, "check_tenure_ends_rightly", "tenure %" PRIu64 " ends: %s", tenure->token,
                   election_action_word(action));
    }
}

/* E5 */
static void check_resign_names(struct sim *sim, const struct tenure_facts *tenure)
{
    const struct question *question = sim->decision.question;
    if (question->op == OP_RESIGN && question->token != 0 && question->token != tenure->token) {
        trace_fail(sim->trace, "check_resign_names", "a resignation from %" PRIu64 " ended %" PRIu64,
                   question->token, tenure->token);
    }
}

/* E6 */
static void check_handover_names(struct sim *sim, const struct tenure_facts *tenure)
{
    const struct question *question = sim->decision.question;
    bool from_holds = question->from == SIM_NOBODY || question->from == tenure->leader;
    bool token_holds = question->token == 0 || question->token == tenure->token;
    if (!from_holds || !token_holds) {
        trace_fail(sim->trace, "check_handover_names", "a handover of %" PRIu64 " moved %" PRIu64,
                   question->token, tenure->token);
    }
}

static void end_tenure(struct sim *sim, unsigned election, enum election_action action)
{
    struct tenure_facts *tenure = facts_present(sim, election);
    check_tenure_ends_rightly(sim, tenure, action);
    if (!trace_failed(sim->trace) && action == ACTION_RESIGNED) {
        check_resign_names(sim, tenure);
    } else if (!trace_failed(sim->trace) && action == ACTION_HANDED_OVER) {
        check_handover_names(sim, tenure);
    }
    if (action == ACTION_EXPIRED) {
        sim->counters->expiries++;
        if (sim->decision.before == sim->facts[election].present) {
            sim->decision.before = 0;
        }
    } else if (action == ACTION_STEPPED_DOWN) {
        sim->counters->withdrawals++;
    } else {
        tenure->uncovered =
            sim->decision.question == NULL || !is_covered(sim, tenure, sim->decision.question);
        sim->decision.ended++;
        sim->decision.ended_token = tenure->token;
    }
    tenure->ended = true;
    sim->facts[election].present = 0;
}

/* V1, V2: an event fits what the events before it have said. */
static bool check_events_tell_state(struct sim *sim, unsigned election, const struct election_event *event)
{
    const struct tenure_facts *present = facts_present(sim, election);
    bool fits = str_eq(event->kind, STR(SIM_KIND));
    switch (event->action) {
    case ACTION_ELECTED:
        fits = fits && present == NULL && event->at.us == sim_wall(sim).us;
        break;
    case ACTION_HANDED_OVER:
        fits = fits && present != NULL && present->leader == sim_client_of(event->previous) &&
               event->at.us == sim_wall(sim).us;
        break;
    case ACTION_RESIGNED:
    case ACTION_STEPPED_DOWN:
        fits = fits && present != NULL && present->leader == sim_client_of(event->leader) &&
               present->token == event->token && event->previous.n == 0 && event->at.us == sim_wall(sim).us;
        break;
    case ACTION_EXPIRED:
        fits = fits && present != NULL && present->leader == sim_client_of(event->leader) &&
               present->token == event->token && event->previous.n == 0 &&
               event->at.us == sim_wall(sim).us - mono_sub(sim->now, present->expires);
        break;
    default:
        fits = false;
    }
    if (!fits) {
        trace_fail(sim->trace, "check_events_tell_state", "%s of %" PRIu64 ", while %" PRIu64 " leads",
                   election_action_word(event->action), event->token, present != NULL ? present->token : 0);
    }
    return fits;
}

void facts_event(struct sim *sim, const struct election_event *event)
{
    unsigned election = sim_election_of(event->election);
    trace_note(sim->trace, sim->now, "event %s e%u %.*s token=%" PRIu64, election_action_word(event->action),
               election, STR_ARG(event->leader), event->token);
    if (election == SIM_ELECTIONS) {
        trace_fail(sim->trace, "check_events_tell_state", "an event of an election that does not exist");
        return;
    }
    if (!check_events_tell_state(sim, election, event)) {
        return;
    }
    if (event->action != ACTION_ELECTED) {
        end_tenure(sim, election, event->action);
    }
    if (event->action == ACTION_ELECTED || event->action == ACTION_HANDED_OVER) {
        begin_tenure(sim, election, event);
    }
}

/* --- decisions and answers --- */

void facts_begin_decision(struct sim *sim, const struct question *question)
{
    sim->decision = (struct decision){.question = question};
    if (question != NULL) {
        sim->decision.before = sim->facts[question->election].present;
    }
}

void facts_end_decision(struct sim *sim, const struct reply *reply)
{
    sim->counters->decisions++;
    if (!trace_failed(sim->trace)) {
        check_decision(sim, reply);
    }
}

void facts_told(struct sim *sim, const struct question *question, const struct reply *reply)
{
    struct election_facts *facts = &sim->facts[question->election];
    bool promises = sim_is_promise(question, reply);
    for (size_t i = 0; i < facts->n; i++) {
        struct tenure_facts *tenure = &facts->tenures[i];
        if (promises && tenure->token == reply->token) {
            tenure->told = true;
            tenure->told_expires = mono_max(tenure->told_expires, reply->expires);
        }
        if ((promises && tenure->token < reply->token) || tenure->token == reply->ended) {
            tenure->end_told = true;
        }
    }
}

/* --- restarts --- */

/* T3, S1, S3: a tenure comes back as it was, if its end was not told, and for as long as anybody was told. */
static void check_restored(struct sim *sim, unsigned election, const struct sim_record *record)
{
    struct election_facts *facts = &sim->facts[election];
    struct tenure_facts *tenure = facts_find(sim, election, record->token);
    if (tenure == NULL || tenure->leader != sim_client_of(str_of(record->leader))) {
        trace_fail(sim->trace, "check_token_kept", "tenure %" PRIu64 " of %s never was", record->token,
                   record->leader);
        return;
    }
    if (tenure->end_told) {
        trace_fail(sim->trace, "check_restart_keeps", "tenure %" PRIu64 " is back after its end was told",
                   record->token);
    }
    tenure->ended = false;
    tenure->uncovered = false;
    tenure->expires = mono_add_ms(sim->now, record->term_ms);
    tenure->longest_ms = record->term_ms;
    facts->present = (size_t)(tenure - facts->tenures) + 1;
}

static void check_restart_keeps(struct sim *sim, unsigned election)
{
    struct election_facts *facts = &sim->facts[election];
    for (size_t i = 0; i < facts->n; i++) {
        struct tenure_facts *tenure = &facts->tenures[i];
        struct mono expires = facts->present == i + 1 ? tenure->expires : sim->now;
        if (tenure->told && !tenure->ended && mono_before(expires, tenure->told_expires)) {
            trace_fail(sim->trace, "check_restart_keeps",
                       "tenure %" PRIu64 " runs until %" PRId64 ", but somebody was told %" PRId64,
                       tenure->token, expires.us, tenure->told_expires.us);
        }
        tenure->ended = facts->present != i + 1;
    }
}

void facts_restarted(struct sim *sim, const struct sim_records *records)
{
    for (unsigned e = 0; e < SIM_ELECTIONS; e++) {
        sim->facts[e].present = 0;
    }
    for (size_t i = 0; i < records->n; i++) {
        check_restored(sim, sim_election_of(str_of(records->at[i].election)), &records->at[i]);
    }
    for (unsigned e = 0; e < SIM_ELECTIONS; e++) {
        check_restart_keeps(sim, e);
    }
}
