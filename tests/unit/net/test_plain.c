/* What sockets do that memory does not; what they share with the other streams is in test_stream.c. */
#include "support.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/plain.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct end end;
    int peer; /* the other side, by hand; -1: closed */
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};
    struct stream *stream;
    int fds[2];

    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    tcp_pair(fds);
    f->peer = fds[0];
    assert_int_equal(plain_stream_new(&stream, f->loop, fds[1], NULL), EA_OK);
    end_start(&f->end, stream);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->end.stream != NULL) {
        end_abort(&f->end);
    }
    settle(f->loop);
    loop_free(f->loop);
    if (f->peer >= 0) {
        (void)close(f->peer);
    }
    buf_fini(&f->end.got);
    free(f);
    return 0;
}

static void reset(struct fixture *f)
{
    const struct linger none = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    (void)close(f->peer);
    f->peer = -1;
}

static void answer_and_close(struct end *end)
{
    end_write(end, "answer", 6);
    end_close(end);
}

static void a_peer_that_has_ended_its_side_still_gets_the_answer(void **state)
{
    struct fixture *f = *state;
    char bytes[16];

    f->end.do_end = answer_and_close;
    assert_int_equal(send(f->peer, "question", 8, 0), 8);
    assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
    STEP_UNTIL(f->loop, f->end.closes == 1);
    assert_int_equal(f->end.got.n, 8);
    assert_int_equal(f->end.why, EA_OK);
    assert_int_equal(recv(f->peer, bytes, sizeof bytes, 0), 6);
    assert_memory_equal(bytes, "answer", 6);
    assert_int_equal(recv(f->peer, bytes, sizeof bytes, 0), 0); /* an end, not a reset */
}

static void what_came_before_a_reset_is_read(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(send(f->peer, "last words", 10, 0), 10);
    reset(f);
    STEP_UNTIL(f->loop, f->end.closes == 1);
    assert_int_equal(f->end.got.n, 10);
    assert_int_equal(f->end.ends, 0);
    assert_int_equal(f->end.why, EA_CLOSED);
}

static void writing_to_a_peer_that_is_gone_ends_the_stream_and_not_the_process(void **state)
{
    struct fixture *f = *state;

    (void)close(f->peer); /* an end; what is written to it is answered by a reset */
    f->peer = -1;
    for (unsigned i = 0; f->end.closes == 0; i++) {
        if (f->end.stream != NULL) {
            end_write(&f->end, "x", 1);
        }
        (void)loop_step(f->loop);
        assert_true(i < 100000);
    }
    assert_int_equal(f->end.why, EA_CLOSED);
}

static void a_write_that_would_raise_a_signal_raises_none(void **state)
{
    struct fixture *f = *state;
    struct end end = {.stream = NULL};
    struct stream *stream;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(plain_stream_new(&stream, f->loop, fds[0], NULL), EA_OK);
    end_start(&end, stream);
    (void)close(fds[1]);
    end_write(&end, "x", 1); /* written before the poll that would tell of the end: EPIPE */
    STEP_UNTIL(f->loop, end.closes == 1);
    assert_int_equal(end.why, EA_CLOSED);
    assert_int_equal(end.ends, 0);
    buf_fini(&end.got);
}

static void a_reset_while_paused_is_noticed(void **state)
{
    struct fixture *f = *state;

    stream_pause(f->end.stream);
    reset(f);
    STEP_UNTIL(f->loop, f->end.closes == 1);
    assert_int_equal(f->end.why, EA_CLOSED);
    assert_int_equal(f->end.datas, 0);
}

static void abort_is_a_reset_for_the_peer(void **state)
{
    struct fixture *f = *state;
    char byte;

    settle(f->loop);
    end_abort(&f->end);
    STEP_UNTIL(f->loop, f->end.closes == 1);
    assert_int_equal(recv(f->peer, &byte, 1, 0), -1);
}

static void a_broken_connection_has_no_peer_to_name(void **state)
{
    struct fixture *f = *state;
    char peer[64];

    reset(f);
    assert_int_equal(stream_peer(f->end.stream, peer, sizeof peer), 7);
    assert_string_equal(peer, "unknown");
}

static void addresses_are_written_as_people_write_them(void **state)
{
    static const struct {
        uint8_t bytes[16];
        const char *text;
    } cases[] = {
        {{[15] = 1}, "[::1]:8080"},
        {{0x20, 0x01, 0x0d, 0xb8, [15] = 0x10}, "[2001:db8::10]:8080"},
        {{[10] = 0xff, 0xff, 10, 0, 0, 7}, "10.0.0.7:8080"},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
        char text[64];
        size_t n;

        memcpy(&address.sin6_addr, cases[i].bytes, 16);
        n = plain_address_text((const struct sockaddr *)&address, text, sizeof text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(n, strlen(text));
    }
}

static void an_idle_connection_is_small(void **state)
{
    assert_in_range(plain_stream_bytes(), 1, 320);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_peer_that_has_ended_its_side_still_gets_the_answer),
        T(what_came_before_a_reset_is_read),
        T(writing_to_a_peer_that_is_gone_ends_the_stream_and_not_the_process),
        T(a_write_that_would_raise_a_signal_raises_none),
        T(a_reset_while_paused_is_noticed),
        T(abort_is_a_reset_for_the_peer),
        T(a_broken_connection_has_no_peer_to_name),
        cmocka_unit_test(addresses_are_written_as_people_write_them),
        cmocka_unit_test(an_idle_connection_is_small),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
