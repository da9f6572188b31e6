/*
 * Protobuf messages: from bytes to structs in a call's arena, from structs to bytes, and fields by name.
 *
 * protobuf-c does the work; what it leaves open is closed here: a string with a zero byte would silently
 * become a shorter name, broken UTF-8 would pass, and a small message of many fields would become a large one
 * in memory. Deciding code.
 */
#ifndef EA_API_MESSAGE_H
#define EA_API_MESSAGE_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* Fields on the wire in one request, known or not. A request of ours has at most 10. */
#define MESSAGE_FIELDS_MAX 256

/* A message with default values. */
ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *type, struct arena *arena);

/* EA_INVALID, with an error that names the field where it is known. */
enum err message_unpack(const ProtobufCMessageDescriptor *type, struct str bytes, struct arena *arena,
                        ProtobufCMessage **out, struct error *error) EA_MUST_CHECK;

/* Into `room` if it fits there, else into the arena. */
struct str message_pack(const ProtobufCMessage *message, struct arena *arena, char *room, size_t room_bytes);

/* The field of this name; NULL if there is none. */
const ProtobufCFieldDescriptor *message_field(const ProtobufCMessageDescriptor *type, struct str name);

/* Sets a string field to a copy. EA_INVALID: broken UTF-8, or a zero byte. */
enum err message_set_text(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, struct str text,
                          struct arena *arena, struct error *error) EA_MUST_CHECK;

/* Sets an int32 field. EA_INVALID: it does not fit. */
enum err message_set_int(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, int64_t value,
                         struct error *error) EA_MUST_CHECK;

/* Sets a uint64 field. */
void message_set_token(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, uint64_t value);

#endif
