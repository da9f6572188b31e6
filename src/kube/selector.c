#include "kube/selector.h"

#include <string.h>

#include "base/mem.h"

enum operator{ OP_IN, OP_NOT_IN, OP_EXISTS, OP_DOES_NOT_EXIST, OPERATORS };

static const char *const operators[OPERATORS] = {"In", "NotIn", "Exists", "DoesNotExist"};

static enum operator operator_of(const json_t *expression)
{
    const char *word = json_string_value(json_object_get(expression, "operator"));
    enum operator op = OP_IN;
    while (op < OPERATORS && (word == NULL || strcmp(word, operators[op]) != 0)) {
        op++;
    }
    return op;
}

/* The characters of label keys and values; others could say something else in a selector's text. */
static bool is_plain(const json_t *text, bool key)
{
    const char *s = json_string_value(text);
    if (s == NULL || (key && s[0] == '\0') || json_string_length(text) > 320) {
        return false;
    }
    for (; *s != '\0'; s++) {
        char c = *s;
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
                     c == '_' || c == '-' || (key && c == '/');
        if (!plain) {
            return false;
        }
    }
    return true;
}

static enum err wrong(struct error *error)
{
    return error_set(error, EA_PROTOCOL, "the Deployment's selector is not what it should be");
}

static void comma(struct buf *out, size_t start)
{
    if (out->n > start) {
        buf_add(out, ",", 1);
    }
}

static bool add_expression(const json_t *expression, struct buf *out)
{
    const json_t *key = json_object_get(expression, "key");
    const json_t *values = json_object_get(expression, "values");
    enum operator op = operator_of(expression);
    if (op == OPERATORS || !is_plain(key, true)) {
        return false;
    }
    if (op == OP_EXISTS || op == OP_DOES_NOT_EXIST) {
        buf_format(out, "%s%s", op == OP_EXISTS ? "" : "!", json_string_value(key));
        return true;
    }
    size_t n = json_array_size(values);
    buf_format(out, "%s %s (", json_string_value(key), op == OP_IN ? "in" : "notin");
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(values, i);
        if (!is_plain(value, false)) {
            return false;
        }
        buf_format(out, "%s%s", i > 0 ? "," : "", json_string_value(value));
    }
    buf_add(out, ")", 1);
    return n > 0 && n <= SELECTOR_TERMS_MAX;
}

enum err selector_text(const json_t *selector, struct buf *out, struct error *error)
{
    json_t *labels = json_object_get(selector, "matchLabels");
    const json_t *expressions = json_object_get(selector, "matchExpressions");
    size_t start = out->n;
    const char *name;
    json_t *value;
    if (json_object_size(labels) > SELECTOR_TERMS_MAX || json_array_size(expressions) > SELECTOR_TERMS_MAX) {
        return wrong(error);
    }
    json_object_foreach(labels, name, value)
    {
        json_t *key = json_string(name);
        bool plain = is_plain(key, true) && is_plain(value, false);
        json_decref(key);
        if (!plain) {
            return wrong(error);
        }
        comma(out, start);
        buf_format(out, "%s=%s", name, json_string_value(value));
    }
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        comma(out, start);
        if (!add_expression(json_array_get(expressions, i), out)) {
            return wrong(error);
        }
    }
    if (out->n == start) {
        return error_set(error, EA_PROTOCOL, "the Deployment's selector selects everything");
    }
    buf_add(out, "", 1);
    return EA_OK;
}

static bool is_in(const json_t *values, const char *label)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        if (strcmp(json_string_value(json_array_get(values, i)), label) == 0) {
            return true;
        }
    }
    return false;
}

static bool expression_matches(const json_t *expression, const json_t *labels)
{
    const char *label =
        json_string_value(json_object_get(labels, json_string_value(json_object_get(expression, "key"))));
    const json_t *values = json_object_get(expression, "values");
    switch (operator_of(expression)) {
    case OP_IN:
        return label != NULL && is_in(values, label);
    case OP_NOT_IN:
        return label == NULL || !is_in(values, label);
    case OP_EXISTS:
        return label != NULL;
    case OP_DOES_NOT_EXIST:
        return label == NULL;
    case OPERATORS:
        break;
    }
    return false;
}

bool selector_matches(const json_t *selector, const json_t *labels)
{
    json_t *wanted = json_object_get(selector, "matchLabels");
    const json_t *expressions = json_object_get(selector, "matchExpressions");
    const char *key;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        const char *label = json_string_value(json_object_get(labels, key));
        if (label == NULL || strcmp(label, json_string_value(value)) != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < json_array_size(expressions); i++) {
        if (!expression_matches(json_array_get(expressions, i), labels)) {
            return false;
        }
    }
    return true;
}
