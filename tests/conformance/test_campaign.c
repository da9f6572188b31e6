/* Campaigns: spec elections.md, "Operations"; DESIGN.md, "Decisions". */
#include "base/hlc.h"
#include "base/mem.h"
#include "bench.h"

static void the_first_candidate_is_elected_for_its_term(void **state)
{
    struct bench *b = *state;
    struct answer answer = bench_campaign(b, "e", "A", 5000);
    expect_elected(&answer, "A");
    expect_term(b, &answer, 5000);
    assert_int_equal(answer.tenure.term_ms, 5000);
    expect_wall(b, answer.tenure.elected_at, b->asked_wall);
    expect_wall(b, answer.tenure.renewed_at, b->asked_wall);
    assert_true(answer.tenure.token < HLC_LIMIT);
}

static void a_losing_candidate_learns_who_leads_and_until_when(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 100);
    struct answer lost = bench_campaign(b, "e", "B", 9000);
    assert_false(lost.elected);
    expect_leader(&lost, EA_OK, "A", won.tenure.token);
    expect_expires(b, &lost, won.tenure.expires);
    assert_true(lost.tenure.term_ms == 5000 || (b->row->lean && lost.tenure.term_ms == 0));
}

static void losing_changes_nothing_for_the_leader(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    bench_advance_ms(b, 999);
    (void)bench_campaign(b, "e", "B", 60000);
    bench_end_us(b, 1 * US_PER_MS);
    struct answer answer = bench_campaign(b, "e", "B", 1000);
    expect_elected(&answer, "B");
    assert_true(answer.tenure.token > won.tenure.token);
}

static void a_leader_that_campaigns_keeps_its_token_and_its_term_starts_anew(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 3000);
    struct answer again = bench_campaign(b, "e", "A", 5000);
    expect_elected(&again, "A");
    assert_int_equal(again.tenure.token, first.tenure.token);
    expect_wall(b, again.tenure.elected_at, first.tenure.elected_at);
    expect_wall(b, again.tenure.renewed_at, b->asked_wall);
    expect_term(b, &again, 5000);
}

static void a_campaign_with_a_shorter_term_does_not_shorten_what_was_promised(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer again = bench_campaign(b, "e", "A", 1000);
    expect_elected(&again, "A");
    expect_expires(b, &again, first.tenure.expires); /* L3 */
    assert_int_equal(again.tenure.term_ms, 1000);
    bench_advance_ms(b, 59999);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_leader(&rival, EA_OK, "A", first.tenure.token);
}

static struct answer campaign_with_past(struct bench *b, const char *candidate, uint64_t past)
{
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", candidate);
    question.term_ms = 5000;
    question.past = past;
    return bench_ask(b, question);
}

static void a_tenure_that_was_given_up_is_never_led_again(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer second = campaign_with_past(b, "A", first.tenure.token);
    expect_elected(&second, "A");
    assert_true(second.tenure.token > first.tenure.token); /* T4 */
    expect_term(b, &second, 5000);                         /* a grant like any other */
    struct answer late = bench_resign(b, "e", "A", first.tenure.token);
    expect_nobody(&late, EA_NOT_FOUND); /* its resignation was still under way */
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", second.tenure.token);
}

static void a_tenure_after_the_one_given_up_is_kept(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer again = campaign_with_past(b, "A", first.tenure.token - 1);
    expect_elected(&again, "A");
    assert_int_equal(again.tenure.token, first.tenure.token);
}

static void what_one_gave_up_does_not_touch_another_leader(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer rival = campaign_with_past(b, "B", first.tenure.token + 1000);
    assert_false(rival.elected);
    expect_leader(&rival, EA_OK, "A", first.tenure.token);
}

static void a_huge_past_moves_no_clock(void **state)
{
    struct bench *b = *state;
    struct answer first = campaign_with_past(b, "A", UINT64_MAX);
    expect_elected(&first, "A");
    assert_true(first.tenure.token < (uint64_t)b->clock.wall.us + 1000000000); /* T5 */
    struct answer second = campaign_with_past(b, "A", UINT64_MAX);
    expect_elected(&second, "A");
    assert_true(second.tenure.token > first.tenure.token);
    assert_true(second.tenure.token < (uint64_t)b->clock.wall.us + 1000000000);
}

static void a_tenure_runs_to_the_last_microsecond_and_not_longer(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    bench_advance_us(b, 1000 * US_PER_MS - 1);
    struct answer before = bench_campaign(b, "e", "B", 1000);
    assert_false(before.elected);
    bench_end_us(b, 1); /* L5 */
    struct answer after = bench_campaign(b, "e", "B", 1000);
    expect_elected(&after, "B");
    assert_true(after.tenure.token > won.tenure.token);
}

static void a_former_leader_is_elected_anew_with_a_new_token(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 1000);
    bench_end_us(b, 1000 * US_PER_MS);
    struct answer second = bench_campaign(b, "e", "A", 1000);
    expect_elected(&second, "A");
    assert_true(second.tenure.token > first.tenure.token);
    assert_true(b->row->lean || second.tenure.elected_at.us > first.tenure.elected_at.us);
}

static void tokens_grow_from_tenure_to_tenure(void **state)
{
    struct bench *b = *state;
    static const char *const candidates[] = {"A", "B", "C"};
    uint64_t last = 0;
    for (unsigned i = 0; i < 60; i++) {
        const char *candidate = candidates[i % ARRAY_LENGTH(candidates)];
        struct answer answer = bench_campaign(b, "e", candidate, 1000);
        expect_elected(&answer, candidate);
        assert_true(answer.tenure.token > last); /* T1 */
        last = answer.tenure.token;
        if (i % 2 == 0) {
            (void)bench_resign(b, "e", candidate, 0);
        } else {
            bench_end_us(b, 1000 * US_PER_MS);
        }
    }
}

static void tokens_grow_while_the_wall_clock_goes_back(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 1000);
    (void)bench_resign(b, "e", "A", 0);
    b->clock.wall.us -= INT64_C(86400000000);
    bench_advance_ms(b, 1);
    struct answer second = bench_campaign(b, "e", "B", 1000);
    expect_elected(&second, "B");
    assert_true(second.tenure.token > first.tenure.token);
}

static void elections_of_other_names_and_kinds_are_apart(void **state)
{
    struct bench *b = *state;
    struct answer a = bench_campaign(b, "e", "A", 1000);
    struct answer other = bench_campaign(b, "f", "B", 1000);
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", "C");
    question.kind = STR("other");
    struct answer kind = bench_ask(b, question);
    expect_elected(&a, "A");
    expect_elected(&other, "B");
    expect_elected(&kind, "C");
}

static void names_are_compared_byte_for_byte(void **state)
{
    struct bench *b = *state;
    static const char *const same_to_a_reader[] = {"caf\xc3\xa9", "cafe\xcc\x81", "Caf\xc3\xa9",
                                                   "caf\xc3\xa9 ", " caf\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LENGTH(same_to_a_reader); i++) {
        struct answer answer = bench_campaign(b, same_to_a_reader[i], "A", 1000);
        expect_elected(&answer, "A"); /* N2 */
    }
    struct answer rival = bench_campaign(b, "caf\xc3\xa9", "a", 1000);
    assert_false(rival.elected);
}

static void the_longest_term_is_granted_in_full(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", BENCH_MAX_TERM_MS);
    expect_term(b, &won, BENCH_MAX_TERM_MS);
    bench_advance_us(b, INT64_C(1000) * BENCH_MAX_TERM_MS - 1);
    struct answer lost = bench_campaign(b, "e", "B", 1000);
    assert_false(lost.elected);
    bench_end_us(b, 1);
    struct answer next = bench_campaign(b, "e", "B", 1000);
    expect_elected(&next, "B");
}

struct suite suite_campaign(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(the_first_candidate_is_elected_for_its_term),
        BENCH_TEST(a_losing_candidate_learns_who_leads_and_until_when),
        BENCH_TEST(losing_changes_nothing_for_the_leader),
        BENCH_TEST(a_leader_that_campaigns_keeps_its_token_and_its_term_starts_anew),
        BENCH_TEST(a_campaign_with_a_shorter_term_does_not_shorten_what_was_promised),
        BENCH_TEST(a_tenure_that_was_given_up_is_never_led_again),
        BENCH_TEST(a_tenure_after_the_one_given_up_is_kept),
        BENCH_TEST(what_one_gave_up_does_not_touch_another_leader),
        BENCH_TEST(a_huge_past_moves_no_clock),
        BENCH_TEST(a_tenure_runs_to_the_last_microsecond_and_not_longer),
        BENCH_TEST(a_former_leader_is_elected_anew_with_a_new_token),
        BENCH_TEST(tokens_grow_from_tenure_to_tenure),
        BENCH_TEST(tokens_grow_while_the_wall_clock_goes_back),
        BENCH_TEST(elections_of_other_names_and_kinds_are_apart),
        BENCH_TEST(names_are_compared_byte_for_byte),
        BENCH_TEST(the_longest_term_is_granted_in_full),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
