/*
 * A connection that speaks HTTP/1.1: what its three files share. Internal to h1*.c; loop thread.
 *
 *     h1.c         the connection: its states, times and end
 *     h1_input.c   bytes to requests
 *     h1_output.c  answers to bytes
 */
#ifndef EA_HTTP_H1_H
#define EA_HTTP_H1_H

#include <stdalign.h>

#include "base/sm.h"
#include "http/conn.h"
#include "http/h1_answer.h"
#include "http/h1_body.h"

enum h1_state { H1_IDLE, H1_HEAD, H1_BODY, H1_ANSWER, H1_CLOSING, H1_STATES };

/* Of an exchange's arena, in the slab. Enough for an election's request and answer. */
#define H1_ARENA_BYTES 2048

struct h1_exchange;

struct h1_conn {
    struct http_conn conn;
    struct h1_exchange *hx; /* the request that is read or answered; NULL when idle or closing */
    uint8_t *pending;       /* read together with a request that is not answered yet */
    size_t pending_at;      /* the first byte not taken yet */
    size_t pending_bytes;
    struct mono deadline; /* of the present state */
    struct sm state;
    bool keep_alive; /* another request may follow this one */
    bool ended;      /* the peer sends no more */
    bool paused;
    bool in_handler; /* what was finished is cleaned up when the handler returns */
};

struct h1_exchange {
    struct exchange ex;
    struct h1_conn *h1; /* NULL: no longer the connection's */
    struct h1_llhttp parser;
    struct h1_scan scan;
    struct h1_body body;
    char *gathered; /* pieces of the head, then of the body; in the arena */
    size_t gathered_bytes;
    size_t gathered_room;
    size_t unconsumed; /* HTTP_STREAM: given to the handler, not given back */
    size_t discarded;  /* of a body that nobody wants */
    enum http_intake intake;
    enum h1_framing framing; /* of a streamed answer */
    uint8_t minor;           /* HTTP/1.minor */
    bool discard;            /* nobody wants the rest of the body */
    bool awaits_continue;    /* the client sends the body when it is told to */
    alignas(16) char memory[H1_ARENA_BYTES];
};

static inline enum h1_state h1_state(const struct h1_conn *h1)
{
    return (enum h1_state)sm_now(&h1->state);
}

static inline struct loop *h1_loop(const struct h1_conn *h1)
{
    return http_server_loop(h1->conn.server);
}

static inline const struct http_limits *h1_limits(const struct h1_conn *h1)
{
    return http_server_limits(h1->conn.server);
}

/* --- h1.c --- */

/* The present state may last so long; 0: for ever. The timer is not started yet. */
void h1_set_deadline(struct h1_conn *h1, int64_t us);
/* Makes the timer fire no later than the deadline. */
void h1_watch_deadline(struct h1_conn *h1);

/* Lets the answers go out and closes. */
void h1_close_gently(struct h1_conn *h1);
/* Throws away what was not sent: the client must not take a half for the whole. */
void h1_close_hard(struct h1_conn *h1);

/* After everything that can finish an exchange: ends the request, unless its handler is still running. The
 * exchange may be gone after it. */
void h1_settle(struct h1_conn *h1);

/* The exchange is no longer the connection's; if it was not finished, its client is gone. */
void h1_let_go(struct h1_conn *h1);

/* Stops or resumes the stream, as things are now. A last call: input may come before it returns. */
void h1_gate(struct h1_conn *h1);

/* --- h1_input.c --- */

/* Takes bytes as long as they are wanted; returns how many. */
size_t h1_take(struct h1_conn *h1, const uint8_t *bytes, size_t n);

/* --- h1_output.c --- */

extern const struct exchange_ops h1_exchange_ops;

/* The request broke a rule: answers if that is still possible, lets the exchange go, and closes. */
void h1_refuse(struct h1_conn *h1, enum h1_fault fault);

#endif
