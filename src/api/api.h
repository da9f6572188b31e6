/*
 * The API: elections, control, health and reflection over gRPC, the same elections over REST, and the pages
 * for probes and metrics. What main and tests need; everything else in this room is internal.
 *
 * One `struct api` a process, one `struct api_lane` an event loop. A lane's handler is given to the HTTP
 * servers of its loop:
 *
 *     http_server_new(&(struct http_server_options){
 *         .loop = loops[i], .limits = limits, .handler = &api_handler, .user = api_lane(api, i)});
 *
 * Threads: new, free and lane on the main thread while no loop runs; handlers on their lane's loop; the rest
 * as marked.
 */
#ifndef EA_API_API_H
#define EA_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "http/exchange.h"
#include "metrics/metrics.h"
#include "net/loop.h"
#include "store/store.h"

struct api;
struct api_lane;
struct kube;
struct kube_cache;

/* redis.operation_timeout's default: every attempt is answered within it (spec: elections.md, promise 6). */
#define API_OPERATION_TIMEOUT_MS 3000

/* GetPods: a list of thousands of pods takes its time. Less than shutdown_timeout, within which calls end. */
#define API_KUBE_TIMEOUT_MS 10000

struct api_options {
    struct store *store;     /* open; outlives the api */
    struct metrics *metrics; /* with n_lanes lanes; outlives the api */
    struct loop **loops;     /* the lanes' loops, in the store's order; the array is copied */
    unsigned n_lanes;
    int64_t min_term_ms;          /* lease.min_term */
    int64_t max_term_ms;          /* lease.max_term */
    int64_t operation_timeout_ms; /* 0: API_OPERATION_TIMEOUT_MS */
    uint64_t
        rate; /* limits.rate: calls a second for the whole process, shared evenly by lanes; 0: no limit */
    struct kube *kube;             /* on the first lane's loop; NULL: Kubernetes is not enabled */
    struct kube_cache *kube_cache; /* NULL: every GetPods asks the API server */
    bool metrics_page; /* whether api_handler serves GET /metrics; api_admin_handler always does */
    /* At a scrape, on the lane that was asked: fills what only main knows (connections, elections, the
     * store's node). NULL: nothing to add. */
    void (*gather)(void *user, struct metrics_gauges *gauges);
    void *user;
};

/* Never fails but for memory. */
struct api *api_new(const struct api_options *options);

/* On the main thread, when the loops have stopped and before kube is closed: answers what still waits for it. */
void api_end_pods(struct api *api);

/* No exchange may be left; the loops have stopped. */
void api_free(struct api *api);

/* What serves one loop: the `user` of its http_server. The api's; any thread may ask for it. */
struct api_lane *api_lane(struct api *api, unsigned lane);

/* Everything: gRPC, REST, probes, the metrics page. `user` is a struct api_lane. */
extern const struct http_handler api_handler;

/* For a port of its own (admin.port): probes and the metrics page, no elections. `user` as above. */
extern const struct http_handler api_admin_handler;

/* Any thread. The agent shuts down: /readyz turns 503, health watchers learn it and their streams end. */
void api_set_draining(struct api *api);

/* Any thread. The store's status may have changed (store_options.on_status): health watchers of every lane
 * learn it. */
void api_readiness_changed(struct api *api);

/* Any thread. limits.rate was reloaded; 0: no limit. */
void api_set_rate(struct api *api, uint64_t rate);

/* Any thread. Whether the agent takes elections: the store is up and the agent is not draining. Else `why`
 * says what is missing in a few words. */
#define API_WHY_BYTES 200
bool api_ready(const struct api *api, char why[API_WHY_BYTES]);

#endif
