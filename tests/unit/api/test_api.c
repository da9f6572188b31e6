/* The API as main uses it: real HTTP servers on in-memory streams, several lanes, a store that decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/buf.h"
#include "base/mem.h"
#include "http/server.h"
#include "net/memstream.h"

#define LANES 2

struct agent {
    struct clock_fake clock;
    struct loop *loops[LANES];
    struct store *store;
    struct metrics *metrics;
    struct api *api;
    struct http_server *servers[LANES];
};

/* The client's end of a connection: what the server sent. */
struct client {
    struct stream *stream;
    struct buf got;
    bool closed;
};

static void turn(struct agent *agent)
{
    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < LANES; i++) {
            more = loop_step(agent->loops[i]) || more;
        }
    }
}

static int setup(void **state)
{
    static const double buckets[] = {0.001};
    struct agent *agent = mem_zalloc(sizeof *agent);
    clock_fake_init(&agent->clock);
    for (unsigned i = 0; i < LANES; i++) {
        const struct loop_options options = {.index = i, .clock = &agent->clock.clock, .seed = 1};
        assert_int_equal(loop_new(&agent->loops[i], &options, NULL), EA_OK);
    }
    const struct store_options store = {.driver = "memory",
                                        .lanes = agent->loops,
                                        .n_lanes = LANES,
                                        .clock = &agent->clock.clock,
                                        .seed = 1,
                                        .max_term_ms = 3600000};
    assert_int_equal(store_open(&agent->store, &store, NULL), EA_OK);
    agent->metrics = metrics_new(&(struct metrics_options){.lanes = LANES,
                                                           .agent = STR("a"),
                                                           .buckets = buckets,
                                                           .n_buckets = 1,
                                                           .version = "1",
                                                           .commit = "c"});
    agent->api = api_new(&(struct api_options){.store = agent->store,
                                               .metrics = agent->metrics,
                                               .loops = agent->loops,
                                               .n_lanes = LANES,
                                               .min_term_ms = 1000,
                                               .max_term_ms = 3600000});
    for (unsigned i = 0; i < LANES; i++) {
        agent->servers[i] = http_server_new(&(struct http_server_options){.loop = agent->loops[i],
                                                                          .limits = http_limits_default,
                                                                          .handler = &api_handler,
                                                                          .user = api_lane(agent->api, i)});
    }
    *state = agent;
    return 0;
}

static int teardown(void **state)
{
    struct agent *agent = *state;
    turn(agent);
    for (unsigned i = 0; i < LANES; i++) {
        http_server_free(agent->servers[i]);
    }
    store_close(agent->store);
    api_free(agent->api);
    metrics_free(agent->metrics);
    for (unsigned i = 0; i < LANES; i++) {
        loop_free(agent->loops[i]);
    }
    mem_free(agent);
    return 0;
}

static void client_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    buf_add(&((struct client *)stream->user)->got, bytes, n);
}

static void client_closed(struct stream *stream, enum err why)
{
    ((struct client *)stream->user)->closed = true;
}

static const struct stream_handler client_handler = {.on_data = client_data, .on_closed = client_closed};

static void client_connect(struct client *client, struct agent *agent, unsigned lane)
{
    struct stream *server = NULL;
    *client = (struct client){.got = BUF_EMPTY};
    memstream_pair(agent->loops[lane], &(struct memstream_options){0}, &client->stream, &server);
    stream_start(client->stream, &client_handler, client);
    http_server_accept(agent->servers[lane], server);
}

static void client_close(struct client *client, struct agent *agent)
{
    stream_close(client->stream);
    turn(agent);
    assert_true(client->closed);
    buf_fini(&client->got);
}

/* Sends a request; returns the answer's status, and its body in client->got, terminated. */
static int ask(struct client *client, struct agent *agent, const char *method, const char *path,
               const char *body)
{
    struct buf request = BUF_EMPTY;
    buf_format(&request, "%s %s HTTP/1.1\r\nHost: agent\r\n", method, path);
    if (body != NULL) { /* as curl -d sends it */
        buf_format(&request, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n",
                   strlen(body));
    }
    buf_format(&request, "\r\n%s", body != NULL ? body : "");
    buf_clear(&client->got);
    stream_write(client->stream, request.p, request.n);
    buf_fini(&request);
    turn(agent);
    buf_add(&client->got, "", 1);
    assert_memory_equal(client->got.p, "HTTP/1.1 ", 9);
    int status = atoi(client->got.p + 9);
    const char *end = strstr(client->got.p, "\r\n\r\n");
    assert_non_null(end);
    memmove(client->got.p, end + 4, strlen(end + 4) + 1);
    return status;
}

static void advance_ms(struct agent *agent, int64_t ms)
{
    clock_fake_advance_us(&agent->clock, ms * 1000);
    turn(agent);
}

static uint64_t token_in(const struct client *client)
{
    const char *at = strstr(client->got.p, "\"token\":\"");
    assert_non_null(at);
    return strtoull(at + strlen("\"token\":\""), NULL, 10);
}

static void two_candidates_compete_over_http(void **state)
{
    struct agent *agent = *state;
    struct client a;
    struct client b;
    client_connect(&a, agent, 0);
    client_connect(&b, agent, 1);
    assert_int_equal(ask(&a, agent, "POST", "/election/k/e", "{\"candidate\":\"a\",\"term\":2000}"), 200);
    assert_non_null(strstr(a.got.p, "{\"elected\":true,\"leader\":\"a\",\"kind\":\"k\","));
    uint64_t first = token_in(&a);
    assert_int_equal(ask(&b, agent, "POST", "/election/k/e", "{\"candidate\":\"b\",\"term\":2000}"), 200);
    assert_non_null(strstr(b.got.p, "{\"elected\":false,\"leader\":\"a\",\"kind\":\"k\","));
    assert_non_null(strstr(b.got.p, "\"expires_in\":2000}"));

    advance_ms(agent, 1500);
    assert_int_equal(ask(&a, agent, "PATCH", "/election/k/e", "{\"leader\":\"a\",\"term\":2000}"), 200);
    assert_true(token_in(&a) == first);
    assert_int_equal(ask(&b, agent, "PATCH", "/election/k/e", "{\"leader\":\"b\",\"term\":2000}"), 409);
    assert_int_equal(ask(&b, agent, "DELETE", "/election/k/e", "{\"leader\":\"b\"}"), 404);

    assert_int_equal(
        ask(&a, agent, "PUT", "/election/k/e", "{\"leader\":\"b\",\"term\":2000,\"from\":\"a\"}"), 200);
    uint64_t second = token_in(&a);
    assert_true(second > first);
    assert_int_equal(ask(&a, agent, "GET", "/elections/k", NULL), 200);
    assert_non_null(strstr(a.got.p, "{\"leaders\":[{\"election\":\"e\",\"name\":\"b\","));

    advance_ms(agent, 2001); /* b does not extend */
    assert_int_equal(ask(&a, agent, "GET", "/election/k/e", NULL), 404);
    assert_non_null(strstr(a.got.p, "{\"leader\":\"\",\"message\":"));
    assert_int_equal(ask(&b, agent, "POST", "/election/k/e", "{\"candidate\":\"b\",\"term\":2000}"), 200);
    assert_true(token_in(&b) > second);
    assert_int_equal(ask(&b, agent, "DELETE", "/election/k/e", "{\"leader\":\"b\"}"), 200);
    assert_string_equal(b.got.p, "{}");
    client_close(&a, agent);
    client_close(&b, agent);
}

static void a_connection_lives_through_errors_of_its_requests(void **state)
{
    struct agent *agent = *state;
    struct client client;
    client_connect(&client, agent, 0);
    assert_int_equal(ask(&client, agent, "POST", "/election/e", "{"), 400);
    assert_int_equal(ask(&client, agent, "GET", "/nope", NULL), 404);
    assert_int_equal(ask(&client, agent, "PUT", "/livez", "x"), 405);
    assert_int_equal(ask(&client, agent, "OPTIONS", "/elections", NULL), 204);
    assert_int_equal(ask(&client, agent, "GET", "/livez", NULL), 200);
    assert_string_equal(client.got.p, "{\"status\":\"ok\"}");
    client_close(&client, agent);
}

static void draining_is_seen_on_every_lane(void **state)
{
    struct agent *agent = *state;
    char why[API_WHY_BYTES];
    assert_true(api_ready(agent->api, why));
    api_set_draining(agent->api);
    assert_false(api_ready(agent->api, why));
    assert_string_equal(why, "the agent shuts down");
    for (unsigned i = 0; i < LANES; i++) {
        struct client client;
        client_connect(&client, agent, i);
        assert_int_equal(ask(&client, agent, "GET", "/readyz", NULL), 503);
        assert_int_equal(ask(&client, agent, "POST", "/election/e", "{\"candidate\":\"a\",\"term\":2000}"),
                         200);
        client_close(&client, agent);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(two_candidates_compete_over_http),
        TEST(a_connection_lives_through_errors_of_its_requests),
        TEST(draining_is_seen_on_every_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
