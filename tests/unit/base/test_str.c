#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "base/str.h"
#include "helpers.h"

static void slices_are_equal_when_their_bytes_are(void **state)
{
    assert_true(str_eq(STR("abc"), str_of("abc")));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_false(str_eq(STR("abc"), STR("abC")));
    assert_true(str_eq(STR("a\0b"), str_from("a\0b", 3)));
    assert_true(str_eq((struct str){NULL, 0}, STR("")));
    assert_true(str_eq(str_of(NULL), STR("")));
}

static void case_is_ignored_for_ascii_only(void **state)
{
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("\xC3\x84"), STR("\xC3\xA4")));
}

static void the_order_is_that_of_unsigned_bytes_and_shorter_is_first(void **state)
{
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("b"), STR("a")) > 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\x7f"), STR("\x80")) < 0);
    assert_int_equal(str_cmp(STR("ab"), STR("ab")), 0);
    assert_int_equal(str_cmp((struct str){NULL, 0}, STR("")), 0);
    assert_true(str_cmp((struct str){NULL, 0}, STR("a")) < 0);
}

static void heads_and_tails_are_found(void **state)
{
    assert_true(str_starts(STR("/v1/x"), STR("/v1/")));
    assert_false(str_starts(STR("/v1"), STR("/v1/")));
    assert_true(str_starts(STR("x"), STR("")));
    assert_true(str_ends(STR("a.pem"), STR(".pem")));
    assert_false(str_ends(STR("pem"), STR(".pem")));
    assert_true(str_ends((struct str){NULL, 0}, STR("")));
}

static void trimming_cuts_white_space_at_both_ends(void **state)
{
    assert_true(str_eq(str_trim(STR(" \t a b\r\n")), STR("a b")));
    assert_true(str_eq(str_trim(STR(" \t\r\n ")), STR("")));
    assert_true(str_eq(str_trim(STR("a")), STR("a")));
    assert_true(str_eq(str_trim((struct str){NULL, 0}), STR("")));
}

static void splitting_gives_each_part_also_the_empty_ones(void **state)
{
    static const struct str expected[] = {STR_INIT("a"), STR_INIT(""), STR_INIT("b"), STR_INIT("")};
    struct str rest = STR("a,,b,");
    struct str part;
    for (size_t i = 0; i < 4; i++) {
        assert_true(str_split(&rest, ',', &part));
        assert_true(str_eq(part, expected[i]));
    }
    assert_false(str_split(&rest, ',', &part));
    assert_null(rest.p);
    rest = STR("");
    assert_true(str_split(&rest, ',', &part));
    assert_int_equal(part.n, 0);
    assert_false(str_split(&rest, ',', &part));
}

static void well_formed_utf8_is_accepted(void **state)
{
    assert_true(str_is_utf8((struct str){NULL, 0}));
    assert_true(str_is_utf8(STR("plain ascii that is longer than eight bytes\0\x7f")));
    assert_true(str_is_utf8(STR("\xC2\x80 \xDF\xBF \xE0\xA0\x80 \xED\x9F\xBF \xEE\x80\x80 \xEF\xBF\xBF")));
    assert_true(str_is_utf8(STR("\xF0\x90\x80\x80 \xF4\x8F\xBF\xBF")));
}

static void broken_utf8_is_refused_wherever_it_stands(void **state)
{
    static const struct str broken[] = {
        STR_INIT("\x80"),             /* begins in the middle */
        STR_INIT("\xC3"),             /* ends in the middle */
        STR_INIT("\xE2\x82"),         /* the same */
        STR_INIT("\xF0\x9F\x98"),     /* the same */
        STR_INIT("\xC0\xAF"),         /* overlong */
        STR_INIT("\xC1\xBF"),         /* overlong */
        STR_INIT("\xE0\x9F\xBF"),     /* overlong */
        STR_INIT("\xF0\x8F\xBF\xBF"), /* overlong */
        STR_INIT("\xED\xA0\x80"),     /* surrogate */
        STR_INIT("\xED\xBF\xBF"),     /* surrogate */
        STR_INIT("\xF4\x90\x80\x80"), /* above U+10FFFF */
        STR_INIT("\xF5\x80\x80\x80"), /* the same */
        STR_INIT("\xFE"),             /* no byte of UTF-8 */
        STR_INIT("\xFF"),             /* the same */
        STR_INIT("\xE2\x28\xA1"),     /* no continuation */
        STR_INIT("\xC3\xC3"),         /* the same */
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        for (size_t before = 0; before < 20; before++) {
            char text[64];
            memset(text, 'a', sizeof text);
            memcpy(text + before, broken[i].p, broken[i].n);
            assert_false(str_is_utf8(str_from(text, before + broken[i].n)));
            assert_false(str_is_utf8(str_from(text, before + broken[i].n + 10)));
        }
    }
}

static void control_characters_are_found_and_others_are_not(void **state)
{
    assert_true(str_has_control(STR("a\nb")));
    assert_true(str_has_control(STR("a\0")));
    assert_true(str_has_control(STR("\x7f")));
    assert_true(str_has_control(STR("a\xC2\x80")));
    assert_true(str_has_control(STR("a\xC2\x9F")));
    assert_false(str_has_control(STR("a\xC2\xA0 \xC3\x84 ~ \xE2\x82\xAC")));
    /* 9F as a continuation of another character is no C1. */
    assert_false(str_has_control(STR("\xC3\x9F")));
    assert_false(str_has_control(STR("\xC2")));
    assert_false(str_has_control((struct str){NULL, 0}));
}

static void whole_numbers_are_read_up_to_their_limits(void **state)
{
    uint64_t u = 7;
    int64_t i = 7;
    assert_true(str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_u64(STR("0"), &u) && u == 0);
    assert_true(str_to_u64(STR("007"), &u) && u == 7);
    assert_true(str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(STR("-0"), &i) && i == 0);
    assert_true(str_to_i64(STR("-1"), &i) && i == -1);
}

static void what_is_no_number_is_refused_and_nothing_is_stored(void **state)
{
    static const char *const not_unsigned[] = {
        "", " 1", "1 ", "+1", "-1", "1x", "0x1", "1.0", "18446744073709551616", "99999999999999999999999"};
    static const char *const not_signed[] = {
        "", "-", "--1", "+1", " 1", "9223372036854775808", "-9223372036854775809", "1-"};
    for (size_t k = 0; k < sizeof not_unsigned / sizeof not_unsigned[0]; k++) {
        uint64_t u = 42;
        assert_false(str_to_u64(str_of(not_unsigned[k]), &u));
        assert_int_equal(u, 42);
    }
    for (size_t k = 0; k < sizeof not_signed / sizeof not_signed[0]; k++) {
        int64_t i = 42;
        assert_false(str_to_i64(str_of(not_signed[k]), &i));
        assert_int_equal(i, 42);
    }
    uint64_t u;
    assert_false(str_to_u64(str_from("1\0", 2), &u));
}

static void durations_are_read_in_their_forms(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"0", 0},
        {"0s", 0},
        {"300ms", 300000},
        {"10s", 10000000},
        {"5m", 300000000},
        {"1h", INT64_C(3600000000)},
        {"1.5s", 1500000},
        {"1h30m", INT64_C(5400000000)},
        {"1h0m0.000001s", INT64_C(3600000001)},
        {"7us", 7},
        {"0.001ms", 1},
        {"1.500000000000000000000s", 1500000},
        {"0.0009765625h", 3515625},
        {"876600h", INT64_C(876600) * 3600 * 1000000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t us = -1;
        assert_true(str_to_duration_us(str_of(rows[i].text), &us));
        assert_int_equal(us, rows[i].us);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "1",
        "s",
        "-1s",
        "+1s",
        " 1s",
        "1 s",
        "1s ",
        "1.s",
        ".5s",
        "1..5s",
        "1.5",
        "1d",
        "1S",
        "1sec",
        "00",
        "1s5",
        "0.0000001s",
        "0.1us",
        "876601h",
        "876600h1us",
        "1h1",
        "1e3s",
        "0.33333333333h",
        "1mss",
        "1ns",
        "9999999999999999999999h",
        "18446744073709551616us",
        "9223372036854775807us",
        "0.00000000000000000000001s",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t us = 42;
        assert_false(str_to_duration_us(str_of(rows[i]), &us));
        assert_int_equal(us, 42);
    }
    int64_t us;
    assert_false(str_to_duration_us((struct str){NULL, 0}, &us));
    assert_false(str_to_duration_us(str_from("1s\0", 3), &us));
}

static void durations_are_written_short_and_exactly(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "0"},
        {1, "1us"},
        {300000, "300ms"},
        {350000, "350ms"},
        {10000000, "10s"},
        {90000000, "90s"},
        {60000000, "1m"},
        {INT64_C(5400000000), "90m"},
        {INT64_C(3600000000), "1h"},
        {1500000, "1.5s"},
        {-1500000, "-1.5s"},
        {INT64_MAX, "9223372036854.775807s"},
        {INT64_MIN, "-9223372036854.775808s"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        size_t n = str_from_duration(rows[i].us, text, sizeof text);
        assert_string_equal(text, rows[i].text);
        assert_int_equal(n, strlen(rows[i].text));
    }
}

static void a_written_duration_is_read_back_as_the_same(void **state)
{
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        char text[32];
        int64_t us = rng_range(&rng, 0, INT64_C(1) << rng_below(&rng, 51));
        us = i % 2 == 0 ? us / 1000 * 1000 : us;
        int64_t back = -1;
        size_t n = str_from_duration(us, text, sizeof text);
        assert_true(str_to_duration_us(str_from(text, n), &back));
        assert_int_equal(back, us);
    }
}

static void digits_are_those_of_printf(void **state)
{
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 20000; i++) {
        uint64_t v = rng_next(&rng) >> (i % 64);
        v = i == 0 ? UINT64_MAX : i == 1 ? 0 : v;
        char ours[20];
        char expected[32];
        size_t n = str_from_u64(v, ours);
        assert_int_equal(snprintf(expected, sizeof expected, "%llu", (unsigned long long)v), n);
        assert_memory_equal(ours, expected, n);
    }
}

static void percent_escapes_are_decoded_also_in_place(void **state)
{
    char text[] = "a%20b%2Fc%c3%A4+%00";
    size_t n = str_percent_decode(str_of(text), text);
    assert_true(str_eq(str_from(text, n), STR("a b/c\xC3\xA4+\0")));
    assert_int_equal(str_percent_decode((struct str){NULL, 0}, text), 0);
}

static void malformed_percent_escapes_are_refused(void **state)
{
    static const char *const rows[] = {"%", "a%", "%2", "%2g", "%g2", "%%20", "% 2", "%-1", "abc%4"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[16];
        assert_true(str_percent_decode(str_of(rows[i]), out) == SIZE_MAX);
    }
    char out[16];
    assert_true(str_percent_decode(str_from("%2\0", 3), out) == SIZE_MAX);
}

static void escaping_shows_what_cannot_be_seen(void **state)
{
    static const struct {
        struct str s;
        const char *shown;
    } rows[] = {
        {STR_INIT("plain ~"), "plain ~"},
        {STR_INIT("a\nb\tc\rd"), "a\\nb\\tc\\rd"},
        {STR_INIT("\"\\"), "\\\"\\\\"},
        {STR_INIT("\x1b[2J\0\x7f"), "\\x1b[2J\\x00\\x7f"},
        {STR_INIT("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"), "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80"},
        {STR_INIT("\xC2\x85"), "\\xc2\\x85"},
        {STR_INIT("a\xFF\xC3"), "a\\xff\\xc3"},
        {STR_INIT("\xE2\x80\xAE"
                  "evil"),
         "\\xe2\\x80\\xae"
         "evil"},                                      /* right-to-left override */
        {STR_INIT("\xE2\x80\xA8"), "\\xe2\\x80\\xa8"}, /* line separator */
        {STR_INIT(""), ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[64];
        assert_int_equal(str_escape(rows[i].s, out, sizeof out), strlen(rows[i].shown));
        assert_string_equal(out, rows[i].shown);
    }
}

static void the_plain_head_is_what_no_escaping_changes(void **state)
{
    assert_int_equal(str_plain(STR("abc ~")), 5);
    assert_int_equal(str_plain(STR("abc\"d")), 3);
    assert_int_equal(str_plain(STR("\\")), 0);
    assert_int_equal(str_plain(STR("a\x7f")), 1);
    assert_int_equal(str_plain(STR("a\x1f")), 1);
    assert_int_equal(str_plain(STR("a\x80")), 1);
    assert_int_equal(str_plain((struct str){NULL, 0}), 0);
}

static void an_escaped_text_always_fits_and_is_never_cut_within_a_character(void **state)
{
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < 50000; i++) {
        char bytes[40];
        char out[64];
        char whole[256];
        size_t n = rng_below(&rng, sizeof bytes);
        size_t cap = 1 + rng_below(&rng, sizeof out);
        fill_hostile(&rng, bytes, n);
        memset(out, '#', sizeof out);
        size_t length = str_escape(str_from(bytes, n), out, cap);
        size_t whole_length = str_escape(str_from(bytes, n), whole, sizeof whole);
        assert_true(length < cap && out[length] == '\0');
        assert_true(cap == sizeof out || out[cap] == '#');
        assert_true(str_is_utf8(str_from(out, length)));
        assert_false(str_has_control(str_from(out, length)));
        if (whole_length < cap) {
            assert_string_equal(out, whole);
        } else {
            size_t dots = length < 3 ? length : 3;
            assert_memory_equal(out + length - dots, "...", dots);
            assert_memory_equal(out, whole, length - dots);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_are_equal_when_their_bytes_are),
        cmocka_unit_test(case_is_ignored_for_ascii_only),
        cmocka_unit_test(the_order_is_that_of_unsigned_bytes_and_shorter_is_first),
        cmocka_unit_test(heads_and_tails_are_found),
        cmocka_unit_test(trimming_cuts_white_space_at_both_ends),
        cmocka_unit_test(splitting_gives_each_part_also_the_empty_ones),
        cmocka_unit_test(well_formed_utf8_is_accepted),
        cmocka_unit_test(broken_utf8_is_refused_wherever_it_stands),
        cmocka_unit_test(control_characters_are_found_and_others_are_not),
        cmocka_unit_test(whole_numbers_are_read_up_to_their_limits),
        cmocka_unit_test(what_is_no_number_is_refused_and_nothing_is_stored),
        cmocka_unit_test(durations_are_read_in_their_forms),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_are_written_short_and_exactly),
        cmocka_unit_test(a_written_duration_is_read_back_as_the_same),
        cmocka_unit_test(digits_are_those_of_printf),
        cmocka_unit_test(percent_escapes_are_decoded_also_in_place),
        cmocka_unit_test(malformed_percent_escapes_are_refused),
        cmocka_unit_test(escaping_shows_what_cannot_be_seen),
        cmocka_unit_test(the_plain_head_is_what_no_escaping_changes),
        cmocka_unit_test(an_escaped_text_always_fits_and_is_never_cut_within_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
