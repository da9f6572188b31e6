/*
 * The pods of a Deployment, with what a client needs to tell newer ones from older ones in a rolling update (spec:
 * kubernetes.md, "GetPods"). Loop thread.
 */
#ifndef EA_KUBE_PODS_H
#define EA_KUBE_PODS_H

#include <jansson.h>

#include "kube/kube.h"
#include "kube/watch.h"

struct kube_pod {
    struct str name;
    struct str ip;
    struct str phase;
    struct str reason;
    bool terminating;
    bool scheduled;
    bool initialized;
    bool ready;
    bool containers_ready;
    struct str replica_set;
    int32_t revision;
    int32_t available_replicas;
    int32_t fully_labeled_replicas;
    int32_t ready_replicas;
    int32_t replicas;
    int32_t desired_replicas;
    int32_t max_replicas;
};

/* ReplicaSets that have pods of one Deployment; there are two in a rolling update. */
#define KUBE_REPLICA_SETS_MAX 64

struct kube_pods;
struct kube_cache;

/*
 * Finds the pods. A query is the caller's memory until `done`, which is called exactly once, never inside
 * kube_pods_find(); zero it before use.
 */
struct kube_pods_query {
    struct kube *kube;
    struct kube_cache *cache; /* NULL: ask the API server */
    const char *ns;           /* names are checked by the caller, and outlive the query */
    const char *deployment;   /* not looked at if pod_name is given */
    const char *pod_name;     /* NULL or empty: none; else its Deployment is meant */
    struct mono deadline;
    void (*done)(struct kube_pods_query *query);
    void *user;

    /* Valid during `done`. Errors as in struct kube_request; EA_NOT_FOUND also for a pod without Deployment. */
    enum err err;
    struct error error;
    struct str deployment_found;
    struct kube_pod *pods; /* in byte order of their names */
    size_t n_pods;

    struct kube_pods *state;
};

/* Asks; see above. */
void kube_pods_find(struct kube_pods_query *query);

/* `done` is not called any more. Harmless if it was, or if the query was never made. */
void kube_pods_cancel(struct kube_pods_query *query);

/*
 * Keeps pods, ReplicaSets and Deployments of the namespaces that were asked for, by watches; while they are whole an
 * answer costs the API server nothing. Otherwise (the first question, broken watches, missing rights to watch) queries
 * ask the API server.
 */
struct kube_cache *kube_cache_new(struct kube *kube);
void kube_cache_free(struct kube_cache *cache);

#endif
