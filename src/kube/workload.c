#include "kube/workload.h"

#include <string.h>

#define ANNOTATION "deployment.kubernetes.io/"

static const json_t *at(const json_t *object, const char *part, const char *key)
{
    return json_object_get(json_object_get(object, part), key);
}

static struct str text(const json_t *value)
{
    return str_from(json_string_value(value), json_string_length(value));
}

const char *workload_name(const json_t *object)
{
    return json_string_value(at(object, "metadata", "name"));
}

const char *workload_owner(const json_t *object, const char *kind)
{
    const json_t *owners = at(object, "metadata", "ownerReferences");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        const char *is = json_string_value(json_object_get(owner, "kind"));
        if (is != NULL && strcmp(is, kind) == 0) {
            return json_string_value(json_object_get(owner, "name"));
        }
    }
    return NULL;
}

/* --- trimming --- */

static const struct {
    enum workload what;
    const char *part;
    const char *keys[8];
} kept[] = {
    {WORKLOAD_POD, "metadata", {"name", "labels", "ownerReferences", "deletionTimestamp"}},
    {WORKLOAD_POD, "status", {"phase", "reason", "podIP", "conditions"}},
    {WORKLOAD_REPLICA_SET, "metadata", {"name", "annotations", "ownerReferences"}},
    {WORKLOAD_REPLICA_SET,
     "status",
     {"replicas", "availableReplicas", "fullyLabeledReplicas", "readyReplicas"}},
    {WORKLOAD_DEPLOYMENT, "metadata", {"name"}},
    {WORKLOAD_DEPLOYMENT, "spec", {"selector"}},
};

/* Annotations may be large (the last applied configuration), and only these count. */
static json_t *trim_annotations(const json_t *annotations)
{
    json_t *out = json_object();
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)annotations, key, value)
    {
        if (strncmp(key, ANNOTATION, strlen(ANNOTATION)) == 0) {
            (void)json_object_set(out, key, value);
        }
    }
    return out;
}

json_t *workload_trim(enum workload what, const json_t *object)
{
    if (workload_name(object) == NULL) {
        return NULL;
    }
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (kept[i].what != what) {
            continue;
        }
        json_t *part = json_object();
        for (size_t k = 0; kept[i].keys[k] != NULL; k++) {
            const char *key = kept[i].keys[k];
            json_t *value = (json_t *)at(object, kept[i].part, key);
            if (value != NULL && strcmp(key, "annotations") == 0) {
                (void)json_object_set_new(part, key, trim_annotations(value));
            } else if (value != NULL) {
                (void)json_object_set(part, key, value);
            }
        }
        (void)json_object_set_new(out, kept[i].part, part);
    }
    return out;
}

/* --- reading --- */

static bool condition(const json_t *pod, const char *type)
{
    const json_t *conditions = at(pod, "status", "conditions");
    for (size_t i = 0; i < json_array_size(conditions); i++) {
        const json_t *one = json_array_get(conditions, i);
        if (str_eq(text(json_object_get(one, "type")), str_of(type))) {
            return str_eq(text(json_object_get(one, "status")), STR("True"));
        }
    }
    return false;
}

void workload_read_pod(const json_t *pod, struct kube_pod *out)
{
    *out = (struct kube_pod){
        .name = text(at(pod, "metadata", "name")),
        .ip = text(at(pod, "status", "podIP")),
        .phase = text(at(pod, "status", "phase")),
        .reason = text(at(pod, "status", "reason")),
        .scheduled = condition(pod, "PodScheduled"),
        .initialized = condition(pod, "Initialized"),
        .ready = condition(pod, "Ready"),
        .containers_ready = condition(pod, "ContainersReady"),
        .replica_set = str_of(workload_owner(pod, "ReplicaSet")),
    };
    /* The phase stays Running while a pod shuts down. One on a lost node gets the timestamp too, but nobody there
     * ends it. */
    out->terminating =
        json_is_string(at(pod, "metadata", "deletionTimestamp")) && !str_eq(out->reason, STR("NodeLost"));
}

static int32_t bounded(int64_t n)
{
    return n < 0 ? 0 : n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

static int32_t count(const json_t *replica_set, const char *key)
{
    return bounded(json_integer_value(at(replica_set, "status", key)));
}

static int32_t annotation(const json_t *replica_set, const char *key)
{
    int64_t value = 0;
    struct str s = text(json_object_get(at(replica_set, "metadata", "annotations"), key));
    return str_to_i64(s, &value) ? bounded(value) : 0;
}

void workload_read_replica_set(const json_t *replica_set, struct kube_pod *out)
{
    out->revision = annotation(replica_set, ANNOTATION "revision");
    out->desired_replicas = annotation(replica_set, ANNOTATION "desired-replicas");
    out->max_replicas = annotation(replica_set, ANNOTATION "max-replicas");
    out->available_replicas = count(replica_set, "availableReplicas");
    out->fully_labeled_replicas = count(replica_set, "fullyLabeledReplicas");
    out->ready_replicas = count(replica_set, "readyReplicas");
    out->replicas = count(replica_set, "replicas");
}
