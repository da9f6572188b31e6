/* Extensions: invariants L3, T3, E3, E4. */
#include "base/mem.h"
#include "bench.h"

static void the_holder_keeps_its_token_and_gets_its_term_anew(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 2000);
    struct answer answer = bench_extend(b, "e", "A", 4000, 0);
    expect_leader(&answer, EA_OK, "A", won.tenure.token);
    expect_term(b, &answer, 4000);
    assert_int_equal(answer.tenure.term_ms, 4000);
    expect_wall(b, answer.tenure.elected_at, won.tenure.elected_at);
    expect_wall(b, answer.tenure.renewed_at, b->asked_wall);
}

static void a_shorter_term_does_not_shorten_what_was_promised(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 60000);
    struct answer answer = bench_extend(b, "e", "A", 1000, won.tenure.token);
    expect_leader(&answer, EA_OK, "A", won.tenure.token);
    expect_expires(b, &answer, won.tenure.expires);
    bench_advance_ms(b, 59999);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
    bench_end_us(b, 1 * US_PER_MS);
    get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
}

static void a_longer_term_counts_at_once(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    struct answer answer = bench_extend(b, "e", "A", 60000, 0);
    expect_term(b, &answer, 60000);
    bench_advance_ms(b, 59999);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
}

static void who_extends_in_time_stays_the_leader(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    for (unsigned i = 0; i < 50; i++) {
        bench_advance_us(b, 1000 * US_PER_MS - 1);
        struct answer rival = bench_campaign(b, "e", "B", 1000);
        assert_false(rival.elected);
        struct answer answer = bench_extend(b, "e", "A", 1000, won.tenure.token);
        expect_leader(&answer, EA_OK, "A", won.tenure.token); /* E3, T3 */
    }
    assert_int_equal(b->n_events, 1); /* an extension is no event */
}

static void an_election_never_held_is_not_found(void **state)
{
    struct answer answer = bench_extend(*state, "e", "A", 1000, 0);
    expect_nobody(&answer, EA_NOT_FOUND);
}

static void an_expired_tenure_is_not_found_and_not_revived(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 1000);
    bench_end_us(b, 1000 * US_PER_MS);
    struct answer answer = bench_extend(b, "e", "A", 1000, 0);
    expect_nobody(&answer, EA_NOT_FOUND);
    answer = bench_extend(b, "e", "A", 1000, won.tenure.token);
    expect_nobody(&answer, EA_NOT_FOUND);
    struct answer rival = bench_campaign(b, "e", "B", 1000);
    expect_elected(&rival, "B"); /* E4 */
}

static void a_resigned_tenure_is_not_found(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 1000);
    (void)bench_resign(b, "e", "A", 0);
    struct answer answer = bench_extend(b, "e", "A", 1000, 0);
    expect_nobody(&answer, EA_NOT_FOUND);
}

static void anothers_tenure_is_held_and_says_by_whom(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_extend(b, "e", "B", 1000, 0);
    expect_leader(&answer, EA_HELD, "A", won.tenure.token);
    answer = bench_extend(b, "e", "B", 1000, won.tenure.token);
    expect_leader(&answer, EA_HELD, "A", won.tenure.token);
    expect_expires(b, &answer, won.tenure.expires);
}

static void another_tenure_of_the_same_name_is_held(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 1000);
    (void)bench_resign(b, "e", "A", 0);
    struct answer second = bench_campaign(b, "e", "A", 1000);
    bench_advance_ms(b, 10);
    struct answer answer = bench_extend(b, "e", "A", 5000, first.tenure.token);
    expect_leader(&answer, EA_HELD, "A", second.tenure.token);
    expect_expires(b, &answer, second.tenure.expires); /* E8 */
    answer = bench_extend(b, "e", "A", 5000, second.tenure.token);
    expect_leader(&answer, EA_OK, "A", second.tenure.token);
}

struct suite suite_extend(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(the_holder_keeps_its_token_and_gets_its_term_anew),
        BENCH_TEST(a_shorter_term_does_not_shorten_what_was_promised),
        BENCH_TEST(a_longer_term_counts_at_once),
        BENCH_TEST(who_extends_in_time_stays_the_leader),
        BENCH_TEST(an_election_never_held_is_not_found),
        BENCH_TEST(an_expired_tenure_is_not_found_and_not_revived),
        BENCH_TEST(a_resigned_tenure_is_not_found),
        BENCH_TEST(anothers_tenure_is_held_and_says_by_whom),
        BENCH_TEST(another_tenure_of_the_same_name_is_held),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
