#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"

static void the_same_seed_gives_the_known_numbers(void **state)
{
    /* Computed with the reference implementations of splitmix64 and xoshiro256**. */
    static const uint64_t expected[] = {UINT64_C(0x15780b2e0c2ec716), UINT64_C(0x6104d9866d113a7e),
                                        UINT64_C(0xae17533239e499a1), UINT64_C(0xecb8ad4703b360a1),
                                        UINT64_C(0xfde6dc7fe2ec5e64)};
    struct rng rng;
    rng_seed(&rng, 42);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        assert_true(rng_next(&rng) == expected[i]);
    }
}

static void seeds_of_the_system_differ(void **state)
{
    struct rng a;
    struct rng b;
    rng_seed_system(&a);
    rng_seed_system(&b);
    assert_true(rng_next(&a) != rng_next(&b));
}

static void numbers_below_a_bound_are_spread_evenly(void **state)
{
    enum { BOUND = 7, N = 70000 };
    int counts[BOUND] = {0};
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < N; i++) {
        uint64_t v = rng_below(&rng, BOUND);
        assert_in_range(v, 0, BOUND - 1);
        counts[v]++;
    }
    for (int i = 0; i < BOUND; i++) {
        assert_in_range(counts[i], N / BOUND - 500, N / BOUND + 500); /* five standard deviations */
    }
    assert_int_equal(rng_below(&rng, 1), 0);
}

static void a_bound_that_does_not_divide_the_range_is_not_biased(void **state)
{
    /* With 3 * 2^62, taking a remainder would give the lowest third twice as often as the others. */
    const uint64_t bound = UINT64_C(3) << 62;
    enum { N = 30000 };
    int low = 0;
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < N; i++) {
        uint64_t v = rng_below(&rng, bound);
        assert_true(v < bound);
        low += v % 3 == 0;
    }
    assert_in_range(low, N / 3 - 450, N / 3 + 450);
}

static void ranges_include_both_ends(void **state)
{
    int seen[5] = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    for (int i = 0; i < 1000; i++) {
        int64_t v = rng_range(&rng, -2, 2);
        assert_true(v >= -2 && v <= 2);
        seen[v + 2]++;
    }
    for (int i = 0; i < 5; i++) {
        assert_true(seen[i] > 100);
    }
    assert_int_equal(rng_range(&rng, 9, 9), 9);
    int negative = 0;
    for (int i = 0; i < 1000; i++) {
        negative += rng_range(&rng, INT64_MIN, INT64_MAX) < 0;
        assert_true(rng_range(&rng, INT64_MAX - 1, INT64_MAX) >= INT64_MAX - 1);
        assert_true(rng_range(&rng, INT64_MIN, INT64_MIN + 1) <= INT64_MIN + 1);
    }
    assert_in_range(negative, 400, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_known_numbers),
        cmocka_unit_test(seeds_of_the_system_differ),
        cmocka_unit_test(numbers_below_a_bound_are_spread_evenly),
        cmocka_unit_test(a_bound_that_does_not_divide_the_range_is_not_biased),
        cmocka_unit_test(ranges_include_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
