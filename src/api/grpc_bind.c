#include "api/grpc_bind.h"

#include "api/call.h"
#include "api/message.h"

/* Most answers are smaller: a leader's name and a kind at their longest, a token, and a time. */
#define ANSWER_BYTES 384

static void send_answer(struct call *call, enum err err, const ProtobufCMessage *response, struct str message)
{
    struct grpc_call *grpc = call->carrier;
    if (grpc->ended) {
        return; /* the client is gone, or its deadline was answered */
    }
    if (err != EA_OK) {
        grpc_finish(grpc, (enum grpc_status)err_grpc(err), message);
        return;
    }
    char room[ANSWER_BYTES];
    grpc_answer(grpc, message_pack(response, call->arena, room, sizeof room));
}

static void lost(struct grpc_call *grpc)
{
    call_lost(grpc->user);
}

void grpc_bind_call(struct grpc_call *grpc, struct str message)
{
    struct call *call = call_new(grpc->server_user, &api_methods[grpc->method->id], grpc->ex);
    call->deadline = grpc->deadline;
    call->send = send_answer;
    call->carrier = grpc;
    grpc->user = call;
    grpc->on_cancel = lost;
    if (!call_admit(call)) {
        return;
    }
    struct error error = ERROR_NONE;
    ProtobufCMessage *request = NULL;
    enum err err = message_unpack(call->method->request, message, call->arena, &request, &error);
    if (err != EA_OK) {
        call_fail(call, err, str_of(error.text));
        return;
    }
    call->request = request;
    call_run(call); /* all that it needs is in the arena now */
}
