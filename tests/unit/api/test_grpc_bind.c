/* gRPC calls: decoding, statuses, and the service Control. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support.h"

#define STATUS "/grpc.election_agent.v1.Control/GetStatus"

static void an_unknown_method_is_unimplemented(void **state)
{
    struct fixture *fx = *state;
    static const char *const paths[] = {
        "/grpc.election_agent.v1.Election/Observe",  "/grpc.election_agent.v1.Election/Hold",
        "/grpc.election_agent.v1.Control/SetStatus", "/grpc.election_agent.v1.Election/campaign",
        "/grpc.election_agent.v1.Election",          "/Campaign",
    };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct fake_exchange *answer = grpc_unary_bytes(fx, paths[i], STR(""));
        assert_true(answer->finished);
        assert_string_equal(trailer_of(answer, "grpc-status"), "12");
    }
}

static void a_message_that_is_none_is_invalid(void **state)
{
    struct fixture *fx = *state;
    assert_grpc(grpc_unary_bytes(fx, "/grpc.election_agent.v1.Election/Campaign",
                                 STR("\x0a\x05"
                                     "a")),
                GRPC_INVALID_ARGUMENT,
                "message: is not a well-formed grpc.election_agent.v1.CampaignRequest");
    assert_grpc(grpc_unary_bytes(fx, "/grpc.election_agent.v1.Election/Campaign",
                                 STR("\x12\x02"
                                     "a\0")),
                GRPC_INVALID_ARGUMENT, "candidate: must not have a zero byte");
    assert_int_equal(fx->store.n, 0);
}

static void pods_are_unimplemented(void **state)
{
    struct fixture *fx = *state;
    assert_grpc(grpc_unary_bytes(fx, "/grpc.election_agent.v1.Election/GetPods", STR("")), GRPC_UNIMPLEMENTED,
                "Kubernetes is not enabled in this agent");
}

static void the_status_follows_the_store(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        enum store_state store;
        const char *agent;
    } rows[] = {{STORE_UP, "active"}, {STORE_STARTING, "unavailable"}, {STORE_DOWN, "unavailable"}};
    for (size_t i = 0; i < 3; i++) {
        fx->store.status.state = rows[i].store;
        struct fake_exchange *answer = grpc_unary_bytes(fx, STATUS, STR(""));
        assert_grpc(answer, GRPC_OK, "");
        assert_int_equal(grpc_message_count(answer), 1);
        const PB(AgentStatus) *status = grpc_message_at(answer, 0, EA_PB(agent_status));
        assert_string_equal(status->state, rows[i].agent);
        assert_string_equal(status->mode, "normal");
        assert_string_equal(status->active_zone, "");
        assert_false(status->zc_connected);
        assert_false(status->peer_connected);
    }
}

static void a_leaders_name_at_its_longest_is_answered_whole(void **state)
{
    struct fixture *fx = *state;
    char name[254];
    memset(name, 'n', 253);
    name[253] = '\0';
    PB(CampaignRequest) in = GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__INIT;
    in.election = in.candidate = name;
    in.term = 3600000;
    struct fake_exchange *answer =
        grpc_unary(fx, "/grpc.election_agent.v1.Election/Campaign", &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    request->tenure =
        (struct election_tenure){.leader = request->candidate, .token = UINT64_MAX, .expires = MONO_NEVER};
    fixture_decide(request, EA_OK);
    const PB(CampaignResult) *result = grpc_message_at(answer, 0, EA_PB(campaign_result));
    assert_string_equal(result->leader, name);
    assert_true(result->token == UINT64_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_method_is_unimplemented),
        TEST(a_message_that_is_none_is_invalid),
        TEST(pods_are_unimplemented),
        TEST(the_status_follows_the_store),
        TEST(a_leaders_name_at_its_longest_is_answered_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
