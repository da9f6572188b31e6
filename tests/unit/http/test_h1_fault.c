#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "http/h1_answer.h"
#include "http/h1_fault.h"
#include "http/server.h"

static const struct http_limits longest = {
    .request_line_bytes = SIZE_MAX,
    .header_bytes = SIZE_MAX,
    .header_count = SIZE_MAX,
    .body_bytes = SIZE_MAX,
    .header_us = INT64_MAX,
    .body_us = INT64_MAX,
};

static void every_fault_has_a_status_with_a_reason_and_words_that_fit_in_json(void **state)
{
    (void)state;
    for (enum h1_fault fault = H1_NOT_HTTP; fault < H1_FAULTS; fault++) {
        assert_in_range(h1_fault_status(fault), 400, 505);
        assert_true(h1_reason(h1_fault_status(fault)).n > 0);
        char text[H1_FAULT_TEXT_BYTES];
        size_t n = h1_fault_text(fault, &longest, text);
        assert_in_range(n, 10, H1_FAULT_TEXT_BYTES);
        for (size_t i = 0; i < n; i++) {
            assert_in_range(text[i], ' ', '~');
            assert_true(text[i] != '"' && text[i] != '\\' && text[i] != '%');
        }
    }
}

static void the_limit_that_was_broken_is_named(void **state)
{
    (void)state;
    static const struct {
        enum h1_fault fault;
        const char *text;
    } rows[] = {
        {H1_LINE_TOO_LONG, "the request line is longer than 8192 bytes"},
        {H1_FIELDS_TOO_LARGE, "the header fields are larger than 16384 bytes"},
        {H1_TOO_MANY_FIELDS, "there are more than 100 header fields"},
        {H1_BODY_TOO_LARGE, "the body is larger than 65536 bytes"},
        {H1_HEAD_LATE, "the head of the request did not come within 2000 ms"},
        {H1_BODY_LATE, "the body of the request did not come within 10000 ms"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[H1_FAULT_TEXT_BYTES];
        size_t n = h1_fault_text(rows[i].fault, &http_limits_default, text);
        assert_int_equal(n, strlen(rows[i].text));
        assert_memory_equal(text, rows[i].text, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_has_a_status_with_a_reason_and_words_that_fit_in_json),
        cmocka_unit_test(the_limit_that_was_broken_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
