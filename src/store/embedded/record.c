#include "store/embedded/record.h"

#include <assert.h>
#include <string.h>

#include <xxhash.h>

#include "base/hlc.h"

#define RECORD_VERSION     1
#define RECORD_FIXED_BYTES 24
#define CHECK_BYTES        8
#define FRAME_HEAD_BYTES   4
#define FLAG_CLEAN         1U
#define FLAG_POWER         2U

const struct str header_key = STR_INIT("\0header");

/* --- numbers --- */

static void put_u16(char *p, uint16_t v)
{
    p[0] = (char)(v & 0xff);
    p[1] = (char)(v >> 8);
}

static void put_u64(char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (char)(v >> (8 * i) & 0xff);
    }
}

static void put_u32(char *p, uint32_t v)
{
    put_u16(p, (uint16_t)(v & 0xffff));
    put_u16(p + 2, (uint16_t)(v >> 16));
}

static uint64_t get(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        v = v << 8 | (uint8_t)p[i];
    }
    return v;
}

static uint64_t check_of(struct str key, const char *value, size_t n)
{
    return XXH64(value, n, XXH64(key.p, key.n, 0));
}

/* --- keys and values --- */

size_t record_key(struct str kind, struct str election, char out[RECORD_KEY_BYTES_MAX])
{
    assert(kind.n > 0 && kind.n <= KIND_BYTES_MAX && election.n > 0 && election.n <= NAME_BYTES_MAX); /* N1 */
    memcpy(out, kind.p, kind.n);
    out[kind.n] = '\0';
    memcpy(out + kind.n + 1, election.p, election.n);
    return kind.n + 1 + election.n;
}

bool record_split(struct str key, struct str *kind, struct str *election)
{
    const char *zero = key.n > 0 ? memchr(key.p, '\0', key.n) : NULL;
    if (zero == NULL) {
        return false;
    }
    *kind = (struct str){key.p, (size_t)(zero - key.p)};
    *election = (struct str){zero + 1, key.n - kind->n - 1};
    return true;
}

size_t record_value(const struct book_record *record, struct str key, char out[RECORD_VALUE_BYTES_MAX])
{
    assert(record->leader.n > 0 && record->leader.n <= NAME_BYTES_MAX && record->term_ms > 0);
    size_t n = RECORD_FIXED_BYTES + record->leader.n;
    out[0] = RECORD_VERSION;
    out[1] = (char)record->leader.n;
    put_u16(out + 2, 0);
    put_u32(out + 4, (uint32_t)record->term_ms);
    put_u64(out + 8, record->token);
    put_u64(out + 16, (uint64_t)record->elected_at.us);
    memcpy(out + RECORD_FIXED_BYTES, record->leader.p, record->leader.n);
    put_u64(out + n, check_of(key, out, n));
    return n + CHECK_BYTES;
}

static enum err corrupt(struct error *error, const char *what)
{
    (void)error_set(error, EA_CORRUPT, "%s", what);
    return EA_CORRUPT;
}

enum err record_read(struct str key, struct str value, struct book_record *out, struct error *error)
{
    struct book_record record = {.term_ms = 0};
    if (key.n > RECORD_KEY_BYTES_MAX || !record_split(key, &record.kind, &record.election) ||
        name_check_kind(record.kind, NULL) != EA_OK ||
        name_check("election", record.election, NULL) != EA_OK) {
        return corrupt(error, "a lease has a malformed key");
    }
    if (value.n < RECORD_FIXED_BYTES + 1 + CHECK_BYTES || value.p[0] != RECORD_VERSION ||
        value.n != RECORD_FIXED_BYTES + (size_t)(uint8_t)value.p[1] + CHECK_BYTES) {
        return corrupt(error, "a lease has a wrong length or an unknown version");
    }
    size_t n = value.n - CHECK_BYTES;
    if (get(value.p + n, 8) != check_of(key, value.p, n)) {
        return corrupt(error, "a lease does not match its checksum");
    }
    uint64_t term_ms = get(value.p + 4, 4);
    record.leader = (struct str){value.p + RECORD_FIXED_BYTES, (uint8_t)value.p[1]};
    record.token = get(value.p + 8, 8);
    record.elected_at.us = (int64_t)get(value.p + 16, 8);
    if (name_check("leader", record.leader, NULL) != EA_OK || term_ms == 0 || term_ms > INT32_MAX ||
        record.token == 0 || record.token >= HLC_SEEN_LIMIT || get(value.p + 2, 2) != 0) {
        return corrupt(error, "a lease has a value out of range");
    }
    record.term_ms = (int32_t)term_ms;
    *out = record;
    return EA_OK;
}

void header_value(const struct database_header *header, char out[HEADER_VALUE_BYTES])
{
    assert(header->ceiling < HLC_LIMIT && header->longest_ms >= 0);
    size_t n = HEADER_VALUE_BYTES - CHECK_BYTES;
    out[0] = RECORD_VERSION;
    out[1] = (char)((header->clean ? FLAG_CLEAN : 0) | (header->power ? FLAG_POWER : 0));
    put_u16(out + 2, 0);
    put_u32(out + 4, (uint32_t)header->longest_ms);
    put_u64(out + 8, header->ceiling);
    memcpy(out + 16, header->boot_id, BOOT_ID_BYTES);
    put_u64(out + n, check_of(header_key, out, n));
}

enum err header_read(struct str value, struct database_header *out, struct error *error)
{
    size_t n = HEADER_VALUE_BYTES - CHECK_BYTES;
    if (value.n != HEADER_VALUE_BYTES || value.p[0] != RECORD_VERSION) {
        return corrupt(error, "its header has a wrong length or an unknown version");
    }
    if (get(value.p + n, 8) != check_of(header_key, value.p, n)) {
        return corrupt(error, "its header does not match its checksum");
    }
    uint64_t longest_ms = get(value.p + 4, 4);
    uint8_t flags = (uint8_t)value.p[1];
    struct database_header header = {
        .ceiling = get(value.p + 8, 8),
        .clean = (flags & FLAG_CLEAN) != 0,
        .power = (flags & FLAG_POWER) != 0,
    };
    if (header.ceiling >= HLC_SEEN_LIMIT || longest_ms > INT32_MAX || flags > (FLAG_CLEAN | FLAG_POWER) ||
        get(value.p + 2, 2) != 0) {
        return corrupt(error, "its header has a value out of range");
    }
    header.longest_ms = (int32_t)longest_ms;
    memcpy(header.boot_id, value.p + 16, BOOT_ID_BYTES);
    *out = header;
    return EA_OK;
}

/* --- the stream --- */

static enum err stream_lease(struct record_stream *stream, struct str key, struct str value,
                             struct error *error)
{
    struct book_record record;
    if (!stream->has_header) {
        return corrupt(error, "it has no header");
    }
    enum err err = record_read(key, value, &record, error);
    if (err != EA_OK) {
        return err;
    }
    if (str_cmp(key, (struct str){stream->last, stream->last_bytes}) <= 0) {
        return corrupt(error, "its leases are not in order");
    }
    if (record.token > stream->known.ceiling || record.term_ms > stream->known.longest_ms) {
        return corrupt(error, "a lease contradicts its header");
    }
    memcpy(stream->last, key.p, key.n);
    stream->last_bytes = key.n;
    stream->leases++;
    stream->lease(stream->arg, key, value, &record);
    return EA_OK;
}

static enum err stream_frame(struct record_stream *stream, struct str key, struct str value,
                             struct error *error)
{
    if (stream->ended) {
        return corrupt(error, "something follows its end");
    }
    if (key.n == 0) {
        stream->ended = true;
        return get(value.p, 8) == stream->leases && stream->has_header
                   ? EA_OK
                   : corrupt(error, "it has another number of leases than it says");
    }
    if (!str_eq(key, header_key)) {
        return stream_lease(stream, key, value, error);
    }
    if (stream->has_header) {
        return corrupt(error, "it has two headers");
    }
    stream->has_header = true;
    enum err err = header_read(value, &stream->known, error);
    if (err == EA_OK) {
        stream->header(stream->arg, &stream->known);
    }
    return err;
}

/* Takes one frame off the buffer; *taken is false if it is not whole yet. */
static enum err stream_take(struct record_stream *stream, bool *taken, struct error *error)
{
    const char *p = stream->bytes.p + stream->at;
    size_t left = stream->bytes.n - stream->at;
    *taken = false;
    if (left < FRAME_HEAD_BYTES) {
        return EA_OK;
    }
    size_t key_bytes = (size_t)get(p, 2);
    size_t value_bytes = (size_t)get(p + 2, 2);
    if (key_bytes > RECORD_KEY_BYTES_MAX || value_bytes > RECORD_VALUE_BYTES_MAX ||
        (key_bytes == 0 && value_bytes != 8)) {
        return corrupt(error, "a lease is longer than any can be");
    }
    if (left < FRAME_HEAD_BYTES + key_bytes + value_bytes) {
        return EA_OK;
    }
    *taken = true;
    stream->at += FRAME_HEAD_BYTES + key_bytes + value_bytes;
    p += FRAME_HEAD_BYTES;
    return stream_frame(stream, (struct str){p, key_bytes}, (struct str){p + key_bytes, value_bytes}, error);
}

enum err record_stream_feed(struct record_stream *stream, const void *p, size_t n, struct error *error)
{
    enum err err = EA_OK;
    bool taken = true;
    buf_add(&stream->bytes, p, n);
    while (taken && err == EA_OK) {
        err = stream_take(stream, &taken, error);
    }
    stream->bytes.n -= stream->at;
    memmove(stream->bytes.p, stream->bytes.p + stream->at, stream->bytes.n);
    stream->at = 0;
    return err;
}

enum err record_stream_end(const struct record_stream *stream, struct error *error)
{
    return stream->ended && stream->bytes.n == 0 ? EA_OK : corrupt(error, "it ends too early");
}

void record_stream_fini(struct record_stream *stream)
{
    buf_fini(&stream->bytes);
}

void record_stream_add(struct buf *out, struct str key, struct str value)
{
    char *head = buf_reserve(out, FRAME_HEAD_BYTES + key.n + value.n);
    assert(key.n <= UINT16_MAX && value.n <= UINT16_MAX);
    put_u16(head, (uint16_t)key.n);
    put_u16(head + 2, (uint16_t)value.n);
    if (key.n > 0) {
        memcpy(head + FRAME_HEAD_BYTES, key.p, key.n);
    }
    memcpy(head + FRAME_HEAD_BYTES + key.n, value.p, value.n);
    out->n += FRAME_HEAD_BYTES + key.n + value.n;
}

void record_stream_add_end(struct buf *out, uint64_t leases)
{
    char number[8];
    put_u64(number, leases);
    record_stream_add(out, (struct str){NULL, 0}, (struct str){number, sizeof number});
}
