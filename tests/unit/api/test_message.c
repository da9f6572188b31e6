/* Protobuf messages: the library decodes, we close what it leaves open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "api/message.h"
#include "api/pb.h"

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena, NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_reset(&arena);
    return 0;
}

static enum err unpack(struct str bytes, const PB(CampaignRequest) * *out, struct error *error)
{
    ProtobufCMessage *message = NULL;
    enum err err = message_unpack(EA_PB(campaign_request), bytes, &arena, &message, error);
    *out = (const PB(CampaignRequest) *)(const void *)message;
    return err;
}

static const PB(CampaignRequest) * taken(struct str bytes)
{
    const PB(CampaignRequest) *out = NULL;
    struct error error = ERROR_NONE;
    if (unpack(bytes, &out, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    return out;
}

static void refused(struct str bytes, const char *text)
{
    const PB(CampaignRequest) *out = NULL;
    struct error error = ERROR_NONE;
    assert_int_equal(unpack(bytes, &out, &error), EA_INVALID);
    assert_string_equal(error.text, text);
}

#define MALFORMED "message: is not a well-formed grpc.election_agent.v1.CampaignRequest"

static void a_message_is_read_by_the_numbers_of_the_contract(void **state)
{
    /* 1: "e", 2: "c", 3: 1000, 4: "k", 100: 0, 101: "m", 102: 1, 103: 2^53 - 1 */
    const PB(CampaignRequest) *request = taken(STR("\x0a\x01"
                                                   "e\x12\x01"
                                                   "c\x18\xe8\x07\x22\x01"
                                                   "k\xa0\x06\x00\xaa\x06\x01"
                                                   "m\xb0\x06\x01\xb8\x06\xff\xff\xff\xff\xff\xff\xff\x0f"));
    assert_string_equal(request->election, "e");
    assert_string_equal(request->candidate, "c");
    assert_int_equal(request->term, 1000);
    assert_string_equal(request->kind, "k");
    assert_int_equal(request->priority_given_case,
                     GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN_PRIORITY);
    assert_int_equal(request->priority, 0);
    assert_string_equal(request->metadata, "m");
    assert_int_equal(request->wait, 1);
    assert_true(request->past == (UINT64_C(1) << 53) - 1);
}

static void an_empty_message_has_the_defaults(void **state)
{
    const PB(CampaignRequest) *request = taken(STR(""));
    assert_string_equal(request->election, "");
    assert_int_equal(request->priority_given_case,
                     GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN__NOT_SET);
    taken(str_from(NULL, 0));
}

static void unknown_fields_of_every_type_are_ignored(void **state)
{
    /* 50: varint, 51: fixed64, 52: bytes with a zero byte and broken UTF-8, 53: fixed32, and the largest
     * number */
    const PB(CampaignRequest) *request = taken(STR("\x90\x03\x05\x99\x03"
                                                   "12345678"
                                                   "\xa2\x03\x02\x00\xff\xad\x03"
                                                   "1234"
                                                   "\xf8\xff\xff\xff\x0f\x01"
                                                   "\x12\x01z"));
    assert_string_equal(request->candidate, "z");
}

static void the_last_of_several_values_counts(void **state)
{
    assert_string_equal(taken(STR("\x12\x01"
                                  "a\x12\x01"
                                  "b"))
                            ->candidate,
                        "b");
}

static void a_zero_byte_in_a_string_is_refused_by_the_fields_name(void **state)
{
    refused(STR("\x12\x03"
                "a\0b"),
            "candidate: must not have a zero byte");
    refused(STR("\xaa\x06\x01\0"), "metadata: must not have a zero byte");
    refused(STR("\x12\x01\0\x12\x01"
                "b"),
            "candidate: must not have a zero byte");
}

static void broken_utf8_in_a_string_is_refused_by_the_fields_name(void **state)
{
    refused(STR("\x0a\x01\xff"), "election: must be valid UTF-8");
    refused(STR("\x0a\x03\xed\xa0\x80"), "election: must be valid UTF-8");
}

static void malformed_bytes_are_refused(void **state)
{
    refused(STR("\x0a"), MALFORMED); /* no length */
    refused(STR("\x0a\x02"
                "a"),
            MALFORMED);                  /* cut short */
    refused(STR("\x18\xff"), MALFORMED); /* a varint without its end */
    refused(STR("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), MALFORMED); /* one of 11 bytes */
    refused(STR("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), MALFORMED);     /* a length of 2^64 - 1 */
    refused(STR("\x0b\x0c"), MALFORMED);                                         /* a group */
    refused(STR("\x0e"), MALFORMED);                                             /* wire type 6 */
    refused(STR("\x0f"), MALFORMED);                                             /* and 7 */
    refused(STR("\x10\x01"), MALFORMED);                                         /* a number for a string */
    refused(STR("\x1a\x01"
                "a"),
            MALFORMED);                                  /* a string for a number */
    refused(STR("\x00\x01"), MALFORMED);                 /* field 0 */
    refused(STR("\x80\x00\x01"), MALFORMED);             /* the same, at length */
    refused(STR("\x80\x80\x80\x80\x10\x01"), MALFORMED); /* field 2^29 */
    refused(STR("{\"candidate\":\"a\"}"), MALFORMED);
}

static void every_cut_of_a_message_is_refused_or_a_message(void **state)
{
    PB(CampaignRequest) request = GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__INIT;
    char name[] = "node-1";
    request.election = request.candidate = request.kind = name;
    request.term = 100000;
    struct str whole = message_pack(&request.base, &arena, NULL, 0);
    for (size_t n = 0; n <= whole.n; n++) {
        const PB(CampaignRequest) *out = NULL;
        char *exact = test_malloc(n + 1); /* so that a read behind the end is seen */
        memcpy(exact, whole.p, n);
        enum err err = unpack(str_from(exact, n), &out, NULL);
        assert_true(err == EA_OK ? out != NULL : err == EA_INVALID);
        test_free(exact);
    }
}

static void too_many_fields_are_refused_before_they_cost_memory(void **state)
{
    char bytes[2 * (MESSAGE_FIELDS_MAX + 1)];
    for (size_t i = 0; i < sizeof bytes; i += 2) {
        memcpy(bytes + i, "\x78\x01", 2); /* field 15, unknown */
    }
    taken(str_from(bytes, sizeof bytes - 2));
    refused(str_from(bytes, sizeof bytes), "message: has more than 256 fields");
}

static void a_message_that_fits_its_room_is_packed_there(void **state)
{
    char room[16];
    PB(BoolValue) value = GRPC__ELECTION_AGENT__V1__BOOL_VALUE__INIT;
    value.value = true;
    value.token = 1;
    value.expires_in = 2;
    struct str packed = message_pack(&value.base, &arena, room, sizeof room);
    assert_ptr_equal(packed.p, room);
    assert_int_equal(packed.n, 8);
    assert_memory_equal(packed.p, "\x08\x01\xa0\x06\x01\xa8\x06\x02", 8);
    packed = message_pack(&value.base, &arena, room, 7);
    assert_ptr_not_equal(packed.p, room);
    assert_memory_equal(packed.p, "\x08\x01\xa0\x06\x01\xa8\x06\x02", 8);
}

static void fields_are_found_by_their_names_in_the_contract(void **state)
{
    assert_int_equal(message_field(EA_PB(campaign_request), STR("past"))->id, 103);
    assert_int_equal(message_field(EA_PB(handover_request), STR("token"))->id, 102);
    assert_int_equal(message_field(EA_PB(list_leaders_request), STR("page_size"))->id, 100);
    assert_null(message_field(EA_PB(campaign_request), STR("pas")));
    assert_null(message_field(EA_PB(campaign_request), STR("")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_is_read_by_the_numbers_of_the_contract),
        TEST(an_empty_message_has_the_defaults),
        TEST(unknown_fields_of_every_type_are_ignored),
        TEST(the_last_of_several_values_counts),
        TEST(a_zero_byte_in_a_string_is_refused_by_the_fields_name),
        TEST(broken_utf8_in_a_string_is_refused_by_the_fields_name),
        TEST(malformed_bytes_are_refused),
        TEST(every_cut_of_a_message_is_refused_or_a_message),
        TEST(too_many_fields_are_refused_before_they_cost_memory),
        TEST(a_message_that_fits_its_room_is_packed_there),
        TEST(fields_are_found_by_their_names_in_the_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
