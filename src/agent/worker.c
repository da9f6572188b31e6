#include "agent/parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/flight.h"
#include "base/log.h"
#include "base/mem.h"

static void late(struct loop *loop, struct loop_late *self, int64_t late_us)
{
    log_warning("loop", "late turn: the process was paused; leases ran on meanwhile",
                LOG_UINT("loop", loop_index(loop)), LOG_INT("late_ms", late_us / 1000));
    flight_note(loop_now(loop), "late turn", loop_index(loop), (uint64_t)late_us);
}

enum err worker_open(struct agent *agent, struct worker *worker, unsigned index, struct error *error)
{
    worker->agent = agent;
    worker->index = index;
    enum err err = loop_new(&worker->loop, &(struct loop_options){.index = index}, error);
    if (err == EA_OK) {
        worker->late.late = late;
        loop_on_late(worker->loop, &worker->late);
    }
    return err;
}

/* --- listening --- */

static bool admit(void *user)
{
    struct worker *worker = user;
    uint64_t by[2][2];
    return agent_connections(worker->agent, by) <
           atomic_load_explicit(&worker->agent->connections_max, memory_order_relaxed);
}

static void accept_client(struct stream *stream, void *user)
{
    struct worker *worker = user;
    http_server_accept(worker->server, stream);
}

static void accept_admin(struct stream *stream, void *user)
{
    struct worker *worker = user;
    http_server_accept(worker->admin, stream);
}

static enum err listen_on(struct worker *worker, int *port, bool is_admin, struct error *error)
{
    assert(worker->n_listeners < WORKER_LISTENERS_MAX);
    struct listener **listener = &worker->listeners[worker->n_listeners];
    struct listener_options options = {
        .address = str_of(worker->agent->config->bind),
        .port = (uint16_t)*port,
        /* The first loop proves that the address is free; the others join it there. */
        .sibling = worker->index > 0 ? worker->agent->workers[0].listeners[worker->n_listeners] : NULL,
        /* Whoever looks after the agent gets through when clients have used up its connections. */
        .admit = is_admin ? NULL : admit,
        .on_accept = is_admin ? accept_admin : accept_client,
        .user = worker,
    };
    enum err err = listener_open(listener, worker->loop, &options, error);
    if (err == EA_OK) {
        worker->n_listeners++;
        *port = listener_port(*listener);
    }
    return err;
}

static struct http_server *make_server(struct worker *worker, const struct http_handler *handler)
{
    return http_server_new(&(struct http_server_options){
        .loop = worker->loop,
        .limits = agent_limits(worker->agent->config),
        .handler = handler,
        .user = api_lane(worker->agent->api, worker->index),
    });
}

enum err worker_listen(struct worker *worker, int *grpc_port, int *http_port, int *admin_port,
                       struct error *error)
{
    const struct config *config = worker->agent->config;
    enum err err = EA_OK;
    worker->server = make_server(worker, &api_handler);
    /* A unix socket is one address: what would be two ports is one listener. */
    bool is_unix = strncmp(config->bind, "unix:", 5) == 0;
    bool same = is_unix || (*grpc_port == *http_port && *grpc_port != 0);
    if (config->grpc_enable) {
        err = listen_on(worker, grpc_port, false, error);
    }
    if (err == EA_OK && config->http_enable && !(config->grpc_enable && same)) {
        err = listen_on(worker, http_port, false, error);
    }
    if (err == EA_OK && *admin_port != CONFIG_NO_PORT && !is_unix) {
        worker->admin = make_server(worker, &api_admin_handler);
        err = listen_on(worker, admin_port, true, error);
    }
    return err;
}

/* --- running --- */

static void run(void *arg)
{
    struct worker *worker = arg;
    loop_run(worker->loop);
}

void worker_start(struct worker *worker)
{
    if (uv_thread_create(&worker->thread, run, worker) != 0) {
        log_error("agent", "cannot start a thread; this loop's connections would never be served");
        abort();
    }
    worker->threaded = true;
}

void worker_stop(struct worker *worker)
{
    loop_stop(worker->loop);
}

void worker_join(struct worker *worker)
{
    if (worker->threaded) {
        uv_thread_join(&worker->thread);
        worker->threaded = false;
    }
}

static void server_drained(void *user)
{
    struct worker *worker = user;
    assert(worker->undrained > 0);
    if (--worker->undrained == 0) {
        agent_worker_drained(worker->agent);
    }
}

static void drain(struct loop *loop, struct loop_message *message)
{
    struct worker *worker = CONTAINER_OF(message, struct worker, drain_message);
    struct mono deadline = worker->agent->drain_deadline;
    for (size_t i = 0; i < worker->n_listeners; i++) {
        listener_close(worker->listeners[i]);
    }
    worker->n_listeners = 0;
    worker->undrained = worker->admin != NULL ? 2 : 1;
    http_server_drain(worker->server, deadline, server_drained, worker);
    if (worker->admin != NULL) {
        http_server_drain(worker->admin, deadline, server_drained, worker);
    }
}

void worker_drain(struct worker *worker)
{
    worker->drain_message.deliver = drain;
    loop_post(worker->loop, &worker->drain_message);
}

/* A message of its own each time: the last one may still be under way. */
struct limits_message {
    struct loop_message message;
    struct worker *worker;
    struct http_limits limits;
};

static void take_limits(struct loop *loop, struct loop_message *message)
{
    struct limits_message *self = CONTAINER_OF(message, struct limits_message, message);
    http_server_set_limits(self->worker->server, &self->limits);
    mem_free(self);
}

void worker_take_limits(struct worker *worker, const struct http_limits *limits)
{
    struct limits_message *self = mem_zalloc(sizeof *self);
    self->message.deliver = take_limits;
    self->worker = worker;
    self->limits = *limits;
    loop_post(worker->loop, &self->message);
}

void worker_close_servers(struct worker *worker)
{
    for (size_t i = 0; i < worker->n_listeners; i++) {
        listener_close(worker->listeners[i]);
    }
    worker->n_listeners = 0;
    if (worker->server != NULL) {
        http_server_free(worker->server);
    }
    if (worker->admin != NULL) {
        http_server_free(worker->admin);
    }
}

void worker_close_loop(struct worker *worker)
{
    if (worker->loop != NULL) {
        loop_free(worker->loop);
    }
}
