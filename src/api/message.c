#include "api/message.h"

#include <assert.h>
#include <inttypes.h>

ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *type, struct arena *arena)
{
    ProtobufCMessage *message = arena_alloc(arena, type->sizeof_message);
    type->message_init(message);
    return message;
}

const ProtobufCFieldDescriptor *message_field(const ProtobufCMessageDescriptor *type, struct str name)
{
    /* At most ten short names: looking at each is quicker than protobuf-c's search, and needs no terminator.
     */
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (str_eq(name, str_of(type->fields[i].name))) {
            return &type->fields[i];
        }
    }
    return NULL;
}

/* --- setting --- */

static void *member(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0) {
        *(uint32_t *)(void *)((char *)message + field->quantifier_offset) = field->id;
    }
    return (char *)message + field->offset;
}

static enum err text_check(const char *field, struct str text, struct error *error)
{
    if (text.n > 0 && memchr(text.p, 0, text.n) != NULL) {
        return error_set(error, EA_INVALID, "%s: must not have a zero byte", field);
    }
    if (!str_is_utf8(text)) {
        return error_set(error, EA_INVALID, "%s: must be valid UTF-8", field);
    }
    return EA_OK;
}

enum err message_set_text(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct str text,
                          struct arena *arena, struct error *error)
{
    assert(field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED);
    enum err err = text_check(field->name, text, error);
    if (err == EA_OK) {
        *(const char **)member(message, field) = arena_str(arena, text).p;
    }
    return err;
}

enum err message_set_int(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, int64_t value,
                         struct error *error)
{
    assert(field->type == PROTOBUF_C_TYPE_INT32 && field->label != PROTOBUF_C_LABEL_REPEATED);
    if (value < INT32_MIN || value > INT32_MAX) {
        return error_set(error, EA_INVALID, "%s: must be a number of 32 bits, got %" PRId64, field->name,
                         value);
    }
    *(int32_t *)member(message, field) = (int32_t)value;
    return EA_OK;
}

void message_set_token(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, uint64_t value)
{
    assert(field->type == PROTOBUF_C_TYPE_UINT64 && field->label != PROTOBUF_C_LABEL_REPEATED);
    *(uint64_t *)member(message, field) = value;
}

/* --- the wire -------------------------------------------------------------------------------------------
 * https://protobuf.dev/programming-guides/encoding/
 */

#define FIELD_NUMBER_MAX ((1U << 29) - 1)

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Takes a varint from the front of *rest. False: none there, or longer than 10 bytes. */
static bool wire_varint(struct str *rest, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < rest->n; i++) {
        uint8_t byte = (uint8_t)rest->p[i];
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out = value;
            *rest = str_from(rest->p + i + 1, rest->n - i - 1);
            return true;
        }
    }
    return false;
}

/* Takes one field; `value` is what a WIRE_BYTES field holds. False: malformed. */
static bool wire_field(struct str *rest, uint64_t *number, unsigned *type, struct str *value)
{
    uint64_t key = 0;
    uint64_t n = 0;
    *value = str_from("", 0);
    if (!wire_varint(rest, &key)) {
        return false;
    }
    *number = key >> 3;
    *type = (unsigned)(key & 7);
    if (*number == 0 || *number > FIELD_NUMBER_MAX) {
        return false;
    }
    switch (*type) {
    case WIRE_VARINT:
        return wire_varint(rest, &n);
    case WIRE_FIXED64:
        n = 8;
        break;
    case WIRE_FIXED32:
        n = 4;
        break;
    case WIRE_BYTES:
        if (!wire_varint(rest, &n)) {
            return false;
        }
        break;
    default: /* groups, which proto3 does not have */
        return false;
    }
    if (n > rest->n) {
        return false;
    }
    *value = str_from(rest->p, (size_t)n);
    *rest = str_from(rest->p + n, rest->n - (size_t)n);
    return true;
}

/* What protobuf-c would let pass. */
static enum err wire_check(const ProtobufCMessageDescriptor *type, struct str bytes, struct error *error)
{
    for (unsigned fields = 0; bytes.n > 0; fields++) {
        uint64_t number = 0;
        unsigned wire_type = 0;
        struct str value;
        if (fields == MESSAGE_FIELDS_MAX) {
            return error_set(error, EA_INVALID, "message: has more than %d fields", MESSAGE_FIELDS_MAX);
        }
        if (!wire_field(&bytes, &number, &wire_type, &value)) {
            return error_set(error, EA_INVALID, "message: is not a well-formed %s", type->name);
        }
        const ProtobufCFieldDescriptor *field =
            wire_type == WIRE_BYTES ? protobuf_c_message_descriptor_get_field(type, (unsigned)number) : NULL;
        enum err err = field != NULL && field->type == PROTOBUF_C_TYPE_STRING
                           ? text_check(field->name, value, error)
                           : EA_OK;
        if (err != EA_OK) {
            return err;
        }
    }
    return EA_OK;
}

static void *unpack_alloc(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void unpack_free(void *arena, void *p)
{
    /* Ends with the arena. */
}

enum err message_unpack(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *arena,
                        ProtobufCMessage **out, struct error *error)
{
    enum err err = wire_check(type, bytes, error);
    if (err != EA_OK) {
        return err;
    }
    ProtobufCAllocator allocator = {.alloc = unpack_alloc, .free = unpack_free, .allocator_data = arena};
    *out = protobuf_c_message_unpack(type, &allocator, bytes.n, (const uint8_t *)bytes.p);
    if (*out == NULL) {
        return error_set(error, EA_INVALID, "message: is not a well-formed %s", type->name);
    }
    return EA_OK;
}

struct str message_pack(const ProtobufCMessage *message, struct arena *arena, char *room, size_t room_bytes)
{
    size_t n = protobuf_c_message_get_packed_size(message);
    char *at = n <= room_bytes ? room : arena_alloc(arena, n);
    return str_from(at, protobuf_c_message_pack(message, (uint8_t *)at));
}
