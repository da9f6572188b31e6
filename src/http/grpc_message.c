#include "http/grpc_message.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/grpc.h"

#define READER_BYTES_FIRST   ((size_t)256)
#define FLAG_COMPRESSED      1
#define TIMEOUT_DIGITS_MAX   8
#define UTF8_CONTINUATION    0x80
#define UTF8_CONTINUATION_OF 0xC0
#define UTF8_CHARACTER_BYTES 4

void grpc_reader_init(struct grpc_reader *reader, size_t limit)
{
    *reader = (struct grpc_reader){.limit = limit};
}

void grpc_reader_fini(struct grpc_reader *reader)
{
    mem_free(reader->bytes);
    reader->bytes = NULL;
    reader->cap = 0;
}

static struct str take(struct str *input, size_t most)
{
    size_t n = input->n < most ? input->n : most;
    struct str part = {input->p, n};
    input->p += n;
    input->n -= n;
    return part;
}

static void collect(struct grpc_reader *reader, struct str part)
{
    if (part.n == 0) {
        return;
    }
    if (reader->n + part.n > reader->cap) {
        size_t cap = reader->cap > 0 ? reader->cap : READER_BYTES_FIRST;
        while (cap < reader->n + part.n) {
            cap *= 2;
        }
        reader->bytes = mem_realloc(reader->bytes, cap);
        reader->cap = cap;
    }
    memcpy(reader->bytes + reader->n, part.p, part.n);
    reader->n += part.n;
}

/* The prefix, if it is whole now. */
static enum grpc_read read_prefix(struct grpc_reader *reader, struct str *input)
{
    struct str part = take(input, GRPC_PREFIX_BYTES - reader->n_prefix);
    if (part.n > 0) {
        memcpy(reader->prefix + reader->n_prefix, part.p, part.n);
        reader->n_prefix = (uint8_t)(reader->n_prefix + part.n);
    }
    if (reader->n_prefix > 0 && reader->prefix[0] > FLAG_COMPRESSED) {
        return GRPC_READ_BAD_FLAG;
    }
    if (reader->n_prefix < GRPC_PREFIX_BYTES) {
        return GRPC_READ_MORE;
    }
    const uint8_t *p = reader->prefix + 1;
    reader->length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    reader->n = 0;
    return reader->length > reader->limit ? GRPC_READ_TOO_LARGE : GRPC_READ_MESSAGE;
}

enum grpc_read grpc_reader_next(struct grpc_reader *reader, struct str *input, struct str *message,
                                bool *compressed)
{
    if (reader->n_prefix < GRPC_PREFIX_BYTES) {
        enum grpc_read rv = read_prefix(reader, input);
        if (rv != GRPC_READ_MESSAGE) {
            return rv;
        }
    }
    if (reader->n == 0 && input->n >= reader->length) {
        *message = take(input, reader->length);
    } else {
        collect(reader, take(input, reader->length - reader->n));
        if (reader->n < reader->length) {
            return GRPC_READ_MORE;
        }
        *message = str_from(reader->bytes, reader->n);
    }
    if (message->p == NULL) {
        message->p = ""; /* an empty message is a message */
    }
    *compressed = reader->prefix[0] == FLAG_COMPRESSED;
    reader->n_prefix = 0;
    return GRPC_READ_MESSAGE;
}

bool grpc_reader_partial(const struct grpc_reader *reader)
{
    return reader->n_prefix > 0;
}

void grpc_prefix(uint8_t out[GRPC_PREFIX_BYTES], bool compressed, size_t length)
{
    assert(length <= UINT32_MAX);
    out[0] = compressed ? FLAG_COMPRESSED : 0;
    out[1] = (uint8_t)(length >> 24);
    out[2] = (uint8_t)(length >> 16);
    out[3] = (uint8_t)(length >> 8);
    out[4] = (uint8_t)length;
}

size_t grpc_percent_encode(struct str text, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte >= 0x20 && byte <= 0x7E && byte != '%') {
            out[n++] = (char)byte;
        } else {
            out[n++] = '%';
            out[n++] = hex[byte >> 4];
            out[n++] = hex[byte & 15];
        }
    }
    return n;
}

struct str grpc_cut(struct str text, size_t most)
{
    if (text.n <= most) {
        return text;
    }
    size_t n = most;
    for (int i = 1; i < UTF8_CHARACTER_BYTES && n > 0; i++) {
        if (((uint8_t)text.p[n] & UTF8_CONTINUATION_OF) != UTF8_CONTINUATION) {
            return str_from(text.p, n);
        }
        n--;
    }
    if (n > 0 && ((uint8_t)text.p[n] & UTF8_CONTINUATION_OF) != UTF8_CONTINUATION) {
        return str_from(text.p, n);
    }
    return str_from(text.p, most); /* not UTF-8: anywhere will do */
}

enum err grpc_timeout_us(struct str value, int64_t *us)
{
    if (value.n < 2 || value.n > TIMEOUT_DIGITS_MAX + 1) {
        return EA_INVALID;
    }
    uint64_t n = 0;
    if (!str_to_u64(str_from(value.p, value.n - 1), &n)) {
        return EA_INVALID;
    }
    int64_t v = (int64_t)n;
    switch (value.p[value.n - 1]) {
    case 'H':
        *us = v * 3600 * 1000000;
        return EA_OK;
    case 'M':
        *us = v * 60 * 1000000;
        return EA_OK;
    case 'S':
        *us = v * 1000000;
        return EA_OK;
    case 'm':
        *us = v * 1000;
        return EA_OK;
    case 'u':
        *us = v;
        return EA_OK;
    case 'n':
        *us = (v + 999) / 1000;
        return EA_OK;
    default:
        return EA_INVALID;
    }
}
