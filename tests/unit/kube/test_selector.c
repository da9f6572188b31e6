#include "json.h"

#include <string.h>

#include "kube/selector.h"

static void a_selector_becomes_text_for_the_api_server(void **state)
{
    static const struct {
        const char *selector;
        const char *text;
    } rows[] = {
        {"{'matchLabels': {'app': 'web'}}", "app=web"},
        {"{'matchLabels': {'example.com/app': ''}}", "example.com/app="},
        {"{'matchLabels': {'app': 'web'}, 'matchExpressions': [{'key': 'tier', 'operator': 'In', 'values': "
         "['a', 'b']}]}",
         "app=web,tier in (a,b)"},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'NotIn', 'values': ['x']}, {'key': 'b', 'operator': "
         "'Exists'}, {'key': 'c', 'operator': 'DoesNotExist'}]}",
         "a notin (x),b,!c"},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'Exists', 'values': []}]}", "a"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *selector = test_json(rows[i].selector);
        struct buf out = BUF_EMPTY;
        struct error error = ERROR_NONE;
        assert_int_equal(selector_text(selector, &out, &error), EA_OK);
        assert_string_equal(out.p, rows[i].text);
        assert_int_equal(out.n, strlen(rows[i].text) + 1);
        buf_fini(&out);
        json_decref(selector);
    }
}

/* What is not made of the characters of labels could say something else in the text, or select what it should not. */
static void what_is_no_selector_is_refused(void **state)
{
    static const char *const rows[] = {
        "{}",
        "{'matchLabels': {}}",
        "{'matchLabels': {'a': 'b,c'}}",
        "{'matchLabels': {'a': 'b c'}}",
        "{'matchLabels': {'a=x,b': 'c'}}",
        "{'matchLabels': {'': 'c'}}",
        "{'matchLabels': {'a': 1}}",
        "{'matchLabels': {'a': null}}",
        "{'matchExpressions': [{}]}",
        "{'matchExpressions': [1]}",
        "{'matchExpressions': [{'key': 'a', 'operator': 'Like', 'values': ['b']}]}",
        "{'matchExpressions': [{'key': 'a', 'operator': 'In'}]}",
        "{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': []}]}",
        "{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': ['b)']}]}",
        "{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': [1]}]}",
        "{'matchExpressions': [{'key': '!a', 'operator': 'Exists'}]}",
        "{'matchExpressions': [{'operator': 'Exists'}]}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *selector = test_json(rows[i]);
        struct buf out = BUF_EMPTY;
        struct error error = ERROR_NONE;
        if (selector_text(selector, &out, &error) != EA_PROTOCOL || strstr(error.text, "selector") == NULL) {
            fail_msg("%s: %s", rows[i], error.text);
        }
        buf_fini(&out);
        json_decref(selector);
    }
    struct buf out = BUF_EMPTY;
    assert_int_equal(selector_text(NULL, &out, NULL), EA_PROTOCOL);
    buf_fini(&out);
}

static json_t *terms(unsigned n)
{
    json_t *values = json_array();
    for (unsigned i = 0; i < n; i++) {
        (void)json_array_append_new(values, json_string("v"));
    }
    return json_pack("{s:[{s:s, s:s, s:o}]}", "matchExpressions", "key", "a", "operator", "In", "values",
                     values);
}

static void terms_are_bounded(void **state)
{
    for (unsigned more = 0; more < 2; more++) {
        json_t *selector = terms(SELECTOR_TERMS_MAX + more);
        struct buf out = BUF_EMPTY;
        assert_int_equal(selector_text(selector, &out, NULL), more == 0 ? EA_OK : EA_PROTOCOL);
        buf_fini(&out);
        json_decref(selector);
    }
}

static void objects_are_matched_as_the_api_server_does(void **state)
{
    static const struct {
        const char *selector;
        const char *labels; /* NULL: the object has none */
        bool matches;
    } rows[] = {
        {"{'matchLabels': {'a': 'x'}}", "{'a': 'x', 'b': 'y'}", true},
        {"{'matchLabels': {'a': 'x'}}", "{'a': 'xx'}", false},
        {"{'matchLabels': {'a': 'x', 'b': 'y'}}", "{'a': 'x'}", false},
        {"{'matchLabels': {'a': ''}}", "{'a': ''}", true},
        {"{'matchLabels': {'a': ''}}", NULL, false},
        {"{'matchLabels': {'a': 'x'}}", "{'a': 1}", false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': ['x', 'y']}]}", "{'a': 'y'}", true},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': ['x', 'y']}]}", "{'a': 'z'}", false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'In', 'values': ['x', 'y']}]}", NULL, false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'NotIn', 'values': ['x']}]}", "{'a': 'x'}", false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'NotIn', 'values': ['x']}]}", "{'a': 'y'}", true},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'NotIn', 'values': ['x']}]}", NULL, true},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'Exists'}]}", "{'a': ''}", true},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'Exists'}]}", "{'b': ''}", false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'DoesNotExist'}]}", "{'a': ''}", false},
        {"{'matchExpressions': [{'key': 'a', 'operator': 'DoesNotExist'}]}", NULL, true},
        {"{'matchLabels': {'a': 'x'}, 'matchExpressions': [{'key': 'b', 'operator': 'Exists'}]}",
         "{'a': 'x'}", false},
        {"{'matchLabels': {'a': 'x'}, 'matchExpressions': [{'key': 'b', 'operator': 'Exists'}]}",
         "{'a': 'x', 'b': 'y'}", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        json_t *selector = test_json(rows[i].selector);
        json_t *labels = rows[i].labels != NULL ? test_json(rows[i].labels) : NULL;
        if (selector_matches(selector, labels) != rows[i].matches) {
            fail_msg("%s, %s", rows[i].selector, rows[i].labels);
        }
        json_decref(selector);
        json_decref(labels);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selector_becomes_text_for_the_api_server),
        cmocka_unit_test(what_is_no_selector_is_refused),
        cmocka_unit_test(terms_are_bounded),
        cmocka_unit_test(objects_are_matched_as_the_api_server_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
