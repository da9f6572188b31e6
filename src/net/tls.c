/*
 * TLS over a stream, by OpenSSL with a BIO of our own: OpenSSL reads ciphertext out of the inner stream's
 * input as it comes (no copy in between) and writes records straight into the inner stream's output.
 *
 *     NEW ──start──► HANDSHAKE ──done──► OPEN ──close──► CLOSING ──all written──► ENDING ──► freed
 *      │                 │ │               │                │                        ▲
 *      │                 │ └────close──────┼───────────────►│                        │
 *      └─────────────────┴─────────────────┴────────────────┴── failure, abort, inner stream gone
 *
 * ENDING waits for the inner stream's on_closed; out of it, by way of the turn's end, comes ours.
 *
 * Memory is bounded: plaintext is encrypted only while the inner backlog is at most STREAM_HIGH_BYTES;
 * ciphertext that can't be decrypted now (paused; or too much that must be written first) is held, one read
 * buffer's worth, with the inner stream paused.
 */
#include "net/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"
#include "base/sm.h"
#include "net/loop_private.h"
#include "net/output.h"
#include "net/stream_ops.h"
#include "net/tls_private.h"

enum { NEW, HANDSHAKE, OPEN, CLOSING, ENDING, STATES };

static const struct sm_state states[STATES] = {
    [NEW] = {"new", SM_TO(HANDSHAKE) | SM_TO(ENDING), false},
    [HANDSHAKE] = {"handshake", SM_TO(OPEN) | SM_TO(CLOSING) | SM_TO(ENDING), false},
    [OPEN] = {"open", SM_TO(CLOSING) | SM_TO(ENDING), false},
    [CLOSING] = {"closing", SM_TO(ENDING), false},
    [ENDING] = {"ending", 0, true},
};

/* What TLS itself answers (key updates, alerts) without the peer reading it: then no more is read. */
#define ANSWERS_MAX_BYTES (2 * STREAM_HIGH_BYTES)

struct tls {
    struct stream stream;
    struct stream *inner; /* NULL once it is gone */
    struct tls_context *context;
    SSL *ssl;
    struct output held;      /* ciphertext from earlier, before `in` */
    const uint8_t *in;       /* the rest of what the inner stream just pushed */
    size_t in_n;             /* bytes at `in` */
    struct output out;       /* plaintext */
    struct loop_task write;  /* in LOOP_STAGE_STREAM */
    struct loop_task read;   /* at a turn's start, after a pause */
    struct loop_task gone;   /* in LOOP_STAGE_FREE */
    struct loop_timer timer; /* CLOSING */
    struct sm sm;
    char *failure; /* words, or NULL */
    enum err why;
    bool paused;
    bool inner_paused;
    bool ended; /* the peer's close_notify was seen */
    bool above_high;
    bool flush_wanted;
};

static struct tls *tls_of(const struct stream *stream)
{
    return CONTAINER_OF(stream, struct tls, stream);
}

static unsigned state(const struct tls *t)
{
    return sm_now(&t->sm);
}

/* --- the BIO: OpenSSL's side of the inner stream --- */

static size_t take_held(struct tls *t, char *out, size_t cap)
{
    struct iovec piece;
    size_t n;

    if (output_peek(&t->held, &piece, 1, &n) == 0) {
        return 0;
    }
    n = n < cap ? n : cap;
    memcpy(out, piece.iov_base, n);
    output_consume(&t->held, t->stream.loop, n);
    return n;
}

static int bio_read(BIO *bio, char *out, size_t cap, size_t *got)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    *got = take_held(t, out, cap);
    if (*got == 0 && t->in_n > 0) {
        *got = t->in_n < cap ? t->in_n : cap;
        memcpy(out, t->in, *got);
        t->in += *got;
        t->in_n -= *got;
    }
    if (*got == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    return 1;
}

static int bio_write(BIO *bio, const char *bytes, size_t n, size_t *written)
{
    struct tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (t->inner != NULL) {
        stream_write(t->inner, bytes, n);
    }
    *written = n;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");

    if (method != NULL) {
        (void)BIO_meth_set_read_ex(method, bio_read);
        (void)BIO_meth_set_write_ex(method, bio_write);
        (void)BIO_meth_set_ctrl(method, bio_ctrl);
    }
    return method;
}

/* --- the end --- */

static void run_gone(struct loop *loop, struct loop_task *task)
{
    struct tls *t = CONTAINER_OF(task, struct tls, gone);

    if (t->write.queued || t->read.queued) {
        loop_at_end(loop, LOOP_STAGE_FREE, task);
        return;
    }
    if (t->stream.handler != NULL) {
        t->stream.handler->on_closed(&t->stream, t->why);
    }
    SSL_free(t->ssl);
    tls_context_release(t->context);
    mem_free(t->failure);
    mem_free(t);
}

/* Nothing goes in or out any more; the inner stream's end is under way. */
static void to_ending(struct tls *t, enum err why)
{
    struct loop *loop = t->stream.loop;

    sm_move(&t->sm, ENDING);
    t->why = why;
    output_clear(&t->out, loop);
    output_clear(&t->held, loop);
    t->in_n = 0;
    loop_timer_stop(loop, &t->timer);
}

static void note_failure(struct tls *t, const char *words)
{
    mem_free(t->failure);
    t->failure = mem_dup(words, strlen(words) + 1);
}

/* What OpenSSL wrote last, an alert most likely, still goes out. */
static void fail(struct tls *t, enum err why, const char *words)
{
    note_failure(t, words);
    to_ending(t, why);
    stream_close(t->inner);
}

/* OpenSSL has refused something; its errors say what. */
static void fail_by_openssl(struct tls *t)
{
    long verified = SSL_get_verify_result(t->ssl);

    if (verified != X509_V_OK && !SSL_is_init_finished(t->ssl)) {
        ERR_clear_error();
        fail(t, EA_UNAUTHENTICATED, X509_verify_cert_error_string(verified));
    } else {
        fail(t, EA_PROTOCOL, tls_error_words("unknown failure of TLS"));
    }
}

static void begin_close(struct tls *t, enum err why)
{
    struct loop *loop = t->stream.loop;

    sm_move(&t->sm, CLOSING);
    t->why = why;
    loop_timer_start(loop, &t->timer, mono_add_ms(loop_now(loop), STREAM_FLUSH_STALL_MS));
    loop_at_end(loop, LOOP_STAGE_STREAM, &t->write);
}

static void on_time_is_up(struct loop *loop, struct loop_timer *timer)
{
    struct tls *t = CONTAINER_OF(timer, struct tls, timer);

    to_ending(t, EA_TIMEOUT);
    stream_abort(t->inner);
}

/* --- input --- */

static bool may_read(const struct tls *t)
{
    return state(t) == OPEN && !t->paused && !t->ended && stream_backlog(t->inner) <= ANSWERS_MAX_BYTES;
}

static void peer_ended(struct tls *t)
{
    t->ended = true;
    if (t->stream.handler->on_end != NULL) {
        t->stream.handler->on_end(&t->stream);
    } else {
        begin_close(t, EA_CLOSED);
    }
}

/* True once the handshake is over and well. */
static bool shake_hands(struct tls *t)
{
    int rc;

    if (SSL_is_init_finished(t->ssl)) {
        return true;
    }
    ERR_clear_error();
    rc = SSL_do_handshake(t->ssl);
    if (rc == 1) {
        if (state(t) == HANDSHAKE) {
            sm_move(&t->sm, OPEN);
        }
        loop_at_end(t->stream.loop, LOOP_STAGE_STREAM, &t->write);
        return true;
    }
    if (SSL_get_error(t->ssl, rc) != SSL_ERROR_WANT_READ) {
        fail_by_openssl(t);
    }
    return false;
}

/* Decrypts one record's worth into `chunk` and pushes it. False if there is nothing more to get. */
static bool read_record(struct tls *t, uint8_t *chunk)
{
    size_t n;
    int rc;

    ERR_clear_error();
    rc = SSL_read_ex(t->ssl, chunk, LOOP_CHUNK_BYTES, &n);
    if (rc == 1) {
        t->stream.handler->on_data(&t->stream, chunk, n);
        return true;
    }
    switch (SSL_get_error(t->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        break;
    case SSL_ERROR_ZERO_RETURN:
        peer_ended(t);
        break;
    default:
        fail_by_openssl(t);
    }
    return false;
}

static void process(struct tls *t)
{
    struct loop *loop = t->stream.loop;
    uint8_t *chunk;

    if ((state(t) != HANDSHAKE && state(t) != OPEN && state(t) != CLOSING) || !shake_hands(t) ||
        !may_read(t)) {
        return;
    }
    chunk = loop_chunk_borrow(loop);
    while (may_read(t) && read_record(t, chunk)) {
    }
    loop_chunk_return(loop, chunk);
}

static void inner_on_data(struct stream *inner, const uint8_t *bytes, size_t n)
{
    struct tls *t = inner->user;

    t->in = bytes;
    t->in_n = n;
    process(t);
    if (t->in_n > 0 && state(t) == OPEN && !t->ended) {
        output_write(&t->held, t->stream.loop, t->in, t->in_n);
        t->inner_paused = true;
        stream_pause(inner);
    }
    t->in = NULL;
    t->in_n = 0; /* what else is there came after close_notify or after our close */
}

static void run_read(struct loop *loop, struct loop_task *task)
{
    struct tls *t = CONTAINER_OF(task, struct tls, read);

    process(t);
    if (t->inner_paused && t->inner != NULL && (may_read(t) || t->ended || state(t) == CLOSING)) {
        t->inner_paused = false;
        output_clear(&t->held, loop); /* empty, unless nobody wants it any more */
        stream_resume(t->inner);
    }
}

static void inner_on_end(struct stream *inner)
{
    struct tls *t = inner->user;

    if (state(t) == HANDSHAKE) {
        fail(t, EA_CLOSED, "the peer closed the connection during the handshake");
    } else if (state(t) == OPEN && !t->ended) {
        /* Bytes may have been cut off by somebody in between. */
        fail(t, EA_CLOSED, "the peer closed the connection without close_notify");
    }
}

static void inner_on_drain(struct stream *inner)
{
    struct tls *t = inner->user;

    loop_at_end(t->stream.loop, LOOP_STAGE_STREAM, &t->write);
    if (t->inner_paused) {
        loop_at_start(t->stream.loop, &t->read);
    }
}

static void inner_on_closed(struct stream *inner, enum err why)
{
    struct tls *t = inner->user;

    t->inner = NULL;
    if (state(t) != ENDING) {
        to_ending(t, why);
    } else if (t->why == EA_OK) {
        t->why = why;
    }
    loop_at_end(t->stream.loop, LOOP_STAGE_FREE, &t->gone);
}

static const struct stream_handler inner_handler = {
    .on_data = inner_on_data,
    .on_end = inner_on_end,
    .on_flush = NULL,
    .on_drain = inner_on_drain,
    .on_closed = inner_on_closed,
};

static void tls_start(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    if (state(t) == NEW) {
        sm_move(&t->sm, HANDSHAKE);
        stream_start(t->inner, &inner_handler, t);
        process(t); /* a client speaks first */
    }
}

static void tls_pause(struct stream *stream)
{
    tls_of(stream)->paused = true;
}

static void tls_resume(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    t->paused = false;
    if (state(t) == OPEN && t->inner_paused) {
        loop_at_start(stream->loop, &t->read);
    }
}

/* --- output --- */

static void encrypt(struct tls *t)
{
    bool moved = false;

    while (t->out.bytes > 0 && stream_backlog(t->inner) <= STREAM_HIGH_BYTES) {
        struct iovec piece;
        size_t n;

        (void)output_peek(&t->out, &piece, 1, &n);
        ERR_clear_error();
        if (SSL_write_ex(t->ssl, piece.iov_base, n, &n) != 1) {
            fail_by_openssl(t);
            return;
        }
        output_consume(&t->out, t->stream.loop, n);
        moved = true;
    }
    if (moved && state(t) == CLOSING) {
        loop_timer_start(t->stream.loop, &t->timer,
                         mono_add_ms(loop_now(t->stream.loop), STREAM_FLUSH_STALL_MS));
    }
}

static size_t tls_backlog(const struct stream *stream)
{
    const struct tls *t = tls_of(stream);

    return t->out.bytes + (t->inner != NULL ? stream_backlog(t->inner) : 0);
}

static void see_to_drain(struct tls *t)
{
    if (state(t) != OPEN || !t->above_high) {
        return;
    }
    if (tls_backlog(&t->stream) > STREAM_LOW_BYTES) {
        t->inner->ops->expect_drain(t->inner);
        return;
    }
    t->above_high = false;
    if (t->stream.handler->on_drain != NULL) {
        t->stream.handler->on_drain(&t->stream);
    }
}

static void end_our_side(struct tls *t)
{
    if (SSL_is_init_finished(t->ssl)) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl); /* only writes close_notify; the peer's answer is not waited for */
        ERR_clear_error();
    }
    to_ending(t, t->why);
    stream_close(t->inner);
}

static void run_write(struct loop *loop, struct loop_task *task)
{
    struct tls *t = CONTAINER_OF(task, struct tls, write);

    if (state(t) == OPEN && t->flush_wanted) {
        t->flush_wanted = false;
        t->stream.handler->on_flush(&t->stream);
    }
    if ((state(t) == OPEN || state(t) == CLOSING) && SSL_is_init_finished(t->ssl)) {
        encrypt(t);
    }
    if (t->out.bytes == 0) {
        output_clear(&t->out, loop); /* what was reserved and not used */
    }
    see_to_drain(t);
    if (state(t) == CLOSING && t->out.bytes == 0) {
        end_our_side(t);
    }
}

static bool takes_output(const struct tls *t)
{
    return state(t) == NEW || state(t) == HANDSHAKE || state(t) == OPEN;
}

static uint8_t *tls_reserve(struct stream *stream, size_t min, size_t *room)
{
    struct tls *t = tls_of(stream);

    if (!takes_output(t)) {
        *room = LOOP_CHUNK_BYTES;
        return loop_scratch(stream->loop);
    }
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &t->write);
    return output_reserve(&t->out, stream->loop, min, room);
}

static void tls_commit(struct stream *stream, size_t n)
{
    struct tls *t = tls_of(stream);

    if (takes_output(t)) {
        output_commit(&t->out, n);
        t->above_high = t->above_high || tls_backlog(stream) > STREAM_HIGH_BYTES;
    }
}

static void tls_flush_later(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    if ((state(t) == HANDSHAKE || state(t) == OPEN) && stream->handler->on_flush != NULL) {
        t->flush_wanted = true;
        loop_at_end(stream->loop, LOOP_STAGE_STREAM, &t->write);
    }
}

static void tls_expect_drain(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    t->above_high = true;
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &t->write);
}

/* --- closing --- */

/* Before the start: so that the inner stream has somebody to tell its end to. */
static void take_inner(struct tls *t)
{
    if (state(t) == NEW) {
        stream_start(t->inner, &inner_handler, t);
    }
}

static void tls_close(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    if (state(t) == HANDSHAKE || state(t) == OPEN) {
        begin_close(t, EA_OK);
        if (t->inner_paused) {
            loop_at_start(stream->loop, &t->read);
        }
    } else if (state(t) == NEW) {
        take_inner(t);
        to_ending(t, EA_OK);
        stream_close(t->inner);
    }
}

static void tls_abort(struct stream *stream)
{
    struct tls *t = tls_of(stream);

    take_inner(t);
    if (state(t) != ENDING) {
        to_ending(t, EA_OK);
    }
    if (t->inner != NULL) {
        stream_abort(t->inner);
    }
}

/* --- facts --- */

static size_t tls_peer(const struct stream *stream, char *out, size_t cap)
{
    const struct tls *t = tls_of(stream);

    if (t->inner != NULL) {
        return stream_peer(t->inner, out, cap);
    }
    assert(cap > 0);
    out[0] = '\0';
    return 0;
}

static struct str tls_alpn(const struct stream *stream)
{
    const unsigned char *name;
    unsigned n;

    SSL_get0_alpn_selected(tls_of(stream)->ssl, &name, &n);
    return str_from(name, n);
}

static const struct stream_ops tls_ops = {
    .start = tls_start,
    .reserve = tls_reserve,
    .commit = tls_commit,
    .backlog = tls_backlog,
    .flush_later = tls_flush_later,
    .pause = tls_pause,
    .resume = tls_resume,
    .close = tls_close,
    .abort = tls_abort,
    .peer = tls_peer,
    .alpn = tls_alpn,
    .expect_drain = tls_expect_drain,
    .tls = true,
};

const char *tls_stream_failure(const struct stream *stream)
{
    assert(stream->ops == &tls_ops);
    return tls_of(stream)->failure != NULL ? tls_of(stream)->failure : "";
}

/* --- life --- */

/* False: out of memory, or a name that is none. Then no certificate fits it. */
static bool expect_name(SSL *ssl, struct str server_name)
{
    char name[256];
    struct in6_addr address;

    if (server_name.n == 0 || server_name.n >= sizeof name ||
        memchr(server_name.p, '\0', server_name.n) != NULL) {
        return false;
    }
    memcpy(name, server_name.p, server_name.n);
    name[server_name.n] = '\0';
    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct stream *tls_stream(struct stream *inner, struct tls_context *context, struct str server_name)
{
    struct tls *t = mem_zalloc(sizeof *t);
    BIO *bio = BIO_new(context->bio);

    t->stream = (struct stream){.ops = &tls_ops, .loop = inner->loop};
    t->inner = inner;
    t->context = context;
    tls_context_hold(context);
    t->write.run = run_write;
    t->read.run = run_read;
    t->gone.run = run_gone;
    t->timer.fire = on_time_is_up;
    sm_init(&t->sm, states, STATES, NEW);
    t->ssl = SSL_new(context->ctx);
    assert(t->ssl != NULL && bio != NULL); /* out of memory ends the daemon, see base/mem.h */
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    if (context->server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        if (!expect_name(t->ssl, server_name)) {
            /* A name that cannot be verified must not pass: ask for one that no certificate has. */
            (void)SSL_set1_host(t->ssl, "name.invalid");
        }
    }
    return &t->stream;
}
