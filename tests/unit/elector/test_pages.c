/* The elector's pages, over connections in memory and on a clock of the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "elector/pages.h"
#include "net/listener.h"
#include "net/memstream.h"

#define CHANGED_US INT64_C(1790000000123000) /* 2026-09-21T14:13:20.123Z */
#define SITES      3

enum site { LEADER, PROBES, METRICS }; /* in the order in which they are opened */

static struct {
    struct loop *loop;
    struct clock_fake clock;
    struct options options;
    struct pages *pages;
    struct pages_view view;
    struct listener_options listeners[SITES];
    unsigned n_listeners;
    unsigned open_listeners;
    int fail_at; /* the listener that cannot be opened; -1: none */
    bool closed;
} scene;

/* --- listeners that the test accepts for --- */

enum err listener_open(struct listener **out, struct loop *loop, const struct listener_options *options,
                       struct error *error)
{
    if ((int)scene.n_listeners == scene.fail_at) {
        return error_set(error, EA_BUSY, "the port is in use");
    }
    assert_true(scene.n_listeners < SITES);
    scene.listeners[scene.n_listeners] = *options;
    *out = (struct listener *)(void *)&scene.listeners[scene.n_listeners++]; /* opaque */
    scene.open_listeners++;
    return EA_OK;
}

void listener_close(struct listener *listener)
{
    assert_true(scene.open_listeners > 0);
    scene.open_listeners--;
}

uint16_t listener_port(const struct listener *listener)
{
    return 1;
}

/* --- a client --- */

struct client {
    struct stream *stream; /* NULL: it is over */
    struct buf text;
};

static void client_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct client *c = stream->user;
    buf_add(&c->text, (const char *)bytes, n);
}

static void client_closed(struct stream *stream, enum err why)
{
    struct client *c = stream->user;
    c->stream = NULL;
}

static const struct stream_handler client_handler = {.on_data = client_data, .on_closed = client_closed};

static void turn(void)
{
    for (int i = 0; i < 6; i++) {
        (void)loop_step(scene.loop);
    }
}

static void client_init(struct client *c, enum site site, const char *request)
{
    struct stream *ours;
    *c = (struct client){.text = BUF_EMPTY};
    memstream_pair(scene.loop, &(struct memstream_options){.capacity = 1024}, &ours, &c->stream);
    stream_start(c->stream, &client_handler, c);
    assert_true(scene.listeners[site].admit(scene.listeners[site].user));
    scene.listeners[site].on_accept(ours, scene.listeners[site].user);
    stream_write(c->stream, request, strlen(request));
    turn();
}

static void client_fini(struct client *c)
{
    if (c->stream != NULL) {
        stream_abort(c->stream);
    }
    turn();
    assert_null(c->stream);
    buf_fini(&c->text);
}

/* What has come since the last call, terminated. */
static const char *heard(struct client *c)
{
    static char text[128 * 1024];
    size_t n = c->text.n < sizeof text - 1 ? c->text.n : sizeof text - 1;
    memcpy(text, n > 0 ? c->text.p : "", n);
    text[n] = '\0';
    buf_clear(&c->text);
    return text;
}

static size_t count(const char *text, const char *word)
{
    size_t n = 0;
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        n++;
    }
    return n;
}

static void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("no \"%s\" in \"%s\"", part, text);
    }
}

/* --- the scene --- */

static struct pages_view look(void *user)
{
    return scene.view;
}

static void lead(const char *name)
{
    scene.view.leader = name;
    scene.view.known = true;
    scene.view.changed.us++;
    pages_changed(scene.pages);
    turn();
}

static int set_up(void **state)
{
    memset(&scene, 0, sizeof scene);
    log_set_level(LOG_FATAL);
    clock_fake_init(&scene.clock);
    scene.fail_at = -1;
    scene.view = (struct pages_view){.leader = "", .changed = {CHANGED_US}};
    if (loop_new(&scene.loop, &(struct loop_options){.clock = &scene.clock.clock, .seed = 1}, NULL) !=
        EA_OK) {
        return -1;
    }
    struct error error = ERROR_NONE;
    const struct pages_options options = {.loop = scene.loop, .options = &scene.options, .look = look};
    return pages_open(&scene.pages, &options, &error) == EA_OK ? 0 : -1;
}

static void on_pages_closed(void *user)
{
    scene.closed = true;
}

static void close_pages(void)
{
    pages_close(scene.pages, on_pages_closed);
    scene.pages = NULL;
    turn();
    if (!scene.closed) { /* a client that does not go is waited for, for a second */
        clock_fake_advance_us(&scene.clock, 1100000);
        turn();
    }
    assert_true(scene.closed);
    assert_int_equal(scene.open_listeners, 0);
}

static int tear_down(void **state)
{
    if (scene.pages != NULL) {
        close_pages();
    }
    loop_free(scene.loop);
    return 0;
}

/* --- tests --- */

static void each_page_is_where_it_belongs(void **state)
{
    static const struct {
        enum site site;
        const char *request; /* method and path */
        const char *status;
        const char *part; /* of what follows */
    } rows[] = {
        {LEADER, "GET /", "200", "{\"name\":\"a \\\"b\\\"\",\"last_update\":\"2026-09-21T14:13:20.123Z\"}"},
        {LEADER, "GET /", "200", "cache-control: no-cache"},
        {LEADER, "HEAD /", "200", "content-type: application/json"},
        {LEADER, "HEAD /sse", "200", "text/event-stream"},
        {LEADER, "POST /", "405", "allow: GET, HEAD"},
        {LEADER, "DELETE /sse", "405", "allow: GET, HEAD"},
        {LEADER, "GET /healthz", "404", "no such page"},
        {LEADER, "GET /metrics", "404", "no such page"},
        {LEADER, "GET //", "404", ""},
        {PROBES, "GET /healthz", "200", "ok\n"},
        {PROBES, "GET /readyz", "503", "no leader is known yet\n"},
        {PROBES, "GET /", "404", ""},
        {PROBES, "PUT /readyz", "405", "allow: GET, HEAD"},
        {METRICS, "GET /metrics", "200", "\nelector_elections_won 3\n"},
        {METRICS, "GET /metrics", "200", "\nelector_elections_lost 2\n"},
        {METRICS, "GET /metrics", "200", "\nelector_kubernetes_resources_written 7\n"},
        {METRICS, "GET /metrics", "200", "# TYPE elector_is_leader gauge\nelector_is_leader 1\n"},
        {METRICS, "GET /sse", "404", ""},
    };
    scene.view = (struct pages_view){.leader = "a \"b\"",
                                     .known = true,
                                     .leads = true,
                                     .changed = {CHANGED_US},
                                     .won = 3,
                                     .lost = 2,
                                     .written = 7};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char request[128];
        struct client c;
        (void)snprintf(request, sizeof request, "%s HTTP/1.1\r\nhost: x\r\n\r\n", rows[i].request);
        client_init(&c, rows[i].site, request);
        const char *text = heard(&c);
        char status[32];
        (void)snprintf(status, sizeof status, "HTTP/1.1 %s ", rows[i].status);
        if (strncmp(text, status, strlen(status)) != 0) {
            fail_msg("%s: %s", rows[i].request, text);
        }
        expect(text, rows[i].part);
        client_fini(&c);
    }
}

static void before_the_first_result_there_is_none(void **state)
{
    struct client c;
    client_init(&c, LEADER, "GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    const char *text = heard(&c);
    expect(text, "HTTP/1.1 503 ");
    expect(text, "\r\n\r\n{}");
    client_fini(&c);
    client_init(&c, LEADER, "GET /sse HTTP/1.1\r\nhost: x\r\n\r\n");
    text = heard(&c);
    expect(text, "HTTP/1.1 200 ");
    assert_int_equal(count(text, "data:"), 0);
    pages_changed(scene.pages); /* there is still none */
    turn();
    assert_int_equal(count(heard(&c), "data:"), 0);
    lead("a");
    expect(heard(&c), "data: {\"name\":\"a\",");
    client_fini(&c);
}

static void it_is_ready_when_it_says_so(void **state)
{
    struct client c;
    scene.view.ready = true;
    client_init(&c, PROBES, "GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(heard(&c), "HTTP/1.1 200 ");
    client_fini(&c);
}

#define SUBSCRIBE "GET /sse HTTP/1.1\r\nhost: x\r\n"

static void every_subscriber_hears_each_change_once(void **state)
{
    struct client clients[20];
    lead("first");
    for (size_t i = 0; i < 20; i++) {
        client_init(&clients[i], LEADER, SUBSCRIBE "\r\n");
        assert_int_equal(count(heard(&clients[i]), "data: {\"name\":\"first\","), 1); /* at once */
    }
    client_fini(&clients[7]); /* one goes, from the middle of them */
    client_fini(&clients[0]);
    client_fini(&clients[19]);
    lead("second");
    lead(""); /* nobody */
    for (size_t i = 1; i < 19; i++) {
        if (i == 7) {
            continue;
        }
        const char *text = heard(&clients[i]);
        assert_int_equal(count(text, "data:"), 2);
        assert_int_equal(count(text, "data: {\"name\":\"second\","), 1);
        assert_int_equal(count(text, "data: {\"name\":\"\","), 1);
        client_fini(&clients[i]);
    }
}

static void who_has_seen_the_present_state_does_not_hear_it_again(void **state)
{
    static const struct {
        int64_t id;
        size_t told;
    } rows[] = {{CHANGED_US + 1, 0}, {CHANGED_US, 1}, {0, 1}, {CHANGED_US + 2, 1}};
    lead("a");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct client c;
        char request[128];
        (void)snprintf(request, sizeof request, SUBSCRIBE "last-event-id: %lld\r\n\r\n",
                       (long long)rows[i].id);
        client_init(&c, LEADER, request);
        const char *text = heard(&c);
        expect(text, "HTTP/1.1 200 ");
        assert_int_equal(count(text, "data:"), rows[i].told);
        client_fini(&c);
    }
}

static void a_comment_keeps_proxies_awake_every_15_seconds(void **state)
{
    struct client c;
    lead("a");
    client_init(&c, LEADER, SUBSCRIBE "\r\n");
    (void)heard(&c);
    for (unsigned i = 0; i < 40; i++) { /* ten minutes: a subscription is never too old */
        clock_fake_advance_us(&scene.clock, 14900000);
        turn();
        assert_int_equal(count(heard(&c), "\n:"), 0);
        clock_fake_advance_us(&scene.clock, 100000);
        turn();
        const char *text = heard(&c);
        assert_true(strchr(text, ':') != NULL && strstr(text, "data:") == NULL);
    }
    lead("b");
    expect(heard(&c), "data: {\"name\":\"b\",");
    client_fini(&c);
}

static void who_stalls_is_told_the_newest_state_when_it_reads_again(void **state)
{
    struct client stalled;
    struct client quick;
    char name[200];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    lead("a");
    client_init(&stalled, LEADER, SUBSCRIBE "\r\n");
    client_init(&quick, LEADER, SUBSCRIBE "\r\n");
    (void)heard(&stalled);
    (void)heard(&quick);
    stream_pause(stalled.stream);
    for (unsigned i = 0; i < 2000; i++) { /* 500 KB */
        (void)snprintf(name, 8, "%06u", i);
        name[6] = 'x';
        lead(name);
        assert_int_equal(count(heard(&quick), "data:"), 1);
    }
    stream_resume(stalled.stream);
    for (unsigned i = 0; i < 2000; i++) {
        turn();
    }
    const char *text = heard(&stalled);
    assert_in_range(strlen(text), 1, 96 * 1024); /* what was kept for it is bounded */
    expect(text, "data: {\"name\":\"001999x");
    const char *last = strstr(text, "data: {\"name\":\"001999x");
    assert_null(strstr(last + 1, "data:")); /* and it is the last that is told */
    lead("next");
    expect(heard(&stalled), "data: {\"name\":\"next\",");
    client_fini(&stalled);
    client_fini(&quick);
}

static void a_close_ends_every_subscription_and_waits_a_second_for_those_who_stay(void **state)
{
    struct client subscriber;
    struct client idle;
    lead("a");
    client_init(&subscriber, LEADER, SUBSCRIBE "\r\n");
    client_init(&idle, PROBES, "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    (void)heard(&subscriber);
    close_pages();
    expect(heard(&subscriber), "0\r\n\r\n"); /* the end of the chunks */
    client_fini(&subscriber);
    client_fini(&idle);
}

static void a_port_in_use_undoes_what_was_opened(void **state)
{
    for (int at = 0; at < SITES; at++) {
        struct pages *pages = NULL;
        struct error error = ERROR_NONE;
        const struct pages_options options = {.loop = scene.loop, .options = &scene.options, .look = look};
        unsigned before = scene.open_listeners;
        scene.n_listeners = 0;
        scene.fail_at = at;
        assert_int_equal(pages_open(&pages, &options, &error), EA_BUSY);
        assert_null(pages);
        assert_string_equal(error.text, "the port is in use");
        assert_int_equal(scene.open_listeners, before);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_page_is_where_it_belongs),
        TEST(before_the_first_result_there_is_none),
        TEST(it_is_ready_when_it_says_so),
        TEST(every_subscriber_hears_each_change_once),
        TEST(who_has_seen_the_present_state_does_not_hear_it_again),
        TEST(a_comment_keeps_proxies_awake_every_15_seconds),
        TEST(who_stalls_is_told_the_newest_state_when_it_reads_again),
        TEST(a_close_ends_every_subscription_and_waits_a_second_for_those_who_stay),
        TEST(a_port_in_use_undoes_what_was_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
