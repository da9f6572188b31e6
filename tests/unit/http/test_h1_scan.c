#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "http/h1_scan.h"

static const struct http_limits limits = {.request_line_bytes = 10, .header_bytes = 12, .header_count = 2};

struct result {
    enum h1_fault fault;
    size_t used;
    bool done;
};

static struct result scan_from(struct h1_scan scan, struct str text, size_t step)
{
    struct result result = {H1_FINE, 0, false};
    while (result.used < text.n && result.fault == H1_FINE && !scan.done) {
        size_t n = text.n - result.used < step ? text.n - result.used : step;
        result.used += h1_scan(&scan, &limits, (const uint8_t *)text.p + result.used, n, &result.fault);
    }
    result.done = scan.done;
    return result;
}

/* Scans in steps of every length: the result must be the same. */
static struct result scan(struct h1_scan from, const char *z)
{
    struct str text = str_of(z);
    struct result whole = scan_from(from, text, text.n);
    for (size_t step = 1; step < text.n; step++) {
        struct result cut = scan_from(from, text, step);
        assert_int_equal(cut.fault, whole.fault);
        assert_int_equal(cut.used, whole.used);
        assert_int_equal(cut.done, whole.done);
    }
    return whole;
}

static const struct h1_scan head = {.line = 0};

static void a_head_ends_behind_its_empty_line(void **state)
{
    (void)state;
    struct result result = scan(head, "GET /\r\nA: b\r\n\r\nbody");
    assert_int_equal(result.fault, H1_FINE);
    assert_true(result.done);
    assert_int_equal(result.used, 15);
    assert_true(scan(head, "GET /\r\n\r\n").done);
    assert_true(scan(head, "\r\n\r\nGET /\r\n\r\n").done);
    assert_false(scan(head, "GET /\r\nA: b\r\n").done);
    assert_false(scan(head, "\r\n\r\n").done);
}

static void trailers_have_no_request_line(void **state)
{
    (void)state;
    assert_true(scan(H1_SCAN_TRAILERS, "\r\n").done);
    assert_int_equal(scan(H1_SCAN_TRAILERS, "A: b\r\n\r\nGET").used, 8);
    assert_int_equal(scan(H1_SCAN_TRAILERS, " A: b\r\n\r\n").fault, H1_FOLDED);
}

static void lines_end_in_crlf_and_in_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(scan(head, "GET /\n\n").fault, H1_BARE_LF);
    assert_int_equal(scan(head, "\nGET /").fault, H1_BARE_LF);
    assert_int_equal(scan(head, "GET /\r\nA: b\n\r\n").fault, H1_BARE_LF);
    assert_int_equal(scan(head, "GET /\r\nA: b\r\n\n").fault, H1_BARE_LF);
    assert_int_equal(scan(head, "GET /\rA: b").fault, H1_BARE_CR);
    assert_int_equal(scan(head, "GET /\r\r\n").fault, H1_BARE_CR);
    assert_int_equal(scan(head, "GET /\r\n\rX").fault, H1_BARE_CR);
}

static void the_fault_is_behind_what_was_used(void **state)
{
    (void)state;
    assert_int_equal(scan(head, "GET /\nA").used, 5);
    assert_int_equal(scan(head, "GET /\rA").used, 6);
    assert_int_equal(scan(head, "GET /567890X").used, 10);
}

static void a_line_that_begins_with_a_space_is_folded(void **state)
{
    (void)state;
    assert_int_equal(scan(head, "GET /\r\n A: b").fault, H1_FOLDED);
    assert_int_equal(scan(head, "GET /\r\nA: b\r\n\tc").fault, H1_FOLDED);
}

static void limits_hold_to_the_byte(void **state)
{
    (void)state;
    assert_true(scan(head, "GET /67890\r\n\r\n").done);
    assert_int_equal(scan(head, "GET /678901\r\n\r\n").fault, H1_LINE_TOO_LONG);
    assert_true(scan(head, "GET /\r\nA: b\r\nC:d\r\n\r\n").fault == H1_FINE);
    assert_true(scan(head, "GET /\r\nA: 4567890\r\n\r\n").done);
    assert_int_equal(scan(head, "GET /\r\nA: 45678901\r\n\r\n").fault, H1_FIELDS_TOO_LARGE);
    assert_int_equal(scan(head, "GET /\r\nA: b\r\nC: de\r\n\r\n").fault, H1_FIELDS_TOO_LARGE);
    assert_int_equal(scan(head, "GET /\r\nA:\r\nB:\r\nC:\r\n\r\n").fault, H1_TOO_MANY_FIELDS);
}

static void only_so_many_empty_lines_come_first(void **state)
{
    (void)state;
    assert_true(scan(head, "\r\n\r\n\r\n\r\nGET /\r\n\r\n").done);
    assert_int_equal(scan(head, "\r\n\r\n\r\n\r\n\r\nGET /\r\n\r\n").fault, H1_EMPTY_LINES);
}

static void what_cannot_begin_a_method_is_not_http(void **state)
{
    (void)state;
    assert_int_equal(scan(head, "\x16\x03\x01").fault, H1_NOT_HTTP);
    assert_int_equal(scan(head, " GET /").fault, H1_NOT_HTTP);
    assert_int_equal(scan(head, "\r\n\"").fault, H1_NOT_HTTP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_ends_behind_its_empty_line),
        cmocka_unit_test(trailers_have_no_request_line),
        cmocka_unit_test(lines_end_in_crlf_and_in_nothing_else),
        cmocka_unit_test(the_fault_is_behind_what_was_used),
        cmocka_unit_test(a_line_that_begins_with_a_space_is_folded),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(only_so_many_empty_lines_come_first),
        cmocka_unit_test(what_cannot_begin_a_method_is_not_http),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
