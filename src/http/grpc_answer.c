/* gRPC's answers, and a call's end: status, trailers, deadline. */
#include <assert.h>

#include "base/mem.h"
#include "http/grpc_call.h"

/* A client's limit for header fields may be as low as 8 KiB; three bytes for one at worst. */
#define STATUS_TEXT_BYTES_MAX 1024
#define TRAILERS_MAX          4

static inline struct grpc_state *state_of(struct grpc_call *call)
{
    return call->state;
}

/* --- the end --- */

void grpc_call_end(struct grpc_state *state)
{
    state->call.ended = true;
    loop_timer_stop(state->call.ex->loop, &state->call.timer);
    if (!state->in_callback) {
        grpc_reader_fini(&state->reader);
        mem_free(state->inflated);
        state->inflated = NULL;
    }
}

void grpc_call_cancelled(struct grpc_state *state)
{
    struct grpc_call *call = &state->call;
    void (*on_cancel)(struct grpc_call * call) = call->on_cancel;
    call->on_cancel = NULL;
    if (on_cancel != NULL) {
        on_cancel(call);
    }
}

static void time_fire(struct loop *loop, struct loop_timer *timer)
{
    struct grpc_call *call = CONTAINER_OF(timer, struct grpc_call, timer);
    bool deadline = !mono_before(loop_now(loop), call->deadline);
    grpc_finish(call, GRPC_DEADLINE_EXCEEDED,
                deadline ? STR("deadline exceeded") : STR("the request's message took too long"));
    grpc_call_cancelled(state_of(call));
}

void grpc_call_time(struct grpc_state *state, struct mono at)
{
    struct grpc_call *call = &state->call;
    call->timer.fire = time_fire;
    if (at.us == MONO_NEVER.us) {
        loop_timer_stop(call->ex->loop, &call->timer);
    } else {
        loop_timer_start(call->ex->loop, &call->timer, at);
    }
}

/* --- answers --- */

static const struct http_field type_field = {STR_INIT("content-type"), STR_INIT("application/grpc")};
static const struct http_field encodings_field = {STR_INIT("grpc-accept-encoding"),
                                                  STR_INIT("identity,gzip")};

static void start(struct grpc_state *state)
{
    const struct http_field fields[] = {type_field, encodings_field};
    exchange_start(state->call.ex, 200, fields, state->tell_encodings ? 2 : 1);
}

static size_t send_message(struct grpc_call *call, struct str message)
{
    uint8_t prefix[GRPC_PREFIX_BYTES];
    grpc_prefix(prefix, false, message.n);
    (void)exchange_write(call->ex, str_from(prefix, sizeof prefix));
    return exchange_write(call->ex, message);
}

void grpc_answer(struct grpc_call *call, struct str message)
{
    if (call->ended) {
        return;
    }
    assert(!call->ex->started);
    static const struct http_field ok = {STR_INIT("grpc-status"), STR_INIT("0")};
    start(state_of(call));
    send_message(call, message);
    grpc_call_end(state_of(call));
    exchange_finish(call->ex, &ok, 1);
}

size_t grpc_send(struct grpc_call *call, struct str message)
{
    if (call->ended) {
        return 0;
    }
    if (!call->ex->started) {
        start(state_of(call));
    }
    return send_message(call, message);
}

void grpc_finish(struct grpc_call *call, enum grpc_status status, struct str message)
{
    if (call->ended) {
        return;
    }
    struct exchange *ex = call->ex;
    struct http_field fields[TRAILERS_MAX];
    size_t n = 0;
    if (!ex->started) {
        fields[n++] = type_field;
        if (state_of(call)->tell_encodings) {
            fields[n++] = encodings_field;
        }
    }
    char digits[20];
    assert(status >= GRPC_OK && status <= GRPC_UNAUTHENTICATED);
    fields[n++] =
        (struct http_field){STR("grpc-status"), str_from(digits, str_from_u64((uint64_t)status, digits))};
    if (message.n > 0) {
        struct str text = grpc_cut(message, STATUS_TEXT_BYTES_MAX);
        char *encoded = arena_alloc(&ex->arena, 3 * text.n);
        fields[n++] =
            (struct http_field){STR("grpc-message"), str_from(encoded, grpc_percent_encode(text, encoded))};
    }
    assert(n <= TRAILERS_MAX);
    grpc_call_end(state_of(call));
    exchange_finish(ex, fields, n);
}

void grpc_consumed(struct grpc_call *call, size_t message_bytes)
{
    struct grpc_state *state = state_of(call);
    size_t unpaid = message_bytes < state->debt ? message_bytes : state->debt;
    state->debt -= unpaid;
    exchange_consumed(call->ex, message_bytes - unpaid);
}
