/*
 * HTTP/1.1 from bytes: a server over a stream in memory, with a handler that answers every request. The first
 * byte of the input says in what pieces the rest arrives; then all of it is sent again in one piece. What
 * must hold: the answers are the same both ways, each request is answered exactly once, and nothing is left.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"
#include "net/memstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct clock_fake clock;
    struct loop *loop;
    struct http_server *server;
    struct stream *client;
    struct buf got;
    struct exchange *later; /* answered in the next turn */
    unsigned heads;
    unsigned answers;
    unsigned gone;
    bool drained;
};

static void on_gone(struct exchange *ex)
{
    struct run *run = ex->user;
    run->gone++;
    if (run->later == ex) {
        run->later = NULL;
        exchange_release(ex);
    }
}

static enum http_intake on_head(struct exchange *ex, void *user)
{
    struct run *run = user;
    run->heads++;
    ex->user = run;
    ex->on_gone = on_gone;
    assert(ex->path.n > 0 && (ex->path.p[0] == '/' || ex->path.p[0] == '*'));
    return HTTP_BUFFER;
}

static void answer(struct run *run, struct exchange *ex)
{
    run->answers++;
    struct str method = str_of(http_method_name(ex->method));
    if (ex->body.n % 2 == 1) {
        exchange_start(ex, 200, NULL, 0);
        exchange_write(ex, method);
        exchange_write(ex, ex->body);
        exchange_finish(ex, NULL, 0);
        return;
    }
    const struct http_field type = {STR("content-type"), STR("text/plain")};
    exchange_answer(ex, 200, &type, 1, ex->body.n > 0 ? ex->body : ex->path);
}

static void on_request(struct exchange *ex, void *user)
{
    struct run *run = user;
    assert(run->later == NULL);
    if (ex->query.n % 2 == 1) {
        exchange_keep(ex);
        exchange_hold(ex);
        run->later = ex;
    } else {
        answer(run, ex);
    }
}

static const struct http_handler handler = {.on_head = on_head, .on_request = on_request};

static void client_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct run *run = stream->user;
    buf_add(&run->got, bytes, n);
}

static void client_closed(struct stream *stream, enum err why)
{
    (void)why;
    struct run *run = stream->user;
    run->client = NULL;
}

static const struct stream_handler client_handler = {.on_data = client_data, .on_closed = client_closed};

static void drained(void *user)
{
    struct run *run = user;
    run->drained = true;
}

static void settle(struct run *run)
{
    for (unsigned turns = 0;; turns++) {
        assert(turns < 10000000); /* it hangs */
        if (loop_step(run->loop)) {
            continue;
        }
        if (run->later == NULL) {
            return;
        }
        struct exchange *ex = run->later;
        run->later = NULL;
        answer(run, ex);
        exchange_release(ex);
    }
}

/* Returns what the client got. */
static struct buf serve(const uint8_t *data, size_t size, size_t fragment)
{
    struct run run = {.got = BUF_EMPTY};
    clock_fake_init(&run.clock);
    const struct loop_options options = {.clock = &run.clock.clock, .seed = 1};
    if (loop_new(&run.loop, &options, NULL) != EA_OK) {
        abort();
    }
    const struct http_server_options server = {
        .loop = run.loop, .limits = http_limits_default, .handler = &handler, .user = &run};
    run.server = http_server_new(&server);
    struct stream *accepted;
    memstream_pair(run.loop, &(struct memstream_options){.fragment = fragment}, &run.client, &accepted);
    stream_start(run.client, &client_handler, &run);
    http_server_accept(run.server, accepted);
    stream_write(run.client, data, size);
    settle(&run);
    if (run.client != NULL) {
        stream_close(run.client);
    }
    settle(&run);
    http_server_drain(run.server, loop_now(run.loop), drained, &run);
    for (int i = 0; i < 5; i++) { /* deadlines and lingering */
        clock_fake_advance_us(&run.clock, 1000000);
        settle(&run);
    }
    assert(run.drained && run.client == NULL);
    assert(run.heads == run.answers + run.gone);
    http_server_free(run.server);
    settle(&run);
    loop_free(run.loop);
    return run.got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    if (size < 1 || (size > sizeof preface && memcmp(data + 1, preface, sizeof preface - 1) == 0)) {
        return 0; /* HTTP/2 has its own */
    }
    struct buf pieces = serve(data + 1, size - 1, 1 + data[0] % 64);
    struct buf whole = serve(data + 1, size - 1, 0);
    assert(pieces.n == whole.n && (whole.n == 0 || memcmp(pieces.p, whole.p, whole.n) == 0));
    buf_fini(&pieces);
    buf_fini(&whole);
    return 0;
}
