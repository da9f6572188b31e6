#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hlc.h"
#include "base/random.h"

static void a_value_is_the_wall_time_where_it_allows_it(void **state)
{
    struct hlc hlc = {0};
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 1000);
    assert_int_equal(hlc_next(&hlc, (struct wall){2000}), 2000);
}

static void values_grow_when_the_wall_clock_stands_or_goes_back(void **state)
{
    struct hlc hlc = {0};
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 1000);
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 1001);
    assert_int_equal(hlc_next(&hlc, (struct wall){3}), 1002);
    assert_int_equal(hlc_next(&hlc, (struct wall){-3}), 1003);
    assert_int_equal(hlc_next(&hlc, (struct wall){INT64_MIN}), 1004);
    assert_int_equal(hlc_next(&hlc, (struct wall){1005}), 1005);
}

static void a_wall_clock_beyond_the_range_is_not_followed(void **state)
{
    struct hlc hlc = {.last = 1000};
    assert_int_equal(hlc_next(&hlc, (struct wall){INT64_MAX}), 1001);
    assert_int_equal(hlc_next(&hlc, (struct wall){(int64_t)HLC_LIMIT}), 1002);
    assert_int_equal(hlc_next(&hlc, (struct wall){(int64_t)HLC_WALL_LIMIT}), 1003);
    assert_int_equal(hlc_next(&hlc, (struct wall){(int64_t)HLC_WALL_LIMIT - 1}), HLC_WALL_LIMIT - 1);
}

static void what_was_seen_is_exceeded(void **state)
{
    struct hlc hlc = {0};
    assert_true(hlc_observe(&hlc, 5000));
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 5001);
    assert_true(hlc_observe(&hlc, 10));
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 5002);
}

static void values_beyond_the_range_are_refused_and_change_nothing(void **state)
{
    struct hlc hlc = {.last = 7};
    assert_false(hlc_observe(&hlc, HLC_LIMIT));
    assert_false(hlc_observe(&hlc, HLC_SEEN_LIMIT));
    assert_false(hlc_observe(&hlc, UINT64_MAX));
    assert_int_equal(hlc_next(&hlc, (struct wall){0}), 8);
}

static void the_greatest_value_that_is_believed_leaves_room_for_centuries(void **state)
{
    struct hlc hlc = {0};
    assert_true(hlc_observe(&hlc, HLC_SEEN_LIMIT - 1));
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), HLC_SEEN_LIMIT);
    const uint64_t a_year_of_10000_a_second = UINT64_C(10000) * 86400 * 366;
    assert_true(HLC_LIMIT - hlc.last > 100 * a_year_of_10000_a_second);
}

static void a_used_up_range_gives_nothing_more(void **state)
{
    struct hlc hlc = {.last = HLC_LIMIT - 2};
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), HLC_LIMIT - 1);
    assert_int_equal(hlc_next(&hlc, (struct wall){1000}), 0);
    assert_int_equal(hlc_next(&hlc, (struct wall){INT64_MAX}), 0);
}

static void values_only_grow_whatever_the_wall_clock_does(void **state)
{
    struct hlc hlc = {0};
    struct rng rng;
    uint64_t last = 0;
    rng_seed(&rng, 8);
    for (int i = 0; i < 100000; i++) {
        struct wall now = {rng_range(&rng, INT64_MIN, INT64_MAX) >> rng_below(&rng, 40)};
        now.us = now.us > 1 << 30 ? 1 << 30 : now.us;
        uint64_t value = hlc_next(&hlc, now);
        assert_true(value > last && value < HLC_LIMIT);
        last = value;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_the_wall_time_where_it_allows_it),
        cmocka_unit_test(values_grow_when_the_wall_clock_stands_or_goes_back),
        cmocka_unit_test(a_wall_clock_beyond_the_range_is_not_followed),
        cmocka_unit_test(what_was_seen_is_exceeded),
        cmocka_unit_test(values_beyond_the_range_are_refused_and_change_nothing),
        cmocka_unit_test(the_greatest_value_that_is_believed_leaves_room_for_centuries),
        cmocka_unit_test(a_used_up_range_gives_nothing_more),
        cmocka_unit_test(values_only_grow_whatever_the_wall_clock_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
