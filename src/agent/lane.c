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

enum err lane_open(struct agent *agent, struct lane *lane, unsigned index, struct error *error)
{
    lane->agent = agent;
    lane->index = index;
    enum err err = loop_new(&lane->loop, &(struct loop_options){.index = index}, error);
    if (err == EA_OK) {
        lane->late.late = late;
        loop_on_late(lane->loop, &lane->late);
    }
    return err;
}

/* --- listening
 * --------------------------------------------------------------------------------------------------- */

static bool admit(void *user)
{
    struct lane *lane = user;
    uint64_t by[2][2];
    return agent_connections(lane->agent, by) <
           atomic_load_explicit(&lane->agent->connections_max, memory_order_relaxed);
}

static void accept_client(struct stream *stream, void *user)
{
    struct lane *lane = user;
    http_server_accept(lane->server, stream);
}

static void accept_admin(struct stream *stream, void *user)
{
    struct lane *lane = user;
    http_server_accept(lane->admin, stream);
}

static enum err listen_on(struct lane *lane, int *port, bool is_admin, struct error *error)
{
    assert(lane->n_listeners < LANE_LISTENERS_MAX);
    struct listener **listener = &lane->listeners[lane->n_listeners];
    struct listener_options options = {
        .address = str_of(lane->agent->config->bind),
        .port = (uint16_t)*port,
        /* The first loop proves that the address is free; the others join it there. */
        .sibling = lane->index > 0 ? lane->agent->lanes[0].listeners[lane->n_listeners] : NULL,
        /* Whoever looks after the agent gets through when clients have used up its connections. */
        .admit = is_admin ? NULL : admit,
        .on_accept = is_admin ? accept_admin : accept_client,
        .user = lane,
    };
    enum err err = listener_open(listener, lane->loop, &options, error);
    if (err == EA_OK) {
        lane->n_listeners++;
        *port = listener_port(*listener);
    }
    return err;
}

static struct http_server *make_server(struct lane *lane, const struct http_handler *handler)
{
    return http_server_new(&(struct http_server_options){
        .loop = lane->loop,
        .limits = agent_limits(lane->agent->config),
        .handler = handler,
        .user = api_lane(lane->agent->api, lane->index),
    });
}

enum err lane_listen(struct lane *lane, int *grpc_port, int *http_port, int *admin_port, struct error *error)
{
    const struct config *config = lane->agent->config;
    enum err err = EA_OK;
    lane->server = make_server(lane, &api_handler);
    /* A unix socket is one address: what would be two ports is one listener. */
    bool is_unix = strncmp(config->bind, "unix:", 5) == 0;
    bool same = is_unix || (*grpc_port == *http_port && *grpc_port != 0);
    if (config->grpc_enable) {
        err = listen_on(lane, grpc_port, false, error);
    }
    if (err == EA_OK && config->http_enable && !(config->grpc_enable && same)) {
        err = listen_on(lane, http_port, false, error);
    }
    if (err == EA_OK && *admin_port != CONFIG_NO_PORT && !is_unix) {
        lane->admin = make_server(lane, &api_admin_handler);
        err = listen_on(lane, admin_port, true, error);
    }
    return err;
}

/* --- running
 * ------------------------------------------------------------------------------------------------------- */

static void run(void *arg)
{
    struct lane *lane = arg;
    loop_run(lane->loop);
}

void lane_start(struct lane *lane)
{
    if (uv_thread_create(&lane->thread, run, lane) != 0) {
        log_error("agent", "cannot start a thread; this loop's connections would never be served");
        abort();
    }
    lane->threaded = true;
}

void lane_stop(struct lane *lane)
{
    loop_stop(lane->loop);
}

void lane_join(struct lane *lane)
{
    if (lane->threaded) {
        uv_thread_join(&lane->thread);
        lane->threaded = false;
    }
}

static void server_drained(void *user)
{
    struct lane *lane = user;
    assert(lane->undrained > 0);
    if (--lane->undrained == 0) {
        agent_lane_drained(lane->agent);
    }
}

static void drain(struct loop *loop, struct loop_message *message)
{
    struct lane *lane = CONTAINER_OF(message, struct lane, drain_message);
    struct mono deadline = lane->agent->drain_deadline;
    for (size_t i = 0; i < lane->n_listeners; i++) {
        listener_close(lane->listeners[i]);
    }
    lane->n_listeners = 0;
    lane->undrained = lane->admin != NULL ? 2 : 1;
    http_server_drain(lane->server, deadline, server_drained, lane);
    if (lane->admin != NULL) {
        http_server_drain(lane->admin, deadline, server_drained, lane);
    }
}

void lane_drain(struct lane *lane)
{
    lane->drain_message.deliver = drain;
    loop_post(lane->loop, &lane->drain_message);
}

/* A message of its own each time: the last one may still be under way. */
struct limits_message {
    struct loop_message message;
    struct lane *lane;
    struct http_limits limits;
};

static void take_limits(struct loop *loop, struct loop_message *message)
{
    struct limits_message *self = CONTAINER_OF(message, struct limits_message, message);
    http_server_set_limits(self->lane->server, &self->limits);
    mem_free(self);
}

void lane_take_limits(struct lane *lane, const struct http_limits *limits)
{
    struct limits_message *self = mem_zalloc(sizeof *self);
    self->message.deliver = take_limits;
    self->lane = lane;
    self->limits = *limits;
    loop_post(lane->loop, &self->message);
}

void lane_close_servers(struct lane *lane)
{
    for (size_t i = 0; i < lane->n_listeners; i++) {
        listener_close(lane->listeners[i]);
    }
    lane->n_listeners = 0;
    if (lane->server != NULL) {
        http_server_free(lane->server);
    }
    if (lane->admin != NULL) {
        http_server_free(lane->admin);
    }
}

void lane_close_loop(struct lane *lane)
{
    if (lane->loop != NULL) {
        loop_free(lane->loop);
    }
}
