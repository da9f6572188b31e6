/*
 * GetPods' way from object to object, with answers that are played here. What is read out of the objects is tested in
 * test_workload.c and test_selector.c, the cache in test_cache.c.
 */
#include "played.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/pods.h"

#define OWNED(kind, name) "'ownerReferences':[{'kind':'" kind "','name':'" name "'}]"
#define DEPLOYMENT        "{'metadata':{'name':'web'},'spec':{'selector':{'matchLabels':{'app':'web'}}}}"
#define POD(name, set) \
    "{'metadata':{'name':'" name "'," OWNED("ReplicaSet", set) "},'status':{'phase':'Running'}}"
#define LONE_POD "{'metadata':{'name':'lone'},'status':{'phase':'Running'}}"
#define JOB_POD  "{'metadata':{'name':'of-job'," OWNED("Job", "j") "}}"
#define REPLICA_SET(name, revision)                                                                \
    "{'metadata':{'name':'" name "','annotations':{'deployment.kubernetes.io/revision':'" revision \
    "'}," OWNED("Deployment", "web") "},'status':{'replicas':2}}"
#define PODS(items) "{'items':[" items "],'metadata':{'resourceVersion':'9'}}"

#define N     "/api/v1/namespaces/n/"
#define APPS  "/apis/apps/v1/namespaces/n/"
#define STEPS 8

struct scene {
    struct kube_pods_query query;
    bool done;
    char error[240];
    char told[512]; /* name:replica set:revision of each pod */
};

static void on_done(struct kube_pods_query *query)
{
    struct scene *s = query->user;
    assert_false(s->done);
    s->done = true;
    (void)snprintf(s->error, sizeof s->error, "%s", query->err == EA_OK ? "" : query->error.text);
    assert_int_equal(query->err, query->err == EA_OK ? EA_OK : query->error.code);
    for (size_t i = 0; query->err == EA_OK && i < query->n_pods; i++) {
        const struct kube_pod *pod = &query->pods[i];
        size_t n = strlen(s->told);
        (void)snprintf(s->told + n, sizeof s->told - n, "%.*s:%.*s:%d ", STR_ARG(pod->name),
                       STR_ARG(pod->replica_set), pod->revision);
    }
    if (query->err == EA_OK) {
        assert_true(str_eq(query->deployment_found, STR("web")));
    }
}

static void find(struct scene *s, const char *deployment, const char *pod)
{
    *s = (struct scene){.done = false};
    s->query = (struct kube_pods_query){
        .ns = "n", .deployment = deployment, .pod_name = pod, .done = on_done, .user = s};
    kube_pods_find(&s->query);
    assert_false(s->done || played_is_asked()); /* nothing happens inside */
    played_turn();
}

struct step {
    const char *path; /* begins what is asked; NULL: nothing more */
    int status;
    const char *text;
};

struct row {
    const char *deployment;
    const char *pod;
    struct step steps[STEPS];
    enum err err;
    const char *told; /* or what the error says */
};

static void play(const struct row *row, size_t number)
{
    struct scene s;
    find(&s, row->deployment, row->pod);
    for (size_t i = 0; i < STEPS && row->steps[i].path != NULL; i++) {
        const struct step *step = &row->steps[i];
        if (!played_is_asked() || strncmp(played_path(), step->path, strlen(step->path)) != 0) {
            fail_msg("row %zu, step %zu: %s, not %s", number, i, played_path(), step->path);
        }
        played_answer(step->status, step->text, 0);
        played_turn();
    }
    if (!s.done || s.query.err != row->err) {
        fail_msg("row %zu: %s, %d %s", number, s.done ? "done" : played_path(), (int)s.query.err, s.error);
    }
    if (row->err == EA_OK ? strcmp(s.told, row->told) != 0 : strstr(s.error, row->told) == NULL) {
        fail_msg("row %zu: \"%s\", not \"%s\"", number, row->err == EA_OK ? s.told : s.error, row->told);
    }
    assert_false(played_is_asked());
}

#define GET_DEPLOYMENT                          \
    {                                           \
        APPS "deployments/web", 200, DEPLOYMENT \
    }

static const struct row found[] = {
    /* A rolling update, in the order of names. */
    {"web",
     NULL,
     {GET_DEPLOYMENT,
      {N "pods?", 200, PODS(POD("c", "new") "," POD("a", "old") "," POD("b", "new"))},
      {APPS "replicasets/new", 200, REPLICA_SET("new", "2")},
      {APPS "replicasets/old", 200, REPLICA_SET("old", "1")}},
     EA_OK,
     "a:old:1 b:new:2 c:new:2 "},
    /* By pod name, which wins. */
    {"ignored",
     "a",
     {{N "pods/a", 200, POD("a", "new")},
      {APPS "replicasets/new", 200, REPLICA_SET("new", "2")},
      GET_DEPLOYMENT,
      {N "pods?", 200, PODS(POD("a", "new"))},
      {APPS "replicasets/new", 200, REPLICA_SET("new", "2")}},
     EA_OK,
     "a:new:2 "},
    /* An empty pod name is none. */
    {"web", "", {GET_DEPLOYMENT, {N "pods?", 200, PODS("")}}, EA_OK, ""},
    /* What has no ReplicaSet is left out, and nothing is asked for it. */
    {"web",
     NULL,
     {GET_DEPLOYMENT,
      {N "pods?", 200, PODS(LONE_POD "," JOB_POD "," POD("a", "new"))},
      {APPS "replicasets/new", 200, REPLICA_SET("new", "3")}},
     EA_OK,
     "a:new:3 "},
    {"web", NULL, {GET_DEPLOYMENT, {N "pods?", 200, PODS(LONE_POD)}}, EA_OK, ""},
    /* A ReplicaSet that went away meanwhile: its pods are told without its numbers. */
    {"web",
     NULL,
     {GET_DEPLOYMENT,
      {N "pods?", 200, PODS(POD("a", "old") "," POD("b", "new"))},
      {APPS "replicasets/old", 404, "replicasets.apps \"old\" not found"},
      {APPS "replicasets/new", 200, REPLICA_SET("new", "2")}},
     EA_OK,
     "a:old:0 b:new:2 "},
    /* A pod without a name is no pod. */
    {"web", NULL, {GET_DEPLOYMENT, {N "pods?", 200, PODS("{'metadata':{}}")}}, EA_OK, ""},
};

static const struct row refused[] = {
    {"web",
     NULL,
     {{APPS "deployments/web", 404, "deployments.apps \"web\" not found"}},
     EA_NOT_FOUND,
     "get deployments: deployments.apps \"web\" not found"},
    {"web",
     NULL,
     {{APPS "deployments/web", 403, "no get of deployments"}},
     EA_DENIED,
     "no get of deployments"},
    {"web",
     NULL,
     {GET_DEPLOYMENT, {N "pods?", 403, "no list of pods"}},
     EA_DENIED,
     "list pods: no list of pods"},
    {"web", NULL, {GET_DEPLOYMENT, {N "pods?", 0, "{'items':["}}, EA_IO, "list pods: "},
    {"web", NULL, {GET_DEPLOYMENT, {N "pods?", 200, "{'items':7}"}}, EA_PROTOCOL, ""},
    {"web",
     NULL,
     {GET_DEPLOYMENT,
      {N "pods?", 200, PODS(POD("a", "new"))},
      {APPS "replicasets/new", 403, "no get of replicasets"}},
     EA_DENIED,
     "get replicasets: no get of replicasets"},
    {"web", NULL, {{APPS "deployments/web", 200, "{'metadata':{}}"}}, EA_PROTOCOL, "has no name"},
    {"web", NULL, {{APPS "deployments/web", 200, "nonsense"}}, EA_PROTOCOL, "not the JSON"},
    {"web", NULL, {{APPS "deployments/web", 200, "{'metadata':{'name':'web'}}"}}, EA_PROTOCOL, "selector"},
    {NULL, "x", {{N "pods/x", 404, "pods \"x\" not found"}}, EA_NOT_FOUND, "get pods: pods \"x\" not found"},
    {NULL,
     "lone",
     {{N "pods/lone", 200, LONE_POD}},
     EA_NOT_FOUND,
     "the pod \"lone\" belongs to no ReplicaSet"},
    {NULL, "of-job", {{N "pods/of-job", 200, JOB_POD}}, EA_NOT_FOUND, "belongs to no ReplicaSet"},
    {NULL,
     "a",
     {{N "pods/a", 200, POD("a", "bare")}, {APPS "replicasets/bare", 200, "{'metadata':{'name':'bare'}}"}},
     EA_NOT_FOUND,
     "the pod \"a\" belongs to no Deployment"},
    {NULL,
     "a",
     {{N "pods/a", 200, POD("a", "gone")},
      {APPS "replicasets/gone", 404, "replicasets.apps \"gone\" not found"}},
     EA_NOT_FOUND,
     "\"gone\" not found"},
};

static void the_pods_are_found_from_object_to_object(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(found); i++) {
        play(&found[i], i);
    }
}

static void the_first_object_that_cannot_be_had_ends_it_with_the_servers_words(void **state)
{
    for (size_t i = 0; i < ARRAY_LENGTH(refused); i++) {
        play(&refused[i], i);
    }
}

static void names_are_escaped(void **state)
{
    struct scene s;
    find(&s, "a/b", NULL); /* the caller checks names; this is the second line */
    assert_string_equal(played_path(), APPS "deployments/a%2Fb");
    kube_pods_cancel(&s.query);
}

static void pods_of_too_many_replica_sets_are_refused(void **state)
{
    struct scene s;
    struct buf list = BUF_EMPTY;
    buf_format(&list, "{'items':[");
    for (unsigned i = 0; i <= KUBE_REPLICA_SETS_MAX; i++) {
        buf_format(&list,
                   "%s{'metadata':{'name':'p%u','ownerReferences':[{'kind':'ReplicaSet','name':'r%u'}]}}",
                   i > 0 ? "," : "", i, i);
    }
    buf_format(&list, "],'metadata':{'resourceVersion':'9'}}");
    buf_add(&list, "", 1);
    find(&s, "web", NULL);
    played_answer(200, DEPLOYMENT, 0);
    played_answer(200, list.p, 0);
    assert_true(s.done);
    assert_int_equal(s.query.err, EA_TOO_LARGE);
    assert_string_equal(s.error, "the Deployment has pods of more than 64 ReplicaSets");
    buf_fini(&list);
}

static void a_query_may_be_cancelled_at_every_step(void **state)
{
    const struct row *row = &found[1]; /* the one with the most steps */
    for (size_t steps = 0; steps <= 5; steps++) {
        struct scene s;
        s = (struct scene){.done = false};
        s.query = (struct kube_pods_query){
            .ns = "n", .deployment = row->deployment, .pod_name = row->pod, .done = on_done, .user = &s};
        kube_pods_find(&s.query);
        if (steps > 0) {
            played_turn();
        }
        for (size_t i = 1; i < steps; i++) {
            played_answer(row->steps[i - 1].status, row->steps[i - 1].text, 0);
        }
        assert_false(s.done);
        kube_pods_cancel(&s.query);
        kube_pods_cancel(&s.query); /* harmless */
        played_turn();
        assert_false(s.done || played_is_asked());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_pods_are_found_from_object_to_object),
        cmocka_unit_test(the_first_object_that_cannot_be_had_ends_it_with_the_servers_words),
        cmocka_unit_test(names_are_escaped),
        cmocka_unit_test(pods_of_too_many_replica_sets_are_refused),
        cmocka_unit_test(a_query_may_be_cancelled_at_every_step),
    };
    return cmocka_run_group_tests(tests, played_set_up, played_tear_down);
}
