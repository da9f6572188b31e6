/* Resignations: invariants E2, E5. */
#include "base/mem.h"
#include "bench.h"

static void a_resignation_ends_the_tenure_at_once(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 60000);
    struct answer answer = bench_resign(b, "e", "A", won.tenure.token);
    expect_nobody(&answer, EA_OK);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
    struct answer next = bench_campaign(b, "e", "B", 1000);
    expect_elected(&next, "B");
    assert_true(next.tenure.token > won.tenure.token);
}

static void without_a_token_the_present_tenure_of_that_name_ends(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 60000);
    struct answer answer = bench_resign(b, "e", "A", 0);
    expect_nobody(&answer, EA_OK);
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
}

static void nobody_can_resign_what_nobody_holds(void **state)
{
    struct bench *b = *state;
    struct answer answer = bench_resign(b, "e", "A", 0);
    expect_nobody(&answer, EA_NOT_FOUND);
    (void)bench_campaign(b, "e", "A", 1000);
    bench_end_us(b, 1000 * US_PER_MS);
    answer = bench_resign(b, "e", "A", 0);
    expect_nobody(&answer, EA_NOT_FOUND);
}

static void another_candidate_cannot_resign_for_the_leader(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    struct answer answer = bench_resign(b, "e", "B", 0);
    expect_nobody(&answer, EA_NOT_FOUND);
    answer = bench_resign(b, "e", "B", won.tenure.token);
    expect_nobody(&answer, EA_NOT_FOUND);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
}

static void a_late_or_repeated_resignation_never_ends_a_newer_tenure(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 60000);
    struct answer answer = bench_resign(b, "e", "A", first.tenure.token);
    expect_nobody(&answer, EA_OK);
    answer = bench_resign(b, "e", "A", first.tenure.token);
    expect_nobody(&answer, EA_NOT_FOUND);
    struct answer second = bench_campaign(b, "e", "A", 60000);
    answer = bench_resign(b, "e", "A", first.tenure.token);
    expect_nobody(&answer, EA_NOT_FOUND); /* E5 */
    answer = bench_resign(b, "e", "A", second.tenure.token + 1);
    expect_nobody(&answer, EA_NOT_FOUND);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", second.tenure.token);
}

struct suite suite_resign(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(a_resignation_ends_the_tenure_at_once),
        BENCH_TEST(without_a_token_the_present_tenure_of_that_name_ends),
        BENCH_TEST(nobody_can_resign_what_nobody_holds),
        BENCH_TEST(another_candidate_cannot_resign_for_the_leader),
        BENCH_TEST(a_late_or_repeated_resignation_never_ends_a_newer_tenure),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
