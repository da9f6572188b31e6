/* Leases: what a term is worth (invariants L2, L3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/lease.h"

#define START ((struct mono){5000000})

static void drift_is_one_percent_and_two_ms(void **state)
{
    assert_int_equal(lease_drift_us(1000), 12000);
    assert_int_equal(lease_drift_us(3600000), 36002000);
}

static void validity_counts_from_the_start_and_leaves_out_the_drift(void **state)
{
    assert_int_equal(lease_valid_until(START, 1000).us, 5000000 + 988000);
    assert_int_equal(lease_valid_until(START, 3600000).us, 5000000 + INT64_C(3563998000));
}

static void validity_ends_before_the_term_on_a_clock_one_percent_slow(void **state)
{
    for (int64_t term_ms = 1; term_ms <= 3600000; term_ms += term_ms / 7 + 1) {
        int64_t by_slow_clock_us = (lease_valid_until(START, term_ms).us - START.us) * 100 / 99;
        assert_true(by_slow_clock_us < term_ms * 1000);
    }
}

static void what_is_left_is_rounded_down_and_never_negative(void **state)
{
    struct mono until = {2000000};
    assert_int_equal(lease_left_ms(until, (struct mono){1000000}), 1000);
    assert_int_equal(lease_left_ms(until, (struct mono){1000001}), 999);
    assert_int_equal(lease_left_ms(until, (struct mono){1999001}), 0);
    assert_int_equal(lease_left_ms(until, (struct mono){2000000}), 0);
    assert_int_equal(lease_left_ms(until, (struct mono){9000000}), 0);
}

static void expiry_is_a_term_from_now(void **state)
{
    assert_int_equal(lease_expiry(START, 1000, (struct mono){0}).us, 6000000);
}

static void expiry_never_moves_back(void **state)
{
    assert_int_equal(lease_expiry(START, 1000, (struct mono){6000001}).us, 6000001);
    assert_int_equal(lease_expiry(START, 1000, (struct mono){6000000}).us, 6000000);
    assert_int_equal(lease_expiry(START, 1000, (struct mono){5999999}).us, 6000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drift_is_one_percent_and_two_ms),
        cmocka_unit_test(validity_counts_from_the_start_and_leaves_out_the_drift),
        cmocka_unit_test(validity_ends_before_the_term_on_a_clock_one_percent_slow),
        cmocka_unit_test(what_is_left_is_rounded_down_and_never_negative),
        cmocka_unit_test(expiry_is_a_term_from_now),
        cmocka_unit_test(expiry_never_moves_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
