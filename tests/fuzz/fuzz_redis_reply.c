/* A server's bytes as replies to each kind of command: store/redis/resp.c, wire_read.c. The first byte picks the
 * verb, the second the edition and the size of the pieces. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "store/redis/wire.h"

static void take(const struct quorum_command *command, enum redis_edition edition, unsigned left,
                 const struct resp_value *value)
{
    static struct wire_first first;
    struct quorum_reply reply;
    const struct redis_failure *failure;
    if (wire_read(command, edition, left, value, &first, &reply, &failure) == EA_OK &&
        reply.answer == QUORUM_NAME && reply.name.n > NAME_BYTES_MAX) {
        abort();
    }
    for (size_t i = 0; i < 3; i++) {
        (void)!wire_read_look(value, i, 3, &reply, &failure);
        (void)!wire_read_read(value, i, 3, &reply, &failure);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct resp_reader reader;
    if (size < 2) {
        return 0;
    }
    struct quorum_command command = {.verb = (enum quorum_verb)(data[0] % QUORUM_VERB_COUNT),
                                     .exact = (data[0] & 0x80) != 0};
    enum redis_edition edition = data[1] & 1;
    size_t piece = (data[1] >> 1) + 1U;
    unsigned left = 1;
    if (reader.hiredis == NULL) {
        resp_reader_init(&reader);
    }
    resp_reader_reset(&reader);
    for (size_t at = 2; at < size; at += piece) {
        const struct resp_value *value = NULL;
        size_t n = size - at < piece ? size - at : piece;
        if (resp_reader_feed(&reader, data + at, n, NULL) != EA_OK) {
            return 0;
        }
        while (resp_reader_next(&reader, &value, NULL) == EA_OK && value != NULL) {
            take(&command, edition, left, value);
            left ^= 1;
        }
    }
    return 0;
}
