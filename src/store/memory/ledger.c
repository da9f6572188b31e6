/* The rules in their simplest form: see ledger.h, and core/DESIGN.md for the numbers. */
#include "store/memory/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hlc.h"
#include "base/mem.h"
#include "core/lease.h"
#include "core/names.h"

#define CANDIDATES_KEPT   64
#define CANDIDATE_KEPT_MS 60000
#define PRIORITY_DEFAULT  1
#define US_PER_MS         1000

struct text {
    size_t n;
    char bytes[NAME_BYTES_MAX];
};

struct candidate {
    struct text name;
    int32_t priority;
    struct mono seen;
    struct wall last_seen;
};

struct happening { /* an event, with the words it points at */
    struct election_event event;
    struct text leader;
    struct text previous;
};

struct tenure {
    struct text leader;
    uint64_t token;
    struct mono expires;
    int32_t term_ms;
    int32_t recorded_ms; /* the longest term promised, which a restart grants again (S3) */
    struct wall elected_at;
    struct wall renewed_at;
    struct mono seen;
    int32_t priority;
};

struct election {
    struct text kind;
    struct text name;
    bool led;
    struct tenure tenure;         /* of the present leader, or of the last one */
    uint64_t vacated;             /* not led: its place in the order in which elections became vacant */
    struct candidate *candidates; /* without the leader, most recently seen first */
    size_t n_candidates;
    struct happening *events; /* oldest first */
    size_t n_events;
};

struct ledger {
    struct ledger_options options;
    struct hlc tokens;
    struct election **elections;
    size_t n;
    uint64_t vacations;
};

/* --- words and lists --- */

static struct text text_of(struct str s)
{
    struct text text = {.n = s.n};
    assert(s.n <= sizeof text.bytes);
    if (s.n > 0) {
        memcpy(text.bytes, s.p, s.n);
    }
    return text;
}

static struct str str_of_text(const struct text *text)
{
    return (struct str){text->bytes, text->n};
}

static bool same(const struct text *text, struct str s)
{
    return str_eq(str_of_text(text), s);
}

struct ledger *ledger_new(const struct ledger_options *options)
{
    struct ledger *ledger = mem_zalloc(sizeof *ledger);
    ledger->options = *options;
    ledger->tokens.last = options->first_token;
    return ledger;
}

static void free_election(struct election *election)
{
    mem_free(election->candidates);
    mem_free(election->events);
    mem_free(election);
}

void ledger_free(struct ledger *ledger)
{
    for (size_t i = 0; i < ledger->n; i++) {
        free_election(ledger->elections[i]);
    }
    mem_free(ledger->elections);
    mem_free(ledger);
}

static struct election *find(const struct ledger *ledger, struct str kind, struct str name)
{
    for (size_t i = 0; i < ledger->n; i++) {
        struct election *election = ledger->elections[i];
        if (same(&election->kind, kind) && same(&election->name, name)) {
            return election;
        }
    }
    return NULL;
}

static struct election *add(struct ledger *ledger, struct str kind, struct str name)
{
    struct election *election = mem_zalloc(sizeof *election);
    election->kind = text_of(kind);
    election->name = text_of(name);
    ledger->elections = mem_realloc(ledger->elections, (ledger->n + 1) * sizeof(struct election *));
    ledger->elections[ledger->n++] = election;
    return election;
}

/* V3: of the vacant elections the ones that became vacant last are remembered. */
static void forget_vacant(struct ledger *ledger)
{
    size_t vacant = 0;
    size_t oldest = 0;
    for (size_t i = 0; i < ledger->n; i++) {
        const struct election *election = ledger->elections[i];
        if (!election->led) {
            if (vacant++ == 0 || election->vacated < ledger->elections[oldest]->vacated) {
                oldest = i;
            }
        }
    }
    if (vacant > ledger->options.vacant_kept) {
        free_election(ledger->elections[oldest]);
        ledger->elections[oldest] = ledger->elections[--ledger->n];
    }
}

/* --- candidates --- */

static void forget_candidates(struct election *election, struct mono now)
{
    while (election->n_candidates > 0) {
        const struct candidate *last = &election->candidates[election->n_candidates - 1];
        if (mono_before(now, mono_add_ms(last->seen, CANDIDATE_KEPT_MS)) &&
            election->n_candidates <= CANDIDATES_KEPT) {
            break;
        }
        election->n_candidates--;
    }
}

/* Removes a candidate; its priority, or the default if it is not remembered. */
static int32_t take_candidate(struct election *election, struct str name)
{
    for (size_t i = 0; i < election->n_candidates; i++) {
        if (same(&election->candidates[i].name, name)) {
            int32_t priority = election->candidates[i].priority;
            election->n_candidates--;
            memmove(&election->candidates[i], &election->candidates[i + 1],
                    (election->n_candidates - i) * sizeof election->candidates[0]);
            return priority;
        }
    }
    return PRIORITY_DEFAULT;
}

static void put_candidate(struct election *election, struct mono now, const struct candidate *candidate)
{
    (void)take_candidate(election, str_of_text(&candidate->name));
    forget_candidates(election, now);
    size_t i = 0;
    while (i < election->n_candidates && mono_before(candidate->seen, election->candidates[i].seen)) {
        i++;
    }
    election->candidates =
        mem_realloc(election->candidates, (election->n_candidates + 1) * sizeof election->candidates[0]);
    memmove(&election->candidates[i + 1], &election->candidates[i],
            (election->n_candidates - i) * sizeof election->candidates[0]);
    election->candidates[i] = *candidate;
    election->n_candidates++;
    forget_candidates(election, now);
}

/* --- beginning and ending a tenure: the only sources of events (V1) --- */

static void tell(struct ledger *ledger, struct election *election, enum election_action action,
                 struct wall at, const struct text *previous)
{
    if (election->n_events == ELECTION_EVENTS_KEPT) {
        election->n_events--;
        memmove(&election->events[0], &election->events[1], election->n_events * sizeof election->events[0]);
    }
    election->events = mem_realloc(election->events, (election->n_events + 1) * sizeof election->events[0]);
    struct happening *happening = &election->events[election->n_events++];
    happening->leader = election->tenure.leader;
    happening->previous = *previous;
    happening->event = (struct election_event){.at = at, .action = action, .token = election->tenure.token};
    if (ledger->options.event != NULL) {
        struct election_event event = happening->event;
        event.kind = str_of_text(&election->kind);
        event.election = str_of_text(&election->name);
        event.leader = str_of_text(&happening->leader);
        event.previous = str_of_text(&happening->previous);
        ledger->options.event(ledger->options.arg, &event);
    }
}

/* The present leader leads no more, and becomes a candidate like any other. */
static void unseat(struct election *election, struct mono now)
{
    const struct tenure *old = &election->tenure;
    assert(election->led);
    election->led = false;
    put_candidate(election, now, &(struct candidate){old->leader, old->priority, old->seen, old->renewed_at});
}

/* Starts a tenure. `token` is greater than every earlier one (T1). */
static void seat(struct election *election, struct mono now, struct wall wall, struct str leader,
                 uint64_t token, int32_t term_ms, struct mono not_before)
{
    assert(!election->led && token > election->tenure.token);
    forget_candidates(election, now);
    int32_t priority = take_candidate(election, leader);
    election->led = true;
    election->tenure = (struct tenure){
        .leader = text_of(leader),
        .token = token,
        .expires = lease_expiry(now, term_ms, not_before),
        .term_ms = term_ms,
        .recorded_ms = term_ms,
        .elected_at = wall,
        .renewed_at = wall,
        .seen = now,
        .priority = priority,
    };
}

static void grant(struct ledger *ledger, struct election *election, struct mono now, struct wall wall,
                  struct str leader, uint64_t token, int32_t term_ms)
{
    struct text previous = election->tenure.leader;
    seat(election, now, wall, leader, token, term_ms, now);
    tell(ledger, election, ACTION_ELECTED, wall, &previous);
}

static void end(struct ledger *ledger, struct election *election, struct mono now, struct wall at,
                enum election_action action)
{
    unseat(election, now);
    tell(ledger, election, action, at, &(struct text){0});
}

static void vacate(struct ledger *ledger, struct election *election, struct mono now, struct wall at,
                   enum election_action action)
{
    end(ledger, election, now, at, action);
    election->vacated = ++ledger->vacations;
    forget_vacant(ledger); /* the election itself may be gone now */
}

/* L5: over at exactly `expires`. */
static bool is_over(const struct election *election, struct mono now)
{
    return election->led && !mono_before(now, election->tenure.expires);
}

static void expire(struct ledger *ledger, struct election *election, struct mono now, struct wall wall)
{
    struct wall at = {wall.us - mono_sub(now, election->tenure.expires)};
    vacate(ledger, election, now, at, ACTION_EXPIRED);
}

void ledger_sweep(struct ledger *ledger, struct mono now, struct wall wall)
{
    for (;;) {
        struct election *first = NULL;
        for (size_t i = 0; i < ledger->n; i++) {
            struct election *election = ledger->elections[i];
            if (is_over(election, now) &&
                (first == NULL || mono_before(election->tenure.expires, first->tenure.expires))) {
                first = election;
            }
        }
        if (first == NULL) {
            return;
        }
        expire(ledger, first, now, wall);
    }
}

/* --- the operations; `election` is NULL when nothing is known of it --- */

struct question {
    struct ledger *ledger;
    struct election *election;
    struct mono now;
    struct wall wall;
    struct election_request *request;
};

static bool is_led(const struct question *q)
{
    return q->election != NULL && q->election->led;
}

static bool leads(const struct question *q, struct str name)
{
    return is_led(q) && same(&q->election->tenure.leader, name);
}

static enum err show_tenure(const struct question *q, enum err err)
{
    if (is_led(q)) {
        const struct tenure *tenure = &q->election->tenure;
        q->request->tenure = (struct election_tenure){
            .leader = str_of_text(&tenure->leader),
            .token = tenure->token,
            .expires = tenure->expires,
            .term_ms = tenure->term_ms,
            .elected_at = tenure->elected_at,
            .renewed_at = tenure->renewed_at,
        };
    }
    return err;
}

/* T5: 0 when there are no more; then nothing may change. */
static uint64_t next_token(const struct question *q)
{
    uint64_t token = hlc_next(&q->ledger->tokens, q->wall);
    if (token == 0) {
        q->request->why = STR("there are no more tokens");
    }
    return token;
}

/* A leader is heard of again: its term starts anew, and nothing it was promised gets shorter. */
static void renew(const struct question *q)
{
    struct tenure *tenure = &q->election->tenure;
    tenure->term_ms = q->request->term_ms;
    tenure->expires = lease_expiry(q->now, q->request->term_ms, tenure->expires); /* L3 */
    if (tenure->recorded_ms < q->request->term_ms) {
        tenure->recorded_ms = q->request->term_ms;
    }
    tenure->renewed_at = q->wall;
    tenure->seen = q->now;
}

static enum err campaign(struct question *q)
{
    struct election_request *request = q->request;
    if (is_led(q) && !leads(q, request->candidate)) {
        put_candidate(q->election, q->now,
                      &(struct candidate){text_of(request->candidate), request->priority, q->now, q->wall});
        return show_tenure(q, EA_OK);
    }
    if (is_led(q) && q->election->tenure.token > request->past) { /* T3, T4: adopted */
        renew(q);
    } else {
        uint64_t token = next_token(q);
        if (token == 0) {
            return EA_UNAVAILABLE;
        }
        if (is_led(q)) { /* T4 */
            end(q->ledger, q->election, q->now, q->wall, ACTION_RESIGNED);
        } else if (q->election == NULL) {
            q->election = add(q->ledger, request->kind, request->election);
        }
        grant(q->ledger, q->election, q->now, q->wall, request->candidate, token, request->term_ms);
    }
    q->election->tenure.priority = request->priority;
    request->elected = true;
    return show_tenure(q, EA_OK);
}

static enum err extend(struct question *q)
{
    if (!is_led(q)) {
        return EA_NOT_FOUND; /* E4 */
    }
    uint64_t token = q->request->token;
    if (!leads(q, q->request->candidate) || (token != 0 && token != q->election->tenure.token)) {
        return show_tenure(q, EA_HELD);
    }
    renew(q);
    return show_tenure(q, EA_OK);
}

static enum err resign(struct question *q)
{
    uint64_t token = q->request->token;
    if (!leads(q, q->request->candidate) || (token != 0 && token != q->election->tenure.token)) {
        return EA_NOT_FOUND; /* E5 */
    }
    vacate(q->ledger, q->election, q->now, q->wall, ACTION_RESIGNED);
    return EA_OK;
}

static enum err handover(struct question *q)
{
    const struct election_request *request = q->request;
    bool from_fails = request->from.n > 0 && !leads(q, request->from);
    bool token_fails = request->token != 0 && (!is_led(q) || request->token != q->election->tenure.token);
    if (from_fails || token_fails) {
        return show_tenure(q, EA_HELD); /* E6 */
    }
    uint64_t token = next_token(q);
    if (token == 0) {
        return EA_UNAVAILABLE;
    }
    if (!is_led(q)) {
        if (q->election == NULL) {
            q->election = add(q->ledger, request->kind, request->election);
        }
        grant(q->ledger, q->election, q->now, q->wall, request->candidate, token, request->term_ms);
        return show_tenure(q, EA_OK);
    }
    /* E7: in one step, and not shorter than what the old leader was promised. */
    bool to_itself = leads(q, request->candidate);
    int32_t old_priority = q->election->tenure.priority;
    struct text previous = q->election->tenure.leader;
    struct mono old_expires = q->election->tenure.expires;
    int64_t old_left_ms = (mono_sub(old_expires, q->now) + US_PER_MS - 1) / US_PER_MS;
    unseat(q->election, q->now);
    seat(q->election, q->now, q->wall, request->candidate, token, request->term_ms, old_expires);
    if (q->election->tenure.recorded_ms < old_left_ms) {
        q->election->tenure.recorded_ms = (int32_t)old_left_ms;
    }
    if (to_itself) {
        q->election->tenure.priority = old_priority;
    }
    tell(q->ledger, q->election, ACTION_HANDED_OVER, q->wall, &previous);
    return show_tenure(q, EA_OK);
}

static enum err get(struct question *q)
{
    return show_tenure(q, is_led(q) ? EA_OK : EA_NOT_FOUND);
}

/* --- the large answers, copied into the request's arena --- */

static void show_candidate(const struct question *q, struct election_candidate candidate)
{
    struct election_info *info = &q->request->info;
    candidate.name = arena_str(q->request->arena, candidate.name);
    info->candidates[info->n_candidates++] = candidate;
}

static void show_candidates(const struct question *q)
{
    const struct election *election = q->election;
    const struct election_candidate leader = {str_of_text(&election->tenure.leader),
                                              election->tenure.priority, election->tenure.renewed_at, true};
    bool leader_due = election->led;
    q->request->info.candidates =
        arena_alloc(q->request->arena, (election->n_candidates + 1) * sizeof(struct election_candidate));
    for (size_t i = 0; i < election->n_candidates; i++) {
        const struct candidate *candidate = &election->candidates[i];
        if (leader_due && !mono_before(election->tenure.seen, candidate->seen)) {
            show_candidate(q, leader);
            leader_due = false;
        }
        show_candidate(q, (struct election_candidate){str_of_text(&candidate->name), candidate->priority,
                                                      candidate->last_seen, false});
    }
    if (leader_due) {
        show_candidate(q, leader);
    }
}

static enum err info(struct question *q)
{
    if (q->election == NULL) {
        return EA_NOT_FOUND;
    }
    struct election_info *answer = &q->request->info;
    struct arena *arena = q->request->arena;
    forget_candidates(q->election, q->now);
    show_candidates(q);
    answer->n_events = q->election->n_events;
    answer->events = arena_zalloc(arena, (answer->n_events + 1) * sizeof answer->events[0]);
    for (size_t i = 0; i < answer->n_events; i++) {
        const struct happening *happening = &q->election->events[i];
        answer->events[i] = happening->event;
        answer->events[i].kind = q->request->kind;
        answer->events[i].election = q->request->election;
        answer->events[i].leader = arena_str(arena, str_of_text(&happening->leader));
        answer->events[i].previous = arena_str(arena, str_of_text(&happening->previous));
    }
    return show_tenure(q, EA_OK);
}

static int compare_leaders(const void *a, const void *b)
{
    const struct election_leader *left = a;
    const struct election_leader *right = b;
    return str_cmp(left->election, right->election);
}

static enum err list(struct question *q)
{
    const struct ledger *ledger = q->ledger;
    const struct election_request *request = q->request;
    struct election_list *answer = &q->request->list;
    answer->leaders = arena_zalloc(request->arena, (ledger->n + 1) * sizeof answer->leaders[0]);
    for (size_t i = 0; i < ledger->n; i++) {
        const struct election *election = ledger->elections[i];
        if (election->led && !is_over(election, q->now) && same(&election->kind, request->kind) &&
            str_cmp(str_of_text(&election->name), request->after) > 0) {
            answer->leaders[answer->n++] = (struct election_leader){
                .election = arena_str(request->arena, str_of_text(&election->name)),
                .leader = arena_str(request->arena, str_of_text(&election->tenure.leader)),
                .token = election->tenure.token,
            };
        }
    }
    qsort(answer->leaders, answer->n, sizeof answer->leaders[0], compare_leaders);
    if (answer->n > request->page_size) {
        answer->n = request->page_size;
        answer->more = true;
    }
    return EA_OK;
}

void ledger_decide(struct ledger *ledger, struct mono now, struct wall wall, struct election_request *request)
{
    static enum err (*const operations[OP_COUNT])(struct question *) = {
        [OP_CAMPAIGN] = campaign, [OP_EXTEND] = extend, [OP_RESIGN] = resign, [OP_HANDOVER] = handover,
        [OP_GET] = get,           [OP_INFO] = info,     [OP_LIST] = list,
    };
    struct question q = {.ledger = ledger, .now = now, .wall = wall, .request = request};
    request->why = (struct str){0};
    request->elected = false;
    request->tenure = (struct election_tenure){0};
    request->info = (struct election_info){0};
    request->list = (struct election_list){0};
    if (request->op != OP_LIST) {
        struct election *election = find(ledger, request->kind, request->election);
        if (election != NULL && is_over(election, now)) {
            expire(ledger, election, now, wall); /* before whatever follows (V2) */
            election = find(ledger, request->kind, request->election);
        }
        q.election = election;
    }
    request->err = operations[request->op](&q);
}

/* --- restarts, counts, checks --- */

bool ledger_restore(struct ledger *ledger, struct mono now, const struct book_record *record)
{
    if (find(ledger, record->kind, record->election) != NULL) {
        return false;
    }
    struct election *election = add(ledger, record->kind, record->election);
    seat(election, now, record->elected_at, record->leader, record->token, record->term_ms, now); /* S3 */
    if (ledger->tokens.last < record->token) {
        ledger->tokens.last = record->token;
    }
    return true;
}

void ledger_each(const struct ledger *ledger, void (*visit)(void *arg, const struct book_record *record),
                 void *arg)
{
    for (size_t i = 0; i < ledger->n; i++) {
        const struct election *election = ledger->elections[i];
        if (election->led) {
            struct book_record record = {
                .kind = str_of_text(&election->kind),
                .election = str_of_text(&election->name),
                .leader = str_of_text(&election->tenure.leader),
                .token = election->tenure.token,
                .term_ms = election->tenure.recorded_ms,
                .elected_at = election->tenure.elected_at,
            };
            visit(arg, &record);
        }
    }
}

static uint64_t count_kind(const struct ledger *ledger, struct mono now, size_t from, size_t to,
                           struct str kind)
{
    uint64_t found = 0;
    for (size_t i = from; i < to; i++) {
        const struct election *election = ledger->elections[i];
        found += election->led && !is_over(election, now) && same(&election->kind, kind);
    }
    return found;
}

void ledger_count(const struct ledger *ledger, struct mono now,
                  void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    for (size_t i = 0; i < ledger->n; i++) {
        struct str kind = str_of_text(&ledger->elections[i]->kind);
        bool is_first = count_kind(ledger, now, 0, i, kind) == 0;
        uint64_t elections = count_kind(ledger, now, i, ledger->n, kind);
        if (is_first && elections > 0 && count_kind(ledger, now, i, i + 1, kind) == 1) {
            row(arg, kind, elections);
        }
    }
}

static void check_election(const struct ledger *ledger, const struct election *election, struct mono now)
{
    const struct tenure *tenure = &election->tenure;
    assert(find(ledger, str_of_text(&election->kind), str_of_text(&election->name)) == election); /* N2, E1 */
    assert(tenure->token > 0 && tenure->token < HLC_LIMIT && tenure->token <= ledger->tokens.last); /* T5 */
    assert(tenure->term_ms > 0 && tenure->term_ms <= tenure->recorded_ms);
    assert(!election->led ||
           mono_sub(tenure->expires, now) <= (int64_t)tenure->recorded_ms * US_PER_MS);              /* L4 */
    assert(election->n_candidates <= CANDIDATES_KEPT && election->n_events <= ELECTION_EVENTS_KEPT); /* V3 */
    for (size_t i = 0; i < election->n_candidates; i++) {
        const struct candidate *candidate = &election->candidates[i];
        assert(i == 0 || !mono_before(election->candidates[i - 1].seen, candidate->seen));
        assert(!election->led || !same(&candidate->name, str_of_text(&tenure->leader)));
    }
}

void ledger_check(const struct ledger *ledger, struct mono now)
{
    size_t vacant = 0;
    for (size_t i = 0; i < ledger->n; i++) {
        vacant += !ledger->elections[i]->led;
        check_election(ledger, ledger->elections[i], now);
    }
    assert(vacant <= ledger->options.vacant_kept); /* V3 */
}
