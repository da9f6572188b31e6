#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "http/h1_body.h"

static struct {
    struct h1_body body;
    struct h1_llhttp parser;
    struct buf content;
    enum h1_fault piece_fault; /* what on_piece returns */
} t;

static enum h1_fault on_piece(void *user, struct str piece)
{
    assert_ptr_equal(user, &t);
    assert_true(piece.n > 0);
    buf_add_str(&t.content, piece);
    return t.piece_fault;
}

static void begin(const char *text)
{
    struct h1_head head;
    struct str header[HTTP_HEADERS] = {{NULL, 0}};
    struct arena arena;
    arena_init(&arena, NULL, 0);
    assert_int_equal(h1_head_parse(&head, &t.parser, (const uint8_t *)text, strlen(text), header, &arena),
                     H1_FINE);
    h1_body_init(&t.body, &head);
    arena_reset(&arena);
    buf_clear(&t.content);
    t.piece_fault = H1_FINE;
}

static void begin_chunks(void)
{
    begin("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
}

static size_t take(struct str text, enum h1_fault *fault)
{
    return h1_body_take(&t.body, &t.parser, &http_limits_default, (const uint8_t *)text.p, text.n, on_piece,
                        &t, fault);
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&t.content);
    return 0;
}

static void a_counted_body_ends_at_its_length(void **state)
{
    (void)state;
    enum h1_fault fault;
    begin("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    assert_int_equal(take(STR("hel"), &fault), 3);
    assert_false(t.body.done);
    assert_int_equal(take(STR("loGET /"), &fault), 2);
    assert_true(t.body.done);
    assert_true(str_eq(buf_str(&t.content), STR("hello")));
}

static void a_body_of_no_length_is_done_at_once(void **state)
{
    (void)state;
    begin("PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_true(t.body.done);
    begin("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_true(t.body.done);
    begin_chunks();
    assert_false(t.body.done);
}

static void chunks_end_behind_the_trailers_however_they_are_cut(void **state)
{
    (void)state;
    struct str text = STR("3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\nGET /");
    for (size_t step = 1; step <= text.n; step++) {
        begin_chunks();
        size_t at = 0;
        while (!t.body.done) {
            enum h1_fault fault;
            size_t n = text.n - at < step ? text.n - at : step;
            at += take(str_from(text.p + at, n), &fault);
            assert_int_equal(fault, H1_FINE);
        }
        assert_int_equal(at, text.n - 5);
        assert_true(str_eq(buf_str(&t.content), STR("hello")));
        assert_int_equal(t.body.content, 5);
    }
}

static void a_fault_of_the_taker_ends_it(void **state)
{
    (void)state;
    enum h1_fault fault;
    begin_chunks();
    t.piece_fault = H1_BODY_TOO_LARGE;
    take(STR("2\r\nhi\r\n2\r\nho\r\n0\r\n\r\n"), &fault);
    assert_int_equal(fault, H1_BODY_TOO_LARGE);
    assert_true(str_eq(buf_str(&t.content), STR("hi")));
}

static void extensions_without_end_are_a_fault_even_of_one_chunk(void **state)
{
    (void)state;
    enum h1_fault fault;
    size_t sent = 2;
    begin_chunks();
    take(STR("1;"), &fault);
    while (fault == H1_FINE) {
        assert_true(sent <= http_limits_default.header_bytes);
        sent += 1;
        take(STR("x"), &fault);
    }
    assert_int_equal(fault, H1_CHUNK_OVERHEAD);
    assert_int_equal(sent, http_limits_default.header_bytes + 1);
    assert_int_equal(t.content.n, 0);
}

static void a_size_of_zeros_without_end_is_a_fault(void **state)
{
    (void)state;
    enum h1_fault fault = H1_FINE;
    begin_chunks();
    for (size_t sent = 0; fault == H1_FINE; sent++) {
        assert_true(sent <= http_limits_default.header_bytes);
        take(STR("0"), &fault);
    }
    assert_int_equal(fault, H1_CHUNK_OVERHEAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_counted_body_ends_at_its_length, teardown),
        cmocka_unit_test_teardown(a_body_of_no_length_is_done_at_once, teardown),
        cmocka_unit_test_teardown(chunks_end_behind_the_trailers_however_they_are_cut, teardown),
        cmocka_unit_test_teardown(a_fault_of_the_taker_ends_it, teardown),
        cmocka_unit_test_teardown(extensions_without_end_are_a_fault_even_of_one_chunk, teardown),
        cmocka_unit_test_teardown(a_size_of_zeros_without_end_is_a_fault, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
