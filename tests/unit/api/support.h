/*
 * What the tests of api/ share: the API on a loop with a fake clock, over a store whose answers the test
 * gives by hand, with exchanges whose answers are kept to be looked at.
 */
#ifndef EA_TESTS_API_SUPPORT_H
#define EA_TESTS_API_SUPPORT_H

#include "api/api.h"
#include "api/pb.h"
#include "base/buf.h"
#include "base/clock.h"
#include "http/grpc.h"
#include "http/server.h"

#define PENDING_MAX 16

/* A store that keeps its requests until the test answers them. */
struct fake_store {
    struct store base;
    struct store_status status;
    struct election_request *pending[PENDING_MAX];
    size_t n;
};

/* An exchange, and what was answered on it. */
struct fake_exchange {
    struct exchange ex;
    char block[2048] __attribute__((aligned(16)));
    struct fake_exchange *next; /* the fixture's */
    int status;                 /* 0: nothing was answered yet */
    bool finished;
    struct buf fields;   /* "name: value\n" each */
    struct buf trailers; /* the same */
    struct buf body;
    size_t waiting;  /* what write() tells */
    size_t consumed; /* input given back */
};

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct fake_store store;
    struct metrics *metrics;
    struct http_server *server; /* for the exchanges; has no connection */
    struct api *api;
    struct api_lane *lane;
    struct fake_exchange *exchanges;
};

/* cmocka's set-up and tear-down: *state is a struct fixture with min_term 1000, max_term 3600000. The
 * tear-down checks that no exchange is held by anybody any more. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Replaces the API by one with other options; `edit` changes the defaults. */
void fixture_restart(struct fixture *fx, void (*edit)(struct api_options *options));

/* Moves the clock and turns the loop. */
void fixture_advance_ms(struct fixture *fx, int64_t ms);

/* The oldest request that waits for the store. Fails the test if there is none. */
struct election_request *fixture_take(struct fixture *fx);
/* Decides it: `request` has its answer already, but for err. */
void fixture_decide(struct election_request *request, enum err err);

/* A REST request; `target` with its query. `body` NULL: none. */
struct fake_exchange *rest_call(struct fixture *fx, enum http_method method, const char *target,
                                const char *body);
/* The same through another handler, with an Accept field (NULL: none). */
struct fake_exchange *rest_call_on(struct fixture *fx, const struct http_handler *handler,
                                   enum http_method method, const char *target, const char *accept);

/* Fails unless the answer is exactly this. */
void assert_answer(const struct fake_exchange *fake, int status, const char *body);
/* The value of a field or trailer as a string that lives as long as the exchange; "" if it is not there. */
const char *field_of(struct fake_exchange *fake, const char *name);
const char *trailer_of(struct fake_exchange *fake, const char *name);

/* A unary gRPC call. `timeout`: grpc-timeout, NULL for none. */
struct fake_exchange *grpc_unary(struct fixture *fx, const char *path, const ProtobufCMessage *request,
                                 const char *timeout);
struct fake_exchange *grpc_unary_bytes(struct fixture *fx, const char *path, struct str message);
/* A streaming one, open; then a message on it, and its end. */
struct fake_exchange *grpc_open(struct fixture *fx, const char *path);
void grpc_push(struct fake_exchange *fake, const ProtobufCMessage *message);
void grpc_push_bytes(struct fake_exchange *fake, struct str message);
void grpc_close(struct fake_exchange *fake);

/* Fails unless the call ended with this status and message (percent-encoded). */
void assert_grpc(struct fake_exchange *fake, enum grpc_status status, const char *message);
/* The i-th message of the answer, unpacked; freed with the exchange. Fails if there is none. */
const void *grpc_message_at(struct fake_exchange *fake, size_t i, const ProtobufCMessageDescriptor *type);
size_t grpc_message_count(const struct fake_exchange *fake);

/* The client goes away. */
void exchange_leave(struct fake_exchange *fake);

#endif
