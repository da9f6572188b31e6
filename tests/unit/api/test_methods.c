/* methods.def against the contracts beside it: the .proto files and openapi.yaml say the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "api/embedded.h"
#include "api/methods.h"
#include "base/mem.h"

/* --- the protos --- */

static bool served(const char *symbol, const char *service)
{
    for (size_t i = 0; i < api_n_grpc_methods; i++) {
        struct str path = api_grpc_methods[i]->path; /* "/service/Method" */
        size_t n = strlen(service);
        if (path.n == strlen(symbol) + 1 && memcmp(path.p + 1, symbol, n) == 0 && path.p[n + 1] == '/' &&
            memcmp(path.p + n + 2, symbol + n + 1, path.n - n - 2) == 0) {
            return true;
        }
    }
    return false;
}

static void every_method_of_the_protos_is_served_and_no_other(void **state)
{
    size_t declared = 0;
    for (size_t i = 0; i < embedded_n_files; i++) {
        const char *service = NULL;
        for (size_t j = 0; j < embedded_files[i].n_symbols; j++) {
            const struct embedded_symbol *symbol = &embedded_files[i].symbols[j];
            if (symbol->kind == SYMBOL_SERVICE) {
                service = symbol->name;
            } else if (service != NULL) { /* services come last in a file, each followed by its methods */
                if (!served(symbol->name, service)) {
                    fail_msg("%s is in the protos but not in methods.def", symbol->name);
                }
                declared++;
            }
        }
    }
    assert_int_equal(declared, api_n_grpc_methods);
    assert_int_equal(declared, METHOD_COUNT + 3);
}

static void a_method_knows_its_messages(void **state)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct api_method *method = &api_methods[i];
        assert_int_equal(method->id, i);
        assert_int_equal(method->request->magic, PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC);
        assert_int_equal(method->response->magic, PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC);
        assert_true(method->handle != NULL);
        assert_int_equal(method->path != NULL, method->verb != HTTP_OTHER);
        assert_int_equal(method->path != NULL, method->answer != NULL);
    }
}

/* --- the API description --- */

static yaml_node_t *yaml_get(yaml_document_t *document, yaml_node_t *map, const char *key)
{
    assert_int_equal(map->type, YAML_MAPPING_NODE);
    for (yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        yaml_node_t *name = yaml_document_get_node(document, pair->key);
        if (strcmp((const char *)name->data.scalar.value, key) == 0) {
            return yaml_document_get_node(document, pair->value);
        }
    }
    return NULL;
}

static const char *verb_word(enum http_method method)
{
    static const char *const words[] = {
        [HTTP_GET] = "get",     [HTTP_POST] = "post",     [HTTP_PUT] = "put",
        [HTTP_PATCH] = "patch", [HTTP_DELETE] = "delete",
    };
    return words[method];
}

static void load(yaml_document_t *document)
{
    yaml_parser_t parser;
    assert_int_equal(yaml_parser_initialize(&parser), 1);
    yaml_parser_set_input_string(&parser, embedded_openapi, embedded_openapi_bytes);
    assert_int_equal(yaml_parser_load(&parser, document), 1);
    yaml_parser_delete(&parser);
}

static void described(yaml_document_t *document, yaml_node_t *paths, const char *path, enum http_method verb)
{
    yaml_node_t *item = path != NULL ? yaml_get(document, paths, path) : NULL;
    if (item == NULL || yaml_get(document, item, verb_word(verb)) == NULL) {
        fail_msg("%s %s is served but not in openapi.yaml", verb_word(verb), path);
    }
}

static bool routed(const char *path, const char *verb)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct api_method *method = &api_methods[i];
        if (method->path != NULL && strcmp(verb_word(method->verb), verb) == 0 &&
            (strcmp(method->path, path) == 0 ||
             (method->short_path != NULL && strcmp(method->short_path, path) == 0))) {
            return true;
        }
    }
    for (size_t i = 0; i < API_PAGES; i++) {
        if (strcmp(verb, "get") == 0 && strcmp(api_pages[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

static void every_route_is_described(void **state)
{
    yaml_document_t document;
    load(&document);
    yaml_node_t *paths = yaml_get(&document, yaml_document_get_root_node(&document), "paths");
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        const struct api_method *method = &api_methods[i];
        if (method->path != NULL) {
            described(&document, paths, method->path, method->verb);
        }
        if (method->short_path != NULL) {
            described(&document, paths, method->short_path, method->verb);
        }
    }
    for (size_t i = 0; i < API_PAGES; i++) {
        described(&document, paths, api_pages[i].path, HTTP_GET);
    }
    yaml_document_delete(&document);
}

static void every_described_route_is_served(void **state)
{
    yaml_document_t document;
    load(&document);
    yaml_node_t *paths = yaml_get(&document, yaml_document_get_root_node(&document), "paths");
    size_t seen = 0;
    for (yaml_node_pair_t *pair = paths->data.mapping.pairs.start; pair < paths->data.mapping.pairs.top;
         pair++) {
        const char *path = (const char *)yaml_document_get_node(&document, pair->key)->data.scalar.value;
        yaml_node_t *item = yaml_document_get_node(&document, pair->value);
        for (yaml_node_pair_t *verb = item->data.mapping.pairs.start; verb < item->data.mapping.pairs.top;
             verb++) {
            const char *word = (const char *)yaml_document_get_node(&document, verb->key)->data.scalar.value;
            if (strcmp(word, "parameters") == 0) {
                continue;
            }
            if (!routed(path, word)) {
                fail_msg("%s %s is in openapi.yaml but not served", word, path);
            }
            seen++;
        }
    }
    assert_int_equal(seen, 17);
    yaml_document_delete(&document);
}

/* "$ref: '#/a/b'" below `node` all lead somewhere. */
static void follow_refs(yaml_document_t *document, yaml_node_t *node, unsigned *seen)
{
    if (node->type == YAML_SEQUENCE_NODE) {
        for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top; i++) {
            follow_refs(document, yaml_document_get_node(document, *i), seen);
        }
        return;
    }
    if (node->type != YAML_MAPPING_NODE) {
        return;
    }
    yaml_node_t *ref = yaml_get(document, node, "$ref");
    if (ref != NULL) {
        struct str rest = str_of((const char *)ref->data.scalar.value + 2);
        struct str part;
        yaml_node_t *at = yaml_document_get_root_node(document);
        while (str_split(&rest, '/', &part)) {
            char key[64];
            snprintf(key, sizeof key, "%.*s", STR_ARG(part));
            at = yaml_get(document, at, key);
            if (at == NULL) {
                fail_msg("%s leads nowhere", (const char *)ref->data.scalar.value);
            }
        }
        (*seen)++;
    }
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
         pair++) {
        follow_refs(document, yaml_document_get_node(document, pair->value), seen);
    }
}

static void every_reference_in_the_description_leads_somewhere(void **state)
{
    yaml_document_t document;
    load(&document);
    unsigned seen = 0;
    follow_refs(&document, yaml_document_get_root_node(&document), &seen);
    assert_true(seen > 50);
    yaml_document_delete(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_of_the_protos_is_served_and_no_other),
        cmocka_unit_test(a_method_knows_its_messages),
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(every_described_route_is_served),
        cmocka_unit_test(every_reference_in_the_description_leads_somewhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
