#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/random.h"

static void the_systems_clocks_are_those_of_the_kernel(void **state)
{
    struct timespec t;
    struct mono before = clock_mono(&clock_system);
    clock_gettime(CLOCK_BOOTTIME, &t);
    struct mono after = clock_mono(&clock_system);
    int64_t us = t.tv_sec * 1000000 + t.tv_nsec / 1000;
    assert_true(before.us <= us && us <= after.us);
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t apart = clock_wall(&clock_system).us - (t.tv_sec * 1000000 + t.tv_nsec / 1000);
    assert_true(apart > -60000000 && apart < 60000000);
}

static void a_fake_clock_moves_only_when_told(void **state)
{
    struct clock_fake fake;
    clock_fake_init(&fake);
    const struct clock *clock = &fake.clock;
    assert_int_equal(clock_mono(clock).us, 1000000);
    assert_int_equal(clock_mono(clock).us, 1000000);
    char text[WALL_TEXT_BYTES];
    wall_format(clock_wall(clock), text);
    assert_string_equal(text, "2026-01-01T00:00:00.000Z");
    clock_fake_advance_us(&fake, 1500);
    assert_int_equal(clock_mono(clock).us, 1001500);
    wall_format(clock_wall(clock), text);
    assert_string_equal(text, "2026-01-01T00:00:00.001Z");
}

static void never_absorbs_what_is_added(void **state)
{
    assert_int_equal(mono_add_us(MONO_NEVER, 1).us, INT64_MAX);
    assert_int_equal(mono_add_us(MONO_NEVER, -1).us, INT64_MAX);
    assert_int_equal(mono_add_ms(MONO_NEVER, 1000).us, INT64_MAX);
    assert_int_equal(mono_add_ms((struct mono){0}, INT64_MAX / 10).us, INT64_MAX);
    assert_int_equal(mono_add_us((struct mono){INT64_MAX - 5}, 6).us, INT64_MAX);
    assert_int_equal(mono_add_us((struct mono){INT64_MAX - 5}, 4).us, INT64_MAX - 1);
    assert_int_equal(mono_add_us((struct mono){5}, -7).us, -2);
    assert_int_equal(mono_add_ms((struct mono){5}, 7).us, 7005);
}

static void times_are_compared_and_subtracted(void **state)
{
    struct mono a = {10};
    struct mono b = {25};
    assert_true(mono_before(a, b) && !mono_before(b, a) && !mono_before(a, a));
    assert_int_equal(mono_sub(b, a), 15);
    assert_int_equal(mono_min(a, b).us, 10);
    assert_int_equal(mono_max(a, b).us, 25);
}

static void a_wall_time_is_written_as_rfc_3339(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {INT64_C(951782399999999), "2000-02-28T23:59:59.999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000Z"},
        {INT64_C(1795525809123456), "2026-11-24T13:10:09.123Z"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z"},
        {INT64_MIN, "0001-01-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[WALL_TEXT_BYTES];
        wall_format((struct wall){rows[i].us}, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void the_calendar_is_that_of_the_c_library(void **state)
{
    struct rng rng;
    rng_seed(&rng, 5);
    for (int i = 0; i < 50000; i++) {
        int64_t us = rng_range(&rng, INT64_C(-62135596800) * 1000000, INT64_C(253402300799) * 1000000);
        time_t seconds = (time_t)(us / 1000000 - (us % 1000000 < 0));
        struct tm tm;
        char text[WALL_TEXT_BYTES];
        char expected[64];
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, "-%m-%dT%H:%M:%S.", &tm);
        wall_format((struct wall){us}, text);
        assert_int_equal(strlen(text), 24);
        assert_memory_equal(text + 4, expected, strlen(expected));
        int year = (text[0] - '0') * 1000 + (text[1] - '0') * 100 + (text[2] - '0') * 10 + (text[3] - '0');
        assert_int_equal(year, tm.tm_year + 1900);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_systems_clocks_are_those_of_the_kernel),
        cmocka_unit_test(a_fake_clock_moves_only_when_told),
        cmocka_unit_test(never_absorbs_what_is_added),
        cmocka_unit_test(times_are_compared_and_subtracted),
        cmocka_unit_test(a_wall_time_is_written_as_rfc_3339),
        cmocka_unit_test(the_calendar_is_that_of_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
