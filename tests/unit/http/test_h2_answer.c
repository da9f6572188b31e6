/* Answers: fields, pieces, flow control of output. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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

static void expect(struct peer *peer, const char *log)
{
    peer_run(peer);
    assert_string_equal(peer_log(peer), log);
}

/* A GET that the test answers. */
static struct exchange *request(struct peer *peer, int32_t id)
{
    peer_get(peer, id, "/late");
    peer_run(peer);
    assert_non_null(peer->ex);
    return peer->ex;
}

static void fields_are_copied(void **state)
{
    struct peer *peer = *state;
    struct exchange *ex = request(peer, 1);
    char value[] = "some value";
    const struct http_field field = {STR("etag"), str_of(value)};
    exchange_answer(ex, 404, &field, 1, STR("x"));
    memset(value, '!', sizeof value);
    expect(peer, "HEADERS 1 :status=404 etag=some value content-length=1\nDATA 1 \"x\" END\n");
}

static void answers_carry_a_date_unless_they_need_none(void **state)
{
    struct peer *peer = *state;
    struct exchange *ex = request(peer, 1);
    ex->no_date = false;
    exchange_answer(ex, 204, NULL, 0, (struct str){NULL, 0});
    expect(peer, "HEADERS 1 :status=204 date=Thu, 01 Jan 2026 00:00:00 GMT END\n");
}

static void an_answer_to_head_has_no_body_but_its_length(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "HEAD"},
        {":scheme", "http"},
        {":path", "/bytes?3"},
        {":authority", "agent"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    expect(peer, "HEADERS 1 :status=200 content-length=3 END\n");
}

static void an_answer_in_pieces_goes_out_as_it_comes(void **state)
{
    struct peer *peer = *state;
    struct exchange *ex = request(peer, 1);
    exchange_start(ex, 200, NULL, 0);
    expect(peer, "HEADERS 1 :status=200\n");
    assert_int_equal(exchange_write(ex, STR("one ")), 4);
    assert_int_equal(exchange_write(ex, STR("two")), 7);
    expect(peer, "DATA 1 \"one two\"\n");
    exchange_write(ex, STR("three"));
    exchange_finish(ex, NULL, 0);
    expect(peer, "DATA 1 \"three\" END\n");
}

static void trailers_come_last(void **state)
{
    struct peer *peer = *state;
    const struct http_field trailer = {STR("x-sum"), STR("42")};
    struct exchange *ex = request(peer, 1);
    exchange_start(ex, 200, NULL, 0);
    exchange_write(ex, STR("data"));
    exchange_finish(ex, &trailer, 1);
    expect(peer, "HEADERS 1 :status=200\nDATA 1 \"data\"\nHEADERS 1 x-sum=42 END\n");
    ex = request(peer, 3);
    exchange_finish(ex, &trailer, 1);
    expect(peer, "HEADERS 3 :status=200 x-sum=42 END\n");
}

static void a_reset_carries_its_code(void **state)
{
    struct peer *peer = *state;
    (void)peer_heard(peer);
    exchange_reset(request(peer, 1), NGHTTP2_INTERNAL_ERROR);
    expect(peer, "RST_STREAM 1 2\n");
    assert_null(strstr(peer_heard(peer), "gone"));
}

static void resets_of_ours_do_not_count_against_the_client(void **state)
{
    struct peer *peer = *state;
    for (int32_t i = 0; i < 200; i++) {
        exchange_reset(request(peer, 2 * i + 1), NGHTTP2_INTERNAL_ERROR);
    }
    peer_run(peer);
    assert_null(strstr(peer_log(peer), "GOAWAY"));
}

static void a_producer_hears_when_its_output_fits_again(void **state)
{
    struct peer *peer = *state;
    peer->limits.write_stall_us = 0;
    struct exchange *ex = request(peer, 1);
    (void)peer_heard(peer);
    exchange_start(ex, 200, NULL, 0);
    char *bytes = mem_zalloc(EXCHANGE_HIGH_BYTES);
    assert_int_equal(exchange_write(ex, str_from(bytes, EXCHANGE_HIGH_BYTES)), EXCHANGE_HIGH_BYTES);
    assert_true(exchange_write(ex, str_from(bytes, EXCHANGE_HIGH_BYTES)) > EXCHANGE_HIGH_BYTES);
    peer_run(peer);
    /* The client's first window is 65535 bytes: more than half still waits. */
    assert_string_equal(peer_heard(peer), "");
    peer_window(peer, 0, 40000);
    peer_window(peer, 1, 40000);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "writable;");
    exchange_finish(ex, NULL, 0);
    peer_window(peer, 0, 40000);
    peer_window(peer, 1, 40000);
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), " END\n"));
    mem_free(bytes);
}

static void large_answers_wait_for_the_transport_too(void **state)
{
    (void)state;
    struct peer peer;
    const struct memstream_options narrow = {.capacity = 1000};
    const struct peer_options options = {.stream = &narrow};
    peer_init(&peer, &options);
    peer_settings(&peer, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 10000000);
    peer_window(&peer, 0, 10000000);
    peer_get(&peer, 1, "/bytes?1000000");
    peer_run(&peer);
    size_t bytes = 0;
    const char *at = peer_log(&peer);
    assert_null(strstr(at, "GOAWAY"));
    while ((at = strstr(at, "DATA 1 ")) != NULL) {
        size_t n = 0;
        if (sscanf(at, "DATA 1 (%zu bytes)", &n) == 1) {
            bytes += n;
        }
        at++;
    }
    assert_in_range(bytes, 1000000 - 64, 1000000);
    peer_fini(&peer);
}

static void a_stream_that_lives_long_does_not_grow(void **state)
{
    struct peer *peer = *state;
    struct exchange *ex = request(peer, 1);
    exchange_start(ex, 200, NULL, 0);
    peer_run(peer);
    const char *at = NULL;
    char *large = mem_zalloc(5000);
    for (int i = 0; i < 1000; i++) {
        exchange_write(ex, STR("small"));
        peer_run(peer);
        exchange_write(ex, str_from(large, 5000));
        peer_window(peer, 0, 5005);
        peer_window(peer, 1, 5005);
        peer_run(peer);
        at = at == NULL ? ex->arena.at : at;
        assert_ptr_equal(ex->arena.at, at);
        assert_null(ex->arena.blocks);
    }
    mem_free(large);
    exchange_finish(ex, NULL, 0);
    peer_run(peer);
    assert_null(strstr(peer_log(peer), "GOAWAY"));
}

static void an_ordinary_call_allocates_nothing_of_ours(void **state)
{
    struct peer *peer = *state;
    struct exchange *ex = request(peer, 1);
    const struct http_field type = {STR("content-type"), STR("application/json; charset=utf-8")};
    exchange_answer(ex, 200, &type, 1, STR("{\"elected\":true,\"leader\":\"a\",\"token\":\"1\"}"));
    assert_null(ex->arena.blocks);
    peer_run(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_copied),
        TEST(answers_carry_a_date_unless_they_need_none),
        TEST(an_answer_to_head_has_no_body_but_its_length),
        TEST(an_answer_in_pieces_goes_out_as_it_comes),
        TEST(trailers_come_last),
        TEST(a_reset_carries_its_code),
        TEST(resets_of_ours_do_not_count_against_the_client),
        TEST(a_producer_hears_when_its_output_fits_again),
        cmocka_unit_test(large_answers_wait_for_the_transport_too),
        TEST(a_stream_that_lives_long_does_not_grow),
        TEST(an_ordinary_call_allocates_nothing_of_ours),
    };
    return cmocka_run_group_tests_name("http/h2_answer", tests, NULL, NULL);
}
