/* The rules, one sentence each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "book_rig.h"

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

/* --- restart, freeze, withdraw, range --- */

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
        HOLDS(a_restored_tenure_runs_its_whole_term_with_its_token),
        cmocka_unit_test(tokens_start_above_the_first_one),
        cmocka_unit_test(nothing_is_granted_when_the_tokens_are_used_up),
        HOLDS(a_frozen_book_renews_and_reads_and_changes_nothing),
        HOLDS(a_tenure_that_could_not_be_kept_is_withdrawn_and_no_other),
        HOLDS(the_mark_stays_with_the_tenure),
    };
    return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}
