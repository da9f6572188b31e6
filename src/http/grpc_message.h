/*
 * The bytes of gRPC (PROTOCOL-HTTP2.md): message prefixes, grpc-timeout, grpc-message. Deciding code: no I/O,
 * no clock.
 */
#ifndef EA_HTTP_GRPC_MESSAGE_H
#define EA_HTTP_GRPC_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* A flag byte and the length, big-endian. */
#define GRPC_PREFIX_BYTES ((size_t)5)

enum grpc_read {
    GRPC_READ_MORE,    /* all input is taken; no whole message */
    GRPC_READ_MESSAGE, /* one message */
    GRPC_READ_BAD_FLAG,
    GRPC_READ_TOO_LARGE /* than `limit`, by its prefix */
};

/* Puts messages together from pieces cut anywhere. */
struct grpc_reader {
    size_t limit;
    uint8_t prefix[GRPC_PREFIX_BYTES];
    uint8_t n_prefix; /* of its bytes, come */
    size_t length;    /* of the message, when the prefix is whole */
    uint8_t *bytes;   /* heap; those of a message that came in pieces. Grows with what came, not with what was
                         said. */
    size_t n;
    size_t cap;
};

/* `limit`: bytes of the longest message that is taken. Fini frees a message that has come in part. */
void grpc_reader_init(struct grpc_reader *reader, size_t limit);
void grpc_reader_fini(struct grpc_reader *reader);

/*
 * Takes bytes from *input. On GRPC_READ_MESSAGE, *message lies in the input (when it is whole there: no copy)
 * or in the reader until the next call. After an error the reader is of no more use.
 */
enum grpc_read grpc_reader_next(struct grpc_reader *reader, struct str *input, struct str *message,
                                bool *compressed);

/* A message has begun and is not whole. */
bool grpc_reader_partial(const struct grpc_reader *reader);

/* Writes the five bytes that go before a message of `length` bytes. */
void grpc_prefix(uint8_t out[GRPC_PREFIX_BYTES], bool compressed, size_t length);

/* Bytes outside of 0x20..0x7E and '%' become %XX. `out` has 3 * text.n bytes. Returns the length. */
size_t grpc_percent_encode(struct str text, char *out);

/* At most `most` bytes of text, cut between two characters if it is UTF-8. */
struct str grpc_cut(struct str text, size_t most);

#endif
