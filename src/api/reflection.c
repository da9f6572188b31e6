/*
 * Server reflection (api/reflection.proto), v1 and v1alpha: the two packages have the same messages, so one
 * code reads and writes both. The descriptors are in the program (embedded.h).
 */
#include "api/embedded.h"
#include "api/message.h"
#include "api/services.h"
#include "base/mem.h"
#include "reflection.pb-c.h"

/* A client that asks on without reading the answers is told off when so much waits for it. */
#define REFLECTION_BACKLOG_BYTES (4 * EXCHANGE_HIGH_BYTES)

#define REFLECTION(name) Grpc__Reflection__V1__##name

typedef REFLECTION(ServerReflectionRequest) reflection_request;
typedef REFLECTION(ServerReflectionResponse) reflection_response;

/* A stream; in its exchange's arena. */
struct reflection {
    size_t withheld; /* bytes of requests that are acknowledged when the client has read its answers */
};

static const struct embedded_symbol *symbol_find(const struct embedded_file *file, const char *name)
{
    for (size_t i = 0; i < file->n_symbols; i++) {
        if (strcmp(file->symbols[i].name, name) == 0) {
            return &file->symbols[i];
        }
    }
    return NULL;
}

static const struct embedded_file *file_by_name(const char *name)
{
    for (size_t i = 0; i < embedded_n_files; i++) {
        if (strcmp(embedded_files[i].name, name) == 0) {
            return &embedded_files[i];
        }
    }
    return NULL;
}

static const struct embedded_file *file_by_symbol(const char *name)
{
    for (size_t i = 0; i < embedded_n_files; i++) {
        if (symbol_find(&embedded_files[i], name) != NULL) {
            return &embedded_files[i];
        }
    }
    return NULL;
}

/* --- answers --- */

static void answer_error(reflection_response *response, struct arena *arena, enum grpc_status code,
                         const char *text)
{
    REFLECTION(ErrorResponse) *error = arena_alloc(arena, sizeof *error);
    grpc__reflection__v1__error_response__init(error);
    error->error_code = (int32_t)code;
    error->error_message = (char *)text; /* protobuf-c does not write to what it packs */
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = error;
}

static void answer_file(reflection_response *response, struct arena *arena, const struct embedded_file *file)
{
    if (file == NULL) {
        answer_error(response, arena, GRPC_NOT_FOUND, "no such file or symbol");
        return;
    }
    REFLECTION(FileDescriptorResponse) *answer = arena_alloc(arena, sizeof *answer);
    grpc__reflection__v1__file_descriptor_response__init(answer);
    answer->n_file_descriptor_proto = 1;
    answer->file_descriptor_proto = arena_alloc(arena, sizeof *answer->file_descriptor_proto);
    answer->file_descriptor_proto[0] = (ProtobufCBinaryData){.len = file->n, .data = (uint8_t *)file->bytes};
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = answer;
}

/* Our messages have no extensions: known types have an empty list. */
static void answer_extensions(reflection_response *response, struct arena *arena, char *type)
{
    const struct embedded_file *file = file_by_symbol(type);
    if (file == NULL || symbol_find(file, type)->kind != SYMBOL_MESSAGE) {
        answer_error(response, arena, GRPC_NOT_FOUND, "no such message");
        return;
    }
    REFLECTION(ExtensionNumberResponse) *answer = arena_alloc(arena, sizeof *answer);
    grpc__reflection__v1__extension_number_response__init(answer);
    answer->base_type_name = type;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response->all_extension_numbers_response = answer;
}

#define SERVICES_MAX 16

static void answer_services(reflection_response *response, struct arena *arena)
{
    REFLECTION(ListServiceResponse) *answer = arena_alloc(arena, sizeof *answer);
    grpc__reflection__v1__list_service_response__init(answer);
    answer->service = arena_alloc(arena, SERVICES_MAX * sizeof(void *));
    for (size_t i = 0; i < embedded_n_files; i++) {
        for (size_t j = 0; j < embedded_files[i].n_symbols; j++) {
            const struct embedded_symbol *symbol = &embedded_files[i].symbols[j];
            if (symbol->kind == SYMBOL_SERVICE && answer->n_service < SERVICES_MAX) {
                REFLECTION(ServiceResponse) *service = arena_alloc(arena, sizeof *service);
                grpc__reflection__v1__service_response__init(service);
                service->name = (char *)symbol->name;
                answer->service[answer->n_service++] = service;
            }
        }
    }
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = answer;
}

static void answer_request(reflection_response *response, struct arena *arena, reflection_request *request)
{
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(response, arena, file_by_name(request->file_by_filename));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(response, arena, file_by_symbol(request->file_containing_symbol));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_EXTENSION:
        answer_error(response, arena, GRPC_NOT_FOUND, "no message has extensions");
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        answer_extensions(response, arena, request->all_extension_numbers_of_type);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(response, arena);
        break;
    default:
        answer_error(response, arena, GRPC_INVALID_ARGUMENT,
                     "the request asks for nothing that is known here");
        break;
    }
}

/* --- the stream --- */

/* Answers one request out of `arena`, and says what waits for the client then. EA_INVALID: not a request. */
static enum err answer_message(struct grpc_call *grpc, struct str message, struct arena *arena,
                               size_t *backlog, struct error *error)
{
    ProtobufCMessage *request = NULL;
    enum err err = message_unpack(&grpc__reflection__v1__server_reflection_request__descriptor, message,
                                  arena, &request, error);
    if (err != EA_OK) {
        return err;
    }
    reflection_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.original_request = (reflection_request *)(void *)request;
    response.valid_host = response.original_request->host;
    answer_request(&response, arena, response.original_request);
    *backlog = grpc_send(grpc, message_pack(&response.base, arena, NULL, 0));
    return EA_OK;
}

static void on_message(struct grpc_call *grpc, struct str message)
{
    struct reflection *stream = grpc->user;
    /* A stream may live long: the memory of each answer ends with it, not with the stream. */
    struct arena arena;
    char room[1024] __attribute__((aligned(16)));
    arena_init(&arena, room, sizeof room);
    size_t backlog = 0;
    struct error error = ERROR_NONE;
    enum err err = answer_message(grpc, message, &arena, &backlog, &error);
    arena_reset(&arena);
    if (err != EA_OK) {
        grpc_finish(grpc, GRPC_INVALID_ARGUMENT, str_of(error.text));
    } else if (backlog > REFLECTION_BACKLOG_BYTES) {
        grpc_finish(grpc, GRPC_RESOURCE_EXHAUSTED, STR("read the answers before asking on"));
    } else if (backlog > EXCHANGE_HIGH_BYTES) {
        stream->withheld += message.n;
    } else {
        grpc_consumed(grpc, message.n);
    }
}

static void on_writable(struct grpc_call *grpc)
{
    struct reflection *stream = grpc->user;
    size_t n = stream->withheld;
    stream->withheld = 0;
    if (n > 0) {
        grpc_consumed(grpc, n);
    }
}

static void on_client_end(struct grpc_call *grpc)
{
    grpc_finish(grpc, GRPC_OK, STR(""));
}

void reflection_info(struct grpc_call *grpc, struct str message)
{
    grpc->user = arena_zalloc(&grpc->ex->arena, sizeof(struct reflection));
    grpc->on_message = on_message;
    grpc->on_writable = on_writable;
    grpc->on_client_end = on_client_end;
}
