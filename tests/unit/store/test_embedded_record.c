/* Bytes of the database file: what is written is read back, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hlc.h"
#include "base/mem.h"
#include "base/random.h"
#include "store/embedded/record.h"

static const struct database_header header_example = {
    .ceiling = 1000000, .longest_ms = 60000, .clean = true, .boot_id = "0123456789abcdef"};

static struct book_record example(void)
{
    return (struct book_record){.kind = STR("default"),
                                .election = STR("an election"),
                                .leader = STR("a leader"),
                                .token = 777,
                                .term_ms = 5000,
                                .elected_at = {-5}};
}

static void a_lease_is_read_back_as_it_was_written(void **state)
{
    char key_bytes[RECORD_KEY_BYTES_MAX];
    char value_bytes[RECORD_VALUE_BYTES_MAX];
    char name[NAME_BYTES_MAX];
    struct book_record record = example();
    struct book_record back;
    memset(name, 'x', sizeof name);
    for (int i = 0; i < 2; i++) {
        struct str key = {key_bytes, record_key(record.kind, record.election, key_bytes)};
        struct str value = {value_bytes, record_value(&record, key, value_bytes)};
        assert_int_equal(record_read(key, value, &back, NULL), EA_OK);
        assert_true(str_eq(back.kind, record.kind) && str_eq(back.election, record.election));
        assert_true(str_eq(back.leader, record.leader) && back.token == record.token);
        assert_int_equal(back.term_ms, record.term_ms);
        assert_int_equal(back.elected_at.us, record.elected_at.us);
        /* ... and at every limit */
        record.kind = (struct str){name, KIND_BYTES_MAX};
        record.election = (struct str){name, NAME_BYTES_MAX};
        record.leader = (struct str){name, NAME_BYTES_MAX};
        record.token = HLC_SEEN_LIMIT - 1;
        record.term_ms = INT32_MAX;
        record.elected_at.us = INT64_MAX;
    }
    (void)state;
}

static void a_lease_with_any_bit_changed_or_cut_short_is_refused(void **state)
{
    char key_bytes[RECORD_KEY_BYTES_MAX];
    char value_bytes[RECORD_VALUE_BYTES_MAX];
    struct book_record record = example();
    struct book_record back;
    struct error error = ERROR_NONE;
    struct str key = {key_bytes, record_key(record.kind, record.election, key_bytes)};
    struct str value = {value_bytes, record_value(&record, key, value_bytes)};
    for (size_t bit = 0; bit < 8 * value.n; bit++) {
        value_bytes[bit / 8] ^= (char)(1U << bit % 8);
        assert_int_equal(record_read(key, value, &back, &error), EA_CORRUPT);
        assert_true(strlen(error.text) > 0);
        value_bytes[bit / 8] ^= (char)(1U << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * key.n; bit++) {
        key_bytes[bit / 8] ^= (char)(1U << bit % 8);
        assert_int_equal(record_read(key, value, &back, NULL), EA_CORRUPT);
        key_bytes[bit / 8] ^= (char)(1U << bit % 8);
    }
    for (size_t n = 0; n < value.n; n++) {
        assert_int_equal(record_read(key, (struct str){value.p, n}, &back, NULL), EA_CORRUPT);
    }
    for (size_t n = 0; n < key.n; n++) {
        assert_int_equal(record_read((struct str){key.p, n}, value, &back, NULL), EA_CORRUPT);
    }
    (void)state;
}

static void the_header_is_read_back_and_refused_with_any_bit_changed(void **state)
{
    char value[HEADER_VALUE_BYTES];
    struct database_header back;
    header_value(&header_example, value);
    assert_int_equal(header_read((struct str){value, sizeof value}, &back, NULL), EA_OK);
    assert_true(back.ceiling == header_example.ceiling && back.longest_ms == header_example.longest_ms);
    assert_true(back.clean && !back.power);
    assert_memory_equal(back.boot_id, header_example.boot_id, BOOT_ID_BYTES);
    for (size_t bit = 0; bit < 8 * sizeof value; bit++) {
        value[bit / 8] ^= (char)(1U << bit % 8);
        assert_int_equal(header_read((struct str){value, sizeof value}, &back, NULL), EA_CORRUPT);
        value[bit / 8] ^= (char)(1U << bit % 8);
    }
    (void)state;
}

/* --- the stream --- */

struct sink {
    struct record_stream stream;
    int headers;
    int leases;
};

static void on_header(void *arg, const struct database_header *header)
{
    struct sink *sink = arg;
    sink->headers += header->ceiling > 0;
}

static void on_lease(void *arg, struct str key, struct str value, const struct book_record *record)
{
    struct sink *sink = arg;
    sink->leases += key.n > 0 && value.n > 0 && record->token > 0;
}

static void add_lease(struct buf *out, const char *election, uint64_t token, int32_t term_ms)
{
    char key_bytes[RECORD_KEY_BYTES_MAX];
    char value_bytes[RECORD_VALUE_BYTES_MAX];
    struct book_record record = example();
    record.election = str_of(election);
    record.token = token;
    record.term_ms = term_ms;
    struct str key = {key_bytes, record_key(record.kind, record.election, key_bytes)};
    record_stream_add(out, key, (struct str){value_bytes, record_value(&record, key, value_bytes)});
}

static void add_header(struct buf *out)
{
    char value[HEADER_VALUE_BYTES];
    header_value(&header_example, value);
    record_stream_add(out, header_key, (struct str){value, sizeof value});
}

/* Feeds in pieces of `step` bytes and frees the bytes; counts go to *sink. */
static enum err feed(struct sink *sink, struct buf *bytes, size_t step)
{
    enum err err = EA_OK;
    *sink = (struct sink){.stream = {.header = on_header, .lease = on_lease}};
    sink->stream.arg = sink;
    for (size_t at = 0; at < bytes->n && err == EA_OK; at += step) {
        size_t n = bytes->n - at < step ? bytes->n - at : step;
        err = record_stream_feed(&sink->stream, bytes->p + at, n, NULL);
    }
    if (err == EA_OK) {
        err = record_stream_end(&sink->stream, NULL);
    }
    record_stream_fini(&sink->stream);
    return err;
}

static void a_stream_is_understood_in_pieces_of_any_size(void **state)
{
    struct buf bytes = BUF_EMPTY;
    struct sink sink;
    add_header(&bytes);
    add_lease(&bytes, "a", 1, 1000);
    add_lease(&bytes, "b", 2, 1000);
    record_stream_add_end(&bytes, 2);
    for (size_t step = 1; step <= bytes.n; step++) {
        assert_int_equal(feed(&sink, &bytes, step), EA_OK);
        assert_int_equal(sink.headers, 1);
        assert_int_equal(sink.leases, 2);
    }
    /* Cut anywhere, it is not whole. */
    for (size_t n = bytes.n; n > 0; n--) {
        bytes.n = n - 1;
        assert_int_equal(feed(&sink, &bytes, 64), EA_CORRUPT);
    }
    buf_fini(&bytes);
    (void)state;
}

enum mistake {
    NO_HEADER,
    TWO_HEADERS,
    WRONG_ORDER,
    TWICE,
    ABOVE_CEILING,
    ABOVE_LONGEST,
    WRONG_COUNT,
    AFTER_END,
    NO_END,
    MISTAKES
};

static void a_stream_with_any_mistake_is_refused(void **state)
{
    for (int mistake = 0; mistake <= MISTAKES; mistake++) {
        struct buf bytes = BUF_EMPTY;
        struct sink sink;
        if (mistake != NO_HEADER) {
            add_header(&bytes);
        }
        if (mistake == TWO_HEADERS) {
            add_header(&bytes);
        }
        if (mistake == WRONG_ORDER) {
            add_lease(&bytes, "z", 1, 1000);
        }
        add_lease(&bytes, "a", mistake == ABOVE_CEILING ? header_example.ceiling + 1 : 1,
                  mistake == ABOVE_LONGEST ? header_example.longest_ms + 1 : 1000);
        if (mistake == TWICE) {
            add_lease(&bytes, "a", 1, 1000);
        }
        uint64_t n = mistake == TWICE || mistake == WRONG_ORDER ? 2 : 1;
        if (mistake != NO_END) {
            record_stream_add_end(&bytes, mistake == WRONG_COUNT ? n + 1 : n);
        }
        if (mistake == AFTER_END) {
            add_lease(&bytes, "b", 1, 1000);
        }
        assert_int_equal(feed(&sink, &bytes, 32), mistake == MISTAKES ? EA_OK : EA_CORRUPT);
        buf_fini(&bytes);
    }
    (void)state;
}

static void frames_longer_than_any_lease_are_refused_before_they_are_read(void **state)
{
    static const unsigned char heads[][4] = {{0xff, 0xff, 1, 0}, {1, 0, 0xff, 0xff}, {0, 0, 9, 0}};
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        struct record_stream stream = {.header = on_header, .lease = on_lease};
        assert_int_equal(record_stream_feed(&stream, heads[i], 4, NULL), EA_CORRUPT);
        record_stream_fini(&stream);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lease_is_read_back_as_it_was_written),
        cmocka_unit_test(a_lease_with_any_bit_changed_or_cut_short_is_refused),
        cmocka_unit_test(the_header_is_read_back_and_refused_with_any_bit_changed),
        cmocka_unit_test(a_stream_is_understood_in_pieces_of_any_size),
        cmocka_unit_test(a_stream_with_any_mistake_is_refused),
        cmocka_unit_test(frames_longer_than_any_lease_are_refused_before_they_are_read),
    };
    return cmocka_run_group_tests_name("embedded record", tests, NULL, NULL);
}
