/*
 * JSON bodies and query strings to messages: the message's descriptor says which keys there are and what they
 * hold. Keys that the message does not have are ignored, as unknown fields are in gRPC; `null` is a key that
 * is not there. Everything else that is not exactly right is EA_INVALID, with an error that says what and
 * where: "body: term: must be a whole number of milliseconds, got 1.5".
 *
 * jansson parses, with its memory in an arena that ends with body_read(). Its allocator is a setting of the
 * process: body_setup() makes it a function that takes from the arena of the parse that runs on this thread,
 * and from the heap when none does. That is safe because no JSON value outlives body_read(); texts are copied
 * to the call's arena.
 */
#ifndef EA_API_BODY_H
#define EA_API_BODY_H

#include <protobuf-c/protobuf-c.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"

/* Once, before threads start; may be called again. */
void body_setup(void);

/* Sets the fields of `message` that the JSON object `body` holds. A key whose field has its bit (the place in
 * the descriptor's `fields`) in `skip` is ignored: it comes from elsewhere. */
enum err body_read(ProtobufCMessage *message, struct str body, uint64_t skip, struct arena *arena,
                   struct error *error) EA_MUST_CHECK;

/* The same from "page_size=10&page_token=a%20b"; numbers are decimal. Errors begin with "query: ". */
enum err body_read_query(ProtobufCMessage *message, struct str query, uint64_t skip, struct arena *arena,
                         struct error *error) EA_MUST_CHECK;

#endif
