/* Many requests at once, from every lane: invariants E1, S6. (bench_ask_many() asserts that each is answered
 * once, on its lane.) */
#include <stdio.h>

#include "base/mem.h"
#include "bench.h"

#define CROWD 120

static void of_a_crowd_that_campaigns_at_once_exactly_one_is_elected(void **state)
{
    struct bench *b = *state;
    struct election_request questions[CROWD];
    struct answer answers[CROWD];
    char names[CROWD][16];
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(names[i], sizeof names[i], "c%d", i);
        questions[i] = bench_question(b, OP_CAMPAIGN, "e", names[i]);
    }
    bench_ask_many(b, questions, answers, CROWD);
    unsigned elected = 0;
    for (int i = 0; i < CROWD; i++) {
        assert_int_equal(answers[i].err, EA_OK);
        elected += answers[i].elected;
        assert_true(!answers[i].elected || str_eq(answers[i].tenure.leader, str_of(names[i])));
    }
    assert_int_equal(elected, 1);
    uint64_t token = bench_get(b, "e").tenure.token;
    for (int i = 0; i < CROWD; i++) { /* who lost before the grant stood everywhere is told no token at all */
        bool early = b->row->lean && !answers[i].elected && answers[i].tenure.token == 0;
        assert_true(answers[i].tenure.token == token || early);
    }
}

static void every_lane_sees_the_same_leader(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 60000);
    for (unsigned i = 0; i < 2 * b->lanes; i++) {
        struct answer get = bench_get(b, "e");
        expect_leader(&get, EA_OK, "A", won.tenure.token);
    }
    struct answer moved = bench_handover(b, "e", "B", 60000, "", 0);
    for (unsigned i = 0; i < 2 * b->lanes; i++) {
        struct answer get = bench_get(b, "e");
        expect_leader(&get, EA_OK, "B", moved.tenure.token);
    }
}

static void a_list_joins_all_lanes(void **state)
{
    struct bench *b = *state;
    char names[40][16];
    for (int i = 39; i >= 0; i--) {
        (void)snprintf(names[i], sizeof names[i], "e%02d", i);
        (void)bench_campaign(b, names[i], "A", 60000);
    }
    for (unsigned lane = 0; lane < b->lanes; lane++) {
        struct answer list = bench_ask(b, bench_question(b, OP_LIST, NULL, NULL));
        assert_int_equal(list.list.n, 40);
        for (int i = 0; i < 40; i++) {
            expect_str(list.list.leaders[i].election, names[i]);
        }
    }
}

static void tokens_grow_whichever_lane_is_asked(void **state)
{
    struct bench *b = *state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 30; i++) {
        struct answer won = bench_campaign(b, "e", "A", 60000);
        expect_elected(&won, "A");
        assert_true(won.tenure.token > last);
        last = won.tenure.token;
        (void)bench_resign(b, "e", "A", last);
    }
}

/* A grant, its extension and its resignation in one batch: decided in some order, each answer true to it. */
static void a_batch_about_one_election_is_decided_one_by_one(void **state)
{
    struct bench *b = *state;
    for (unsigned round = 0; round < 20; round++) {
        struct election_request questions[4] = {
            bench_question(b, OP_CAMPAIGN, "e", "A"),
            bench_question(b, OP_CAMPAIGN, "e", "B"),
            bench_question(b, OP_EXTEND, "e", "A"),
            bench_question(b, OP_HANDOVER, "e", "C"),
        };
        questions[3].from = STR("A");
        struct answer answers[4];
        bench_ask_many(b, questions, answers, 4);
        struct answer get = bench_get(b, "e");
        assert_int_equal(get.err, EA_OK);
        bool moved = answers[3].err == EA_OK;
        assert_true(moved || answers[3].err == EA_HELD);
        if (moved) {
            expect_leader(&get, EA_OK, "C", answers[3].tenure.token);
            assert_true(answers[0].elected || b->row->lean); /* its grant may have been moved half-way */
            assert_true(!answers[0].elected || answers[3].tenure.token > answers[0].tenure.token);
        } else {
            assert_true(answers[0].elected != answers[1].elected);
        }
        bench_advance_ms(b, 1000 + NOTICED_MS);
    }
}

static void what_is_open_at_close_is_answered_and_a_promise_among_it_is_kept(void **state)
{
    struct bench *b = *state;
    struct election_request questions[CROWD];
    struct answer answers[CROWD];
    char names[CROWD][16];
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%d", i);
        questions[i] = bench_question(b, OP_CAMPAIGN, names[i], "A");
        questions[i].term_ms = 60000;
    }
    bench_ask_and_restart(b, questions, answers, CROWD); /* S6 */
    for (int i = 0; i < CROWD; i++) {
        assert_true(answers[i].elected ? answers[i].err == EA_OK : answers[i].err == EA_UNAVAILABLE);
        if (answers[i].elected && b->row->survives) {
            struct answer get = bench_get(b, names[i]);
            expect_leader(&get, EA_OK, "A", answers[i].tenure.token); /* S1 */
        }
    }
}

struct suite suite_lanes(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(of_a_crowd_that_campaigns_at_once_exactly_one_is_elected),
        BENCH_TEST(every_lane_sees_the_same_leader),
        BENCH_TEST(a_list_joins_all_lanes),
        BENCH_TEST(tokens_grow_whichever_lane_is_asked),
        BENCH_TEST(a_batch_about_one_election_is_decided_one_by_one),
        BENCH_TEST(what_is_open_at_close_is_answered_and_a_promise_among_it_is_kept),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
