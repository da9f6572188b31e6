/* What the tests of net/ share: certificates made on the spot, pairs of connected streams of every kind, and
 * a handler that writes down what it is told. */
#ifndef EA_TESTS_NET_SUPPORT_H
#define EA_TESTS_NET_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/stream.h"
#include "net/tls.h"

/* --- certificates --- */

/* Files in a folder of their own: ca.pem signed server.pem (localhost, 127.0.0.1) and client.pem; other.pem
 * is an authority that signed nothing. */
struct certificates {
    char folder[64];
    char ca[96];
    char other[96];
    char server[96];
    char server_key[96];
    char client[96];
    char client_key[96];
};

void certificates_make(struct certificates *c);
void certificates_remove(const struct certificates *c);

/* --- pairs --- */

enum kind {
    KIND_TCP,
    KIND_UNIX,
    KIND_MEMORY,
    KIND_MEMORY_IN_PIECES,
    KIND_TLS_OVER_MEMORY,
    KIND_TLS_IN_PIECES,
    KIND_TLS_OVER_TCP,
    KINDS
};

extern const char *const kind_names[KINDS];

bool kind_is_tls(enum kind kind);

/* For TLS a is the client. The contexts are needed for TLS only. */
void pair_make(struct loop *loop, enum kind kind, struct tls_context *client, struct tls_context *server,
               struct stream **a, struct stream **b);

/* A connected pair of sockets on 127.0.0.1, non-blocking. */
void tcp_pair(int fds[2]);

/* --- a handler that remembers --- */

struct end {
    struct stream *stream; /* NULL after on_closed */
    struct buf got;
    unsigned datas, ends, flushes, drains, closes;
    enum err why;
    unsigned inside; /* the test is in a call of this stream's */
    bool asked;      /* close or abort was called: nothing but on_closed may come */
    /* What the test does in the callbacks, after they were counted. */
    void (*do_data)(struct end *end, const uint8_t *bytes, size_t n);
    void (*do_end)(struct end *end);
    void (*do_flush)(struct end *end);
    void (*do_drain)(struct end *end);
    void (*do_closed)(struct end *end);
    void *user;
};

void end_start(struct end *end, struct stream *stream);
/* The same with a handler that has no on_end. */
void end_start_without_end(struct end *end, struct stream *stream);
void end_close(struct end *end);
void end_abort(struct end *end);
void end_write(struct end *end, const void *bytes, size_t n);

/* Steps until `condition`; fails if it never comes. */
#define STEP_UNTIL(loop, condition)                     \
    do {                                                \
        for (unsigned n_ = 0; !(condition); n_++) {     \
            (void)loop_step(loop);                      \
            if (n_ > 1000000) {                         \
                fail_msg("never came: %s", #condition); \
            }                                           \
        }                                               \
    } while (0)

/* Steps so often that whatever could happen has happened. */
void settle(struct loop *loop);

/* Bytes that a test can tell apart by their place. */
uint8_t pattern(size_t at);
void pattern_fill(uint8_t *out, size_t at, size_t n);

#endif
