/* Writing JSON by hand: golden texts, and jansson as the judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "api/jwriter.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_reset(&arena);
    return 0;
}

static void assert_text(const struct jwriter *json, const char *expected)
{
    assert_int_equal(jwriter_str(json).n, strlen(expected));
    assert_memory_equal(jwriter_str(json).p, expected, strlen(expected));
}

/* One string in an array, written and read back by jansson. */
static char *read_back(struct str text)
{
    struct jwriter json;
    jwriter_init(&json, &arena, NULL, 0);
    jwriter_array(&json, NULL);
    jwriter_text(&json, NULL, text);
    jwriter_end(&json);
    json_t *root = json_loadb(json.p, json.n, 0, NULL);
    assert_non_null(root);
    json_t *value = json_array_get(root, 0);
    struct str copy = arena_str(&arena, str_from(json_string_value(value), json_string_length(value)));
    json_decref(root);
    return (char *)copy.p;
}

static void every_type_looks_as_the_contract_says(void **state)
{
    char room[256];
    struct jwriter json;
    jwriter_init(&json, &arena, room, sizeof room);
    jwriter_object(&json, NULL);
    jwriter_bool(&json, "yes", true);
    jwriter_bool(&json, "no", false);
    jwriter_text(&json, "text", STR("a"));
    jwriter_int(&json, "zero", 0);
    jwriter_int(&json, "least", INT64_MIN);
    jwriter_int(&json, "most", INT64_MAX);
    jwriter_token(&json, "token", UINT64_MAX);
    jwriter_end(&json);
    assert_text(&json, "{\"yes\":true,\"no\":false,\"text\":\"a\",\"zero\":0,\"least\":-9223372036854775808,"
                       "\"most\":9223372036854775807,\"token\":\"18446744073709551615\"}");
    assert_ptr_equal(json.p, room);
}

static void levels_nest_with_commas_where_they_belong(void **state)
{
    char room[256];
    struct jwriter json;
    jwriter_init(&json, &arena, room, sizeof room);
    jwriter_object(&json, NULL);
    jwriter_array(&json, "empty");
    jwriter_end(&json);
    jwriter_array(&json, "list");
    jwriter_object(&json, NULL);
    jwriter_int(&json, "a", 1);
    jwriter_end(&json);
    jwriter_object(&json, NULL);
    jwriter_end(&json);
    jwriter_int(&json, NULL, 2);
    jwriter_end(&json);
    jwriter_object(&json, "last");
    jwriter_end(&json);
    jwriter_end(&json);
    assert_text(&json, "{\"empty\":[],\"list\":[{\"a\":1},{},2],\"last\":{}}");
}

static void a_text_that_outgrows_its_room_moves_to_the_arena_whole(void **state)
{
    for (size_t room_bytes = 0; room_bytes < 80; room_bytes++) {
        char room[80];
        struct jwriter json;
        jwriter_init(&json, &arena, room, room_bytes);
        jwriter_object(&json, NULL);
        jwriter_text(&json, "first", STR("one \"two\" three"));
        jwriter_int(&json, "second", -42);
        jwriter_end(&json);
        assert_text(&json, "{\"first\":\"one \\\"two\\\" three\",\"second\":-42}");
    }
}

static void quotes_backslashes_and_controls_are_escaped(void **state)
{
    char room[64];
    struct jwriter json;
    jwriter_init(&json, &arena, room, sizeof room);
    jwriter_text(&json, NULL, STR("\"\\/\n\r\t\b\x7f\x01</script>"));
    assert_text(&json, "\"\\\"\\\\/\\n\\r\\t\\u0008\\u007f\\u0001</script>\"");
}

static void every_byte_and_well_formed_text_is_read_back_as_it_was(void **state)
{
    for (int byte = 1; byte < 0x80; byte++) {
        char text[4] = {'a', (char)byte, 'b', '\0'};
        assert_string_equal(read_back(str_of(text)), text);
    }
    assert_string_equal(read_back(STR("grün \xe2\x82\xac \xf0\x9f\x98\x80")),
                        "grün \xe2\x82\xac \xf0\x9f\x98\x80");
    assert_string_equal(read_back(str_from(NULL, 0)), "");
}

static void broken_utf8_still_gives_json(void **state)
{
    assert_string_equal(read_back(STR("a\xff\xc3(\xed\xa0\x80z")), "a?"
                                                                   "?(?"
                                                                   "?"
                                                                   "?z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_type_looks_as_the_contract_says, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_nest_with_commas_where_they_belong, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_that_outgrows_its_room_moves_to_the_arena_whole, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(quotes_backslashes_and_controls_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(every_byte_and_well_formed_text_is_read_back_as_it_was, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(broken_utf8_still_gives_json, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
