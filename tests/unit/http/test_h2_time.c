/* Timeouts, keepalive and drain of an HTTP/2 connection, on a clock that is moved by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "h2_peer.h"

#define SECOND_US ((int64_t)1000000)

static const struct http_limits limits = {
    .request_line_bytes = 8192,
    .header_bytes = 16384,
    .header_count = 100,
    .body_bytes = 65536,
    .header_us = 2 * SECOND_US,
    .body_us = 10 * SECOND_US,
    .idle_us = 30 * SECOND_US,
    .age_us = 0,
    .age_grace_us = 30 * SECOND_US,
    .ping_idle_us = 10 * SECOND_US,
    .ping_timeout_us = 3 * SECOND_US,
    .ping_min_us = 10 * SECOND_US,
    .write_stall_us = 20 * SECOND_US,
    .streams = 1000,
};

static int set_up(void **state)
{
    struct peer *peer = mem_alloc(sizeof *peer);
    const struct peer_options options = {.limits = &limits};
    peer_init(peer, &options);
    *state = peer;
    return 0;
}

static int tear_down(void **state)
{
    struct peer *peer = *state;
    peer_fini(peer);
    mem_free(peer);
    return 0;
}

static void a_client_without_settings_is_sent_away(void **state)
{
    (void)state;
    struct peer peer;
    const struct peer_options options = {.limits = &limits, .mute = true};
    peer_init(&peer, &options);
    peer.silent = true;
    peer_raw(&peer, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    peer_wait_us(&peer, 2 * SECOND_US - 100000);
    assert_string_equal(peer_log(&peer), "");
    peer_wait_us(&peer, 200000);
    assert_string_equal(peer_log(&peer), "GOAWAY 0 1 \"no SETTINGS came\"\nCLOSED\n");
    peer_fini(&peer);
}

static void a_header_block_that_does_not_end_is_cut_off(void **state)
{
    struct peer *peer = *state;
    const struct peer_field field = {":method", "GET"};
    peer_headers(peer, 1, 0, &field, 1);
    peer_wait_us(peer, 2 * SECOND_US - 100000);
    assert_string_equal(peer_log(peer), "");
    peer_wait_us(peer, 200000);
    assert_string_equal(peer_log(peer), "GOAWAY 1 11 \"the header fields took too long\"\nCLOSED\n");
    assert_int_equal(peer->refused, 1);
}

static void a_body_that_does_not_end_is_answered_408(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/echo");
    peer_wait_us(peer, 5 * SECOND_US);
    peer_data(peer, 1, "slow", 4, false);
    peer_wait_us(peer, 5 * SECOND_US - 200000);
    assert_string_equal(peer_log(peer), "");
    peer_wait_us(peer, 300000);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=408 content-type=text/plain; charset=utf-8 "
                                        "content-length=23\nDATA 1 \"the body took too long\\0a\" END\n"
                                        "RST_STREAM 1 0\n");
    assert_int_equal(peer->last_refused, 408);
    /* The connection lives. */
    peer_get(peer, 3, "/bytes?0");
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 3 :status=200 content-length=0 END\n");
}

static void a_body_that_does_not_begin_is_answered_408_in_time(void **state)
{
    struct peer *peer = *state;
    peer_wait_us(peer,
                 5 * SECOND_US); /* so that no other time of the connection's comes at the same moment */
    (void)peer_log(peer);
    peer_post(peer, 1, "/echo");
    peer_wait_us(peer, 10 * SECOND_US - 100000);
    assert_null(strstr(peer_log(peer), "408"));
    peer_wait_us(peer, 100000);
    assert_non_null(strstr(peer_log(peer), "HEADERS 1 :status=408 "));
}

static void a_streaming_body_has_no_such_end(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/stream");
    peer_wait_us(peer, 100 * SECOND_US);
    assert_null(strstr(peer_log(peer), "HEADERS"));
    assert_non_null(peer->ex);
    assert_false(peer->ex->gone);
}

static void a_quiet_client_is_pinged_and_lives_by_its_answer(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/stream");
    peer_wait_us(peer, 10 * SECOND_US - 100000);
    assert_string_equal(peer_log(peer), "");
    peer_wait_us(peer, 200000);
    assert_string_equal(peer_log(peer), "PING\n");
    peer_wait_us(peer, 10 * SECOND_US);
    assert_string_equal(peer_log(peer), "PING\n");
}

static void a_client_that_does_not_answer_a_ping_is_dropped(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/stream");
    peer->silent = true;
    peer_wait_us(peer, 10 * SECOND_US + 100000);
    assert_string_equal(peer_log(peer), "PING\n");
    peer_wait_us(peer, 3 * SECOND_US - 200000);
    assert_string_equal(peer_log(peer), "");
    peer_wait_us(peer, 300000);
    assert_string_equal(peer_log(peer), "ABORTED\n");
    assert_string_equal(peer_heard(peer), "gone;");
}

static void a_connection_without_streams_is_closed_after_the_idle_time(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/bytes?0");
    peer_wait_us(peer, 30 * SECOND_US - 100000);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=0 END\nPING\nPING\n");
    peer_wait_us(peer, 200000);
    assert_string_equal(peer_log(peer), "GOAWAY 2147483647 0 \"\"\nPING\nGOAWAY 1 0 \"\"\nCLOSED\n");
    assert_int_equal(peer->refused, 0);
}

static void a_connection_with_a_stream_is_not_idle(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/stream");
    peer_wait_us(peer, 120 * SECOND_US);
    assert_null(strstr(peer_log(peer), "GOAWAY"));
}

static void a_drain_names_the_last_stream_only_when_the_first_goaway_has_arrived(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/late");
    peer_run(peer);
    peer->silent = true;
    http_server_drain(peer->server, MONO_NEVER, NULL, NULL);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 2147483647 0 \"\"\nPING\n");
    /* A request that crossed the announcement is answered. */
    peer_get(peer, 3, "/bytes?0");
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 3 :status=200 content-length=0 END\n");
    peer_frame(peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, "ea-leave", 8);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 3 0 \"\"\n");
    exchange_answer(peer->ex, 200, NULL, 0, STR("x"));
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=1\nDATA 1 \"x\" END\nCLOSED\n");
}

static void a_drain_goes_on_without_an_answer_to_its_ping(void **state)
{
    struct peer *peer = *state;
    peer->silent = true;
    http_server_drain(peer->server, MONO_NEVER, NULL, NULL);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 2147483647 0 \"\"\nPING\n");
    peer_wait_us(peer, 3 * SECOND_US + 100000);
    assert_string_equal(peer_log(peer), "GOAWAY 0 0 \"\"\nCLOSED\n");
}

static void the_age_ends_a_connection_and_the_grace_a_stream(void **state)
{
    (void)state;
    struct peer peer;
    struct http_limits aging = limits;
    aging.age_us = 100 * SECOND_US;
    const struct peer_options options = {.limits = &aging};
    peer_init(&peer, &options);
    peer_post(&peer, 1, "/stream");
    peer_wait_us(&peer, 89 * SECOND_US);
    assert_null(strstr(peer_log(&peer), "GOAWAY"));
    peer_wait_us(&peer, 22 * SECOND_US);
    assert_non_null(strstr(peer_log(&peer), "GOAWAY 1 0"));
    assert_string_equal(peer_heard(&peer), "");
    peer_wait_us(&peer, 30 * SECOND_US);
    assert_string_equal(peer_heard(&peer), "gone;");
    assert_null(peer.stream);
    peer_fini(&peer);
}

static void answers_that_wait_for_a_window_too_long_end_the_connection(void **state)
{
    struct peer *peer = *state;
    peer_settings(peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10);
    peer_get(peer, 1, "/bytes?100");
    peer_wait_us(peer, 19 * SECOND_US);
    assert_non_null(strstr(peer_log(peer), "DATA 1 \"\\00\\00\\00\\00\\00\\00\\00\\00\\00\\00\"\n"));
    /* A little progress buys time. */
    peer_window(peer, 1, 1);
    peer_wait_us(peer, 19 * SECOND_US);
    assert_non_null(peer->stream);
    peer_wait_us(peer, 2 * SECOND_US);
    assert_null(peer->stream);
    assert_int_equal(peer->refused, 1);
}

static void pings_do_not_pass_for_progress(void **state)
{
    struct peer *peer = *state;
    peer_settings(peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0);
    peer_get(peer, 1, "/bytes?100");
    peer_wait_us(peer, 11 * SECOND_US);
    peer_ping(peer);
    peer_wait_us(peer, 10 * SECOND_US);
    assert_null(peer->stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_without_settings_is_sent_away),
        cmocka_unit_test_setup_teardown(a_header_block_that_does_not_end_is_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_that_does_not_end_is_answered_408, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_that_does_not_begin_is_answered_408_in_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_streaming_body_has_no_such_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_quiet_client_is_pinged_and_lives_by_its_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_does_not_answer_a_ping_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_without_streams_is_closed_after_the_idle_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_connection_with_a_stream_is_not_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drain_names_the_last_stream_only_when_the_first_goaway_has_arrived,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_drain_goes_on_without_an_answer_to_its_ping, set_up, tear_down),
        cmocka_unit_test(the_age_ends_a_connection_and_the_grace_a_stream),
        cmocka_unit_test_setup_teardown(answers_that_wait_for_a_window_too_long_end_the_connection, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pings_do_not_pass_for_progress, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("http/h2_time", tests, NULL, NULL);
}
