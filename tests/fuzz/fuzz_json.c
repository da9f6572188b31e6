/*
 * JSON bodies and queries. The first byte chooses message and kind of input; the rest is what a client sends.
 * Whatever it is: fields that are well-formed, or an error that can be shown.
 */
#include <assert.h>
#include <stdint.h>

#include "api/body.h"
#include "api/message.h"
#include "api/methods.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bit of the field `kind`, where there is one. */
static uint64_t kind_of(const ProtobufCMessageDescriptor *type)
{
    const ProtobufCFieldDescriptor *kind = message_field(type, STR("kind"));
    return kind != NULL ? UINT64_C(1) << (kind - type->fields) : 0;
}

static void check_fields(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        if (field->type == PROTOBUF_C_TYPE_STRING && (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) == 0) {
            const char *text = *(const char *const *)(const void *)((const char *)message + field->offset);
            assert(str_is_utf8(str_of(text)));
            assert((kind_of(type) >> i & 1) == 0 || text[0] == '\0');
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    body_setup();
    char room[1024] __attribute__((aligned(16)));
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    const struct api_method *method = &api_methods[(data[0] & 0x7f) % METHOD_COUNT];
    ProtobufCMessage *message = message_new(method->request, &arena);
    struct str text = str_from(data + 1, size - 1);
    uint64_t skip = kind_of(method->request);
    struct error error = ERROR_NONE;
    enum err err = data[0] & 0x80 ? body_read_query(message, text, skip, &arena, &error)
                                  : body_read(message, text, skip, &arena, &error);
    if (err == EA_OK) {
        check_fields(message);
    } else {
        assert(err == EA_INVALID && error.code == EA_INVALID);
        assert(str_is_utf8(str_of(error.text)) && !str_has_control(str_of(error.text)));
        assert(str_starts(str_of(error.text), data[0] & 0x80 ? STR("query: ") : STR("body")));
    }
    arena_reset(&arena);
    return 0;
}
