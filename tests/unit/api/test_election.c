/* The service Election: what reaches the store, and what its decisions become in both protocols. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "support.h"

#define CAMPAIGN "/grpc.election_agent.v1.Election/Campaign"
#define EXTEND   "/grpc.election_agent.v1.Election/ExtendElectedTerm"
#define RESIGN   "/grpc.election_agent.v1.Election/Resign"
#define HANDOVER "/grpc.election_agent.v1.Election/Handover"
#define GET      "/grpc.election_agent.v1.Election/GetLeader"
#define LIST     "/grpc.election_agent.v1.Election/ListLeaders"
#define INFO     "/grpc.election_agent.v1.Election/GetElection"

#define TOKEN UINT64_C(1790000000000001)

static bool is(struct str s, const char *expected)
{
    return str_eq(s, str_of(expected));
}

/* The store says: `leader` holds it for ms more. */
static void lead(struct fixture *fx, struct election_request *request, const char *leader, int64_t ms)
{
    request->tenure = (struct election_tenure){
        .leader = str_of(leader),
        .token = TOKEN,
        .expires = mono_add_ms(loop_now(fx->loop), ms),
        .term_ms = 10000,
        .elected_at = fx->clock.wall,
        .renewed_at = fx->clock.wall,
    };
}

static PB(CampaignRequest) campaign_of(const char *candidate)
{
    PB(CampaignRequest) request = GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__INIT;
    request.election = (char *)"e";
    request.candidate = (char *)candidate;
    request.term = 10000;
    return request;
}

/* --- campaign --- */

static void a_campaign_reaches_the_store_as_it_was_meant(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    in.past = 7;
    grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_CAMPAIGN);
    assert_true(is(request->kind, "default"));
    assert_true(is(request->election, "e"));
    assert_true(is(request->candidate, "a"));
    assert_int_equal(request->term_ms, 10000);
    assert_int_equal(request->priority, 1);
    assert_true(request->past == 7);
    assert_true(request->start.us == fx->clock.mono.us);
    assert_true(mono_sub(request->deadline, request->start) == 3000 * 1000);
    fixture_decide(request, EA_UNAVAILABLE);
}

static void a_priority_of_0_is_not_the_default(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    in.priority_given_case = GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN_PRIORITY;
    grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->priority, 0);
    fixture_decide(request, EA_UNAVAILABLE);
}

static void a_winner_learns_how_much_validity_is_left(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    in.kind = (char *)"k";
    struct fake_exchange *answer = grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    fixture_advance_ms(fx, 150);
    request->elected = true;
    lead(fx, request, "a", 10000);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(CampaignResult) *result = grpc_message_at(answer, 0, EA_PB(campaign_result));
    assert_true(result->elected);
    assert_string_equal(result->leader, "a");
    assert_string_equal(result->kind, "k");
    assert_true(result->token == TOKEN);
    /* The term, less the drift of 1 % and 2 ms, less the time since the request came. */
    assert_int_equal(result->expires_in, 10000 - 102 - 150);
}

static void a_grant_is_never_late(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    in.term = 1000;
    struct fake_exchange *last = grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct fake_exchange *late = grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct election_request *requests[2] = {fixture_take(fx), fixture_take(fx)};
    for (int i = 0; i < 2; i++) {
        requests[i]->elected = true;
        lead(fx, requests[i], "a", 1000);
    }
    fixture_advance_ms(fx, 1000 - 12 - 1); /* 1 ms of validity is left */
    fixture_decide(requests[0], EA_OK);
    assert_grpc(last, GRPC_OK, "");
    assert_int_equal(
        ((const PB(CampaignResult) *)grpc_message_at(last, 0, EA_PB(campaign_result)))->expires_in, 1);
    /* The turn's time stands still; only a fresh look at the clock can tell. */
    clock_fake_advance_us(&fx->clock, 1000);
    fixture_decide(requests[1], EA_OK);
    assert_grpc(late, GRPC_FAILED_PRECONDITION, "the store decided too late: nothing is left of the term");
}

static void a_loser_learns_who_leads_and_for_how_long(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("b");
    struct fake_exchange *answer = grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    lead(fx, request, "a", 4321);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(CampaignResult) *result = grpc_message_at(answer, 0, EA_PB(campaign_result));
    assert_false(result->elected);
    assert_string_equal(result->leader, "a");
    assert_string_equal(result->kind, "default");
    assert_true(result->token == TOKEN);
    assert_int_equal(result->expires_in, 4321);
}

static void rest_and_grpc_ask_and_answer_the_same(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(
        fx, HTTP_POST, "/election/k/e", "{\"candidate\":\"a\",\"term\":10000,\"priority\":5,\"past\":\"9\"}");
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_CAMPAIGN);
    assert_true(is(request->kind, "k"));
    assert_true(is(request->election, "e"));
    assert_true(is(request->candidate, "a"));
    assert_int_equal(request->term_ms, 10000);
    assert_int_equal(request->priority, 5);
    assert_true(request->past == 9);
    request->elected = true;
    lead(fx, request, "a", 10000);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200,
                  "{\"elected\":true,\"leader\":\"a\",\"kind\":\"k\",\"token\":\"1790000000000001\","
                  "\"expires_in\":9898}");
    assert_string_equal(field_of(answer, "content-type"), "application/json; charset=utf-8");

    answer = rest_call(fx, HTTP_POST, "/election/e", "{\"candidate\":\"b\",\"term\":10000}");
    request = fixture_take(fx);
    assert_true(is(request->kind, "default"));
    lead(fx, request, "say \"a\"", 42);
    fixture_decide(request, EA_OK);
    assert_answer(
        answer, 200,
        "{\"elected\":false,\"leader\":\"say \\\"a\\\"\",\"kind\":\"default\",\"token\":\"1790000000000001\","
        "\"expires_in\":42}");
}

static void a_feature_that_is_not_served_is_refused_not_ignored(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    in.wait = 1;
    assert_grpc(grpc_unary(fx, CAMPAIGN, &in.base, NULL), GRPC_UNIMPLEMENTED,
                "wait: must be 0: this agent does not serve campaigns that wait");
    assert_answer(
        rest_call(fx, HTTP_POST, "/election/e", "{\"candidate\":\"a\",\"term\":1000,\"wait\":1000}"), 501,
        "{\"message\":\"wait: must be 0: this agent does not serve campaigns that wait\"}");
    assert_answer(rest_call(fx, HTTP_PUT, "/election/e", "{\"leader\":\"a\",\"term\":1000,\"drain\":1000}"),
                  501, "{\"message\":\"drain: must be 0: this agent does not serve handovers that drain\"}");
}

/* --- extend --- */

static void an_extension_answers_with_token_and_validity(void **state)
{
    struct fixture *fx = *state;
    PB(ExtendElectedTermRequest) in = GRPC__ELECTION_AGENT__V1__EXTEND_ELECTED_TERM_REQUEST__INIT;
    in.election = (char *)"e";
    in.leader = (char *)"a";
    in.term = 5000;
    in.token = 3;
    struct fake_exchange *answer = grpc_unary(fx, EXTEND, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_EXTEND);
    assert_true(is(request->candidate, "a"));
    assert_true(request->token == 3);
    lead(fx, request, "a", 5000);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(BoolValue) *value = grpc_message_at(answer, 0, EA_PB(bool_value));
    assert_true(value->value);
    assert_true(value->token == TOKEN);
    assert_int_equal(value->expires_in, 5000 - 52);

    answer = rest_call(fx, HTTP_PATCH, "/election/e", "{\"leader\":\"a\",\"term\":5000}");
    request = fixture_take(fx);
    lead(fx, request, "a", 5000);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200, "{\"token\":\"1790000000000001\",\"expires_in\":4948}");
}

static void an_extension_that_cannot_be_decided_is_retried_as_often_as_asked(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer =
        rest_call(fx, HTTP_PATCH, "/election/e",
                  "{\"leader\":\"a\",\"term\":5000,\"retries\":2,\"retry_interval\":100}");
    for (int i = 0; i < 2; i++) {
        fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
        assert_false(answer->finished);
        fixture_advance_ms(fx, 99);
        assert_int_equal(fx->store.n, 0);
        fixture_advance_ms(fx, 2);
        assert_int_equal(fx->store.n, 1);
    }
    /* The last attempt's validity and deadline count from its own start. */
    struct election_request *request = fixture_take(fx);
    assert_true(request->start.us == fx->clock.mono.us);
    assert_true(mono_sub(request->deadline, request->start) == 3000 * 1000);
    request->why = STR("no quorum");
    fixture_decide(request, EA_UNAVAILABLE);
    assert_answer(answer, 412, "{\"message\":\"the store cannot decide: no quorum\"}");
}

static void a_retry_that_succeeds_is_a_success(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer =
        rest_call(fx, HTTP_PATCH, "/election/e", "{\"leader\":\"a\",\"term\":5000,\"retries\":10}");
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_int_equal(fx->store.n, 0); /* not from inside the store's callback */
    fixture_advance_ms(fx, 1);
    struct election_request *request = fixture_take(fx);
    lead(fx, request, "a", 5000);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200, "{\"token\":\"1790000000000001\",\"expires_in\":4948}");
}

static void what_another_try_cannot_cure_is_not_retried(void **state)
{
    struct fixture *fx = *state;
    const char *body = "{\"leader\":\"a\",\"term\":5000,\"retries\":10,\"retry_interval\":1}";
    struct fake_exchange *answer = rest_call(fx, HTTP_PATCH, "/election/e", body);
    struct election_request *request = fixture_take(fx);
    lead(fx, request, "b", 5000);
    fixture_decide(request, EA_HELD);
    assert_answer(answer, 409, "{\"message\":\"held by \\\"b\\\"\"}");
    answer = rest_call(fx, HTTP_PATCH, "/election/e", body);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_answer(answer, 404, "{\"message\":\"nobody holds the election: campaign again\"}");
    fixture_advance_ms(fx, 1000);
    assert_int_equal(fx->store.n, 0);
}

static void a_client_that_goes_away_ends_its_retries(void **state)
{
    struct fixture *fx = *state;
    const char *body = "{\"leader\":\"a\",\"term\":5000,\"retries\":10,\"retry_interval\":1000}";
    struct fake_exchange *waiting = rest_call(fx, HTTP_PATCH, "/election/e", body);
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    exchange_leave(waiting); /* while the timer runs */
    assert_int_equal(waiting->ex.holds, 1);
    struct fake_exchange *deciding = rest_call(fx, HTTP_PATCH, "/election/e", body);
    exchange_leave(deciding); /* while the store decides */
    fixture_decide(fixture_take(fx), EA_UNAVAILABLE);
    assert_int_equal(deciding->ex.holds, 1);
    fixture_advance_ms(fx, 5000);
    assert_int_equal(fx->store.n, 0);
    assert_int_equal(waiting->status, 0);
    assert_int_equal(deciding->status, 0);
}

/* --- resign, handover --- */

static void a_resignation_ends_the_tenure_it_names(void **state)
{
    struct fixture *fx = *state;
    PB(ResignRequest) in = GRPC__ELECTION_AGENT__V1__RESIGN_REQUEST__INIT;
    in.election = (char *)"e";
    in.leader = (char *)"a";
    in.token = TOKEN;
    struct fake_exchange *answer = grpc_unary(fx, RESIGN, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_RESIGN);
    assert_true(request->token == TOKEN);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(BoolValue) *value = grpc_message_at(answer, 0, EA_PB(bool_value));
    assert_true(value->value);
    assert_true(value->token == 0);

    answer = rest_call(fx, HTTP_DELETE, "/election/e", "{\"leader\":\"a\",\"token\":\"1790000000000001\"}");
    request = fixture_take(fx);
    assert_true(request->token == TOKEN);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200, "{}");

    answer = rest_call(fx, HTTP_DELETE, "/election/e", "{\"leader\":\"b\"}");
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_answer(answer, 404,
                  "{\"message\":\"this candidate does not hold the election, or not with this token\"}");
}

static void a_handover_gives_the_new_leader_its_token(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(
        fx, HTTP_PUT, "/election/e", "{\"leader\":\"b\",\"term\":5000,\"from\":\"a\",\"token\":\"5\"}");
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_HANDOVER);
    assert_true(is(request->candidate, "b"));
    assert_true(is(request->from, "a"));
    assert_true(request->token == 5);
    lead(fx, request, "b", 5000);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200, "{\"token\":\"1790000000000001\",\"expires_in\":4948}");

    answer = rest_call(fx, HTTP_PUT, "/election/e", "{\"leader\":\"b\",\"term\":5000,\"from\":\"x\"}");
    request = fixture_take(fx);
    lead(fx, request, "c", 5000);
    fixture_decide(request, EA_HELD);
    assert_answer(answer, 409, "{\"message\":\"held by \\\"c\\\" with token 1790000000000001\"}");

    answer = rest_call(fx, HTTP_PUT, "/election/e", "{\"leader\":\"b\",\"term\":5000,\"from\":\"x\"}");
    fixture_decide(fixture_take(fx), EA_HELD);
    assert_answer(answer, 409,
                  "{\"message\":\"nobody holds the election, and the request names its holder\"}");
}

/* --- looking --- */

static void get_leader_tells_who_leads(void **state)
{
    struct fixture *fx = *state;
    PB(GetLeaderRequest) in = GRPC__ELECTION_AGENT__V1__GET_LEADER_REQUEST__INIT;
    in.election = (char *)"e";
    struct fake_exchange *answer = grpc_unary(fx, GET, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_GET);
    lead(fx, request, "a", 700);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(StringValue) *value = grpc_message_at(answer, 0, EA_PB(string_value));
    assert_string_equal(value->value, "a");
    assert_true(value->token == TOKEN);
    assert_int_equal(value->expires_in, 700);

    answer = rest_call(fx, HTTP_GET, "/election/e", NULL);
    request = fixture_take(fx);
    lead(fx, request, "a", 700);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200, "{\"leader\":\"a\",\"token\":\"1790000000000001\",\"expires_in\":700}");
}

static void without_a_leader_the_body_still_has_an_empty_one(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/election/k/e", NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_answer(answer, 404, "{\"leader\":\"\",\"message\":\"nobody holds the election\"}");
    PB(GetLeaderRequest) in = GRPC__ELECTION_AGENT__V1__GET_LEADER_REQUEST__INIT;
    in.election = (char *)"e";
    answer = grpc_unary(fx, GET, &in.base, NULL);
    fixture_decide(fixture_take(fx), EA_NOT_FOUND);
    assert_grpc(answer, GRPC_NOT_FOUND, "nobody holds the election");
}

static void nobody_is_shown_as_leader_past_the_end_of_the_term(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/election/e", NULL);
    struct election_request *request = fixture_take(fx);
    lead(fx, request, "a", 50);
    fixture_advance_ms(fx, 50);
    fixture_decide(request, EA_OK);
    assert_answer(answer, 404, "{\"leader\":\"\",\"message\":\"nobody holds the election\"}");
}

static void leaders_come_page_by_page(void **state)
{
    struct fixture *fx = *state;
    struct election_leader leaders[] = {{STR("a"), STR("x"), 1}, {STR("b \"q\""), STR("y"), UINT64_MAX}};
    struct fake_exchange *answer = rest_call(fx, HTTP_GET, "/elections/k?page_size=2&page_token=A%20b", NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_LIST);
    assert_true(is(request->kind, "k"));
    assert_int_equal(request->page_size, 2);
    assert_true(is(request->after, "A b"));
    request->list = (struct election_list){.leaders = leaders, .n = 2, .more = true};
    fixture_decide(request, EA_OK);
    assert_answer(answer, 200,
                  "{\"leaders\":[{\"election\":\"a\",\"name\":\"x\",\"token\":\"1\"},"
                  "{\"election\":\"b \\\"q\\\"\",\"name\":\"y\",\"token\":\"18446744073709551615\"}],"
                  "\"next_page_token\":\"b \\\"q\\\"\"}");

    PB(ListLeadersRequest) in = GRPC__ELECTION_AGENT__V1__LIST_LEADERS_REQUEST__INIT;
    answer = grpc_unary(fx, LIST, &in.base, NULL);
    request = fixture_take(fx);
    assert_true(is(request->kind, "default"));
    assert_int_equal(request->page_size, 100);
    assert_int_equal(request->after.n, 0);
    request->list = (struct election_list){.leaders = leaders, .n = 1};
    fixture_decide(request, EA_OK);
    const PB(Leaders) *page = grpc_message_at(answer, 0, EA_PB(leaders));
    assert_int_equal(page->n_leaders, 1);
    assert_string_equal(page->leaders[0]->election, "a");
    assert_string_equal(page->next_page_token, "");

    answer = rest_call(fx, HTTP_GET, "/elections", NULL);
    fixture_decide(fixture_take(fx), EA_OK);
    assert_answer(answer, 200, "{\"leaders\":[],\"next_page_token\":\"\"}");
}

static struct election_request *ask_info(struct fixture *fx, struct fake_exchange **answer)
{
    PB(GetElectionRequest) in = GRPC__ELECTION_AGENT__V1__GET_ELECTION_REQUEST__INIT;
    in.election = (char *)"e";
    *answer = grpc_unary(fx, INFO, &in.base, NULL);
    struct election_request *request = fixture_take(fx);
    assert_int_equal(request->op, OP_INFO);
    return request;
}

static void an_election_is_told_in_full(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = NULL;
    struct election_request *request = ask_info(fx, &answer);
    struct election_candidate candidates[] = {{STR("a"), 1, {0}, true}, {STR("b"), 7, {1000000}, false}};
    struct election_event events[] = {{.at = {1500000},
                                       .action = ACTION_HANDED_OVER,
                                       .kind = STR("default"),
                                       .election = STR("e"),
                                       .leader = STR("a"),
                                       .previous = STR("z"),
                                       .token = 9}};
    lead(fx, request, "a", 700);
    request->info = (struct election_info){candidates, 2, events, 1};
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(ElectionInfo) *info = grpc_message_at(answer, 0, EA_PB(election_info));
    assert_string_equal(info->kind, "default");
    assert_string_equal(info->election, "e");
    assert_string_equal(info->leader, "a");
    assert_true(info->token == TOKEN);
    assert_int_equal(info->expires_in, 700);
    assert_int_equal(info->term, 10000);
    assert_string_equal(info->elected_at, "2026-01-01T00:00:00.000Z");
    assert_string_equal(info->renewed_at, "2026-01-01T00:00:00.000Z");
    assert_int_equal(info->n_candidates, 2);
    assert_true(info->candidates[0]->leading);
    assert_string_equal(info->candidates[1]->name, "b");
    assert_int_equal(info->candidates[1]->priority, 7);
    assert_string_equal(info->candidates[1]->last_seen, "1970-01-01T00:00:01.000Z");
    assert_int_equal(info->n_events, 1);
    assert_string_equal(info->events[0]->at, "1970-01-01T00:00:01.500Z");
    assert_string_equal(info->events[0]->action, "handed_over");
    assert_string_equal(info->events[0]->leader, "a");
    assert_string_equal(info->events[0]->previous, "z");
    assert_true(info->events[0]->token == 9);
}

static void an_election_without_a_leader_is_told_by_its_past(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer = NULL;
    struct election_request *request = ask_info(fx, &answer);
    fixture_decide(request, EA_OK);
    assert_grpc(answer, GRPC_OK, "");
    const PB(ElectionInfo) *info = grpc_message_at(answer, 0, EA_PB(election_info));
    assert_string_equal(info->leader, "");
    assert_string_equal(info->elected_at, "");
    request = ask_info(fx, &answer);
    fixture_decide(request, EA_NOT_FOUND);
    assert_grpc(answer, GRPC_NOT_FOUND, "nothing is known about the election");
}

/* --- failures --- */

static const struct {
    enum err err;
    const char *why;
    enum grpc_status grpc;
    int http;
    const char *message;
} failures[] = {
    {EA_NOT_FOUND, "", GRPC_NOT_FOUND, 404, "nobody holds the election: campaign again"},
    {EA_HELD, "", GRPC_ALREADY_EXISTS, 409, "held by z"},
    {EA_UNAVAILABLE, "", GRPC_FAILED_PRECONDITION, 412, "the store cannot decide"},
    {EA_UNAVAILABLE, "it is starting", GRPC_FAILED_PRECONDITION, 412,
     "the store cannot decide: it is starting"},
    {EA_FULL, "", GRPC_RESOURCE_EXHAUSTED, 429, "the store is at its limit"},
    {EA_FULL, "1000000 elections", GRPC_RESOURCE_EXHAUSTED, 429, "1000000 elections"},
    {EA_INTERNAL, "", GRPC_INTERNAL, 500, "internal error"},
};

static void every_failure_has_the_contracts_status_in_both_protocols(void **state)
{
    struct fixture *fx = *state;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++) {
        PB(ExtendElectedTermRequest) in = GRPC__ELECTION_AGENT__V1__EXTEND_ELECTED_TERM_REQUEST__INIT;
        in.election = in.leader = (char *)"e";
        in.term = 5000;
        struct fake_exchange *grpc = grpc_unary(fx, EXTEND, &in.base, NULL);
        struct fake_exchange *rest =
            rest_call(fx, HTTP_PATCH, "/election/e", "{\"leader\":\"e\",\"term\":5000}");
        for (int n = 0; n < 2; n++) {
            struct election_request *request = fixture_take(fx);
            request->why = str_of(failures[i].why);
            request->tenure.leader = STR("z");
            fixture_decide(request, failures[i].err);
        }
        assert_int_equal(rest->status, failures[i].http);
        if (failures[i].err == EA_HELD) {
            assert_grpc(grpc, failures[i].grpc, "held by \"z\"");
            continue;
        }
        assert_grpc(grpc, failures[i].grpc, failures[i].message);
        char body[100];
        snprintf(body, sizeof body, "{\"message\":\"%s\"}", failures[i].message);
        assert_answer(rest, failures[i].http, body);
    }
}

static void an_old_token_of_the_same_leader_is_told_apart(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *answer =
        rest_call(fx, HTTP_PATCH, "/election/e", "{\"leader\":\"a\",\"term\":5000,\"token\":\"5\"}");
    struct election_request *request = fixture_take(fx);
    lead(fx, request, "a", 5000);
    fixture_decide(request, EA_HELD);
    assert_answer(
        answer, 409,
        "{\"message\":\"the tenure with token 5 is over: \\\"a\\\" leads with token 1790000000000001\"}");
}

static void the_clients_deadline_is_the_stores_too(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    struct fake_exchange *answer = grpc_unary(fx, CAMPAIGN, &in.base, "200m");
    struct election_request *request = fixture_take(fx);
    assert_true(mono_sub(request->deadline, request->start) == 200 * 1000);
    fixture_advance_ms(fx, 201);
    assert_grpc(answer, GRPC_DEADLINE_EXCEEDED, "deadline exceeded");
    request->elected = true;
    lead(fx, request, "a", 10000);
    fixture_decide(request, EA_OK); /* goes nowhere, and harms nobody */
    assert_int_equal(grpc_message_count(answer), 0);
    assert_int_equal(answer->ex.holds, 1);
}

static void a_client_that_has_gone_costs_nothing_more(void **state)
{
    struct fixture *fx = *state;
    PB(CampaignRequest) in = campaign_of("a");
    struct fake_exchange *grpc = grpc_unary(fx, CAMPAIGN, &in.base, NULL);
    struct fake_exchange *rest = rest_call(fx, HTTP_GET, "/election/e", NULL);
    struct election_request *first = fixture_take(fx);
    struct election_request *second = fixture_take(fx);
    exchange_leave(grpc);
    exchange_leave(rest);
    assert_int_equal(grpc->ex.holds, 2); /* the store still has the request */
    fixture_decide(first, EA_UNAVAILABLE);
    lead(fx, second, "a", 100);
    fixture_decide(second, EA_OK);
    assert_int_equal(grpc->ex.holds, 1);
    assert_int_equal(rest->ex.holds, 1);
    assert_int_equal(grpc->status, 0);
    assert_int_equal(rest->status, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_campaign_reaches_the_store_as_it_was_meant),
        TEST(a_priority_of_0_is_not_the_default),
        TEST(a_winner_learns_how_much_validity_is_left),
        TEST(a_grant_is_never_late),
        TEST(a_loser_learns_who_leads_and_for_how_long),
        TEST(rest_and_grpc_ask_and_answer_the_same),
        TEST(a_feature_that_is_not_served_is_refused_not_ignored),
        TEST(an_extension_answers_with_token_and_validity),
        TEST(an_extension_that_cannot_be_decided_is_retried_as_often_as_asked),
        TEST(a_retry_that_succeeds_is_a_success),
        TEST(what_another_try_cannot_cure_is_not_retried),
        TEST(a_client_that_goes_away_ends_its_retries),
        TEST(a_resignation_ends_the_tenure_it_names),
        TEST(a_handover_gives_the_new_leader_its_token),
        TEST(get_leader_tells_who_leads),
        TEST(without_a_leader_the_body_still_has_an_empty_one),
        TEST(nobody_is_shown_as_leader_past_the_end_of_the_term),
        TEST(leaders_come_page_by_page),
        TEST(an_election_is_told_in_full),
        TEST(an_election_without_a_leader_is_told_by_its_past),
        TEST(every_failure_has_the_contracts_status_in_both_protocols),
        TEST(an_old_token_of_the_same_leader_is_told_apart),
        TEST(the_clients_deadline_is_the_stores_too),
        TEST(a_client_that_has_gone_costs_nothing_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
