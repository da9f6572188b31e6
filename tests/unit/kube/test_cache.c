/* The cache behind GetPods. Its watches are played here: the test tells what they would. */
#include "json.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/cache.h"

#define NAMESPACES_MAX 16 /* as in cache.c */

/* --- watches that do what the test says --- */

struct kube_watch {
    struct kube_watch_options options;
    char *path;
    struct kube_watch *next;
};

static struct kube_watch *watches;
static struct loop *loop;

struct kube_watch *kube_watch_start(struct kube *kube, const struct kube_watch_options *options)
{
    struct kube_watch *w = mem_zalloc(sizeof *w);
    w->options = *options;
    w->path = mem_dup(options->path, strlen(options->path) + 1);
    w->next = watches;
    watches = w;
    return w;
}

void kube_watch_stop(struct kube_watch *w)
{
    struct kube_watch **at = &watches;
    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    mem_free(w->path);
    mem_free(w);
}

struct loop *kube_loop(const struct kube *kube)
{
    return loop;
}

static struct kube_watch *watch_of(const char *ns, const char *resource)
{
    char tail[128];
    struct kube_watch *w = watches;
    (void)snprintf(tail, sizeof tail, "/namespaces/%s/%s", ns, resource);
    while (w != NULL && strstr(w->path, tail) == NULL) {
        w = w->next;
    }
    return w;
}

static void tell(const char *resource, enum kube_event event, const char *object)
{
    struct kube_watch *w = watch_of("n", resource);
    json_t *doc = object != NULL ? test_json(object) : NULL;
    assert_non_null(w);
    w->options.on_event(w->options.user, event, doc);
    json_decref(doc);
}

static void list_nothing(const char *resource)
{
    tell(resource, KUBE_LISTING, NULL);
    tell(resource, KUBE_SYNCED, NULL);
}

/* --- the scene --- */

#define OWNED_BY(kind, name) "'ownerReferences': [{'kind': '" kind "', 'name': '" name "'}]"
#define POD(name)                  \
    "{'metadata': {'name': '" name \
    "', 'labels': {'app': 'web'}, " OWNED_BY("ReplicaSet", "r") "}, 'spec': {}}"
#define REPLICA_SET "{'metadata': {'name': 'r', " OWNED_BY("Deployment", "d") "}}"
#define DEPLOYMENT  "{'metadata': {'name': 'd'}, 'spec': {'selector': {'matchLabels': {'app': 'web'}}}}"

struct scene {
    struct clock_fake clock;
    struct kube_cache *cache;
    struct cache_view view;
};

static int set_up(void **state)
{
    struct scene *s = mem_zalloc(sizeof *s);
    clock_fake_init(&s->clock);
    if (loop_new(&loop, &(struct loop_options){.clock = &s->clock.clock, .seed = 1}, NULL) != EA_OK) {
        return -1;
    }
    s->cache = kube_cache_new(NULL);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    kube_cache_free(s->cache);
    loop_free(loop);
    mem_free(s);
    return watches == NULL ? 0 : -1;
}

static bool looks(struct scene *s)
{
    return cache_look(s->cache, "n", &s->view);
}

/* One Deployment with its ReplicaSet and two pods. */
static void fill(struct scene *s)
{
    assert_false(looks(s));
    tell("pods", KUBE_LISTING, NULL);
    tell("pods", KUBE_ADDED, POD("a"));
    tell("pods", KUBE_ADDED, POD("b"));
    tell("pods", KUBE_SYNCED, NULL);
    tell("replicasets", KUBE_LISTING, NULL);
    tell("replicasets", KUBE_ADDED, REPLICA_SET);
    tell("replicasets", KUBE_SYNCED, NULL);
    tell("deployments", KUBE_LISTING, NULL);
    tell("deployments", KUBE_ADDED, DEPLOYMENT);
    tell("deployments", KUBE_SYNCED, NULL);
    assert_true(looks(s));
}

static size_t n_pods(struct scene *s)
{
    assert_true(looks(s));
    return json_object_size(s->view.objects[WORKLOAD_POD]);
}

/* --- tests --- */

static void a_namespace_is_known_when_all_its_lists_are(void **state)
{
    struct scene *s = *state;
    assert_false(looks(s));
    list_nothing("pods");
    assert_false(looks(s));
    list_nothing("replicasets");
    tell("deployments", KUBE_LISTING, NULL);
    assert_false(looks(s));
    tell("deployments", KUBE_SYNCED, NULL);
    assert_true(looks(s));
    assert_null(watches->next->next->next); /* asking again watches nothing more */
}

static void changes_are_followed(void **state)
{
    struct scene *s = *state;
    fill(s);
    tell("pods", KUBE_ADDED, POD("c"));
    assert_int_equal(n_pods(s), 3);
    tell("pods", KUBE_DELETED, POD("a"));
    tell("pods", KUBE_DELETED, POD("never-seen"));
    assert_int_equal(n_pods(s), 2);
    tell("pods", KUBE_MODIFIED,
         "{'metadata': {'name': 'b'}, 'status': {'phase': 'Failed', 'qosClass': 'x'}}");
    const json_t *pod = json_object_get(s->view.objects[WORKLOAD_POD], "b");
    assert_string_equal(json_string_value(json_object_get(json_object_get(pod, "status"), "phase")),
                        "Failed");
    assert_int_equal(json_object_size(json_object_get(pod, "status")), 1); /* trimmed */
    tell("pods", KUBE_ADDED, "{'metadata': {}}");                          /* no object at all */
    assert_int_equal(n_pods(s), 2);
}

static void a_broken_watch_answers_nothing_until_it_is_heard_again(void **state)
{
    struct scene *s = *state;
    fill(s);
    tell("replicasets", KUBE_BROKEN, NULL);
    assert_false(looks(s));
    tell("replicasets", KUBE_RESUMED, NULL);
    assert_int_equal(n_pods(s), 2);
}

static void what_a_new_list_does_not_name_is_gone(void **state)
{
    struct scene *s = *state;
    fill(s);
    tell("pods", KUBE_LISTING, NULL);
    tell("pods", KUBE_ADDED, POD("c"));
    assert_false(looks(s)); /* half a list is none */
    tell("pods", KUBE_SYNCED, NULL);
    assert_int_equal(n_pods(s), 1);
    assert_non_null(json_object_get(s->view.objects[WORKLOAD_POD], "c"));
}

static void a_list_that_broke_is_forgotten(void **state)
{
    struct scene *s = *state;
    fill(s);
    tell("pods", KUBE_LISTING, NULL);
    tell("pods", KUBE_ADDED, POD("x"));
    tell("pods", KUBE_BROKEN, NULL);
    assert_false(looks(s));
    tell("pods", KUBE_LISTING, NULL);
    tell("pods", KUBE_ADDED, POD("y"));
    tell("pods", KUBE_SYNCED, NULL);
    assert_int_equal(n_pods(s), 1);
    assert_non_null(json_object_get(s->view.objects[WORKLOAD_POD], "y"));
}

static void the_namespace_asked_for_longest_ago_makes_room(void **state)
{
    struct scene *s = *state;
    char name[16];
    for (unsigned i = 0; i <= NAMESPACES_MAX; i++) {
        (void)snprintf(name, sizeof name, "n%u", i);
        assert_false(cache_look(s->cache, name, &s->view));
        clock_fake_advance_us(&s->clock, 1000);
        (void)loop_step(loop);
        assert_false(cache_look(s->cache, "n0", &s->view)); /* the first is asked for again and again */
    }
    assert_non_null(watch_of("n0", "pods"));
    assert_null(watch_of("n1", "pods"));
    assert_non_null(watch_of("n2", "pods"));
    unsigned n = 0;
    for (const struct kube_watch *w = watches; w != NULL; w = w->next) {
        n++;
    }
    assert_int_equal(n, NAMESPACES_MAX * WORKLOADS);
}

static void pods_are_found_by_deployment_and_by_pod(void **state)
{
    static const struct kube_pods_query queries[] = {
        {.deployment = "d"}, {.deployment = "d", .pod_name = ""}, {.deployment = "other", .pod_name = "b"}};
    struct scene *s = *state;
    fill(s);
    tell("pods", KUBE_ADDED, "{'metadata': {'name': 'foreign', 'labels': {'app': 'other'}}}");
    tell("pods", KUBE_ADDED, "{'metadata': {'name': 'bare'}}");
    assert_true(looks(s));
    for (size_t i = 0; i < ARRAY_LENGTH(queries); i++) {
        json_t *deployment;
        json_t *pods;
        struct error error = ERROR_NONE;
        assert_int_equal(cache_find(&s->view, &queries[i], &deployment, &pods, &error), EA_OK);
        assert_string_equal(workload_name(deployment), "d");
        assert_int_equal(json_array_size(pods), 2);
        json_decref(deployment);
        json_decref(pods);
    }
}

static void what_is_not_there_is_told_in_the_api_servers_words(void **state)
{
    static const struct {
        struct kube_pods_query query;
        enum err err;
        const char *words;
    } rows[] = {
        {{.deployment = "none"}, EA_NOT_FOUND, "deployments.apps \"none\" not found"},
        {{.pod_name = "none"}, EA_NOT_FOUND, "pods \"none\" not found"},
        {{.pod_name = "bare"}, EA_NOT_FOUND, "the pod \"bare\" belongs to no ReplicaSet"},
        {{.pod_name = "orphan"}, EA_NOT_FOUND, "the pod \"orphan\" belongs to no Deployment"},
        {{.deployment = "broken"}, EA_PROTOCOL, "selects everything"},
    };
    struct scene *s = *state;
    fill(s);
    tell("pods", KUBE_ADDED, "{'metadata': {'name': 'bare'}}");
    tell("pods", KUBE_ADDED, "{'metadata': {'name': 'orphan', " OWNED_BY("ReplicaSet", "gone") "}}");
    tell("deployments", KUBE_ADDED, "{'metadata': {'name': 'broken'}, 'spec': {'selector': {}}}");
    assert_true(looks(s));
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        json_t *deployment;
        json_t *pods;
        struct error error = ERROR_NONE;
        assert_int_equal(cache_find(&s->view, &rows[i].query, &deployment, &pods, &error), rows[i].err);
        assert_non_null(strstr(error.text, rows[i].words));
        assert_true(deployment == NULL && pods == NULL);
    }
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_namespace_is_known_when_all_its_lists_are),
        SCENE(changes_are_followed),
        SCENE(a_broken_watch_answers_nothing_until_it_is_heard_again),
        SCENE(what_a_new_list_does_not_name_is_gone),
        SCENE(a_list_that_broke_is_forgotten),
        SCENE(the_namespace_asked_for_longest_ago_makes_room),
        SCENE(pods_are_found_by_deployment_and_by_pod),
        SCENE(what_is_not_there_is_told_in_the_api_servers_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
