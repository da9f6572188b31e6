#include "support.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct loop *second;
    unsigned accepted[2]; /* by the first and by the second loop */
    bool refuses;
    struct end ends[8];
    size_t n;
    char folder[64];
    char path[96];     /* a unix socket in it */
    char address[104]; /* "unix:" and the path */
};

static unsigned warnings;

static void count_warning(void *arg, enum log_level level, struct str line)
{
    warnings++;
}

static void on_accept(struct stream *stream, void *user)
{
    struct fixture *f = user;

    f->accepted[stream->loop == f->second]++;
    assert_true(f->n < ARRAY_LENGTH(f->ends));
    end_start_without_end(&f->ends[f->n++], stream);
}

static bool admit(void *user)
{
    return !((struct fixture *)user)->refuses;
}

static int setup(void **state)
{
    static const struct log_sink sink = {.write = count_warning};
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};

    log_set_sink(&sink);
    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    assert_int_equal(loop_new(&f->second, &options, NULL), EA_OK);
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/ea-test-net-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/socket", f->folder);
    (void)snprintf(f->address, sizeof f->address, "unix:%s", f->path);
    *state = f;
    warnings = 0;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < f->n; i++) {
        if (f->ends[i].stream != NULL) {
            end_abort(&f->ends[i]);
        }
        buf_fini(&f->ends[i].got);
    }
    settle(f->loop);
    settle(f->second);
    loop_free(f->loop);
    loop_free(f->second);
    (void)unlink(f->path);
    assert_int_equal(rmdir(f->folder), 0);
    free(f);
    return 0;
}

static struct listener_options options_for(struct fixture *f, const char *address, uint16_t port)
{
    return (struct listener_options){
        .address = str_of(address), .port = port, .admit = admit, .on_accept = on_accept, .user = f};
}

static struct listener *open_one(struct loop *loop, const struct listener_options *options)
{
    struct listener *listener;
    struct error error = ERROR_NONE;

    if (listener_open(&listener, loop, options, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    return listener;
}

static int dial(int family, const char *address, uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int fd = socket(family, SOCK_STREAM, 0);
    int rc = -1;

    if (family == AF_INET) {
        assert_int_equal(inet_pton(AF_INET, address, &in.sin_addr), 1);
        rc = connect(fd, (const struct sockaddr *)&in, sizeof in);
    } else if (family == AF_INET6) {
        assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
        rc = connect(fd, (const struct sockaddr *)&in6, sizeof in6);
    } else {
        (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", address);
        rc = connect(fd, (const struct sockaddr *)&un, sizeof un);
    }
    if (rc != 0) {
        (void)close(fd);
        return -errno;
    }
    return fd;
}

static bool machine_has_ipv6(void)
{
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&in6, sizeof in6) == 0;

    (void)close(fd);
    return has;
}

static void a_connection_is_handed_over_and_carries_bytes(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *l = open_one(f->loop, &options);
    int fd = dial(AF_INET, "127.0.0.1", listener_port(l));

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hi", 2), 2);
    STEP_UNTIL(f->loop, f->n == 1 && f->ends[0].got.n == 2);
    listener_close(l); /* the connection lives on */
    settle(f->loop);
    assert_int_equal(write(fd, "ho", 2), 2);
    STEP_UNTIL(f->loop, f->ends[0].got.n == 4);
    assert_true(dial(AF_INET, "127.0.0.1", 1) < 0);
    (void)close(fd);
    STEP_UNTIL(f->loop, f->ends[0].closes == 1);
}

static void the_unspecified_address_takes_both_families(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "::", 0);
    struct listener *l = open_one(f->loop, &options);
    int by_four = dial(AF_INET, "127.0.0.1", listener_port(l));
    int by_six = machine_has_ipv6() ? dial(AF_INET6, "::1", listener_port(l)) : by_four;
    size_t expected = machine_has_ipv6() ? 2 : 1;
    char peer[64];

    assert_true(by_four >= 0 && by_six >= 0);
    STEP_UNTIL(f->loop, f->n == expected);
    (void)stream_peer(f->ends[0].stream, peer, sizeof peer);
    assert_memory_equal(peer, "127.0.0.1:", 10); /* and not ::ffff:127.0.0.1 */
    listener_close(l);
    (void)close(by_four);
    if (by_six != by_four) {
        (void)close(by_six);
    }
}

static void two_loops_share_a_port(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *first = open_one(f->loop, &options);
    struct listener *second;
    int fds[64];
    unsigned expected = 0;

    options.sibling = first;
    second = open_one(f->second, &options);
    assert_int_equal(listener_port(second), listener_port(first));
    /* The kernel spreads by a hash of the addresses: sooner or later each has one. */
    while (f->accepted[0] == 0 || f->accepted[1] == 0) {
        assert_true(expected < ARRAY_LENGTH(fds));
        fds[expected] = dial(AF_INET, "127.0.0.1", listener_port(first));
        assert_true(fds[expected] >= 0);
        (void)close(fds[expected]);
        expected++;
        while (f->accepted[0] + f->accepted[1] < expected) {
            (void)loop_step(f->loop);
            (void)loop_step(f->second);
        }
        for (size_t i = 0; i < f->n; i++) {
            STEP_UNTIL(f->ends[i].stream != NULL ? f->ends[i].stream->loop : f->loop, f->ends[i].closes == 1);
            buf_fini(&f->ends[i].got);
            f->ends[i] = (struct end){0};
        }
        f->n = 0;
    }
    listener_close(first);
    listener_close(second);
}

static void a_port_in_use_is_refused_even_where_it_could_be_shared(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *first = open_one(f->loop, &options);
    struct listener *second;
    struct error error = ERROR_NONE;
    char expected[200];

    options.port = listener_port(first);
    assert_int_equal(listener_open(&second, f->second, &options, &error), EA_BUSY);
    assert_null(second);
    (void)snprintf(expected, sizeof expected,
                   "cannot listen on 127.0.0.1:%u: in use by another process: stop it or choose another port",
                   options.port);
    assert_string_equal(error.text, expected);
    assert_int_equal(error.code, EA_BUSY);
    listener_close(first);
}

static void a_low_port_is_refused_with_the_cure(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 83);
    struct listener *l;
    struct error error = ERROR_NONE;

    /* Root and kernels without the limit may have it. */
    if (listener_open(&l, f->loop, &options, &error) == EA_OK) {
        listener_close(l);
        return;
    }
    assert_string_equal(error.text,
                        "cannot listen on 127.0.0.1:83: permission denied: choose a port above 1023 "
                        "or give the capability NET_BIND_SERVICE");
}

static void what_is_no_address_is_refused_by_name(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *address;
        const char *text;
    } cases[] = {
        {"localhost", "cannot listen on \"localhost\": not an IP address and not \"unix:/path\""},
        {"", "cannot listen on \"\": not an IP address and not \"unix:/path\""},
        {"1.2.3.4\n", "cannot listen on \"1.2.3.4\\n\": not an IP address and not \"unix:/path\""},
        {"unix:", "cannot listen on unix:: a path of 1 to 107 bytes is needed"},
        {"192.0.2.77", "cannot listen on 192.0.2.77:0: this machine does not have the address"},
    };
    char longest[200] = "unix:/";
    struct listener *l;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct listener_options options = options_for(f, cases[i].address, 0);
        struct error error = ERROR_NONE;

        assert_int_equal(listener_open(&l, f->loop, &options, &error), EA_CONFIG);
        assert_string_equal(error.text, cases[i].text);
    }
    memset(longest + 6, 'x', 150);
    struct listener_options options = options_for(f, longest, 0);
    assert_int_equal(listener_open(&l, f->loop, &options, NULL), EA_CONFIG);
}

static void a_unix_socket_is_shared_by_loops_and_removed(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, f->address, 0);
    struct listener *first = open_one(f->loop, &options);
    struct listener *second;
    struct listener *third;
    struct error error = ERROR_NONE;
    int fd;

    assert_int_equal(listener_open(&third, f->second, &options, &error), EA_BUSY);
    assert_non_null(strstr(error.text, "in use by another process: stop it or choose another path"));
    options.sibling = first;
    second = open_one(f->second, &options);
    fd = dial(AF_UNIX, f->path, 0);
    assert_true(fd >= 0);
    STEP_UNTIL(f->second, f->accepted[1] == 2); /* the second look at whether somebody answers was one, too */
    (void)close(fd);
    fd = dial(AF_UNIX, f->path, 0);
    STEP_UNTIL(f->loop, f->accepted[0] == 1);
    (void)close(fd);
    listener_close(second);
    assert_int_equal(access(f->path, F_OK), 0);
    listener_close(first);
    assert_int_not_equal(access(f->path, F_OK), 0);
}

static void a_stale_unix_socket_is_replaced_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, f->address, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct listener *l;
    FILE *file;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(un.sun_path, sizeof un.sun_path, "%s", f->path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&un, sizeof un), 0);
    (void)close(fd); /* its file stays, and nobody accepts there */
    l = open_one(f->loop, &options);
    fd = dial(AF_UNIX, f->path, 0);
    assert_true(fd >= 0);
    (void)close(fd);
    listener_close(l);

    file = fopen(f->path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(listener_open(&l, f->loop, &options, NULL), EA_BUSY);
    assert_int_equal(access(f->path, F_OK), 0);
}

static void who_is_not_admitted_is_closed_at_once(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *l = open_one(f->loop, &options);
    int fd = dial(AF_INET, "127.0.0.1", listener_port(l));
    char byte;

    f->refuses = true;
    settle(f->loop);
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    assert_int_equal(f->n, 0);
    (void)close(fd);
    listener_close(l);
}

static void out_of_file_descriptors_connections_wait_and_one_line_is_logged(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *l = open_one(f->loop, &options);
    int fd = dial(AF_INET, "127.0.0.1", listener_port(l));
    struct rlimit before;
    struct rlimit none;

    settle(f->second); /* whatever opens descriptors lazily has done so */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (unsigned i = 0; i < 5; i++) {
        settle(f->loop);
        clock_fake_advance_us(&f->clock, 100000);
    }
    assert_int_equal(f->n, 0);
    assert_int_equal(warnings, 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    STEP_UNTIL(f->loop, f->n == 1);
    (void)close(fd);
    listener_close(l);
}

static void close_in_on_accept(struct stream *stream, void *user)
{
    on_accept(stream, user);
    listener_close(*(struct listener **)((struct fixture *)user)->ends[7].user);
}

static void a_listener_may_be_closed_by_its_own_callback(void **state)
{
    struct fixture *f = *state;
    struct listener_options options = options_for(f, "127.0.0.1", 0);
    struct listener *l;
    int fds[2];

    options.on_accept = close_in_on_accept;
    l = open_one(f->loop, &options);
    f->ends[7].user = &l;
    for (size_t i = 0; i < 2; i++) {
        fds[i] = dial(AF_INET, "127.0.0.1", listener_port(l));
        assert_true(fds[i] >= 0);
    }
    settle(f->loop);
    assert_int_equal(f->n, 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_connection_is_handed_over_and_carries_bytes),
        T(the_unspecified_address_takes_both_families),
        T(two_loops_share_a_port),
        T(a_port_in_use_is_refused_even_where_it_could_be_shared),
        T(a_low_port_is_refused_with_the_cure),
        T(what_is_no_address_is_refused_by_name),
        T(a_unix_socket_is_shared_by_loops_and_removed),
        T(a_stale_unix_socket_is_replaced_and_nothing_else),
        T(who_is_not_admitted_is_closed_at_once),
        T(out_of_file_descriptors_connections_wait_and_one_line_is_logged),
        T(a_listener_may_be_closed_by_its_own_callback),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
