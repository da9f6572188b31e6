/* What we rely on in llhttp: if another version is laxer, it shows here first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "http/h1_llhttp.h"

static struct buf seen;

static enum h1_fault on_field(void *user, struct str name, struct str value)
{
    (void)user;
    buf_format(&seen, "<%.*s=%.*s>", STR_ARG(name), STR_ARG(value));
    return str_eq(name, STR("stop")) ? H1_NO_HOST : H1_FINE;
}

static enum h1_fault on_piece(void *user, struct str piece)
{
    (void)user;
    buf_format(&seen, "[%.*s]", STR_ARG(piece));
    return H1_FINE;
}

static struct h1_llhttp parser;
static struct h1_llhttp_head head;

static enum h1_fault parse(const char *text, size_t method_bytes)
{
    buf_clear(&seen);
    memset(&head, 0, sizeof head);
    return h1_llhttp_head(&parser, text, strlen(text), method_bytes, &head, on_field, NULL);
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&seen);
    return 0;
}

static void fields_come_one_by_one_without_the_space_around_them(void **state)
{
    (void)state;
    assert_int_equal(parse("GET /p HTTP/1.1\r\nA:  b c \t\r\nContent-Length: 3 \r\nD:\r\n\r\n", 0), H1_FINE);
    buf_add(&seen, "", 1);
    assert_string_equal(seen.p, "<A=b c><Content-Length=3><D=>");
    assert_true(str_eq(head.target, STR("/p")));
    assert_int_equal(head.length, 3);
    assert_true(head.keep_alive && !head.coded && !head.chunked && head.major == 1 && head.minor == 1);
}

static void a_fault_of_a_field_ends_the_parse(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/1.1\r\nA: b\r\nstop: x\r\nC: d\r\n\r\n", 0), H1_NO_HOST);
    buf_add(&seen, "", 1);
    assert_string_equal(seen.p, "<A=b><stop=x>");
}

static void an_unknown_method_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(parse("BREW /p HTTP/1.1\r\n\r\n", 0), H1_BAD_LINE);
    assert_int_equal(parse("BREW /p HTTP/1.1\r\n\r\n", 4), H1_FINE);
    assert_true(str_eq(head.target, STR("/p")));
}

static void faults_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum h1_fault fault;
    } rows[] = {
        {"GET / HTTP/3.0\r\n\r\n", H1_BAD_VERSION},
        {"GET / HTPP/1.1\r\n\r\n", H1_BAD_LINE},
        {"GET /\x01 HTTP/1.1\r\n\r\n", H1_BAD_TARGET},
        {"GET /\x80 HTTP/1.1\r\n\r\n", H1_BAD_TARGET},
        {"GET / HTTP/1.1\r\nA : b\r\n\r\n", H1_BAD_FIELD},
        {"GET / HTTP/1.1\r\nA: \x02\r\n\r\n", H1_BAD_FIELD},
        {"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", H1_BAD_FIELD},
        {"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", H1_BAD_LENGTH},
        {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", H1_BAD_LENGTH},
        {"GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", H1_LENGTH_AND_CODING},
        {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked, x\r\n\r\n", H1_BAD_CODING},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse(rows[i].text, 0), rows[i].fault);
    }
}

static void chunks_stop_at_the_last_one_and_trailers_at_their_end(void **state)
{
    (void)state;
    assert_int_equal(parse("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0), H1_FINE);
    assert_true(head.coded && head.chunked);
    buf_clear(&seen);
    enum h1_fault fault;
    bool last;
    static const char chunks[] = "2;x\r\nhi\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n";
    size_t used = h1_llhttp_chunks(&parser, chunks, sizeof chunks - 1, on_piece, NULL, &last, &fault);
    assert_int_equal(fault, H1_FINE);
    assert_true(last);
    assert_string_equal(chunks + used, "A: b\r\n\r\n");
    bool end;
    assert_int_equal(h1_llhttp_trailers(&parser, "A: b\r\n", 6, &end), H1_FINE);
    assert_false(end);
    assert_int_equal(h1_llhttp_trailers(&parser, "\r\n", 2, &end), H1_FINE);
    assert_true(end);
    buf_add(&seen, "", 1);
    assert_string_equal(seen.p, "[hi][!]");
}

static void a_chunk_that_is_not_strict_is_a_fault_at_its_place(void **state)
{
    static const struct {
        const char *chunks;
        size_t used;
    } rows[] = {{"2\nhi\r\n", 1}, {"2\r\nhi\n", 5}, {"g\r\n", 0}, {"2\r\nhi!\r\n", 5}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(parse("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 0), H1_FINE);
        enum h1_fault fault;
        bool last;
        size_t used =
            h1_llhttp_chunks(&parser, rows[i].chunks, strlen(rows[i].chunks), on_piece, NULL, &last, &fault);
        assert_int_equal(fault, H1_BAD_CHUNK);
        assert_false(last);
        assert_int_equal(used, rows[i].used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(fields_come_one_by_one_without_the_space_around_them, teardown),
        cmocka_unit_test_teardown(a_fault_of_a_field_ends_the_parse, teardown),
        cmocka_unit_test_teardown(an_unknown_method_is_passed_over, teardown),
        cmocka_unit_test_teardown(faults_are_told_apart, teardown),
        cmocka_unit_test_teardown(chunks_stop_at_the_last_one_and_trailers_at_their_end, teardown),
        cmocka_unit_test_teardown(a_chunk_that_is_not_strict_is_a_fault_at_its_place, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
