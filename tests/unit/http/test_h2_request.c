/* What comes: limits, floods, flow control of input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "h2_peer.h"
#include "http/h2.h"

static int set_up_for(void **state, uint32_t streams)
{
    struct peer *peer = mem_alloc(sizeof *peer);
    struct http_limits limits = http_limits_default;
    limits.streams = streams;
    const struct peer_options options = {.limits = &limits};
    peer_init(peer, &options);
    *state = peer;
    return 0;
}

static int set_up(void **state)
{
    return set_up_for(state, 4);
}

static int set_up_for_many(void **state)
{
    return set_up_for(state, 1000);
}

static int tear_down(void **state)
{
    struct peer *peer = *state;
    peer_fini(peer);
    mem_free(peer);
    return 0;
}

/* A GET of /bytes?0 with `extra` more fields. */
static void get_with(struct peer *peer, int32_t id, const struct peer_field *extra, size_t n)
{
    struct peer_field *fields = mem_alloc((4 + n) * sizeof *fields);
    fields[0] = (struct peer_field){":method", "GET"};
    fields[1] = (struct peer_field){":scheme", "http"};
    fields[2] = (struct peer_field){":path", "/bytes?0"};
    fields[3] = (struct peer_field){":authority", "agent"};
    for (size_t i = 0; i < n; i++) {
        fields[4 + i] = extra[i];
    }
    peer_headers(peer, id, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, 4 + n);
    mem_free(fields);
}

#define ANSWER_431(id)                                                                                       \
    "HEADERS " #id " :status=431 date=Thu, 01 Jan 2026 00:00:00 GMT content-type=text/plain; charset=utf-8 " \
    "content-length=44\n"                                                                                    \
    "DATA " #id " \"the header fields are too large or too many\\0a\" END\n"

static void too_many_header_fields_are_answered_431(void **state)
{
    struct peer *peer = *state;
    struct peer_field many[97];
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++) {
        many[i] = (struct peer_field){"x-a", "b"};
    }
    get_with(peer, 1, many, 96); /* 100 in all */
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=0 END\n");
    get_with(peer, 3, many, 97);
    peer_run(peer);
    assert_string_equal(peer_log(peer), ANSWER_431(3));
    assert_int_equal(peer->last_refused, 431);
}

static void too_large_header_fields_are_answered_431(void **state)
{
    struct peer *peer = *state;
    char value[16 * 1024];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    const struct peer_field big = {"x-big", value};
    get_with(peer, 1, &big, 1);
    peer_run(peer);
    assert_string_equal(peer_log(peer), ANSWER_431(1));
    /* The connection lives, and both ends agree about the header tables. */
    get_with(peer, 3, NULL, 0);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 3 :status=200 content-length=0 END\n");
}

static void a_header_bomb_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    /* A field of 1.9 KiB goes into the table; each of the many others is one byte that names it. */
    char value[1900];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct peer_field many[40];
    for (size_t i = 0; i < ARRAY_LENGTH(many); i++) {
        many[i] = (struct peer_field){"x-bomb", value};
    }
    get_with(peer, 1, many, ARRAY_LENGTH(many));
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 1 11 \"too_many_headers\"\nCLOSED\n");
}

static void a_flood_of_continuations_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    const struct peer_field field = {":method", "GET"};
    peer_headers(peer, 1, 0, &field, 1);
    for (int i = 0; i < 1100; i++) {
        peer_frame(peer, NGHTTP2_CONTINUATION, 0, 1, "", 0);
    }
    peer_run(peer);
    const char *log = peer_log(peer);
    assert_non_null(strstr(log, "GOAWAY 1 "));
    assert_non_null(strstr(log, "CLOSED"));
}

static void several_fields_of_a_name_are_one_list(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/stream?a=b"}, {"host", "from-host"},
        {"accept", "a/b"},   {"accept", "c/d"},   {"x-unknown", "x"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS, fields, ARRAY_LENGTH(fields));
    peer_run(peer);
    struct exchange *ex = peer->ex;
    assert_non_null(ex);
    assert_true(str_eq(ex->header[HTTP_ACCEPT], STR("a/b, c/d")));
    assert_null(ex->header[HTTP_TE].p);
    assert_true(str_eq(ex->host, STR("from-host")));
    assert_true(str_eq(ex->query, STR("a=b")));
    assert_int_equal(ex->method, HTTP_POST);
}

static void a_malformed_request_is_reset_and_the_connection_lives(void **state)
{
    struct peer *peer = *state;
    const struct peer_field upper[] = {{"X-Upper", "x"}};
    get_with(peer, 1, upper, 1);
    const struct peer_field twice[] = {{":path", "/again"}};
    get_with(peer, 3, twice, 1);
    const struct peer_field hop[] = {{"connection", "close"}};
    get_with(peer, 5, hop, 1);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "RST_STREAM 1 1\nRST_STREAM 3 1\nRST_STREAM 5 1\n");
    peer_wait_us(peer, 5000000);
    get_with(peer, 7, NULL, 0);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 7 :status=200 content-length=0 END\n");
}

static void a_request_without_a_path_is_answered_400(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {{":method", "CONNECT"}, {":authority", "agent"}};
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "HEADERS 1 :status=400 "));
    assert_int_equal(peer->last_refused, 400);
}

static void a_body_that_is_not_as_long_as_it_said_is_reset(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "POST"},     {":scheme", "http"},     {":path", "/echo"},
        {":authority", "agent"}, {"content-length", "5"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS, fields, ARRAY_LENGTH(fields));
    peer_data(peer, 1, "four", 4, true);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "RST_STREAM 1 1\n");
    assert_string_equal(peer_heard(peer), "gone;");
}

static void a_body_that_is_too_large_is_answered_413(void **state)
{
    struct peer *peer = *state;
    const size_t n = 65536;
    char *body = mem_zalloc(n + 1);
    peer_post(peer, 1, "/echo");
    peer_data(peer, 1, body, n, true);
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "HEADERS 1 :status=200 content-length=65536\n"));
    peer_post(peer, 3, "/echo");
    peer_data(peer, 3, body, n + 1, false);
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "HEADERS 3 :status=413 content-type=text/plain; charset=utf-8 "
                                           "content-length=22\n"));
    assert_int_equal(peer->last_refused, 413);
    /* What is sent all the same is thrown away. */
    peer_data(peer, 3, body, 1000, true);
    peer_window(peer, 0, 1000000);
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "DATA 3 \"the body is too large\\0a\" END\n"));
    mem_free(body);
}

static void an_answer_before_the_body_stops_the_client(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/done");
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=4\nDATA 1 \"done\" END\n"
                                        "RST_STREAM 1 0\n");
}

static void streams_over_a_limit_the_client_knows_end_the_connection(void **state)
{
    struct peer *peer = *state;
    for (int32_t id = 1; id <= 9; id += 2) {
        peer_post(peer, id, "/echo");
    }
    peer_run(peer);
    assert_string_equal(peer_log(peer),
                        "GOAWAY 7 1 \"request HEADERS: max concurrent streams exceeded\"\nCLOSED\n");
}

static void streams_over_a_limit_the_client_may_not_know_yet_are_refused(void **state)
{
    (void)state;
    struct peer peer;
    struct http_limits limits = http_limits_default;
    limits.streams = 1;
    const struct peer_options options = {.limits = &limits, .mute = true};
    peer_init(&peer, &options);
    peer_raw(&peer, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    peer_frame(&peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
    peer_post(&peer, 1, "/echo");
    peer_post(&peer, 3, "/echo");
    peer_run(&peer);
    assert_string_equal(peer_log(&peer), "RST_STREAM 3 7\n");
    peer_fini(&peer);
}

static void rapid_resets_end_the_connection(void **state)
{
    struct peer *peer = *state;
    for (int32_t i = 0; i < 100; i++) {
        peer_get(peer, 2 * i + 1, "/late");
        peer_reset(peer, 2 * i + 1, NGHTTP2_CANCEL);
    }
    peer_run(peer);
    assert_string_equal(peer_log(peer), "");
    peer_get(peer, 201, "/late");
    peer_reset(peer, 201, NGHTTP2_CANCEL);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 201 11 \"too_many_resets\"\nCLOSED\n");
    assert_int_equal(peer->refused, 1);
}

static void making_us_reset_counts_as_resetting(void **state)
{
    struct peer *peer = *state;
    for (int32_t i = 0; i < 101; i++) {
        const struct peer_field wrong = {"X-Upper", "x"};
        get_with(peer, 2 * i + 1, &wrong, 1);
        peer_run(peer);
    }
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "GOAWAY 201 11 \"too_many_resets\"\nCLOSED\n"));
}

static void expect_calm(struct peer *peer, const char *text)
{
    peer_run(peer);
    const char *log = peer_log(peer);
    assert_non_null(strstr(log, text));
    assert_non_null(strstr(log, "CLOSED\n"));
    assert_int_equal(peer->refused, 1);
}

static void a_flood_of_settings_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    for (int i = 0; i < 101; i++) {
        peer_settings(peer, NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 16384);
    }
    expect_calm(peer, "GOAWAY 0 11 \"too_many_frames\"\n");
}

static void a_settings_frame_with_too_many_entries_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    uint8_t entries[33 * 6] = {0};
    for (size_t i = 0; i < 33; i++) {
        entries[i * 6 + 1] = NGHTTP2_SETTINGS_HEADER_TABLE_SIZE;
    }
    peer_frame(peer, NGHTTP2_SETTINGS, 0, 0, entries, sizeof entries);
    expect_calm(peer, "GOAWAY 0 11 \"SETTINGS: too many setting entries\"\n");
}

static void a_flood_of_pings_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    for (int i = 0; i < 4; i++) {
        peer_ping(peer);
    }
    expect_calm(peer, "GOAWAY 0 11 \"too_many_pings\"\n");
}

static void pings_between_answers_are_allowed(void **state)
{
    struct peer *peer = *state;
    for (int32_t i = 0; i < 20; i++) {
        peer_ping(peer);
        peer_ping(peer);
        peer_get(peer, 2 * i + 1, "/bytes?0");
        peer_run(peer);
    }
    assert_null(strstr(peer_log(peer), "GOAWAY"));
}

static void a_flood_of_priorities_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    const uint8_t priority[5] = {0, 0, 0, 0, 1};
    for (int i = 0; i < 1001; i++) {
        peer_frame(peer, NGHTTP2_PRIORITY, 0, 1, priority, sizeof priority);
    }
    expect_calm(peer, "GOAWAY 0 11 \"too_many_frames\"\n");
}

static void a_flood_of_window_updates_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    for (int i = 0; i < 1001; i++) {
        peer_window(peer, 0, 1);
    }
    expect_calm(peer, "GOAWAY 0 11 \"too_many_frames\"\n");
}

static void a_flood_of_empty_data_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/echo");
    for (int i = 0; i < 1001; i++) {
        peer_frame(peer, NGHTTP2_DATA, 0, 1, NULL, 0);
    }
    expect_calm(peer, "GOAWAY 1 11 \"too_many_frames\"\n");
}

static void streamed_input_opens_the_window_only_when_it_was_consumed(void **state)
{
    struct peer *peer = *state;
    peer->window[0] = 0;
    peer->window[1] = 0;
    const size_t n = 100000;
    char *bytes = mem_zalloc(n);
    peer_post(peer, 1, "/stream");
    peer_data(peer, 1, bytes, n, false);
    peer_run(peer);
    assert_int_equal(peer->window[0] + peer->window[1], 0);
    exchange_consumed(peer->ex, n);
    peer_run(peer);
    assert_int_equal(peer->window[1], n);
    mem_free(bytes);
}

static void bodies_in_the_making_are_bounded_by_the_connections_window(void **state)
{
    struct peer *peer = *state;
    peer->window[0] = 0;
    const size_t n = 60000;
    char *bytes = mem_zalloc(n);
    for (int32_t id = 1; id <= 7; id += 2) {
        peer_post(peer, id, "/echo");
        peer_data(peer, id, bytes, n, false);
    }
    peer_run(peer);
    assert_int_equal(peer->window[0], 0);
    /* A request that is whole gives its bytes back; so does one that is reset. */
    peer_data(peer, 1, "", 0, true);
    peer_reset(peer, 3, NGHTTP2_CANCEL);
    peer_run(peer);
    for (int32_t id = 9; id <= 40; id += 2) {
        peer_post(peer, id, "/done");
        peer_data(peer, id, bytes, n / 2, true);
        peer_run(peer);
    }
    assert_true(peer->window[0] >= 2 * (int64_t)n);
    mem_free(bytes);
}

static void requests_wait_while_the_client_takes_no_answers(void **state)
{
    struct peer *peer = *state;
    peer_settings(peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    peer_get(peer, 1, "/bytes?1048577");
    peer_run(peer);
    peer_heard(peer);
    peer_get(peer, 3, "/bytes?1");
    peer_post(peer, 5, "/echo");
    peer_data(peer, 5, "ab", 2, false);
    peer_post(peer, 7, "/stream");
    peer_data(peer, 7, "cd", 2, false);
    peer_get(peer, 9, "/bytes?2");
    peer_run(peer);
    peer_data(peer, 5, "c", 1, true);
    peer_reset(peer, 9, NGHTTP2_CANCEL);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=1048577\n");
    assert_string_equal(peer_heard(peer), "");
    peer_window(peer, 1, 100);
    peer_run(peer);
    assert_string_equal(peer_heard(peer),
                        "GET /bytes?1 host=agent body=0 stable;POST /echo? host=agent body=3;piece 2;");
    peer_data(peer, 7, "ef", 2, true);
    peer_window(peer, 3, 1);
    peer_window(peer, 5, 3);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "piece 2 last;");
    exchange_answer(peer->ex, 204, NULL, 0, STR(""));
    peer_run(peer);
    assert_string_equal(peer_log(peer), "DATA 1 (100 bytes)\n"
                                        "HEADERS 3 :status=200 content-length=1\n"
                                        "HEADERS 5 :status=200 content-length=3\n"
                                        "DATA 3 \"\\00\" END\n"
                                        "DATA 5 \"abc\" END\n"
                                        "HEADERS 7 :status=204 END\n");
}

static void a_burst_of_large_answers_is_answered_whole(void **state)
{
    struct peer *peer = *state;
    peer_settings(peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100000);
    for (int i = 0; i < 300; i++) {
        peer_get(peer, 1 + 2 * i, "/bytes?60000");
    }
    peer_run(peer);
    for (int i = 0; i < 300; i++) {
        peer_window(peer, 0, 60000);
        peer_run(peer);
    }
    const char *log = peer_log(peer);
    unsigned ends = 0;
    while ((log = strstr(log, " END")) != NULL) {
        ends++;
        log++;
    }
    assert_int_equal(ends, 300);
    assert_int_equal(peer->refused, 0);
}

static void answered_requests_are_kept_in_small_number(void **state)
{
    struct peer *peer = *state;
    peer_settings(peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    for (int i = 0; i < 500; i++) {
        peer_get(peer, 1 + 2 * i, "/bytes?1");
    }
    peer_run(peer);
    unsigned heard = 0;
    for (const char *at = peer_heard(peer); (at = strstr(at, "GET")) != NULL; at++) {
        heard++;
    }
    assert_int_equal(heard, H2_ANSWERED_MAX + 1);
    /* Those that wait go with the connection, in whatever order. */
    peer_reset(peer, 999, NGHTTP2_CANCEL);
    peer_reset(peer, 501, NGHTTP2_CANCEL);
    peer_reset(peer, 1, NGHTTP2_CANCEL);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "GET /bytes?1 host=agent body=0 stable;");
}

static void waiting_requests_of_a_client_that_stops_sending_are_answered(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/bytes?1200000");
    peer_get(peer, 3, "/bytes?3");
    peer_run(peer);
    peer_log(peer);
    peer_window(peer, 1, 2000000);
    peer_window(peer, 0, 2000000);
    stream_close(peer->stream);
    peer_run(peer);
    assert_non_null(strstr(peer_heard(peer), "GET /bytes?3"));
}

static void a_client_that_takes_no_answers_gets_no_window_for_bodies(void **state)
{
    struct peer *peer = *state;
    const size_t n = 60000;
    char *body = mem_zalloc(n);
    peer->window[0] = 0;
    peer_get(peer, 1, "/bytes?1200000"); /* the first window takes off 65535 */
    for (int32_t id = 3; id <= 33; id += 2) {
        peer_post(peer, id, "/done");
        peer_data(peer, id, body, n, true);
        peer_run(peer);
        peer_reset(peer, id, NGHTTP2_CANCEL);
    }
    peer_run(peer);
    assert_int_equal(peer->window[0], 0);
    peer_window(peer, 1, 100000);
    peer_window(peer, 0, 200000);
    peer_run(peer);
    assert_int_equal(peer->window[0], 16 * n);
    mem_free(body);
}

#define TEST(name)         cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_OF_MANY(name) cmocka_unit_test_setup_teardown(name, set_up_for_many, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(too_many_header_fields_are_answered_431),
        TEST(too_large_header_fields_are_answered_431),
        TEST(a_header_bomb_ends_the_connection),
        TEST(a_flood_of_continuations_ends_the_connection),
        TEST(several_fields_of_a_name_are_one_list),
        TEST(a_malformed_request_is_reset_and_the_connection_lives),
        TEST(a_request_without_a_path_is_answered_400),
        TEST(a_body_that_is_not_as_long_as_it_said_is_reset),
        TEST(a_body_that_is_too_large_is_answered_413),
        TEST(an_answer_before_the_body_stops_the_client),
        TEST(streams_over_a_limit_the_client_knows_end_the_connection),
        cmocka_unit_test(streams_over_a_limit_the_client_may_not_know_yet_are_refused),
        TEST(rapid_resets_end_the_connection),
        TEST(making_us_reset_counts_as_resetting),
        TEST(a_flood_of_settings_ends_the_connection),
        TEST(a_settings_frame_with_too_many_entries_ends_the_connection),
        TEST(a_flood_of_pings_ends_the_connection),
        TEST(pings_between_answers_are_allowed),
        TEST(a_flood_of_priorities_ends_the_connection),
        TEST(a_flood_of_window_updates_ends_the_connection),
        TEST(a_flood_of_empty_data_ends_the_connection),
        TEST(streamed_input_opens_the_window_only_when_it_was_consumed),
        TEST(bodies_in_the_making_are_bounded_by_the_connections_window),
        TEST_OF_MANY(requests_wait_while_the_client_takes_no_answers),
        TEST_OF_MANY(a_burst_of_large_answers_is_answered_whole),
        TEST_OF_MANY(answered_requests_are_kept_in_small_number),
        TEST_OF_MANY(waiting_requests_of_a_client_that_stops_sending_are_answered),
        TEST(a_client_that_takes_no_answers_gets_no_window_for_bodies),
    };
    return cmocka_run_group_tests_name("http/h2_request", tests, NULL, NULL);
}
