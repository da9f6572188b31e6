/*
 * The bytes of a database file that reach this process: the stream of the reader, in pieces, and single
 * records and headers. What is understood must be written back as it was read.
 */
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hlc.h"
#include "store/embedded/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_header(void *arg, const struct database_header *header)
{
    char value[HEADER_VALUE_BYTES];
    struct database_header back;
    header_value(header, value);
    enum err err = header_read((struct str){value, sizeof value}, &back, NULL);
    assert(err == EA_OK && back.ceiling == header->ceiling && back.longest_ms == header->longest_ms);
    (void)err;
    *(bool *)arg = true;
}

static void on_lease(void *arg, struct str key, struct str value, const struct book_record *record)
{
    char key_bytes[RECORD_KEY_BYTES_MAX];
    char value_bytes[RECORD_VALUE_BYTES_MAX];
    struct str again = {key_bytes, record_key(record->kind, record->election, key_bytes)};
    assert(*(bool *)arg && str_eq(key, again));
    assert(record->token > 0 && record->token < HLC_LIMIT && record->term_ms > 0);
    assert(str_eq(value, (struct str){value_bytes, record_value(record, again, value_bytes)}));
}

static void feed(const uint8_t *data, size_t size, size_t step)
{
    bool seen = false;
    struct record_stream stream = {.header = on_header, .lease = on_lease, .arg = &seen};
    enum err err = EA_OK;
    for (size_t at = 0; at < size && err == EA_OK; at += step) {
        err = record_stream_feed(&stream, data + at, size - at < step ? size - at : step, NULL);
    }
    if (err == EA_OK && record_stream_end(&stream, NULL) == EA_OK) {
        assert(seen);
    }
    record_stream_fini(&stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct database_header header;
    struct book_record record;
    struct str all = {(const char *)data, size};
    feed(data, size, size + 1);
    feed(data, size, 1 + size % 7);
    enum err err = header_read(all, &header, NULL);
    if (size > 0) {
        /* a byte that says how long the key is, key, value */
        size_t key = data[0] < size ? data[0] : size - 1;
        err = record_read((struct str){all.p + 1, key}, (struct str){all.p + 1 + key, size - 1 - key},
                          &record, NULL);
    }
    (void)err;
    return 0;
}
