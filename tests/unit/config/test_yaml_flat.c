#include "support.h"

#include <stdio.h>
#include <string.h>

#include "config/yaml_flat.h"

/* Entries as "line:column key=value|"; lists in brackets, null as ~, an empty map as {}. */
static enum err keep_entry(void *arg, const struct yaml_entry *entry, struct error *error)
{
    static const char *const forms[] = {[YAML_SCALAR] = "%.*s|",
                                        [YAML_LIST] = "[%.*s]|",
                                        [YAML_NULL] = "~%.*s|",
                                        [YAML_EMPTY_MAP] = "{%.*s}|"};
    if (str_eq(entry->key, STR("stop"))) {
        return error_set(error, EA_INVALID, "stopped");
    }
    char value[1024];
    int n = snprintf(value, sizeof value, forms[entry->kind], STR_ARG(entry->value));
    buf_format(arg, "%u:%u %.*s=%.*s", entry->line, entry->column, STR_ARG(entry->key), n, value);
    return EA_OK;
}

static void check_entries(struct str text, const char *entries)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    if (yaml_parse_flat(text, "a.yaml", keep_entry, &out, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    buf_add(&out, "", 1);
    assert_string_equal(out.p, entries);
    buf_fini(&out);
}

static void check_wrong(struct str text, const char *words)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    assert_int_equal(yaml_parse_flat(text, "a.yaml", keep_entry, &out, &error), EA_CONFIG);
    assert_string_equal(error.text, words);
    buf_fini(&out);
}

static void a_document_may_say_nothing(void **state)
{
    check_entries(STR(""), "");
    check_entries(STR("# only a comment\n"), "");
    check_entries(STR("---\n...\n"), "");
    check_entries(STR("~"), "");
    check_entries(STR("{}"), "");
}

static void nested_maps_become_dotted_keys(void **state)
{
    check_entries(STR("a: 1\ng:\n  b: two words\n  h:\n    c: '3'\nd: \"\\t4\"\n"),
                  "1:1 a=1|3:3 g.b=two words|5:5 g.h.c=3|6:1 d=\t4|");
    check_entries(STR("{a: 1, g: {b: 2}}"), "1:2 a=1|1:12 g.b=2|");
}

static void dotted_keys_are_taken_as_they_are(void **state)
{
    check_entries(STR("g.a: 1\ng:\n  b.c: 2\n"), "1:1 g.a=1|3:3 g.b.c=2|");
}

static void lists_become_text_with_commas(void **state)
{
    check_entries(STR("a: [1, 'two words', 3]\nb:\n- x\n- y\nc: []\n"),
                  "1:1 a=[1,two words,3]|2:1 b=[x,y]|5:1 c=[]|");
}

static void no_value_is_reported_as_such(void **state)
{
    check_entries(STR("a:\nb: ~\nc: null\nd: ''\ne: 'null'\ng: {}\n"),
                  "1:1 a=~|2:1 b=~|3:1 c=~|4:1 d=|5:1 e=null|6:1 g={}|");
}

static void duplicate_keys_are_refused_in_every_spelling(void **state)
{
    check_wrong(STR("a: 1\na: 2\n"), "a.yaml:2:1: a is there twice");
    check_wrong(STR("g: {b: 1}\ng.b: 2\n"), "a.yaml:2:1: g.b is there twice");
    check_wrong(STR("g: {b: 1}\ng: {c: 1}\n"), "a.yaml:2:1: g is there twice");
}

static void anchors_aliases_and_tags_are_refused(void **state)
{
    check_wrong(STR("a: &x 1\nb: *x\n"), "a.yaml:1:4: anchors (&name) are not taken");
    check_wrong(STR("a: &x [1]\n"), "a.yaml:1:4: anchors (&name) are not taken");
    check_wrong(STR("a: &x {b: 1}\n"), "a.yaml:1:4: anchors (&name) are not taken");
    check_wrong(STR("&x a: 1\n"), "a.yaml:1:1: anchors (&name) are not taken");
    check_wrong(STR("a: *x\n"), "a.yaml:1:4: aliases (*name) are not taken; write the value out");
    check_wrong(STR("*x : 1\n"), "a.yaml:1:1: aliases (*name) are not taken; write the value out");
    check_wrong(STR("a: !!int 1\n"), "a.yaml:1:4: tags (!name) are not taken");
    check_wrong(STR("!x {a: 1}"), "a.yaml:1:1: tags (!name) are not taken");
}

static void other_shapes_are_refused(void **state)
{
    check_wrong(STR("- a\n- b\n"), "a.yaml:1:1: expected \"key: value\", not a list");
    check_wrong(STR("just text"), "a.yaml:1:1: expected \"key: value\"");
    check_wrong(STR("? [a, b]\n: 1\n"), "a.yaml:1:3: a key is a word, not a map or list");
    check_wrong(STR("a: [1, [2]]\n"), "a.yaml:1:8: a list takes values, not maps or lists");
    check_wrong(STR("a: [1, {b: 2}]\n"), "a.yaml:1:8: a list takes values, not maps or lists");
    check_wrong(STR("a: ['1,2']\n"), "a.yaml:1:5: a value of a list cannot have a comma in it");
    check_wrong(STR("'': 1\n"), "a.yaml:1:1: a key is empty");
    check_wrong(STR("\"a\\nb\": 1\n"), "a.yaml:1:1: a key has control characters");
    check_wrong(STR("a: 1\n---\nb: 2\n"), "a.yaml:2:1: a second document (---) is not taken");
}

static void broken_yaml_is_placed(void **state)
{
    check_wrong(STR("a: 1\n b: 2\n"), "a.yaml:2:3: mapping values are not allowed in this context");
    check_wrong(STR("a: [1, 2\n"), "a.yaml:2:1: did not find expected ',' or ']'");
    check_wrong(STR("a: 'x\n"), "a.yaml:2:1: found unexpected end of stream");
    check_wrong(STR("a: \xff\n"), "a.yaml: byte 3: invalid leading UTF-8 octet");
    check_wrong(STR("a: \x01\n"), "a.yaml: byte 3: control characters are not allowed");
}

static void depth_is_bounded(void **state)
{
    struct buf text = BUF_EMPTY;
    for (int i = 0; i < YAML_DEPTH_MAX - 1; i++) {
        buf_add_str(&text, STR("{a: "));
    }
    buf_add_str(&text, STR("{a: 1}"));
    for (int i = 0; i < YAML_DEPTH_MAX - 1; i++) {
        buf_add_str(&text, STR("}"));
    }
    check_entries(buf_str(&text), "1:30 a.a.a.a.a.a.a.a=1|");
    buf_clear(&text);
    for (int i = 0; i < 100000; i++) {
        buf_add_str(&text, STR("{a: "));
    }
    check_wrong(buf_str(&text), "a.yaml:1:33: maps in maps, too deep");
    buf_clear(&text);
    for (int i = 0; i < 100000; i++) {
        buf_add_str(&text, STR("["));
    }
    check_wrong(buf_str(&text), "a.yaml:1:1: expected \"key: value\", not a list");
    buf_fini(&text);
}

static void number_and_length_of_keys_are_bounded(void **state)
{
    struct buf text = BUF_EMPTY;
    for (int i = 0; i <= YAML_KEYS_MAX; i++) {
        buf_format(&text, "k%d: 1\n", i);
    }
    check_wrong(buf_str(&text), "a.yaml:257:1: too many keys");
    buf_clear(&text);
    for (int i = 0; i < YAML_KEY_BYTES_MAX; i++) {
        buf_add_str(&text, STR("k"));
    }
    buf_add_str(&text, STR(": 1\n"));
    check_wrong(buf_str(&text), "a.yaml:1:1: a key is too long");
    buf_fini(&text);
}

static void an_error_of_the_callback_ends_the_parse(void **state)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    assert_int_equal(yaml_parse_flat(STR("a: 1\nstop: 1\nb: 2\n"), "a.yaml", keep_entry, &out, &error),
                     EA_INVALID);
    assert_string_equal(error.text, "stopped");
    assert_memory_equal(out.p, "1:1 a=1|", 8);
    assert_int_equal(out.n, 8);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_may_say_nothing),
        cmocka_unit_test(nested_maps_become_dotted_keys),
        cmocka_unit_test(dotted_keys_are_taken_as_they_are),
        cmocka_unit_test(lists_become_text_with_commas),
        cmocka_unit_test(no_value_is_reported_as_such),
        cmocka_unit_test(duplicate_keys_are_refused_in_every_spelling),
        cmocka_unit_test(anchors_aliases_and_tags_are_refused),
        cmocka_unit_test(other_shapes_are_refused),
        cmocka_unit_test(broken_yaml_is_placed),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(number_and_length_of_keys_are_bounded),
        cmocka_unit_test(an_error_of_the_callback_ends_the_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
