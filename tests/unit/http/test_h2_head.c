/* What is kept of header fields, and what one of them asks for. */
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
    peer_init(peer, &(struct peer_options){.limits = NULL});
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

/* By HPACK, a byte can stand for a field of two thousand. */
static void header_fields_of_all_streams_together_are_bounded(void **state)
{
    struct peer *peer = *state;
    char value[1901];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    struct peer_field fields[10] = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "h"}};
    for (size_t i = 4; i < ARRAY_LENGTH(fields); i++) {
        fields[i] = (struct peer_field){"authorization", value};
    }
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS, fields, 6);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "");
    peer_headers(peer, 3, NGHTTP2_FLAG_END_HEADERS, fields,
                 10); /* the list of six is put together in five copies */
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), "HEADERS 3 :status=431"));
    for (int32_t id = 5; id < 5 + 2 * 300; id += 2) {
        peer_headers(peer, id, NGHTTP2_FLAG_END_HEADERS, fields, 6);
    }
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), ":status=431"));
}

static void a_client_that_expects_to_be_told_so_is_told_to_continue(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {{":method", "POST"},
                                        {":scheme", "http"},
                                        {":path", "/echo"},
                                        {":authority", "h"},
                                        {"expect", "100-continue"}};
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS, fields, ARRAY_LENGTH(fields));
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=100\n");
    peer_data(peer, 1, "x", 1, true);
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 1 :status=200 content-length=1\nDATA 1 \"x\" END\n");
    peer_headers(peer, 3, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    peer_run(peer);
    assert_string_equal(peer_log(peer), "HEADERS 3 :status=200 content-length=0 END\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(header_fields_of_all_streams_together_are_bounded),
        TEST(a_client_that_expects_to_be_told_so_is_told_to_continue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
