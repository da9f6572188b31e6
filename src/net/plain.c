/*
 * Sockets are watched with uv_poll and read and written here, not by libuv's own streams: so a request costs
 * one recv() and one send(), a write to a dead peer raises no SIGPIPE, and an idle connection holds neither
 * buffers nor requests.
 *
 * States: see net/stream_ops.h. DEAD is left by on_closed alone, out of libuv's closing callback or, when the
 * stage's task is still queued then, out of that.
 */
#include "net/plain.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sm.h"
#include "net/loop_private.h"
#include "net/output.h"
#include "net/stream_ops.h"

/* One turn's writes of one connection: at most so many calls of so many chunks, then others have their turn.
 */
#define WRITES_PER_TURN  4
#define CHUNKS_PER_WRITE 16U

/* Reads of what arrived before a connection broke. */
#define LAST_READS 16

struct plain {
    struct stream stream;
    uv_poll_t poll;
    struct output out;
    struct loop_task task;   /* in LOOP_STAGE_STREAM */
    struct loop_timer timer; /* FLUSHING, LINGERING */
    struct sm sm;
    int fd;
    uint8_t why;    /* enum err of on_closed */
    uint8_t events; /* what libuv watches */
    bool paused;
    bool ended;        /* the peer has sent its FIN */
    bool blocked;      /* the socket took less than it was given */
    bool above_high;   /* on_drain is owed */
    bool flush_wanted; /* on_flush is owed */
    bool handle_gone;  /* libuv's closing callback was there */
};

static struct plain *plain_of(const struct stream *stream)
{
    return CONTAINER_OF(stream, struct plain, stream);
}

static unsigned state(const struct plain *p)
{
    return sm_now(&p->sm);
}

enum err plain_error(int errnum)
{
    switch (errnum) {
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
        return EA_CLOSED;
    case ETIMEDOUT:
        return EA_TIMEOUT;
    default:
        return EA_IO;
    }
}

/* --- the end --- */

static void finish(struct plain *p)
{
    struct loop *loop = p->stream.loop;

    if (p->stream.handler != NULL) {
        p->stream.handler->on_closed(&p->stream, (enum err)p->why);
    }
    slab_free(loop_stream_slab(loop, sizeof *p), p);
}

static void on_handle_gone(uv_handle_t *handle)
{
    struct plain *p = handle->data;

    loop_enter(p->stream.loop);
    p->handle_gone = true;
    if (!p->task.queued) {
        finish(p);
    }
}

static void die(struct plain *p, enum err why, bool reset)
{
    struct loop *loop = p->stream.loop;

    if (state(p) == STREAM_DEAD) {
        return;
    }
    sm_move(&p->sm, STREAM_DEAD);
    p->why = (uint8_t)why;
    output_clear(&p->out, loop);
    loop_timer_stop(loop, &p->timer);
    if (reset) {
        const struct linger none = {.l_onoff = 1, .l_linger = 0};

        (void)setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    uv_close((uv_handle_t *)&p->poll, on_handle_gone);
    /* Allowed once uv_close() was called; the number may be given out again at once. */
    (void)close(p->fd);
    p->fd = -1;
}

/* --- what libuv watches --- */

static void on_poll(uv_poll_t *handle, int status, int events);

/* Tells libuv what to watch, where that has changed: each change costs two system calls. */
static void watch(struct plain *p)
{
    bool reads =
        state(p) == STREAM_OPEN ? !p->paused : state(p) == STREAM_FLUSHING || state(p) == STREAM_LINGERING;
    int events = (reads && !p->ended ? UV_READABLE : 0) | (p->blocked ? UV_WRITABLE : 0);

    if (state(p) == STREAM_DEAD || events == p->events) {
        return;
    }
    p->events = (uint8_t)events;
    if (events == 0) {
        (void)uv_poll_stop(&p->poll);
    } else {
        (void)uv_poll_start(&p->poll, events, on_poll);
    }
}

/* --- output --- */

static void begin_close(struct plain *p, enum err why)
{
    struct loop *loop = p->stream.loop;

    sm_move(&p->sm, STREAM_FLUSHING);
    p->why = (uint8_t)why;
    loop_timer_start(loop, &p->timer, mono_add_ms(loop_now(loop), STREAM_FLUSH_STALL_MS));
    loop_at_end(loop, LOOP_STAGE_STREAM, &p->task);
}

static void flushed(struct plain *p)
{
    if (shutdown(p->fd, SHUT_WR) != 0 || p->ended) {
        die(p, (enum err)p->why, false);
        return;
    }
    sm_move(&p->sm, STREAM_LINGERING);
    loop_timer_start(p->stream.loop, &p->timer, mono_add_ms(loop_now(p->stream.loop), STREAM_LINGER_MS));
}

/* One system call. True if there may be use in another. */
static bool write_some(struct plain *p)
{
    struct iovec pieces[CHUNKS_PER_WRITE];
    size_t n;
    unsigned count = output_peek(&p->out, pieces, CHUNKS_PER_WRITE, &n);
    ssize_t sent;

    if (count == 1) {
        sent = send(p->fd, pieces[0].iov_base, n, MSG_NOSIGNAL);
    } else {
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = count};

        sent = sendmsg(p->fd, &message, MSG_NOSIGNAL);
    }
    if (sent < 0) {
        if (errno == EAGAIN) {
            p->blocked = true;
        } else if (errno != EINTR) {
            die(p, plain_error(errno), false);
        }
        return errno == EINTR;
    }
    output_consume(&p->out, p->stream.loop, (size_t)sent);
    p->blocked = (size_t)sent < n;
    if (state(p) == STREAM_FLUSHING && sent > 0) {
        loop_timer_start(p->stream.loop, &p->timer,
                         mono_add_ms(loop_now(p->stream.loop), STREAM_FLUSH_STALL_MS));
    }
    return !p->blocked && p->out.bytes > 0;
}

static void write_out(struct plain *p)
{
    bool more = p->out.bytes > 0 && !p->blocked;

    for (unsigned i = 0; more && i < WRITES_PER_TURN; i++) {
        more = write_some(p);
    }
    if (more) {
        loop_at_end(p->stream.loop, LOOP_STAGE_STREAM, &p->task);
    }
}

static void run_task(struct loop *loop, struct loop_task *task)
{
    struct plain *p = CONTAINER_OF(task, struct plain, task);

    if (state(p) == STREAM_OPEN && p->flush_wanted) {
        p->flush_wanted = false;
        p->stream.handler->on_flush(&p->stream);
    }
    if (state(p) == STREAM_OPEN || state(p) == STREAM_FLUSHING) {
        write_out(p);
    }
    if (p->out.bytes == 0) {
        output_clear(&p->out, loop); /* what was reserved and not used */
    }
    if (state(p) == STREAM_OPEN && p->above_high && p->out.bytes <= STREAM_LOW_BYTES) {
        p->above_high = false;
        if (p->stream.handler->on_drain != NULL) {
            p->stream.handler->on_drain(&p->stream);
        }
    }
    if (state(p) == STREAM_FLUSHING && p->out.bytes == 0) {
        flushed(p);
    }
    watch(p);
    if (p->handle_gone && !p->task.queued) {
        finish(p);
    }
}

static uint8_t *plain_reserve(struct stream *stream, size_t min, size_t *room)
{
    struct plain *p = plain_of(stream);

    if (state(p) != STREAM_NEW && state(p) != STREAM_OPEN) {
        *room = LOOP_CHUNK_BYTES;
        return loop_scratch(stream->loop);
    }
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &p->task);
    return output_reserve(&p->out, stream->loop, min, room);
}

static void plain_commit(struct stream *stream, size_t n)
{
    struct plain *p = plain_of(stream);

    if (state(p) == STREAM_NEW || state(p) == STREAM_OPEN) {
        output_commit(&p->out, n);
        p->above_high = p->above_high || p->out.bytes > STREAM_HIGH_BYTES;
    }
}

static size_t plain_backlog(const struct stream *stream)
{
    return plain_of(stream)->out.bytes;
}

static void plain_flush_later(struct stream *stream)
{
    struct plain *p = plain_of(stream);

    if (state(p) == STREAM_OPEN && stream->handler->on_flush != NULL) {
        p->flush_wanted = true;
        loop_at_end(stream->loop, LOOP_STAGE_STREAM, &p->task);
    }
}

static void plain_expect_drain(struct stream *stream)
{
    struct plain *p = plain_of(stream);

    p->above_high = true;
    loop_at_end(stream->loop, LOOP_STAGE_STREAM, &p->task);
}

/* --- input --- */

static void peer_ended(struct plain *p)
{
    p->ended = true;
    if (state(p) == STREAM_LINGERING) {
        die(p, (enum err)p->why, false);
    } else if (state(p) == STREAM_OPEN && p->stream.handler->on_end != NULL) {
        p->stream.handler->on_end(&p->stream);
    } else if (state(p) == STREAM_OPEN) {
        begin_close(p, EA_CLOSED);
    }
    watch(p);
}

/* One recv(). False when there is nothing more to get now. */
static bool read_some(struct plain *p)
{
    uint8_t *buffer = loop_read_buffer(p->stream.loop);
    ssize_t n = recv(p->fd, buffer, LOOP_READ_BYTES, 0);

    if (n > 0) {
        if (state(p) == STREAM_OPEN) {
            p->stream.handler->on_data(&p->stream, buffer, (size_t)n);
        }
        return true;
    }
    if (n == 0) {
        peer_ended(p);
    } else if (errno != EAGAIN && errno != EINTR) {
        /* Once all is written and our side has ended, how the peer ends does not matter any more. */
        die(p, state(p) == STREAM_LINGERING ? (enum err)p->why : plain_error(errno), false);
    }
    return false;
}

/* The socket has an error; what came before it is still there to be read. */
static void on_broken(struct plain *p)
{
    int errnum = 0;
    socklen_t size = sizeof errnum;

    for (unsigned i = 0; i < LAST_READS && state(p) == STREAM_OPEN && !p->paused && !p->ended; i++) {
        if (!read_some(p)) {
            break;
        }
    }
    if (state(p) != STREAM_DEAD) {
        (void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &errnum, &size);
        die(p,
            state(p) == STREAM_LINGERING ? (enum err)p->why : plain_error(errnum != 0 ? errnum : ECONNRESET),
            false);
    }
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct plain *p = handle->data;

    loop_enter(p->stream.loop);
    if (status < 0) {
        p->events = 0; /* libuv has stopped watching */
        on_broken(p);
        return;
    }
    if (events & UV_WRITABLE) {
        p->blocked = false;
        loop_at_end(p->stream.loop, LOOP_STAGE_STREAM, &p->task);
    }
    if (events & UV_READABLE) {
        if (state(p) == STREAM_OPEN && p->paused) {
            watch(p); /* only now that something came: most pauses end before */
        } else {
            (void)read_some(p);
        }
    }
}

static void plain_start(struct stream *stream)
{
    struct plain *p = plain_of(stream);

    if (state(p) == STREAM_NEW) {
        sm_move(&p->sm, STREAM_OPEN);
        watch(p);
        if (p->out.bytes > 0) {
            loop_at_end(stream->loop, LOOP_STAGE_STREAM, &p->task);
        }
    }
}

static void plain_pause(struct stream *stream)
{
    plain_of(stream)->paused = true;
}

static void plain_resume(struct stream *stream)
{
    struct plain *p = plain_of(stream);

    p->paused = false;
    if (state(p) == STREAM_OPEN) {
        watch(p);
    }
}

/* --- closing --- */

static void on_time_is_up(struct loop *loop, struct loop_timer *timer)
{
    struct plain *p = CONTAINER_OF(timer, struct plain, timer);

    if (state(p) == STREAM_LINGERING) {
        die(p, (enum err)p->why, false);
    } else {
        die(p, EA_TIMEOUT, true);
    }
}

static void plain_close(struct stream *stream)
{
    struct plain *p = plain_of(stream);

    if (state(p) == STREAM_NEW || state(p) == STREAM_OPEN) {
        begin_close(p, EA_OK);
    }
}

static void plain_abort(struct stream *stream)
{
    die(plain_of(stream), EA_OK, true);
}

/* --- facts --- */

size_t plain_address_text(const struct sockaddr *address, char *out, size_t cap)
{
    char host[INET6_ADDRSTRLEN];
    int n = 0;

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;

        (void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        n = snprintf(out, cap, "%s:%u", host, ntohs(in->sin_port));
    } else if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;

        /* Whoever came by IPv4 to a dual-stack socket is shown as such. */
        if (IN6_IS_ADDR_V4MAPPED(&in->sin6_addr)) {
            (void)inet_ntop(AF_INET, in->sin6_addr.s6_addr + 12, host, sizeof host);
            n = snprintf(out, cap, "%s:%u", host, ntohs(in->sin6_port));
        } else {
            (void)inet_ntop(AF_INET6, &in->sin6_addr, host, sizeof host);
            n = snprintf(out, cap, "[%s]:%u", host, ntohs(in->sin6_port));
        }
    } else {
        n = snprintf(out, cap, "%s", address->sa_family == AF_UNIX ? "unix" : "unknown");
    }
    return (size_t)n < cap ? (size_t)n : cap - 1;
}

static size_t plain_peer(const struct stream *stream, char *out, size_t cap)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof address;

    assert(cap > 0);
    if (getpeername(plain_of(stream)->fd, (struct sockaddr *)&address, &size) != 0) {
        address.ss_family = AF_UNSPEC;
    }
    return plain_address_text((const struct sockaddr *)&address, out, cap);
}

static const struct stream_ops plain_ops = {
    .start = plain_start,
    .reserve = plain_reserve,
    .commit = plain_commit,
    .backlog = plain_backlog,
    .flush_later = plain_flush_later,
    .pause = plain_pause,
    .resume = plain_resume,
    .close = plain_close,
    .abort = plain_abort,
    .peer = plain_peer,
    .alpn = NULL,
    .expect_drain = plain_expect_drain,
    .tls = false,
};

size_t plain_stream_bytes(void)
{
    return sizeof(struct plain);
}

enum err plain_stream_new(struct stream **out, struct loop *loop, int fd, struct error *error)
{
    struct slab *slab = loop_stream_slab(loop, sizeof(struct plain));
    struct plain *p = slab_alloc(slab);
    int rc;

    *p = (struct plain){.stream = {.ops = &plain_ops, .loop = loop}, .fd = fd};
    rc = uv_poll_init(loop_uv(loop), &p->poll, fd);
    if (rc != 0) {
        slab_free(slab, p);
        (void)close(fd);
        *out = NULL;
        return error_set_errno(error, EA_IO, -rc, "cannot watch a connection");
    }
    p->poll.data = p;
    p->task.run = run_task;
    p->timer.fire = on_time_is_up;
    sm_init(&p->sm, stream_states, STREAM_STATES, STREAM_NEW);
    *out = &p->stream;
    return EA_OK;
}
