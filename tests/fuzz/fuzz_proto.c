/*
 * Protobuf messages. The first byte chooses the type; the rest is what a client sends. Whatever it is: a
 * message that packs and unpacks to the same bytes again, or an error that can be shown.
 */
#include <assert.h>
#include <stdint.h>

#include "api/message.h"
#include "api/methods.h"
#include "reflection.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *type_of(uint8_t choice)
{
    unsigned i = choice % (METHOD_COUNT + 1);
    return i < METHOD_COUNT ? api_methods[i].request
                            : &grpc__reflection__v1__server_reflection_request__descriptor;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char room[1024] __attribute__((aligned(16)));
    struct arena arena;
    arena_init(&arena, room, sizeof room);
    const ProtobufCMessageDescriptor *type = type_of(data[0]);
    ProtobufCMessage *message = NULL;
    struct error error = ERROR_NONE;
    enum err err = message_unpack(type, str_from(data + 1, size - 1), &arena, &message, &error);
    if (err == EA_OK) {
        struct str packed = message_pack(message, &arena, NULL, 0);
        ProtobufCMessage *again = NULL;
        err = message_unpack(type, packed, &arena, &again, &error);
        assert(err == EA_OK);
        assert(str_eq(message_pack(again, &arena, NULL, 0), packed));
    } else {
        assert(err == EA_INVALID && error.code == EA_INVALID);
        assert(str_is_utf8(str_of(error.text)) && !str_has_control(str_of(error.text)));
    }
    arena_reset(&arena);
    return 0;
}
