/*
 *   by pod name: pod ──owner──► ReplicaSet ──owner──► Deployment
 *                                                        │ selector
 *   by deployment: ─────────────────────────────────► Deployment ──► pods, page by page ──► their ReplicaSets ──► answer
 *
 * Each arrow is a request, so without the cache the rights needed are get (pods, replicasets, deployments) and list
 * (pods) alone.
 */
#include "kube/pods.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "kube/cache.h"
#include "kube/items.h"
#include "kube/selector.h"
#include "kube/workload.h"

struct kube_pods {
    struct kube_pods_query *query;
    struct kube_request request;
    void (*got)(struct kube_pods *state, json_t *object);
    struct kube_list list;
    struct loop_task from_cache;
    struct buf list_path;
    struct buf selector;
    json_t *deployment;
    json_t *pods;         /* array, trimmed */
    json_t *replica_sets; /* name -> trimmed, or null while it is not known */
    unsigned next_replica_set;
};

static void ask_deployment(struct kube_pods *s, const char *name);
static void ask_replica_sets(struct kube_pods *s);

/* --- the answer --- */

static void free_state(struct kube_pods *s)
{
    json_decref(s->deployment);
    json_decref(s->pods);
    json_decref(s->replica_sets);
    buf_fini(&s->list_path);
    buf_fini(&s->selector);
    mem_free(s);
}

static void end(struct kube_pods *s)
{
    struct kube_pods_query *query = s->query;
    struct kube_pod *pods = query->pods;
    query->state = NULL;
    query->error.code = query->err;
    query->done(query); /* the query's memory may go with it */
    mem_free(pods);
    free_state(s);
}

static void fail(struct kube_pods *s, enum err err, const struct error *error)
{
    s->query->err = err;
    s->query->error = *error;
    end(s);
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(((const struct kube_pod *)a)->name, ((const struct kube_pod *)b)->name);
}

/* Pods without a ReplicaSet are left out. */
static void answer(struct kube_pods *s, const json_t *replica_sets)
{
    struct kube_pods_query *query = s->query;
    query->pods = mem_alloc((json_array_size(s->pods) + 1) * sizeof *query->pods);
    query->n_pods = 0;
    for (size_t i = 0; i < json_array_size(s->pods); i++) {
        struct kube_pod *pod = &query->pods[query->n_pods];
        workload_read_pod(json_array_get(s->pods, i), pod);
        if (pod->replica_set.n > 0) {
            workload_read_replica_set(json_object_get(replica_sets, pod->replica_set.p), pod);
            query->n_pods++;
        }
    }
    qsort(query->pods, query->n_pods, sizeof *query->pods, by_name);
    query->deployment_found = str_of(workload_name(s->deployment));
    query->err = EA_OK;
    end(s);
}

/* --- one object --- */

static void on_object(struct kube_request *request)
{
    struct kube_pods *s = CONTAINER_OF(request, struct kube_pods, request);
    json_t *object = NULL;
    enum err err = request->err;
    if (err == EA_OK) {
        err = kube_json_parse(request->answer, &object, &request->error);
    }
    if (err == EA_OK) {
        s->got(s, object);
        json_decref(object);
    } else {
        struct error error = request->error;
        fail(s, err, &error);
    }
}

static void ask(struct kube_pods *s, const char *what, const char *api, const char *resource,
                const char *name, void (*got)(struct kube_pods *s, json_t *object))
{
    struct buf path = BUF_EMPTY;
    buf_format(&path, "%s/namespaces/", api);
    kube_escape(&path, str_of(s->query->ns));
    buf_format(&path, "/%s/", resource);
    kube_escape(&path, str_of(name));
    s->got = got;
    s->request = (struct kube_request){
        .method = KUBE_GET,
        .what = what,
        .path = buf_str(&path),
        .deadline = s->query->deadline,
        .done = on_object,
    };
    kube_send(s->query->kube, &s->request);
    buf_fini(&path);
}

/* --- by pod name --- */

static void no_owner(struct kube_pods *s, const char *kind)
{
    struct error error;
    (void)error_set(&error, EA_NOT_FOUND, "the pod \"%s\" belongs to no %s", s->query->pod_name, kind);
    fail(s, EA_NOT_FOUND, &error);
}

static void got_owner_replica_set(struct kube_pods *s, json_t *replica_set)
{
    const char *deployment = workload_owner(replica_set, "Deployment");
    if (deployment == NULL) {
        no_owner(s, "Deployment");
    } else {
        ask_deployment(s, deployment);
    }
}

static void got_pod(struct kube_pods *s, json_t *pod)
{
    const char *replica_set = workload_owner(pod, "ReplicaSet");
    if (replica_set == NULL) {
        no_owner(s, "ReplicaSet");
    } else {
        ask(s, "get replicasets", "/apis/apps/v1", "replicasets", replica_set, got_owner_replica_set);
    }
}

/* --- the Deployment and its pods --- */

static bool on_listed(struct kube_list *list, json_t *object)
{
    struct kube_pods *s = list->user;
    const char *replica_set = workload_owner(object, "ReplicaSet");
    json_t *pod = workload_trim(WORKLOAD_POD, object);
    if (replica_set != NULL && json_object_get(s->replica_sets, replica_set) == NULL) {
        (void)json_object_set_new(s->replica_sets, replica_set, json_null());
    }
    if (pod != NULL) {
        (void)json_array_append_new(s->pods, pod);
    }
    return true;
}

static void on_list_done(struct kube_list *list)
{
    struct kube_pods *s = list->user;
    if (list->err != EA_OK) {
        struct error error = list->error;
        fail(s, list->err, &error);
    } else if (json_object_size(s->replica_sets) > KUBE_REPLICA_SETS_MAX) {
        struct error error;
        (void)error_set(&error, EA_TOO_LARGE, "the Deployment has pods of more than %d ReplicaSets",
                        KUBE_REPLICA_SETS_MAX);
        fail(s, EA_TOO_LARGE, &error);
    } else {
        ask_replica_sets(s);
    }
}

static void got_deployment(struct kube_pods *s, json_t *deployment)
{
    struct error error = ERROR_NONE;
    s->deployment = workload_trim(WORKLOAD_DEPLOYMENT, deployment);
    if (s->deployment == NULL) {
        fail(s, error_set(&error, EA_PROTOCOL, "the Deployment has no name"), &error);
        return;
    }
    const json_t *selector = json_object_get(json_object_get(deployment, "spec"), "selector");
    enum err err = selector_text(selector, &s->selector, &error);
    if (err != EA_OK) {
        fail(s, err, &error);
        return;
    }
    buf_add_str(&s->list_path, STR("/api/v1/namespaces/"));
    kube_escape(&s->list_path, str_of(s->query->ns));
    buf_add_str(&s->list_path, STR("/pods"));
    buf_add(&s->list_path, "", 1);
    s->pods = json_array();
    s->replica_sets = json_object();
    s->list = (struct kube_list){
        .what = "list pods",
        .path = s->list_path.p,
        .selector = s->selector.p,
        .deadline = s->query->deadline,
        .item = on_listed,
        .done = on_list_done,
        .user = s,
    };
    kube_list_start(s->query->kube, &s->list);
}

static void ask_deployment(struct kube_pods *s, const char *name)
{
    ask(s, "get deployments", "/apis/apps/v1", "deployments", name, got_deployment);
}

/* --- the ReplicaSets, one after the other: there are two at most but in a hurry --- */

static void got_replica_set(struct kube_pods *s, json_t *replica_set)
{
    json_t *trimmed = workload_trim(WORKLOAD_REPLICA_SET, replica_set);
    if (trimmed != NULL) {
        (void)json_object_set_new(s->replica_sets, workload_name(trimmed), trimmed);
    }
    ask_replica_sets(s);
}

static void on_replica_set(struct kube_request *request)
{
    struct kube_pods *s = CONTAINER_OF(request, struct kube_pods, request);
    if (request->err == EA_NOT_FOUND) { /* it went away meanwhile; its pods will too */
        ask_replica_sets(s);
    } else {
        on_object(request);
    }
}

static void ask_replica_sets(struct kube_pods *s)
{
    const char *name;
    json_t *value;
    unsigned at = 0;
    json_object_foreach(s->replica_sets, name, value)
    {
        if (at++ == s->next_replica_set) {
            s->next_replica_set++;
            ask(s, "get replicasets", "/apis/apps/v1", "replicasets", name, got_replica_set);
            s->request.done = on_replica_set;
            return;
        }
    }
    answer(s, s->replica_sets);
}

/* --- the start --- */

static void from_cache(struct loop *loop, struct loop_task *task)
{
    struct kube_pods *s = CONTAINER_OF(task, struct kube_pods, from_cache);
    struct kube_pods_query *query = s->query;
    struct cache_view view;
    if (query == NULL) { /* cancelled */
        free_state(s);
        return;
    }
    if (query->cache == NULL || !cache_look(query->cache, query->ns, &view)) {
        if (query->pod_name != NULL && query->pod_name[0] != '\0') {
            ask(s, "get pods", "/api/v1", "pods", query->pod_name, got_pod);
        } else {
            ask_deployment(s, query->deployment);
        }
        return;
    }
    struct error error = ERROR_NONE;
    enum err err = cache_find(&view, query, &s->deployment, &s->pods, &error);
    if (err == EA_OK) {
        answer(s, view.objects[WORKLOAD_REPLICA_SET]);
    } else {
        fail(s, err, &error);
    }
}

void kube_pods_find(struct kube_pods_query *query)
{
    struct kube_pods *s = mem_zalloc(sizeof *s);
    assert(query->state == NULL && query->done != NULL);
    s->query = query;
    s->from_cache.run = from_cache;
    query->state = s;
    query->pods = NULL;
    query->n_pods = 0;
    query->deployment_found = str_from(NULL, 0);
    query->error = ERROR_NONE;
    loop_at_start(kube_loop(query->kube), &s->from_cache);
}

void kube_pods_cancel(struct kube_pods_query *query)
{
    struct kube_pods *s = query->state;
    if (s == NULL) {
        return;
    }
    query->state = NULL;
    if (s->from_cache.queued) {
        s->query = NULL; /* that frees it */
        return;
    }
    kube_cancel(query->kube, &s->request);
    kube_list_cancel(&s->list);
    free_state(s);
}
