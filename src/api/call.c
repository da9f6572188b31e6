#include "api/call.h"

#include <assert.h>

struct call *call_new(struct api_lane *lane, const struct api_method *method, struct exchange *ex)
{
    struct call *call = arena_alloc(&ex->arena, sizeof *call);
    *call = (struct call){
        .method = method,
        .lane = lane,
        .ex = ex,
        .arena = &ex->arena,
        .arrived = ex->arrived,
        .deadline = MONO_NEVER,
    };
    exchange_hold(ex);
    metrics_request_begin(lane->metrics, method->action);
    return call;
}

bool call_admit(struct call *call)
{
    struct api_lane *lane = call->lane;
    uint64_t per_s = atomic_load_explicit(&lane->api->rate, memory_order_relaxed);
    if (call->method->action != METRICS_NO_ACTION && !rate_take(&lane->rate, per_s, call->arrived)) {
        call_fail(call, EA_EXHAUSTED,
                  STR("too many requests: the agent's limit of calls a second is reached"));
        return false;
    }
    return true;
}

void call_lost(struct call *call)
{
    if (call->gone) {
        return;
    }
    call->gone = true;
    if (call->on_gone != NULL) {
        call->on_gone(call);
    }
}

static void call_end(struct call *call, enum err err, const ProtobufCMessage *response, struct str message)
{
    assert(call->send != NULL);
    struct metrics_lane *metrics = call->lane->metrics;
    int64_t took_us = mono_sub(loop_now(call->ex->loop), call->arrived);
    /* These two speak of the store; GetPods asks another server. */
    bool undecided = err == EA_UNAVAILABLE && call->method->action != METRICS_GET_PODS;
    metrics_request_end(metrics, call->method->action, !undecided, took_us);
    if (undecided) {
        metrics_unavailable(metrics);
    }
    call->on_gone = NULL;
    struct exchange *ex = call->ex;
    call->send(call, err, response, message);
    exchange_release(ex); /* the call's memory may go with it */
}

void call_answer(struct call *call, const ProtobufCMessage *response)
{
    assert(response->descriptor == call->method->response);
    call_end(call, EA_OK, response, STR(""));
}

void call_fail(struct call *call, enum err err, struct str message)
{
    assert(err != EA_OK);
    call_end(call, err, NULL, message);
}
