/* The table of stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/store.h"

static void a_store_is_opened_by_its_name(void **state)
{
    struct store *store = NULL;
    struct store_options options = {
        .driver = "memory", .n_lanes = 1, .clock = &clock_system, .max_term_ms = 1000};
    assert_int_equal(store_open(&store, &options, NULL), EA_OK);
    assert_string_equal(store->ops->name, "memory");
    store_close(store);
}

static void a_name_that_is_none_is_refused_with_those_there_are(void **state)
{
    struct store *store = NULL;
    struct store_options options = {
        .driver = "redos\n", .n_lanes = 1, .clock = &clock_system, .max_term_ms = 1000};
    struct error error = ERROR_NONE;
    assert_int_equal(store_open(&store, &options, &error), EA_CONFIG);
    assert_int_equal(error.code, EA_CONFIG);
    assert_string_equal(
        error.text, "there is no store named \"redos\\n\"; there are: embedded, kubernetes, memory, redis");
    assert_null(store);
}

static void a_part_of_a_name_is_none(void **state)
{
    struct store *store = NULL;
    struct store_options options = {.n_lanes = 1, .clock = &clock_system, .max_term_ms = 1000};
    static const char *const names[] = {"", "mem", "memoryx", "Memory"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        options.driver = names[i];
        assert_int_equal(store_open(&store, &options, NULL), EA_CONFIG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_is_opened_by_its_name),
        cmocka_unit_test(a_name_that_is_none_is_refused_with_those_there_are),
        cmocka_unit_test(a_part_of_a_name_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
