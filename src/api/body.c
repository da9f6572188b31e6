#include "api/body.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "api/message.h"

/* An ordinary body is parsed in so much memory of the stack's. */
#define PARSE_BYTES ((size_t)2048)

/* JavaScript's largest whole number, Number.MAX_SAFE_INTEGER, and one more. */
#define EXACT_LIMIT (INT64_C(1) << 53)

/* --- jansson's memory --- */

/* Set while body_read() runs on this thread. The one thing here that is not on the stack: jansson hands its
 * allocator no argument. */
static _Thread_local struct arena *parsing;

static void *parse_alloc(size_t n)
{
    return parsing != NULL ? arena_alloc(parsing, n) : malloc(n);
}

static void parse_free(void *p)
{
    if (parsing == NULL) {
        free(p);
    }
}

void body_setup(void)
{
    json_set_alloc_funcs(parse_alloc, parse_free);
}

/* --- fields --- */

/* Numbers that count something other than milliseconds. All other int32 fields of requests are times. */
static bool is_plain(const ProtobufCFieldDescriptor *field)
{
    return strcmp(field->name, "priority") == 0 || strcmp(field->name, "retries") == 0 ||
           strcmp(field->name, "page_size") == 0;
}

static const char *whole_number(const ProtobufCFieldDescriptor *field)
{
    return is_plain(field) ? "a whole number" : "a whole number of milliseconds";
}

/* What a value looks like in an error, short and printable. */
static const char *show(const json_t *value, char room[48])
{
    switch (json_typeof(value)) {
    case JSON_INTEGER:
        snprintf(room, 48, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return room;
    case JSON_REAL:
        snprintf(room, 48, "%.15g", json_real_value(value));
        return room;
    case JSON_STRING:
        return "a string";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_ARRAY:
        return "an array";
    case JSON_OBJECT:
        return "an object";
    default:
        return "null";
    }
}

static enum err set_token(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                          const json_t *value, struct error *error)
{
    uint64_t token = 0;
    if (json_is_string(value) &&
        str_to_u64(str_from(json_string_value(value), json_string_length(value)), &token)) {
        message_set_token(message, field, token);
        return EA_OK;
    }
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) < EXACT_LIMIT) {
        message_set_token(message, field, (uint64_t)json_integer_value(value));
        return EA_OK;
    }
    char room[48];
    return error_set(error, EA_INVALID, "%s: must be a string of digits or a whole number below 2^53, got %s",
                     field->name, json_is_string(value) ? "another string" : show(value, room));
}

static enum err set_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                          const json_t *value, struct arena *arena, struct error *error)
{
    char room[48];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(value)) {
            return error_set(error, EA_INVALID, "%s: must be a string, got %s", field->name,
                             show(value, room));
        }
        return message_set_text(message, field, str_from(json_string_value(value), json_string_length(value)),
                                arena, error);
    case PROTOBUF_C_TYPE_INT32:
        if (!json_is_integer(value)) {
            return error_set(error, EA_INVALID, "%s: must be %s, got %s", field->name, whole_number(field),
                             show(value, room));
        }
        return message_set_int(message, field, json_integer_value(value), error);
    case PROTOBUF_C_TYPE_UINT64:
        return set_token(message, field, value, error);
    default:
        return error_set(error, EA_INTERNAL, "%s: has a type that JSON bodies do not have", field->name);
    }
}

/* --- JSON --- */

static enum err set_fields(ProtobufCMessage *message, json_t *object, uint64_t skip, struct arena *arena,
                           struct error *error)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const json_t *value = skip >> i & 1 ? NULL : json_object_get(object, field->name);
        if (value == NULL || json_is_null(value)) {
            continue;
        }
        enum err err = set_field(message, field, value, arena, error);
        if (err != EA_OK) {
            return err;
        }
    }
    return EA_OK;
}

static enum err syntax_error(const json_error_t *at, struct error *error)
{
    char text[2 * JSON_ERROR_TEXT_LENGTH];
    str_escape(str_of(at->text), text, sizeof text);
    return error_set(error, EA_INVALID, "line %d, column %d: %s", at->line, at->column, text);
}

static enum err read_object(ProtobufCMessage *message, struct str body, uint64_t skip, struct arena *arena,
                            struct error *error)
{
    if (str_trim(body).n == 0) {
        return error_set(error, EA_INVALID, "must be a JSON object, got nothing");
    }
    json_error_t at;
    json_t *object = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &at);
    if (object == NULL) {
        return syntax_error(&at, error);
    }
    if (!json_is_object(object)) {
        char room[48];
        return error_set(error, EA_INVALID, "must be a JSON object, got %s", show(object, room));
    }
    return set_fields(message, object, skip, arena, error);
}

enum err body_read(ProtobufCMessage *message, struct str body, uint64_t skip, struct arena *arena,
                   struct error *error)
{
    /* A value takes up to fifty times the memory of its text, and a call may live long after it was parsed. */
    _Alignas(16) char room[PARSE_BYTES];
    struct arena values;
    arena_init(&values, room, sizeof room);
    parsing = &values;
    enum err err = read_object(message, body, skip, arena, error);
    parsing = NULL;
    arena_reset(&values);
    return err != EA_OK ? error_wrap(error, "body") : EA_OK;
}

/* --- query --- */

static enum err set_from_query(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                               struct str value, struct arena *arena, struct error *error)
{
    char *text = arena_alloc(arena, value.n);
    size_t n = str_percent_decode(value, text);
    if (n == SIZE_MAX) {
        return error_set(error, EA_INVALID, "%s: has a malformed percent escape", field->name);
    }
    struct str decoded = str_from(text, n);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        return message_set_text(message, field, decoded, arena, error);
    }
    int64_t number = 0;
    if (field->type != PROTOBUF_C_TYPE_INT32 || !str_to_i64(decoded, &number)) {
        return error_set(error, EA_INVALID, "%s: must be %s", field->name, whole_number(field));
    }
    return message_set_int(message, field, number, error);
}

enum err body_read_query(ProtobufCMessage *message, struct str query, uint64_t skip, struct arena *arena,
                         struct error *error)
{
    struct str pair;
    while (query.n > 0 && str_split(&query, '&', &pair)) {
        struct str value = pair;
        struct str key = {"", 0};
        if (pair.n == 0 || !str_split(&value, '=', &key)) {
            continue;
        }
        const ProtobufCFieldDescriptor *field = message_field(message->descriptor, key);
        if (field == NULL || (skip >> (field - message->descriptor->fields) & 1) != 0) {
            continue;
        }
        enum err err = set_from_query(message, field, value.p != NULL ? value : STR(""), arena, error);
        if (err != EA_OK) {
            return error_wrap(error, "query");
        }
    }
    return EA_OK;
}
