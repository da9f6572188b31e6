/*
 * A server on a loop with a clock that the test moves, a handler that answers by path, and clients at the
 * other end of streams in memory.
 *
 *     /echo     "METHOD path query=... host=... body=..." at once
 *     /hold     kept and held; the test answers fixture.held
 *     /early    answered in on_head, before the body
 *     /stream   an answer in pieces: "one", "two", end
 *     /flood    pieces without end, as long as the client takes them
 *     /upload   input in pieces; answers how many bytes there were
 *     /slow     input in pieces that the test consumes
 *     /reset    the connection is torn
 *     /empty    204
 *     /big      100,000 bytes at once
 *     /long     the same as one piece of an answer in pieces
 *     others    404
 */
#ifndef EA_TEST_H1_FIXTURE_H
#define EA_TEST_H1_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "http/server.h"
#include "net/loop.h"
#include "net/memstream.h"

#define GET(more)  "GET /echo HTTP/1.1\r\nHost: a\r\n" more "\r\n"
#define POST(more) "POST /echo HTTP/1.1\r\nHost: a\r\n" more
/* What /echo says to them. */
#define SAID(method, body) method " /echo query= host=a accept= body=" body

#define OK_HEAD "HTTP/1.1 200 OK\r\ndate: " TEST_DATE "\r\n"

#define TEST_DATE "Thu, 01 Jan 2026 00:00:00 GMT"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct http_server *server;
    struct exchange *held; /* the last of /hold, /flood and /slow */
    unsigned heads;
    unsigned requests;
    unsigned gone;
    unsigned writable;
    unsigned refused;
    int last_refused;
    unsigned drained;
    bool keeps_gone; /* on_gone does not let the held one go */
    size_t uploaded;
    size_t unconsumed;
};

struct client {
    struct stream *stream; /* NULL after it was closed */
    struct buf got;
    bool ended; /* the server has ended its side */
    bool closed;
    enum err why;
    size_t take; /* bytes that it takes in all before it pauses; 0: no end */
};

/* limits: NULL for the usual ones. */
void fixture_init(struct fixture *f, const struct http_limits *limits);
/* Drains the server, and fails if anything is left. */
void fixture_fini(struct fixture *f);

/* Turns until nothing happens. */
void fixture_settle(struct fixture *f);
/* Moves the clock in steps, turning in between. */
void fixture_advance_ms(struct fixture *f, int64_t ms);

/* options: NULL for streams without limits. */
void client_open(struct fixture *f, struct client *client, const struct memstream_options *options);
/* As if over TLS, with this protocol chosen; a string literal, NULL: none. */
void client_open_tls(struct fixture *f, struct client *client, const char *alpn);
void client_send(struct client *client, struct str bytes);
/* Sends what is in the buffer and empties it. */
void client_send_buf(struct client *client, struct buf *text);
/* Closes from the client's side, if that is not done yet, and forgets what it got. */
void client_fini(struct fixture *f, struct client *client);

/* What it got, and forgets it. The text is terminated and lives until the next call. */
const char *client_take(struct client *client);

/* An answer with a JSON message that closes the connection: for the exact bytes of refusals. */
const char *refusal(int status, const char *reason, const char *message);

/* --- a fixture with one client, for cmocka --- */

struct one {
    struct fixture f;
    struct client client;
};

int one_setup(void **state);
int one_teardown(void **state);
#define ONE(test) cmocka_unit_test_setup_teardown(test, one_setup, one_teardown)

/* Sends and lets everything happen. */
void say(struct one *one, const char *bytes);
/* How many requests have memory. */
size_t exchanges(struct one *one);

/* --- words --- */

/* The body of an answer: what stands behind the first empty line. */
const char *body_of(const char *answer);
unsigned count_of(const char *text, const char *what);
/* Adds n times c. */
void repeat(struct buf *text, char c, size_t n);

#endif
