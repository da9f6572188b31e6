/* A server's bytes as replies to each kind of command: store/redis/resp.c, wire_read.c. The first byte picks the
 * verb, the second the edition and the size of the pieces. And as what a node remembers: recall.c. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "store/redis/recall.h"
#include "store/redis/wire.h"

static void remember(const struct resp_value *value)
{
    static const struct quorum_now now = {{INT64_C(1000000)}, {INT64_C(1700000000000000)}};
    struct arena arena;
    struct recall recall;
    struct election_request request = {.op = OP_INFO};
    arena_init(&arena, NULL, 0);
    recall_init(&recall, 1, &arena);
    (void)!recall_take_meta(&recall, 0, value);
    (void)!recall_take_candidates(&recall, value);
    (void)!recall_take_fence(&recall, value, now.wall);
    recall_answer(&recall, now, &request);
    if (request.info.n_events > ELECTION_EVENTS_KEPT || request.info.n_candidates > RECALL_CANDIDATES_MAX) {
        abort();
    }
    arena_reset(&arena);
}

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
        (void)!wire_read_item(QUORUM_LOOK, value, i, 3, &reply, &failure);
        (void)!wire_read_item(QUORUM_CLAIM, value, i, 3, &reply, &failure);
        (void)!wire_read_item(QUORUM_READ, value, i, 3, &reply, &failure);
    }
    remember(value);
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
