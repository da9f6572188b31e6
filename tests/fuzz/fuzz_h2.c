/*
 * A client of HTTP/2 that sends anything: the input's first byte is the size of the pieces it arrives in (0:
 * as one), the second how many seconds pass after it; the rest is what follows the connection preface. Behind
 * it are gRPC methods of all kinds and plain requests. Whatever comes, the connection must be gone at the end
 * and nothing be left of it.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "http/grpc.h"
#include "http/server.h"
#include "net/memstream.h"

static struct clock_fake fake;
static struct loop *loop;
static struct http_server *server;
static struct grpc_server *grpc;
static struct stream *client; /* NULL when closed */

/* --- the service --- */

static void answer_call(struct grpc_call *call, struct str message)
{
    grpc_answer(call, message);
}

static void fail_call(struct grpc_call *call, struct str message)
{
    grpc_finish(call, GRPC_NOT_FOUND, message);
}

static void wait_call(struct grpc_call *call, struct str message)
{
    (void)call;
    (void)message;
}

static void give_back(struct grpc_call *call, struct str message)
{
    grpc_send(call, message);
    grpc_consumed(call, message.n);
}

static void client_end(struct grpc_call *call)
{
    grpc_finish(call, GRPC_OK, (struct str){NULL, 0});
}

static void stream_call(struct grpc_call *call, struct str message)
{
    (void)message;
    call->on_message = give_back;
    call->on_client_end = client_end;
}

static const struct grpc_method answering = {.path = STR_INIT("/t.S/A"), .on_call = answer_call};
static const struct grpc_method failing = {.path = STR_INIT("/t.S/F"), .on_call = fail_call};
static const struct grpc_method waiting = {.path = STR_INIT("/t.S/W"), .on_call = wait_call};
static const struct grpc_method streaming = {
    .path = STR_INIT("/t.S/S"), .on_call = stream_call, .client_streams = true, .server_streams = true};
static const struct grpc_method *const methods[] = {&answering, &failing, &waiting, &streaming};

static enum http_intake on_head(struct exchange *ex, void *user)
{
    (void)user;
    return grpc_is(ex) ? grpc_on_head(grpc, ex) : HTTP_BUFFER;
}

static void on_request(struct exchange *ex, void *user)
{
    (void)user;
    exchange_answer(ex, 200, NULL, 0, ex->body);
}

static const struct http_handler handler = {.on_head = on_head, .on_request = on_request};

/* --- the client --- */

static void on_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    (void)stream;
    (void)bytes;
    (void)n;
}

static void on_closed(struct stream *stream, enum err why)
{
    (void)stream;
    (void)why;
    client = NULL;
}

static const struct stream_handler client_handler = {.on_data = on_data, .on_closed = on_closed};

static void run(void)
{
    while (loop_step(loop)) {
    }
}

static void set_up(void)
{
    clock_fake_init(&fake);
    const struct loop_options options = {.clock = &fake.clock, .seed = 1};
    enum err err = loop_new(&loop, &options, NULL);
    assert(err == EA_OK);
    grpc = grpc_server_new(methods, sizeof methods / sizeof methods[0], NULL);
    const struct http_server_options server_options = {
        .loop = loop, .limits = http_limits_default, .handler = &handler};
    server = http_server_new(&server_options);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    if (loop == NULL) {
        set_up();
    }
    const struct memstream_options options = {.fragment = data[0]};
    struct stream *server_end = NULL;
    memstream_pair(loop, &options, &client, &server_end);
    stream_start(client, &client_handler, NULL);
    http_server_accept(server, server_end);
    stream_write(client, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
    stream_write(client, data + 2, size - 2);
    run();
    for (uint8_t seconds = data[1] % 64; seconds > 0; seconds--) {
        clock_fake_advance_us(&fake, 1000000);
        run();
    }
    if (client != NULL) {
        stream_abort(client);
    }
    run();
    const struct http_counts *counts = http_server_counts(server);
    assert(counts->connections[0][0] == 0 && counts->connections[1][0] == 0);
    return 0;
}
