#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/items.h"

struct seen {
    char text[512];
    unsigned n;
    unsigned stop_at; /* 0: never */
};

static bool take(void *arg, json_t *object)
{
    struct seen *seen = arg;
    char *text = json_dumps(object, JSON_COMPACT);
    strncat(seen->text, text, sizeof seen->text - strlen(seen->text) - 1);
    free(text);
    return ++seen->n != seen->stop_at;
}

/* Feeds `text` in pieces of `piece` bytes, and ends. */
static enum err run(const char *text, size_t piece, struct seen *seen, char shell[512], struct error *error)
{
    struct kube_items items;
    json_t *doc = NULL;
    enum err err = EA_OK;
    kube_items_init(&items);
    for (size_t at = 0; at < strlen(text) && err == EA_OK; at += piece) {
        size_t n = strlen(text) - at;
        err = kube_items_feed(&items, str_from(text + at, n < piece ? n : piece), take, seen, error);
    }
    if (err == EA_OK) {
        err = kube_items_end(&items, &doc, error);
    }
    if (doc != NULL) {
        char *dumped = json_dumps(doc, JSON_COMPACT);
        strncpy(shell, dumped, 511);
        free(dumped);
        json_decref(doc);
    }
    kube_items_fini(&items);
    return err;
}

static void objects_come_out_whole_wherever_the_bytes_are_cut(void **state)
{
    const char *text =
        "{\"kind\":\"items\", \"a\":{\"items\":[1,2]},\n \"items\" : [ {\"x\":\"]}\\\"{\"} ,{\"y\":[{}]}],"
        "\"metadata\":{\"resourceVersion\":\"7\"}} \n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct seen seen = {.n = 0};
        struct error error = ERROR_NONE;
        char shell[512] = "";
        assert_int_equal(run(text, piece, &seen, shell, &error), EA_OK);
        assert_int_equal(seen.n, 2);
        assert_string_equal(seen.text, "{\"x\":\"]}\\\"{\"}{\"y\":[{}]}");
        assert_string_equal(shell, "{\"kind\":\"items\",\"a\":{\"items\":[1,2]},\"items\":[],\"metadata\":"
                                   "{\"resourceVersion\":\"7\"}}");
    }
}

static void lists_of_nothing_are_lists(void **state)
{
    static const char *const texts[] = {"{\"items\":[]}", "{\"items\":null}", "{}", "{\"items\":[ ]}"};
    for (size_t i = 0; i < 4; i++) {
        struct seen seen = {.n = 0};
        struct error error = ERROR_NONE;
        char shell[512] = "";
        assert_int_equal(run(texts[i], 3, &seen, shell, &error), EA_OK);
        assert_int_equal(seen.n, 0);
    }
}

static void what_is_no_list_of_objects_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{\"items\":[1]}",
        "{\"items\":[{}{}]}",
        "{\"items\":[,{}]}",
        "{\"items\"",
        "{\"items\":[",
        "{\"items\":[{}",
        "{}}",
        "{\"items\":[\"x\"]}",
        "{} {}",
        "<html>",
        "{\"items\":[{\"a\"]}",
        "{\"items\":[],\"items\":[]}",
        "{\"items\":[[]]}",
        "{\"items\":[{\"a\":1,\"a\":2}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct seen seen = {.n = 0};
        struct error error = ERROR_NONE;
        char shell[512] = "";
        if (run(texts[i], 2, &seen, shell, &error) != EA_PROTOCOL) {
            fail_msg("%s", texts[i]);
        }
        assert_int_equal(error.code, EA_PROTOCOL);
    }
}

static void who_takes_may_end_it(void **state)
{
    struct seen seen = {.stop_at = 1};
    struct error error = {.code = EA_FULL};
    char shell[512] = "";
    assert_int_equal(run("{\"items\":[{},{}]}", 100, &seen, shell, &error), EA_FULL);
    assert_int_equal(seen.n, 1);
}

static enum err feed_many(const char *head, char filler, size_t n)
{
    struct kube_items items;
    struct error error = ERROR_NONE;
    struct seen seen = {.n = 0};
    char block[4096];
    memset(block, filler, sizeof block);
    kube_items_init(&items);
    enum err err = kube_items_feed(&items, str_of(head), take, &seen, &error);
    for (size_t i = 0; i < n && err == EA_OK; i += sizeof block) {
        err = kube_items_feed(&items, str_from(block, sizeof block), take, &seen, &error);
    }
    kube_items_fini(&items);
    return err;
}

static void sizes_are_bounded(void **state)
{
    assert_int_equal(feed_many("{\"a\":\"", 'x', 2 * KUBE_SHELL_BYTES_MAX), EA_TOO_LARGE);
    assert_int_equal(feed_many("{\"items\":[{\"a\":\"", 'x', 2 * KUBE_ITEM_BYTES_MAX), EA_TOO_LARGE);
    assert_int_equal(feed_many("{\"items\":[", ' ', 2 * KUBE_ITEM_BYTES_MAX), EA_OK); /* kept nowhere */
    assert_int_equal(feed_many("{\"a\":", '[', KUBE_DEPTH_MAX), EA_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_out_whole_wherever_the_bytes_are_cut),
        cmocka_unit_test(lists_of_nothing_are_lists),
        cmocka_unit_test(what_is_no_list_of_objects_is_refused),
        cmocka_unit_test(who_takes_may_end_it),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
