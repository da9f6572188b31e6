/* gRPC calls as they look on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/mem.h"
#include "h2_peer.h"

#define SECOND_US ((int64_t)1000000)

/* --- a service --- */

static struct grpc_call *held;

static struct peer *peer_of(struct grpc_call *call)
{
    return call->server_user;
}

static void on_cancel(struct grpc_call *call)
{
    buf_format(&peer_of(call)->heard, "cancelled;");
    assert_true(call->ended);
    held = NULL;
}

static void echo_call(struct grpc_call *call, struct str message)
{
    grpc_answer(call, message);
    grpc_answer(call, STR("twice does nothing"));
    grpc_finish(call, GRPC_INTERNAL, STR("neither does this"));
}

static void held_call(struct grpc_call *call, struct str message)
{
    buf_format(&peer_of(call)->heard, "held %zu;", message.n);
    call->on_cancel = on_cancel;
    held = call;
}

static void error_call(struct grpc_call *call, struct str message)
{
    grpc_finish(call, GRPC_NOT_FOUND, message);
}

static void large_call(struct grpc_call *call, struct str message)
{
    char *bytes = mem_zalloc(100000);
    grpc_answer(call, str_from(bytes, 100000));
    mem_free(bytes);
}

static void down_call(struct grpc_call *call, struct str message)
{
    grpc_send(call, message);
    grpc_send(call, STR(""));
    call->on_cancel = on_cancel;
    held = call;
}

static void bidi_message(struct grpc_call *call, struct str message)
{
    buf_format(&peer_of(call)->heard, "message %zu;", message.n);
    grpc_consumed(call, message.n);
    if (str_eq(message, STR("stop"))) {
        grpc_finish(call, GRPC_ABORTED, STR("stopped"));
        return;
    }
    if (message.n < 1000) {
        grpc_send(call, message);
    }
}

static void bidi_end(struct grpc_call *call)
{
    assert_true(call->client_closed);
    buf_format(&peer_of(call)->heard, "end;");
    grpc_finish(call, GRPC_OK, (struct str){NULL, 0});
}

static void bidi_call(struct grpc_call *call, struct str message)
{
    assert_null(message.p);
    call->on_message = bidi_message;
    call->on_client_end = bidi_end;
    call->on_cancel = on_cancel;
    held = call;
}

static void refusing_call(struct grpc_call *call, struct str message)
{
    grpc_finish(call, GRPC_PERMISSION_DENIED, STR("no"));
}

static const struct grpc_method echo = {.path = STR_INIT("/t.S/Echo"), .on_call = echo_call};
static const struct grpc_method hold = {.path = STR_INIT("/t.S/Hold"), .on_call = held_call};
static const struct grpc_method error = {.path = STR_INIT("/t.S/Error"), .on_call = error_call};
static const struct grpc_method large = {.path = STR_INIT("/t.S/Large"), .on_call = large_call};
static const struct grpc_method down = {
    .path = STR_INIT("/t.S/Down"), .on_call = down_call, .server_streams = true};
static const struct grpc_method bidi = {
    .path = STR_INIT("/t.S/Bidi"), .on_call = bidi_call, .client_streams = true, .server_streams = true};
static const struct grpc_method refusing = {
    .path = STR_INIT("/t.S/Refusing"), .on_call = refusing_call, .client_streams = true};
static const struct grpc_method *const methods[] = {&echo, &hold, &error, &large, &down, &bidi, &refusing};

/* --- a client --- */

static int set_up(void **state)
{
    struct peer *peer = mem_alloc(sizeof *peer);
    const struct peer_options options = {.methods = methods, .n_methods = ARRAY_LENGTH(methods)};
    peer_init(peer, &options);
    held = NULL;
    *state = peer;
    return 0;
}

static int tear_down(void **state)
{
    struct peer *peer = *state;
    peer_fini(peer);
    mem_free(peer);
    return 0;
}

static void call_with(struct peer *peer, int32_t id, const char *path, const char *name, const char *value)
{
    const struct peer_field fields[] = {
        {":method", "POST"},     {":scheme", "http"}, {":path", path},
        {":authority", "agent"}, {"te", "trailers"},  {"content-type", "application/grpc+proto"},
        {name, value},
    };
    peer_headers(peer, id, NGHTTP2_FLAG_END_HEADERS, fields, ARRAY_LENGTH(fields) - (name == NULL ? 1 : 0));
}

static void call(struct peer *peer, int32_t id, const char *path)
{
    call_with(peer, id, path, NULL, NULL);
}

static void message(struct peer *peer, int32_t id, const char *bytes, size_t n, uint8_t flag, bool end)
{
    char *whole = mem_alloc(n + 5);
    whole[0] = (char)flag;
    whole[1] = (char)(n >> 24);
    whole[2] = (char)(n >> 16);
    whole[3] = (char)(n >> 8);
    whole[4] = (char)n;
    if (n > 0) {
        memcpy(whole + 5, bytes, n);
    }
    peer_data(peer, id, whole, n + 5, end);
    mem_free(whole);
}

static void expect(struct peer *peer, const char *log)
{
    peer_run(peer);
    assert_string_equal(peer_log(peer), log);
}

#define HEAD(id) "HEADERS " #id " :status=200 content-type=application/grpc\n"
#define OK(id)   "HEADERS " #id " grpc-status=0 END\n"
/* Trailers only. */
#define ONLY(id, status, text)                                                                             \
    "HEADERS " #id " :status=200 content-type=application/grpc grpc-status=" #status " grpc-message=" text \
    " END\n"
#define STOPPED(id) "RST_STREAM " #id " 0\n"

/* --- unary --- */

static void a_unary_call_is_head_message_and_trailers(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    message(peer, 1, "hi", 2, 0, true);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\02hi\"\n" OK(1));
}

static void an_empty_message_is_a_message(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    message(peer, 1, "", 0, 0, true);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\00\"\n" OK(1));
}

static void a_message_cut_into_frames_is_put_together(void **state)
{
    struct peer *peer = *state;
    const char bytes[] = "\0\0\0\0\5hello";
    for (size_t cut = 1; cut < 10; cut++) {
        int32_t id = (int32_t)(2 * cut - 1);
        call(peer, id, "/t.S/Echo");
        peer_data(peer, id, bytes, cut, false);
        peer_run(peer);
        peer_data(peer, id, bytes + cut, 10 - cut, false);
        peer_run(peer);
        assert_string_equal(peer_log(peer), "");
        peer_data(peer, id, "", 0, true);
        peer_run(peer);
        assert_non_null(strstr(peer_log(peer), "\"\\00\\00\\00\\00\\05hello\""));
    }
}

static void a_large_answer_flows_as_the_client_allows(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Large");
    message(peer, 1, "", 0, 0, true);
    peer_run(peer);
    const char *log = peer_log(peer);
    assert_null(strstr(log, "grpc-status"));
    peer_window(peer, 0, 100000);
    peer_window(peer, 1, 100000);
    peer_run(peer);
    assert_non_null(strstr(peer_log(peer), OK(1)));
}

static void errors_are_trailers_only_with_an_encoded_text(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Error");
    message(peer, 1, "100% \xc3\xa4\n", 8, 0, true);
    expect(peer, ONLY(1, 5, "100%25 %C3%A4%0A"));
}

static void an_unknown_method_is_unimplemented(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/None");
    message(peer, 1, "", 0, 0, true);
    expect(peer, ONLY(1, 12, "unknown method /t.S/None"));
}

static void no_message_is_unimplemented(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    peer_data(peer, 1, "", 0, true);
    expect(peer, ONLY(1, 12, "the method takes one message, and none came"));
}

static void a_head_that_ends_the_stream_is_no_message_either(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "POST"}, {":scheme", "http"}, {":path", "/t.S/Echo"},
        {":authority", "x"}, {"te", "trailers"},  {"content-type", "application/grpc"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    expect(peer, ONLY(1, 12, "the method takes one message, and none came"));
}

static void two_messages_are_unimplemented(void **state)
{
    struct peer *peer = *state;
    const char two[] = "\0\0\0\0\1a\0\0\0\0\1b";
    call(peer, 1, "/t.S/Echo");
    peer_data(peer, 1, two, 12, true);
    expect(peer, ONLY(1, 12, "the method takes one message, and more came"));
    call(peer, 3, "/t.S/Echo");
    message(peer, 3, "a", 1, 0, false);
    message(peer, 3, "b", 1, 0, true);
    expect(peer, ONLY(3, 12, "the method takes one message, and more came"));
}

static void a_message_cut_short_is_internal(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    peer_data(peer, 1, "\0\0\0\0\3ab", 7, true);
    expect(peer, ONLY(1, 13, "the request ends inside a message"));
}

static void an_unknown_flag_is_internal(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    message(peer, 1, "", 0, 2, true);
    expect(peer, ONLY(1, 13, "a message has an unknown flag"));
}

static void a_message_of_the_limit_is_taken_and_one_more_byte_is_exhausted(void **state)
{
    struct peer *peer = *state;
    char *bytes = mem_zalloc(GRPC_MESSAGE_BYTES_MAX + 1);
    call(peer, 1, "/t.S/Hold");
    message(peer, 1, bytes, GRPC_MESSAGE_BYTES_MAX, 0, true);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "held 65536;");
    call(peer, 3, "/t.S/Hold");
    message(peer, 3, bytes, GRPC_MESSAGE_BYTES_MAX + 1, 0, false);
    expect(peer, ONLY(3, 8, "a message is larger than 64 KiB") STOPPED(3));
    mem_free(bytes);
}

static void a_message_that_comes_too_slowly_is_given_up(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Echo");
    peer_data(peer, 1, "\0\0", 2, false);
    peer_wait_us(peer, 9 * SECOND_US);
    assert_string_equal(peer_log(peer), "");
    peer_wait_us(peer, 2 * SECOND_US);
    assert_non_null(strstr(peer_log(peer), ONLY(1, 4, "the request's message took too long") STOPPED(1)));
}

static void an_answered_call_has_no_timer_left(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-timeout", "1S");
    message(peer, 1, "hi", 2, 0, true);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\02hi\"\n" OK(1));
    peer_wait_us(peer, 2 * SECOND_US);
    assert_string_equal(peer_log(peer), "");
}

/* --- deadline and cancellation --- */

static void a_deadline_ends_the_call_and_tells_the_service(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Hold", "grpc-timeout", "500m");
    message(peer, 1, "", 0, 0, true);
    peer_wait_us(peer, 400000);
    assert_string_equal(peer_heard(peer), "held 0;");
    assert_string_equal(peer_log(peer), "");
    assert_int_equal(mono_sub(held->deadline, loop_now(peer->loop)), 100000);
    struct grpc_call *call_held = held;
    exchange_hold(call_held->ex);
    peer_wait_us(peer, 100000);
    assert_string_equal(peer_heard(peer), "cancelled;");
    assert_string_equal(peer_log(peer), ONLY(1, 4, "deadline exceeded"));
    grpc_answer(call_held, STR("too late"));
    exchange_release(call_held->ex);
    expect(peer, "");
}

static void a_reset_cancels_the_call(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Hold");
    message(peer, 1, "", 0, 0, true);
    peer_run(peer);
    exchange_hold(held->ex);
    struct grpc_call *call_held = held;
    peer_reset(peer, 1, NGHTTP2_CANCEL);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "held 0;cancelled;");
    grpc_answer(call_held, STR("nobody hears"));
    exchange_release(call_held->ex);
    expect(peer, "");
}

static void a_lost_connection_cancels_the_call(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Hold", "grpc-timeout", "5S");
    message(peer, 1, "", 0, 0, true);
    peer_run(peer);
    stream_abort(peer->stream);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "held 0;cancelled;");
    peer_wait_us(peer, 6 * SECOND_US);
    assert_string_equal(peer_heard(peer), "");
}

static void a_malformed_timeout_is_internal(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-timeout", "soon");
    message(peer, 1, "", 0, 0, true);
    expect(peer, ONLY(1, 13, "grpc-timeout is malformed"));
}

/* --- streaming --- */

static void a_server_streams(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Down");
    message(peer, 1, "x", 1, 0, true);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\01x\\00\\00\\00\\00\\00\"\n");
    grpc_send(held, STR("later"));
    expect(peer, "DATA 1 \"\\00\\00\\00\\00\\05later\"\n");
    grpc_finish(held, GRPC_UNAVAILABLE, STR("bye"));
    expect(peer, "HEADERS 1 grpc-status=14 grpc-message=bye END\n");
}

static void both_sides_stream(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Bidi");
    peer_run(peer);
    message(peer, 1, "one", 3, 0, false);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\03one\"\n");
    const char pieces[] = "\0\0\0\0\3two\0\0\0\0\0\0\0\0\0\2";
    peer_data(peer, 1, pieces, sizeof pieces - 1, false);
    peer_run(peer);
    peer_data(peer, 1, "in", 2, true);
    peer_run(peer);
    assert_string_equal(peer_heard(peer), "message 3;message 3;message 0;message 2;end;");
    assert_non_null(strstr(peer_log(peer), OK(1)));
}

static void a_service_may_end_while_the_client_still_streams(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Bidi");
    message(peer, 1, "stop", 4, 0, false);
    message(peer, 1, "more", 4, 0, false);
    expect(peer, ONLY(1, 10, "stopped") STOPPED(1));
    assert_string_equal(peer_heard(peer), "message 4;");
    call(peer, 3, "/t.S/Refusing");
    message(peer, 3, "more", 4, 0, false);
    expect(peer, ONLY(3, 7, "no") STOPPED(3));
}

static void a_stream_cut_short_is_internal(void **state)
{
    struct peer *peer = *state;
    call(peer, 1, "/t.S/Bidi");
    peer_data(peer, 1, "\0", 1, true);
    expect(peer, ONLY(1, 13, "the request ends inside a message"));
    assert_string_equal(peer_heard(peer), "");
}

static void consumed_messages_open_the_window_by_what_was_on_the_wire(void **state)
{
    struct peer *peer = *state;
    char *bytes = mem_zalloc(60000);
    call(peer, 1, "/t.S/Bidi");
    peer_run(peer);
    peer->window[0] = 0;
    peer->window[1] = 0;
    int64_t sent = 0;
    for (int i = 0; i < 50; i++) {
        message(peer, 1, bytes, 60000, 0, false);
        sent += 60005;
        peer_run(peer);
    }
    /* All but what is less than half a window. */
    assert_in_range(peer->window[1], sent - 65536, sent);
    assert_in_range(peer->window[0], sent - 524288, sent);
    mem_free(bytes);
}

/* --- compression --- */

static size_t gzip(const void *in, size_t n, char *out, size_t cap)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t packed = cap - z.avail_out;
    deflateEnd(&z);
    return packed;
}

static void gzip_is_understood(void **state)
{
    struct peer *peer = *state;
    char packed[1000];
    size_t n = gzip("hello", 5, packed, sizeof packed);
    call_with(peer, 1, "/t.S/Echo", "grpc-encoding", "gzip");
    message(peer, 1, packed, n, 1, true);
    expect(peer, HEAD(1) "DATA 1 \"\\00\\00\\00\\00\\05hello\"\n" OK(1));
    /* And so is a message that was not worth it. */
    call_with(peer, 3, "/t.S/Echo", "grpc-encoding", "gzip");
    message(peer, 3, "plain", 5, 0, true);
    expect(peer, HEAD(3) "DATA 3 \"\\00\\00\\00\\00\\05plain\"\n" OK(3));
}

static void a_stream_of_gzip_gives_back_what_was_on_the_wire(void **state)
{
    struct peer *peer = *state;
    char *zeros = mem_zalloc(60000);
    char packed[1000];
    size_t n = gzip(zeros, 60000, packed, sizeof packed);
    call_with(peer, 1, "/t.S/Bidi", "grpc-encoding", "gzip");
    peer_run(peer);
    peer->window[0] = 0;
    peer->window[1] = 0;
    for (int i = 0; i < 3000; i++) {
        message(peer, 1, packed, n, 1, false);
        peer_run(peer);
    }
    int64_t sent = 3000 * ((int64_t)n + 5);
    assert_in_range(peer->window[1], sent - 65536, sent);
    mem_free(zeros);
}

static void a_bomb_is_exhausted(void **state)
{
    struct peer *peer = *state;
    const size_t size = (size_t)8 * 1024 * 1024;
    char *zeros = mem_zalloc(size);
    char *packed = mem_alloc(size / 100);
    size_t n = gzip(zeros, size, packed, size / 100);
    call_with(peer, 1, "/t.S/Echo", "grpc-encoding", "gzip");
    message(peer, 1, packed, n, 1, true);
    expect(peer, ONLY(1, 8, "a message is larger than 64 KiB uncompressed"));
    mem_free(packed);
    mem_free(zeros);
}

static void damaged_gzip_is_internal(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-encoding", "gzip");
    message(peer, 1, "nonsense", 8, 1, true);
    expect(peer, ONLY(1, 13, "a compressed message is damaged"));
}

static void a_compressed_message_without_an_encoding_is_internal(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-encoding", "identity");
    message(peer, 1, "x", 1, 1, true);
    expect(peer, ONLY(1, 13, "a message is compressed, but grpc-encoding names no compression"));
}

static void another_encoding_is_unimplemented_and_told_what_is(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-encoding", "snappy");
    message(peer, 1, "x", 1, 1, true);
    expect(peer, "HEADERS 1 :status=200 content-type=application/grpc grpc-accept-encoding=identity,gzip "
                 "grpc-status=12 grpc-message=grpc-encoding is none of identity, gzip END\n");
}

static void a_client_that_names_encodings_is_told_ours(void **state)
{
    struct peer *peer = *state;
    call_with(peer, 1, "/t.S/Echo", "grpc-accept-encoding", "identity, deflate, gzip");
    message(peer, 1, "", 0, 0, true);
    expect(peer, "HEADERS 1 :status=200 content-type=application/grpc grpc-accept-encoding=identity,gzip\n"
                 "DATA 1 \"\\00\\00\\00\\00\\00\"\n" OK(1));
}

/* --- what is not gRPC --- */

static void content_types_that_are_grpc(void **state)
{
    (void)state;
    const struct {
        const char *type;
        bool is;
    } rows[] = {
        {"application/grpc", true},
        {"application/grpc+proto", true},
        {"application/grpc+json", true},
        {"Application/GRPC", true},
        {"application/grpc;x=y", true},
        {"application/grpc-web", false},
        {"application/grpc-web+proto", false},
        {"application/grp", false},
        {"application/json", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct exchange ex = {.header = {[HTTP_CONTENT_TYPE] = str_of(rows[i].type)}};
        assert_int_equal(grpc_is(&ex), rows[i].is);
    }
    const struct exchange none = {.version = 2};
    assert_false(grpc_is(&none));
}

static void a_call_is_a_post(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "GET"},  {":scheme", "http"}, {":path", "/t.S/Echo"},
        {":authority", "x"}, {"te", "trailers"},  {"content-type", "application/grpc"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    expect(peer, "HEADERS 1 :status=405 content-type=text/plain; charset=utf-8 allow=POST content-length=28\n"
                 "DATA 1 \"gRPC calls are made by POST\\0a\" END\n");
}

static void a_call_takes_trailers(void **state)
{
    struct peer *peer = *state;
    const struct peer_field fields[] = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", "/t.S/Echo"},
        {":authority", "x"},
        {"content-type", "application/grpc"},
    };
    peer_headers(peer, 1, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, fields, ARRAY_LENGTH(fields));
    expect(peer, ONLY(1, 13, "the request lacks te: trailers"));
}

static void grpc_needs_http_2(void **state)
{
    struct peer *peer = *state;
    (void)peer;
    struct peer plain;
    const struct peer_options options = {
        .methods = methods, .n_methods = ARRAY_LENGTH(methods), .mute = true};
    peer_init(&plain, &options);
    plain.text = true;
    const char request[] = "POST /t.S/Echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/grpc\r\n"
                           "Content-Length: 0\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
    peer_raw(&plain, request, sizeof request - 1);
    peer_run(&plain);
    const char *log = peer_log(&plain);
    assert_non_null(strstr(log, "HTTP/1.1 505 "));
    assert_non_null(strstr(log, "gRPC needs HTTP/2\n"));
    peer_fini(&plain);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_head_message_and_trailers),
        TEST(an_empty_message_is_a_message),
        TEST(a_message_cut_into_frames_is_put_together),
        TEST(a_large_answer_flows_as_the_client_allows),
        TEST(errors_are_trailers_only_with_an_encoded_text),
        TEST(an_unknown_method_is_unimplemented),
        TEST(no_message_is_unimplemented),
        TEST(a_head_that_ends_the_stream_is_no_message_either),
        TEST(two_messages_are_unimplemented),
        TEST(a_message_cut_short_is_internal),
        TEST(an_unknown_flag_is_internal),
        TEST(a_message_of_the_limit_is_taken_and_one_more_byte_is_exhausted),
        TEST(a_message_that_comes_too_slowly_is_given_up),
        TEST(an_answered_call_has_no_timer_left),
        TEST(a_deadline_ends_the_call_and_tells_the_service),
        TEST(a_reset_cancels_the_call),
        TEST(a_lost_connection_cancels_the_call),
        TEST(a_malformed_timeout_is_internal),
        TEST(a_server_streams),
        TEST(both_sides_stream),
        TEST(a_service_may_end_while_the_client_still_streams),
        TEST(a_stream_cut_short_is_internal),
        TEST(consumed_messages_open_the_window_by_what_was_on_the_wire),
        TEST(gzip_is_understood),
        TEST(a_stream_of_gzip_gives_back_what_was_on_the_wire),
        TEST(a_bomb_is_exhausted),
        TEST(damaged_gzip_is_internal),
        TEST(a_compressed_message_without_an_encoding_is_internal),
        TEST(another_encoding_is_unimplemented_and_told_what_is),
        TEST(a_client_that_names_encodings_is_told_ours),
        TEST(content_types_that_are_grpc),
        TEST(a_call_is_a_post),
        TEST(a_call_takes_trailers),
        TEST(grpc_needs_http_2),
    };
    return cmocka_run_group_tests_name("http/grpc", tests, NULL, NULL);
}
