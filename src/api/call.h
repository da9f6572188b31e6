/*
 * A call: one request and its answer, from decode to encode, whatever protocol carries it. Services know only
 * this. Internal to api/.
 *
 * A call lives in its exchange's arena and holds the exchange until it is answered, exactly once: during its
 * handler or later, on the lane's loop. The client may be gone by then; the answer goes nowhere, and nobody
 * needs to care. What the request's slices point to lives as long as the call.
 */
#ifndef EA_API_CALL_H
#define EA_API_CALL_H

#include <protobuf-c/protobuf-c.h>

#include "api/lane.h"
#include "api/methods.h"
#include "base/error.h"

struct call {
    const struct api_method *method;
    struct api_lane *lane;
    struct exchange *ex;
    struct arena *arena;             /* the exchange's */
    const ProtobufCMessage *request; /* of the type method->request */
    struct mono arrived;             /* validity counts from here */
    struct mono deadline;            /* the client's; MONO_NEVER if it named none */
    bool gone;                       /* the client is */

    /* --- the service's --- */
    void *state;
    /* The client is gone. Called at most once, never after the answer. The call must still be answered. NULL:
     * not wanted. */
    void (*on_gone)(struct call *call);

    /* --- the protocol's (rest.c, grpc.c): encodes; response and message live during the call --- */
    void (*send)(struct call *call, enum err err, const ProtobufCMessage *response, struct str message);
    void *carrier;
};

/* Zeroed but for what is known of the exchange; counted as in flight from here. */
struct call *call_new(struct api_lane *lane, const struct api_method *method, struct exchange *ex);

/* Whether the limit of calls lets it in; else it was answered. Before decoding, which costs more. call->send
 * is set. */
bool call_admit(struct call *call);

/* Runs the method's handler. call->request is set. */
static inline void call_run(struct call *call)
{
    call->method->handle(call);
}

/* The carrier has lost the client. */
void call_lost(struct call *call);

/* The two answers. The call must not be touched afterwards. */
void call_answer(struct call *call, const ProtobufCMessage *response);
void call_fail(struct call *call, enum err err, struct str message);

#endif
