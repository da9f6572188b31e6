/*
 * gRPC's bytes: the input's first byte is the size of the pieces a reader gets, the rest is messages with
 * their prefixes; the same messages must come out whatever the pieces. Each is also taken for a gzip stream,
 * a timeout and a status text.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "http/grpc.h"
#include "http/grpc_gzip.h"
#include "http/grpc_message.h"

#define LIMIT ((size_t)4096)

/* What reading comes to: a sum over the messages and the way it ends. */
struct outcome {
    uint64_t sum;
    enum grpc_read last;
    bool partial;
};

static struct outcome read_all(const uint8_t *data, size_t size, size_t piece)
{
    struct outcome outcome = {.last = GRPC_READ_MORE};
    struct grpc_reader reader;
    grpc_reader_init(&reader, LIMIT);
    for (size_t at = 0; at < size && outcome.last <= GRPC_READ_MESSAGE; at += piece) {
        struct str input = str_from(data + at, size - at < piece ? size - at : piece);
        while (input.n > 0 && outcome.last <= GRPC_READ_MESSAGE) {
            struct str message = {NULL, 0};
            bool compressed = false;
            outcome.last = grpc_reader_next(&reader, &input, &message, &compressed);
            if (outcome.last == GRPC_READ_MESSAGE) {
                assert(message.n <= LIMIT);
                outcome.sum = outcome.sum * 31 + message.n * 2 + compressed;
                for (size_t i = 0; i < message.n; i++) {
                    outcome.sum = outcome.sum * 31 + (uint8_t)message.p[i];
                }
            }
        }
        assert(reader.cap <= 2 * LIMIT);
    }
    outcome.partial = outcome.last <= GRPC_READ_MESSAGE && grpc_reader_partial(&reader);
    grpc_reader_fini(&reader);
    return outcome;
}

static void try_text(struct str text)
{
    int64_t us = 0;
    if (grpc_timeout_us(text, &us) == EA_OK) {
        assert(us >= 0);
    }
    struct str cut = grpc_cut(text, 100);
    assert(cut.n <= 100);
    char encoded[300];
    size_t n = grpc_percent_encode(cut, encoded);
    for (size_t i = 0; i < n; i++) {
        assert(encoded[i] >= 0x20 && encoded[i] <= 0x7E);
    }
    size_t decoded = str_percent_decode(str_from(encoded, n), encoded);
    assert(str_eq(str_from(encoded, decoded), cut));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct outcome whole = read_all(data + 1, size - 1, size);
    struct outcome pieces = read_all(data + 1, size - 1, data[0] > 0 ? data[0] : 1);
    assert(whole.sum == pieces.sum &&
           (whole.last <= GRPC_READ_MESSAGE) == (pieces.last <= GRPC_READ_MESSAGE));
    assert(whole.partial == pieces.partial);
    struct str rest = str_from(data + 1, size - 1);
    char *out = NULL;
    size_t n = 0;
    if (grpc_gunzip(rest, LIMIT, &out, &n) == EA_OK) {
        assert(n <= LIMIT);
        mem_free(out);
    }
    try_text(rest);
    return 0;
}
