#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "http/router.h"

enum { CAMPAIGN, GET_LEADER, SHORT_GET, EVENTS, LIST, ROOT, LIVEZ, OPTIONS };

struct table {
    struct router *router;
    struct arena arena;
    struct route_match match;
    struct error error;
};

static int setup(void **state)
{
    static struct table table;
    table = (struct table){.router = router_new()};
    arena_init(&table.arena, NULL, 0);
    /* The parameter first: order of adding must not matter. */
    router_add(table.router, HTTP_GET, "/election/{kind}/{name}", GET_LEADER);
    router_add(table.router, HTTP_POST, "/election/{kind}/{name}", CAMPAIGN);
    router_add(table.router, HTTP_GET, "/election/{name}", SHORT_GET);
    router_add(table.router, HTTP_GET, "/election/{kind}/{name}/events", EVENTS);
    router_add(table.router, HTTP_GET, "/election/all/{name}", LIST);
    router_add(table.router, HTTP_GET, "/", ROOT);
    router_add(table.router, HTTP_GET, "/livez", LIVEZ);
    *state = &table;
    return 0;
}

static int teardown(void **state)
{
    struct table *table = *state;
    arena_reset(&table->arena);
    router_free(table->router);
    return 0;
}

static enum err match(struct table *table, enum http_method method, const char *path)
{
    table->error = ERROR_NONE;
    return router_match(table->router, method, str_of(path), &table->arena, &table->match, &table->error);
}

static void check_params(const struct table *table, const char *first, const char *second)
{
    assert_int_equal(table->match.n_params, (first != NULL) + (second != NULL));
    if (first != NULL) {
        assert_true(str_eq(table->match.params[0], str_of(first)));
    }
    if (second != NULL) {
        assert_true(str_eq(table->match.params[1], str_of(second)));
    }
}

static void a_path_finds_its_route_and_parameters(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_GET, "/election/k/n"), EA_OK);
    assert_int_equal(table->match.route, GET_LEADER);
    check_params(table, "k", "n");
    assert_int_equal(match(table, HTTP_POST, "/election/k/n"), EA_OK);
    assert_int_equal(table->match.route, CAMPAIGN);
    assert_int_equal(match(table, HTTP_GET, "/election/n"), EA_OK);
    assert_int_equal(table->match.route, SHORT_GET);
    check_params(table, "n", NULL);
    assert_int_equal(match(table, HTTP_GET, "/election/k/n/events"), EA_OK);
    assert_int_equal(table->match.route, EVENTS);
    assert_int_equal(match(table, HTTP_GET, "/"), EA_OK);
    assert_int_equal(table->match.route, ROOT);
    check_params(table, NULL, NULL);
}

static void a_literal_wins_over_a_parameter(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_GET, "/election/all/n"), EA_OK);
    assert_int_equal(table->match.route, LIST);
    check_params(table, "n", NULL);
    assert_int_equal(match(table, HTTP_GET, "/election/al/n"), EA_OK);
    assert_int_equal(table->match.route, GET_LEADER);
}

static void other_paths_are_unknown(void **state)
{
    static const char *const paths[] = {"/election",
                                        "/election/",
                                        "/election/k/",
                                        "/election//n",
                                        "/livez/",
                                        "//",
                                        "/Livez",
                                        "*",
                                        "",
                                        "livez",
                                        "/election/k/n/event",
                                        "/a/b/c/d/e/f/g/h",
                                        "/a/b/c/d/e/f/g/h/i/j",
                                        "/election/k/n/"};
    struct table *table = *state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(match(table, HTTP_GET, paths[i]), EA_UNKNOWN_METHOD);
        assert_null(table->match.allow);
    }
}

static void segments_are_decoded_after_the_path_was_split(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_GET, "/election/a%2Fb/%C3%A4+%25"), EA_OK);
    check_params(table, "a/b", "\xc3\xa4+%");
    assert_int_equal(match(table, HTTP_GET, "/%65lection/k/n"), EA_OK);
    assert_int_equal(match(table, HTTP_GET, "/election%2Fk%2Fn"), EA_UNKNOWN_METHOD);
}

static void a_malformed_escape_is_invalid_wherever_it_is(void **state)
{
    static const char *const paths[] = {"/election/%/n", "/election/k/%4", "/election/k/%zz", "/none/%g0",
                                        "/1/2/3/4/5/6/7/8/9/%"};
    struct table *table = *state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(match(table, HTTP_GET, paths[i]), EA_INVALID);
        assert_string_equal(table->error.text,
                            "the path has a % that is not followed by two hexadecimal digits");
    }
}

static void a_known_path_tells_the_methods_it_has(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_DELETE, "/election/k/n"), EA_BAD_METHOD);
    assert_string_equal(table->match.allow, "GET, HEAD, POST, OPTIONS");
    assert_string_equal(table->error.text, "this path knows GET, HEAD, POST, OPTIONS only");
    assert_int_equal(match(table, HTTP_OTHER, "/livez"), EA_BAD_METHOD);
    assert_string_equal(table->match.allow, "GET, HEAD, OPTIONS");
    assert_int_equal(match(table, HTTP_GET, "/livez"), EA_OK);
    assert_null(table->match.allow);
}

static void head_is_get(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_HEAD, "/election/k/n"), EA_OK);
    assert_int_equal(table->match.route, GET_LEADER);
}

static void options_tells_the_methods_and_may_have_a_route(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_OPTIONS, "/livez"), EA_BAD_METHOD);
    assert_string_equal(table->match.allow, "GET, HEAD, OPTIONS");
    router_add(table->router, HTTP_OPTIONS, "/livez", OPTIONS);
    assert_int_equal(match(table, HTTP_OPTIONS, "/livez"), EA_OK);
    assert_int_equal(table->match.route, OPTIONS);
    assert_string_equal(table->match.allow, "GET, HEAD, OPTIONS");
}

static void matching_allocates_only_to_decode(void **state)
{
    struct table *table = *state;
    assert_int_equal(match(table, HTTP_GET, "/election/k/n/events"), EA_OK);
    assert_null(table->arena.blocks);
    assert_int_equal(match(table, HTTP_GET, "/election/k/%6e"), EA_OK);
    assert_non_null(table->arena.blocks);
}

int main(void)
{
#define TABLE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TABLE(a_path_finds_its_route_and_parameters),
        TABLE(a_literal_wins_over_a_parameter),
        TABLE(other_paths_are_unknown),
        TABLE(segments_are_decoded_after_the_path_was_split),
        TABLE(a_malformed_escape_is_invalid_wherever_it_is),
        TABLE(a_known_path_tells_the_methods_it_has),
        TABLE(head_is_get),
        TABLE(options_tells_the_methods_and_may_have_a_route),
        TABLE(matching_allocates_only_to_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
