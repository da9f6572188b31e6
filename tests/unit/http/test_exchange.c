/* The rules of an exchange, over a version of HTTP that only writes down what it is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

#include "http/conn.h"

static struct {
    unsigned starts;
    unsigned answers;
    unsigned writes;
    unsigned finishes;
    unsigned resets;
    unsigned consumed;
    unsigned released;
    unsigned gone;
    bool started; /* when finish was called */
} did;

static void op_start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    did.starts++;
    assert_true(ex->started && !ex->finished);
}

static void op_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                      struct str body)
{
    did.answers++;
    assert_true(ex->started && ex->finished);
}

static size_t op_write(struct exchange *ex, struct str bytes)
{
    did.writes++;
    return bytes.n;
}

static void op_finish(struct exchange *ex, const struct http_field *trailers, size_t n)
{
    did.finishes++;
    did.started = ex->started;
    assert_true(ex->finished);
}

static void op_consumed(struct exchange *ex, size_t n)
{
    did.consumed += (unsigned)n;
}

static void op_reset(struct exchange *ex, uint32_t code)
{
    did.resets++;
}

static void op_released(struct exchange *ex)
{
    did.released++;
}

static const struct exchange_ops ops = {
    .start = op_start,
    .answer = op_answer,
    .write = op_write,
    .finish = op_finish,
    .consumed = op_consumed,
    .reset = op_reset,
    .released = op_released,
};

struct one {
    struct clock_fake clock;
    struct loop *loop;
    struct http_server *server;
    struct exchange ex;
};

static int setup(void **state)
{
    static struct one one;
    memset(&one, 0, sizeof one);
    memset(&did, 0, sizeof did);
    clock_fake_init(&one.clock);
    const struct loop_options options = {.clock = &one.clock.clock, .seed = 7};
    assert_int_equal(loop_new(&one.loop, &options, NULL), EA_OK);
    static const struct http_handler handler = {.on_head = NULL};
    const struct http_server_options server = {
        .loop = one.loop, .limits = http_limits_default, .handler = &handler};
    one.server = http_server_new(&server);
    one.ex.ops = &ops;
    one.ex.server = one.server;
    one.ex.loop = one.loop;
    arena_init(&one.ex.arena, NULL, 0);
    *state = &one;
    return 0;
}

static int teardown(void **state)
{
    struct one *one = *state;
    arena_reset(&one->ex.arena);
    http_server_free(one->server); /* asserts that nothing is held */
    loop_step(one->loop);
    loop_free(one->loop);
    return 0;
}

static void on_gone(struct exchange *ex)
{
    did.gone++;
}

static void on_gone_releases(struct exchange *ex)
{
    did.gone++;
    exchange_release(ex);
}

static void after_an_answer_nothing_reaches_the_version(void **state)
{
    struct one *one = *state;
    exchange_answer(&one->ex, 200, NULL, 0, STR("x"));
    exchange_answer(&one->ex, 200, NULL, 0, STR("x"));
    exchange_start(&one->ex, 200, NULL, 0);
    assert_int_equal(exchange_write(&one->ex, STR("x")), 0);
    exchange_finish(&one->ex, NULL, 0);
    exchange_reset(&one->ex, 0);
    assert_int_equal(did.answers, 1);
    assert_int_equal(did.starts + did.writes + did.finishes + did.resets, 0);
}

static void an_answer_in_pieces_starts_and_finishes_once(void **state)
{
    struct one *one = *state;
    exchange_start(&one->ex, 200, NULL, 0);
    assert_int_equal(exchange_write(&one->ex, STR("four")), 4);
    exchange_finish(&one->ex, NULL, 0);
    exchange_finish(&one->ex, NULL, 0);
    assert_int_equal(did.starts, 1);
    assert_int_equal(did.finishes, 1);
    assert_true(did.started);
}

static void a_finish_without_a_start_can_be_told(void **state)
{
    struct one *one = *state;
    exchange_finish(&one->ex, NULL, 0);
    assert_int_equal(did.finishes, 1);
    assert_false(did.started);
}

static void a_gone_client_is_told_once_and_answered_never(void **state)
{
    struct one *one = *state;
    one->ex.on_gone = on_gone;
    exchange_hold(&one->ex);
    http_exchange_gone(&one->ex);
    assert_int_equal(did.gone, 1);
    assert_int_equal(did.released, 0);
    exchange_answer(&one->ex, 200, NULL, 0, STR("x"));
    exchange_consumed(&one->ex, 5);
    exchange_reset(&one->ex, 0);
    assert_int_equal(did.answers + did.consumed + did.resets, 0);
    exchange_release(&one->ex);
    assert_int_equal(did.released, 1);
}

static void a_gone_exchange_that_nobody_holds_is_released_at_once(void **state)
{
    struct one *one = *state;
    http_exchange_gone(&one->ex);
    assert_int_equal(did.released, 1);
}

static void on_gone_may_let_the_last_hold_go(void **state)
{
    struct one *one = *state;
    one->ex.on_gone = on_gone_releases;
    exchange_hold(&one->ex);
    http_exchange_gone(&one->ex);
    assert_int_equal(did.gone, 1);
    assert_int_equal(did.released, 1);
}

static void a_release_before_the_answer_releases_nothing(void **state)
{
    struct one *one = *state;
    exchange_hold(&one->ex);
    exchange_hold(&one->ex);
    exchange_release(&one->ex);
    exchange_release(&one->ex);
    assert_int_equal(did.released, 0);
    exchange_hold(&one->ex);
    exchange_answer(&one->ex, 200, NULL, 0, STR(""));
    assert_int_equal(did.released, 0);
    exchange_release(&one->ex);
    assert_int_equal(did.released, 1);
}

static void kept_slices_survive_the_buffer(void **state)
{
    struct one *one = *state;
    struct exchange *ex = &one->ex;
    char buffer[] = "/path?query host accept body";
    ex->path = str_from(buffer, 5);
    ex->query = str_from(buffer + 6, 5);
    ex->host = str_from(buffer + 12, 4);
    ex->header[HTTP_ACCEPT] = str_from(buffer + 17, 6);
    ex->header[HTTP_ORIGIN] = str_from(buffer, 0); /* there, but empty */
    ex->body = str_from(buffer + 24, 4);
    exchange_keep(ex);
    memset(buffer, '#', sizeof buffer);
    assert_true(ex->stable);
    assert_true(str_eq(ex->path, STR("/path")) && str_eq(ex->query, STR("query")));
    assert_true(str_eq(ex->host, STR("host")) && str_eq(ex->body, STR("body")));
    assert_true(str_eq(ex->header[HTTP_ACCEPT], STR("accept")));
    assert_true(ex->header[HTTP_ORIGIN].p != NULL && ex->header[HTTP_ORIGIN].p != buffer);
    assert_null(ex->header[HTTP_TE].p);
    const char *kept = ex->path.p;
    exchange_keep(ex);
    assert_ptr_equal(ex->path.p, kept);
}

static void methods_have_names_and_names_methods(void **state)
{
    for (enum http_method method = HTTP_GET; method < HTTP_OTHER; method++) {
        assert_int_equal(http_method_find(str_of(http_method_name(method))), method);
    }
    assert_string_equal(http_method_name(HTTP_PATCH), "PATCH");
    assert_int_equal(http_method_find(STR("get")), HTTP_OTHER);
    assert_int_equal(http_method_find(STR("GETS")), HTTP_OTHER);
    assert_int_equal(http_method_find(STR("")), HTTP_OTHER);
}

static void header_names_are_found(void **state)
{
#define H(id, name) assert_int_equal(http_header_find(STR(name)), HTTP_##id);
#include "http/headers.def"
#undef H
    assert_int_equal(http_header_find(STR("")), HTTP_HEADERS);
    assert_int_equal(http_header_find(STR("accepT")), HTTP_HEADERS);
    assert_int_equal(http_header_find(STR("authorizatiom")), HTTP_HEADERS);
    assert_int_equal(http_header_find(STR("a-name-that-is-much-longer-than-any-of-ours")), HTTP_HEADERS);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ONE(after_an_answer_nothing_reaches_the_version),
        ONE(an_answer_in_pieces_starts_and_finishes_once),
        ONE(a_finish_without_a_start_can_be_told),
        ONE(a_gone_client_is_told_once_and_answered_never),
        ONE(a_gone_exchange_that_nobody_holds_is_released_at_once),
        ONE(on_gone_may_let_the_last_hold_go),
        ONE(a_release_before_the_answer_releases_nothing),
        ONE(kept_slices_survive_the_buffer),
        ONE(methods_have_names_and_names_methods),
        ONE(header_names_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
