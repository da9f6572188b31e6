#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "http/h1_answer.h"

/* The longest there is: the date of RFC 9110 has 29 characters. */
#define DATE "Thu, 01 Jan 2026 00:00:00 GMT"

static char text[1024];

static const char *written(const struct h1_answer *answer)
{
    memset(text, '#', sizeof text);
    size_t room = h1_answer_room(answer);
    assert_true(room < sizeof text);
    size_t n = h1_answer_write(answer, text);
    assert_true(n <= room);
    assert_int_equal(text[n], '#');
    text[n] = '\0';
    return text;
}

static void a_head_has_status_date_fields_and_length(void **state)
{
    (void)state;
    const struct http_field fields[] = {{STR("content-type"), STR("text/plain")}, {STR("etag"), STR("")}};
    const struct h1_answer answer = {
        .status = 200, .length = 18446744073709551615U, .fields = fields, .n_fields = 2, .date = STR(DATE)};
    assert_string_equal(written(&answer),
                        "HTTP/1.1 200 OK\r\ndate: " DATE "\r\ncontent-type: text/plain\r\netag: \r\n"
                        "content-length: 18446744073709551615\r\n\r\n");
}

static void the_framing_is_said(void **state)
{
    (void)state;
    struct h1_answer answer = {.status = 503, .framing = H1_BY_CHUNKS, .date = STR(DATE)};
    assert_string_equal(written(&answer), "HTTP/1.1 503 Service Unavailable\r\ndate: " DATE
                                          "\r\ntransfer-encoding: chunked\r\n\r\n");
    answer.framing = H1_BY_CLOSE;
    answer.close = true;
    assert_string_equal(written(&answer),
                        "HTTP/1.1 503 Service Unavailable\r\ndate: " DATE "\r\nconnection: close\r\n\r\n");
}

static void an_answer_without_a_body_has_no_framing(void **state)
{
    (void)state;
    const struct h1_answer answer = {.status = 304, .length = 5, .date = STR(DATE)};
    assert_string_equal(written(&answer), "HTTP/1.1 304 Not Modified\r\ndate: " DATE "\r\n\r\n");
    assert_false(h1_answer_has_body(100));
    assert_false(h1_answer_has_body(204));
    assert_true(h1_answer_has_body(200));
    assert_true(h1_answer_has_body(418));
}

static void close_wins_over_keep_alive(void **state)
{
    (void)state;
    struct h1_answer answer = {.status = 200, .date = STR(DATE), .keep_alive = true};
    assert_non_null(strstr(written(&answer), "\r\nconnection: keep-alive\r\n"));
    answer.close = true;
    assert_null(strstr(written(&answer), "keep-alive"));
    assert_non_null(strstr(text, "\r\nconnection: close\r\n"));
}

static void every_status_fits_in_its_room(void **state)
{
    (void)state;
    for (int status = 100; status <= 999; status++) {
        const struct h1_answer answer = {
            .status = status, .length = UINT64_MAX, .date = STR(DATE), .keep_alive = true};
        assert_memory_equal(written(&answer) + 12, " ", 1);
    }
    assert_int_equal(h1_reason(299).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_head_has_status_date_fields_and_length),
        cmocka_unit_test(the_framing_is_said),
        cmocka_unit_test(an_answer_without_a_body_has_no_framing),
        cmocka_unit_test(close_wins_over_keep_alive),
        cmocka_unit_test(every_status_fits_in_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
