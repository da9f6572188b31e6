/*
 * Health checking (api/health.proto): Check answers once, Watch sends every change of the status on this
 * lane's streams. The status is a value, not a log: a watcher that reads slowly skips what is past.
 */
#include "api/message.h"
#include "api/pb.h"
#include "api/services.h"

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;

enum serving {
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    SERVICE_UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN
};

/* A service that has a status: while the agent lives, or while it is ready. */
static const struct service {
    const char *name;
    bool lives;
} services[] = {
    {"", false},
    {"readiness", false},
    {"liveness", true},
    {"grpc.election_agent.v1.Election", false},
    {"grpc.election_agent.v1.Control", true},
};

static const struct service *service_find(const char *name)
{
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        if (strcmp(services[i].name, name) == 0) {
            return &services[i];
        }
    }
    return NULL;
}

/* NULL: a service that nobody knows. */
static enum serving serving_now(const struct service *service, const struct api_lane *lane)
{
    char why[API_WHY_BYTES];
    if (service == NULL) {
        return SERVICE_UNKNOWN;
    }
    return service->lives || api_ready(lane->api, why) ? SERVING : NOT_SERVING;
}

static check_response response_of(enum serving serving)
{
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)serving;
    return response;
}

void health_check(struct call *call)
{
    const check_request *request = (const check_request *)(const void *)call->request;
    const struct service *service = service_find(request->service);
    if (service == NULL) {
        call_fail(call, EA_NOT_FOUND, STR("no such service"));
        return;
    }
    check_response response = response_of(serving_now(service, call->lane));
    call_answer(call, &response.base);
}

/* --- Watch --- */

/* A stream; in its exchange's arena. */
struct health_watch {
    struct health_watch *prev; /* in the lane's list */
    struct health_watch *next;
    struct api_lane *lane;
    struct grpc_call *grpc;
    const struct service *service;
    enum serving told;
    bool behind; /* the client does not read: wait for on_writable */
};

static void watch_unlink(struct health_watch *watch)
{
    if (watch->prev != NULL) {
        watch->prev->next = watch->next;
    } else {
        watch->lane->watches = watch->next;
    }
    if (watch->next != NULL) {
        watch->next->prev = watch->prev;
    }
}

static void watch_tell(struct health_watch *watch, enum serving serving)
{
    check_response response = response_of(serving);
    char room[16];
    watch->told = serving;
    struct str message = message_pack(&response.base, &watch->grpc->ex->arena, room, sizeof room);
    watch->behind = grpc_send(watch->grpc, message) > EXCHANGE_HIGH_BYTES;
}

/* Sends the status if it is news. */
static void watch_update(struct health_watch *watch)
{
    enum serving serving = serving_now(watch->service, watch->lane);
    if (serving != watch->told && !watch->behind) {
        watch_tell(watch, serving);
    }
}

static void watch_writable(struct grpc_call *grpc)
{
    struct health_watch *watch = grpc->user;
    watch->behind = false;
    watch_update(watch);
}

static void watch_cancelled(struct grpc_call *grpc)
{
    watch_unlink(grpc->user);
}

/* An agent that drains ends the streams, so that their clients go elsewhere. */
static void watch_finish(struct grpc_call *grpc)
{
    grpc_finish(grpc, GRPC_UNAVAILABLE, STR("the agent shuts down"));
}

void health_watch(struct grpc_call *grpc, struct str message)
{
    struct api_lane *lane = grpc->server_user;
    struct error error = ERROR_NONE;
    ProtobufCMessage *request = NULL;
    enum err err =
        message_unpack(HEALTH_PB(health_check_request), message, &grpc->ex->arena, &request, &error);
    if (err != EA_OK) {
        grpc_finish(grpc, GRPC_INVALID_ARGUMENT, str_of(error.text));
        return;
    }
    struct health_watch *watch = arena_zalloc(&grpc->ex->arena, sizeof *watch);
    watch->lane = lane;
    watch->grpc = grpc;
    watch->service = service_find(((check_request *)(void *)request)->service);
    watch_tell(watch, serving_now(watch->service, lane));
    if (atomic_load(&lane->api->draining)) {
        watch_finish(grpc);
        return;
    }
    watch->next = lane->watches;
    if (watch->next != NULL) {
        watch->next->prev = watch;
    }
    lane->watches = watch;
    grpc->user = watch;
    grpc->on_writable = watch_writable;
    grpc->on_cancel = watch_cancelled;
}

void health_notify(struct api_lane *lane)
{
    bool draining = atomic_load(&lane->api->draining);
    for (struct health_watch *watch = lane->watches, *next; watch != NULL; watch = next) {
        next = watch->next;
        watch_update(watch);
        if (draining) {
            watch_unlink(watch);
            watch_finish(watch->grpc);
        }
    }
}
