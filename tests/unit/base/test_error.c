#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/error.h"

static void the_table_answers_for_each_error(void **state)
{
    assert_string_equal(err_name(EA_NOT_FOUND), "NOT_FOUND");
    assert_string_equal(err_text(EA_NOT_FOUND), "not found");
    assert_int_equal(err_grpc(EA_NOT_FOUND), 5);
    assert_int_equal(err_http(EA_NOT_FOUND), 404);
    assert_false(err_retryable(EA_NOT_FOUND));
    assert_true(err_retryable(EA_UNAVAILABLE));
    assert_int_equal(err_exit(EA_CONFIG), 78);
    assert_int_equal(EA_OK, 0);
}

static void every_error_has_codes_that_exist(void **state)
{
    for (int i = 0; i < EA_COUNT; i++) {
        enum err e = (enum err)i;
        assert_true(strlen(err_name(e)) > 0 && strlen(err_text(e)) > 0);
        assert_in_range(err_grpc(e), 0, 16);
        assert_in_range(err_http(e), 200, 599);
        assert_in_range(err_exit(e), 0, 78);
        /* Only success looks like success. */
        assert_true((err_grpc(e) == 0) == (i == EA_OK));
        assert_true((err_http(e) == 200) == (i == EA_OK));
        assert_true((err_exit(e) == 0) == (i == EA_OK));
    }
}

static void an_error_outside_the_table_is_an_internal_error(void **state)
{
    assert_string_equal(err_name((enum err)EA_COUNT), "INTERNAL");
    assert_string_equal(err_text((enum err)12345), "internal error");
    assert_int_equal(err_grpc((enum err) - 1), 13);
    assert_int_equal(err_http((enum err) - 1), 500);
}

static void setting_gives_words_and_returns_the_code(void **state)
{
    struct error error = ERROR_NONE;
    assert_int_equal(error_set(&error, EA_INVALID, "%d is not %s", 3, "four"), EA_INVALID);
    assert_int_equal(error.code, EA_INVALID);
    assert_string_equal(error.text, "3 is not four");
}

static void without_a_struct_the_code_alone_is_returned(void **state)
{
    assert_int_equal(error_set(NULL, EA_IO, "x"), EA_IO);
    assert_int_equal(error_set_errno(NULL, EA_IO, ENOENT, "x"), EA_IO);
    assert_int_equal(error_set_str(NULL, EA_INVALID, "x", STR("y")), EA_INVALID);
    assert_int_equal(error_wrap(NULL, "x"), EA_INTERNAL);
}

static void the_words_of_errno_come_behind(void **state)
{
    struct error error;
    assert_int_equal(error_set_errno(&error, EA_IO, ENOENT, "cannot open %s", "/x"), EA_IO);
    assert_string_equal(error.text, "cannot open /x: No such file or directory");
}

static void context_comes_before_and_the_code_stays(void **state)
{
    struct error error;
    error_set(&error, EA_BUSY, "locked");
    assert_int_equal(error_wrap(&error, "leases.mdb"), EA_BUSY);
    assert_int_equal(error_wrap(&error, "cannot open the store in %s", "/d"), EA_BUSY);
    assert_string_equal(error.text, "cannot open the store in /d: leases.mdb: locked");
}

static void an_error_can_be_set_from_its_own_words(void **state)
{
    struct error error;
    error_set(&error, EA_BUSY, "locked");
    error_set(&error, EA_IO, "<%s>", error.text);
    assert_string_equal(error.text, "<locked>");
}

static void words_that_do_not_fit_end_in_dots(void **state)
{
    char words[1000];
    struct error error;
    memset(words, 'a', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    error_set(&error, EA_INVALID, "%s", words);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
    assert_string_equal(error.text + sizeof error.text - 6, "aa...");
    for (int i = 0; i < 100; i++) {
        error_wrap(&error, "%s", i % 2 == 0 ? "context" : words);
        assert_in_range(strlen(error.text), 1, sizeof error.text - 1);
    }
    error_set_errno(&error, EA_IO, ENOENT, "%s", words);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

static void words_are_cut_between_characters(void **state)
{
    /* Two-byte characters at each offset. */
    char words[600];
    for (size_t shift = 0; shift < 2; shift++) {
        struct error error;
        memset(words, 'x', shift);
        for (size_t i = shift; i + 2 < sizeof words; i += 2) {
            memcpy(words + i, "\xC3\xA4", 3);
        }
        error_set(&error, EA_INVALID, "%s", words);
        assert_true(str_is_utf8(str_of(error.text)));
        assert_true(str_ends(str_of(error.text), STR("...")));
    }
}

static void foreign_bytes_are_shown_escaped(void **state)
{
    struct error error;
    error_set_str(&error, EA_INVALID, "unknown kind", str_from("a\x1b[31m\"\xff\0", 9));
    assert_string_equal(error.text, "unknown kind: \"a\\x1b[31m\\\"\\xff\\x00\"");
    char hostile[5000];
    memset(hostile, 0x80, sizeof hostile);
    error_set_str(&error, EA_INVALID, "unknown kind", str_from(hostile, sizeof hostile));
    assert_true(strlen(error.text) < sizeof error.text);
    assert_true(str_ends(str_of(error.text), STR("...\"")));
    assert_false(str_has_control(str_of(error.text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_answers_for_each_error),
        cmocka_unit_test(every_error_has_codes_that_exist),
        cmocka_unit_test(an_error_outside_the_table_is_an_internal_error),
        cmocka_unit_test(setting_gives_words_and_returns_the_code),
        cmocka_unit_test(without_a_struct_the_code_alone_is_returned),
        cmocka_unit_test(the_words_of_errno_come_behind),
        cmocka_unit_test(context_comes_before_and_the_code_stays),
        cmocka_unit_test(an_error_can_be_set_from_its_own_words),
        cmocka_unit_test(words_that_do_not_fit_end_in_dots),
        cmocka_unit_test(words_are_cut_between_characters),
        cmocka_unit_test(foreign_bytes_are_shown_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
