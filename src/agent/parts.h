/* What agent.c, worker.c and signals.c share. Internal to agent/. */
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

#define WORKER_LISTENERS_MAX 3 /* gRPC, HTTP, admin */

/* One event loop and what it serves. Touched on its own thread once it runs. */
struct worker {
    struct agent *agent;
    unsigned index;
    struct loop *loop;
    uv_thread_t thread; /* not for worker 0, which is the main thread */
    bool threaded;
    struct http_server *server; /* clients */
    struct http_server *admin;  /* probes and metrics on a port of their own; NULL: none */
    struct listener *listeners[WORKER_LISTENERS_MAX];
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
    struct kube *kube; /* NULL: Kubernetes is not enabled */
    struct kube_cache *kube_cache;
    struct api *api;
    struct worker *workers;
    struct loop **loops; /* the workers', as the store and the API know them */
    unsigned n_workers;
    _Atomic uint32_t connections_max; /* limits.connections; changes on reload */
    struct agent_signal signals[AGENT_SIGNALS];
    unsigned open_signals;
    struct loop_timer trim;
    uint64_t most_connections; /* since the heap was trimmed last; loop 0 */
    bool draining;             /* loop 0 */
    struct mono drain_deadline;
    _Atomic unsigned undrained; /* workers */
    struct loop_message drained_message;
};

/* What the configuration says of connections, in the servers' terms; the rest is http_limits_default. */
struct http_limits agent_limits(const struct config *config);

/* Connections that all workers have now, also those that have said nothing yet; `by` version and TLS. Any
 * thread. */
uint64_t agent_connections(struct agent *agent, uint64_t by[2][2]);

/* --- kube.c --- */

/* No cluster is no error. */
enum err agent_open_kube(struct agent *agent, struct error *error) EA_MUST_CHECK;

/* When the loops have stopped, before the servers and the loops are closed. */
void agent_close_kube(struct agent *agent);

/* --- worker.c --- */

/* Its loop, on the main thread; EA_IO. The worker is closed by the two functions below, also after an error. */
enum err worker_open(struct agent *agent, struct worker *worker, unsigned index,
                     struct error *error) EA_MUST_CHECK;
/* After the API is there: servers and listeners. *grpc_port and *http_port: 0 lets the kernel choose for the
 * first worker; the others get the same. */
enum err worker_listen(struct worker *worker, int *grpc_port, int *http_port, int *admin_port,
                       struct error *error) EA_MUST_CHECK;
void worker_start(struct worker *worker); /* its thread */
void worker_stop(struct worker *worker);  /* any thread */
void worker_join(struct worker *worker);
/* The loop takes no connections any more and ends those it has; then calls agent_worker_drained(). Any
 * thread. */
void worker_drain(struct worker *worker);
void worker_take_limits(struct worker *worker, const struct http_limits *limits); /* any thread */
/* Connections, then the loop, in two steps since the API stands between them. */
void worker_close_servers(struct worker *worker);
void worker_close_loop(struct worker *worker);

/* A worker has no connection any more. On its thread. */
void agent_worker_drained(struct agent *agent);

/* --- signals.c --- */

/* On loop 0: SIGTERM and SIGINT end the agent, SIGHUP reloads, SIGUSR1 writes the flight recorder. EA_IO. */
enum err signals_open(struct agent *agent, struct error *error) EA_MUST_CHECK;
void signals_close(struct agent *agent);

/* On loop 0: begins to drain, or, asked a second time, ends at once. */
void agent_shutdown(struct agent *agent);
void agent_reload(struct agent *agent);

#endif
