/* Where elections are: vacant ones, lists, counts; in the end a seeded walk with every structural check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#include "base/random.h"
#include "book_rig.h"

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

static void what_vacant_elections_take_is_bounded_in_bytes_too(void **state)
{
    struct bench *b = *state;
    char name[200];
    memset(name, 'n', sizeof name);
    book_free(b->book);
    b->book = book_new(
        &(struct book_options){.now = b->clock.mono, .seed = 1, .vacant_kept = 100, .vacant_bytes = 100000});
    /* Each has a history of 100 events with long names, some 25 kB. */
    for (int i = 0; i < 10; i++) {
        char election[16];
        snprintf(election, sizeof election, "v%d", i);
        for (int j = 0; j < 60; j++) {
            name[0] = (char)('a' + j % 26);
            struct election_request request = {
                .election = str_of(election), .candidate = {name, sizeof name}, .op = OP_CAMPAIGN};
            assert_true(decide(b, request)->elected);
            request.op = OP_RESIGN;
            assert_int_equal(decide(b, request)->err, EA_OK);
        }
        book_check(b->book);
    }
    assert_int_equal(decide(b, (struct election_request){.op = OP_INFO, .election = STR("v0")})->err,
                     EA_NOT_FOUND);
    assert_int_equal(decide(b, (struct election_request){.op = OP_INFO, .election = STR("v9")})->err, EA_OK);
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
    b.clock.mono.us += INT64_C(10000000);
    assert_true(campaign(&b, "b")->tenure.token > token);
    book_check(b.book);
    book_free(b.book);
    arena_reset(&b.arena);
}

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

static void count_record(void *arg, const struct book_record *record)
{
    size_t *n = arg;
    assert_true(record->token > 0 && record->leader.n > 0);
    (*n)++;
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(vacant_elections_are_forgotten_oldest_first),
        HOLDS(what_vacant_elections_take_is_bounded_in_bytes_too),
        cmocka_unit_test(with_no_memory_of_vacant_ones_nothing_is_left),
        HOLDS(lists_are_paged_in_byte_order),
        HOLDS(a_list_does_not_show_what_is_over),
        HOLDS(elections_are_counted_by_kind),
        cmocka_unit_test(a_seeded_walk_keeps_every_structure_whole),
    };
    return cmocka_run_group_tests_name("book table", tests, NULL, NULL);
}
