#include "json.h"

#include "kube/workload.h"

static void a_trimmed_object_has_what_is_used_and_nothing_else(void **state)
{
    static const struct {
        enum workload what;
        const char *object;
        const char *trimmed;
    } rows[] = {
        {WORKLOAD_POD,
         "{'metadata': {'name': 'p', 'labels': {'a': 'b'}, 'uid': 'u', 'annotations': {'x': 'y'},"
         " 'ownerReferences': [], 'deletionTimestamp': 't', 'managedFields': [{}]}, 'spec': {'containers': "
         "[]},"
         " 'status': {'phase': 'Running', 'reason': 'r', 'podIP': '1', 'conditions': [], 'qosClass': 'q'}}",
         "{'metadata': {'name': 'p', 'labels': {'a': 'b'}, 'ownerReferences': [], 'deletionTimestamp': 't'},"
         " 'status': {'phase': 'Running', 'reason': 'r', 'podIP': '1', 'conditions': []}}"},
        {WORKLOAD_REPLICA_SET,
         "{'metadata': {'name': 'r', 'labels': {}, 'annotations': {'deployment.kubernetes.io/revision': '2',"
         " 'kubectl.kubernetes.io/last-applied-configuration': '...'}}, 'spec': {'replicas': 3},"
         " 'status': {'replicas': 3, 'observedGeneration': 7}}",
         "{'metadata': {'name': 'r', 'annotations': {'deployment.kubernetes.io/revision': '2'}},"
         " 'status': {'replicas': 3}}"},
        {WORKLOAD_DEPLOYMENT,
         "{'metadata': {'name': 'd', 'annotations': {}}, 'spec': {'selector': {'matchLabels': {'a': 'b'}},"
         " 'template': {}}, 'status': {}}",
         "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchLabels': {'a': 'b'}}}}"},
        {WORKLOAD_POD, "{'metadata': {'name': 'bare'}}", "{'metadata': {'name': 'bare'}, 'status': {}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *object = test_json(rows[i].object);
        json_t *wanted = test_json(rows[i].trimmed);
        json_t *trimmed = workload_trim(rows[i].what, object);
        json_decref(object); /* it lives on its own */
        if (!json_equal(trimmed, wanted)) {
            fail_msg("row %zu: %s", i, json_dumps(trimmed, JSON_COMPACT));
        }
        json_decref(trimmed);
        json_decref(wanted);
    }
}

static void what_has_no_name_is_no_object(void **state)
{
    static const char *const rows[] = {"{}", "{'metadata': {}}", "{'metadata': {'name': 1}}",
                                       "{'metadata': []}", "[]"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *object = test_json(rows[i]);
        assert_null(workload_name(object));
        assert_null(workload_trim(WORKLOAD_POD, object));
        json_decref(object);
    }
}

static void the_owner_of_a_kind_is_found_among_others(void **state)
{
    json_t *object =
        test_json("{'metadata': {'ownerReferences': [{'kind': 'Node', 'name': 'n'}, {'name': 'x'}, 7,"
                  " {'kind': 'ReplicaSet', 'name': 'r'}]}}");
    assert_string_equal(workload_owner(object, "ReplicaSet"), "r");
    assert_null(workload_owner(object, "Deployment"));
    assert_null(workload_owner(NULL, "Deployment"));
    json_decref(object);
}

static void a_pod_tells_its_state(void **state)
{
    struct kube_pod pod;
    json_t *object = test_json(
        "{'metadata': {'name': 'p', 'ownerReferences': [{'kind': 'ReplicaSet', 'name': 'r'}]}, 'status': "
        "{'phase':"
        " 'Pending', 'podIP': '10.0.0.1', 'conditions': [{'type': 'PodScheduled', 'status': 'True'}, {'type':"
        " 'Initialized', 'status': 'False'}, {'type': 'Ready', 'status': 'Unknown'}, {'type': "
        "'ContainersReady',"
        " 'status': 'True'}]}}");
    workload_read_pod(object, &pod);
    assert_true(str_eq(pod.name, STR("p")));
    assert_true(str_eq(pod.ip, STR("10.0.0.1")));
    assert_true(str_eq(pod.phase, STR("Pending")));
    assert_int_equal(pod.reason.n, 0);
    assert_true(str_eq(pod.replica_set, STR("r")));
    assert_true(pod.scheduled && pod.containers_ready);
    assert_false(pod.initialized || pod.ready || pod.terminating);
    json_decref(object);
}

static void a_pod_terminates_when_it_is_to_be_deleted_but_not_on_a_lost_node(void **state)
{
    static const struct {
        const char *object;
        bool terminating;
    } rows[] = {
        {"{'metadata': {'name': 'p', 'deletionTimestamp': '2026-01-01T00:00:00Z'}, 'status': {'phase': "
         "'Running'}}",
         true},
        {"{'metadata': {'name': 'p', 'deletionTimestamp': '2026-01-01T00:00:00Z'}, 'status': {'reason': "
         "'NodeLost'}}",
         false},
        {"{'metadata': {'name': 'p', 'deletionTimestamp': null}}", false},
        {"{'metadata': {'name': 'p'}, 'status': {'reason': 'NodeLost'}}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kube_pod pod;
        json_t *object = test_json(rows[i].object);
        workload_read_pod(object, &pod);
        assert_int_equal(pod.terminating, rows[i].terminating);
        json_decref(object);
    }
}

static void a_replica_set_tells_its_numbers(void **state)
{
    struct kube_pod pod = {.revision = 99};
    json_t *object =
        test_json("{'metadata': {'annotations': {'deployment.kubernetes.io/revision': '12',"
                  " 'deployment.kubernetes.io/desired-replicas': '3', "
                  "'deployment.kubernetes.io/max-replicas': '4'}}, 'status':"
                  " {'replicas': 5, 'readyReplicas': 6, 'availableReplicas': 7, 'fullyLabeledReplicas': 8}}");
    workload_read_replica_set(object, &pod);
    assert_int_equal(pod.revision, 12);
    assert_int_equal(pod.desired_replicas, 3);
    assert_int_equal(pod.max_replicas, 4);
    assert_int_equal(pod.replicas, 5);
    assert_int_equal(pod.ready_replicas, 6);
    assert_int_equal(pod.available_replicas, 7);
    assert_int_equal(pod.fully_labeled_replicas, 8);
    json_decref(object);
    workload_read_replica_set(NULL, &pod); /* it is gone */
    assert_int_equal(pod.revision | pod.desired_replicas | pod.max_replicas | pod.replicas |
                         pod.ready_replicas | pod.available_replicas | pod.fully_labeled_replicas,
                     0);
}

static void numbers_that_do_not_fit_are_bounded(void **state)
{
    struct kube_pod pod = {.name = {NULL, 0}};
    json_t *object =
        test_json("{'metadata': {'annotations': {'deployment.kubernetes.io/revision': '-3',"
                  " 'deployment.kubernetes.io/desired-replicas': '99999999999',"
                  " 'deployment.kubernetes.io/max-replicas': 'many'}}, 'status': {'replicas': -1,"
                  " 'readyReplicas': 99999999999, 'availableReplicas': 'x'}}");
    workload_read_replica_set(object, &pod);
    assert_int_equal(pod.revision, 0);
    assert_int_equal(pod.desired_replicas, INT32_MAX);
    assert_int_equal(pod.max_replicas, 0);
    assert_int_equal(pod.replicas, 0);
    assert_int_equal(pod.ready_replicas, INT32_MAX);
    assert_int_equal(pod.available_replicas, 0);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trimmed_object_has_what_is_used_and_nothing_else),
        cmocka_unit_test(what_has_no_name_is_no_object),
        cmocka_unit_test(the_owner_of_a_kind_is_found_among_others),
        cmocka_unit_test(a_pod_tells_its_state),
        cmocka_unit_test(a_pod_terminates_when_it_is_to_be_deleted_but_not_on_a_lost_node),
        cmocka_unit_test(a_replica_set_tells_its_numbers),
        cmocka_unit_test(numbers_that_do_not_fit_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
