/* Restarts: invariants S3, S4, T1, T3; and what a store does that keeps nothing. */
#include <stdio.h>

#include "base/mem.h"
#include "bench.h"

#define MANY 300

static void a_tenure_is_back_with_its_full_term(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 4000);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token); /* T3 */
    assert_int_equal(get.tenure.expires.us, mono_add_ms(bench_now(b), 5000).us);
    assert_int_equal(get.tenure.elected_at.us, won.tenure.elected_at.us);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_leader(&rival, EA_OK, "A", won.tenure.token);
    struct answer again = bench_campaign(b, "e", "A", 1000);
    expect_elected(&again, "A");
    assert_int_equal(again.tenure.token, won.tenure.token);
}

static void a_tenure_that_was_running_when_the_agent_stopped_is_not_elected_over(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    for (unsigned i = 0; i < 10; i++) {
        bench_advance_ms(b, 4000);
        struct answer extended = bench_extend(b, "e", "A", 5000, won.tenure.token);
        expect_leader(&extended, EA_OK, "A", won.tenure.token);
    }
    bench_restart(b, b->lanes); /* no extension was written */
    bench_advance_us(b, 5000 * US_PER_MS - 1);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_leader(&rival, EA_OK, "A", won.tenure.token);
    bench_end_us(b, 1);
    rival = bench_campaign(b, "e", "B", 1000);
    expect_elected(&rival, "B");
    assert_true(rival.tenure.token > won.tenure.token);
}

static void the_longest_term_promised_is_the_one_that_runs(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    (void)bench_extend(b, "e", "A", 60000, 0);
    (void)bench_extend(b, "e", "A", 2000, 0);
    (void)bench_campaign(b, "e", "A", 3000);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
    expect_expires(b, &get, mono_add_ms(bench_now(b), 60000)); /* S3 */
    bench_advance_us(b, 60000 * US_PER_MS - 1);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_leader(&rival, EA_OK, "A", won.tenure.token);
}

static void a_resigned_tenure_stays_ended(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 60000);
    (void)bench_resign(b, "e", "A", won.tenure.token);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
    struct answer extended = bench_extend(b, "e", "A", 1000, won.tenure.token);
    expect_nobody(&extended, EA_NOT_FOUND);
    struct answer next = bench_campaign(b, "e", "B", 1000);
    expect_elected(&next, "B");
    assert_true(next.tenure.token >
                won.tenure.token); /* S4: its record is gone, its token is not given again */
}

static void an_expired_tenure_stays_ended(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 1000);
    bench_end_us(b, (1000 + NOTICED_MS) * US_PER_MS);
    (void)bench_campaign(b, "f", "A", 1000); /* a write after it, so that it is durable too */
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
}

static void a_handover_is_remembered(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 60000);
    struct answer moved = bench_handover(b, "e", "B", 1000, "A", 0);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "B", moved.tenure.token);
    bench_advance_us(b, 60000 * US_PER_MS - 1);
    struct answer third = bench_campaign(b, "e", "C", 1000);
    expect_leader(&third, EA_OK, "B", moved.tenure.token); /* the old leader is outlived (E7) */
}

static void starting_over_with_past_is_remembered(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", "A");
    question.past = first.tenure.token;
    struct answer second = bench_ask(b, question);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", second.tenure.token);
}

static void tokens_grow_although_the_wall_clock_went_back_between_two_runs(void **state)
{
    struct bench *b = *state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 6; i++) {
        for (unsigned k = 0; k < 3; k++) {
            struct answer won = bench_campaign(b, "e", "A", 1000);
            expect_elected(&won, "A");
            assert_true(won.tenure.token > last); /* S4 */
            last = won.tenure.token;
            (void)bench_resign(b, "e", "A", last);
        }
        b->clock.wall.us -= INT64_C(86400000000);
        bench_restart(b, b->lanes);
    }
}

/* A store on several nodes answers as soon as a majority names one leader; it shows no token where the claim did not
 * reach one of these before the restart. Asked again, another majority may be faster. */
static struct answer list_with_tokens(struct bench *b, struct election_request page)
{
    struct answer list = {.err = EA_UNAVAILABLE};
    bool all = false;
    for (int tries = 0; !all && tries < 100; tries++) {
        list = bench_ask(b, page);
        all = true;
        for (size_t i = 0; i < list.list.n; i++) {
            all = all && list.list.leaders[i].token != 0;
        }
    }
    return list;
}

static void many_tenures_are_back_on_any_number_of_lanes(void **state)
{
    struct bench *b = *state;
    struct election_request *questions = mem_zalloc(MANY * sizeof *questions);
    struct answer *won = mem_zalloc(MANY * sizeof *won);
    char(*names)[16] = mem_zalloc(MANY * sizeof *names);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%03d", i);
        questions[i] = bench_question(b, OP_CAMPAIGN, names[i], names[i]);
        questions[i].term_ms = 60000;
    }
    bench_ask_many(b, questions, won, MANY);
    static const unsigned lanes[] = {3, 1, 4, 2};
    for (size_t r = 0; r < ARRAY_LENGTH(lanes); r++) {
        bench_restart(b, lanes[r]);
        struct election_request page = bench_question(b, OP_LIST, NULL, NULL);
        page.page_size = MANY + 1;
        struct answer list = list_with_tokens(b, page);
        assert_int_equal(list.list.n, MANY);
        for (int i = 0; i < MANY; i++) {
            expect_str(list.list.leaders[i].election, names[i]);
            expect_str(list.list.leaders[i].leader, names[i]);
            assert_int_equal(list.list.leaders[i].token, won[i].tenure.token);
        }
        struct answer resigned = bench_resign(b, names[r], names[r], 0); /* and its lane now owns it */
        expect_nobody(&resigned, EA_OK);
        won[r] = bench_campaign(b, names[r], names[r], 60000);
        expect_elected(&won[r], names[r]);
    }
    mem_free(names);
    mem_free(won);
    mem_free(questions);
}

static void a_tenure_that_servers_keep_goes_on_as_if_nothing_had_happened(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 2000);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
    bench_advance_us(b, 3000 * US_PER_MS - 1);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_leader(&rival, EA_OK, "A", won.tenure.token);
    struct answer extended = bench_extend(b, "e", "A", 5000, won.tenure.token);
    expect_leader(&extended, EA_OK, "A", won.tenure.token);
    bench_restart(b, b->lanes);
    bench_end_us(b, 5000 * US_PER_MS);
    rival = bench_campaign(b, "e", "B", 1000);
    expect_elected(&rival, "B");
    assert_true(rival.tenure.token > won.tenure.token);
}

struct suite suite_restart(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(a_tenure_is_back_with_its_full_term),
        BENCH_TEST(a_tenure_that_servers_keep_goes_on_as_if_nothing_had_happened),
        BENCH_TEST(a_tenure_that_was_running_when_the_agent_stopped_is_not_elected_over),
        BENCH_TEST(the_longest_term_promised_is_the_one_that_runs),
        BENCH_TEST(a_resigned_tenure_stays_ended),
        BENCH_TEST(an_expired_tenure_stays_ended),
        BENCH_TEST(a_handover_is_remembered),
        BENCH_TEST(starting_over_with_past_is_remembered),
        BENCH_TEST(tokens_grow_although_the_wall_clock_went_back_between_two_runs),
        BENCH_TEST(many_tenures_are_back_on_any_number_of_lanes),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}

static void a_store_that_keeps_nothing_starts_empty(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 60000);
    bench_restart(b, b->lanes);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
    struct answer won = bench_campaign(b, "e", "B", 1000);
    expect_elected(&won, "B");
}

struct suite suite_forgetful(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(a_store_that_keeps_nothing_starts_empty),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
