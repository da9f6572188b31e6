/* The store's operations, and the way of requests between lanes: see internal.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/kubernetes/internal.h"

#define CLOSE_PAUSE_NS 200000

extern const struct store_ops store_kubernetes_ops;

static struct kubernetes *kubernetes_of(struct store *store)
{
    return CONTAINER_OF(store, struct kubernetes, store);
}

/* --- the way of a request --- */

static void deliver_answer(struct loop *loop, struct loop_message *message)
{
    struct job *job = CONTAINER_OF(message, struct job, message);
    struct election_request *request = job->request;
    struct kubernetes *store = job->store;
    mem_free(job);
    request->done(request);
    atomic_fetch_sub_explicit(&store->open, 1,
                              memory_order_release); /* the last that is touched of the store */
}

void job_answer(struct job *job)
{
    struct election_request *request = job->request;
    assert(job->link == NULL);
    request->decided = loop_now(job->store->loop);
    /* They point into what goes on changing, and the answer may have a way to go. */
    request->tenure.leader =
        request->tenure.leader.n > 0 ? arena_str(request->arena, request->tenure.leader) : str_from(NULL, 0);
    request->why = request->why.n > 0 ? arena_str(request->arena, request->why) : str_from(NULL, 0);
    job->message.deliver = deliver_answer;
    if (request->lane == 0) {
        deliver_answer(job->store->loop, &job->message);
    } else {
        loop_post(job->store->lanes[request->lane], &job->message);
    }
}

void job_refuse(struct job *job, enum err err, struct str why)
{
    struct election_request *request = job->request;
    request->err = err;
    request->why = why;
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = 0};
    job_answer(job);
}

static void take(struct job *job)
{
    struct kubernetes *store = job->store;
    struct election_request *request = job->request;
    struct store_status status;
    if (store->closing) {
        job_refuse(job, EA_UNAVAILABLE, STR("the agent ends"));
    } else if (!store->synced) {
        store_status(&store->store, &status);
        job_refuse(job, EA_UNAVAILABLE, str_of(status.why));
    } else if (request->op == OP_LIST) {
        mirror_list(store, job);
    } else {
        entry_take(mirror_entry(store, request->kind, request->election), job);
    }
}

static void deliver_question(struct loop *loop, struct loop_message *message)
{
    take(CONTAINER_OF(message, struct job, message));
}

static void submit(struct store *store, unsigned lane, struct election_request *request)
{
    struct kubernetes *self = kubernetes_of(store);
    election_request_assert_checked(request, self->n_lanes, self->options.max_term_ms);
    assert(request->arena != NULL);
    struct job *job = mem_zalloc(sizeof *job);
    job->store = self;
    job->request = request;
    atomic_fetch_add_explicit(&self->open, 1, memory_order_relaxed);
    if (lane == 0) {
        take(job);
    } else {
        job->message.deliver = deliver_question;
        loop_post(self->loop, &job->message);
    }
}

/* --- the other operations --- */

static void status(struct store *store, struct store_status *out)
{
    struct kubernetes *self = kubernetes_of(store);
    uv_mutex_lock(&self->lock);
    *out = self->status;
    uv_mutex_unlock(&self->lock);
}

static void count(struct store *store, void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    mirror_count(kubernetes_of(store), row, arg);
}

/* --- life --- */

static char *text_of(const char *text)
{
    return mem_dup(text, strlen(text) + 1);
}

static void free_store(struct kubernetes *self)
{
    uv_mutex_destroy(&self->lock);
    mem_free(self->ns);
    mem_free(self->lanes);
    mem_free(self);
}

static enum err open_kube(struct kubernetes *self, const struct kubernetes_options *options,
                          struct error *error)
{
    enum err err = kube_open(&self->kube,
                             &(struct kube_options){
                                 .loop = self->loop,
                                 .in_cluster = options->in_cluster,
                                 .no_kubeconfig = options->in_cluster,
                                 .kubeconfig = options->kubeconfig,
                             },
                             error);
    if (err != EA_OK) {
        error->code = err == EA_NOT_ENABLED ? EA_CONFIG : err; /* without a cluster there is no such store */
        return error_wrap(error, "driver kubernetes");
    }
    const char *ns = options->lease_namespace != NULL ? options->lease_namespace : kube_namespace(self->kube);
    if (strlen(ns) > KUBE_NAMESPACE_BYTES_MAX) {
        kube_close(self->kube);
        return error_set(error, EA_CONFIG,
                         "driver kubernetes: the namespace has %zu bytes, at most %d are allowed", strlen(ns),
                         KUBE_NAMESPACE_BYTES_MAX);
    }
    self->ns = text_of(ns);
    return EA_OK;
}

static enum err open_store(struct store **out, const struct store_options *options, struct error *error)
{
    assert(options->n_lanes > 0 && options->lanes != NULL && options->kubernetes != NULL);
    struct kubernetes *self = mem_zalloc(sizeof *self);
    self->store.ops = &store_kubernetes_ops;
    self->options = *options;
    self->n_lanes = options->n_lanes;
    self->lanes = mem_dup(options->lanes, options->n_lanes * sizeof(struct loop *));
    self->loop = self->lanes[0];
    self->seed = options->seed != 0 ? options->seed : rng_next(loop_rng(self->loop));
    self->status =
        (struct store_status){.state = STORE_STARTING, .why = "the Leases have not been listed yet"};
    int failed = uv_mutex_init(&self->lock);
    if (failed != 0) {
        mem_free(self->lanes);
        mem_free(self);
        return error_set(error, EA_IO, "cannot make a mutex: %s", uv_strerror(failed));
    }
    enum err err = open_kube(self, options->kubernetes, error);
    if (err != EA_OK) {
        free_store(self);
        return err;
    }
    self->options.kubernetes = NULL; /* the caller's */
    self->options.lanes = NULL;
    mirror_open(self);
    check_open(self);
    log_info("kubernetes", "opened", LOG_TEXT("server", kube_server(self->kube)),
             LOG_TEXT("namespace", self->ns));
    *out = &self->store;
    return EA_OK;
}

static void close_store(struct store *store)
{
    struct kubernetes *self = kubernetes_of(store);
    self->closing = true;
    check_close(self);
    mirror_close(self);
    while (atomic_load_explicit(&self->open, memory_order_acquire) > 0) { /* on their way between lanes */
        bool any = false;
        for (unsigned i = 0; i < self->n_lanes; i++) {
            any = loop_step(self->lanes[i]) || any;
        }
        if (!any) {
            (void)nanosleep(&(struct timespec){.tv_nsec = CLOSE_PAUSE_NS}, NULL);
        }
    }
    kube_close(self->kube);
    free_store(self);
}

const struct store_ops store_kubernetes_ops = {
    .name = "kubernetes",
    .open = open_store,
    .submit = submit,
    .status = status,
    .count = count,
    .close = close_store,
};
