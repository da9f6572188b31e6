/* gRPC calls on exchanges: the table of methods, a call's head, its input. Answers are in grpc_answer.c. */
#include "http/grpc.h"

#include <assert.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/grpc_call.h"
#include "http/grpc_gzip.h"

/* --- the table --- */

/* Open addressing, at most half full, written once. */
struct grpc_server {
    void *user;
    size_t mask;
    const struct grpc_method *slots[];
};

/* The table's keys are ours, not a client's, so the seed need not be secret. */
#define TABLE_SEED 0

struct grpc_server *grpc_server_new(const struct grpc_method *const *methods, size_t n, void *user)
{
    size_t size = 8;
    while (size < 2 * n) {
        size *= 2;
    }
    struct grpc_server *server = mem_zalloc(sizeof *server + size * sizeof(const struct grpc_method *));
    server->user = user;
    server->mask = size - 1;
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)str_hash(methods[i]->path, TABLE_SEED) & server->mask;
        while (server->slots[at] != NULL) {
            assert(!str_eq(server->slots[at]->path, methods[i]->path));
            at = (at + 1) & server->mask;
        }
        server->slots[at] = methods[i];
    }
    return server;
}

void grpc_server_free(struct grpc_server *server)
{
    mem_free(server);
}

static const struct grpc_method *find(const struct grpc_server *server, struct str path)
{
    size_t at = (size_t)str_hash(path, TABLE_SEED) & server->mask;
    while (server->slots[at] != NULL && !str_eq(server->slots[at]->path, path)) {
        at = (at + 1) & server->mask;
    }
    return server->slots[at];
}

/* --- input --- */

static void enter(struct grpc_state *state)
{
    state->in_callback = true;
}

/* The message the callback worked on may go now. */
static void leave(struct grpc_state *state)
{
    state->in_callback = false;
    mem_free(state->inflated);
    state->inflated = NULL;
    if (state->call.ended) {
        grpc_reader_fini(&state->reader);
    }
}

/* Uncompressed, or the call is ended and false is returned. */
static bool unpack(struct grpc_state *state, struct str *message, bool compressed)
{
    if (!compressed) {
        return true;
    }
    struct grpc_call *call = &state->call;
    if (!state->gzip) {
        grpc_finish(call, GRPC_INTERNAL,
                    STR("a message is compressed, but grpc-encoding names no compression"));
        return false;
    }
    size_t n = 0;
    switch (grpc_gunzip(*message, GRPC_MESSAGE_BYTES_MAX, &state->inflated, &n)) {
    case EA_OK:
        *message = n > 0 ? str_from(state->inflated, n) : str_from("", 0);
        return true;
    case EA_TOO_LARGE:
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, STR("a message is larger than 64 KiB uncompressed"));
        return false;
    default:
        grpc_finish(call, GRPC_INTERNAL, STR("a compressed message is damaged"));
        return false;
    }
}

/* What reading came to, if it is no message. True if the call goes on. */
static bool carry_on(struct grpc_call *call, enum grpc_read read)
{
    switch (read) {
    case GRPC_READ_BAD_FLAG:
        grpc_finish(call, GRPC_INTERNAL, STR("a message has an unknown flag"));
        return false;
    case GRPC_READ_TOO_LARGE:
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, STR("a message is larger than 64 KiB"));
        return false;
    default:
        return true;
    }
}

static const struct str truncated = STR_INIT("the request ends inside a message");

static void unary_call(struct grpc_state *state)
{
    struct grpc_call *call = &state->call;
    struct str message = state->message;
    if (!unpack(state, &message, state->compressed)) {
        return;
    }
    call->client_closed = true;
    /* From here on it is the deadline's timer alone. */
    grpc_call_time(state, call->deadline);
    enter(state);
    call->method->on_call(call, message);
    leave(state);
    grpc_reader_fini(&state->reader); /* no other message comes; the call may live long */
    exchange_consumed(call->ex, state->owed);
    state->owed = 0;
}

static void unary_data(struct grpc_state *state, struct str piece, bool last)
{
    struct grpc_call *call = &state->call;
    state->owed += piece.n;
    if (piece.n > 0 && !state->whole) {
        enum grpc_read read = grpc_reader_next(&state->reader, &piece, &state->message, &state->compressed);
        if (!carry_on(call, read)) {
            return;
        }
        state->whole = read == GRPC_READ_MESSAGE;
        if (state->whole && !last && state->message.n > 0 && state->reader.n == 0) {
            state->message = arena_str(&call->ex->arena, state->message); /* it is in the read buffer */
        }
    }
    /* Status codes for what follows: grpc/doc/statuscodes.md. */
    if (state->whole && piece.n > 0) {
        grpc_finish(call, GRPC_UNIMPLEMENTED, STR("the method takes one message, and more came"));
    } else if (last && state->whole) {
        unary_call(state);
    } else if (last && grpc_reader_partial(&state->reader)) {
        grpc_finish(call, GRPC_INTERNAL, truncated);
    } else if (last) {
        grpc_finish(call, GRPC_UNIMPLEMENTED, STR("the method takes one message, and none came"));
    }
}

/*
 * The service gives back what it got, message by message; the windows want what was on the wire. What the
 * wire has more is given back here, and what it has less is kept as a debt of the service's.
 */
static void settle_credit(struct grpc_state *state, size_t wire, size_t message)
{
    if (wire >= message) {
        exchange_consumed(state->call.ex, wire - message);
    } else {
        state->debt += message - wire;
    }
}

static void give_message(struct grpc_state *state, struct str message, bool compressed)
{
    struct grpc_call *call = &state->call;
    size_t wire = GRPC_PREFIX_BYTES + message.n;
    if (!unpack(state, &message, compressed)) {
        return;
    }
    settle_credit(state, wire, message.n);
    enter(state);
    if (call->on_message != NULL) {
        call->on_message(call, message);
    } else {
        grpc_consumed(call, message.n);
    }
    leave(state);
}

static void stream_data(struct grpc_state *state, struct str piece, bool last)
{
    struct grpc_call *call = &state->call;
    while (!call->ended && piece.n > 0) {
        struct str message = {NULL, 0};
        bool compressed = false;
        enum grpc_read read = grpc_reader_next(&state->reader, &piece, &message, &compressed);
        if (!carry_on(call, read)) {
            return;
        }
        if (read == GRPC_READ_MESSAGE) {
            give_message(state, message, compressed);
        }
    }
    if (!last || call->ended) {
        return;
    }
    if (grpc_reader_partial(&state->reader)) {
        grpc_finish(call, GRPC_INTERNAL, truncated);
        return;
    }
    call->client_closed = true;
    if (call->on_client_end != NULL) {
        call->on_client_end(call);
    }
}

static void on_data(struct exchange *ex, struct str piece, bool last)
{
    struct grpc_state *state = ex->user;
    if (state->call.ended) {
        return;
    }
    if (state->call.method->client_streams) {
        stream_data(state, piece, last);
    } else {
        unary_data(state, piece, last);
    }
}

static void on_writable(struct exchange *ex)
{
    struct grpc_state *state = ex->user;
    if (!state->call.ended && state->call.on_writable != NULL) {
        state->call.on_writable(&state->call);
    }
}

static void on_gone(struct exchange *ex)
{
    struct grpc_state *state = ex->user;
    if (!state->call.ended) {
        grpc_call_end(state);
        grpc_call_cancelled(state);
    }
}

/* --- the head --- */

bool grpc_is(const struct exchange *ex)
{
    struct str type = ex->header[HTTP_CONTENT_TYPE];
    const struct str grpc = STR("application/grpc");
    if (type.n < grpc.n || !str_eq_nocase(str_from(type.p, grpc.n), grpc)) {
        return false;
    }
    /* "application/grpc-web" is another protocol. */
    return type.n == grpc.n || type.p[grpc.n] == '+' || type.p[grpc.n] == ';';
}

/* TE: trailers shows that no proxy on the way would lose the status. */
static bool takes_trailers(struct str te)
{
    struct str part = {NULL, 0};
    while (str_split(&te, ',', &part)) {
        if (str_eq_nocase(str_trim(part), STR("trailers"))) {
            return true;
        }
    }
    return false;
}

/* What HTTP itself says no to. */
static bool http_refuses(struct exchange *ex)
{
    const struct http_field fields[] = {
        {STR("content-type"), STR("text/plain; charset=utf-8")},
        {STR("allow"), STR("POST")},
    };
    if (ex->version != 2) {
        exchange_answer(ex, 505, fields, 1, STR("gRPC needs HTTP/2\n"));
        return true;
    }
    if (ex->method != HTTP_POST) {
        exchange_answer(ex, 405, fields, ARRAY_LENGTH(fields), STR("gRPC calls are made by POST\n"));
        return true;
    }
    return false;
}

/* Reads the head into the call; false if it was answered. */
static bool read_head(struct grpc_state *state, const struct grpc_server *server)
{
    struct grpc_call *call = &state->call;
    struct exchange *ex = call->ex;
    call->method = find(server, ex->path);
    if (call->method == NULL) {
        grpc_finish(
            call, GRPC_UNIMPLEMENTED,
            arena_format(&ex->arena, "unknown method %.*s", (int)grpc_cut(ex->path, 200).n, ex->path.p));
        return false;
    }
    if (!takes_trailers(ex->header[HTTP_TE])) {
        grpc_finish(call, GRPC_INTERNAL, STR("the request lacks te: trailers"));
        return false;
    }
    struct str timeout = ex->header[HTTP_GRPC_TIMEOUT];
    if (timeout.p != NULL) {
        int64_t us = 0;
        if (grpc_timeout_us(timeout, &us) != EA_OK) {
            grpc_finish(call, GRPC_INTERNAL, STR("grpc-timeout is malformed"));
            return false;
        }
        call->deadline = mono_add_us(loop_now(ex->loop), us);
    }
    struct str encoding = ex->header[HTTP_GRPC_ENCODING];
    state->gzip = str_eq(encoding, STR("gzip"));
    if (encoding.p != NULL && !state->gzip && !str_eq(encoding, STR("identity"))) {
        state->tell_encodings = true;
        grpc_finish(call, GRPC_UNIMPLEMENTED, STR("grpc-encoding is none of identity, gzip"));
        return false;
    }
    return true;
}

enum http_intake grpc_on_head(struct grpc_server *server, struct exchange *ex)
{
    if (http_refuses(ex)) {
        return HTTP_DONE;
    }
    struct grpc_state *state = arena_zalloc(&ex->arena, sizeof *state);
    struct grpc_call *call = &state->call;
    call->ex = ex;
    call->server_user = server->user;
    call->deadline = MONO_NEVER;
    call->state = state;
    grpc_reader_init(&state->reader, GRPC_MESSAGE_BYTES_MAX);
    ex->user = state;
    ex->no_date = true;
    if (!read_head(state, server)) {
        return HTTP_DONE;
    }
    /* Clients that say what they understand are told what we do. */
    state->tell_encodings = ex->header[HTTP_GRPC_ACCEPT_ENCODING].p != NULL;
    ex->on_data = on_data;
    ex->on_writable = on_writable;
    ex->on_gone = on_gone;
    if (call->method->client_streams) {
        grpc_call_time(state, call->deadline);
        call->method->on_call(call, (struct str){NULL, 0});
        return call->ended ? HTTP_DONE : HTTP_STREAM;
    }
    /* Until the message is there, it must come in the time a body has. */
    int64_t body_us = http_server_limits(ex->server)->body_us;
    struct mono late = body_us > 0 ? mono_add_us(loop_now(ex->loop), body_us) : MONO_NEVER;
    grpc_call_time(state, mono_min(call->deadline, late));
    return HTTP_STREAM;
}
