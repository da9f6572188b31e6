/*
 * gRPC over HTTP/2, server side (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md): framing,
 * status, deadlines, compression. Knows nothing of protobuf: messages are bytes. Loop thread.
 */
#ifndef EA_HTTP_GRPC_H
#define EA_HTTP_GRPC_H

#include "base/error.h"
#include "http/exchange.h"

/* google.golang.org/grpc/codes */
enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16
};

struct grpc_call;

/* One method. Tables of them are built once and shared by loops. */
struct grpc_method {
    struct str path; /* "/grpc.election_agent.v1.Election/Campaign" */
    bool client_streams;
    bool server_streams;
    /*
     * Unary input (client_streams false): the one message, whole; more or fewer than one was refused before.
     * The bytes are valid during the call only: copy (decode) what must live longer into the exchange's
     * arena. Streaming input: NULL bytes p at the start of the call.
     */
    void (*on_call)(struct grpc_call *call, struct str message);
    int id; /* the table owner's */
};

/* In the exchange's arena. */
struct grpc_call {
    struct exchange *ex;
    const struct grpc_method *method;
    void *server_user;    /* given to grpc_server_new() */
    void *user;           /* the service's */
    struct mono deadline; /* from grpc-timeout; MONO_NEVER if none */
    bool client_closed;   /* half-closed: no more messages */
    bool ended;           /* a status was sent, or the client is gone */

    /* Streaming input; set in on_call. Each message whole; valid during the call. */
    void (*on_message)(struct grpc_call *call, struct str message);
    void (*on_client_end)(struct grpc_call *call);
    void (*on_writable)(struct grpc_call *call);
    /* Cancelled, disconnected, or deadline passed (DEADLINE_EXCEEDED has been answered then). Called once,
     * only before grpc_finish(). */
    void (*on_cancel)(struct grpc_call *call);

    struct loop_timer timer; /* grpc's own: the deadline */
    void *state;             /* grpc's own: reassembly, inflater */
};

struct grpc_server;

#define GRPC_MESSAGE_BYTES_MAX ((size_t)64 * 1024)

/* `methods` must outlive it; shared by loops, immutable. user: handed to services through call->server_user.
 */
struct grpc_server *grpc_server_new(const struct grpc_method *const *methods, size_t n, void *user);
void grpc_server_free(struct grpc_server *server);

/* Whether the exchange is gRPC (content-type application/grpc, with or without suffix). */
bool grpc_is(const struct exchange *ex);

/* From http_handler.on_head, for an exchange that is gRPC: finds the method (UNIMPLEMENTED otherwise), reads
 * timeout and encodings (malformed: answered). Returns what on_head returns: HTTP_STREAM, since gRPC collects
 * its messages itself (its limit is a message's, not a body's), or HTTP_DONE. Never HTTP_BUFFER, so
 * on_request is never called for gRPC. Takes over ex->user and the exchange's callbacks. */
enum http_intake grpc_on_head(struct grpc_server *server, struct exchange *ex);

/* Unary answer: headers, message and trailers in one go. */
void grpc_answer(struct grpc_call *call, struct str message);

/* Streaming answer: sends the headers with the first message. Returns the bytes waiting, see
 * exchange_write(). */
size_t grpc_send(struct grpc_call *call, struct str message);

/* Ends the call. `message` may be any bytes: it is percent-encoded. Without a message sent before it, it is a
 * trailers-only answer. */
void grpc_finish(struct grpc_call *call, enum grpc_status status, struct str message);

/* Counts as handled: more input may come (streaming input is acknowledged message by message). */
void grpc_consumed(struct grpc_call *call, size_t message_bytes);

/* Parses a grpc-timeout value ("100m", "5S", at most 8 digits). EA_INVALID otherwise. */
enum err grpc_timeout_us(struct str value, int64_t *us) EA_MUST_CHECK;

#endif
