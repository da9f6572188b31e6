#include "kube/cache.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/internal.h"
#include "kube/selector.h"

/* Clients choose namespaces: more of them than this are not kept, the one asked for longest ago makes room. */
#define NAMESPACES_MAX 16

struct table {
    struct kube_watch *watch;
    struct space *space;
    json_t *objects; /* name -> trimmed */
    json_t *listing; /* the list that is under way */
    bool whole;
};

struct space {
    struct kube_cache *cache;
    struct space *next;
    char *ns;
    struct mono used;
    struct table tables[WORKLOADS];
};

struct kube_cache {
    struct kube *kube;
    struct space *spaces;
    unsigned n;
};

static const struct {
    const char *what;
    const char *path; /* printf's: the namespace */
} resources[WORKLOADS] = {
    [WORKLOAD_POD] = {"watch pods", "/api/v1/namespaces/%s/pods"},
    [WORKLOAD_REPLICA_SET] = {"watch replicasets", "/apis/apps/v1/namespaces/%s/replicasets"},
    [WORKLOAD_DEPLOYMENT] = {"watch deployments", "/apis/apps/v1/namespaces/%s/deployments"},
};

/* --- what the watches tell --- */

static void change(struct table *table, enum kube_event event, const json_t *object)
{
    enum workload what = (enum workload)(table - table->space->tables);
    json_t *objects = table->listing != NULL ? table->listing : table->objects;
    const char *name = workload_name(object);
    if (name == NULL) {
        return;
    }
    if (event == KUBE_DELETED) {
        (void)json_object_del(objects, name);
    } else {
        (void)json_object_set_new(objects, name, workload_trim(what, object));
    }
}

static void on_event(void *user, enum kube_event event, json_t *object)
{
    struct table *table = user;
    switch (event) {
    case KUBE_LISTING:
        json_decref(table->listing);
        table->listing = json_object();
        table->whole = false;
        break;
    case KUBE_ADDED:
    case KUBE_MODIFIED:
    case KUBE_DELETED:
        change(table, event, object);
        break;
    case KUBE_SYNCED:
        json_decref(table->objects);
        table->objects = table->listing;
        table->listing = NULL;
        table->whole = true;
        break;
    case KUBE_BROKEN:
    case KUBE_RESUMED:
        table->whole = event == KUBE_RESUMED && table->listing == NULL;
        break;
    }
}

/* --- namespaces --- */

static void free_space(struct space *space)
{
    for (unsigned i = 0; i < WORKLOADS; i++) {
        kube_watch_stop(space->tables[i].watch);
        json_decref(space->tables[i].objects);
        json_decref(space->tables[i].listing);
    }
    mem_free(space->ns);
    mem_free(space);
}

static void make_room(struct kube_cache *cache)
{
    struct space **oldest = &cache->spaces;
    for (struct space **at = &cache->spaces; *at != NULL; at = &(*at)->next) {
        oldest = mono_before((*at)->used, (*oldest)->used) ? at : oldest;
    }
    struct space *space = *oldest;
    assert(space != NULL); /* called when all places are taken */
    *oldest = space->next;
    cache->n--;
    free_space(space);
}

static struct space *add_space(struct kube_cache *cache, const char *ns)
{
    struct space *space = mem_zalloc(sizeof *space);
    if (cache->n == NAMESPACES_MAX) {
        make_room(cache);
    }
    space->cache = cache;
    space->ns = kube_text(str_of(ns));
    for (unsigned i = 0; i < WORKLOADS; i++) {
        char path[KUBE_PATH_BYTES];
        (void)snprintf(path, sizeof path, resources[i].path, ns); /* a checked name: nothing to escape */
        space->tables[i].space = space;
        space->tables[i].watch = kube_watch_start(cache->kube, &(struct kube_watch_options){
                                                                   .what = resources[i].what,
                                                                   .path = path,
                                                                   .on_event = on_event,
                                                                   .user = &space->tables[i],
                                                               });
    }
    space->next = cache->spaces;
    cache->spaces = space;
    cache->n++;
    return space;
}

bool cache_look(struct kube_cache *cache, const char *ns, struct cache_view *out)
{
    struct space *space = cache->spaces;
    while (space != NULL && strcmp(space->ns, ns) != 0) {
        space = space->next;
    }
    if (space == NULL) {
        space = add_space(cache, ns);
    }
    space->used = loop_now(kube_loop(cache->kube));
    for (unsigned i = 0; i < WORKLOADS; i++) {
        if (!space->tables[i].whole) {
            return false;
        }
        out->objects[i] = space->tables[i].objects;
    }
    return true;
}

struct kube_cache *kube_cache_new(struct kube *kube)
{
    struct kube_cache *cache = mem_zalloc(sizeof *cache);
    cache->kube = kube;
    return cache;
}

void kube_cache_free(struct kube_cache *cache)
{
    while (cache->spaces != NULL) {
        struct space *space = cache->spaces;
        cache->spaces = space->next;
        free_space(space);
    }
    mem_free(cache);
}

/* --- finding --- */

static enum err not_found(const char *what, const char *name, struct error *error)
{
    return error_set(error, EA_NOT_FOUND, "%s \"%s\" not found", what, name);
}

static enum err owner_of(const struct cache_view *view, const char *pod_name, const char **deployment,
                         struct error *error)
{
    const json_t *pod = json_object_get(view->objects[WORKLOAD_POD], pod_name);
    if (pod == NULL) {
        return not_found("pods", pod_name, error);
    }
    const char *replica_set = workload_owner(pod, "ReplicaSet");
    if (replica_set == NULL) {
        return error_set(error, EA_NOT_FOUND, "the pod \"%s\" belongs to no ReplicaSet", pod_name);
    }
    const json_t *set = json_object_get(view->objects[WORKLOAD_REPLICA_SET], replica_set);
    *deployment = workload_owner(set, "Deployment");
    if (*deployment == NULL) {
        return error_set(error, EA_NOT_FOUND, "the pod \"%s\" belongs to no Deployment", pod_name);
    }
    return EA_OK;
}

enum err cache_find(const struct cache_view *view, const struct kube_pods_query *query, json_t **deployment,
                    json_t **pods, struct error *error)
{
    const char *name = query->deployment;
    struct buf text = BUF_EMPTY;
    const char *key;
    json_t *pod;
    enum err err = EA_OK;
    *deployment = NULL;
    *pods = NULL;
    if (query->pod_name != NULL && query->pod_name[0] != '\0') {
        err = owner_of(view, query->pod_name, &name, error);
    }
    if (err != EA_OK) {
        return err;
    }
    json_t *found = json_object_get(view->objects[WORKLOAD_DEPLOYMENT], name);
    if (found == NULL) {
        return not_found("deployments.apps", name, error);
    }
    const json_t *selector = json_object_get(json_object_get(found, "spec"), "selector");
    err = selector_text(selector, &text, error);
    buf_fini(&text);
    if (err != EA_OK) {
        return err;
    }
    *deployment = json_incref(found);
    *pods = json_array();
    json_object_foreach(view->objects[WORKLOAD_POD], key, pod)
    {
        if (selector_matches(selector, json_object_get(json_object_get(pod, "metadata"), "labels"))) {
            (void)json_array_append(*pods, pod);
        }
    }
    return EA_OK;
}
