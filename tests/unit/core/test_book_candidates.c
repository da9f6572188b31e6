/* Who stands for an election. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "book_rig.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(candidates_are_those_seen_within_a_minute),
        HOLDS(a_former_leader_is_a_candidate_and_a_new_one_keeps_its_priority),
        HOLDS(at_most_64_candidates_besides_the_leader_are_remembered),
    };
    return cmocka_run_group_tests_name("book candidates", tests, NULL, NULL);
}
