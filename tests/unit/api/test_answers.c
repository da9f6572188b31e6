/* Answers in JSON whose service cannot give them yet, or whose every field matters: golden texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/answers.h"
#include "api/pb.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_reset(&arena);
    return 0;
}

static void assert_json(void (*answer)(struct jwriter *json, const ProtobufCMessage *response),
                        const ProtobufCMessage *response, const char *expected)
{
    struct jwriter json;
    jwriter_init(&json, &arena, NULL, 0);
    answer(&json, response);
    assert_string_equal(arena_str(&arena, jwriter_str(&json)).p, expected);
}

static void pods_have_every_field_even_where_nothing_is_known(void **state)
{
    PB(Pods) pods = GRPC__ELECTION_AGENT__V1__PODS__INIT;
    PB(Pod) bare = GRPC__ELECTION_AGENT__V1__POD__INIT;
    PB(Pod) full = GRPC__ELECTION_AGENT__V1__POD__INIT;
    PB(PodStatus) status = GRPC__ELECTION_AGENT__V1__POD_STATUS__INIT;
    PB(ReplicaSet) set = GRPC__ELECTION_AGENT__V1__REPLICA_SET__INIT;
    PB(Pod) * items[] = {&bare, &full};
    assert_json(answer_pods, &pods.base, "{\"items\":[]}");
    pods.n_items = 2;
    pods.items = items;
    full.name = (char *)"p";
    full.ip = (char *)"::1";
    full.status = &status;
    full.replicaset = &set;
    status.podready = true;
    status.phase = (char *)"Running";
    set.revision = 3;
    set.maxreplicas = -1;
    assert_json(
        answer_pods, &pods.base,
        "{\"items\":[{\"name\":\"\",\"deployment\":\"\",\"ip\":\"\",\"status\":{\"phase\":\"\",\"reason\":"
        "\"\","
        "\"terminating\":false,\"podScheduled\":false,\"podInitialized\":false,\"podReady\":false,"
        "\"containersReady\":false},\"replicaSet\":{\"name\":\"\",\"revision\":0,\"availableReplicas\":0,"
        "\"fullyLabeledReplicas\":0,\"readyReplicas\":0,\"replicas\":0,\"desiredReplicas\":0,\"maxReplicas\":"
        "0}},"
        "{\"name\":\"p\",\"deployment\":\"\",\"ip\":\"::1\",\"status\":{\"phase\":\"Running\",\"reason\":"
        "\"\","
        "\"terminating\":false,\"podScheduled\":false,\"podInitialized\":false,\"podReady\":true,"
        "\"containersReady\":false},\"replicaSet\":{\"name\":\"\",\"revision\":3,\"availableReplicas\":0,"
        "\"fullyLabeledReplicas\":0,\"readyReplicas\":0,\"replicas\":0,\"desiredReplicas\":0,\"maxReplicas\":"
        "-1}}]}");
}

static void answers_about_tenures_have_their_fields_and_no_other(void **state)
{
    PB(CampaignResult) result = GRPC__ELECTION_AGENT__V1__CAMPAIGN_RESULT__INIT;
    assert_json(answer_campaign, &result.base,
                "{\"elected\":false,\"leader\":\"\",\"kind\":\"\",\"token\":\"0\",\"expires_in\":0}");
    PB(BoolValue) value = GRPC__ELECTION_AGENT__V1__BOOL_VALUE__INIT;
    value.value = true;
    value.token = 5;
    value.expires_in = 6;
    assert_json(answer_extend, &value.base, "{\"token\":\"5\",\"expires_in\":6}");
    assert_json(answer_handover, &value.base, "{\"token\":\"5\",\"expires_in\":6}");
    assert_json(answer_resign, &value.base, "{}");
    PB(StringValue) leader = GRPC__ELECTION_AGENT__V1__STRING_VALUE__INIT;
    leader.value = (char *)"a";
    assert_json(answer_leader, &leader.base, "{\"leader\":\"a\",\"token\":\"0\",\"expires_in\":0}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pods_have_every_field_even_where_nothing_is_known, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_about_tenures_have_their_fields_and_no_other, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
