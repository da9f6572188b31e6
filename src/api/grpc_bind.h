/* gRPC to calls and back: the on_call of every unary row of methods.def. Internal to api/. */
#ifndef EA_API_GRPC_BIND_H
#define EA_API_GRPC_BIND_H

#include "http/grpc.h"

/* Decodes the message and calls the service; what is no such message is answered INVALID_ARGUMENT. `message` is valid
 * during the call only. Loop thread. */
void grpc_bind_call(struct grpc_call *grpc, struct str message);

#endif
