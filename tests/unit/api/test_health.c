/* Health: Check, and Watch as a stream of changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/conn.h"
#include "support.h"

#define CHECK "/grpc.health.v1.Health/Check"
#define WATCH "/grpc.health.v1.Health/Watch"

enum { SERVING = 1, NOT_SERVING = 2, SERVICE_UNKNOWN = 3 };

static struct fake_exchange *ask(struct fixture *fx, const char *method, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    request.service = (char *)service;
    return grpc_unary(fx, method, &request.base, NULL);
}

static int status_at(struct fake_exchange *fake, size_t i)
{
    const Grpc__Health__V1__HealthCheckResponse *response =
        grpc_message_at(fake, i, HEALTH_PB(health_check_response));
    return (int)response->status;
}

static int check(struct fixture *fx, const char *service)
{
    struct fake_exchange *answer = ask(fx, CHECK, service);
    assert_grpc(answer, GRPC_OK, "");
    return status_at(answer, 0);
}

static void set_store(struct fixture *fx, enum store_state state)
{
    fx->store.status.state = state;
    api_readiness_changed(fx->api);
    fixture_advance_ms(fx, 1);
}

static const char *const ready_services[] = {"", "readiness", "grpc.election_agent.v1.Election"};
static const char *const live_services[] = {"liveness", "grpc.election_agent.v1.Control"};

static void check_tells_readiness_and_liveness_apart(void **state)
{
    struct fixture *fx = *state;
    for (int up = 1; up >= 0; up--) {
        set_store(fx, up ? STORE_UP : STORE_DOWN);
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(check(fx, ready_services[i]), up ? SERVING : NOT_SERVING);
        }
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(check(fx, live_services[i]), SERVING);
        }
    }
}

static void check_of_an_unknown_service_is_not_found(void **state)
{
    struct fixture *fx = *state;
    assert_grpc(ask(fx, CHECK, "grpc.election_agent.v1.election"), GRPC_NOT_FOUND, "no such service");
}

static void watch_tells_the_present_and_then_every_change(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *ready = ask(fx, WATCH, "");
    struct fake_exchange *live = ask(fx, WATCH, "liveness");
    assert_false(ready->finished);
    assert_int_equal(grpc_message_count(ready), 1);
    assert_int_equal(status_at(ready, 0), SERVING);
    set_store(fx, STORE_UP); /* no news */
    assert_int_equal(grpc_message_count(ready), 1);
    set_store(fx, STORE_DOWN);
    set_store(fx, STORE_UP);
    assert_int_equal(grpc_message_count(ready), 3);
    assert_int_equal(status_at(ready, 1), NOT_SERVING);
    assert_int_equal(status_at(ready, 2), SERVING);
    assert_int_equal(grpc_message_count(live), 1);
    assert_false(ready->finished);
}

static void watch_of_an_unknown_service_says_so_and_stays(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = ask(fx, WATCH, "nope");
    assert_int_equal(status_at(answer, 0), SERVICE_UNKNOWN);
    set_store(fx, STORE_DOWN);
    assert_int_equal(grpc_message_count(answer), 1);
    assert_false(answer->finished);
}

static void watchers_that_go_are_forgotten_in_any_order(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *watchers[4];
    for (size_t i = 0; i < 4; i++) {
        watchers[i] = ask(fx, WATCH, "");
    }
    exchange_leave(watchers[1]); /* in the middle */
    exchange_leave(watchers[3]); /* the newest */
    exchange_leave(watchers[0]); /* the oldest */
    set_store(fx, STORE_DOWN);
    assert_int_equal(grpc_message_count(watchers[2]), 2);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(grpc_message_count(watchers[i]), i == 2 ? 2 : 1);
    }
}

static void a_draining_agent_is_not_serving_and_ends_the_streams(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *ready = ask(fx, WATCH, "");
    struct fake_exchange *live = ask(fx, WATCH, "liveness");
    api_set_draining(fx->api);
    api_readiness_changed(fx->api); /* again before it was delivered: still one message */
    fixture_advance_ms(fx, 1);
    assert_int_equal(grpc_message_count(ready), 2);
    assert_int_equal(status_at(ready, 1), NOT_SERVING);
    assert_grpc(ready, GRPC_UNAVAILABLE, "the agent shuts down");
    assert_int_equal(grpc_message_count(live), 1);
    assert_grpc(live, GRPC_UNAVAILABLE, "the agent shuts down");
    struct fake_exchange *late = ask(fx, WATCH, "readiness");
    assert_int_equal(status_at(late, 0), NOT_SERVING);
    assert_grpc(late, GRPC_UNAVAILABLE, "the agent shuts down");
    assert_int_equal(check(fx, "readiness"), NOT_SERVING);
}

static void a_watcher_that_does_not_read_gets_the_present_when_it_does(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = ask(fx, WATCH, "");
    answer->waiting = EXCHANGE_HIGH_BYTES + 1;
    set_store(fx, STORE_DOWN); /* told, and the client is full now */
    set_store(fx, STORE_UP);
    set_store(fx, STORE_DOWN);
    set_store(fx, STORE_UP);
    assert_int_equal(grpc_message_count(answer), 2);
    answer->waiting = 0;
    answer->ex.on_writable(&answer->ex);
    assert_int_equal(grpc_message_count(answer), 3);
    assert_int_equal(status_at(answer, 2), SERVING);
}

static void a_watch_without_a_message_is_refused(void **state)
{
    struct fixture *fx = *state;
    assert_grpc(grpc_unary_bytes(fx, WATCH, STR("\x0a\x05")), GRPC_INVALID_ARGUMENT,
                "message: is not a well-formed grpc.health.v1.HealthCheckRequest");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(check_tells_readiness_and_liveness_apart),
        TEST(check_of_an_unknown_service_is_not_found),
        TEST(watch_tells_the_present_and_then_every_change),
        TEST(watch_of_an_unknown_service_says_so_and_stays),
        TEST(watchers_that_go_are_forgotten_in_any_order),
        TEST(a_draining_agent_is_not_serving_and_ends_the_streams),
        TEST(a_watcher_that_does_not_read_gets_the_present_when_it_does),
        TEST(a_watch_without_a_message_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
