/*
 * The rules of an election (DESIGN.md, whose invariants are cited by number). One function per operation;
 * each refuses before its first write (E8). Two functions begin and end tenures, and with them all events:
 * tenure_begin and tenure_end; handover is the one that does both in one step.
 */
#include "core/book.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "core/book_internal.h"
#include "core/lease.h"

#define US_PER_MS 1000

/* A decision under way. */
struct decision {
    struct book *book;
    struct book_now now;
    struct election_request *request;
    struct book_outcome *outcome;
    struct book_lease *lease; /* NULL: nothing is known of the election */
};

struct book *book_new(const struct book_options *options)
{
    struct book *book = mem_zalloc(sizeof *book);
    map_init(&book->leases);
    map_init(&book->kinds);
    wheel_init(&book->wheel, options->now);
    book->seed = options->seed;
    book->vacant_kept = options->vacant_kept;
    book->vacant_bytes_max = options->vacant_bytes > 0 ? options->vacant_bytes : SIZE_MAX;
    book->hooks = options->hooks;
    assert(options->first_token < HLC_LIMIT); /* T5 */
    book->hlc.last = options->first_token;
    return book;
}

/* Nothing is taken out of anything, since all goes: a million leases would take seconds, at the agent's end. */
static void free_lease(struct map_node *node, void *arg)
{
    struct book_lease *lease = CONTAINER_OF(node, struct book_lease, node);
    trail_free(lease->trail);
    mem_free(lease);
}

static void free_kind(struct map_node *node, void *arg)
{
    mem_free(CONTAINER_OF(node, struct book_kind, node));
}

void book_free(struct book *book)
{
    if (book == NULL) {
        return;
    }
    for (uint64_t cursor = 0; (cursor = map_scan(&book->leases, cursor, free_lease, NULL)) != 0;) {
    }
    for (uint64_t cursor = 0; (cursor = map_scan(&book->kinds, cursor, free_kind, NULL)) != 0;) {
    }
    map_fini(&book->leases);
    map_fini(&book->kinds);
    mem_free(book);
}

/* --- what hooks and answers say of a lease --- */

static struct book_record record_of(const struct book_lease *lease)
{
    return (struct book_record){
        .kind = lease_kind(lease),
        .election = lease_election(lease),
        .leader = lease_leader(lease),
        .token = lease->token,
        .term_ms = lease->recorded_ms,
        .elected_at = lease->elected_at,
    };
}

static struct election_tenure tenure_of(const struct book_lease *lease)
{
    return (struct election_tenure){
        .leader = lease_leader(lease),
        .token = lease->token,
        .expires = lease->expires,
        .term_ms = lease->term_ms,
        .elected_at = lease->elected_at,
        .renewed_at = lease->renewed_at,
    };
}

static void tell_keep(struct book *book, const struct book_lease *lease)
{
    if (book->hooks.keep != NULL) {
        struct book_record record = record_of(lease);
        book->hooks.keep(book->hooks.arg, &record);
    }
}

static void tell_drop(struct book *book, const struct book_lease *lease, bool answered)
{
    if (book->hooks.drop != NULL) {
        book->hooks.drop(book->hooks.arg, lease_kind(lease), lease_election(lease), answered);
    }
}

static void tell_event(struct book *book, const struct book_lease *lease, enum election_action action,
                       struct wall at, struct str previous)
{
    if (book->hooks.event == NULL) {
        return;
    }
    struct election_event event = {
        .at = at,
        .action = action,
        .kind = lease_kind(lease),
        .election = lease_election(lease),
        .leader = lease_leader(lease),
        .previous = previous,
        .token = lease->token,
    };
    book->hooks.event(book->hooks.arg, &event);
}

/* --- tenures begin and end --- */

static bool lease_led(const struct book_lease *lease)
{
    return lease != NULL && lease->led;
}

static bool lease_led_by(const struct book_lease *lease, struct str name)
{
    return lease_led(lease) && str_eq(lease_leader(lease), name);
}

/* The leader joins those who were seen lately. */
static void remember_leader(struct book *book, struct book_lease *lease, struct mono now)
{
    if (mono_sub(now, lease->renewed) < BOOK_CANDIDATE_US) {
        candidates_see(book, lease, lease_leader(lease), lease->priority, lease->renewed, lease->renewed_at,
                       now);
    }
}

/* E2: the callers are all the ways for a tenure to end, but a handover. The election is then neither led nor
 * on the list of vacant ones; the caller decides what it becomes. */
static void tenure_end(struct book *book, struct book_lease *lease, struct mono now, struct wall at,
                       enum election_action action)
{
    assert(lease->led);
    events_settle(lease);
    struct election_event event = {
        .at = at, .action = action, .leader = lease_leader(lease), .token = lease->token};
    events_push(lease, &event);
    remember_leader(book, lease, now);
    table_unlead(book, lease);
    tell_event(book, lease, action, at, (struct str){NULL, 0});
}

/* Nobody follows. Returns what is left of the election, NULL if nothing is remembered. */
static struct book_lease *tenure_vacate(struct book *book, struct book_lease *lease, bool answered)
{
    tell_drop(book, lease, answered);
    table_tell_kind(book, lease->kind);
    table_vacate(book, lease);
    return book->vacant_kept > 0 ? lease : NULL;
}

static struct book_lease *expire(struct book *book, struct book_lease *lease, struct book_now now)
{
    assert(!mono_before(now.mono, lease->expires)); /* L5 */
    struct wall at = {now.wall.us - mono_sub(now.mono, lease->expires)};
    tenure_end(book, lease, now.mono, at, ACTION_EXPIRED);
    return tenure_vacate(book, lease, false);
}

static void refuse(struct election_request *request, const char *why)
{
    request->err = EA_UNAVAILABLE;
    request->why = str_of(why);
}

/* Whether a change can be written. */
static bool may_change(const struct decision *d)
{
    if (d->book->frozen != NULL) {
        refuse(d->request, d->book->frozen);
        return false;
    }
    return true;
}

/* 0, and the request refused, if a tenure can't begin now. Drawn before anything changes (T5). */
static uint64_t draw_token(const struct decision *d)
{
    if (!may_change(d)) {
        return 0;
    }
    uint64_t last = d->book->hlc.last;
    uint64_t token = hlc_next(&d->book->hlc, d->now.wall);
    if (token == 0) {
        refuse(d->request, "the range of fencing tokens is used up");
        return 0;
    }
    assert(token > last && token < HLC_LIMIT);           /* T1, T5 */
    assert(d->lease == NULL || token > d->lease->token); /* T1, T2 */
    return token;
}

/* Writes a tenure into an election that is neither led nor on the list of vacant ones. */
static struct book_lease *tenure_begin(struct decision *d, uint64_t token, struct mono expires,
                                       int32_t recorded_ms)
{
    const struct election_request *request = d->request;
    struct book *book = d->book;
    struct book_lease *lease = d->lease != NULL
                                   ? table_rename(book, d->lease, request->candidate)
                                   : table_add(book, request->kind, request->election, request->candidate);
    assert(mono_before(d->now.mono, expires)); /* L4 */
    lease->token = token;
    lease->mark = 0;
    lease->expires = expires;
    lease->term_ms = request->term_ms;
    lease->recorded_ms = recorded_ms;
    lease->renewed = d->now.mono;
    lease->renewed_at = d->now.wall;
    lease->elected_at = d->now.wall;
    table_lead(book, lease);
    d->lease = lease;
    d->outcome->changed = true;
    tell_keep(book, lease);
    return lease;
}

/* Nobody leads: d->lease is NULL, or neither led nor on the list of vacant ones. */
static void grant(struct decision *d, uint64_t token, int32_t priority)
{
    const struct election_request *request = d->request;
    char name[UINT8_MAX];
    struct str previous = {name, 0};
    assert(request != NULL);
    if (d->lease != NULL) {
        previous.n = d->lease->leader_bytes;
        memcpy(name, lease_leader(d->lease).p, previous.n);
    }
    struct mono expires = lease_expiry(d->now.mono, request->term_ms, d->now.mono);
    struct book_lease *lease = tenure_begin(d, token, expires, request->term_ms);
    lease->implied = true;
    lease->priority = priority;
    table_tell_kind(d->book, lease->kind);
    tell_event(d->book, lease, ACTION_ELECTED, d->now.wall, previous);
    d->request->tenure = tenure_of(lease);
}

/* The rest of a grant to somebody when the election is vacant or unknown. */
static bool grant_vacant(struct decision *d, const int32_t *priority)
{
    uint64_t token = draw_token(d);
    if (token == 0) {
        return false;
    }
    int32_t known = BOOK_PRIORITY_DEFAULT;
    if (d->lease != NULL) {
        table_occupy(d->book, d->lease);
        known = candidates_take(d->book, d->lease, d->request->candidate, d->now.mono);
    }
    grant(d, token, priority != NULL ? *priority : known);
    return true;
}

/* The term starts anew; the tenure, its token and its events stay (T3). False if refused. */
static bool renew(struct decision *d)
{
    struct book_lease *lease = d->lease;
    int32_t term_ms = d->request->term_ms;
    if (term_ms > lease->recorded_ms && !may_change(d)) {
        return false;
    }
    lease->term_ms = term_ms;
    lease->expires = lease_expiry(d->now.mono, term_ms, lease->expires); /* L3 */
    lease->renewed = d->now.mono;
    lease->renewed_at = d->now.wall;
    if (term_ms > lease->recorded_ms) {
        lease->recorded_ms = term_ms; /* S3 */
        d->outcome->changed = true;
        tell_keep(d->book, lease);
    }
    d->request->tenure = tenure_of(lease);
    return true;
}

/* --- operations --- */

static void decide_campaign(struct decision *d)
{
    struct election_request *request = d->request;
    struct book_lease *lease = d->lease;
    if (!lease_led(lease)) {
        request->elected = grant_vacant(d, &request->priority);
        return;
    }
    if (!lease_led_by(lease, request->candidate)) {
        candidates_see(d->book, lease, request->candidate, request->priority, d->now.mono, d->now.wall,
                       d->now.mono);
        request->tenure = tenure_of(lease);
        return;
    }
    if (lease->token > request->past) {
        request->elected = renew(d);
        if (request->elected) {
            lease->priority = request->priority;
        }
        return;
    }
    /* T4: its own resignation of this tenure may still be under way. */
    uint64_t token = draw_token(d);
    if (token == 0) {
        return;
    }
    tenure_end(d->book, lease, d->now.mono, d->now.wall, ACTION_RESIGNED);
    (void)candidates_take(d->book, lease, request->candidate, d->now.mono);
    grant(d, token, request->priority);
    request->elected = true;
}

static void decide_extend(struct decision *d)
{
    struct election_request *request = d->request;
    if (!lease_led(d->lease)) {
        request->err = EA_NOT_FOUND; /* E4 */
    } else if (!lease_led_by(d->lease, request->candidate) ||
               (request->token != 0 && request->token != d->lease->token)) {
        request->err = EA_HELD;
        request->tenure = tenure_of(d->lease);
    } else {
        (void)renew(d); /* E3 */
    }
}

static void decide_resign(struct decision *d)
{
    struct election_request *request = d->request;
    if (!lease_led_by(d->lease, request->candidate) ||
        (request->token != 0 && request->token != d->lease->token)) {
        request->err = EA_NOT_FOUND; /* E5 */
        return;
    }
    if (!may_change(d)) {
        return;
    }
    tenure_end(d->book, d->lease, d->now.mono, d->now.wall, ACTION_RESIGNED);
    d->outcome->changed = true;
    d->lease = tenure_vacate(d->book, d->lease, true);
}

/* From the present leader to another tenure in one step (E6, E7): nobody else comes in between. */
static void move(struct decision *d, uint64_t token)
{
    struct election_request *request = d->request;
    struct book *book = d->book;
    struct book_lease *lease = d->lease;
    int64_t left_ms = (mono_sub(lease->expires, d->now.mono) + US_PER_MS - 1) / US_PER_MS;
    int32_t recorded_ms = left_ms > request->term_ms ? (int32_t)left_ms : request->term_ms;
    struct mono expires = lease_expiry(d->now.mono, request->term_ms, lease->expires); /* L3, E7 */
    char name[UINT8_MAX];
    struct str previous = {name, lease->leader_bytes};
    memcpy(name, lease_leader(lease).p, previous.n);

    events_settle(lease);
    if (!str_eq(previous, request->candidate)) {
        remember_leader(book, lease, d->now.mono);
        lease->priority = candidates_take(book, lease, request->candidate, d->now.mono);
    }
    table_unlead(book, lease);
    lease = tenure_begin(d, token, expires, recorded_ms);
    struct election_event event = {.at = d->now.wall,
                                   .action = ACTION_HANDED_OVER,
                                   .leader = lease_leader(lease),
                                   .previous = previous,
                                   .token = token};
    events_push(lease, &event);
    tell_event(book, lease, ACTION_HANDED_OVER, d->now.wall, previous);
    request->tenure = tenure_of(lease);
}

static void decide_handover(struct decision *d)
{
    struct election_request *request = d->request;
    bool led = lease_led(d->lease);
    if ((request->from.n > 0 && !lease_led_by(d->lease, request->from)) ||
        (request->token != 0 && !(led && d->lease->token == request->token))) {
        request->err = EA_HELD;
        if (led) {
            request->tenure = tenure_of(d->lease);
        }
        return;
    }
    if (!led) {
        (void)grant_vacant(d, NULL);
        return;
    }
    uint64_t token = draw_token(d);
    if (token != 0) {
        move(d, token);
    }
}

static void decide_get(struct decision *d)
{
    if (lease_led(d->lease)) {
        d->request->tenure = tenure_of(d->lease);
    } else {
        d->request->err = EA_NOT_FOUND;
    }
}

static void decide_info(struct decision *d)
{
    if (d->lease == NULL) {
        d->request->err = EA_NOT_FOUND;
        return;
    }
    if (d->lease->led) {
        d->request->tenure = tenure_of(d->lease);
    }
    candidates_list(d->lease, d->now.mono, d->request->arena, &d->request->info);
    events_list(d->lease, d->request->arena, &d->request->info);
}

struct page {
    struct election_list *list;
    struct arena *arena;
    size_t most;
    struct mono now;
};

static bool page_add(struct book_lease *lease, void *arg)
{
    struct page *page = arg;
    if (!mono_before(page->now, lease->expires)) {
        return true; /* L5: over, though nobody has noticed yet */
    }
    if (page->list->n == page->most) {
        page->list->more = true;
        return false;
    }
    page->list->leaders[page->list->n++] = (struct election_leader){
        .election = arena_str(page->arena, lease_election(lease)),
        .leader = arena_str(page->arena, lease_leader(lease)),
        .token = lease->token,
    };
    return true;
}

static void decide_list(const struct book *book, struct mono now, struct election_request *request)
{
    const struct book_kind *kind = table_kind(book, request->kind);
    if (kind == NULL) {
        return;
    }
    size_t most = request->page_size < BOOK_PAGE_MAX ? request->page_size : BOOK_PAGE_MAX;
    most = kind->led < most ? kind->led : most;
    struct page page = {.list = &request->list, .arena = request->arena, .most = most, .now = now};
    request->list.leaders = arena_alloc(request->arena, (most + 1) * sizeof *request->list.leaders);
    table_walk(kind, request->after, page_add, &page);
}

static void clear_answer(struct election_request *request)
{
    request->err = EA_OK;
    request->why = (struct str){NULL, 0};
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = 0};
}

void book_decide(struct book *book, struct mono now, struct wall wall, struct election_request *request,
                 struct book_outcome *outcome)
{
    static void (*const operations[OP_COUNT])(struct decision * d) = {
        [OP_CAMPAIGN] = decide_campaign, [OP_EXTEND] = decide_extend, [OP_RESIGN] = decide_resign,
        [OP_HANDOVER] = decide_handover, [OP_GET] = decide_get,       [OP_INFO] = decide_info,
    };
    *outcome = (struct book_outcome){.changed = false};
    clear_answer(request);
    if (request->op == OP_LIST) {
        decide_list(book, now, request);
        return;
    }
    struct decision d = {
        .book = book,
        .now = {now, wall},
        .request = request,
        .outcome = outcome,
        .lease = table_find(book, request->kind, request->election),
    };
    if (lease_led(d.lease) && !mono_before(now, d.lease->expires)) {
        d.lease = expire(book, d.lease, d.now); /* L5 */
    }
    operations[request->op](&d);
    outcome->mark = lease_led(d.lease) ? &d.lease->mark : NULL;
}

/* --- without a request --- */

void book_freeze(struct book *book, const char *why)
{
    book->frozen = why;
}

bool book_withdraw(struct book *book, struct mono now, struct wall wall, struct str kind, struct str election,
                   uint64_t token)
{
    struct book_lease *lease = table_find(book, kind, election);
    if (!lease_led(lease) || lease->token != token) {
        return false;
    }
    tenure_end(book, lease, now, wall, ACTION_STEPPED_DOWN);
    (void)tenure_vacate(book, lease, false);
    return true;
}

bool book_expire(struct book *book, struct mono now, struct wall wall, size_t most)
{
    for (; most > 0; most--) {
        struct wheel_entry *entry = wheel_pop(&book->wheel, now);
        if (entry == NULL) {
            break;
        }
        struct book_lease *lease = CONTAINER_OF(entry, struct book_lease, timer);
        if (mono_before(now, lease->expires)) {
            wheel_start(&book->wheel, &lease->timer, lease->expires); /* extended since */
        } else {
            (void)expire(book, lease, (struct book_now){now, wall});
        }
    }
    return !mono_before(now, wheel_next(&book->wheel));
}

struct mono book_next(const struct book *book)
{
    return wheel_next(&book->wheel);
}

bool book_restore(struct book *book, struct mono now, const struct book_record *record)
{
    if (table_find(book, record->kind, record->election) != NULL) {
        return false;
    }
    bool observed = hlc_observe(&book->hlc, record->token);
    assert(observed && record->token > 0 && record->term_ms > 0); /* T5, S4 */
    (void)observed;
    struct book_lease *lease = table_add(book, record->kind, record->election, record->leader);
    lease->token = record->token;
    lease->expires = lease_expiry(now, record->term_ms, now); /* S3 */
    lease->term_ms = record->term_ms;
    lease->recorded_ms = record->term_ms;
    lease->priority = BOOK_PRIORITY_DEFAULT;
    lease->renewed = now;
    lease->renewed_at = record->elected_at;
    lease->elected_at = record->elected_at;
    table_lead(book, lease);
    table_tell_kind(book, lease->kind);
    return true;
}

uint64_t book_last_token(const struct book *book)
{
    return book->hlc.last;
}

struct each {
    void (*visit)(void *arg, const struct book_record *record);
    void *arg;
};

static void each_lease(struct map_node *node, void *arg)
{
    const struct each *each = arg;
    const struct book_lease *lease = CONTAINER_OF(node, struct book_lease, node);
    if (lease->led) {
        struct book_record record = record_of(lease);
        each->visit(each->arg, &record);
    }
}

void book_each(const struct book *book, void (*visit)(void *arg, const struct book_record *record), void *arg)
{
    struct each each = {visit, arg};
    for (uint64_t cursor = 0; (cursor = map_scan(&book->leases, cursor, each_lease, &each)) != 0;) {
    }
}

struct count {
    void (*row)(void *arg, struct str kind, uint64_t elections);
    void *arg;
};

static void count_kind(struct map_node *node, void *arg)
{
    const struct count *count = arg;
    const struct book_kind *kind = CONTAINER_OF(node, struct book_kind, node);
    if (kind->led > 0) {
        count->row(count->arg, (struct str){kind->name, kind->name_bytes}, kind->led);
    }
}

void book_count(const struct book *book, void (*row)(void *arg, struct str kind, uint64_t elections),
                void *arg)
{
    struct count count = {row, arg};
    for (uint64_t cursor = 0; (cursor = map_scan(&book->kinds, cursor, count_kind, &count)) != 0;) {
    }
}

size_t book_size(const struct book *book)
{
    return book->led;
}
