/* Whether the application is well. Its connections and its clock are the test's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "elector/health.h"
#include "net/connect.h"
#include "net/memstream.h"

#define LOOK_US   INT64_C(1000000)
#define SECOND_US INT64_C(1000000)

static struct {
    struct loop *loop;
    struct clock_fake clock;
    struct connect_options options; /* of the connection that is wanted */
    bool connecting;
    unsigned connects;
    struct stream *peer; /* the application's end; NULL: not connected */
    char request[512];
    size_t request_bytes;
    unsigned changes;
    bool healthy;
} scene;

/* --- connections that the test makes --- */

struct connect *connect_open(struct loop *loop, const struct connect_options *options)
{
    assert_false(scene.connecting);
    scene.options = *options;
    scene.connecting = true;
    scene.connects++;
    return (struct connect *)(void *)&scene; /* opaque */
}

void connect_cancel(struct connect *connect)
{
    assert_true(scene.connecting);
    scene.connecting = false;
}

static void peer_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    size_t room = sizeof scene.request - 1 - scene.request_bytes;
    size_t take = n < room ? n : room;
    memcpy(scene.request + scene.request_bytes, bytes, take);
    scene.request_bytes += take;
    scene.request[scene.request_bytes] = '\0';
}

static void peer_closed(struct stream *stream, enum err why)
{
    scene.peer = NULL;
}

static const struct stream_handler peer_handler = {.on_data = peer_data, .on_closed = peer_closed};

static void turn(void)
{
    for (int i = 0; i < 4; i++) {
        (void)loop_step(scene.loop);
    }
}

static void wait_us(int64_t us)
{
    clock_fake_advance_us(&scene.clock, us);
    turn();
}

static void connected(size_t fragment)
{
    struct stream *ours;
    assert_true(scene.connecting);
    scene.connecting = false;
    scene.request_bytes = 0;
    memstream_pair(scene.loop, &(struct memstream_options){.fragment = fragment}, &ours, &scene.peer);
    stream_start(scene.peer, &peer_handler, NULL);
    scene.options.done(scene.options.user, ours, EA_OK, NULL);
    turn();
}

static void refuse(void)
{
    struct error error;
    assert_true(scene.connecting);
    scene.connecting = false;
    (void)error_set(&error, EA_IO, "connection refused");
    scene.options.done(scene.options.user, NULL, EA_IO, &error);
    turn();
}

static void answer(const char *text)
{
    stream_write(scene.peer, text, strlen(text));
    stream_close(scene.peer);
    for (int i = 0; i < 20; i++) { /* byte by byte, perhaps */
        turn();
    }
}

/* --- the health --- */

static void on_changed(void *user, bool healthy)
{
    assert_true(healthy != scene.healthy);
    scene.healthy = healthy;
    scene.changes++;
}

static struct health *open_health(const char *url, const char *file, int64_t file_age_us)
{
    struct health *h = NULL;
    struct error error = ERROR_NONE;
    scene.healthy = false;
    scene.changes = scene.connects = 0;
    const struct health_options options = {
        .loop = scene.loop, .url = url, .file = file, .file_age_us = file_age_us, .changed = on_changed};
    if (health_open(&h, &options, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    turn();
    return h;
}

static void close_health(struct health *h)
{
    health_close(h);
    turn();
    assert_null(scene.peer);
    assert_false(scene.connecting);
}

/* The next look, and what comes of it. */
static void look(const char *text)
{
    wait_us(LOOK_US);
    if (text != NULL) {
        connected(0);
        answer(text);
    } else {
        refuse();
    }
}

#define WELL "HTTP/1.1 200 OK\r\n\r\n"
#define SICK "HTTP/1.1 503 Service Unavailable\r\n\r\n"

static void the_page_is_asked_for_as_the_url_says(void **state)
{
    static const struct {
        const char *url;
        const char *host;
        uint16_t port;
        const char *head;
    } rows[] = {
        {"http://localhost:8080/healthz", "localhost", 8080,
         "GET /healthz HTTP/1.1\r\nHost: localhost:8080\r\n"},
        {"http://app", "app", 80, "GET / HTTP/1.1\r\nHost: app:80\r\n"},
        {"http://127.0.0.1/a?b=c", "127.0.0.1", 80, "GET /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"},
        {"http://[::1]:9000/x", "::1", 9000, "GET /x HTTP/1.1\r\nHost: [::1]:9000\r\n"},
        {"http://[::1]", "::1", 80, "GET / HTTP/1.1\r\nHost: [::1]:80\r\n"},
        {"http://app:65535", "app", 65535, "GET / HTTP/1.1\r\nHost: app:65535\r\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct health *h = open_health(rows[i].url, "", 0);
        assert_true(str_eq(scene.options.host, str_of(rows[i].host)));
        assert_int_equal(scene.options.port, rows[i].port);
        connected(0);
        if (strncmp(scene.request, rows[i].head, strlen(rows[i].head)) != 0) {
            fail_msg("%s: %s", rows[i].url, scene.request);
        }
        assert_non_null(strstr(scene.request, "\r\nConnection: close\r\n\r\n"));
        close_health(h);
    }
}

static void a_url_that_is_none_is_refused_with_words(void **state)
{
    static const struct {
        const char *url;
        const char *error;
    } rows[] = {
        {"http://", "want http://host:port/path"},
        {"http:///x", "want http://host:port/path"},
        {"http://:80/", "want http://host:port/path"},
        {"http://[]:80/", "want http://host:port/path"},
        {"http://app:0/", "the port is no number from 1 to 65535"},
        {"http://app:/", "the port is no number from 1 to 65535"},
        {"http://app:65536/", "the port is no number from 1 to 65535"},
        {"http://app:80x/", "the port is no number from 1 to 65535"},
        {"http://app/a b", "want http://host:port/path"},
        {"http://app/a#b", "want http://host:port/path"},
        {"http://app?x", "a path begins with /"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct health *h = NULL;
        struct error error = ERROR_NONE;
        const struct health_options options = {
            .loop = scene.loop, .url = rows[i].url, .file = "", .changed = on_changed};
        assert_int_equal(health_open(&h, &options, &error), EA_CONFIG);
        assert_null(h);
        if (strstr(error.text, rows[i].error) == NULL) {
            fail_msg("%s: %s", rows[i].url, error.text);
        }
    }
}

static void only_2xx_is_well(void **state)
{
    static const struct {
        const char *text;
        bool well;
    } rows[] = {
        {WELL, true},
        {"HTTP/1.0 204 No Content\r\n\r\n", true},
        {"HTTP/1.1 299", true},
        {"HTTP/1.1 2", false}, /* it ended there */
        {"HTTP/1.1 302 Found\r\n\r\n", false},
        {"HTTP/1.1 404 Not Found\r\n\r\n", false},
        {SICK, false},
        {"HTTP/2.0 200 OK\r\n\r\n", false},
        {"HTTP/1.12200 OK\r\n\r\n", false},
        {"SSH-2.0-OpenSSH_9.2\r\n", false},
        {"200 200 200 200", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (size_t fragment = 0; fragment < 2; fragment++) {
            struct health *h = open_health("http://app", "", 0);
            connected(fragment);
            answer(rows[i].text);
            if (scene.healthy != rows[i].well || scene.changes != (rows[i].well ? 1 : 0)) {
                fail_msg("%s", rows[i].text);
            }
            assert_null(scene.peer); /* it does not wait for the rest */
            close_health(h);
        }
    }
}

static void three_failures_in_a_row_make_it_sick_and_one_success_well(void **state)
{
    struct health *h = open_health("http://app", "", 0);
    assert_false(scene.healthy); /* it begins so */
    connected(0);
    answer(WELL);
    assert_true(scene.healthy);
    look(SICK);
    look(NULL);
    assert_true(scene.healthy);
    look(WELL); /* begins anew */
    look(NULL);
    look(SICK);
    assert_true(scene.healthy);
    look(NULL);
    assert_false(scene.healthy);
    look(SICK);
    assert_int_equal(scene.changes, 2);
    look(WELL);
    assert_true(scene.healthy);
    assert_int_equal(scene.changes, 3);
    close_health(h);
}

static void a_page_that_does_not_answer_within_a_second_has_failed(void **state)
{
    struct health *h = open_health("http://app", "", 0);
    connected(0);
    answer(WELL);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(scene.healthy);
        wait_us(LOOK_US);
        connected(0);
        stream_write(scene.peer, "HTTP/1.1 200", 11); /* begins, and stalls */
        turn();
        wait_us(LOOK_US - 1000);
        assert_non_null(scene.peer);
        wait_us(2000);
        assert_null(scene.peer);
    }
    assert_false(scene.healthy);
    close_health(h);
}

static void it_is_looked_at_every_second(void **state)
{
    struct health *h = open_health("http://app", "", 0);
    assert_int_equal(scene.connects, 1); /* at once */
    connected(0);
    answer(WELL);
    wait_us(LOOK_US - 1000);
    assert_int_equal(scene.connects, 1);
    wait_us(1000);
    assert_int_equal(scene.connects, 2);
    wait_us(LOOK_US / 2); /* no second connection beside the first */
    assert_int_equal(scene.connects, 2);
    close_health(h);
}

/* --- the file --- */

static char path[64];

static void touch(int64_t age_us)
{
    int64_t at = scene.clock.wall.us - age_us;
    const struct timespec times[2] = {{.tv_sec = at / SECOND_US, .tv_nsec = at % SECOND_US * 1000},
                                      {.tv_sec = at / SECOND_US, .tv_nsec = at % SECOND_US * 1000}};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void a_file_must_be_touched_in_time(void **state)
{
    (void)snprintf(path, sizeof path, "test-health-%ld", (long)getpid());
    struct health *h = open_health("", path, 5 * SECOND_US);
    assert_false(scene.healthy); /* it is not there */
    touch(0);
    wait_us(LOOK_US);
    assert_true(scene.healthy);
    for (unsigned i = 0; i < 4; i++) {
        wait_us(LOOK_US);
    }
    assert_true(scene.healthy); /* five seconds old */
    wait_us(LOOK_US);
    wait_us(LOOK_US);
    assert_true(scene.healthy);
    wait_us(LOOK_US); /* the third look that found it too old */
    assert_false(scene.healthy);
    touch(-60 * SECOND_US); /* by a clock that goes ahead: it was touched */
    wait_us(LOOK_US);
    assert_true(scene.healthy);
    assert_int_equal(scene.connects, 0);
    assert_int_equal(unlink(path), 0);
    for (unsigned i = 0; i < 3; i++) {
        wait_us(LOOK_US);
    }
    assert_false(scene.healthy);
    close_health(h);
}

static void page_and_file_must_both_be_well(void **state)
{
    (void)snprintf(path, sizeof path, "test-health-%ld", (long)getpid());
    touch(10 * SECOND_US);
    struct health *h = open_health("http://app", path, 5 * SECOND_US);
    connected(0);
    answer(WELL);
    assert_false(scene.healthy);
    touch(0);
    look(SICK);
    assert_false(scene.healthy);
    look(WELL);
    assert_true(scene.healthy);
    close_health(h);
    assert_int_equal(unlink(path), 0);
}

static void it_may_be_closed_at_any_moment(void **state)
{
    struct health *h = NULL;
    struct error error = ERROR_NONE;
    const struct health_options options = {
        .loop = scene.loop, .url = "http://app", .file = "", .changed = on_changed};
    assert_int_equal(health_open(&h, &options, &error), EA_OK);
    close_health(h);                                /* before the first look */
    close_health(open_health("http://app", "", 0)); /* connecting */
    h = open_health("http://app", "", 0);
    connected(0);
    close_health(h); /* waiting for the answer */
    h = open_health("http://app", "", 0);
    connected(0);
    answer(WELL);
    close_health(h); /* between two looks */
}

static int set_up(void **state)
{
    log_set_level(LOG_FATAL);
    clock_fake_init(&scene.clock);
    return loop_new(&scene.loop, &(struct loop_options){.clock = &scene.clock.clock, .seed = 1}, NULL) ==
                   EA_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    loop_free(scene.loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_page_is_asked_for_as_the_url_says),
        cmocka_unit_test(a_url_that_is_none_is_refused_with_words),
        cmocka_unit_test(only_2xx_is_well),
        cmocka_unit_test(three_failures_in_a_row_make_it_sick_and_one_success_well),
        cmocka_unit_test(a_page_that_does_not_answer_within_a_second_has_failed),
        cmocka_unit_test(it_is_looked_at_every_second),
        cmocka_unit_test(a_file_must_be_touched_in_time),
        cmocka_unit_test(page_and_file_must_both_be_well),
        cmocka_unit_test(it_may_be_closed_at_any_moment),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
