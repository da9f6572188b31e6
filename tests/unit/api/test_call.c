/* Calls: counted once, limited, whatever becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "support.h"

#define CAMPAIGN "{\"candidate\":\"a\",\"term\":1000}"

/* The value of the sample whose line begins with `name`, or -1. */
static double sample(struct fixture *fx, const char *name)
{
    struct buf text = BUF_EMPTY;
    metrics_render(fx->metrics, &(struct metrics_gauges){.arg = NULL}, false, &text);
    buf_add(&text, "", 1);
    const char *line = strstr(text.p, name);
    double value = line != NULL ? strtod(line + strlen(name), NULL) : -1;
    buf_fini(&text);
    return value;
}

#define IN_FLIGHT(action) "election_agent_requests_in_flight{agent=\"test\",action=\"" action "\"} "
#define COUNT(action, status)                                                                             \
    "election_agent_request_duration_seconds_count{agent=\"test\",action=\"" action "\",status=\"" status \
    "\"} "
#define UNAVAILABLE "election_agent_unavailable_total{agent=\"test\"} "

static void a_call_is_in_flight_until_it_is_answered(void **state)
{
    struct fixture *fx = *state;
    rest_call(fx, HTTP_POST, "/election/e", CAMPAIGN);
    rest_call(fx, HTTP_POST, "/election/e", CAMPAIGN);
    assert_true(sample(fx, IN_FLIGHT("campaign")) == 2);
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_true(sample(fx, IN_FLIGHT("campaign")) == 1);
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_true(sample(fx, IN_FLIGHT("campaign")) == 0);
}

static void only_what_the_store_could_not_decide_is_a_failure(void **state)
{
    struct fixture *fx = *state;
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    rest_call(fx, HTTP_GET, "/election/a%00", NULL);
    assert_true(sample(fx, COUNT("get_leader", "success")) == 2);
    assert_true(sample(fx, UNAVAILABLE) == 0);
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_true(sample(fx, COUNT("get_leader", "success")) == 2);
    assert_true(sample(fx, COUNT("get_leader", "fail")) == 1);
    assert_true(sample(fx, UNAVAILABLE) == 1);
}

static void the_time_of_a_call_is_measured(void **state)
{
    struct fixture *fx = *state;
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_advance_ms(fx, 50);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    double sum =
        sample(fx, "election_agent_request_duration_seconds_sum{agent=\"test\",action=\"get_leader\","
                   "status=\"success\"} ");
    assert_true(sum > 0.0499 && sum < 0.0501);
}

static void a_call_whose_client_has_gone_is_counted_once(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_POST, "/election/e", CAMPAIGN);
    exchange_leave(answer);
    assert_true(sample(fx, IN_FLIGHT("campaign")) == 1);
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_true(sample(fx, IN_FLIGHT("campaign")) == 0);
    assert_true(sample(fx, COUNT("campaign", "fail")) == 1);
}

static void two_a_second(struct api_options *options)
{
    options->rate = 2;
}

static void calls_over_the_limit_are_refused_in_both_protocols(void **state)
{
    struct fixture *fx = *state;
    fixture_restart(fx, two_a_second);
    for (int i = 0; i < 2; i++) {
        rest_call(fx, HTTP_GET, "/election/e", NULL);
        fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    }
    /* Before the body is read: it would be refused. */
    assert_answer(rest_call(fx, HTTP_POST, "/election/e", "{"), 429,
                  "{\"message\":\"too many requests: the agent's limit of calls a second is reached\"}");
    PB(GetLeaderRequest) in = GRPC__ELECTION_AGENT__V1__GET_LEADER_REQUEST__INIT;
    in.election = (char *)"e";
    assert_grpc(grpc_unary(fx, "/grpc.election_agent.v1.Election/GetLeader", &in.base, NULL),
                GRPC_RESOURCE_EXHAUSTED, "too many requests: the agent's limit of calls a second is reached");
    fixture_advance_ms(fx, 500);
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
}

static void probes_pages_and_status_have_no_limit(void **state)
{
    struct fixture *fx = *state;
    fixture_restart(fx, two_a_second);
    PB(Empty) in = GRPC__ELECTION_AGENT__V1__EMPTY__INIT;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rest_call(fx, HTTP_GET, "/livez", NULL)->status, 200);
        assert_int_equal(rest_call(fx, HTTP_GET, "/metrics", NULL)->status, 200);
        assert_grpc(grpc_unary(fx, "/grpc.election_agent.v1.Control/GetStatus", &in.base, NULL), GRPC_OK, "");
    }
}

static void the_limit_can_be_changed_while_running(void **state)
{
    struct fixture *fx = *state;
    api_set_rate(fx->api, 1);
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_int_equal(rest_call(fx, HTTP_GET, "/election/e", NULL)->status, 429);
    api_set_rate(fx->api, 0);
    rest_call(fx, HTTP_GET, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_in_flight_until_it_is_answered),
        TEST(only_what_the_store_could_not_decide_is_a_failure),
        TEST(the_time_of_a_call_is_measured),
        TEST(a_call_whose_client_has_gone_is_counted_once),
        TEST(calls_over_the_limit_are_refused_in_both_protocols),
        TEST(probes_pages_and_status_have_no_limit),
        TEST(the_limit_can_be_changed_while_running),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
