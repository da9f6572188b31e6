/*
 * HTTP/2 on nghttp2: what its files share. Internal to http/h2*.c. Loop thread.
 *
 *   h2.c          a connection: session, input, the flush at the turn's end, the end
 *   h2_request.c  nghttp2's callbacks for what comes: frames to exchanges
 *   h2_head.c     header fields
 *   h2_answer.c   the operations of an exchange: answers to frames
 *   h2_time.c     timeouts, keepalive, drain
 *   h2_guard.c    rules against floods (deciding code)
 *   h2_mem.c      memory of nghttp2's sessions
 *
 * What one connection can make us keep is bounded: input by the connection's window (a body's bytes are given
 * back to it when the request was handled), header fields by the limits and H2_HEADS_BYTES_MAX, streams by the
 * limit, frames of nghttp2's own by h2_guard.c. Answers that the client does not take make its next requests
 * wait, unread by any handler, until it has taken enough of them.
 *
 * Ownership: an exchange (struct h2_stream) lives in the shared slab. The connection holds it until nghttp2
 * closes the stream; after that it lives as long as others hold it, with `conn` NULL.
 */
#ifndef EA_HTTP_H2_H
#define EA_HTTP_H2_H

#include <nghttp2/nghttp2.h>

#include "base/slab.h"
#include "http/conn.h"
#include "http/h2_guard.h"
#include "http/h2_mem.h"

/* A stream's window holds the largest gRPC message with its prefix, so that it can wait whole. */
#define H2_STREAM_WINDOW_BYTES ((int32_t)128 * 1024)
#define H2_CONN_WINDOW_BYTES   ((int32_t)1024 * 1024)
/* Header tables: ours for answers is small, since they have few different fields. */
#define H2_ENCODER_TABLE_BYTES 512
#define H2_DECODER_TABLE_BYTES 2048
/* Answers that wait for the client's window: above so many bytes, the connection's own window is not opened
 * any more, so that no bodies come, and requests wait. They wait, too, when so many streams were answered and
 * are still open: each has memory of its request. */
#define H2_PENDING_BYTES_HIGH ((size_t)1024 * 1024)
#define H2_ANSWERED_MAX       128
/* What is kept of the header fields of all open streams. HPACK makes a field out of a byte, so the peer's
 * bytes don't bound it. */
#define H2_HEADS_BYTES_MAX ((size_t)1024 * 1024)
/* Header bytes over this many times the limit: not a mistake any more. */
#define H2_HEADER_EXCESS 4
/* A connection without streams gives memory back after this time without input. */
#define H2_REST_US        1000000
#define H2_EXCHANGE_BYTES ((size_t)2048)

struct http2_shared {
    struct loop *loop;
    struct slab exchanges;
    struct h2_mem mem;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
};

/* Drain, in two steps (RFC 9113, 6.8): a GOAWAY that only announces, and when a PING came back after it the
 * one that counts; requests that crossed the first are still answered. */
enum h2_drain {
    H2_OPEN,
    H2_ANNOUNCED, /* GOAWAY with the greatest stream number, PING sent */
    H2_LEAVING    /* the last stream is named; closed when none is left */
};

struct h2_stream;

struct h2_conn {
    struct http_conn http;
    struct http2_shared *shared;
    nghttp2_session *session;
    struct h2_session_mem mem;
    struct h2_stream *streams;     /* list of the open ones */
    struct h2_stream *writable;    /* list of those whose on_writable is due */
    struct h2_stream *chunk_owner; /* whose body's last piece is still in the read buffer */
    struct h2_stream *waiting;     /* list of those that no handler has seen yet, in order */
    struct h2_stream *last_waiting;
    size_t n_streams;
    size_t n_answered;    /* of them; their answers are not all sent */
    size_t head_bytes;    /* of header fields, kept in all streams */
    size_t withheld;      /* bytes not given back to the connection's window while too much is pending */
    size_t pending_bytes; /* of answers, in all streams */
    struct h2_guard guard;

    struct mono armed; /* what the timer is set to; MONO_NEVER if not */
    struct mono heard; /* last input */
    struct mono opened;
    struct mono idle_since; /* since when there is no stream */
    struct mono head_since; /* a header block is coming; MONO_NEVER if not */
    struct mono moved;      /* when answers that wait last got smaller */
    struct mono pinged;     /* our PING is out; MONO_NEVER if not */
    struct mono announced;  /* the drain's first step */
    int32_t last_stream;    /* the greatest number the client used */
    uint8_t drain;          /* enum h2_drain */
    bool settled;           /* the client's SETTINGS have come */
    bool in_session;        /* inside nghttp2: its functions that send or free must not be called */
    bool closing;           /* stream_close() was called: nothing goes out or in any more */
    uint8_t verdict;        /* enum h2_verdict: why the guard ends it */
};

enum h2_input {
    H2_IN_HEAD,     /* header fields */
    H2_IN_WAIT,     /* a body, while the request waits for its turn */
    H2_IN_WAIT_END, /* the client has said all, and the request waits for its turn */
    H2_IN_BUFFER,   /* a body that is collected */
    H2_IN_STREAM,   /* a body that goes to on_data */
    H2_IN_DISCARD,  /* a body that nobody wants */
    H2_IN_END       /* the client has said all */
};

struct h2_stream {
    struct exchange ex; /* first */
    struct http2_shared *shared;
    struct h2_conn *conn; /* NULL: the stream is closed */
    struct h2_stream *prev;
    struct h2_stream *next;
    struct h2_stream *next_writable;
    struct h2_stream *next_waiting;
    struct mono opened;
    int32_t id;
    uint8_t input;  /* enum h2_input */
    bool submitted; /* the response was handed to nghttp2 */
    bool reset_by_us;
    bool deferred;  /* nghttp2 waits for nghttp2_session_resume_data() */
    bool finishing; /* no more bytes will be added */
    bool was_full;  /* on_writable is owed */
    bool queued_writable;
    bool head_only;
    bool awaits_continue; /* the client sends the body when it is told to */
    uint16_t refused;     /* the status that answers a broken limit; 0: none */

    /* Input. */
    size_t header_bytes;
    size_t header_count;
    size_t head_bytes; /* of its fields, kept */
    size_t body_bytes; /* received */
    size_t unconsumed; /* of them, not yet given back to the connection's window */
    struct str chunk;  /* the last piece, in the read buffer; see conn->chunk_owner */
    char *body;        /* collected, on the heap; until the handler has seen it */
    size_t body_n;
    size_t body_cap;

    /* Output that nghttp2 has not taken: out[out_at..out_n). */
    char *out;
    size_t out_at;
    size_t out_n;
    size_t out_cap;
    bool out_on_heap;
    bool out_arena_used;  /* the arena gives a piece once: a stream may live for days */
    nghttp2_nv *trailers; /* in the arena */
    size_t n_trailers;

    _Alignas(16) char block[]; /* the arena's, to the end of H2_EXCHANGE_BYTES */
};

/* --- h2.c */

/* The guard's verdict ends the connection, at the latest when nghttp2 returns. */
void h2_conn_condemn(struct h2_conn *conn, enum h2_verdict verdict);
/* GOAWAY with our own frame (whatever state the session is in), then close. */
void h2_conn_goodbye(struct h2_conn *conn, uint32_t code, const char *text);
/* Output is due at the turn's end. */
void h2_conn_flush_later(struct h2_conn *conn);
/* Hands the piece in the read buffer to whom it belongs, before the buffer is used again. */
void h2_conn_settle_chunk(struct h2_conn *conn);
static inline struct mono h2_conn_now(const struct h2_conn *conn)
{
    return loop_now(conn->shared->loop);
}

/* --- h2_request.c */

void h2_request_callbacks(nghttp2_session_callbacks *callbacks);
/* Requests whose turn has come are given to their handlers. Outside of nghttp2 only. */
void h2_request_run_waiting(struct h2_conn *conn);
/* The client takes its answers too slowly for more of them. */
static inline bool h2_conn_congested(const struct h2_conn *conn)
{
    return conn->pending_bytes > H2_PENDING_BYTES_HIGH || conn->n_answered > H2_ANSWERED_MAX;
}
/* Gives n bytes back to the connection's window, now or when its answers have been taken. */
void h2_conn_consume(struct h2_conn *conn, size_t n);
/* The stream is closed, or the connection: tells the exchange and lets it go. */
void h2_stream_detach(struct h2_stream *stream);
/* Answers `status` in plain text to a request that broke a rule and drops the rest of its body. */
void h2_stream_refuse(struct h2_stream *stream, int status, const char *text);

/* --- h2_head.c */

/* nghttp2's on_header callback: keeps what the exchange shows, within the limits. */
int h2_head_field(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                  nghttp2_rcbuf *value, uint8_t flags, void *user);

/* --- h2_answer.c */

extern const struct exchange_ops h2_exchange_ops;
/* on_writable for those whose output fits again. Outside of nghttp2 only. */
void h2_answer_call_writable(struct h2_conn *conn);

/* --- h2_time.c */

/* The timer fires at `at` or before. */
void h2_time_arm(struct h2_conn *conn, struct mono at);
void h2_time_fired(struct h2_conn *conn);
void h2_time_drain(struct h2_conn *conn);
/* A GOAWAY was sent. */
void h2_time_announced(struct h2_conn *conn);
/* A PING of ours was acknowledged. */
void h2_time_pong(struct h2_conn *conn);

#endif
