#include "api/api.h"

#include <stdio.h>

#include "api/body.h"
#include "api/lane.h"
#include "api/methods.h"
#include "api/pods.h"
#include "api/rest.h"
#include "api/services.h"
#include "base/mem.h"

/* --- readiness --- */

static void readiness_deliver(struct loop *loop, struct loop_message *message)
{
    struct api_lane *lane = CONTAINER_OF(message, struct api_lane, readiness);
    /* First this, then look: a change after the look posts again. */
    atomic_store(&lane->readiness_posted, false);
    health_notify(lane);
}

void api_readiness_changed(struct api *api)
{
    for (unsigned i = 0; i < api->options.n_lanes; i++) {
        struct api_lane *lane = &api->lanes[i];
        if (!atomic_exchange(&lane->readiness_posted, true)) {
            loop_post(lane->loop, &lane->readiness);
        }
    }
}

void api_set_draining(struct api *api)
{
    atomic_store(&api->draining, true);
    api_readiness_changed(api);
}

bool api_ready(const struct api *api, char why[API_WHY_BYTES])
{
    struct store_status status;
    if (atomic_load(&api->draining)) {
        snprintf(why, API_WHY_BYTES, "the agent shuts down");
        return false;
    }
    store_status(api->options.store, &status);
    if (status.state == STORE_UP) {
        return true;
    }
    snprintf(why, API_WHY_BYTES, "the store %s%s%s",
             status.state == STORE_STARTING ? "is starting" : "cannot decide",
             status.why[0] != '\0' ? ": " : "", status.why);
    return false;
}

/* --- life --- */

/* What each lane may take of the whole process's rate. */
static uint64_t rate_of_lane(const struct api *api, uint64_t rate)
{
    uint64_t lanes = api->options.n_lanes;
    return rate / lanes + (rate % lanes != 0 ? 1 : 0);
}

void api_set_rate(struct api *api, uint64_t rate)
{
    atomic_store_explicit(&api->rate, rate_of_lane(api, rate), memory_order_relaxed);
}

static void lane_init(struct api *api, unsigned index)
{
    struct api_lane *lane = &api->lanes[index];
    lane->api = api;
    lane->index = index;
    lane->loop = api->options.loops[index];
    lane->store = api->options.store;
    lane->metrics = metrics_lane(api->options.metrics, index);
    lane->grpc = grpc_server_new(api_grpc_methods, api_n_grpc_methods, lane);
    lane->readiness.deliver = readiness_deliver;
    atomic_init(&lane->readiness_posted, false);
}

struct api *api_new(const struct api_options *options)
{
    body_setup();
    struct api *api = mem_zalloc(sizeof *api + options->n_lanes * sizeof api->lanes[0]);
    api->options = *options;
    api->options.loops = mem_dup(options->loops, options->n_lanes * sizeof(void *));
    if (api->options.operation_timeout_ms == 0) {
        api->options.operation_timeout_ms = API_OPERATION_TIMEOUT_MS;
    }
    atomic_init(&api->draining, false);
    atomic_init(&api->rate, rate_of_lane(api, options->rate));
    api->rest = rest_new(false, options->metrics_page);
    api->admin = rest_new(true, true);
    for (unsigned i = 0; i < options->n_lanes; i++) {
        lane_init(api, i);
    }
    return api;
}

void api_end_pods(struct api *api)
{
    pods_end(api);
}

void api_free(struct api *api)
{
    for (unsigned i = 0; i < api->options.n_lanes; i++) {
        grpc_server_free(api->lanes[i].grpc);
    }
    rest_free(api->rest);
    rest_free(api->admin);
    mem_free(api->options.loops);
    mem_free(api);
}

struct api_lane *api_lane(struct api *api, unsigned lane)
{
    return &api->lanes[lane];
}

/* --- the handlers --- */

static enum http_intake on_head(struct exchange *ex, void *user)
{
    struct api_lane *lane = user;
    return grpc_is(ex) ? grpc_on_head(lane->grpc, ex) : HTTP_BUFFER;
}

static void on_request(struct exchange *ex, void *user)
{
    struct api_lane *lane = user;
    rest_request(lane->api->rest, ex, lane);
}

const struct http_handler api_handler = {.on_head = on_head, .on_request = on_request};

static enum http_intake on_admin_head(struct exchange *ex, void *user)
{
    return HTTP_BUFFER;
}

static void on_admin_request(struct exchange *ex, void *user)
{
    struct api_lane *lane = user;
    rest_request(lane->api->admin, ex, lane);
}

const struct http_handler api_admin_handler = {.on_head = on_admin_head, .on_request = on_admin_request};
