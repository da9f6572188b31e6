/* The limit of calls a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/rate.h"

static const struct mono start = {1000000};

static unsigned taken(struct rate *rate, uint64_t per_s, struct mono now, unsigned tries)
{
    unsigned n = 0;
    while (tries-- > 0) {
        n += rate_take(rate, per_s, now);
    }
    return n;
}

static void without_a_limit_every_call_is_let_in(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, 0, start, 100000), 100000);
}

static void one_seconds_worth_may_come_at_once_and_no_more(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, 10, start, 100), 10);
    assert_false(rate_take(&rate, 10, start));
}

static void a_call_is_let_in_again_when_its_share_of_time_is_over(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, 10, start, 100), 10);
    assert_int_equal(taken(&rate, 10, mono_add_ms(start, 99), 100), 0);
    assert_int_equal(taken(&rate, 10, mono_add_ms(start, 100), 100), 1);
    assert_int_equal(taken(&rate, 10, mono_add_ms(start, 350), 100), 2);
}

static void idle_time_saves_up_one_second_at_most(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, 10, start, 100), 10);
    assert_int_equal(taken(&rate, 10, mono_add_ms(start, 3600 * 1000), 100), 10);
}

static void over_ten_seconds_the_limit_holds_on_average(void **state)
{
    struct rate rate = {0};
    unsigned n = 0;
    for (int64_t ms = 0; ms < 10000; ms++) {
        n += taken(&rate, 300, mono_add_ms(start, ms), 5);
    }
    assert_in_range(n, 10 * 300, 11 * 300);
}

static void a_changed_limit_holds_at_once(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, 10, start, 100), 10);
    assert_int_equal(taken(&rate, 20, start, 100), 20);
    assert_int_equal(taken(&rate, 5, start, 100), 5);
}

static void an_absurdly_high_limit_lets_everything_in(void **state)
{
    struct rate rate = {0};
    assert_int_equal(taken(&rate, UINT64_MAX, start, 1000), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_limit_every_call_is_let_in),
        cmocka_unit_test(one_seconds_worth_may_come_at_once_and_no_more),
        cmocka_unit_test(a_call_is_let_in_again_when_its_share_of_time_is_over),
        cmocka_unit_test(idle_time_saves_up_one_second_at_most),
        cmocka_unit_test(over_ten_seconds_the_limit_holds_on_average),
        cmocka_unit_test(a_changed_limit_holds_at_once),
        cmocka_unit_test(an_absurdly_high_limit_lets_everything_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
