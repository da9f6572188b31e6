#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <nghttp2/nghttp2.h>

#include "http/h2_guard.h"

#define SECOND_US ((int64_t)1000000)

static const struct mono start = {5 * SECOND_US};

static void the_third_early_ping_is_one_too_many(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 10 * SECOND_US, start);
    assert_int_equal(h2_guard_ping(&guard, start), H2_FINE);
    assert_int_equal(h2_guard_ping(&guard, mono_add_us(start, 1)), H2_FINE);
    assert_int_equal(h2_guard_ping(&guard, mono_add_us(start, 2)), H2_FINE);
    assert_int_equal(h2_guard_ping(&guard, mono_add_us(start, 3)), H2_TOO_MANY_PINGS);
    assert_string_equal(h2_verdict_text(H2_TOO_MANY_PINGS), "too_many_pings");
}

static void pings_at_the_allowed_distance_never_end_it(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 10 * SECOND_US, start);
    for (int64_t i = 0; i < 100; i++) {
        assert_int_equal(h2_guard_ping(&guard, mono_add_us(start, i * 10 * SECOND_US)), H2_FINE);
    }
}

static void a_ping_may_be_a_tenth_too_early_and_not_more(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 10 * SECOND_US, start);
    struct mono now = start;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(h2_guard_ping(&guard, now), H2_FINE);
        now = mono_add_us(now, 9 * SECOND_US);
    }
    now = mono_add_us(now, -1);
    assert_int_equal(h2_guard_ping(&guard, now), H2_FINE);
    now = mono_add_us(now, 9 * SECOND_US - 1);
    assert_int_equal(h2_guard_ping(&guard, now), H2_FINE);
    now = mono_add_us(now, 9 * SECOND_US - 1);
    assert_int_equal(h2_guard_ping(&guard, now), H2_TOO_MANY_PINGS);
}

static void an_answer_forgives_early_pings(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 10 * SECOND_US, start);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(h2_guard_ping(&guard, start), H2_FINE);
        assert_int_equal(h2_guard_ping(&guard, start), H2_FINE);
        h2_guard_answered(&guard);
    }
}

static void pings_are_free_when_no_distance_is_set(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 0, start);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(h2_guard_ping(&guard, start), H2_FINE);
    }
}

static void a_hundred_resets_are_allowed_at_once_and_a_hundred_a_second(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 0, start);
    for (int i = 0; i < H2_GUARD_RESETS; i++) {
        assert_int_equal(h2_guard_reset(&guard, start), H2_FINE);
    }
    assert_int_equal(h2_guard_reset(&guard, start), H2_TOO_MANY_RESETS);
    for (int64_t i = 1; i <= 500; i++) {
        assert_int_equal(h2_guard_reset(&guard, mono_add_us(start, i * SECOND_US / H2_GUARD_RESETS)),
                         H2_FINE);
    }
    assert_int_equal(h2_guard_reset(&guard, mono_add_us(start, 5 * SECOND_US)), H2_TOO_MANY_RESETS);
}

static int frames_until_verdict(struct h2_guard *guard, uint8_t type, uint8_t flags, struct mono now)
{
    for (int i = 0; i < 100000; i++) {
        if (h2_guard_frame(guard, type, flags, 0, now) != H2_FINE) {
            return i;
        }
    }
    return -1;
}

static void quiet_frames_use_up_the_allowance(void **state)
{
    (void)state;
    const uint8_t types[] = {NGHTTP2_PRIORITY, NGHTTP2_WINDOW_UPDATE, NGHTTP2_PING, NGHTTP2_CONTINUATION,
                             0xEE};
    for (size_t i = 0; i < sizeof types; i++) {
        struct h2_guard guard;
        h2_guard_init(&guard, 0, start);
        assert_int_equal(frames_until_verdict(&guard, types[i], 0, start), H2_GUARD_QUIET_MAX);
    }
}

static void settings_cost_ten_times_as_much_and_their_acknowledgements_do_not(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 0, start);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_SETTINGS, 0, start),
                     H2_GUARD_QUIET_MAX / H2_GUARD_SETTINGS_COST);
    h2_guard_init(&guard, 0, start);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, start),
                     H2_GUARD_QUIET_MAX);
}

static void empty_data_is_quiet_unless_it_ends_a_stream(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 0, start);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_DATA, 0, start), H2_GUARD_QUIET_MAX);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, start), -1);
    assert_int_equal(h2_guard_frame(&guard, NGHTTP2_DATA, 0, 1, start), H2_FINE);
}

static void the_allowance_grows_with_time_requests_and_answers(void **state)
{
    (void)state;
    struct h2_guard guard;
    h2_guard_init(&guard, 0, start);
    (void)frames_until_verdict(&guard, NGHTTP2_PRIORITY, 0, start);
    assert_int_equal(h2_guard_frame(&guard, NGHTTP2_HEADERS, 0, 1, start), H2_FINE);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_PRIORITY, 0, start), H2_GUARD_QUIET_PER_REQUEST);
    h2_guard_answered(&guard);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_PRIORITY, 0, start), H2_GUARD_QUIET_PER_ANSWER);
    struct mono later = mono_add_us(start, SECOND_US);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_PRIORITY, 0, later), H2_GUARD_QUIET_PER_SECOND);
    struct mono much_later = mono_add_us(start, 3600 * SECOND_US);
    assert_int_equal(frames_until_verdict(&guard, NGHTTP2_PRIORITY, 0, much_later), H2_GUARD_QUIET_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_third_early_ping_is_one_too_many),
        cmocka_unit_test(pings_at_the_allowed_distance_never_end_it),
        cmocka_unit_test(a_ping_may_be_a_tenth_too_early_and_not_more),
        cmocka_unit_test(an_answer_forgives_early_pings),
        cmocka_unit_test(pings_are_free_when_no_distance_is_set),
        cmocka_unit_test(a_hundred_resets_are_allowed_at_once_and_a_hundred_a_second),
        cmocka_unit_test(quiet_frames_use_up_the_allowance),
        cmocka_unit_test(settings_cost_ten_times_as_much_and_their_acknowledgements_do_not),
        cmocka_unit_test(empty_data_is_quiet_unless_it_ends_a_stream),
        cmocka_unit_test(the_allowance_grows_with_time_requests_and_answers),
    };
    return cmocka_run_group_tests_name("http/h2_guard", tests, NULL, NULL);
}
