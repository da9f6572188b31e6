#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "http/grpc.h"
#include "http/grpc_message.h"

static void a_message_that_is_whole_is_not_copied(void **state)
{
    (void)state;
    struct grpc_reader reader;
    grpc_reader_init(&reader, 100);
    const char bytes[] = "\0\0\0\0\2hi\1\0\0\0\1z";
    struct str input = {bytes, sizeof bytes - 1};
    struct str message = {NULL, 0};
    bool compressed = true;
    assert_int_equal(grpc_reader_next(&reader, &input, &message, &compressed), GRPC_READ_MESSAGE);
    assert_ptr_equal(message.p, bytes + 5);
    assert_int_equal(message.n, 2);
    assert_false(compressed);
    assert_int_equal(grpc_reader_next(&reader, &input, &message, &compressed), GRPC_READ_MESSAGE);
    assert_true(str_eq(message, STR("z")));
    assert_true(compressed);
    assert_int_equal(grpc_reader_next(&reader, &input, &message, &compressed), GRPC_READ_MORE);
    assert_false(grpc_reader_partial(&reader));
    grpc_reader_fini(&reader);
}

static void messages_cut_anywhere_are_put_together(void **state)
{
    (void)state;
    const char bytes[] = "\0\0\0\0\5hello\0\0\0\0\0\0\0\0\0\3bye";
    const size_t n = sizeof bytes - 1;
    for (size_t piece = 1; piece <= n; piece++) {
        struct grpc_reader reader;
        grpc_reader_init(&reader, 100);
        const struct str expected[] = {STR("hello"), STR(""), STR("bye")};
        size_t found = 0;
        for (size_t at = 0; at < n; at += piece) {
            struct str input = {bytes + at, n - at < piece ? n - at : piece};
            struct str message = {NULL, 0};
            bool compressed = false;
            while (input.n > 0) {
                if (grpc_reader_next(&reader, &input, &message, &compressed) == GRPC_READ_MESSAGE) {
                    if (found == ARRAY_LENGTH(expected)) {
                        fail_msg("a message too many");
                        return;
                    }
                    assert_true(str_eq(message, expected[found]));
                    assert_non_null(message.p);
                    found++;
                }
            }
        }
        assert_int_equal(found, ARRAY_LENGTH(expected));
        assert_false(grpc_reader_partial(&reader));
        grpc_reader_fini(&reader);
    }
}

static void what_is_not_whole_is_partial(void **state)
{
    (void)state;
    const char bytes[] = "\0\0\0\0\2h";
    for (size_t n = 1; n < sizeof bytes; n++) {
        struct grpc_reader reader;
        grpc_reader_init(&reader, 100);
        struct str input = {bytes, n};
        struct str message = {NULL, 0};
        bool compressed = false;
        assert_int_equal(grpc_reader_next(&reader, &input, &message, &compressed), GRPC_READ_MORE);
        assert_true(grpc_reader_partial(&reader));
        grpc_reader_fini(&reader);
    }
}

static void an_unknown_flag_is_seen_at_the_first_byte(void **state)
{
    (void)state;
    for (int flag = 2; flag < 256; flag++) {
        struct grpc_reader reader;
        grpc_reader_init(&reader, 100);
        char byte = (char)flag;
        struct str input = {&byte, 1};
        struct str message = {NULL, 0};
        bool compressed = false;
        assert_int_equal(grpc_reader_next(&reader, &input, &message, &compressed), GRPC_READ_BAD_FLAG);
        grpc_reader_fini(&reader);
    }
}

static void a_message_over_the_limit_is_seen_by_its_prefix(void **state)
{
    (void)state;
    struct grpc_reader reader;
    grpc_reader_init(&reader, 65536);
    struct str message = {NULL, 0};
    bool compressed = false;
    struct str fits = {"\0\0\1\0\0", 5};
    assert_int_equal(grpc_reader_next(&reader, &fits, &message, &compressed), GRPC_READ_MORE);
    assert_int_equal(reader.cap, 0); /* memory comes with bytes, not with promises */
    grpc_reader_init(&reader, 65536);
    struct str large = {"\0\0\1\0\1", 5};
    assert_int_equal(grpc_reader_next(&reader, &large, &message, &compressed), GRPC_READ_TOO_LARGE);
    grpc_reader_init(&reader, 65536);
    struct str huge = {"\0\377\377\377\377", 5};
    assert_int_equal(grpc_reader_next(&reader, &huge, &message, &compressed), GRPC_READ_TOO_LARGE);
}

static void a_prefix_is_flag_and_length(void **state)
{
    (void)state;
    uint8_t out[GRPC_PREFIX_BYTES];
    grpc_prefix(out, true, 0x01020304);
    assert_memory_equal(out, "\1\1\2\3\4", 5);
    grpc_prefix(out, false, 7);
    assert_memory_equal(out, "\0\0\0\0\7", 5);
}

static void status_texts_are_percent_encoded(void **state)
{
    (void)state;
    const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {STR("plain text ~"), "plain text ~"},
        {STR("100%"), "100%25"},
        {STR("line\r\nbreak"), "line%0D%0Abreak"},
        {STR("\xc3\xa4"), "%C3%A4"},
        {STR("\x7f\x01"), "%7F%01"},
        {STR(""), ""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char out[64];
        size_t n = grpc_percent_encode(rows[i].in, out);
        assert_true(str_eq(str_from(out, n), str_of(rows[i].out)));
    }
}

static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    assert_true(str_eq(grpc_cut(STR("short"), 5), STR("short")));
    assert_true(str_eq(grpc_cut(STR("longer"), 4), STR("long")));
    /* a, e acute, snowman, clef */
    const struct str text = STR("a\xc3\xa9\xe2\x98\x83\xf0\x9d\x84\x9e");
    const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10};
    for (size_t most = 0; most < ARRAY_LENGTH(expected); most++) {
        assert_int_equal(grpc_cut(text, most).n, expected[most]);
    }
    /* Not UTF-8: cut where it is. */
    assert_int_equal(grpc_cut(STR("\x80\x80\x80\x80\x80\x80\x80\x80"), 6).n, 6);
}

static void timeouts_are_read_in_all_units(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"1H", INT64_C(3600000000)},
        {"2M", 120000000},
        {"5S", 5000000},
        {"100m", 100000},
        {"7u", 7},
        {"1n", 1},
        {"1001n", 2},
        {"0S", 0},
        {"99999999H", INT64_C(99999999) * 3600000000},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t us = -1;
        assert_int_equal(grpc_timeout_us(str_of(rows[i].text), &us), EA_OK);
        assert_int_equal(us, rows[i].us);
    }
}

static void malformed_timeouts_are_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {"",     "S",   "1",   "1s",         "-1S", "+1S",
                                 "1.5S", " 1S", "1S ", "123456789S", "1SS", "S1"};
    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        int64_t us = 42;
        assert_int_equal(grpc_timeout_us(str_of(wrong[i]), &us), EA_INVALID);
        assert_int_equal(us, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_is_whole_is_not_copied),
        cmocka_unit_test(messages_cut_anywhere_are_put_together),
        cmocka_unit_test(what_is_not_whole_is_partial),
        cmocka_unit_test(an_unknown_flag_is_seen_at_the_first_byte),
        cmocka_unit_test(a_message_over_the_limit_is_seen_by_its_prefix),
        cmocka_unit_test(a_prefix_is_flag_and_length),
        cmocka_unit_test(status_texts_are_percent_encoded),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(timeouts_are_read_in_all_units),
        cmocka_unit_test(malformed_timeouts_are_refused),
    };
    return cmocka_run_group_tests_name("http/grpc_message", tests, NULL, NULL);
}
