/* The rules, one sentence each; in the end a seeded walk through all of them with every structural check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "core/book.h"

#define TERM_MS 10000

struct told {
    char text[4096];
    size_t n;
};

struct bench {
    struct clock_fake clock;
    struct book *book;
    struct arena arena;
    struct election_request request;
    struct book_outcome outcome;
    struct told told; /* what the hooks were called with, a line each */
};

__attribute__((format(printf, 2, 3))) static void tell(struct told *told, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(told->text + told->n, sizeof told->text - told->n, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof told->text - told->n) {
        told->n += (size_t)n;
    }
}

static void on_keep(void *arg, const struct book_record *record)
{
    struct bench *b = arg;
    tell(&b->told, "keep %.*s %.*s %.*s %d\n", STR_ARG(record->kind), STR_ARG(record->election),
         STR_ARG(record->leader), record->term_ms);
}

static void on_drop(void *arg, struct str kind, struct str election, bool answered)
{
    struct bench *b = arg;
    tell(&b->told, "drop %.*s %.*s %s\n", STR_ARG(kind), STR_ARG(election), answered ? "answered" : "lazily");
}

static void on_event(void *arg, const struct election_event *event)
{
    struct bench *b = arg;
    tell(&b->told, "%s %.*s %.*s (%.*s)\n", election_action_word(event->action), STR_ARG(event->election),
         STR_ARG(event->leader), STR_ARG(event->previous));
}

static void on_kind(void *arg, void **slot, struct str kind, uint64_t led)
{
    struct bench *b = arg;
    assert_true(led > 0 || b->book != NULL);
    *slot = led > 0 ? b : NULL;
    (void)kind;
}

static void bench_init(struct bench *b, size_t vacant_kept, uint64_t first_token)
{
    *b = (struct bench){.book = NULL};
    clock_fake_init(&b->clock);
    arena_init(&b->arena, NULL, 0);
    struct book_options options = {
        .now = b->clock.mono,
        .seed = 7,
        .first_token = first_token,
        .vacant_kept = vacant_kept,
        .hooks = {.keep = on_keep, .drop = on_drop, .event = on_event, .kind = on_kind, .arg = b},
    };
    b->book = book_new(&options);
}

static int set_up(void **state)
{
    struct bench *b = mem_zalloc(sizeof *b);
    bench_init(b, 100, 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    book_check(b->book);
    book_free(b->book);
    arena_reset(&b->arena);
    mem_free(b);
    return 0;
}

static struct election_request *decide(struct bench *b, struct election_request request)
{
    b->request = request;
    if (b->request.kind.n == 0) {
        b->request.kind = STR("default");
    }
    if (b->request.election.n == 0) {
        b->request.election = STR("e");
    }
    if (b->request.term_ms == 0) {
        b->request.term_ms = TERM_MS;
    }
    b->request.arena = &b->arena;
    b->told = (struct told){.n = 0};
    book_decide(b->book, b->clock.mono, b->clock.wall, &b->request, &b->outcome);
    return &b->request;
}

static struct election_request *campaign(struct bench *b, const char *who)
{
    return decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = str_of(who), .priority = 1});
}

static struct election_request *op(struct bench *b, enum election_op operation, const char *who)
{
    return decide(b, (struct election_request){.op = operation, .candidate = str_of(who)});
}

static void advance_ms(struct bench *b, int64_t ms)
{
    clock_fake_advance_us(&b->clock, ms * 1000);
}

#define assert_leads(b, name, tok)                              \
    do {                                                        \
        struct election_request *got_ = op((b), OP_GET, "");    \
        assert_int_equal(got_->err, EA_OK);                     \
        assert_true(str_eq(got_->tenure.leader, str_of(name))); \
        assert_true((tok) == 0 || got_->tenure.token == (tok)); \
    } while (0)

#define assert_nobody_leads(b) assert_int_equal(op((b), OP_GET, "")->err, EA_NOT_FOUND)

/* --- campaign --- */

static void a_free_election_is_granted_with_a_token_and_kept(void **state)
{
    struct bench *b = *state;
    struct election_request *r = campaign(b, "a");
    assert_int_equal(r->err, EA_OK);
    assert_true(r->elected && b->outcome.changed && b->outcome.mark != NULL);
    assert_true(r->tenure.token >= (uint64_t)b->clock.wall.us);
    assert_int_equal(r->tenure.expires.us, b->clock.mono.us + TERM_MS * 1000);
    assert_string_equal(b->told.text, "keep default e a 10000\nelected e a ()\n");
}

static void the_holder_keeps_its_token_and_its_term_starts_anew(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    struct wall elected_at = b->clock.wall;
    advance_ms(b, 4000);
    struct election_request *r = campaign(b, "a");
    assert_true(r->elected && r->tenure.token == token && !b->outcome.changed);
    assert_int_equal(r->tenure.expires.us, b->clock.mono.us + TERM_MS * 1000);
    assert_int_equal(r->tenure.elected_at.us, elected_at.us);
    assert_int_equal(r->tenure.renewed_at.us, b->clock.wall.us);
    assert_string_equal(b->told.text, "");
}

static void a_loser_learns_who_leads(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    struct election_request *r = campaign(b, "b");
    assert_int_equal(r->err, EA_OK);
    assert_false(r->elected || b->outcome.changed);
    assert_true(str_eq(r->tenure.leader, STR("a")) && r->tenure.token == token);
    assert_string_equal(b->told.text, "");
}

static void a_shorter_term_takes_nothing_back(void **state)
{
    struct bench *b = *state;
    struct mono expires = campaign(b, "a")->tenure.expires;
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("a"), .term_ms = 1000});
    assert_int_equal(r->tenure.expires.us, expires.us);
    assert_int_equal(r->tenure.term_ms, 1000);
    r = decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .term_ms = 2000});
    assert_int_equal(r->tenure.expires.us, expires.us);
    assert_false(b->outcome.changed);
}

static void a_longer_term_is_kept(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .term_ms = TERM_MS + 1});
    assert_int_equal(r->err, EA_OK);
    assert_true(b->outcome.changed);
    assert_string_equal(b->told.text, "keep default e a 10001\n");
    op(b, OP_EXTEND, "a");
    assert_false(b->outcome.changed);
}

static void a_tenure_that_was_given_up_is_never_adopted(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("a"), .past = token - 1});
    assert_true(r->elected && r->tenure.token == token);
    r = decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("a"), .past = token});
    assert_true(r->elected && r->tenure.token > token && b->outcome.changed);
    assert_string_equal(b->told.text, "resigned e a ()\nkeep default e a 10000\nelected e a (a)\n");
    r = decide(b, (struct election_request){.op = OP_RESIGN, .candidate = STR("a"), .token = token});
    assert_int_equal(r->err, EA_NOT_FOUND);
}

static void somebody_elses_past_takes_nothing(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("b"), .past = UINT64_MAX});
    assert_false(r->elected);
    assert_leads(b, "a", token);
}

/* --- expiry --- */

static void a_lease_ends_exactly_at_its_time_seen_or_not(void **state)
{
    struct bench *b = *state;
    struct wall end = {b->clock.wall.us + TERM_MS * 1000};
    uint64_t token = campaign(b, "a")->tenure.token;
    clock_fake_advance_us(&b->clock, TERM_MS * 1000 - 1);
    assert_leads(b, "a", token);
    clock_fake_advance_us(&b->clock, 1);
    assert_nobody_leads(b);
    assert_false(b->outcome.changed);
    assert_string_equal(b->told.text, "expired e a ()\ndrop default e lazily\n");
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_events, 2);
    assert_int_equal(r->info.events[1].at.us, end.us);
    assert_int_equal(book_size(b->book), 0);
}

static void an_expiry_is_told_before_what_follows_it(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    advance_ms(b, TERM_MS);
    struct election_request *r = campaign(b, "b");
    assert_true(r->elected && r->tenure.token > token);
    assert_string_equal(b->told.text,
                        "expired e a ()\ndrop default e lazily\nkeep default e b 10000\nelected e b (a)\n");
}

static void an_extension_never_revives_a_lease(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    advance_ms(b, TERM_MS);
    assert_int_equal(op(b, OP_EXTEND, "a")->err, EA_NOT_FOUND);
}

static void the_sweep_ends_what_is_due_and_nothing_else(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "e%d", i);
        decide(b, (struct election_request){.op = OP_CAMPAIGN,
                                            .election = str_of(name),
                                            .candidate = STR("a"),
                                            .term_ms = 1000 * (i + 1)});
    }
    decide(b, (struct election_request){.op = OP_EXTEND, .election = STR("e0"), .candidate = STR("a")});
    advance_ms(b, 5000);
    assert_true(book_next(b->book).us <= b->clock.mono.us);
    /* e0 was extended; e1 to e4 are due, two at a time. */
    int rounds = 0;
    while (book_expire(b->book, b->clock.mono, b->clock.wall, 2)) {
        rounds++;
    }
    assert_true(rounds >= 1);
    assert_int_equal(book_size(b->book), 6);
    assert_true(book_next(b->book).us > b->clock.mono.us);
    advance_ms(b, 3600000);
    assert_false(book_expire(b->book, b->clock.mono, b->clock.wall, 1000));
    assert_int_equal(book_next(b->book).us, MONO_NEVER.us);
}

/* --- extend, resign --- */

static void an_extension_names_its_holder_and_its_tenure(void **state)
{
    struct bench *b = *state;
    assert_int_equal(op(b, OP_EXTEND, "a")->err, EA_NOT_FOUND);
    uint64_t token = campaign(b, "a")->tenure.token;
    struct election_request *r = op(b, OP_EXTEND, "b");
    assert_int_equal(r->err, EA_HELD);
    assert_true(str_eq(r->tenure.leader, STR("a")));
    r = decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .token = token + 1});
    assert_int_equal(r->err, EA_HELD);
    assert_true(r->tenure.token == token);
    advance_ms(b, 1000);
    r = decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .token = token});
    assert_int_equal(r->err, EA_OK);
    assert_int_equal(r->tenure.expires.us, b->clock.mono.us + TERM_MS * 1000);
}

static void a_resignation_ends_only_the_tenure_it_names(void **state)
{
    struct bench *b = *state;
    assert_int_equal(op(b, OP_RESIGN, "a")->err, EA_NOT_FOUND);
    uint64_t token = campaign(b, "a")->tenure.token;
    assert_int_equal(op(b, OP_RESIGN, "b")->err, EA_NOT_FOUND);
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_RESIGN, .candidate = STR("a"), .token = token - 1});
    assert_int_equal(r->err, EA_NOT_FOUND);
    assert_leads(b, "a", token);
    r = decide(b, (struct election_request){.op = OP_RESIGN, .candidate = STR("a"), .token = token});
    assert_int_equal(r->err, EA_OK);
    assert_true(b->outcome.changed && b->outcome.mark == NULL && r->tenure.token == 0);
    assert_string_equal(b->told.text, "resigned e a ()\ndrop default e answered\n");
    assert_nobody_leads(b);
    assert_true(campaign(b, "b")->tenure.token > token);
}

/* --- handover --- */

static void a_handover_moves_the_election_in_one_step(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    advance_ms(b, 1000);
    struct election_request *r = decide(b, (struct election_request){.op = OP_HANDOVER,
                                                                     .candidate = STR("a longer name"),
                                                                     .from = STR("a"),
                                                                     .token = token,
                                                                     .term_ms = 2000});
    assert_int_equal(r->err, EA_OK);
    assert_true(r->tenure.token > token && str_eq(r->tenure.leader, STR("a longer name")));
    /* not before the old leader's own end */
    assert_int_equal(r->tenure.expires.us, b->clock.mono.us + (TERM_MS - 1000) * 1000);
    assert_string_equal(b->told.text, "keep default e a longer name 9000\nhanded_over e a longer name (a)\n");
    assert_int_equal(op(b, OP_EXTEND, "a")->err, EA_HELD);
    assert_int_equal(book_size(b->book), 1);
}

static void a_handover_to_the_same_name_is_a_new_tenure(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    struct election_request *r = op(b, OP_HANDOVER, "a");
    assert_true(r->err == EA_OK && r->tenure.token > token);
    assert_int_equal(op(b, OP_INFO, "")->info.n_candidates, 1);
}

static void a_handover_whose_condition_fails_changes_nothing(void **state)
{
    struct bench *b = *state;
    struct election_request from_a = {.op = OP_HANDOVER, .candidate = STR("b"), .from = STR("a")};
    struct election_request *r = decide(b, from_a);
    assert_true(r->err == EA_HELD && r->tenure.token == 0);
    r = decide(b, (struct election_request){.op = OP_HANDOVER, .candidate = STR("b"), .token = 5});
    assert_int_equal(r->err, EA_HELD);
    assert_nobody_leads(b);
    uint64_t token = campaign(b, "c")->tenure.token;
    r = decide(b, from_a);
    assert_true(r->err == EA_HELD && str_eq(r->tenure.leader, STR("c")));
    r = decide(b, (struct election_request){.op = OP_HANDOVER, .candidate = STR("b"), .token = token + 1});
    assert_int_equal(r->err, EA_HELD);
    assert_false(b->outcome.changed);
    assert_leads(b, "c", token);
}

static void a_handover_of_a_free_election_without_conditions_is_a_grant(void **state)
{
    struct bench *b = *state;
    assert_int_equal(op(b, OP_HANDOVER, "a")->err, EA_OK);
    assert_string_equal(b->told.text, "keep default e a 10000\nelected e a ()\n");
}

/* --- info --- */

static void info_tells_the_history_oldest_first(void **state)
{
    struct bench *b = *state;
    assert_int_equal(op(b, OP_INFO, "")->err, EA_NOT_FOUND);
    campaign(b, "a");
    assert_int_equal(op(b, OP_INFO, "")->info.n_events, 1);
    op(b, OP_HANDOVER, "b");
    op(b, OP_RESIGN, "b");
    campaign(b, "c");
    struct election_request *r = op(b, OP_INFO, "");
    static const enum election_action actions[] = {ACTION_ELECTED, ACTION_HANDED_OVER, ACTION_RESIGNED,
                                                   ACTION_ELECTED};
    static const char *const leaders[] = {"a", "b", "b", "c"};
    static const char *const previous[] = {"", "a", "", "b"};
    assert_int_equal(r->info.n_events, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r->info.events[i].action, actions[i]);
        assert_true(str_eq(r->info.events[i].leader, str_of(leaders[i])));
        assert_true(str_eq(r->info.events[i].previous, str_of(previous[i])));
        assert_true(str_eq(r->info.events[i].election, STR("e")));
        assert_true(str_eq(r->info.events[i].kind, STR("default")));
    }
}

static void the_last_hundred_events_are_kept(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 120; i++) {
        campaign(b, i % 2 == 0 ? "a" : "b");
        op(b, OP_RESIGN, i % 2 == 0 ? "a" : "b");
    }
    assert_int_equal(op(b, OP_INFO, "")->info.n_events, 100);
    uint64_t token = campaign(b, "c")->tenure.token;
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_events, 100);
    assert_true(r->info.events[99].token == token);
    assert_int_equal(r->info.events[0].action, ACTION_RESIGNED);
    for (size_t i = 1; i < 100; i++) {
        assert_true(r->info.events[i].token >= r->info.events[i - 1].token);
    }
}

static void candidates_are_those_seen_within_a_minute(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    advance_ms(b, 100);
    decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("b"), .priority = 3});
    advance_ms(b, 100);
    campaign(b, "c");
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_candidates, 3);
    assert_true(str_eq(r->info.candidates[0].name, STR("c")));
    assert_true(str_eq(r->info.candidates[1].name, STR("b")) && r->info.candidates[1].priority == 3);
    assert_true(str_eq(r->info.candidates[2].name, STR("a")) && r->info.candidates[2].leading);
    decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .term_ms = 600000});
    advance_ms(b, 59900);
    r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_candidates, 2); /* b is gone, exactly a minute after it was seen */
    assert_true(str_eq(r->info.candidates[1].name, STR("c")));
    advance_ms(b, 100);
    assert_int_equal(op(b, OP_INFO, "")->info.n_candidates, 1);
}

static void a_former_leader_is_a_candidate_and_a_new_one_keeps_its_priority(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("b"), .priority = 7});
    op(b, OP_HANDOVER, "b");
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_candidates, 2);
    assert_true(r->info.candidates[0].leading && r->info.candidates[0].priority == 7);
    assert_true(str_eq(r->info.candidates[1].name, STR("a")));
    op(b, OP_RESIGN, "b");
    assert_int_equal(op(b, OP_INFO, "")->info.n_candidates, 2);
}

static void at_most_64_candidates_besides_the_leader_are_remembered(void **state)
{
    struct bench *b = *state;
    campaign(b, "leader");
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        advance_ms(b, 1);
        campaign(b, name);
    }
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_candidates, 65);
    assert_true(str_eq(r->info.candidates[0].name, STR("c99")));
    assert_true(str_eq(r->info.candidates[63].name, STR("c36")));
    assert_true(r->info.candidates[64].leading);
}

static void vacant_elections_are_forgotten_oldest_first(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 150; i++) {
        char name[16];
        snprintf(name, sizeof name, "v%03d", i);
        decide(b,
               (struct election_request){.op = OP_CAMPAIGN, .election = str_of(name), .candidate = STR("a")});
        decide(b,
               (struct election_request){.op = OP_RESIGN, .election = str_of(name), .candidate = STR("a")});
    }
    book_check(b->book);
    assert_int_equal(decide(b, (struct election_request){.op = OP_INFO, .election = STR("v049")})->err,
                     EA_NOT_FOUND);
    assert_int_equal(decide(b, (struct election_request){.op = OP_INFO, .election = STR("v050")})->err,
                     EA_OK);
}

static void with_no_memory_of_vacant_ones_nothing_is_left(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 0, 0);
    uint64_t token = campaign(&b, "a")->tenure.token;
    op(&b, OP_RESIGN, "a");
    assert_int_equal(op(&b, OP_INFO, "")->err, EA_NOT_FOUND);
    advance_ms(&b, -5000); /* the wall clock too */
    b.clock.mono.us += 10000 * 1000;
    assert_true(campaign(&b, "b")->tenure.token > token);
    book_check(b.book);
    book_free(b.book);
    arena_reset(&b.arena);
}

/* --- list, count --- */

static void lists_are_paged_in_byte_order(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 500; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%03d", (i * 7) % 500);
        decide(b, (struct election_request){.op = OP_CAMPAIGN,
                                            .kind = i % 5 == 0 ? STR("other") : STR("default"),
                                            .election = str_of(name),
                                            .candidate = STR("a")});
    }
    size_t seen = 0;
    char after[16] = "";
    bool more = true;
    while (more) {
        struct election_request *r =
            decide(b, (struct election_request){
                          .op = OP_LIST, .kind = STR("default"), .after = str_of(after), .page_size = 7});
        for (size_t i = 0; i < r->list.n; i++) {
            assert_true(str_cmp(r->list.leaders[i].election, str_of(after)) > 0);
            snprintf(after, sizeof after, "%.*s", STR_ARG(r->list.leaders[i].election));
        }
        seen += r->list.n;
        more = r->list.more;
        assert_true(!more || r->list.n == 7);
    }
    assert_int_equal(seen, 400);
}

static void a_list_does_not_show_what_is_over(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    decide(b, (struct election_request){
                  .op = OP_CAMPAIGN, .election = STR("f"), .candidate = STR("a"), .term_ms = 60000});
    advance_ms(b, TERM_MS);
    struct election_request *r = decide(b, (struct election_request){.op = OP_LIST, .page_size = 1});
    assert_int_equal(r->list.n, 1);
    assert_false(r->list.more);
    assert_true(str_eq(r->list.leaders[0].election, STR("f")));
    r = decide(b, (struct election_request){.op = OP_LIST, .kind = STR("none"), .page_size = 1});
    assert_true(r->err == EA_OK && r->list.n == 0 && !r->list.more);
}

static void add_row(void *arg, struct str kind, uint64_t elections)
{
    tell(arg, "%.*s=%d\n", STR_ARG(kind), (int)elections);
}

static void elections_are_counted_by_kind(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    op(b, OP_HANDOVER, "a much longer name than before");
    decide(b, (struct election_request){.op = OP_CAMPAIGN, .election = STR("f"), .candidate = STR("a")});
    decide(b, (struct election_request){.op = OP_CAMPAIGN, .kind = STR("k"), .candidate = STR("a")});
    decide(b, (struct election_request){.op = OP_RESIGN, .kind = STR("k"), .candidate = STR("a")});
    struct told told = {.n = 0};
    book_count(b->book, add_row, &told);
    assert_string_equal(told.text, "default=2\n");
}

/* --- restart, freeze, withdraw, range --- */

static struct book_record record_of(const char *election, const char *leader, uint64_t token)
{
    return (struct book_record){.kind = STR("default"),
                                .election = str_of(election),
                                .leader = str_of(leader),
                                .token = token,
                                .term_ms = TERM_MS,
                                .elected_at = {1000}};
}

static void a_restored_tenure_runs_its_whole_term_with_its_token(void **state)
{
    struct bench *b = *state;
    uint64_t token = (uint64_t)b->clock.wall.us + 1000000000;
    struct book_record record = record_of("e", "a", token);
    assert_true(book_restore(b->book, b->clock.mono, &record));
    assert_false(book_restore(b->book, b->clock.mono, &record));
    assert_true(book_last_token(b->book) == token);
    clock_fake_advance_us(&b->clock, TERM_MS * 1000 - 1);
    assert_leads(b, "a", token);
    assert_int_equal(op(b, OP_INFO, "")->info.n_events, 0);
    struct election_request *r = campaign(b, "a");
    assert_true(r->elected && r->tenure.token == token && r->tenure.elected_at.us == 1000);
    /* ... and later tokens are greater, whatever the wall clock says */
    r = decide(b, (struct election_request){.op = OP_CAMPAIGN, .election = STR("f"), .candidate = STR("x")});
    assert_true(r->tenure.token > token);
}

static void the_leader_before_a_restored_handover_is_remembered(void **state)
{
    struct bench *b = *state;
    struct book_record record = record_of("e", "a", 77);
    assert_true(book_restore(b->book, b->clock.mono, &record));
    op(b, OP_HANDOVER, "b");
    assert_string_equal(b->told.text, "keep default e b 10000\nhanded_over e b (a)\n");
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_events, 1);
    assert_true(str_eq(r->info.events[0].previous, STR("a")));
}

static void tokens_start_above_the_first_one(void **state)
{
    (void)state;
    struct bench b;
    uint64_t ceiling = UINT64_C(1) << 52;
    bench_init(&b, 10, ceiling);
    assert_true(campaign(&b, "a")->tenure.token > ceiling);
    book_free(b.book);
    arena_reset(&b.arena);
}

static void nothing_is_granted_when_the_tokens_are_used_up(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, 10, HLC_LIMIT - 2);
    uint64_t token = campaign(&b, "a")->tenure.token;
    assert_true(token == HLC_LIMIT - 1);
    struct election_request *r = campaign(&b, "a");
    assert_true(r->elected);
    r = decide(&b, (struct election_request){.op = OP_CAMPAIGN, .candidate = STR("a"), .past = token});
    assert_true(r->err == EA_UNAVAILABLE && !r->elected && r->why.n > 0);
    assert_int_equal(op(&b, OP_HANDOVER, "b")->err, EA_UNAVAILABLE);
    assert_leads(&b, "a", token);
    book_check(b.book);
    book_free(b.book);
    arena_reset(&b.arena);
}

static void a_frozen_book_renews_and_reads_and_changes_nothing(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    book_freeze(b->book, "the disk is full");
    assert_true(campaign(b, "a")->elected);
    assert_int_equal(op(b, OP_EXTEND, "a")->err, EA_OK);
    assert_true(campaign(b, "b")->err == EA_OK && !b->request.elected);
    struct election_request *r =
        decide(b, (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .term_ms = 2 * TERM_MS});
    assert_int_equal(r->err, EA_UNAVAILABLE);
    assert_true(str_eq(r->why, STR("the disk is full")));
    assert_int_equal(op(b, OP_RESIGN, "a")->err, EA_UNAVAILABLE);
    assert_int_equal(op(b, OP_HANDOVER, "b")->err, EA_UNAVAILABLE);
    r = decide(b, (struct election_request){.op = OP_CAMPAIGN, .election = STR("f"), .candidate = STR("a")});
    assert_int_equal(r->err, EA_UNAVAILABLE);
    assert_false(r->elected || b->outcome.changed);
    assert_string_equal(b->told.text, "");
    assert_leads(b, "a", token);
    book_freeze(b->book, NULL);
    assert_int_equal(op(b, OP_RESIGN, "a")->err, EA_OK);
}

static void a_tenure_that_could_not_be_kept_is_withdrawn_and_no_other(void **state)
{
    struct bench *b = *state;
    uint64_t token = campaign(b, "a")->tenure.token;
    b->told = (struct told){.n = 0};
    assert_false(book_withdraw(b->book, b->clock.mono, b->clock.wall, STR("default"), STR("e"), token + 1));
    assert_false(book_withdraw(b->book, b->clock.mono, b->clock.wall, STR("default"), STR("f"), token));
    assert_true(book_withdraw(b->book, b->clock.mono, b->clock.wall, STR("default"), STR("e"), token));
    assert_string_equal(b->told.text, "stepped_down e a ()\ndrop default e lazily\n");
    assert_nobody_leads(b);
}

static void the_mark_stays_with_the_tenure(void **state)
{
    struct bench *b = *state;
    campaign(b, "a");
    assert_int_equal(*b->outcome.mark, 0);
    *b->outcome.mark = 42;
    op(b, OP_EXTEND, "a");
    assert_int_equal(*b->outcome.mark, 42);
    op(b, OP_HANDOVER, "a name that does not fit where the old one was");
    assert_int_equal(*b->outcome.mark, 0);
}

static void count_record(void *arg, const struct book_record *record)
{
    size_t *n = arg;
    assert_true(record->token > 0 && record->leader.n > 0);
    (*n)++;
}

/* --- a walk --- */

static void a_seeded_walk_keeps_every_structure_whole(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct bench b;
        bench_init(&b, seed % 3 == 0 ? 0 : 5, 0);
        struct rng rng;
        rng_seed(&rng, seed);
        for (int step = 0; step < 3000; step++) {
            char election[64];
            char candidate[64];
            char kind[8];
            snprintf(kind, sizeof kind, "k%d", (int)rng_below(&rng, 3));
            snprintf(election, sizeof election, "e%d", (int)rng_below(&rng, 30));
            snprintf(candidate, sizeof candidate, "%.*s%d", (int)rng_below(&rng, 30),
                     "abcdefghijklmnopqrstuvwxyzabcdefghijkl", (int)rng_below(&rng, 4));
            struct election_request request = {.op = (enum election_op)rng_below(&rng, OP_COUNT),
                                               .kind = str_of(kind),
                                               .election = str_of(election),
                                               .candidate = str_of(candidate),
                                               .term_ms = (int32_t)rng_range(&rng, 1, 5000),
                                               .past = rng_below(&rng, 4) == 0 ? HLC_LIMIT : 0,
                                               .page_size = 4};
            uint64_t last = book_last_token(b.book);
            struct election_request *r = decide(&b, request);
            if (r->elected) {
                assert_true(r->tenure.expires.us > b.clock.mono.us);
                assert_true(str_eq(r->tenure.leader, r->candidate));
                assert_true(book_last_token(b.book) == last || r->tenure.token > last);
            }
            advance_ms(&b, rng_range(&rng, 0, 50));
            if (rng_below(&rng, 10) == 0) {
                book_expire(b.book, b.clock.mono, b.clock.wall, rng_below(&rng, 5));
            }
            if (step % 20 == 0) {
                book_check(b.book);
            }
            arena_reset(&b.arena);
        }
        size_t n = 0;
        book_each(b.book, count_record, &n);
        assert_int_equal(n, book_size(b.book));
        book_free(b.book);
        arena_reset(&b.arena);
    }
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_free_election_is_granted_with_a_token_and_kept),
        HOLDS(the_holder_keeps_its_token_and_its_term_starts_anew),
        HOLDS(a_loser_learns_who_leads),
        HOLDS(a_shorter_term_takes_nothing_back),
        HOLDS(a_longer_term_is_kept),
        HOLDS(a_tenure_that_was_given_up_is_never_adopted),
        HOLDS(somebody_elses_past_takes_nothing),
        HOLDS(a_lease_ends_exactly_at_its_time_seen_or_not),
        HOLDS(an_expiry_is_told_before_what_follows_it),
        HOLDS(an_extension_never_revives_a_lease),
        HOLDS(the_sweep_ends_what_is_due_and_nothing_else),
        HOLDS(an_extension_names_its_holder_and_its_tenure),
        HOLDS(a_resignation_ends_only_the_tenure_it_names),
        HOLDS(a_handover_moves_the_election_in_one_step),
        HOLDS(a_handover_to_the_same_name_is_a_new_tenure),
        HOLDS(a_handover_whose_condition_fails_changes_nothing),
        HOLDS(a_handover_of_a_free_election_without_conditions_is_a_grant),
        HOLDS(info_tells_the_history_oldest_first),
        HOLDS(the_last_hundred_events_are_kept),
        HOLDS(candidates_are_those_seen_within_a_minute),
        HOLDS(a_former_leader_is_a_candidate_and_a_new_one_keeps_its_priority),
        HOLDS(at_most_64_candidates_besides_the_leader_are_remembered),
        HOLDS(vacant_elections_are_forgotten_oldest_first),
        cmocka_unit_test(with_no_memory_of_vacant_ones_nothing_is_left),
        HOLDS(lists_are_paged_in_byte_order),
        HOLDS(a_list_does_not_show_what_is_over),
        HOLDS(elections_are_counted_by_kind),
        HOLDS(a_restored_tenure_runs_its_whole_term_with_its_token),
        HOLDS(the_leader_before_a_restored_handover_is_remembered),
        cmocka_unit_test(tokens_start_above_the_first_one),
        cmocka_unit_test(nothing_is_granted_when_the_tokens_are_used_up),
        HOLDS(a_frozen_book_renews_and_reads_and_changes_nothing),
        HOLDS(a_tenure_that_could_not_be_kept_is_withdrawn_and_no_other),
        HOLDS(the_mark_stays_with_the_tenure),
        cmocka_unit_test(a_seeded_walk_keeps_every_structure_whole),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
