/* What agent.c, lane.c and signals.c share. Internal to agent/. */
#ifndef EA_AGENT_PARTS_H
#define EA_AGENT_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>

#include <uv.h>

#include "agent/agent.h"
#include "api/api.h"
#include "http/server.h"
#include "metrics/metrics.h"
#include "net/listener.h"
#include "net/loop.h"
#include "store/store.h"

#define LANE_LISTENERS_MAX 3 /* gRPC, HTTP, admin */

/* One event loop and what it serves. Touched on its own thread once it runs. */
struct lane {
    struct agent *agent;
    unsigned index;
    struct loop *loop;
    uv_thread_t thread; /* not for lane 0, which is the main thread */
    bool threaded;
    struct http_server *server; /* clients */
    struct http_server *admin;  /* probes and metrics on a port of their own; NULL: none */
    struct listener *listeners[LANE_LISTENERS_MAX];
    size_t n_listeners;
    struct loop_late late;
    struct loop_message drain_message;
    unsigned undrained; /* servers that still have connections, while draining */
};

struct agent_signal {
    uv_signal_t handle;
    struct agent *agent;
};

#define AGENT_SIGNALS 4

struct agent {
    struct config *config;
    struct config *(*reload)(void *user, struct error *error);
    void *reload_user;
    struct metrics *metrics;
    struct store *store;
    struct api *api;
    struct lane *lanes;
    unsigned n_lanes;
    _Atomic uint32_t connections_max; /* limits.connections; changes on reload */
    struct agent_signal signals[AGENT_SIGNALS];
    unsigned open_signals;
    bool draining; /* loop 0 */
    struct mono drain_deadline;
    _Atomic unsigned undrained; /* lanes */
    struct loop_message drained_message;
};

struct http_limits agent_limits(const struct config *config);

/* Connections that all lanes have now. Any thread. */
uint64_t agent_connections(struct agent *agent, uint64_t by[2][2]);

/* --- lane.c --- */

enum err lane_open(struct agent *agent, struct lane *lane, unsigned index, struct error *error) EA_MUST_CHECK;
/* After the API is there: servers and listeners. *grpc_port and *http_port: 0 lets the kernel choose for the
 * first lane; the others get the same. */
enum err lane_listen(struct lane *lane, int *grpc_port, int *http_port, int *admin_port,
                     struct error *error) EA_MUST_CHECK;
void lane_start(struct lane *lane); /* its thread */
void lane_stop(struct lane *lane);  /* any thread */
void lane_join(struct lane *lane);
/* The lane's loop takes no connections any more and ends those it has; then calls agent_lane_drained(). Any
 * thread. */
void lane_drain(struct lane *lane);
void lane_take_limits(struct lane *lane, const struct http_limits *limits); /* any thread */
/* Connections, then the loop, in two steps since the API stands between them. */
void lane_close_servers(struct lane *lane);
void lane_close_loop(struct lane *lane);

/* A lane has no connection any more. On the lane's thread. */
void agent_lane_drained(struct agent *agent);

/* --- signals.c --- */

enum err signals_open(struct agent *agent, struct error *error) EA_MUST_CHECK;
void signals_close(struct agent *agent);

/* On loop 0: begins to drain, or, asked a second time, ends at once. */
void agent_shutdown(struct agent *agent);
void agent_reload(struct agent *agent);

#endif
