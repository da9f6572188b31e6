/* Only what test_h1_input.c can't see from outside: it has the table of what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "http/h1_head.h"

struct parsed {
    enum h1_fault fault;
    struct h1_head head;
    struct h1_llhttp parser;
    struct str header[HTTP_HEADERS];
    struct arena arena;
};

static struct parsed parsed;

static enum h1_fault parse(const char *text)
{
    arena_reset(&parsed.arena);
    memset(&parsed, 0, sizeof parsed);
    arena_init(&parsed.arena, NULL, 0);
    return h1_head_parse(&parsed.head, &parsed.parser, (const uint8_t *)text, strlen(text), parsed.header,
                         &parsed.arena);
}

static int teardown(void **state)
{
    (void)state;
    arena_reset(&parsed.arena);
    return 0;
}

static void slices_point_into_the_head_itself(void **state)
{
    (void)state;
    static const char text[] = "GET /path?query HTTP/1.1\r\nHost: a:1\r\nAccept: b\r\n\r\n";
    assert_int_equal(parse(text), H1_FINE);
    assert_ptr_equal(parsed.head.path.p, text + 4);
    assert_int_equal(parsed.head.path.n, 5);
    assert_ptr_equal(parsed.head.query.p, text + 10);
    assert_int_equal(parsed.head.query.n, 5);
    assert_true(str_eq(parsed.head.host, STR("a:1")));
    assert_true(str_eq(parsed.header[HTTP_ACCEPT], STR("b")));
    assert_null(parsed.header[HTTP_ORIGIN].p);
    assert_null(parsed.arena.blocks); /* nothing was allocated */
}

static void fields_of_one_name_become_a_list(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nTE: x\r\nte:\r\nTe: y, z\r\n\r\n"), H1_FINE);
    assert_true(str_eq(parsed.header[HTTP_TE], STR("x, , y, z")));
}

static void an_empty_field_is_there(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: a\r\nOrigin:  \r\n\r\n"), H1_FINE);
    assert_non_null(parsed.header[HTTP_ORIGIN].p);
    assert_int_equal(parsed.header[HTTP_ORIGIN].n, 0);
}

static void the_framing_of_the_body_is_told(void **state)
{
    (void)state;
    assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n"),
                     H1_FINE);
    assert_true(parsed.head.length == UINT64_MAX && !parsed.head.chunked);
    assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"), H1_FINE);
    assert_true(parsed.head.length == 0 && parsed.head.chunked);
    assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: a\r\n\r\n"), H1_FINE);
    assert_true(parsed.head.length == 0 && !parsed.head.chunked);
}

static void persistence_follows_version_and_connection_field(void **state)
{
    static const struct {
        const char *text;
        uint8_t minor;
        bool keep_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 1, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: a, CLOSE, b\r\n\r\n", 1, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", 1, true},
        {"GET / HTTP/1.0\r\n\r\n", 0, false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(rows[i].text), H1_FINE);
        assert_int_equal(parsed.head.minor, rows[i].minor);
        assert_int_equal(parsed.head.keep_alive, rows[i].keep_alive);
    }
}

static void expectations_of_http_1_0_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(parse("PUT / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n"), H1_FINE);
    assert_true(str_eq(parsed.head.expect, STR("x")));
    assert_int_equal(parse("PUT / HTTP/1.0\r\nExpect: x\r\n\r\n"), H1_FINE);
    assert_null(parsed.head.expect.p);
}

static void a_method_that_llhttp_does_not_know_is_parsed_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(parse("X'y /p?q HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"), H1_FINE);
    assert_int_equal(parsed.head.method, HTTP_OTHER);
    assert_true(str_eq(parsed.head.path, STR("/p")) && str_eq(parsed.head.query, STR("q")));
    assert_int_equal(parsed.head.length, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(slices_point_into_the_head_itself, teardown),
        cmocka_unit_test_teardown(fields_of_one_name_become_a_list, teardown),
        cmocka_unit_test_teardown(an_empty_field_is_there, teardown),
        cmocka_unit_test_teardown(the_framing_of_the_body_is_told, teardown),
        cmocka_unit_test_teardown(persistence_follows_version_and_connection_field, teardown),
        cmocka_unit_test_teardown(expectations_of_http_1_0_are_ignored, teardown),
        cmocka_unit_test_teardown(a_method_that_llhttp_does_not_know_is_parsed_all_the_same, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
