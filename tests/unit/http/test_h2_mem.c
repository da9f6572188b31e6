#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/h2_mem.h"

struct fixture {
    struct h2_mem mem;
    nghttp2_session_callbacks *callbacks;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof *fixture);
    h2_mem_init(&fixture->mem);
    assert_int_equal(nghttp2_session_callbacks_new(&fixture->callbacks), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    nghttp2_session_callbacks_del(fixture->callbacks);
    h2_mem_fini(&fixture->mem);
    mem_free(fixture);
    return 0;
}

static bool is_resident(void *page)
{
    unsigned char vec = 0;
    assert_int_equal(mincore(page, 4096, &vec), 0);
    return (vec & 1) != 0;
}

static void sessions_share_a_frame_buffer_and_send_their_own_frames(void **state)
{
    struct fixture *fixture = *state;
    enum { SESSIONS = 3 };
    struct h2_session_mem mems[SESSIONS];
    nghttp2_session *sessions[SESSIONS];
    for (size_t i = 0; i < SESSIONS; i++) {
        sessions[i] = h2_mem_session(&mems[i], &fixture->mem, fixture->callbacks, NULL, NULL);
        const nghttp2_settings_entry entry = {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)i + 1};
        assert_int_equal(nghttp2_submit_settings(sessions[i], 0, &entry, 1), 0);
        uint8_t ping[8] = {(uint8_t)i};
        assert_int_equal(nghttp2_submit_ping(sessions[i], 0, ping), 0);
    }
    /* One frame of each in turn. */
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SESSIONS; i++) {
            const uint8_t *bytes = NULL;
            ssize_t n = nghttp2_session_mem_send(sessions[i], &bytes);
            if (round == 0) {
                const uint8_t expected[15] = {0, 0, 6, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0, 0, 3,
                                              0, 0, 0, (uint8_t)(i + 1)};
                assert_int_equal(n, sizeof expected);
                assert_memory_equal(bytes, expected, sizeof expected);
            } else {
                const uint8_t expected[17] = {0, 0, 8, NGHTTP2_PING, 0, 0, 0, 0, 0, (uint8_t)i};
                assert_int_equal(n, sizeof expected);
                assert_memory_equal(bytes, expected, sizeof expected);
            }
            assert_in_range((uintptr_t)bytes, (uintptr_t)fixture->mem.frame,
                            (uintptr_t)fixture->mem.frame + fixture->mem.frame_bytes);
        }
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        nghttp2_session_del(sessions[i]);
    }
}

static void the_page_of_a_resting_session_goes_back_to_the_kernel(void **state)
{
    struct fixture *fixture = *state;
    struct h2_session_mem session_mem;
    nghttp2_session *session = h2_mem_session(&session_mem, &fixture->mem, fixture->callbacks, NULL, NULL);
    assert_non_null(session_mem.page);
    uint8_t *page = session_mem.page;
    page[100] = 1;
    h2_mem_rest(&session_mem); /* not all zeros: it is in use */
    assert_false(session_mem.resting);
    assert_true(is_resident(page));
    assert_int_equal(page[100], 1);
    page[100] = 0;
    h2_mem_rest(&session_mem);
    assert_true(session_mem.resting);
    assert_false(is_resident(page));
    assert_int_equal(page[100], 0);
    nghttp2_session_del(session);
    assert_null(session_mem.page);
}

static void pages_are_zeros_again_for_the_next_session(void **state)
{
    struct fixture *fixture = *state;
    enum { SESSIONS = 200 }; /* more than a block, and more than are kept warm */
    static struct h2_session_mem mems[SESSIONS];
    static nghttp2_session *sessions[SESSIONS];
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SESSIONS; i++) {
            sessions[i] = h2_mem_session(&mems[i], &fixture->mem, fixture->callbacks, NULL, NULL);
            static const uint8_t zeros[4096];
            assert_non_null(mems[i].page);
            assert_memory_equal(mems[i].page, zeros, sizeof zeros);
            /* Bytes that a table may leave behind when its session ends; nghttp2 looks at a bucket's data
             * only. */
            ((uint8_t *)mems[i].page)[0] = 0xAA;
        }
        for (size_t i = 0; i < SESSIONS; i++) {
            nghttp2_session_del(sessions[i]);
        }
    }
    assert_int_equal(fixture->mem.n_free, fixture->mem.n_pages);
    assert_int_equal(fixture->mem.n_pages, 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sessions_share_a_frame_buffer_and_send_their_own_frames, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_page_of_a_resting_session_goes_back_to_the_kernel, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pages_are_zeros_again_for_the_next_session, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("http/h2_mem", tests, NULL, NULL);
}
