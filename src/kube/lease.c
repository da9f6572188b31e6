#include "kube/lease.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kube/internal.h"

#define API  "coordination.k8s.io/v1"
#define PATH "/apis/" API "/namespaces/"

static const char *const meta_kept[] = {"labels", "annotations", "ownerReferences", "finalizers"};

/* --- memory --- */

void kube_lease_fini(struct kube_lease *lease)
{
    json_decref(lease->meta);
    *lease = (struct kube_lease){.meta = NULL};
}

void kube_lease_copy(struct kube_lease *to, const struct kube_lease *from)
{
    json_t *old = to->meta;
    json_t *meta = from->meta != NULL ? json_deep_copy(from->meta) : NULL;
    *to = *from;
    to->meta = meta;
    json_decref(old);
}

/* --- metadata --- */

/* metadata[key], made if need be. */
static json_t *meta_part(struct kube_lease *lease, const char *key, json_t *(*make)(void))
{
    if (lease->meta == NULL) {
        lease->meta = json_object();
    }
    json_t *part = json_object_get(lease->meta, key);
    if (part == NULL) {
        part = make();
        (void)json_object_set_new(lease->meta, key, part);
    }
    return part;
}

struct str kube_lease_annotation(const struct kube_lease *lease, const char *key)
{
    const json_t *value = json_object_get(json_object_get(lease->meta, "annotations"), key);
    return str_from(json_string_value(value), json_string_length(value));
}

void kube_lease_annotate(struct kube_lease *lease, const char *key, struct str value)
{
    (void)json_object_set_new(meta_part(lease, "annotations", json_object), key,
                              json_stringn(value.p, value.n));
}

void kube_lease_label(struct kube_lease *lease, const char *key, const char *value)
{
    (void)json_object_set_new(meta_part(lease, "labels", json_object), key, json_string(value));
}

void kube_lease_own(struct kube_lease *lease, const char *pod_name, const char *pod_uid)
{
    (void)json_array_append_new(meta_part(lease, "ownerReferences", json_array),
                                json_pack("{s:s, s:s, s:s, s:s}", "apiVersion", "v1", "kind", "Pod", "name",
                                          pod_name, "uid", pod_uid));
}

struct str kube_lease_owner(const struct kube_lease *lease)
{
    const json_t *owner = json_array_get(json_object_get(lease->meta, "ownerReferences"), 0);
    return str_of(json_string_value(json_object_get(owner, "uid")));
}

/* --- from JSON --- */

/* A text of the object; one that is not there is empty. */
static bool get_text(const json_t *object, const char *key, char *out, size_t cap)
{
    const json_t *value = json_object_get(object, key);
    out[0] = '\0';
    if (value == NULL || json_is_null(value)) {
        return true;
    }
    size_t n = json_string_length(value);
    if (!json_is_string(value) || n >= cap) {
        return false;
    }
    memcpy(out, json_string_value(value), n + 1);
    return true;
}

static bool get_count(const json_t *object, const char *key, int64_t *out)
{
    const json_t *value = json_object_get(object, key);
    *out = json_integer_value(value);
    return value == NULL || json_is_null(value) || (json_is_integer(value) && *out >= 0 && *out <= INT32_MAX);
}

static bool get_time(const json_t *object, const char *key, struct wall *out)
{
    const json_t *value = json_object_get(object, key);
    out->us = 0;
    return value == NULL || json_is_null(value) ||
           (json_is_string(value) && kube_time_parse(str_of(json_string_value(value)), out));
}

static enum err wrong(const char *field, struct error *error)
{
    return error_set(error, EA_PROTOCOL, "a Lease's %s is not what it should be", field);
}

static enum err decode_meta(struct kube_lease *out, const json_t *meta, struct error *error)
{
    if (!get_text(meta, "namespace", out->ns, sizeof out->ns)) {
        return wrong("namespace", error);
    }
    if (!get_text(meta, "name", out->name, sizeof out->name) || out->name[0] == '\0') {
        return wrong("name", error);
    }
    if (!get_text(meta, "uid", out->uid, sizeof out->uid)) {
        return wrong("uid", error);
    }
    if (!get_text(meta, "resourceVersion", out->version, sizeof out->version)) {
        return wrong("resourceVersion", error);
    }
    out->deleting = json_is_string(json_object_get(meta, "deletionTimestamp"));
    for (size_t i = 0; i < ARRAY_LENGTH(meta_kept); i++) {
        json_t *part = json_object_get(meta, meta_kept[i]);
        bool list = i >= 2;
        if (part == NULL || json_is_null(part)) {
            continue;
        }
        if (list ? !json_is_array(part) : !json_is_object(part)) {
            return wrong(meta_kept[i], error);
        }
        if (out->meta == NULL) {
            out->meta = json_object();
        }
        (void)json_object_set_new(out->meta, meta_kept[i], json_deep_copy(part));
    }
    return EA_OK;
}

static enum err decode_spec(struct kube_lease *out, const json_t *spec, struct error *error)
{
    int64_t duration;
    if (!get_text(spec, "holderIdentity", out->holder, sizeof out->holder)) {
        return wrong("holderIdentity", error);
    }
    if (!get_count(spec, "leaseDurationSeconds", &duration)) {
        return wrong("leaseDurationSeconds", error);
    }
    if (!get_count(spec, "leaseTransitions", &out->transitions)) {
        return wrong("leaseTransitions", error);
    }
    if (!get_time(spec, "acquireTime", &out->acquired)) {
        return wrong("acquireTime", error);
    }
    if (!get_time(spec, "renewTime", &out->renewed)) {
        return wrong("renewTime", error);
    }
    out->duration_s = (int32_t)duration;
    return EA_OK;
}

enum err kube_lease_decode(struct kube_lease *out, const json_t *object, struct error *error)
{
    const json_t *meta = json_object_get(object, "metadata");
    const json_t *spec = json_object_get(object, "spec");
    *out = (struct kube_lease){.meta = NULL};
    if (!json_is_object(meta) || (spec != NULL && !json_is_object(spec) && !json_is_null(spec))) {
        return error_set(error, EA_PROTOCOL, "that is no Lease");
    }
    enum err err = decode_meta(out, meta, error);
    if (err == EA_OK) {
        err = decode_spec(out, spec, error);
    }
    if (err != EA_OK) {
        kube_lease_fini(out);
    }
    return err;
}

/* --- to JSON --- */

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0] != '\0') {
        (void)json_object_set_new(object, key, json_string(text));
    }
}

static void set_time(json_t *object, const char *key, struct wall t)
{
    char text[KUBE_TIME_BYTES];
    if (t.us != 0) {
        kube_time_format(t, text);
        set_text(object, key, text);
    }
}

void kube_lease_encode(const struct kube_lease *lease, struct buf *out)
{
    json_t *meta = lease->meta != NULL ? json_deep_copy(lease->meta) : json_object();
    json_t *spec = json_object();
    set_text(meta, "name", lease->name);
    set_text(meta, "namespace", lease->ns);
    set_text(meta, "uid", lease->uid);
    set_text(meta, "resourceVersion", lease->version);
    set_text(spec, "holderIdentity", lease->holder);
    if (lease->duration_s > 0) {
        (void)json_object_set_new(spec, "leaseDurationSeconds", json_integer(lease->duration_s));
    }
    (void)json_object_set_new(spec, "leaseTransitions", json_integer(lease->transitions));
    set_time(spec, "acquireTime", lease->acquired);
    set_time(spec, "renewTime", lease->renewed);
    json_t *doc =
        json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", API, "kind", "Lease", "metadata", meta, "spec", spec);
    char *text = json_dumps(doc, JSON_COMPACT);
    assert(text != NULL); /* all of it is UTF-8: it came from JSON, or from checked names */
    buf_add_str(out, str_of(text));
    mem_free(text);
    json_decref(doc);
}

/* --- requests --- */

static void on_answer(struct kube_request *request)
{
    struct kube_lease_call *call = CONTAINER_OF(request, struct kube_lease_call, request);
    json_t *doc;
    call->err = request->err;
    call->status = request->status;
    call->maybe_done = request->maybe_done;
    call->error = request->error;
    memcpy(call->reason, request->reason, sizeof call->reason);
    if (call->err == EA_OK && request->method != KUBE_DELETE) {
        call->err = kube_json_parse(request->answer, &doc, &call->error);
        if (call->err == EA_OK) {
            call->err = kube_lease_decode(&call->lease, doc, &call->error);
            json_decref(doc);
        }
        /* It was done, whatever we make of the answer. */
        call->maybe_done = call->maybe_done || (call->err != EA_OK && request->method != KUBE_GET);
    }
    struct kube_lease gone = call->lease;
    call->lease.meta = gone.meta;
    call->done(call);
    json_decref(gone.meta);
}

static void ask(struct kube *kube, struct kube_lease_call *call, enum kube_method method, const char *what,
                const char *ns, const char *name, struct str body)
{
    struct buf path = BUF_EMPTY;
    buf_add_str(&path, STR(PATH));
    kube_escape(&path, str_of(ns));
    buf_add_str(&path, STR("/leases"));
    if (name != NULL) {
        buf_add_str(&path, STR("/"));
        kube_escape(&path, str_of(name));
    }
    if (call->dry_run) {
        buf_add_str(&path, STR("?dryRun=All"));
    }
    call->kube = kube;
    call->lease = (struct kube_lease){.meta = NULL};
    call->request = (struct kube_request){
        .method = method,
        .what = what,
        .path = buf_str(&path),
        .body = body,
        .deadline = call->deadline,
        .once = call->once,
        .done = on_answer,
    };
    kube_send(kube, &call->request);
    buf_fini(&path);
}

void kube_lease_get(struct kube *kube, struct kube_lease_call *call, const char *ns, const char *name)
{
    ask(kube, call, KUBE_GET, "get leases", ns, name, str_from(NULL, 0));
}

void kube_lease_create(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease)
{
    struct buf body = BUF_EMPTY;
    kube_lease_encode(lease, &body);
    ask(kube, call, KUBE_POST, "create leases", lease->ns, NULL, buf_str(&body));
    buf_fini(&body);
}

void kube_lease_update(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease)
{
    struct buf body = BUF_EMPTY;
    assert(lease->version[0] != '\0');
    kube_lease_encode(lease, &body);
    ask(kube, call, KUBE_PUT, "update leases", lease->ns, lease->name, buf_str(&body));
    buf_fini(&body);
}

void kube_lease_delete(struct kube *kube, struct kube_lease_call *call, const struct kube_lease *lease)
{
    json_t *conditions = json_object();
    set_text(conditions, "uid", lease->uid);
    set_text(conditions, "resourceVersion", lease->version);
    json_t *doc = json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "DeleteOptions", "preconditions",
                            conditions);
    char *text = json_dumps(doc, JSON_COMPACT);
    ask(kube, call, KUBE_DELETE, "delete leases", lease->ns, lease->name, str_of(text));
    mem_free(text);
    json_decref(doc);
}

void kube_lease_cancel(struct kube_lease_call *call)
{
    kube_cancel(call->kube, &call->request);
}

/* --- watching --- */

struct kube_lease_watch {
    struct kube_watch *watch;
    struct kube_lease_watch_options options;
    struct loop_task end;
};

static void on_event(void *user, enum kube_event event, json_t *object)
{
    struct kube_lease_watch *w = user;
    struct kube_lease lease;
    struct error error = ERROR_NONE;
    if (object == NULL) {
        w->options.on_event(w->options.user, event, NULL);
    } else if (kube_lease_decode(&lease, object, &error) == EA_OK) {
        w->options.on_event(w->options.user, event, &lease);
        kube_lease_fini(&lease);
    } /* what is no Lease (a holder longer than any of ours) is not ours to judge */
}

struct kube_lease_watch *kube_lease_watch_start(struct kube *kube,
                                                const struct kube_lease_watch_options *options)
{
    struct kube_lease_watch *w = mem_zalloc(sizeof *w);
    struct buf path = BUF_EMPTY;
    struct buf field = BUF_EMPTY;
    w->options = *options;
    buf_add_str(&path, STR(PATH));
    kube_escape(&path, str_of(options->ns));
    buf_add_str(&path, STR("/leases"));
    buf_add(&path, "", 1);
    if (options->name != NULL) {
        buf_format(&field, "metadata.name=%s", options->name);
    }
    buf_add(&field, "", 1);
    w->watch = kube_watch_start(kube, &(struct kube_watch_options){
                                          .what = "watch leases",
                                          .path = path.p,
                                          .selector = options->selector,
                                          .field = field.p,
                                          .on_event = on_event,
                                          .user = w,
                                      });
    buf_fini(&path);
    buf_fini(&field);
    return w;
}

static void run_end(struct loop *loop, struct loop_task *task)
{
    mem_free(CONTAINER_OF(task, struct kube_lease_watch, end));
}

void kube_lease_watch_stop(struct kube_lease_watch *w)
{
    struct loop *loop = kube_watch_loop(w->watch);
    kube_watch_stop(w->watch);
    w->end.run = run_end;
    loop_at_end(loop, LOOP_STAGE_FREE, &w->end);
}

bool kube_lease_watch_is_live(const struct kube_lease_watch *w)
{
    return kube_watch_is_live(w->watch);
}

const struct error *kube_lease_watch_error(const struct kube_lease_watch *w)
{
    return kube_watch_error(w->watch);
}

/* --- the pod --- */

static void on_pod(struct kube_request *request)
{
    struct kube_pod_call *call = CONTAINER_OF(request, struct kube_pod_call, request);
    json_t *doc = NULL;
    call->err = request->err;
    call->status = request->status;
    call->error = request->error;
    if (call->err == EA_OK) {
        call->err = kube_json_parse(request->answer, &doc, &call->error);
    }
    if (call->err == EA_OK) {
        const json_t *meta = json_object_get(doc, "metadata");
        if (!get_text(meta, "uid", call->uid, sizeof call->uid) || call->uid[0] == '\0') {
            call->err = error_set(&call->error, EA_PROTOCOL, "%s: the pod has no uid", request->what);
        }
        call->terminating = json_is_string(json_object_get(meta, "deletionTimestamp"));
    }
    json_decref(doc);
    call->done(call);
}

void kube_pod_get(struct kube *kube, struct kube_pod_call *call, const char *ns, const char *name)
{
    struct buf path = BUF_EMPTY;
    buf_add_str(&path, STR("/api/v1/namespaces/"));
    kube_escape(&path, str_of(ns));
    buf_add_str(&path, STR("/pods/"));
    kube_escape(&path, str_of(name));
    call->kube = kube;
    call->uid[0] = '\0';
    call->terminating = false;
    call->request = (struct kube_request){
        .method = KUBE_GET,
        .what = "get pods",
        .path = buf_str(&path),
        .deadline = call->deadline,
        .done = on_pod,
    };
    kube_send(kube, &call->request);
    buf_fini(&path);
}

void kube_pod_cancel(struct kube_pod_call *call)
{
    kube_cancel(call->kube, &call->request);
}
