/* Names: what clients may send (invariant N1). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "core/names.h"

#define KIND_RULE "kind: must be 1 to 63 characters of A-Z a-z 0-9 . _ -"
#define NAME_RULE "candidate: must be 1 to 253 bytes of UTF-8 without control characters"

static char many[300];

static int fill_many(void **state)
{
    memset(many, 'x', sizeof many);
    return 0;
}

static void refuse_kind(struct str kind)
{
    struct error error = ERROR_NONE;
    assert_int_equal(name_check_kind(kind, &error), EA_INVALID);
    assert_int_equal(error.code, EA_INVALID);
    assert_string_equal(error.text, KIND_RULE);
    assert_int_equal(name_check_kind(kind, NULL), EA_INVALID);
}

static void refuse_name(struct str name)
{
    struct error error = ERROR_NONE;
    assert_int_equal(name_check("candidate", name, &error), EA_INVALID);
    assert_int_equal(error.code, EA_INVALID);
    assert_string_equal(error.text, NAME_RULE);
    assert_int_equal(name_check("candidate", name, NULL), EA_INVALID);
}

static void a_kind_of_1_to_63_good_characters_is_taken(void **state)
{
    struct error error = ERROR_NONE;
    assert_int_equal(name_check_kind(STR("a"), &error), EA_OK);
    assert_int_equal(name_check_kind(STR(KIND_DEFAULT), &error), EA_OK);
    assert_int_equal(name_check_kind(STR("AZaz09._-"), &error), EA_OK);
    assert_int_equal(name_check_kind(str_from(many, KIND_BYTES_MAX), &error), EA_OK);
    assert_int_equal(error.code, EA_OK);
}

static void a_kind_too_short_or_too_long_is_refused(void **state)
{
    refuse_kind(str_from(NULL, 0));
    refuse_kind(str_from(many, KIND_BYTES_MAX + 1));
}

static void a_kind_takes_exactly_the_listed_characters(void **state)
{
    const char *good = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    for (int c = 0; c < 256; c++) {
        char text[3] = {'a', (char)c, 'b'};
        if (c != 0 && strchr(good, c) != NULL) {
            assert_int_equal(name_check_kind(str_from(text, 3), NULL), EA_OK);
        } else {
            refuse_kind(str_from(text, 3));
        }
    }
}

static void a_name_of_1_to_253_bytes_of_utf8_is_taken(void **state)
{
    struct error error = ERROR_NONE;
    assert_int_equal(name_check("candidate", STR("a"), &error), EA_OK);
    assert_int_equal(name_check("candidate", STR("with space / slash : colon \" quote \\"), &error), EA_OK);
    assert_int_equal(
        name_check("candidate", STR("J\xc3\xbcrgen \xe6\x9d\xb1\xe4\xba\xac \xf0\x9f\x97\xb3"), &error),
        EA_OK);
    assert_int_equal(name_check("candidate", str_from(many, NAME_BYTES_MAX), &error), EA_OK);
    assert_int_equal(error.code, EA_OK);
}

static void a_name_too_short_or_too_long_is_refused(void **state)
{
    refuse_name(str_from(NULL, 0));
    refuse_name(str_from(many, NAME_BYTES_MAX + 1));
}

static void a_name_with_a_control_character_is_refused(void **state)
{
    for (int c = 0; c < 0x20; c++) {
        char text[3] = {'a', (char)c, 'b'};
        refuse_name(str_from(text, 3));
    }
    refuse_name(STR("a\x7f"));
    refuse_name(STR("a\xc2\x80")); /* C1 */
    refuse_name(STR("a\xc2\x9f"));
}

static void a_name_that_is_not_utf8_is_refused(void **state)
{
    refuse_name(STR("\xff"));
    refuse_name(STR("\xc0\xaf"));         /* overlong */
    refuse_name(STR("\xed\xa0\x80"));     /* surrogate */
    refuse_name(STR("\xf4\x90\x80\x80")); /* above U+10FFFF */
    refuse_name(STR("abc\xe6\x9d"));      /* cut */
}

static void the_message_names_the_field(void **state)
{
    struct error error = ERROR_NONE;
    assert_int_equal(name_check("election", str_from(NULL, 0), &error), EA_INVALID);
    assert_string_equal(error.text, "election: must be 1 to 253 bytes of UTF-8 without control characters");
}

static void a_number_within_its_bounds_is_taken(void **state)
{
    assert_int_equal(range_check("term", 1000, 1000, 3600000, NULL), EA_OK);
    assert_int_equal(range_check("term", 3600000, 1000, 3600000, NULL), EA_OK);
    assert_int_equal(range_check("term", INT64_MIN, INT64_MIN, INT64_MAX, NULL), EA_OK);
}

static void a_number_out_of_bounds_is_refused_with_field_bounds_and_value(void **state)
{
    struct error error = ERROR_NONE;
    assert_int_equal(range_check("term", 999, 1000, 3600000, &error), EA_INVALID);
    assert_string_equal(error.text, "term: must be 1000 to 3600000, is 999");
    assert_int_equal(range_check("retries", -1, 0, 10, &error), EA_INVALID);
    assert_string_equal(error.text, "retries: must be 0 to 10, is -1");
    assert_int_equal(range_check("retries", 11, 0, 10, NULL), EA_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kind_of_1_to_63_good_characters_is_taken),
        cmocka_unit_test(a_kind_too_short_or_too_long_is_refused),
        cmocka_unit_test(a_kind_takes_exactly_the_listed_characters),
        cmocka_unit_test(a_name_of_1_to_253_bytes_of_utf8_is_taken),
        cmocka_unit_test(a_name_too_short_or_too_long_is_refused),
        cmocka_unit_test(a_name_with_a_control_character_is_refused),
        cmocka_unit_test(a_name_that_is_not_utf8_is_refused),
        cmocka_unit_test(the_message_names_the_field),
        cmocka_unit_test(a_number_within_its_bounds_is_taken),
        cmocka_unit_test(a_number_out_of_bounds_is_refused_with_field_bounds_and_value),
    };
    return cmocka_run_group_tests(tests, fill_many, NULL);
}
