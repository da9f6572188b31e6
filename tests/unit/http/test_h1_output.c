/* Answers over HTTP/1.1: exact bytes, slow readers. */
#include "h1_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request in the making; each test leaves it empty. */
static struct buf text;

/* --- exact bytes --- */

/* Sends one request over a connection of its own and returns what came. */
static const char *ask(const char *request)
{
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, NULL);
    client_send(&client, str_of(request));
    fixture_settle(&f);
    const char *answer = client_take(&client);
    client_fini(&f, &client);
    fixture_fini(&f);
    return answer;
}

static void an_answer_is_exactly_these_bytes(void **state)
{
    (void)state;
    assert_string_equal(ask(GET("")), OK_HEAD "content-type: text/plain\r\ncontent-length: 37\r\n\r\n"
                                              "GET /echo query= host=a accept= body=");
    assert_string_equal(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                        "HTTP/1.1 404 Not Found\r\ndate: " TEST_DATE "\r\ncontent-length: 0\r\n\r\n");
}

static void an_answer_in_pieces_is_chunked_and_to_http_1_0_ends_with_the_connection(void **state)
{
    (void)state;
    assert_string_equal(ask("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"),
                        OK_HEAD "transfer-encoding: chunked\r\n\r\n"
                                "3\r\none\r\n14\r\ntwo-and-a-half-of-it\r\n0\r\n\r\n");
    assert_string_equal(ask("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                        OK_HEAD "connection: close\r\n\r\nonetwo-and-a-half-of-it");
}

static void head_has_the_fields_of_get_and_no_body(void **state)
{
    (void)state;
    assert_string_equal(ask("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n"),
                        OK_HEAD "content-type: text/plain\r\ncontent-length: 38\r\n\r\n");
    assert_string_equal(ask("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"),
                        OK_HEAD "transfer-encoding: chunked\r\n\r\n");
}

static void no_content_has_neither_length_nor_body(void **state)
{
    (void)state;
    assert_string_equal(ask("GET /empty HTTP/1.1\r\nHost: a\r\n\r\n"),
                        "HTTP/1.1 204 No Content\r\ndate: " TEST_DATE "\r\n\r\n");
}

static void http_1_0_keeps_the_connection_only_when_asked(void **state)
{
    (void)state;
    assert_string_equal(ask("GET / HTTP/1.0\r\n\r\n"), "HTTP/1.1 404 Not Found\r\ndate: " TEST_DATE
                                                       "\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    assert_string_equal(ask("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
                        "HTTP/1.1 404 Not Found\r\ndate: " TEST_DATE
                        "\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n");
}

static void a_refusal_is_json_with_the_reason_and_closes(void **state)
{
    (void)state;
    assert_string_equal(ask("GET / HTTP/1.1\r\n\r\n"),
                        refusal(400, "Bad Request", "HTTP/1.1 needs a host field"));
}

static void a_long_answer_comes_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, NULL);
    client_send(&client, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    fixture_settle(&f);
    static const char head[] = OK_HEAD "content-length: 100000\r\n\r\n";
    assert_int_equal(client.got.n, sizeof head - 1 + 100000);
    assert_memory_equal(client.got.p, head, sizeof head - 1);
    client_fini(&f, &client);
    fixture_fini(&f);
}

static void a_long_piece_is_one_chunk(void **state)
{
    struct one *one = *state;
    say(one, "GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
    static const char before[] = OK_HEAD "transfer-encoding: chunked\r\n\r\n186a0\r\n";
    static const char after[] = "\r\n0\r\n\r\n";
    assert_int_equal(one->client.got.n, sizeof before - 1 + 100000 + sizeof after - 1);
    assert_memory_equal(one->client.got.p, before, sizeof before - 1);
    assert_memory_equal(one->client.got.p + sizeof before - 1 + 100000, after, sizeof after - 1);
}

/* --- slow readers and writers --- */

static void a_producer_stops_at_the_mark_and_goes_on_when_the_client_reads(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, &(struct memstream_options){.capacity = 1000});
    client.take = 1;
    client_send(&client, STR("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"));
    fixture_settle(&f);
    assert_int_equal(f.writable, 1);
    client.take = 300000;
    stream_resume(client.stream);
    fixture_settle(&f);
    assert_in_range(f.writable, 4, 20);
    assert_in_range(client.got.n, 300000, 400000);
    client_fini(&f, &client);
    assert_int_equal(f.gone, 1);
    fixture_fini(&f);
}

static void a_client_that_takes_nothing_for_20_s_is_cut_off(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, &(struct memstream_options){.capacity = 1000});
    client.take = 1;
    client_send(&client, STR("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"));
    fixture_advance_ms(&f, 19900);
    assert_int_equal(f.gone, 0);
    fixture_advance_ms(&f, 6000);
    assert_int_equal(f.gone, 1);
    assert_int_equal(f.refused, 1);
    client_fini(&f, &client);
    fixture_fini(&f);
}

static void streamed_input_is_read_only_as_it_is_consumed(void **state)
{
    struct one *one = *state;
    say(one, "POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 100; i++) {
        repeat(&text, 'x', 10000);
        client_send_buf(&one->client, &text);
        fixture_settle(&one->f);
    }
    assert_in_range(one->f.uploaded, 1, 150000);
    while (one->f.unconsumed > 0) {
        size_t n = one->f.unconsumed;
        one->f.unconsumed = 0;
        exchange_consumed(one->f.held, n);
        fixture_settle(&one->f);
    }
    assert_int_equal(one->f.uploaded, 1000000);
    exchange_answer(one->f.held, 200, NULL, 0, STR("all"));
    exchange_release(one->f.held);
    fixture_settle(&one->f);
    assert_string_equal(body_of(client_take(&one->client)), "all");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_exactly_these_bytes),
        cmocka_unit_test(an_answer_in_pieces_is_chunked_and_to_http_1_0_ends_with_the_connection),
        cmocka_unit_test(head_has_the_fields_of_get_and_no_body),
        cmocka_unit_test(no_content_has_neither_length_nor_body),
        cmocka_unit_test(http_1_0_keeps_the_connection_only_when_asked),
        cmocka_unit_test(a_refusal_is_json_with_the_reason_and_closes),
        cmocka_unit_test(a_long_answer_comes_whole),
        ONE(a_long_piece_is_one_chunk),
        cmocka_unit_test(a_producer_stops_at_the_mark_and_goes_on_when_the_client_reads),
        cmocka_unit_test(a_client_that_takes_nothing_for_20_s_is_cut_off),
        ONE(streamed_input_is_read_only_as_it_is_consumed),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&text);
    return failed;
}
