#include "api/methods.h"

#include "api/answers.h"
#include "api/grpc_bind.h"
#include "api/pb.h"
#include "api/services.h"
#include "base/mem.h"

#define HTTP_GRPC_ONLY HTTP_OTHER

#define STREAM(...)
#define PAGE(...)
#define METHOD(id_, service_, name_, request_, response_, verb_, path_, short_path_, answer_, handle_, \
               action_, role_, retry_)                                                                 \
    [METHOD_##id_] = {                                                                                 \
        .id = METHOD_##id_,                                                                            \
        .service = STR_INIT(service_),                                                                 \
        .name = STR_INIT(name_),                                                                       \
        .request = (request_),                                                                         \
        .response = (response_),                                                                       \
        .verb = HTTP_##verb_,                                                                          \
        .path = (path_),                                                                               \
        .short_path = (short_path_),                                                                   \
        .answer = (answer_),                                                                           \
        .handle = (handle_),                                                                           \
        .action = METRICS_##action_,                                                                   \
        .role = ROLE_##role_,                                                                          \
        .retry = (retry_),                                                                             \
    },
const struct api_method api_methods[METHOD_COUNT] = {
#include "api/methods.def"
};
#undef METHOD
#undef PAGE

#define METHOD(...)
#define PAGE(path_, admin_, handle_) {.path = (path_), .admin = (admin_), .handle = (handle_)},
const struct api_page api_pages[API_PAGES] = {
#include "api/methods.def"
};
#undef METHOD
#undef STREAM
#undef PAGE

#define PAGE(...)
#define METHOD(id_, service_, name_, ...)         \
    &(const struct grpc_method){                  \
        .path = STR_INIT("/" service_ "/" name_), \
        .on_call = grpc_bind_call,                \
        .id = METHOD_##id_,                       \
    },
#define STREAM(service_, name_, client_streams_, server_streams_, on_call_) \
    &(const struct grpc_method){                                            \
        .path = STR_INIT("/" service_ "/" name_),                           \
        .client_streams = (client_streams_),                                \
        .server_streams = (server_streams_),                                \
        .on_call = (on_call_),                                              \
        .id = METHOD_COUNT,                                                 \
    },
const struct grpc_method *const api_grpc_methods[] = {
#include "api/methods.def"
};
const size_t api_n_grpc_methods = ARRAY_LENGTH(api_grpc_methods);
