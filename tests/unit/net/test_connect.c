#include "support.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/connect.h"
#include "net/listener.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct end near; /* ours */
    struct end far;  /* the listener's */
    unsigned dones;
    bool inside; /* connect_open() */
    enum err err;
    char text[240];
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};

    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct end *ends[] = {&f->near, &f->far};

    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->stream != NULL) {
            end_abort(ends[i]);
        }
    }
    settle(f->loop);
    loop_free(f->loop);
    buf_fini(&f->near.got);
    buf_fini(&f->far.got);
    free(f);
    return 0;
}

static void on_accept(struct stream *stream, void *user)
{
    end_start(&((struct fixture *)user)->far, stream);
}

static struct listener *listen_at(struct fixture *f, const char *address, struct tls_context *tls)
{
    struct listener_options options = {
        .address = str_of(address), .tls = tls, .on_accept = on_accept, .user = f};
    struct listener *l;

    assert_int_equal(listener_open(&l, f->loop, &options, NULL), EA_OK);
    return l;
}

static void on_done(void *user, struct stream *stream, enum err err, const struct error *error)
{
    struct fixture *f = user;

    assert_false(f->inside);
    f->dones++;
    f->err = err;
    if (err == EA_OK) {
        end_start(&f->near, stream);
    } else {
        assert_null(stream);
        assert_int_equal(error->code, err);
        (void)snprintf(f->text, sizeof f->text, "%s", error->text);
    }
}

static struct connect *dial(struct fixture *f, const char *host, uint16_t port, struct tls_context *tls)
{
    struct connect_options options = {.host = str_of(host),
                                      .port = port,
                                      .tls = tls,
                                      .deadline = mono_add_ms(loop_now(f->loop), 5000),
                                      .done = on_done,
                                      .user = f};
    struct connect *connect;

    f->inside = true;
    connect = connect_open(f->loop, &options);
    f->inside = false;
    return connect;
}

/* A port of 127.0.0.1 where nobody listens, kept by a bound socket so that nobody else gets it. */
static int unused_port(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void assert_carries(struct fixture *f)
{
    end_write(&f->near, "hello", 5);
    STEP_UNTIL(f->loop, f->far.got.n == 5);
    end_write(&f->far, "world", 5);
    STEP_UNTIL(f->loop, f->near.got.n == 5);
}

static void an_address_is_connected_to(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_at(f, "127.0.0.1", NULL);

    (void)dial(f, "127.0.0.1", listener_port(l), NULL);
    STEP_UNTIL(f->loop, f->dones == 1);
    assert_int_equal(f->err, EA_OK);
    STEP_UNTIL(f->loop, f->far.stream != NULL);
    assert_carries(f);
    listener_close(l);
}

static void a_name_is_resolved_and_its_addresses_tried_in_turn(void **state)
{
    struct fixture *f = *state;
    /* "localhost" is ::1 as well on most machines, and there nobody listens. */
    struct listener *l = listen_at(f, "127.0.0.1", NULL);

    (void)dial(f, "localhost", listener_port(l), NULL);
    STEP_UNTIL(f->loop, f->dones == 1);
    assert_int_equal(f->err, EA_OK);
    STEP_UNTIL(f->loop, f->far.stream != NULL);
    assert_carries(f);
    listener_close(l);
}

static void a_unix_socket_is_connected_to(void **state)
{
    struct fixture *f = *state;
    char folder[] = "/tmp/ea-test-net-XXXXXX";
    char address[64];
    struct listener *l;

    assert_non_null(mkdtemp(folder));
    (void)snprintf(address, sizeof address, "unix:%s/socket", folder);
    l = listen_at(f, address, NULL);
    (void)dial(f, address, 0, NULL);
    STEP_UNTIL(f->loop, f->dones == 1);
    assert_int_equal(f->err, EA_OK);
    STEP_UNTIL(f->loop, f->far.stream != NULL);
    assert_carries(f);
    listener_close(l);
    assert_int_equal(rmdir(folder), 0);
}

static void tls_verifies_the_host(void **state)
{
    struct fixture *f = *state;
    struct certificates certificates;
    struct tls_options server = {.server = true};
    struct tls_options client = {.server = false};
    struct tls_context *contexts[2];
    struct listener *l;

    certificates_make(&certificates);
    server.cert_file = certificates.server;
    server.key_file = certificates.server_key;
    client.ca_file = certificates.ca;
    assert_int_equal(tls_context_new(&contexts[0], &client, NULL), EA_OK);
    assert_int_equal(tls_context_new(&contexts[1], &server, NULL), EA_OK);
    certificates_remove(&certificates);
    l = listen_at(f, "127.0.0.1", contexts[1]);
    (void)dial(f, "127.0.0.1", listener_port(l), contexts[0]);
    tls_context_release(contexts[0]);
    STEP_UNTIL(f->loop, f->dones == 1);
    assert_int_equal(f->err, EA_OK);
    STEP_UNTIL(f->loop, f->far.stream != NULL);
    assert_true(stream_is_tls(f->near.stream));
    assert_carries(f);
    listener_close(l);
    tls_context_release(contexts[1]);
}

static void a_refused_connection_is_told_with_the_address(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    int fd = unused_port(&port);
    char expected[100];

    (void)dial(f, "127.0.0.1", port, NULL);
    STEP_UNTIL(f->loop, f->dones == 1);
    assert_int_equal(f->err, EA_IO);
    (void)snprintf(expected, sizeof expected, "cannot connect to 127.0.0.1:%u: Connection refused", port);
    assert_string_equal(f->text, expected);
    (void)close(fd);
}

static void what_is_no_host_is_refused(void **state)
{
    static const char *const hosts[] = {"", "a\nb"};
    struct fixture *f = *state;
    char longest[300];

    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        (void)dial(f, hosts[i], 1, NULL);
        settle(f->loop);
        assert_int_equal(f->dones, i + 1);
        assert_int_equal(f->err, EA_INVALID);
    }
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    (void)dial(f, longest, 1, NULL);
    settle(f->loop);
    assert_int_equal(f->err, EA_INVALID);
    (void)dial(f, "unix:/nowhere/socket", 1, NULL);
    settle(f->loop);
    assert_int_equal(f->err, EA_IO);
    assert_string_equal(f->text, "cannot connect to unix:/nowhere/socket: No such file or directory");
}

/* A listening socket whose queue is full: connections to it neither come about nor fail. */
static void full_listener(int fds[3], uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    fds[0] = unused_port(port);
    assert_int_equal(listen(fds[0], 0), 0);
    address.sin_port = htons(*port);
    for (unsigned i = 1; i < 3; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (const struct sockaddr *)&address, sizeof address);
    }
}

static void the_deadline_ends_the_attempt(void **state)
{
    struct fixture *f = *state;
    uint16_t port;
    int fds[3];

    full_listener(fds, &port);
    (void)dial(f, "127.0.0.1", port, NULL);
    settle(f->loop);
    clock_fake_advance_us(&f->clock, 4999000);
    settle(f->loop);
    assert_int_equal(f->dones, 0);
    clock_fake_advance_us(&f->clock, 1000);
    settle(f->loop);
    assert_int_equal(f->dones, 1);
    assert_int_equal(f->err, EA_TIMEOUT);
    for (unsigned i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
}

static void cancelled_at_any_point_nothing_is_told_and_nothing_is_left(void **state)
{
    struct fixture *f = *state;
    struct listener *l = listen_at(f, "127.0.0.1", NULL);
    uint16_t port;
    int fds[3];

    connect_cancel(dial(f, "127.0.0.1", listener_port(l), NULL)); /* before it began */
    full_listener(fds, &port);
    for (unsigned steps = 1; steps < 4; steps++) {
        struct connect *connect = dial(f, "127.0.0.1", port, NULL); /* while it waits */

        for (unsigned i = 0; i < steps; i++) {
            (void)loop_step(f->loop);
        }
        connect_cancel(connect);
        /* While the name is looked up: the answer is taken by a later step at the earliest. */
        connect = dial(f, "localhost", listener_port(l), NULL);
        (void)loop_step(f->loop);
        connect_cancel(connect);
        settle(f->loop);
        assert_int_equal(f->dones, 0);
    }
    listener_close(l);
    settle(f->loop);
    for (unsigned i = 0; i < 3; i++) {
        (void)close(fds[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(an_address_is_connected_to),
        T(a_name_is_resolved_and_its_addresses_tried_in_turn),
        T(a_unix_socket_is_connected_to),
        T(tls_verifies_the_host),
        T(a_refused_connection_is_told_with_the_address),
        T(what_is_no_host_is_refused),
        T(the_deadline_ends_the_attempt),
        T(cancelled_at_any_point_nothing_is_told_and_nothing_is_left),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
