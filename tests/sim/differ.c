/* The ledger and the book, side by side: see differ.h. */
#include "differ.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "core/request.h"
#include "decider.h"

#define STEPS           400
#define KINDS           2
#define ELECTIONS       8
#define CANDIDATES_MOST 80 /* more than are remembered */
#define RECENT          16
#define US_PER_MS       1000
#define HOUR_MS         3600000

/* What an earlier answer said: tokens and expiries worth asking about again. */
struct seen {
    size_t election;
    uint64_t token;
    struct mono expires;
};

struct side {
    struct decider *decider;
    struct arena arena;
    struct buf answer;
    struct buf events[KINDS * ELECTIONS]; /* not yet compared */
};

struct differ {
    struct trace *trace;
    struct rng rng;
    struct mono now;
    struct wall wall;
    struct side sides[2];
    char elections[ELECTIONS][NAME_BYTES_MAX + 1];
    char candidates[CANDIDATES_MOST][16];
    uint64_t n_candidates;
    struct seen seen[RECENT];
    uint64_t n_seen;
    size_t vacant_kept;
    bool vacancies; /* few vacant elections are kept: nothing expires, so that their order is known to the
                       microsecond */
};

static const char *const kinds[KINDS] = {"default", "batch-jobs_2.x"};
static const enum decider_rules rules[2] = {RULES_LEDGER, RULES_BOOK};

static bool chance(struct differ *d, uint64_t percent)
{
    return rng_below(&d->rng, 100) < percent;
}

/* --- answers and events as text, so that a difference can be read --- */

static void format_event(struct buf *out, const struct election_event *event)
{
    buf_format(out, "%s leader=", election_action_word(event->action));
    buf_add_json(out, event->leader);
    buf_format(out, " previous=");
    buf_add_json(out, event->previous);
    buf_format(out, " token=%" PRIu64 " at=%" PRId64 ";", event->token, event->at.us);
}

static void format_answer(struct buf *out, const struct election_request *request)
{
    const struct election_tenure *tenure = &request->tenure;
    buf_clear(out);
    buf_format(out, "%s elected=%d leader=", err_name(request->err), request->elected);
    buf_add_json(out, tenure->leader);
    buf_format(
        out, " token=%" PRIu64 " expires=%" PRId64 " term=%d elected_at=%" PRId64 " renewed_at=%" PRId64,
        tenure->token, tenure->expires.us, tenure->term_ms, tenure->elected_at.us, tenure->renewed_at.us);
    for (size_t i = 0; i < request->info.n_candidates; i++) {
        const struct election_candidate *candidate = &request->info.candidates[i];
        buf_format(out, " [");
        buf_add_json(out, candidate->name);
        buf_format(out, " %d %" PRId64 " %d]", candidate->priority, candidate->last_seen.us,
                   candidate->leading);
    }
    for (size_t i = 0; i < request->info.n_events; i++) {
        format_event(out, &request->info.events[i]);
    }
    for (size_t i = 0; i < request->list.n; i++) {
        const struct election_leader *leader = &request->list.leaders[i];
        buf_format(out, " ");
        buf_add_json(out, leader->election);
        buf_add_json(out, leader->leader);
        buf_format(out, "%" PRIu64, leader->token);
    }
    buf_format(out, " more=%d", request->list.more);
}

struct event_sink {
    struct differ *differ;
    struct side *side;
};

static void collect_event(void *arg, const struct election_event *event)
{
    const struct event_sink *sink = arg;
    for (size_t k = 0; k < KINDS; k++) {
        for (size_t e = 0; e < ELECTIONS; e++) {
            if (str_eq(event->kind, str_of(kinds[k])) &&
                str_eq(event->election, str_of(sink->differ->elections[e]))) {
                format_event(&sink->side->events[k * ELECTIONS + e], event);
                return;
            }
        }
    }
    trace_fail(sink->differ->trace, "check_same_events", "an event of an election that does not exist");
}

/* --- comparing --- */

static void check_same_events(struct differ *d)
{
    for (size_t i = 0; i < KINDS * ELECTIONS; i++) {
        struct buf *ledger = &d->sides[0].events[i];
        struct buf *book = &d->sides[1].events[i];
        if (!str_eq(buf_str(ledger), buf_str(book))) {
            trace_note(d->trace, d->now, "ledger: %.*s", STR_ARG(buf_str(ledger)));
            trace_note(d->trace, d->now, "book:   %.*s", STR_ARG(buf_str(book)));
            trace_fail(d->trace, "check_same_events", "election %zu: the events differ", i % ELECTIONS);
        }
        buf_clear(ledger);
        buf_clear(book);
    }
}

static void check_same_records(struct differ *d)
{
    struct sim_records ledger;
    struct sim_records book;
    decider_records(d->sides[0].decider, &ledger);
    decider_records(d->sides[1].decider, &book);
    if (!sim_records_equal(&ledger, &book)) {
        trace_fail(d->trace, "check_same_records", "what a restart would find differs");
    }
    sim_records_fini(&ledger);
    sim_records_fini(&book);
    for (size_t i = 0; i < 2; i++) {
        if (!decider_check(d->sides[i].decider, d->now)) {
            trace_fail(d->trace, "check_hooks_tell_records",
                       "side %zu: writes do not add up to what is there", i);
        }
    }
}

/* Where the text of two answers parts, and what stands there. */
static void note_difference(struct differ *d, struct str a, struct str b)
{
    size_t i = 0;
    while (i < a.n && i < b.n && a.p[i] == b.p[i]) {
        i++;
    }
    size_t from = i > 60 ? i - 60 : 0;
    trace_note(d->trace, d->now, "ledger: ...%.*s", (int)(a.n - from), a.p + from);
    trace_note(d->trace, d->now, "book:   ...%.*s", (int)(b.n - from), b.p + from);
}

static void check_same_answers(struct differ *d)
{
    struct str ledger = buf_str(&d->sides[0].answer);
    struct str book = buf_str(&d->sides[1].answer);
    if (!str_eq(ledger, book)) {
        note_difference(d, ledger, book);
        trace_fail(d->trace, "check_same_answers", "the answers differ");
    }
}

static void expire_both(struct differ *d)
{
    for (size_t i = 0; i < 2; i++) {
        decider_expire(d->sides[i].decider, d->now, d->wall);
    }
}

/* Both have noticed everything that is over: all they have told must be the same. At a whole millisecond,
 * since that is the resolution of the book's timers. */
static void sync_both(struct differ *d)
{
    int64_t rest_us = (US_PER_MS - d->now.us % US_PER_MS) % US_PER_MS;
    d->now = mono_add_us(d->now, rest_us);
    d->wall.us += rest_us;
    expire_both(d);
    check_same_events(d);
    check_same_records(d);
}

/* --- the stream of requests --- */

static uint64_t pick_token(struct differ *d, size_t election)
{
    if (d->n_seen == 0 || chance(d, 40)) {
        return 0;
    }
    const struct seen *seen = &d->seen[rng_below(&d->rng, d->n_seen < RECENT ? d->n_seen : RECENT)];
    for (uint64_t i = 0; i < RECENT && i < d->n_seen; i++) { /* rather the last one of this election */
        const struct seen *recent = &d->seen[(d->n_seen - 1 - i) % RECENT];
        if (recent->election == election && chance(d, 70)) {
            seen = recent;
            break;
        }
    }
    return chance(d, 90) ? seen->token : seen->token + (uint64_t)rng_range(&d->rng, 0, 2) - 1;
}

static int32_t pick_term(struct differ *d)
{
    if (d->vacancies) {
        return HOUR_MS;
    }
    switch (rng_below(&d->rng, 8)) {
    case 0:
        return 1;
    case 1:
        return (int32_t)rng_range(&d->rng, 1, 100);
    case 2:
        return (int32_t)rng_range(&d->rng, 1, HOUR_MS);
    default:
        return (int32_t)rng_range(&d->rng, 1, 10) * 1000;
    }
}

static void pick_request(struct differ *d, struct election_request *request, size_t *election)
{
    static const enum election_op ops[] = {OP_CAMPAIGN, OP_CAMPAIGN, OP_CAMPAIGN, OP_CAMPAIGN, OP_EXTEND,
                                           OP_EXTEND,   OP_EXTEND,   OP_RESIGN,   OP_RESIGN,   OP_HANDOVER,
                                           OP_HANDOVER, OP_GET,      OP_INFO,     OP_INFO,     OP_LIST};
    /* One draw a statement, so that a seed means the same with every compiler. */
    *election = rng_below(&d->rng, chance(d, 70) ? 2 : ELECTIONS);
    *request = (struct election_request){
        .election = str_of(d->elections[*election]), .start = d->now, .deadline = MONO_NEVER};
    request->op = ops[rng_below(&d->rng, ARRAY_LENGTH(ops))];
    request->kind = str_of(kinds[chance(d, 85) ? 0 : 1]);
    request->candidate = str_of(d->candidates[rng_below(&d->rng, d->n_candidates)]);
    request->token = pick_token(d, *election);
    request->past = chance(d, 60) ? 0 : pick_token(d, *election);
    request->term_ms = pick_term(d);
    request->priority = (int32_t)rng_range(&d->rng, 0, 3);
    request->page_size = (uint32_t)rng_range(&d->rng, 1, 4);
    if (request->op == OP_HANDOVER && chance(d, 60)) {
        request->from = str_of(d->candidates[rng_below(&d->rng, d->n_candidates)]);
    }
    if (request->op == OP_LIST && chance(d, 60)) {
        request->after = str_of(d->elections[rng_below(&d->rng, ELECTIONS)]);
    }
}

static void remember(struct differ *d, size_t election, const struct election_request *request)
{
    if (request->tenure.token != 0) {
        d->seen[d->n_seen++ % RECENT] =
            (struct seen){election, request->tenure.token, request->tenure.expires};
    }
}

static void ask_both(struct differ *d)
{
    struct election_request question;
    size_t election;
    pick_request(d, &question, &election);
    trace_note(d->trace, d->now, "%s %.*s e%zu %.*s from=%.*s token=%" PRIu64 " past=%" PRIu64 " term=%d",
               election_op_name(question.op), STR_ARG(question.kind), election, STR_ARG(question.candidate),
               STR_ARG(question.from), question.token, question.past, question.term_ms);
    for (size_t i = 0; i < 2; i++) {
        struct side *side = &d->sides[i];
        struct election_request request = question;
        arena_reset(&side->arena);
        request.arena = &side->arena;
        decider_decide(side->decider, d->now, d->wall, &request);
        format_answer(&side->answer, &request);
        if (i == 0) {
            remember(d, election, &request);
        }
    }
    trace_note(d->trace, d->now, "    %.*s", STR_ARG(buf_str(&d->sides[0].answer)));
    check_same_answers(d);
}

/* Time goes on: not at all, a little, to the very edge of a lease that was answered, or far. */
static void advance(struct differ *d)
{
    struct mono to = d->now;
    if (d->vacancies) {
        to = mono_add_us(d->now, rng_range(&d->rng, 0, 1000000));
    } else if (chance(d, 25) && d->n_seen > 0) {
        const struct seen *seen = &d->seen[rng_below(&d->rng, d->n_seen < RECENT ? d->n_seen : RECENT)];
        to = mono_add_us(seen->expires, rng_range(&d->rng, -1, 1));
        if (mono_before(mono_add_ms(d->now, 2 * HOUR_MS), to)) {
            to = d->now;
        }
    } else if (chance(d, 60)) {
        to = mono_add_us(d->now, rng_range(&d->rng, 0, chance(d, 80) ? 300 * US_PER_MS : 70000 * US_PER_MS));
    }
    to = mono_max(to, d->now);
    d->wall.us += mono_sub(to, d->now);
    d->now = to;
}

static void make_deciders(struct differ *d, struct event_sink sinks[2], uint64_t first_token)
{
    for (size_t i = 0; i < 2; i++) {
        d->sides[i].decider = decider_new(&(struct decider_options){
            .rules = rules[i],
            .now = d->now,
            .seed = rng_next(&d->rng),
            .first_token = first_token,
            .vacant_kept = d->vacant_kept,
            .event = collect_event,
            .arg = &sinks[i],
        });
    }
}

static void restart_both(struct differ *d, struct event_sink sinks[2])
{
    struct sim_records records;
    sync_both(d);
    decider_records(d->sides[0].decider, &records);
    for (size_t i = 0; i < 2; i++) {
        decider_free(d->sides[i].decider);
    }
    trace_note(d->trace, d->now, "restart with %zu tenures", records.n);
    make_deciders(d, sinks, (uint64_t)d->wall.us + (uint64_t)rng_below(&d->rng, 10000000));
    for (size_t r = 0; r < records.n; r++) {
        for (size_t i = 0; i < 2; i++) {
            if (!decider_restore(d->sides[i].decider, d->now, &records.at[r]) ||
                decider_restore(d->sides[i].decider, d->now, &records.at[r])) {
                trace_fail(d->trace, "check_same_records", "side %zu: a tenure is not restored exactly once",
                           i);
            }
        }
    }
    sim_records_fini(&records);
    check_same_records(d);
}

static void step(struct differ *d, struct event_sink sinks[2])
{
    advance(d);
    if (chance(d, 10)) {
        size_t i = rng_below(&d->rng, 2);
        decider_expire(d->sides[i].decider, d->now, d->wall);
    }
    if (chance(d, 5)) {
        sync_both(d);
    }
    if (chance(
            d,
            1)) { /* the wall clock is set; what is over must be known before, since events show the time */
        sync_both(d);
        d->wall.us += rng_range(&d->rng, -3600, 3600) * 1000000;
        trace_note(d->trace, d->now, "the wall clock is set");
    }
    if (chance(d, 1)) {
        restart_both(d, sinks);
    }
    ask_both(d);
}

static void name_all(struct differ *d)
{
    for (size_t e = 0; e < ELECTIONS; e++) {
        (void)snprintf(d->elections[e], sizeof d->elections[e], "%s%zu", e % 2 == 0 ? "e" : "e\xc3\xa9 ", e);
    }
    memset(d->elections[ELECTIONS - 1], 'x', NAME_BYTES_MAX);
    memset(d->elections[ELECTIONS - 2], 'x', NAME_BYTES_MAX - 1);
    d->elections[ELECTIONS - 2][NAME_BYTES_MAX - 1] = '\0';
    d->elections[ELECTIONS - 1][NAME_BYTES_MAX] = '\0';
    for (size_t c = 0; c < CANDIDATES_MOST; c++) {
        (void)snprintf(d->candidates[c], sizeof d->candidates[c], "c%zu", c);
    }
}

void differ_run(uint64_t seed, struct trace *trace)
{
    struct differ *d = mem_zalloc(sizeof *d);
    struct event_sink sinks[2] = {{d, &d->sides[0]}, {d, &d->sides[1]}};
    d->trace = trace;
    d->now = (struct mono){1000000};
    d->wall = (struct wall){INT64_C(1767225600000000)};
    rng_seed(&d->rng, seed);
    d->n_candidates = chance(d, 20) ? CANDIDATES_MOST : 4;
    d->vacancies = chance(d, 20);
    d->vacant_kept = d->vacancies ? rng_below(&d->rng, 4) : 1000;
    name_all(d);
    for (size_t i = 0; i < 2; i++) {
        arena_init(&d->sides[i].arena, NULL, 0);
    }
    make_deciders(d, sinks, 0);
    for (unsigned i = 0; i < STEPS && !trace_failed(trace); i++) {
        step(d, sinks);
    }
    sync_both(d);
    for (size_t i = 0; i < 2; i++) {
        decider_free(d->sides[i].decider);
        arena_reset(&d->sides[i].arena);
        buf_fini(&d->sides[i].answer);
        for (size_t e = 0; e < KINDS * ELECTIONS; e++) {
            buf_fini(&d->sides[i].events[e]);
        }
    }
    mem_free(d);
}
