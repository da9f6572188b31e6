/* Handovers: invariants E6, E7. */
#include "base/mem.h"
#include "bench.h"

static void the_leader_hands_over_with_no_third_party_between(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 1000);
    struct answer answer = bench_handover(b, "e", "B", 9000, "A", first.tenure.token);
    assert_string_equal(err_name(answer.err), err_name(EA_OK));
    expect_str(answer.tenure.leader, "B");
    assert_true(answer.tenure.token > first.tenure.token);
    expect_term(b, &answer, 9000);
    assert_int_equal(answer.tenure.term_ms, 9000);
    expect_wall(b, answer.tenure.elected_at, b->asked_wall);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "B", answer.tenure.token);
    struct answer old = bench_extend(b, "e", "A", 5000, first.tenure.token);
    expect_leader(&old, EA_HELD, "B", answer.tenure.token);
}

static void the_new_leader_finds_its_tenure_by_campaigning(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 5000);
    struct answer moved = bench_handover(b, "e", "B", 5000, "A", 0);
    struct answer answer = bench_campaign(b, "e", "B", 5000);
    expect_elected(&answer, "B");
    assert_int_equal(answer.tenure.token, moved.tenure.token);
}

static void the_old_leader_is_outlived(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer answer = bench_handover(b, "e", "B", 1000, "", 0);
    expect_expires(b, &answer, first.tenure.expires); /* E7 */
    assert_int_equal(answer.tenure.term_ms, 1000);
    bench_advance_ms(b, 59999);
    struct answer third = bench_campaign(b, "e", "C", 1000);
    expect_leader(&third, EA_OK, "B", answer.tenure.token);
    bench_end_us(b, 1 * US_PER_MS);
    third = bench_campaign(b, "e", "C", 1000);
    expect_elected(&third, "C");
}

static void an_override_takes_effect_at_once(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_handover(b, "e", "B", 5000, "", 0);
    assert_string_equal(err_name(answer.err), err_name(EA_OK));
    assert_true(answer.tenure.token > first.tenure.token);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "B", answer.tenure.token);
}

static void an_election_that_nobody_holds_is_granted(void **state)
{
    struct bench *b = *state;
    struct answer answer = bench_handover(b, "e", "B", 5000, "", 0);
    assert_string_equal(err_name(answer.err), err_name(EA_OK));
    expect_str(answer.tenure.leader, "B");
    expect_term(b, &answer, 5000);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "B", answer.tenure.token);
}

static void a_holder_that_is_not_from_keeps_its_election(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_handover(b, "e", "B", 5000, "C", 0);
    expect_leader(&answer, EA_HELD, "A", first.tenure.token);
    answer = bench_handover(b, "e", "B", 5000, "C", first.tenure.token);
    expect_leader(&answer, EA_HELD, "A", first.tenure.token);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", first.tenure.token);
    expect_expires(b, &get, first.tenure.expires); /* E8 */
}

static void another_tenure_than_the_named_one_is_not_moved(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    (void)bench_resign(b, "e", "A", 0);
    struct answer second = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_handover(b, "e", "B", 5000, "A", first.tenure.token);
    expect_leader(&answer, EA_HELD, "A", second.tenure.token); /* E6 */
    answer = bench_handover(b, "e", "B", 5000, "", first.tenure.token);
    expect_leader(&answer, EA_HELD, "A", second.tenure.token);
}

static void a_condition_on_an_election_that_nobody_holds_fails(void **state)
{
    struct bench *b = *state;
    struct answer answer = bench_handover(b, "e", "B", 5000, "A", 0);
    expect_nobody(&answer, EA_HELD);
    answer = bench_handover(b, "e", "B", 5000, "", 12345);
    expect_nobody(&answer, EA_HELD);
    struct answer first = bench_campaign(b, "e", "A", 1000);
    bench_end_us(b, 1000 * US_PER_MS);
    answer = bench_handover(b, "e", "B", 5000, "A", first.tenure.token);
    expect_nobody(&answer, EA_HELD);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
}

static void a_handover_to_the_same_name_is_a_new_tenure(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_handover(b, "e", "A", 5000, "A", first.tenure.token);
    assert_string_equal(err_name(answer.err), err_name(EA_OK));
    expect_str(answer.tenure.leader, "A");
    assert_true(answer.tenure.token > first.tenure.token);
    struct answer late = bench_resign(b, "e", "A", first.tenure.token);
    expect_nobody(&late, EA_NOT_FOUND);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", answer.tenure.token);
}

struct suite suite_handover(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(the_leader_hands_over_with_no_third_party_between),
        BENCH_TEST(the_new_leader_finds_its_tenure_by_campaigning),
        BENCH_TEST(the_old_leader_is_outlived),
        BENCH_TEST(an_override_takes_effect_at_once),
        BENCH_TEST(an_election_that_nobody_holds_is_granted),
        BENCH_TEST(a_holder_that_is_not_from_keeps_its_election),
        BENCH_TEST(another_tenure_than_the_named_one_is_not_moved),
        BENCH_TEST(a_condition_on_an_election_that_nobody_holds_fails),
        BENCH_TEST(a_handover_to_the_same_name_is_a_new_tenure),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
