#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "api/message.h"
#include "base/mem.h"
#include "http/conn.h"
#include "support.h"

/* --- the store --- */

static void fake_submit(struct store *store, unsigned lane, struct election_request *request)
{
    struct fake_store *fake = (struct fake_store *)(void *)store;
    assert_int_equal(lane, 0);
    assert_true(fake->n < PENDING_MAX);
    fake->pending[fake->n++] = request;
}

static void fake_status(struct store *store, struct store_status *out)
{
    *out = ((struct fake_store *)(void *)store)->status;
}

static const struct store_ops fake_store_ops = {.name = "fake", .submit = fake_submit, .status = fake_status};

struct election_request *fixture_take(struct fixture *fx)
{
    assert_true(fx->store.n > 0);
    struct election_request *first = fx->store.pending[0];
    fx->store.n--;
    memmove(fx->store.pending, fx->store.pending + 1, fx->store.n * sizeof fx->store.pending[0]);
    return first;
}

void fixture_decide(struct election_request *request, enum err err)
{
    request->err = err;
    request->done(request);
}

/* --- the exchange --- */

static struct fake_exchange *fake_of(struct exchange *ex)
{
    return CONTAINER_OF(ex, struct fake_exchange, ex);
}

static void keep_fields(struct buf *out, const struct http_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        buf_format(out, "%.*s: %.*s\n", STR_ARG(fields[i].name), STR_ARG(fields[i].value));
    }
}

static void fake_start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    struct fake_exchange *fake = fake_of(ex);
    fake->status = status;
    keep_fields(&fake->fields, fields, n);
}

static size_t fake_write(struct exchange *ex, struct str bytes)
{
    buf_add_str(&fake_of(ex)->body, bytes);
    return fake_of(ex)->waiting;
}

static void fake_finish(struct exchange *ex, const struct http_field *trailers, size_t n)
{
    struct fake_exchange *fake = fake_of(ex);
    fake->status = fake->status != 0 ? fake->status : 200;
    fake->finished = true;
    keep_fields(&fake->trailers, trailers, n);
}

static void fake_answer(struct exchange *ex, int status, const struct http_field *fields, size_t n,
                        struct str body)
{
    fake_start(ex, status, fields, n);
    fake_write(ex, body);
    fake_of(ex)->finished = true;
}

static void fake_consumed(struct exchange *ex, size_t n)
{
    fake_of(ex)->consumed += n;
}

static void fake_reset(struct exchange *ex, uint32_t h2_code)
{
    fake_of(ex)->finished = true;
}

static void fake_released(struct exchange *ex)
{
    fail_msg("an exchange was released once too often");
}

static const struct exchange_ops fake_exchange_ops = {
    .start = fake_start,
    .answer = fake_answer,
    .write = fake_write,
    .finish = fake_finish,
    .consumed = fake_consumed,
    .reset = fake_reset,
    .released = fake_released,
};

static struct fake_exchange *exchange_make(struct fixture *fx, enum http_method method, const char *target)
{
    struct fake_exchange *fake = mem_zalloc(sizeof *fake);
    struct exchange *ex = &fake->ex;
    arena_init(&ex->arena, fake->block, sizeof fake->block);
    ex->ops = &fake_exchange_ops;
    ex->server = fx->server;
    ex->loop = fx->loop;
    ex->method = method;
    ex->version = 2;
    ex->stable = true;
    ex->arrived = loop_now(fx->loop);
    ex->query = str_of(target);
    str_split(&ex->query, '?', &ex->path);
    exchange_hold(ex); /* the connection's */
    fake->next = fx->exchanges;
    fx->exchanges = fake;
    return fake;
}

static void exchange_free(struct fake_exchange *fake)
{
    assert_int_equal(fake->ex.holds, 1);
    fake->ex.finished = false;
    fake->ex.gone = false;
    exchange_release(&fake->ex);
    arena_reset(&fake->ex.arena);
    buf_fini(&fake->fields);
    buf_fini(&fake->trailers);
    buf_fini(&fake->body);
    mem_free(fake);
}

void exchange_leave(struct fake_exchange *fake)
{
    http_exchange_gone(&fake->ex);
}

static const char *value_of(struct fake_exchange *fake, const struct buf *fields, const char *name)
{
    struct str rest = buf_str(fields);
    struct str line;
    while (rest.n > 0 && str_split(&rest, '\n', &line)) {
        if (str_starts(line, str_of(name)) && line.p[strlen(name)] == ':') {
            size_t skip = strlen(name) + 2;
            return arena_str(&fake->ex.arena, str_from(line.p + skip, line.n - skip)).p;
        }
    }
    return "";
}

const char *field_of(struct fake_exchange *fake, const char *name)
{
    return value_of(fake, &fake->fields, name);
}

const char *trailer_of(struct fake_exchange *fake, const char *name)
{
    return value_of(fake, &fake->trailers, name);
}

/* --- REST --- */

/* The slices are the read buffer's, as with HTTP/1.1: gone when the handler returns. */
static void deliver(struct fixture *fx, const struct http_handler *handler, struct fake_exchange *fake)
{
    struct exchange *ex = &fake->ex;
    struct str *slices[] = {&ex->path, &ex->query, &ex->body};
    void *copies[3];
    ex->stable = false;
    for (size_t i = 0; i < 3; i++) {
        copies[i] = mem_alloc(slices[i]->n + 1);
        if (slices[i]->n > 0) {
            memcpy(copies[i], slices[i]->p, slices[i]->n);
        }
        slices[i]->p = copies[i];
    }
    if (handler->on_head(ex, fx->lane) == HTTP_BUFFER) {
        handler->on_request(ex, fx->lane);
    }
    for (size_t i = 0; i < 3; i++) {
        mem_free(copies[i]);
    }
}

struct fake_exchange *rest_call(struct fixture *fx, enum http_method method, const char *target,
                                const char *body)
{
    struct fake_exchange *fake = exchange_make(fx, method, target);
    fake->ex.body = str_of(body != NULL ? body : "");
    deliver(fx, &api_handler, fake);
    return fake;
}

struct fake_exchange *rest_call_on(struct fixture *fx, const struct http_handler *handler,
                                   enum http_method method, const char *target, const char *accept)
{
    struct fake_exchange *fake = exchange_make(fx, method, target);
    fake->ex.header[HTTP_ACCEPT] = str_of(accept);
    deliver(fx, handler, fake);
    return fake;
}

void assert_answer(const struct fake_exchange *fake, int status, const char *body)
{
    assert_true(fake->finished);
    if (fake->body.n != strlen(body) || (fake->body.n > 0 && memcmp(fake->body.p, body, fake->body.n) != 0)) {
        fail_msg("%d %.*s is not %s", fake->status, (int)fake->body.n, fake->body.p, body);
    }
    assert_int_equal(fake->status, status);
}

/* --- gRPC --- */

static struct fake_exchange *grpc_head(struct fixture *fx, const char *path, const char *timeout)
{
    struct fake_exchange *fake = exchange_make(fx, HTTP_POST, path);
    fake->ex.header[HTTP_CONTENT_TYPE] = STR("application/grpc");
    fake->ex.header[HTTP_TE] = STR("trailers");
    fake->ex.header[HTTP_GRPC_TIMEOUT] = str_of(timeout);
    fake->ex.user = NULL;
    if (api_handler.on_head(&fake->ex, fx->lane) == HTTP_DONE) {
        fake->ex.on_data = NULL;
    }
    return fake;
}

static void push(struct fake_exchange *fake, struct str message, bool last)
{
    struct buf framed = BUF_EMPTY;
    const unsigned char prefix[5] = {0, 0, (unsigned char)(message.n >> 16), (unsigned char)(message.n >> 8),
                                     (unsigned char)message.n};
    buf_add(&framed, prefix, sizeof prefix);
    buf_add_str(&framed, message);
    if (fake->ex.on_data != NULL) {
        fake->ex.on_data(&fake->ex, buf_str(&framed), last);
    }
    buf_fini(&framed); /* what was kept of it is found by the sanitizer */
}

struct fake_exchange *grpc_unary_bytes(struct fixture *fx, const char *path, struct str message)
{
    struct fake_exchange *fake = grpc_head(fx, path, NULL);
    push(fake, message, true);
    return fake;
}

struct fake_exchange *grpc_unary(struct fixture *fx, const char *path, const ProtobufCMessage *request,
                                 const char *timeout)
{
    struct fake_exchange *fake = grpc_head(fx, path, timeout);
    push(fake, message_pack(request, &fake->ex.arena, NULL, 0), true);
    return fake;
}

struct fake_exchange *grpc_open(struct fixture *fx, const char *path)
{
    return grpc_head(fx, path, NULL);
}

void grpc_push_bytes(struct fake_exchange *fake, struct str message)
{
    push(fake, message, false);
}

void grpc_push(struct fake_exchange *fake, const ProtobufCMessage *message)
{
    push(fake, message_pack(message, &fake->ex.arena, NULL, 0), false);
}

void grpc_close(struct fake_exchange *fake)
{
    fake->ex.on_data(&fake->ex, STR(""), true);
}

void assert_grpc(struct fake_exchange *fake, enum grpc_status status, const char *message)
{
    char digits[24];
    digits[str_from_u64(status, digits)] = '\0';
    assert_true(fake->finished);
    assert_string_equal(trailer_of(fake, "grpc-message"), message);
    assert_string_equal(trailer_of(fake, "grpc-status"), digits);
}

/* Takes the next message from the front of *rest. */
static bool next_message(struct str *rest, struct str *message)
{
    if (rest->n < 5) {
        return false;
    }
    const unsigned char *p = (const unsigned char *)rest->p;
    size_t n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    assert_int_equal(p[0], 0);
    assert_true(n <= rest->n - 5);
    *message = str_from(rest->p + 5, n);
    *rest = str_from(rest->p + 5 + n, rest->n - 5 - n);
    return true;
}

size_t grpc_message_count(const struct fake_exchange *fake)
{
    struct str rest = buf_str(&fake->body);
    struct str message = {NULL, 0};
    size_t n = 0;
    while (next_message(&rest, &message)) {
        n++;
    }
    return n;
}

static void *arena_take(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void arena_leave(void *arena, void *p) {}

const void *grpc_message_at(struct fake_exchange *fake, size_t i, const ProtobufCMessageDescriptor *type)
{
    struct str rest = buf_str(&fake->body);
    struct str message = {NULL, 0};
    do {
        assert_true(next_message(&rest, &message));
    } while (i-- > 0);
    /* By the library alone: our own checks have no say here. */
    ProtobufCAllocator allocator = {arena_take, arena_leave, &fake->ex.arena};
    const void *out = protobuf_c_message_unpack(type, &allocator, message.n, (const uint8_t *)message.p);
    assert_non_null(out);
    return out;
}

/* --- the fixture --- */

static struct api_options options_of(struct fixture *fx)
{
    return (struct api_options){
        .store = &fx->store.base,
        .metrics = fx->metrics,
        .loops = &fx->loop,
        .n_lanes = 1,
        .min_term_ms = 1000,
        .max_term_ms = 3600000,
        .metrics_page = true,
    };
}

static struct metrics *metrics_make(void)
{
    static const double buckets[] = {0.001, 0.01, 0.1};
    return metrics_new(&(struct metrics_options){
        .lanes = 1,
        .agent = STR("test"),
        .buckets = buckets,
        .n_buckets = 3,
        .version = "1",
        .commit = "c",
    });
}

int fixture_setup(void **state)
{
    struct fixture *fx = mem_zalloc(sizeof *fx);
    clock_fake_init(&fx->clock);
    assert_int_equal(loop_new(&fx->loop, &(struct loop_options){.clock = &fx->clock.clock, .seed = 1}, NULL),
                     EA_OK);
    fx->store.base.ops = &fake_store_ops;
    fx->store.status.state = STORE_UP;
    fx->metrics = metrics_make();
    struct api_options options = options_of(fx);
    fx->api = api_new(&options);
    fx->lane = api_lane(fx->api, 0);
    fx->server = http_server_new(&(struct http_server_options){
        .loop = fx->loop, .limits = http_limits_default, .handler = &api_handler, .user = fx->lane});
    *state = fx;
    return 0;
}

void fixture_restart(struct fixture *fx, void (*edit)(struct api_options *options))
{
    api_free(fx->api);
    struct api_options options = options_of(fx);
    edit(&options);
    fx->api = api_new(&options);
    fx->lane = api_lane(fx->api, 0);
}

int fixture_teardown(void **state)
{
    struct fixture *fx = *state;
    assert_int_equal(fx->store.n, 0);
    while (fx->exchanges != NULL) {
        struct fake_exchange *fake = fx->exchanges;
        fx->exchanges = fake->next;
        if (!fake->ex.finished && !fake->ex.gone) {
            exchange_leave(fake);
        }
        exchange_free(fake);
    }
    http_server_free(fx->server);
    api_free(fx->api);
    metrics_free(fx->metrics);
    loop_free(fx->loop);
    mem_free(fx);
    return 0;
}

void fixture_advance_ms(struct fixture *fx, int64_t ms)
{
    clock_fake_advance_us(&fx->clock, ms * 1000);
    while (loop_step(fx->loop)) {
    }
}
