/* What grpc.c and grpc_answer.c share: a call with what is not its service's business. Internal to
 * http/grpc*.c. */
#ifndef EA_HTTP_GRPC_CALL_H
#define EA_HTTP_GRPC_CALL_H

#include "http/grpc.h"
#include "http/grpc_message.h"

/* In the exchange's arena; exchange.user points to it. */
struct grpc_state {
    struct grpc_call call; /* first */
    struct grpc_reader reader;
    struct str message; /* unary: the one message, when `whole` */
    bool whole;
    bool compressed;
    bool gzip;           /* grpc-encoding: gzip */
    bool tell_encodings; /* grpc-accept-encoding is part of the answer's head */
    bool in_callback;    /* the service looks at a message: its bytes must stay */
    size_t owed;         /* unary: bytes to give back to the windows after the call */
    size_t debt;         /* streaming: bytes the service will give back that never were on the wire */
    char *inflated;      /* the message being looked at, uncompressed; heap */
};

/* (Re)starts the call's timer. */
void grpc_call_time(struct grpc_state *state, struct mono at);
/* The call is over: no callback comes any more, what it holds is let go. */
void grpc_call_end(struct grpc_state *state);
/* Tells the service, once. */
void grpc_call_cancelled(struct grpc_state *state);

#endif
