/* The cache behind GetPods: see pods.h. Internal to kube/. */
#ifndef EA_KUBE_CACHE_H
#define EA_KUBE_CACHE_H

#include "kube/pods.h"
#include "kube/workload.h"

/* What is known of a namespace: name -> trimmed object. Valid until the loop's next turn. */
struct cache_view {
    json_t *objects[WORKLOADS];
};

/* False if the namespace is not known (yet): it will be soon, if watching is allowed. */
bool cache_look(struct kube_cache *cache, const char *ns, struct cache_view *out);

/* *deployment and *pods (an array) are references the caller has to give back. EA_NOT_FOUND in the API server's words. */
enum err cache_find(const struct cache_view *view, const struct kube_pods_query *query, json_t **deployment,
                    json_t **pods, struct error *error) EA_MUST_CHECK;

#endif
