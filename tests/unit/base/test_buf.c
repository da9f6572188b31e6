#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "helpers.h"

static void bytes_are_added_and_the_buffer_grows(void **state)
{
    struct buf b = BUF_EMPTY;
    for (int i = 0; i < 10000; i++) {
        buf_add_str(&b, STR("ab"));
        buf_add(&b, "c", 1);
    }
    buf_add(&b, NULL, 0);
    assert_int_equal(b.n, 30000);
    assert_memory_equal(b.p + 29997, "abc", 3);
    buf_clear(&b);
    assert_int_equal(buf_str(&b).n, 0);
    buf_add_str(&b, STR("x"));
    assert_true(str_eq(buf_str(&b), STR("x")));
    buf_fini(&b);
    assert_null(b.p);
}

static void reserved_room_is_as_large_as_asked(void **state)
{
    struct buf b = BUF_EMPTY;
    memset(buf_reserve(&b, 5000), 'x', 5000);
    b.n += 5000;
    assert_true(b.cap >= 5000);
    buf_reserve(&b, 0);
    assert_int_equal(b.n, 5000);
    buf_fini(&b);
}

static void numbers_and_formats_are_added_at_every_fill(void **state)
{
    for (size_t fill = 0; fill < 300; fill++) {
        struct buf b = BUF_EMPTY;
        memset(buf_reserve(&b, fill), '.', fill);
        b.n = fill;
        buf_add_u64(&b, UINT64_MAX);
        buf_format(&b, "<%s %d>", "text", -5);
        assert_true(str_eq(str_from(b.p + fill, b.n - fill), STR("18446744073709551615<text -5>")));
        buf_format(&b, "%300d", 1);
        assert_int_equal(b.n, fill + 29 + 300);
        buf_fini(&b);
    }
}

static void json_strings_are_escaped(void **state)
{
    static const struct {
        struct str s;
        const char *json;
    } rows[] = {
        {STR_INIT(""), "\"\""},
        {STR_INIT("plain/text"), "\"plain/text\""},
        {STR_INIT("\"\\\n\r\t"), "\"\\\"\\\\\\n\\r\\t\""},
        {STR_INIT("\0\x1f\x7f"), "\"\\u0000\\u001f\\u007f\""},
        {STR_INIT("\xC3\xA4\xF0\x9F\x98\x80"), "\"\xC3\xA4\xF0\x9F\x98\x80\""},
        {STR_INIT("a\xFF"
                  "b\xC3"),
         "\"a\xEF\xBF\xBD"
         "b\xEF\xBF\xBD\""},
        {STR_INIT("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {STR_INIT("\xE2\x80\xA8\xE2\x80\xAE"), "\"\\u2028\\u202e\""},
        {STR_INIT("</script>"), "\"</script>\""},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf b = BUF_EMPTY;
        buf_add_json(&b, rows[i].s);
        assert_true(str_eq(buf_str(&b), str_of(rows[i].json)));
        buf_fini(&b);
    }
}

static void any_bytes_become_valid_json_and_text_is_read_back_as_it_was(void **state)
{
    struct rng rng;
    struct buf json = BUF_EMPTY;
    struct buf back = BUF_EMPTY;
    rng_seed(&rng, 9);
    for (int i = 0; i < 50000; i++) {
        char bytes[60];
        size_t n = rng_below(&rng, sizeof bytes);
        fill_hostile(&rng, bytes, n);
        buf_clear(&json);
        buf_clear(&back);
        buf_add_json(&json, str_from(bytes, n));
        struct str rest = buf_str(&json);
        assert_true(json_take_string(&rest, &back));
        assert_int_equal(rest.n, 0);
        if (str_is_utf8(str_from(bytes, n))) {
            assert_true(str_eq(buf_str(&back), str_from(bytes, n)));
        }
    }
    buf_fini(&json);
    buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_added_and_the_buffer_grows),
        cmocka_unit_test(reserved_room_is_as_large_as_asked),
        cmocka_unit_test(numbers_and_formats_are_added_at_every_fill),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(any_bytes_become_valid_json_and_text_is_read_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
