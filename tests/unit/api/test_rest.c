/* REST: which request goes where, and how answers look. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support.h"

static void an_unknown_path_is_404(void **state)
{
    struct fixture *fx = *state;
    static const char *const paths[] = {
        "/",     "/election", "/election/", "/election/a/b/c", "/elections/a/b",
        "/nope", "/kube/n/d", "/metrics/",  "/livez/x"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_answer(rest_call(fx, HTTP_GET, paths[i], NULL), 404, "{\"message\":\"no such path\"}");
    }
}

static void a_wrong_method_is_405_and_says_which_are_right(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        enum http_method method;
        const char *path;
        const char *allow[6];
    } rows[] = {
        {HTTP_POST, "/elections", {"GET", "HEAD", "OPTIONS"}},
        {HTTP_DELETE, "/elections/k", {"GET", "HEAD", "OPTIONS"}},
        {HTTP_POST, "/livez", {"GET", "HEAD", "OPTIONS"}},
        {HTTP_PUT, "/metrics", {"GET", "HEAD", "OPTIONS"}},
        {HTTP_OTHER, "/election/k/e", {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fake_exchange *answer = rest_call(fx, rows[i].method, rows[i].path, NULL);
        assert_answer(answer, 405,
                      "{\"message\":\"method not allowed; the Allow header lists those that are\"}");
        for (size_t j = 0; j < 6 && rows[i].allow[j] != NULL; j++) {
            assert_non_null(strstr(field_of(answer, "allow"), rows[i].allow[j]));
        }
    }
    assert_null(strstr(field_of(rest_call(fx, HTTP_POST, "/livez", NULL), "allow"), "POST"));
}

static void options_tells_the_methods_without_a_body(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_OPTIONS, "/election/k/e", NULL);
    assert_answer(answer, 204, "");
    assert_non_null(strstr(field_of(answer, "allow"), "PATCH"));
    answer = rest_call(fx, HTTP_OPTIONS, "*", NULL);
    assert_answer(answer, 204, "");
    assert_non_null(strstr(field_of(answer, "allow"), "DELETE"));
    assert_answer(rest_call(fx, HTTP_OPTIONS, "/nope", NULL), 404, "{\"message\":\"no such path\"}");
}

static void head_is_answered_as_get_is(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(rest_call(fx, HTTP_HEAD, "/livez", NULL)->status, 200);
    struct fake_exchange *answer = rest_call(fx, HTTP_HEAD, "/election/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_int_equal(answer->status, 404);
}

static void segments_are_decoded_after_they_were_told_apart(void **state)
{
    struct fixture *fx = *state;
    rest_call(fx, HTTP_GET, "/election/k/a%2Fb%20%C3%BC+", NULL);
    struct election_request *request = fixture_take(fx);
    assert_true(str_eq(request->kind, STR("k")));
    assert_true(str_eq(request->election, STR("a/b ü+")));
    fixture_decide(request, EA_NOT_FOUND);
    assert_int_equal(rest_call(fx, HTTP_GET, "/election/k/a%2", NULL)->status, 400);
    assert_int_equal(fx->store.n, 0);
}

static void the_path_wins_over_the_body(void **state)
{
    struct fixture *fx = *state;
    rest_call(fx, HTTP_POST, "/election/e",
              "{\"candidate\":\"a\",\"term\":1000,\"kind\":\"evil\",\"election\":\"evil\"}");
    struct election_request *request = fixture_take(fx);
    assert_true(str_eq(request->kind, STR("default")));
    assert_true(str_eq(request->election, STR("e")));
    fixture_decide(request, EA_UNAVAILABLE);
}

static void a_bad_body_is_400_and_reaches_no_store(void **state)
{
    struct fixture *fx = *state;
    assert_answer(rest_call(fx, HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":1.5}"), 400,
                  "{\"message\":\"body: term: must be a whole number of milliseconds, got 1.5\"}");
    assert_answer(rest_call(fx, HTTP_DELETE, "/election/e", NULL), 400,
                  "{\"message\":\"body: must be a JSON object, got nothing\"}");
    assert_answer(
        rest_call(fx, HTTP_PATCH, "/election/e", "{\"leader\":\"\\u0001\x01\"}"), 400,
        "{\"message\":\"body: line 1, column 17: control character 0x1 near '\\\\\\\"\\\\\\\\u0001'\"}");
    assert_int_equal(fx->store.n, 0);
}

static void pods_are_not_enabled(void **state)
{
    struct fixture *fx = *state;
    assert_answer(rest_call(fx, HTTP_GET, "/kube/n/d/pods", NULL), 501,
                  "{\"message\":\"Kubernetes is not enabled in this agent\"}");
}

static void an_answer_too_long_for_the_stack_is_whole(void **state)
{
    struct fixture *fx = *state;
    char name[254];
    memset(name, '"', 253);
    name[253] = '\0';
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/election/e", NULL);
    struct election_request *request = fixture_take(fx);
    request->tenure = (struct election_tenure){
        .leader = str_of(name), .token = 1, .expires = mono_add_ms(loop_now(fx->loop), 1)};
    fixture_decide(request, EA_OK);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->body.n, strlen("{\"leader\":\"\",\"token\":\"1\",\"expires_in\":1}") + 2 * 253);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_path_is_404),
        TEST(a_wrong_method_is_405_and_says_which_are_right),
        TEST(options_tells_the_methods_without_a_body),
        TEST(head_is_answered_as_get_is),
        TEST(segments_are_decoded_after_they_were_told_apart),
        TEST(the_path_wins_over_the_body),
        TEST(a_bad_body_is_400_and_reaches_no_store),
        TEST(pods_are_not_enabled),
        TEST(an_answer_too_long_for_the_stack_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
