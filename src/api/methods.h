/* The rows of methods.def as tables. Internal to api/. Immutable; shared by loops. */
#ifndef EA_API_METHODS_H
#define EA_API_METHODS_H

#include <protobuf-c/protobuf-c.h>

#include "http/exchange.h"
#include "http/grpc.h"
#include "metrics/metrics.h"

struct api_lane;
struct call;
struct jwriter;

enum method_id {
#define METHOD(id, ...) METHOD_##id,
#define STREAM(...)
#define PAGE(...)
#include "api/methods.def"
#undef METHOD
#undef STREAM
#undef PAGE
    METHOD_COUNT
};

/* How many pages there are. */
enum {
#define METHOD(...)
#define STREAM(...)
#define PAGE(...) +1
    API_PAGES = 0
#include "api/methods.def"
#undef METHOD
#undef STREAM
#undef PAGE
};

/* What a caller must be; each includes those before it. */
enum api_role { ROLE_ANYONE, ROLE_OBSERVER, ROLE_CANDIDATE, ROLE_ADMIN };

struct api_method {
    struct str service;
    struct str name;
    const ProtobufCMessageDescriptor *request;
    const ProtobufCMessageDescriptor *response;
    const char *path;       /* NULL: no REST */
    const char *short_path; /* NULL: none */
    void (*answer)(struct jwriter *json, const ProtobufCMessage *response);
    void (*handle)(struct call *call);
    enum method_id id;
    enum http_method verb; /* HTTP_OTHER: no REST */
    enum metrics_action action;
    enum api_role role;
    bool retry;
};

struct api_page {
    const char *path;
    bool admin;
    void (*handle)(struct exchange *ex, struct api_lane *lane);
};

extern const struct api_method api_methods[METHOD_COUNT];
extern const struct api_page api_pages[API_PAGES];

/* What gRPC serves; `id` of a unary method is its method_id. */
extern const struct grpc_method *const api_grpc_methods[];
extern const size_t api_n_grpc_methods;

#endif
