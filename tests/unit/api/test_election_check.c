/* What clients may send to the service Election: every rule, with its exact words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "support.h"

/* A REST request that must be refused, with status and message. */
struct refusal {
    enum http_method method;
    const char *target;
    const char *body;
    int status;
    const char *message;
};

#define LONG_63  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LONG_64  LONG_63 "a"
#define LONG_253 LONG_63 LONG_63 LONG_63 LONG_64
#define LONG_254 LONG_253 "a"

#define KIND_RULE      "kind: must be 1 to 63 characters of A-Z a-z 0-9 . _ -"
#define NAME_RULE(f)   f ": must be 1 to 253 bytes of UTF-8 without control characters"
#define TERM_RULE(v)   "term: must be 1000 to 3600000, is " v
#define VALID_CAMPAIGN "\"candidate\":\"a\",\"term\":1000"
#define VALID_LEADER   "\"leader\":\"a\",\"term\":1000"

static const struct refusal refusals[] = {
    /* names from the path */
    {HTTP_POST, "/election/k%20/e", "{" VALID_CAMPAIGN "}", 400, KIND_RULE},
    {HTTP_POST, "/election/" LONG_64 "/e", "{" VALID_CAMPAIGN "}", 400, KIND_RULE},
    {HTTP_POST, "/election/k/" LONG_254, "{" VALID_CAMPAIGN "}", 400, NAME_RULE("election")},
    {HTTP_POST, "/election/k/a%0Ab", "{" VALID_CAMPAIGN "}", 400, NAME_RULE("election")},
    {HTTP_POST, "/election/k/a%C2%85b", "{" VALID_CAMPAIGN "}", 400, NAME_RULE("election")},
    {HTTP_POST, "/election/k/a%00b", "{" VALID_CAMPAIGN "}", 400, "election: must not have a zero byte"},
    {HTTP_POST, "/election/k/a%ff", "{" VALID_CAMPAIGN "}", 400, "election: must be valid UTF-8"},
    {HTTP_GET, "/election/k%20/e", NULL, 400, KIND_RULE},
    {HTTP_GET, "/election/a%7Fb", NULL, 400, NAME_RULE("election")},
    {HTTP_GET, "/elections/k%2Fk", NULL, 400, KIND_RULE},
    /* campaign */
    {HTTP_POST, "/election/e", "{}", 400, NAME_RULE("candidate")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"\",\"term\":1000}", 400, NAME_RULE("candidate")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"a\\nb\",\"term\":1000}", 400, NAME_RULE("candidate")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"" LONG_254 "\",\"term\":1000}", 400, NAME_RULE("candidate")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"a\"}", 400, TERM_RULE("0")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":999}", 400, TERM_RULE("999")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":3600001}", 400, TERM_RULE("3600001")},
    {HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":-1}", 400, TERM_RULE("-1")},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"priority\":-1}", 400,
     "priority: must be 0 to 1000000, is -1"},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"priority\":1000001}", 400,
     "priority: must be 0 to 1000000, is 1000001"},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"past\":\"9007199254740992\"}", 400,
     "past: must be below 2^53, is 9007199254740992"},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"wait\":-1}", 400, "wait: must be 0 to 3600000, is -1"},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"wait\":3600001}", 400,
     "wait: must be 0 to 3600000, is 3600001"},
    {HTTP_POST, "/election/e", "{" VALID_CAMPAIGN ",\"wait\":1}", 501,
     "wait: must be 0: this agent does not serve campaigns that wait"},
    /* extend */
    {HTTP_PATCH, "/election/e", "{\"term\":1000}", 400, NAME_RULE("leader")},
    {HTTP_PATCH, "/election/e", "{\"leader\":\"a\"}", 400, TERM_RULE("0")},
    {HTTP_PATCH, "/election/e", "{" VALID_LEADER ",\"token\":\"9007199254740992\"}", 400,
     "token: must be below 2^53, is 9007199254740992"},
    {HTTP_PATCH, "/election/e", "{" VALID_LEADER ",\"retries\":11}", 400, "retries: must be 0 to 10, is 11"},
    {HTTP_PATCH, "/election/e", "{" VALID_LEADER ",\"retries\":-1}", 400, "retries: must be 0 to 10, is -1"},
    {HTTP_PATCH, "/election/e", "{" VALID_LEADER ",\"retry_interval\":1001}", 400,
     "retry_interval: must be 0 to 1000, is 1001"},
    {HTTP_PATCH, "/election/e", "{" VALID_LEADER ",\"retry_interval\":-5}", 400,
     "retry_interval: must be 0 to 1000, is -5"},
    /* resign */
    {HTTP_DELETE, "/election/e", "{}", 400, NAME_RULE("leader")},
    {HTTP_DELETE, "/election/e", "{\"leader\":\"a\",\"token\":\"18446744073709551615\"}", 400,
     "token: must be below 2^53, is 18446744073709551615"},
    /* handover */
    {HTTP_PUT, "/election/e", "{\"term\":1000}", 400, NAME_RULE("leader")},
    {HTTP_PUT, "/election/e", "{\"leader\":\"a\",\"term\":1}", 400, TERM_RULE("1")},
    {HTTP_PUT, "/election/e", "{" VALID_LEADER ",\"from\":\"a\\u0007\"}", 400, NAME_RULE("from")},
    {HTTP_PUT, "/election/e", "{" VALID_LEADER ",\"token\":\"9007199254740992\"}", 400,
     "token: must be below 2^53, is 9007199254740992"},
    {HTTP_PUT, "/election/e", "{" VALID_LEADER ",\"drain\":-1}", 400, "drain: must be 0 to 3600000, is -1"},
    {HTTP_PUT, "/election/e", "{" VALID_LEADER ",\"drain\":1}", 501,
     "drain: must be 0: this agent does not serve handovers that drain"},
    /* list */
    {HTTP_GET, "/elections?page_size=-1", NULL, 400, "page_size: must be 0 to 1000, is -1"},
    {HTTP_GET, "/elections?page_size=1001", NULL, 400, "page_size: must be 0 to 1000, is 1001"},
    {HTTP_GET, "/elections?page_token=a%0a", NULL, 400, NAME_RULE("page_token")},
};

static void what_is_not_allowed_is_refused_with_field_and_rule(void **state)
{
    struct fixture *fx = *state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *row = &refusals[i];
        char body[400];
        snprintf(body, sizeof body, "{\"message\":\"%s\"}", row->message);
        struct fake_exchange *answer = rest_call(fx, row->method, row->target, row->body);
        assert_answer(answer, row->status, body);
        assert_int_equal(fx->store.n, 0);
    }
}

static void metadata_may_have_1024_bytes_and_no_more(void **state)
{
    struct fixture *fx = *state;
    char body[1200];
    for (int n = 1024; n <= 1025; n++) {
        snprintf(body, sizeof body, "{" VALID_CAMPAIGN ",\"metadata\":\"%0*d\"}", n, 0);
        struct fake_exchange *answer = rest_call(fx, HTTP_POST, "/election/e", body);
        if (n == 1025) {
            assert_answer(answer, 400, "{\"message\":\"metadata: must be at most 1024 bytes, is 1025\"}");
        } else {
            fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
        }
    }
}

static void the_longest_and_the_largest_that_is_allowed_is_taken(void **state)
{
    struct fixture *fx = *state;
    static const char *const bodies[] = {
        "{\"candidate\":\"" LONG_253
        "\",\"term\":3600000,\"priority\":1000000,\"past\":\"9007199254740991\"}",
        "{\"candidate\":\"a\",\"term\":1000,\"priority\":0,\"wait\":0}",
        "{\"candidate\":\"\xf0\x9f\x98\x80\\\"\\\\ /%\",\"term\":1000}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        rest_call(fx, HTTP_POST, "/election/" LONG_63 "/" LONG_253, bodies[i]);
        fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    }
    rest_call(fx, HTTP_PATCH, "/election/e",
              "{" VALID_LEADER ",\"retries\":0,\"retry_interval\":1000,\"token\":\"9007199254740991\"}");
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    rest_call(fx, HTTP_GET, "/elections/k?page_size=1000&page_token=a%20%22", NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->page_size, 1000);
    fixture_decide(request, EA_UNAVAILABLE);
}

static void wider_terms(struct api_options *options)
{
    options->min_term_ms = 100;
    options->max_term_ms = 200;
}

static void the_bounds_of_terms_are_the_settings(void **state)
{
    struct fixture *fx = *state;
    fixture_restart(fx, wider_terms);
    assert_answer(rest_call(fx, HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":99}"), 400,
                  "{\"message\":\"term: must be 100 to 200, is 99\"}");
    rest_call(fx, HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":100}");
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
}

static void an_empty_kind_means_default_over_grpc(void **state)
{
    struct fixture *fx = *state;
    PB(GetLeaderRequest) in = GRPC__ELECTION_AGENT__V1__GET_LEADER_REQUEST__INIT;
    in.election = (char *)"e";
    grpc_unary(fx, "/grpc.election_agent.v1.Election/GetLeader", &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_true(str_eq(request->kind, STR("default")));
    fixture_decide(request, EA_NOT_FOUND);
}

static void grpc_refuses_with_the_same_words(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__INIT;
    assert_grpc(grpc_unary(fx, "/grpc.election_agent.v1.Election/Campaign", &in.base, NULL),
                GRPC_INVALID_ARGUMENT, NAME_RULE("election"));
    in.election = in.candidate = (char *)"e";
    assert_grpc(grpc_unary(fx, "/grpc.election_agent.v1.Election/Campaign", &in.base, NULL),
                GRPC_INVALID_ARGUMENT, TERM_RULE("0"));
    in.term = 1000;
    in.kind = (char *)"a b";
    assert_grpc(grpc_unary(fx, "/grpc.election_agent.v1.Election/Campaign", &in.base, NULL),
                GRPC_INVALID_ARGUMENT, KIND_RULE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_allowed_is_refused_with_field_and_rule),
        TEST(metadata_may_have_1024_bytes_and_no_more),
        TEST(the_longest_and_the_largest_that_is_allowed_is_taken),
        TEST(the_bounds_of_terms_are_the_settings),
        TEST(an_empty_kind_means_default_over_grpc),
        TEST(grpc_refuses_with_the_same_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
