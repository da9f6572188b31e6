/* JSON bodies and queries: what is taken, and the exact words about what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "api/body.h"
#include "api/message.h"
#include "api/pb.h"

static struct arena arena;

static int setup(void **state)
{
    body_setup();
    arena_init(&arena, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_reset(&arena);
    return 0;
}

/* The bits of the fields that the path of the REST API sets. */
static uint64_t path_of(const ProtobufCMessageDescriptor *type)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        if (strcmp(type->fields[i].name, "kind") == 0 || strcmp(type->fields[i].name, "election") == 0) {
            bits |= UINT64_C(1) << i;
        }
    }
    return bits;
}

static enum err read_campaign(struct str body, PB(CampaignRequest) * out, struct error *error)
{
    *out = (PB(CampaignRequest))GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__INIT;
    return body_read(&out->base, body, path_of(EA_PB(campaign_request)), &arena, error);
}

static PB(CampaignRequest) taken(const char *body)
{
    PB(CampaignRequest) request;
    struct error error = ERROR_NONE;
    if (read_campaign(str_of(body), &request, &error) != EA_OK) {
        fail_msg("%s: %s", body, error.text);
    }
    return request;
}

static void refused_bytes(struct str body, const char *message)
{
    PB(CampaignRequest) request;
    struct error error = ERROR_NONE;
    assert_int_equal(read_campaign(body, &request, &error), EA_INVALID);
    assert_int_equal(error.code, EA_INVALID);
    assert_string_equal(error.text, message);
}

static void refused(const char *body, const char *message)
{
    refused_bytes(str_of(body), message);
}

static void a_body_sets_the_fields_it_names(void **state)
{
    PB(CampaignRequest)
    request = taken(" {\"candidate\": \"gr\\u00fcn\", \"term\": 5000, \"priority\": 0,"
                    " \"metadata\": \"m\", \"wait\": 7, \"past\": \"18446744073709551615\"}\n");
    assert_string_equal(request.candidate, "grün");
    assert_int_equal(request.term, 5000);
    assert_int_equal(request.priority_given_case,
                     GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN_PRIORITY);
    assert_int_equal(request.priority, 0);
    assert_string_equal(request.metadata, "m");
    assert_int_equal(request.wait, 7);
    assert_true(request.past == UINT64_MAX);
}

static void what_a_body_does_not_name_keeps_its_default(void **state)
{
    PB(CampaignRequest) request = taken("{}");
    assert_string_equal(request.candidate, "");
    assert_int_equal(request.term, 0);
    assert_int_equal(request.priority_given_case,
                     GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN__NOT_SET);
    assert_true(request.past == 0);
}

static void unknown_keys_are_ignored_whatever_they_hold(void **state)
{
    PB(CampaignRequest)
    request = taken("{\"x\": {\"candidate\": [1.5, null, {}]}, \"Candidate\": 1, \"term\": 1000, \"y\": []}");
    assert_string_equal(request.candidate, "");
    assert_int_equal(request.term, 1000);
}

static void null_is_a_key_that_is_not_there(void **state)
{
    PB(CampaignRequest) request = taken("{\"candidate\": null, \"term\": null, \"past\": null}");
    assert_string_equal(request.candidate, "");
}

static void keys_that_the_path_gives_are_ignored(void **state)
{
    PB(CampaignRequest) request = taken("{\"kind\": 7, \"election\": \"evil\", \"candidate\": \"a\"}");
    assert_string_equal(request.kind, "");
    assert_string_equal(request.election, "");
    assert_string_equal(request.candidate, "a");
}

static void a_token_may_be_a_string_or_an_exact_number(void **state)
{
    assert_true(taken("{\"past\": \"0\"}").past == 0);
    assert_true(taken("{\"past\": \"9007199254740993\"}").past == UINT64_C(9007199254740993));
    assert_true(taken("{\"past\": 9007199254740991}").past == UINT64_C(9007199254740991));
}

static void a_whole_escaped_pair_of_surrogates_is_one_character(void **state)
{
    assert_string_equal(taken("{\"candidate\": \"\\ud83d\\ude00\"}").candidate, "\xf0\x9f\x98\x80");
}

static const struct {
    const char *body;
    const char *message;
} bad[] = {
    /* not an object */
    {"", "body: must be a JSON object, got nothing"},
    {" \r\n\t", "body: must be a JSON object, got nothing"},
    {"[]", "body: must be a JSON object, got an array"},
    {"\"candidate\"", "body: must be a JSON object, got a string"},
    {"17", "body: must be a JSON object, got 17"},
    {"1.5", "body: must be a JSON object, got 1.5"},
    {"true", "body: must be a JSON object, got true"},
    {"false", "body: must be a JSON object, got false"},
    {"null", "body: must be a JSON object, got null"},
    /* not JSON */
    {"{", "body: line 1, column 1: string or '}' expected near end of file"},
    {"{\"term\": 1000", "body: line 1, column 13: '}' expected near end of file"},
    {"{\"term\": 1000,}", "body: line 1, column 15: string or '}' expected near '}'"},
    {"{\"term\" 1000}", "body: line 1, column 12: ':' expected near '1000'"},
    {"{term: 1000}", "body: line 1, column 5: string or '}' expected near 'term'"},
    {"{'term': 1000}", "body: line 1, column 2: string or '}' expected near '''"},
    {"candidate=a&term=1000", "body: line 1, column 9: invalid token near 'candidate'"},
    {"{\n\"term\": nope}", "body: line 2, column 12: invalid token near 'nope'"},
    {"{\"term\": \"1\n000\"}", "body: line 1, column 11: unexpected newline near '\\\"1'"},
    /* behind the end, twice */
    {"{} {}", "body: line 1, column 4: end of file expected near '{'"},
    {"{}x", "body: line 1, column 3: end of file expected near 'x'"},
    {"{\"term\": 1000, \"term\": 1000}", "body: line 1, column 21: duplicate object key near '\\\"term\\\"'"},
    {"{\"x\": 1, \"x\": 2}", "body: line 1, column 12: duplicate object key near '\\\"x\\\"'"},
    /* numbers that are none */
    {"{\"term\": NaN}", "body: line 1, column 12: invalid token near 'NaN'"},
    {"{\"term\": Infinity}", "body: line 1, column 17: invalid token near 'Infinity'"},
    {"{\"term\": -Infinity}", "body: line 1, column 10: invalid token near '-'"},
    {"{\"term\": 01000}", "body: line 1, column 10: invalid token near '0'"},
    {"{\"term\": +1000}", "body: line 1, column 10: invalid token near '+'"},
    {"{\"term\": 0x1000}", "body: line 1, column 11: '}' expected near 'x'"},
    {"{\"term\": 1e400}", "body: line 1, column 14: real number overflow near '1e400'"},
    {"{\"term\": 9223372036854775808}",
     "body: line 1, column 28: too big integer near '9223372036854775808'"},
    /* numbers that are not whole */
    {"{\"term\": 1.5}", "body: term: must be a whole number of milliseconds, got 1.5"},
    {"{\"term\": 1000.0}", "body: term: must be a whole number of milliseconds, got 1000"},
    {"{\"term\": 1e3}", "body: term: must be a whole number of milliseconds, got 1000"},
    {"{\"priority\": 0.5}", "body: priority: must be a whole number, got 0.5"},
    {"{\"wait\": -0.25}", "body: wait: must be a whole number of milliseconds, got -0.25"},
    {"{\"term\": 2147483648}", "body: term: must be a number of 32 bits, got 2147483648"},
    {"{\"term\": -2147483649}", "body: term: must be a number of 32 bits, got -2147483649"},
    /* other types */
    {"{\"term\": \"1000\"}", "body: term: must be a whole number of milliseconds, got a string"},
    {"{\"term\": true}", "body: term: must be a whole number of milliseconds, got true"},
    {"{\"term\": [1000]}", "body: term: must be a whole number of milliseconds, got an array"},
    {"{\"term\": {}}", "body: term: must be a whole number of milliseconds, got an object"},
    {"{\"candidate\": 1}", "body: candidate: must be a string, got 1"},
    {"{\"candidate\": false}", "body: candidate: must be a string, got false"},
    {"{\"candidate\": [\"a\"]}", "body: candidate: must be a string, got an array"},
    {"{\"metadata\": {}}", "body: metadata: must be a string, got an object"},
    /* tokens */
    {"{\"past\": 9007199254740992}",
     "body: past: must be a string of digits or a whole number below 2^53, got 9007199254740992"},
    {"{\"past\": -1}", "body: past: must be a string of digits or a whole number below 2^53, got -1"},
    {"{\"past\": 1.5}", "body: past: must be a string of digits or a whole number below 2^53, got 1.5"},
    {"{\"past\": \"\"}",
     "body: past: must be a string of digits or a whole number below 2^53, got another string"},
    {"{\"past\": \"-1\"}",
     "body: past: must be a string of digits or a whole number below 2^53, got another string"},
    {"{\"past\": \" 1\"}",
     "body: past: must be a string of digits or a whole number below 2^53, got another string"},
    {"{\"past\": \"18446744073709551616\"}",
     "body: past: must be a string of digits or a whole number below 2^53, got another string"},
    {"{\"past\": true}", "body: past: must be a string of digits or a whole number below 2^53, got true"},
    /* strings */
    {"{\"candidate\": \"\\ud800\"}",
     "body: line 1, column 22: invalid Unicode '\\\\uD800' near '\\\"\\\\ud800\\\"'"},
    {"{\"candidate\": \"\\ud800\\u0041\"}",
     "body: line 1, column 28: invalid Unicode '\\\\uD800\\\\u0041' near '\\\"\\\\ud800\\\\u0041\\\"'"},
    {"{\"candidate\": \"\\udc00\"}",
     "body: line 1, column 22: invalid Unicode '\\\\uDC00' near '\\\"\\\\udc00\\\"'"},
    {"{\"candidate\": \"\\u0000\"}",
     "body: line 1, column 22: \\\\u0000 is not allowed without JSON_ALLOW_NUL near "
     "'\\\"\\\\u0000\\\"'"},
    {"{\"candidate\": \"\\x41\"}", "body: line 1, column 17: invalid escape near '\\\"\\\\x'"},
    {"{\"candidate\": \"a\tb\"}", "body: line 1, column 16: control character 0x9 near '\\\"a'"},
};

static void a_bad_body_is_refused_with_what_is_wrong_and_where(void **state)
{
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refused(bad[i].body, bad[i].message);
    }
}

static void bytes_that_are_not_utf8_are_refused(void **state)
{
    refused("{\"candidate\": \"\xff\"}", "body: line 1, column 15: unable to decode byte 0xff near '\\\"'");
    refused("{\"candidate\": \"\xed\xa0\x80\"}",
            "body: line 1, column 15: unable to decode byte 0xed near '\\\"'");
    refused("{\"\xc0\x80\": 1}", "body: line 1, column 2: unable to decode byte 0xc0 near '\\\"'");
    refused_bytes(STR("{\"candidate\": \"a\0b\"}"),
                  "body: line 1, column 16: control character 0x0 near '\\\"a'");
    refused_bytes(STR("\0{}"), "body: line 1, column 1: invalid token near end of file");
}

static void nesting_is_bounded(void **state)
{
    char deep[4000];
    memset(deep, '[', sizeof deep);
    memcpy(deep, "{\"x\":", 5);
    refused_bytes(str_from(deep, sizeof deep),
                  "body: line 1, column 2053: maximum parsing depth reached near '['");
}

static void a_message_quotes_hostile_bytes_escaped_and_cut(void **state)
{
    PB(CampaignRequest) request;
    char body[2000];
    memset(body, 'a', sizeof body);
    body[0] = '{';
    struct error error = ERROR_NONE;
    assert_int_equal(read_campaign(str_from(body, sizeof body), &request, &error), EA_INVALID);
    assert_true(strlen(error.text) < sizeof error.text);
    assert_true(str_is_utf8(str_of(error.text)));
    assert_false(str_has_control(str_of(error.text)));
}

static void json_values_of_others_live_on_the_heap_as_before(void **state)
{
    json_t *before = json_pack("{s:[i,i]}", "list", 1, 2);
    taken("{\"candidate\": \"a\", \"unknown\": [1, 2, {\"x\": \"y\"}]}");
    assert_int_equal(json_array_size(json_object_get(before, "list")), 2);
    json_decref(before); /* the sanitizer would tell if it came from the arena */
}

static PB(ListLeadersRequest) queried(const char *query)
{
    PB(ListLeadersRequest) request = GRPC__ELECTION_AGENT__V1__LIST_LEADERS_REQUEST__INIT;
    struct error error = ERROR_NONE;
    if (body_read_query(&request.base, str_of(query), path_of(EA_PB(list_leaders_request)), &arena, &error) !=
        EA_OK) {
        fail_msg("%s: %s", query, error.text);
    }
    return request;
}

static void query_refused(const char *query, const char *message)
{
    PB(ListLeadersRequest) request = GRPC__ELECTION_AGENT__V1__LIST_LEADERS_REQUEST__INIT;
    struct error error = ERROR_NONE;
    assert_int_equal(
        body_read_query(&request.base, str_of(query), path_of(EA_PB(list_leaders_request)), &arena, &error),
        EA_INVALID);
    assert_string_equal(error.text, message);
}

static void a_query_sets_the_fields_it_names(void **state)
{
    PB(ListLeadersRequest) request = queried("page_size=10&page_token=a%20b%26c+d&x=1&kind=evil&&y");
    assert_int_equal(request.page_size, 10);
    assert_string_equal(request.page_token, "a b&c+d");
    assert_string_equal(request.kind, "");
    assert_int_equal(queried("").page_size, 0);
    assert_string_equal(queried("page_token=").page_token, "");
    assert_string_equal(queried("page_token=a=b").page_token, "a=b");
}

static void a_bad_query_is_refused_with_what_is_wrong(void **state)
{
    query_refused("page_size=ten", "query: page_size: must be a whole number");
    query_refused("page_size=1.5", "query: page_size: must be a whole number");
    query_refused("page_size=", "query: page_size: must be a whole number");
    query_refused("page_size", "query: page_size: must be a whole number");
    query_refused("page_size=4294967296", "query: page_size: must be a number of 32 bits, got 4294967296");
    query_refused("page_token=%4", "query: page_token: has a malformed percent escape");
    query_refused("page_token=%zz", "query: page_token: has a malformed percent escape");
    query_refused("page_token=a%00b", "query: page_token: must not have a zero byte");
    query_refused("page_token=%ff", "query: page_token: must be valid UTF-8");
}

/* What a call keeps as long as it lives must not be a multiple of what its body had. */
static void of_a_body_only_the_texts_stay_in_the_calls_memory(void **state)
{
    char body[32 * 1024];
    size_t n = 0;
    memcpy(body, "{\"x\":[", 6);
    for (n = 6; n + 32 < sizeof body; n += 3) {
        memcpy(body + n, "[],", 3);
    }
    const char *end = "[]],\"candidate\":\"a\"}";
    memcpy(body + n, end, strlen(end) + 1);
    PB(CampaignRequest) request = taken(body);
    assert_string_equal(request.candidate, "a");
    assert_int_equal(arena.at - (char *)request.candidate,
                     16); /* it came last, and the block is one of the smallest */
    assert_in_range(arena.end - (char *)request.candidate, 16, 8 * 1024);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_body_sets_the_fields_it_names),
        TEST(what_a_body_does_not_name_keeps_its_default),
        TEST(unknown_keys_are_ignored_whatever_they_hold),
        TEST(null_is_a_key_that_is_not_there),
        TEST(keys_that_the_path_gives_are_ignored),
        TEST(a_token_may_be_a_string_or_an_exact_number),
        TEST(a_whole_escaped_pair_of_surrogates_is_one_character),
        TEST(a_bad_body_is_refused_with_what_is_wrong_and_where),
        TEST(bytes_that_are_not_utf8_are_refused),
        TEST(nesting_is_bounded),
        TEST(a_message_quotes_hostile_bytes_escaped_and_cut),
        TEST(of_a_body_only_the_texts_stay_in_the_calls_memory),
        TEST(json_values_of_others_live_on_the_heap_as_before),
        TEST(a_query_sets_the_fields_it_names),
        TEST(a_bad_query_is_refused_with_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
