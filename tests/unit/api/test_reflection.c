/* Server reflection, both packages, as a stream of questions and answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "reflection.pb-c.h"
#include "support.h"

#define V1       "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
#define V1_ALPHA "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

#define R(name)      Grpc__Reflection__V1__##name
#define ASKS(what)   GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define ANSWER(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what
typedef R(ServerReflectionRequest) question;
typedef R(ServerReflectionResponse) response;

static question asking(int what, const char *text)
{
    question request = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    request.host = (char *)"host";
    request.message_request_case = (R(ServerReflectionRequest__MessageRequestCase))what;
    request.file_by_filename = (char *)text; /* the strings of the oneof share their place */
    return request;
}

static const response *answer_at(struct fake_exchange *fake, size_t i)
{
    return grpc_message_at(fake, i, &grpc__reflection__v1__server_reflection_response__descriptor);
}

/* One question on a stream of its own. */
static const response *ask(struct fixture *fx, int what, const char *text)
{
    question request = asking(what, text);
    struct fake_exchange *stream = grpc_open(fx, V1);
    grpc_push(stream, &request.base);
    const response *answer = answer_at(stream, 0);
    assert_string_equal(answer->valid_host, "host");
    assert_int_equal(answer->original_request->message_request_case, what);
    grpc_close(stream);
    assert_grpc(stream, GRPC_OK, "");
    return answer;
}

static void the_services_are_listed(void **state)
{
    struct fixture *fx = *state;
    const response *answer = ask(fx, ASKS(LIST_SERVICES), "");
    assert_int_equal(answer->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
    const R(ListServiceResponse) *list = answer->list_services_response;
    static const char *const names[] = {
        "grpc.election_agent.v1.Election",
        "grpc.election_agent.v1.Control",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    };
    assert_int_equal(list->n_service, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(list->service[i]->name, names[i]);
    }
}

/* The descriptor is there; its first field is the file's name. */
static void assert_file(const response *answer, const char *name)
{
    assert_int_equal(answer->message_response_case, ANSWER(FILE_DESCRIPTOR_RESPONSE));
    const R(FileDescriptorResponse) *file = answer->file_descriptor_response;
    assert_int_equal(file->n_file_descriptor_proto, 1);
    const ProtobufCBinaryData *bytes = &file->file_descriptor_proto[0];
    size_t n = strlen(name);
    assert_true(bytes->len > n + 2);
    assert_int_equal(bytes->data[0], 0x0a);
    assert_int_equal(bytes->data[1], n);
    assert_memory_equal(bytes->data + 2, name, n);
}

static void a_file_is_found_by_its_name(void **state)
{
    struct fixture *fx = *state;
    static const char *const names[] = {"election_agent.proto", "health.proto", "reflection.proto",
                                        "reflection_v1alpha.proto"};
    for (size_t i = 0; i < 4; i++) {
        assert_file(ask(fx, ASKS(FILE_BY_FILENAME), names[i]), names[i]);
    }
}

static void a_file_is_found_by_each_kind_of_symbol(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        const char *symbol;
        const char *file;
    } rows[] = {
        {"grpc.election_agent.v1.Election", "election_agent.proto"},
        {"grpc.election_agent.v1.Election.Campaign", "election_agent.proto"},
        {"grpc.election_agent.v1.CampaignRequest", "election_agent.proto"},
        {"grpc.health.v1.Health.Watch", "health.proto"},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "health.proto"},
        {"grpc.reflection.v1.ServerReflection", "reflection.proto"},
        {"grpc.reflection.v1alpha.ServerReflection", "reflection_v1alpha.proto"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_file(ask(fx, ASKS(FILE_CONTAINING_SYMBOL), rows[i].symbol), rows[i].file);
    }
}

static void assert_error(const response *answer, enum grpc_status code, const char *text)
{
    assert_int_equal(answer->message_response_case, ANSWER(ERROR_RESPONSE));
    assert_int_equal(answer->error_response->error_code, code);
    assert_string_equal(answer->error_response->error_message, text);
}

static void what_is_not_there_is_not_found(void **state)
{
    struct fixture *fx = *state;
    assert_error(ask(fx, ASKS(FILE_BY_FILENAME), "nope.proto"), GRPC_NOT_FOUND, "no such file or symbol");
    assert_error(ask(fx, ASKS(FILE_CONTAINING_SYMBOL), "grpc.election_agent.v1"), GRPC_NOT_FOUND,
                 "no such file or symbol");
    assert_error(ask(fx, ASKS(FILE_CONTAINING_SYMBOL), ""), GRPC_NOT_FOUND, "no such file or symbol");
    assert_error(ask(fx, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "nope"), GRPC_NOT_FOUND, "no such message");
    assert_error(ask(fx, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.health.v1.Health"), GRPC_NOT_FOUND,
                 "no such message");
}

static void messages_have_no_extensions(void **state)
{
    struct fixture *fx = *state;
    const response *answer = ask(fx, ASKS(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.election_agent.v1.Leader");
    assert_int_equal(answer->message_response_case, ANSWER(ALL_EXTENSION_NUMBERS_RESPONSE));
    assert_string_equal(answer->all_extension_numbers_response->base_type_name,
                        "grpc.election_agent.v1.Leader");
    assert_int_equal(answer->all_extension_numbers_response->n_extension_number, 0);

    R(ExtensionRequest) extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    extension.containing_type = (char *)"grpc.election_agent.v1.Leader";
    extension.extension_number = 1;
    question request = asking(ASKS(FILE_CONTAINING_EXTENSION), NULL);
    request.file_containing_extension = &extension;
    struct fake_exchange *stream = grpc_open(fx, V1);
    grpc_push(stream, &request.base);
    assert_error(answer_at(stream, 0), GRPC_NOT_FOUND, "no message has extensions");
}

static void questions_are_answered_in_order_on_one_stream(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *stream = grpc_open(fx, V1_ALPHA);
    question request = asking(ASKS(LIST_SERVICES), "");
    grpc_push(stream, &request.base);
    request = asking(ASKS(FILE_BY_FILENAME), "health.proto");
    grpc_push(stream, &request.base);
    grpc_push_bytes(stream, STR("")); /* asks for nothing */
    assert_int_equal(grpc_message_count(stream), 3);
    assert_int_equal(answer_at(stream, 0)->message_response_case, ANSWER(LIST_SERVICES_RESPONSE));
    assert_file(answer_at(stream, 1), "health.proto");
    assert_error(answer_at(stream, 2), GRPC_INVALID_ARGUMENT,
                 "the request asks for nothing that is known here");
    assert_false(stream->finished);
    grpc_close(stream);
    assert_grpc(stream, GRPC_OK, "");
}

static void a_broken_question_ends_the_stream(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *stream = grpc_open(fx, V1);
    grpc_push_bytes(stream, STR("\x1a\x7f"));
    assert_grpc(stream, GRPC_INVALID_ARGUMENT,
                "message: is not a well-formed grpc.reflection.v1.ServerReflectionRequest");
}

static void who_does_not_read_is_not_read_from_and_then_told_off(void **state)
{
    struct fixture *fx = *state;
    struct fake_exchange *stream = grpc_open(fx, V1);
    question request = asking(ASKS(LIST_SERVICES), "");
    grpc_push(stream, &request.base);
    size_t wire = stream->consumed;
    assert_true(wire > 0); /* read, and given back */
    stream->waiting = EXCHANGE_HIGH_BYTES + 1;
    grpc_push(stream, &request.base);
    size_t held_back = 2 * wire - stream->consumed;
    assert_true(held_back > 0);
    stream->waiting = 0;
    stream->ex.on_writable(&stream->ex);
    assert_int_equal(stream->consumed, 2 * wire);
    stream->waiting = 5 * EXCHANGE_HIGH_BYTES;
    grpc_push(stream, &request.base);
    assert_grpc(stream, GRPC_RESOURCE_EXHAUSTED, "read the answers before asking on");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_services_are_listed),
        TEST(a_file_is_found_by_its_name),
        TEST(a_file_is_found_by_each_kind_of_symbol),
        TEST(what_is_not_there_is_not_found),
        TEST(messages_have_no_extensions),
        TEST(questions_are_answered_in_order_on_one_stream),
        TEST(a_broken_question_ends_the_stream),
        TEST(who_does_not_read_is_not_read_from_and_then_told_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
