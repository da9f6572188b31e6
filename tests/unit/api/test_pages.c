/* Probes, metrics and the API's description. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support.h"

static bool body_has(const struct fake_exchange *fake, const char *text)
{
    return memmem(fake->body.p, fake->body.n, text, strlen(text)) != NULL;
}

static void the_agent_lives_whatever_its_store_says(void **state)
{
    struct fixture *fx = *state;
    fx->store.status.state = STORE_DOWN;
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/livez", NULL);
    assert_answer(answer, 200, "{\"status\":\"ok\"}");
    assert_string_equal(field_of(answer, "content-type"), "application/json; charset=utf-8");
}

static void the_agent_is_ready_while_its_store_decides(void **state)
{
    struct fixture *fx = *state;
    assert_answer(rest_call(fx, HTTP_GET, "/readyz", NULL), 200, "{\"status\":\"ok\"}");
    fx->store.status.state = STORE_STARTING;
    assert_answer(rest_call(fx, HTTP_GET, "/readyz", NULL), 503, "{\"message\":\"the store is starting\"}");
    fx->store.status = (struct store_status){STORE_DOWN, "no quorum"};
    assert_answer(rest_call(fx, HTTP_GET, "/readyz", NULL), 503,
                  "{\"message\":\"the store cannot decide: no quorum\"}");
    fx->store.status = (struct store_status){STORE_UP, ""};
    api_set_draining(fx->api);
    assert_answer(rest_call(fx, HTTP_GET, "/readyz", NULL), 503, "{\"message\":\"the agent shuts down\"}");
    fixture_advance_ms(fx, 1); /* delivers the news */
}

static void metrics_come_in_the_format_that_is_asked_for(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/metrics", NULL);
    assert_int_equal(answer->status, 200);
    assert_string_equal(field_of(answer, "content-type"), METRICS_TEXT_TYPE);
    assert_true(body_has(answer, "election_agent_requests_in_flight"));
    assert_false(body_has(answer, "# EOF"));
    answer = rest_call_on(fx, &api_handler, HTTP_GET, "/metrics",
                          "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3");
    assert_string_equal(field_of(answer, "content-type"), METRICS_OPENMETRICS_TYPE);
    assert_true(body_has(answer, "# EOF"));
}

static void one_connection(void *user, struct metrics_gauges *gauges)
{
    gauges->connections[1][0] = 4711;
}

static void no_metrics_but_gather(struct api_options *options)
{
    options->metrics_page = false;
    options->gather = one_connection;
}

static void the_admin_port_has_probes_and_metrics_and_no_elections(void **state)
{
    struct fixture *fx = *state;
    fixture_restart(fx, no_metrics_but_gather);
    const struct http_handler *admin = &api_admin_handler;
    assert_answer(rest_call(fx, HTTP_GET, "/metrics", NULL), 404, "{\"message\":\"no such path\"}");
    struct fake_exchange *answer = rest_call_on(fx, admin, HTTP_GET, "/metrics", NULL);
    assert_int_equal(answer->status, 200);
    assert_true(body_has(answer, " 4711"));
    assert_answer(rest_call_on(fx, admin, HTTP_GET, "/livez", NULL), 200, "{\"status\":\"ok\"}");
    assert_answer(rest_call_on(fx, admin, HTTP_GET, "/readyz", NULL), 200, "{\"status\":\"ok\"}");
    assert_answer(rest_call_on(fx, admin, HTTP_GET, "/election/e", NULL), 404,
                  "{\"message\":\"no such path\"}");
    assert_answer(rest_call_on(fx, admin, HTTP_GET, "/openapi.yaml", NULL), 404,
                  "{\"message\":\"no such path\"}");
}

static void the_description_is_served(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/openapi.yaml", NULL);
    assert_int_equal(answer->status, 200);
    assert_string_equal(field_of(answer, "content-type"), "application/yaml");
    assert_memory_equal(answer->body.p, "openapi: 3.0", 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_agent_lives_whatever_its_store_says),
        TEST(the_agent_is_ready_while_its_store_decides),
        TEST(metrics_come_in_the_format_that_is_asked_for),
        TEST(the_admin_port_has_probes_and_metrics_and_no_elections),
        TEST(the_description_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
