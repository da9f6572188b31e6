/* Requests against the test API server: answers, errors in its words, retries, deadlines. */
#include "rig.h"

#include <string.h>

#include "kube/internal.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/default/leases"
#define LEASE                                \
    "{\"apiVersion\":\"coordination.k8s.io/" \
    "v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":\"x\"},\"spec\":{}}"

static void the_table_of_states_makes_sense(void **state)
{
    assert_true(sm_table_is_sound(kube_transfer_states, KUBE_TRANSFER_STATES, KUBE_WAITING));
}

static void an_object_that_is_created_can_be_read(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = rig_ask(rig, KUBE_POST, LEASES, LEASE);
    assert_int_equal(answer.err, EA_OK);
    assert_int_equal(answer.status, 201);
    answer = rig_ask(rig, KUBE_GET, LEASES "/x", NULL);
    assert_int_equal(answer.err, EA_OK);
    assert_non_null(strstr(answer.body, "\"resourceVersion\""));
}

static void an_error_has_the_servers_own_words(void **state)
{
    struct rig *rig = *state;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES "/none", NULL);
    assert_int_equal(answer.err, EA_NOT_FOUND);
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.reason, "NotFound");
    assert_string_equal(answer.error, "get things: leases.coordination.k8s.io \"none\" not found");
    assert_false(answer.maybe_done);
}

static void what_exists_already_is_held(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(rig_ask(rig, KUBE_POST, LEASES, LEASE).err, EA_OK);
    struct rig_answer answer = rig_ask(rig, KUBE_POST, LEASES, LEASE);
    assert_int_equal(answer.err, EA_HELD);
    assert_string_equal(answer.reason, "AlreadyExists");
}

static void a_busy_server_is_asked_again(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'status': 503, 'times': 2}");
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_OK);
    assert_int_equal(rig_asked(rig, "list", "leases"), 3);
}

static void retry_after_is_waited_for(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'status': 429, 'retry_after': 1, 'times': 1}");
    struct mono before = clock_mono(&clock_system);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_true(mono_sub(clock_mono(&clock_system), before) >= 1000000);
}

static void no_time_for_another_try_ends_with_the_servers_words(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'status': 429, 'retry_after': 30}");
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_EXHAUSTED);
    assert_string_equal(answer.error, "get things: Too many requests, please try again later.");
}

static void a_lost_connection_is_tried_again_for_a_read(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'close': true, 'times': 2}");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
}

static void a_write_whose_answer_is_lost_may_have_been_done(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'verb': 'create', 'lose_answer': true}");
    struct rig_answer answer = rig_ask(rig, KUBE_POST, LEASES, LEASE);
    /* curl itself may have sent it anew, over a kept connection that it took for dead. */
    assert_true(answer.err == EA_IO || answer.err == EA_HELD);
    assert_true(answer.maybe_done);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES "/x", NULL).err, EA_OK);
}

static void a_server_that_hangs_is_given_up_at_the_deadline(void **state)
{
    struct rig *rig = *state;
    rig_order(rig, "{'what': 'fault', 'resource': 'leases', 'hang': true}");
    rig->deadline_ms = 1000;
    struct rig_answer answer = rig_ask(rig, KUBE_POST, LEASES, LEASE);
    assert_int_equal(answer.err, EA_TIMEOUT);
    assert_true(answer.maybe_done);
}

static void a_server_that_is_not_there_is_no_connection(void **state)
{
    struct rig *rig = *state;
    rig_reopen(rig, "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                    "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\n");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_IO);
    assert_non_null(strstr(answer.error, "get things: http://127.0.0.1:1: "));
    rig_reopen(rig, NULL);
}

static void a_name_is_resolved_without_curl(void **state)
{
    struct rig *rig = *state;
    char text[512];
    (void)snprintf(text, sizeof text,
                   "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                   "clusters: [{name: k, cluster: {server: 'http://localhost:%u/'}}]\n",
                   rig->port);
    rig_reopen(rig, text);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    rig_reopen(rig, NULL);
}

static void a_name_that_does_not_exist_is_told(void **state)
{
    struct rig *rig = *state;
    rig_reopen(rig, "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\n"
                    "clusters: [{name: k, cluster: {server: 'http://no-such-host.invalid'}}]\n");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_IO);
    assert_non_null(strstr(answer.error, "cannot resolve no-such-host.invalid"));
    rig_reopen(rig, NULL);
}

struct cancelled {
    struct kube_request request;
    bool done;
};

static void on_cancelled(struct kube_request *request)
{
    ((struct cancelled *)request->user)->done = true;
}

static void a_cancelled_request_is_never_answered(void **state)
{
    struct rig *rig = *state;
    struct cancelled c = {.done = false};
    c.request = (struct kube_request){.method = KUBE_GET,
                                      .what = "get things",
                                      .path = STR(LEASES),
                                      .deadline = MONO_NEVER,
                                      .done = on_cancelled,
                                      .user = &c};
    kube_send(rig->kube, &c.request);
    kube_cancel(rig->kube, &c.request); /* before it was sent */
    kube_send(rig->kube, &c.request);
    (void)loop_step(rig->loop);
    (void)loop_step(rig->loop);
    kube_cancel(rig->kube, &c.request); /* while it runs */
    kube_cancel(rig->kube, &c.request); /* again: harmless */
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_false(c.done);
}

static void an_answer_that_is_too_large_is_refused(void **state)
{
    struct rig *rig = *state;
    struct cancelled c = {.done = false};
    c.request = (struct kube_request){.method = KUBE_GET,
                                      .what = "get things",
                                      .path = STR(LEASES),
                                      .answer_bytes_max = 10,
                                      .deadline = mono_add_ms(clock_mono(&clock_system), 5000),
                                      .done = on_cancelled,
                                      .user = &c};
    kube_send(rig->kube, &c.request);
    rig_until(rig, &c.done);
    assert_int_equal(c.request.err, EA_TOO_LARGE);
    assert_string_equal(c.request.error.text, "get things: the answer has more than 10 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_states_makes_sense),
        RIG_TEST(an_object_that_is_created_can_be_read),
        RIG_TEST(an_error_has_the_servers_own_words),
        RIG_TEST(what_exists_already_is_held),
        RIG_TEST(a_busy_server_is_asked_again),
        RIG_TEST(retry_after_is_waited_for),
        RIG_TEST(no_time_for_another_try_ends_with_the_servers_words),
        RIG_TEST(a_lost_connection_is_tried_again_for_a_read),
        RIG_TEST(a_write_whose_answer_is_lost_may_have_been_done),
        RIG_TEST(a_server_that_hangs_is_given_up_at_the_deadline),
        RIG_TEST(a_server_that_is_not_there_is_no_connection),
        RIG_TEST(a_name_is_resolved_without_curl),
        RIG_TEST(a_name_that_does_not_exist_is_told),
        RIG_TEST(a_cancelled_request_is_never_answered),
        RIG_TEST(an_answer_that_is_too_large_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
