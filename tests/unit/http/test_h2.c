/* A connection from the preface to the last frame: what is answered, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "h2_peer.h"

static int set_up(void **state)
{
    struct peer *peer = mem_alloc(sizeof *peer);
    const struct peer_options options = {.limits = NULL};
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

static void a_request_is_answered_with_head_and_body(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/bytes?3");
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "GET /bytes?3 host=agent body=0 stable;");
    assert_string_equal(peer_log(peer),
                        "HEADERS 1 :status=200 content-length=3\nDATA 1 \"\\00\\00\\00\" END\n");
}

static void a_body_comes_whole_and_without_a_copy(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/echo");
    peer_data(peer, 1, "hello", 5, true);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "POST /echo? host=agent body=5;");
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=5\nDATA 1 \"hello\" END\n");
}

static void a_body_in_pieces_is_put_together(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/echo");
    peer_run(peer);
    peer_data(peer, 1, "hel", 3, false);
    peer_run(peer);
    peer_data(peer, 1, "lo", 2, false);
    peer_data(peer, 1, "!", 1, false);
    peer_run(peer);
    peer_data(peer, 1, "", 0, true);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "POST /echo? host=agent body=6;");
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=6\nDATA 1 \"hello!\" END\n");
}

static void streams_may_be_interleaved(void **state)
{
    struct peer *peer = *state;
    peer_post(peer, 1, "/echo");
    peer_post(peer, 3, "/echo");
    peer_data(peer, 1, "a", 1, false);
    peer_data(peer, 3, "b", 1, false);
    peer_data(peer, 1, "A", 1, true);
    peer_data(peer, 3, "B", 1, true);
    peer_run(peer);
    assert_string_equal(peer_log(peer),
                        "HEADERS 1 :status=200 content-length=2\nHEADERS 3 :status=200 content-length=2\n"
                        "DATA 1 \"aA\" END\nDATA 3 \"bB\" END\n");
}

static void hundreds_of_streams_may_be_open_at_once(void **state)
{
    struct peer *peer = *state;
    const int32_t streams = 500; /* nghttp2's table of streams grows on the way */
    for (int round = 0; round < 2; round++) {
        int32_t first = round * 2 * streams + 1;
        for (int32_t i = 0; i < streams; i++) {
            peer_post(peer, first + 2 * i, "/echo");
        }
        peer_run(peer);
        assert_string_equal(peer_log(peer), "");
        for (int32_t i = 0; i < streams; i++) {
            peer_data(peer, first + 2 * i, "x", 1, true);
        }
        peer_run(peer);
        int32_t answered = 0;
        for (const char *at = peer_log(peer); (at = strstr(at, " \"x\" END\n")) != NULL; at++) {
            answered++;
        }
        assert_int_equal(answered, streams);
    }
}

static void the_answers_of_a_turn_leave_in_one_write(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/bytes?1");
    peer_get(peer, 3, "/bytes?1");
    /* One turn reads both, and its end writes both; the next one delivers. */
    (void)loop_step(peer->loop);
    assert_string_equal(peer_log(peer), "");
    (void)loop_step(peer->loop);
    (void)loop_step(peer->loop);
    assert_string_equal(peer_log(peer),
                        "HEADERS 1 :status=200 content-length=1\nHEADERS 3 :status=200 content-length=1\n"
                        "DATA 1 \"\\00\" END\nDATA 3 \"\\00\" END\n");
}

static void a_ping_is_answered(void **state)
{
    struct peer *peer = *state;
    peer_ping(peer);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "PING ACK\n");
}

static void a_wrong_preface_ends_the_connection(void **state)
{
    (void)state;
    struct peer peer;
    const struct peer_options options = {.mute = true};
    peer_init(&peer, &options);
    /* The sniffer has seen it all; then comes no SETTINGS. */
    peer_raw(&peer, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    peer_ping(&peer);
    peer_run(&peer);
    assert_string_equal(peer_log(&peer), "GOAWAY 0 1 \"SETTINGS expected\"\nCLOSED\n");
    assert_int_equal(peer.refused, 1);
    peer_fini(&peer);
}

static void a_frame_that_is_too_large_ends_the_connection(void **state)
{
    struct peer *peer = *state;
    char *big = mem_zalloc(16385);
    peer_frame(peer, NGHTTP2_DATA, 0, 1, big, 16385);
    mem_free(big);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "GOAWAY 0 6 \"too large frame size\"\nCLOSED\n");
}

static void what_comes_when_the_client_goes_away_is_answered_first(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/late");
    const uint8_t goaway[8] = {0};
    peer_frame(peer, NGHTTP2_GOAWAY, 0, 0, goaway, sizeof goaway);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "");
    exchange_answer(peer->ex, 200, NULL, 0, STR("at last"));
    peer_run(peer);
    assert_string_equal(peer_log(peer),
                        "HEADERS 1 :status=200 content-length=7\nDATA 1 \"at last\" END\nCLOSED\n");
    assert_int_equal(peer->refused, 0);
}

static void a_client_that_stops_sending_still_gets_what_it_asked_for(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/late");
    peer_post(peer, 3, "/echo");
    peer_run(peer);
    stream_close(peer->stream);
    peer_run(peer);
    struct exchange *ex = peer->ex;
    assert_non_null(ex);
    assert_false(ex->gone);
    exchange_answer(ex, 200, NULL, 0, STR("x"));
    peer_run(peer);
    assert_int_equal(http_server_counts(peer->server)->connections[1][0], 0);
}

static void exchanges_hear_that_the_connection_is_gone_and_may_be_held_longer(void **state)
{
    struct peer *peer = *state;
    peer_get(peer, 1, "/late");
    peer_run(peer);
    struct exchange *ex = peer->ex;
    exchange_hold(ex);
    (void)peer_heard(peer);
    stream_abort(peer->stream);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "gone;");
    assert_true(ex->gone);
    /* Its memory is still there, and answering does nothing. */
    assert_true(str_eq(ex->path, STR("/late")));
    exchange_answer(ex, 200, NULL, 0, STR("too late"));
    exchange_release(ex);
}

static void input_cut_anywhere_is_understood_the_same(void **state)
{
    (void)state;
    for (size_t fragment = 1; fragment < 40; fragment++) {
        struct peer peer;
        const struct memstream_options stream = {.fragment = fragment};
        const struct peer_options options = {.stream = &stream};
        peer_init(&peer, &options);
        peer_post(&peer, 1, "/echo");
        peer_data(&peer, 1, "hello", 5, true);
        peer_run(&peer);
        assert_string_equal(peer_log(&peer),
                            "HEADERS 1 :status=200 content-length=5\nDATA 1 \"hello\" END\n");
        peer_fini(&peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_request_is_answered_with_head_and_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_comes_whole_and_without_a_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_in_pieces_is_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(streams_may_be_interleaved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hundreds_of_streams_may_be_open_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_answers_of_a_turn_leave_in_one_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_ping_is_answered, set_up, tear_down),
        cmocka_unit_test(a_wrong_preface_ends_the_connection),
        cmocka_unit_test_setup_teardown(a_frame_that_is_too_large_ends_the_connection, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_comes_when_the_client_goes_away_is_answered_first, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_client_that_stops_sending_still_gets_what_it_asked_for, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(exchanges_hear_that_the_connection_is_gone_and_may_be_held_longer,
                                        set_up, tear_down),
        cmocka_unit_test(input_cut_anywhere_is_understood_the_same),
    };
    return cmocka_run_group_tests_name("http/h2", tests, NULL, NULL);
}
