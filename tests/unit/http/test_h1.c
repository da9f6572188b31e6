/* A connection of HTTP/1.1: its times, and clients that leave. */
#include "h1_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- times --- */

static void a_head_that_does_not_come_in_2_s_is_late_however_it_drips(void **state)
{
    struct one *one = *state;
    say(one, GET(""));
    client_take(&one->client);
    fixture_advance_ms(&one->f, 5000);
    say(one, "GET /ec");
    for (int i = 0; i < 3; i++) {
        fixture_advance_ms(&one->f, 500);
        say(one, "h");
    }
    fixture_advance_ms(&one->f, 499);
    assert_string_equal(client_take(&one->client), "");
    fixture_advance_ms(&one->f, 2);
    assert_string_equal(client_take(&one->client),
                        "HTTP/1.1 408 Request Timeout\r\ndate: Thu, 01 Jan 2026 00:00:07 GMT\r\n"
                        "content-type: application/json; charset=utf-8\r\ncontent-length: 65\r\n"
                        "connection: close\r\n\r\n"
                        "{\"message\":\"the head of the request did not come within 2000 ms\"}");
    assert_true(one->client.closed);
    assert_int_equal(one->f.last_refused, 408);
}

static void a_body_that_does_not_come_in_10_s_is_late(void **state)
{
    struct one *one = *state;
    say(one, POST("Content-Length: 5\r\n\r\nhel"));
    fixture_advance_ms(&one->f, 9999);
    assert_false(one->client.closed);
    fixture_advance_ms(&one->f, 2);
    assert_string_equal(body_of(client_take(&one->client)),
                        "{\"message\":\"the body of the request did not come within 10000 ms\"}");
    assert_true(one->client.closed);
    assert_int_equal(one->f.gone, 1);
    assert_int_equal(exchanges(one), 0);
}

static void an_idle_connection_is_closed_after_30_s_without_a_word(void **state)
{
    struct one *one = *state;
    say(one, GET(""));
    fixture_advance_ms(&one->f, 20000);
    say(one, GET(""));
    client_take(&one->client);
    fixture_advance_ms(&one->f, 29999);
    assert_false(one->client.closed);
    fixture_advance_ms(&one->f, 2);
    assert_true(one->client.closed);
    assert_string_equal(client_take(&one->client), "");
    assert_int_equal(one->f.refused, 0);
}

static void who_sends_only_empty_lines_is_closed_in_the_time_of_a_head(void **state)
{
    struct one *one = *state;
    say(one, "\r\n\r\n");
    fixture_advance_ms(&one->f, 1000);
    say(one, "\r\n");
    fixture_advance_ms(&one->f, 999);
    assert_false(one->client.closed);
    fixture_advance_ms(&one->f, 2);
    assert_true(one->client.closed);
    assert_string_equal(client_take(&one->client), "");
}

static void an_empty_line_between_requests_begins_none(void **state)
{
    struct one *one = *state;
    say(one, POST("Content-Length: 2\r\n\r\nhi\r\n"));
    client_take(&one->client);
    assert_int_equal(exchanges(one), 0);
    fixture_advance_ms(&one->f, 10000);
    assert_false(one->client.closed);
    say(one, GET(""));
    assert_string_equal(body_of(client_take(&one->client)), SAID("GET", ""));
}

static void an_answer_may_take_its_time(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    fixture_advance_ms(&one->f, 100000);
    assert_false(one->client.closed);
    exchange_answer(one->f.held, 200, NULL, 0, one->f.held->path);
    exchange_release(one->f.held);
    fixture_settle(&one->f);
    assert_string_equal(body_of(client_take(&one->client)), "/hold");
    assert_int_equal(exchanges(one), 0);
}

/* --- clients that leave --- */

static void a_handler_is_told_once_when_its_client_is_gone(void **state)
{
    struct one *one = *state;
    one->f.keeps_gone = true;
    say(one, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    stream_abort(one->client.stream);
    fixture_settle(&one->f);
    assert_int_equal(one->f.gone, 1);
    struct exchange *held = one->f.held;
    assert_true(held->gone);
    assert_true(str_eq(held->body, STR("hi")));
    exchange_answer(held, 200, NULL, 0, STR("late"));
    exchange_write(held, STR("late"));
    exchange_finish(held, NULL, 0);
    exchange_reset(held, 0);
    assert_int_equal(exchanges(one), 1);
    exchange_release(held);
    assert_int_equal(exchanges(one), 0);
    assert_int_equal(one->f.gone, 1);
}

static void a_client_that_only_stopped_sending_is_answered(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    stream_close(one->client.stream);
    fixture_advance_ms(&one->f, 500);
    assert_int_equal(one->f.gone, 0);
    exchange_answer(one->f.held, 200, NULL, 0, STR("still"));
    exchange_release(one->f.held);
    fixture_settle(&one->f);
    assert_int_equal(exchanges(one), 0);
}

static void a_client_that_stopped_sending_is_gone_after_a_second(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    stream_close(one->client.stream);
    fixture_advance_ms(&one->f, 1100);
    assert_int_equal(one->f.gone, 1);
    assert_int_equal(exchanges(one), 0);
}

static void a_request_that_ends_in_its_middle_is_refused(void **state)
{
    struct one *one = *state;
    say(one, POST("Content-Length: 5\r\n\r\nhel"));
    stream_close(one->client.stream);
    fixture_settle(&one->f);
    assert_int_equal(one->f.last_refused, 400);
    assert_int_equal(one->f.requests, 0);
    assert_int_equal(one->f.gone, 1);
}

static void an_empty_line_behind_a_request_does_not_hide_that_its_client_left(void **state)
{
    struct one *one = *state;
    say(one, "POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\n");
    exchange_start(one->f.held, 200, NULL, 0);
    stream_close(one->client.stream);
    fixture_settle(&one->f);
    assert_int_equal(one->f.gone, 1);
}

static void the_reader_of_a_stream_is_gone_as_soon_as_it_ends(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    exchange_start(one->f.held, 200, NULL, 0);
    exchange_write(one->f.held, STR("event"));
    fixture_settle(&one->f);
    stream_close(one->client.stream);
    fixture_settle(&one->f);
    assert_int_equal(one->f.gone, 1);
}

static void a_reset_tears_the_connection(void **state)
{
    struct one *one = *state;
    say(one, "GET /reset HTTP/1.1\r\nHost: a\r\n\r\n" GET(""));
    assert_true(one->client.closed);
    assert_string_equal(client_take(&one->client), "");
    assert_int_equal(one->f.requests, 1);
    assert_int_equal(exchanges(one), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ONE(a_head_that_does_not_come_in_2_s_is_late_however_it_drips),
        ONE(a_body_that_does_not_come_in_10_s_is_late),
        ONE(an_idle_connection_is_closed_after_30_s_without_a_word),
        ONE(who_sends_only_empty_lines_is_closed_in_the_time_of_a_head),
        ONE(an_empty_line_between_requests_begins_none),
        ONE(an_answer_may_take_its_time),
        ONE(a_handler_is_told_once_when_its_client_is_gone),
        ONE(a_client_that_only_stopped_sending_is_answered),
        ONE(a_client_that_stopped_sending_is_gone_after_a_second),
        ONE(a_request_that_ends_in_its_middle_is_refused),
        ONE(an_empty_line_behind_a_request_does_not_hide_that_its_client_left),
        ONE(the_reader_of_a_stream_is_gone_as_soon_as_it_ends),
        ONE(a_reset_tears_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
