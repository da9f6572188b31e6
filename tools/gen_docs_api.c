/* docs/api.md: the methods from src/api/methods.def, their messages from the descriptors of the .proto files.
 */
#include <stdio.h>

#include "api/methods.h"
#include "gen_docs.h"

#define MESSAGES_MAX 64

static void add(struct buf *out, const char *text)
{
    buf_add_str(out, str_of(text));
}

static void add_path(struct buf *out, enum http_method verb, const char *path)
{
    if (path != NULL) {
        buf_format(out, "<br>`%s %s`", http_method_name(verb), path);
    }
}

static void add_methods(struct buf *out)
{
    struct str service = {"", 0};
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct api_method *method = &api_methods[i];
        if (!str_eq(service, method->service)) {
            service = method->service;
            buf_format(out, "\n## %.*s\n\n| method | request → response | ask again |\n| --- | --- | --- |\n",
                       STR_ARG(service));
        }
        buf_format(out, "| **%.*s**", STR_ARG(method->name));
        add_path(out, method->verb, method->path);
        add_path(out, method->verb, method->short_path);
        buf_format(out, " | %s → %s | %s |\n", method->request->short_name, method->response->short_name,
                   method->retry ? "yes" : "no");
    }
}

static void add_streams(struct buf *out)
{
    add(out, "\n## Streams\n\n| method | the client sends | the agent answers |\n| --- | --- | --- |\n");
    for (size_t i = 0; i < api_n_grpc_methods; i++) {
        const struct grpc_method *method = api_grpc_methods[i];
        if (method->client_streams || method->server_streams) {
            buf_format(out, "| `%.*s` | %s | %s |\n", STR_ARG(method->path),
                       method->client_streams ? "many" : "one", method->server_streams ? "many" : "one");
        }
    }
}

static void add_pages(struct buf *out)
{
    add(out, "\n## Pages\n\n| page | on `admin.port` too |\n| --- | --- |\n");
    for (size_t i = 0; i < API_PAGES; i++) {
        buf_format(out, "| `GET %s` | %s |\n", api_pages[i].path, api_pages[i].admin ? "yes" : "no");
    }
}

static void add_type(struct buf *out, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        add(out, "repeated ");
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        add(out, "string");
        break;
    case PROTOBUF_C_TYPE_BOOL:
        add(out, "bool");
        break;
    case PROTOBUF_C_TYPE_INT32:
        add(out, "int32");
        break;
    case PROTOBUF_C_TYPE_INT64:
        add(out, "int64");
        break;
    case PROTOBUF_C_TYPE_UINT64:
        add(out, "uint64; in JSON a string");
        break;
    case PROTOBUF_C_TYPE_ENUM:
        add(out, ((const ProtobufCEnumDescriptor *)field->descriptor)->short_name);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        add(out, ((const ProtobufCMessageDescriptor *)field->descriptor)->short_name);
        break;
    default:
        add(out, "other");
        break;
    }
}

/* Messages that stand in the document already. */
struct seen {
    const ProtobufCMessageDescriptor *types[MESSAGES_MAX];
    size_t n;
};

static bool seen_add(struct seen *seen, const ProtobufCMessageDescriptor *type)
{
    for (size_t i = 0; i < seen->n; i++) {
        if (seen->types[i] == type) {
            return false;
        }
    }
    if (seen->n == MESSAGES_MAX) {
        fprintf(stderr, "gen_docs: more than %d messages\n", MESSAGES_MAX);
        return false;
    }
    seen->types[seen->n++] = type;
    return true;
}

/* The message once, and then those that it holds. */
static void add_message(struct buf *out, struct seen *seen, const ProtobufCMessageDescriptor *type)
{
    if (!seen_add(seen, type)) {
        return;
    }
    buf_format(out, "\n### %s\n\n", type->short_name);
    if (type->n_fields == 0) {
        add(out, "No fields.\n");
        return;
    }
    add(out, "| number | name | type |\n| --- | --- | --- |\n");
    for (unsigned i = 0; i < type->n_fields; i++) {
        buf_format(out, "| %u | `%s` | ", type->fields[i].id, type->fields[i].name);
        add_type(out, &type->fields[i]);
        add(out, " |\n");
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) {
            add_message(out, seen, type->fields[i].descriptor);
        }
    }
}

enum err gen_docs_api(struct buf *out)
{
    gen_docs_notice(out, "The API", "src/api/methods.def and api/*.proto");
    add(out, "Every method over gRPC, and over HTTP where a route stands below its name. What the fields "
             "mean is in\n"
             "[election_agent.proto](../api/election_agent.proto), what the routes answer in\n"
             "[openapi.yaml](../api/openapi.yaml) (the agent serves it as `GET /openapi.yaml`), and what "
             "went wrong in\n"
             "[errors.md](errors.md). \"Ask again\" says whether a request whose answer was lost may be "
             "repeated without\n"
             "changing anything more; with its `token`, Resign may be too.\n\n"
             "Over HTTP, `{kind}` and `{election}` are percent-encoded, and the other fields of the request "
             "come from a\n"
             "JSON body, or from the query of a GET. Tokens are strings there: a number of 64 bits does not "
             "survive\n"
             "JavaScript.\n");
    add_methods(out);
    add_streams(out);
    add_pages(out);
    add(out, "\n## Messages\n");
    struct seen seen = {.n = 0};
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        add_message(out, &seen, api_methods[i].request);
        add_message(out, &seen, api_methods[i].response);
    }
    return EA_OK;
}
