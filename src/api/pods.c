/*
 * GetPods (spec: kubernetes.md). The client of the API server lives on the first lane's loop; questions of other lanes
 * travel there and back as messages.
 *
 *   lane of the call: pods_get() ──message──► first lane: kube_pods_find()
 *                     call_answer() ◄──message── on_found(): the response, in the question's own arena
 */
#include <assert.h>
#include <string.h>

#include "api/pb.h"
#include "api/pods.h"
#include "api/services.h"
#include "base/mem.h"
#include "kube/pods.h"

#define POSTED_ROUNDS_MAX 1000 /* each delivers what was under way; two suffice */

struct pods_call {
    struct loop_message message;
    bool posted; /* the message is under way */
    struct call *call;
    struct api_lane *lane;
    struct pods_call *next; /* of the lane */
    struct pods_call **link;
    struct kube_pods_query query;
    struct arena arena;
    PB(Pods) response;
    struct error error;
    enum err err;
};

/* --- what clients may send --- */

/* As in DNS: what namespaces (labels) and objects (with dots) are named by. */
static enum err check_name(const char *field, const char *text, size_t most, bool dots, struct error *error)
{
    struct str name = str_of(text);
    bool edge = true; /* nothing, or a dot, is behind */
    bool good = name.n > 0 && name.n <= most;
    for (size_t i = 0; i < name.n && good; i++) {
        char c = name.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        good = alnum || (!edge && (c == '-' || (dots && c == '.' && name.p[i - 1] != '-')));
        edge = !alnum && c != '-';
    }
    if (good && !edge && name.p[name.n - 1] != '-') {
        return EA_OK;
    }
    return error_set(error, EA_INVALID, "%s: must be 1 to %zu characters of a-z 0-9 -%s, as in a DNS name",
                     field, most, dots ? " ." : "");
}

static enum err check(const PB(GetPodsRequest) * request, struct error *error)
{
    enum err err = check_name("namespace", request->namespace_, 63, false, error);
    if (err != EA_OK) {
        return err;
    }
    return request->pod_name[0] != '\0' ? check_name("pod_name", request->pod_name, 253, true, error)
                                        : check_name("deployment", request->deployment, 253, true, error);
}

/* --- the answer --- */

static char *copy(struct pods_call *pods, struct str text)
{
    return (char *)arena_str(&pods->arena, text).p;
}

struct pod_parts {
    PB(Pod) pod;
    PB(PodStatus) status;
    PB(ReplicaSet) replica_set;
};

static void fill(struct pods_call *pods, struct pod_parts *parts, const struct kube_pod *from,
                 char *deployment)
{
    parts->pod = (PB(Pod))GRPC__ELECTION_AGENT__V1__POD__INIT;
    parts->status = (PB(PodStatus))GRPC__ELECTION_AGENT__V1__POD_STATUS__INIT;
    parts->replica_set = (PB(ReplicaSet))GRPC__ELECTION_AGENT__V1__REPLICA_SET__INIT;
    parts->pod.name = copy(pods, from->name);
    parts->pod.deployment = deployment;
    parts->pod.ip = copy(pods, from->ip);
    parts->pod.status = &parts->status;
    parts->pod.replicaset = &parts->replica_set;
    parts->status.phase = copy(pods, from->phase);
    parts->status.reason = copy(pods, from->reason);
    parts->status.terminating = from->terminating;
    parts->status.podscheduled = from->scheduled;
    parts->status.podinitialized = from->initialized;
    parts->status.podready = from->ready;
    parts->status.containersready = from->containers_ready;
    parts->replica_set.name = copy(pods, from->replica_set);
    parts->replica_set.revision = from->revision;
    parts->replica_set.availablereplicas = from->available_replicas;
    parts->replica_set.fullylabeledreplicas = from->fully_labeled_replicas;
    parts->replica_set.readyreplicas = from->ready_replicas;
    parts->replica_set.replicas = from->replicas;
    parts->replica_set.desiredreplicas = from->desired_replicas;
    parts->replica_set.maxreplicas = from->max_replicas;
}

static void respond(struct pods_call *pods)
{
    const struct kube_pods_query *query = &pods->query;
    struct pod_parts *parts = arena_alloc(&pods->arena, (query->n_pods + 1) * sizeof *parts);
    char *deployment = copy(pods, query->deployment_found);
    pods->response = (PB(Pods))GRPC__ELECTION_AGENT__V1__PODS__INIT;
    pods->response.items = arena_alloc(&pods->arena, (query->n_pods + 1) * sizeof(PB(Pod) *));
    pods->response.n_items = query->n_pods;
    for (size_t i = 0; i < query->n_pods; i++) {
        fill(pods, &parts[i], &query->pods[i], deployment);
        pods->response.items[i] = &parts[i].pod;
    }
}

/* What the client learns: that the agent itself is not let in by the API server is no question of the client's
 * credentials. */
static enum err outward(enum err err)
{
    switch (err) {
    case EA_OK:
    case EA_NOT_FOUND:
    case EA_DENIED:
    case EA_TOO_LARGE:
        return err;
    case EA_UNAUTHENTICATED:
        return EA_DENIED;
    case EA_TIMEOUT:
        return EA_DEADLINE;
    case EA_IO:
    case EA_EXHAUSTED:
    case EA_UNAVAILABLE:
        return EA_UNAVAILABLE;
    default:
        return EA_INTERNAL;
    }
}

/* --- the way there and back --- */

static void free_call(struct pods_call *pods)
{
    *pods->link = pods->next;
    if (pods->next != NULL) {
        pods->next->link = pods->link;
    }
    arena_reset(&pods->arena);
    mem_free(pods);
}

static void answer(struct pods_call *pods)
{
    if (pods->err == EA_OK) {
        call_answer(pods->call, &pods->response.base);
    } else {
        call_fail(pods->call, pods->err, str_of(pods->error.text));
    }
    free_call(pods);
}

static void on_answer(struct loop *loop, struct loop_message *message)
{
    struct pods_call *pods = CONTAINER_OF(message, struct pods_call, message);
    pods->posted = false;
    answer(pods);
}

static void post(struct pods_call *pods, struct loop *to,
                 void (*deliver)(struct loop *loop, struct loop_message *message))
{
    pods->message.deliver = deliver;
    pods->posted = true;
    loop_post(to, &pods->message);
}

static void on_found(struct kube_pods_query *query)
{
    struct pods_call *pods = CONTAINER_OF(query, struct pods_call, query);
    pods->err = outward(query->err);
    pods->error = query->error;
    if (pods->err == EA_OK) {
        respond(pods);
    }
    if (pods->lane->index == 0) {
        answer(pods);
    } else {
        post(pods, pods->lane->loop, on_answer);
    }
}

static void on_question(struct loop *loop, struct loop_message *message)
{
    struct pods_call *pods = CONTAINER_OF(message, struct pods_call, message);
    pods->posted = false;
    kube_pods_find(&pods->query);
}

void pods_get(struct call *call)
{
    struct api_lane *lane = call->lane;
    const struct api_options *options = &lane->api->options;
    const PB(GetPodsRequest) *request = (const PB(GetPodsRequest) *)call->request;
    struct error error = ERROR_NONE;
    if (options->kube == NULL) {
        call_fail(call, EA_NOT_ENABLED, STR("Kubernetes is not enabled in this agent"));
        return;
    }
    enum err err = check(request, &error);
    if (err != EA_OK) {
        call_fail(call, err, str_of(error.text));
        return;
    }
    struct pods_call *pods = mem_zalloc(sizeof *pods);
    arena_init(&pods->arena, NULL, 0);
    pods->call = call;
    pods->lane = lane;
    pods->next = lane->pods;
    pods->link = &lane->pods;
    if (pods->next != NULL) {
        pods->next->link = &pods->next;
    }
    lane->pods = pods;
    pods->query.kube = options->kube;
    pods->query.cache = options->kube_cache;
    pods->query.ns = request->namespace_; /* live as long as the call */
    pods->query.deployment = request->deployment;
    pods->query.pod_name = request->pod_name;
    pods->query.deadline = mono_min(call->deadline, mono_add_ms(call->arrived, API_KUBE_TIMEOUT_MS));
    pods->query.done = on_found;
    if (lane->index == 0) {
        kube_pods_find(&pods->query);
    } else {
        post(pods, options->loops[0], on_question);
    }
}

/* --- the end --- */

static bool any_posted(const struct api *api)
{
    for (unsigned i = 0; i < api->options.n_lanes; i++) {
        for (const struct pods_call *pods = api->lanes[i].pods; pods != NULL; pods = pods->next) {
            if (pods->posted) {
                return true;
            }
        }
    }
    return false;
}

void pods_end(struct api *api)
{
    /* A message belongs to its loop until it is delivered. */
    for (unsigned round = 0; round < POSTED_ROUNDS_MAX && any_posted(api); round++) {
        for (unsigned i = 0; i < api->options.n_lanes; i++) {
            (void)loop_step(api->options.loops[i]);
        }
    }
    for (unsigned i = 0; i < api->options.n_lanes; i++) {
        while (api->lanes[i].pods != NULL) {
            struct pods_call *pods = api->lanes[i].pods;
            assert(!pods->posted);
            kube_pods_cancel(&pods->query);
            call_fail(pods->call, EA_UNAVAILABLE, STR("the agent shuts down"));
            free_call(pods);
        }
    }
}
