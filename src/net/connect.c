/*
 *     RESOLVING ──names──► CONNECTING ──an address answers──► HANDING_OVER ──► OVER ──► freed
 *         │                 │   ▲ │                                              ▲
 *         │                 │   └─┘ next address                                 │
 *         └─────────────────┴───── no address left, deadline, cancel ────────────┘
 *
 * OVER waits for the handle that libuv still has of ours.
 */
#include "net/connect.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sm.h"
#include "net/lookup.h"
#include "net/plain.h"
#include "net/tls_private.h"

#define HOST_BYTES 256 /* a DNS name has at most 253 */

/* An address that does not answer leaves the others their share of the time, and at most this much is waited
 * for it while there are others. */
#define ATTEMPT_MS 10000

enum { RESOLVING, CONNECTING, HANDING_OVER, OVER, STATES };

static const struct sm_state states[STATES] = {
    [RESOLVING] = {"resolving", SM_TO(CONNECTING) | SM_TO(OVER), false},
    [CONNECTING] = {"connecting", SM_TO(HANDING_OVER) | SM_TO(OVER), false},
    [HANDING_OVER] = {"handing over", SM_TO(OVER), false},
    [OVER] = {"over", 0, true},
};

struct connect {
    struct loop *loop;
    struct tls_context *tls;
    void (*done)(void *user, struct stream *stream, enum err err, const struct error *error);
    void *user;
    struct mono deadline;
    struct sm sm;

    struct lookup *lookup;  /* RESOLVING, or NULL */
    struct addrinfo *found; /* by it, or NULL */
    struct addrinfo *next;  /* to be tried */
    struct addrinfo given;  /* where the host is an address or a path */
    struct sockaddr_storage given_address;

    uv_poll_t poll; /* of the lookup, then of attempt after attempt */
    bool polled;    /* libuv has the handle */
    int fd;         /* of the attempt, or -1 */
    struct loop_timer timer;
    struct loop_task begin; /* so that done() is never called in connect_open() */
    struct error error;     /* of the last attempt */

    uint16_t port;
    char host[HOST_BYTES];
    char server_name[HOST_BYTES];
};

/* --- the end --- */

static void release(struct connect *c)
{
    if (!c->polled && !c->begin.queued) {
        if (c->found != NULL) {
            freeaddrinfo(c->found);
        }
        if (c->tls != NULL) {
            tls_context_release(c->tls);
        }
        mem_free(c);
    }
}

static void drop_attempt(struct connect *c)
{
    if (c->fd >= 0) {
        (void)close(c->fd);
        c->fd = -1;
    }
}

static void drop_lookup(struct connect *c)
{
    if (c->lookup != NULL) {
        lookup_close(c->lookup);
        c->lookup = NULL;
    }
}

static void on_poll_gone(uv_handle_t *handle);

/* 0, or libuv's error. */
static int watch(struct connect *c, int fd, int events, uv_poll_cb on_event)
{
    int rc = uv_poll_init(loop_uv(c->loop), &c->poll, fd);

    if (rc == 0) {
        c->poll.data = c;
        c->polled = true;
        (void)uv_poll_start(&c->poll, events, on_event);
    }
    return rc;
}

static void stop_watching(struct connect *c)
{
    if (c->polled && !uv_is_closing((uv_handle_t *)&c->poll)) {
        uv_close((uv_handle_t *)&c->poll, on_poll_gone);
    }
}

/* Nothing is tried any more; what libuv has comes back. */
static void to_over(struct connect *c)
{
    sm_move(&c->sm, OVER);
    loop_timer_stop(c->loop, &c->timer);
    stop_watching(c);
    drop_attempt(c);
    drop_lookup(c);
}

static void fail(struct connect *c)
{
    to_over(c);
    c->done(c->user, NULL, c->error.code, &c->error);
    release(c);
}

static void hand_over(struct connect *c)
{
    struct stream *stream;
    int fd = c->fd;

    c->fd = -1;
    if (plain_stream_new(&stream, c->loop, fd, &c->error) != EA_OK) {
        fail(c);
        return;
    }
    if (c->tls != NULL) {
        stream = tls_stream(stream, c->tls, str_of(c->server_name));
    }
    to_over(c);
    c->done(c->user, stream, EA_OK, NULL);
    release(c);
}

/* --- addresses, one after the other --- */

static void note(struct connect *c, int errnum)
{
    (void)error_set_errno(&c->error, errnum == ETIMEDOUT ? EA_TIMEOUT : EA_IO, errnum,
                          c->given.ai_family == AF_UNIX ? "cannot connect to %s" : "cannot connect to %s:%u",
                          c->host, (unsigned)c->port);
}

static void set_port(struct addrinfo *address, uint16_t port)
{
    if (address->ai_family == AF_INET) {
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons(port);
    } else if (address->ai_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons(port);
    }
}

/* A socket on its way to the address, or -errno. */
static int begin_connect(struct addrinfo *address, uint16_t port)
{
    const int on = 1;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    set_port(address, port);
    if (address->ai_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    }
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        int errnum = errno;

        (void)close(fd);
        return -errnum;
    }
    return fd;
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct connect *c = handle->data;
    socklen_t size = sizeof(int);
    int errnum = 0;

    loop_enter(c->loop);
    if (sm_now(&c->sm) != CONNECTING) {
        return;
    }
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &errnum, &size) != 0) {
        errnum = errno;
    }
    if (errnum == 0 && status < 0) {
        errnum = -status;
    }
    if (errnum == 0) {
        sm_move(&c->sm, HANDING_OVER);
        loop_timer_stop(c->loop, &c->timer);
    } else {
        note(c, errnum);
    }
    stop_watching(c); /* goes on when libuv has let go of the handle */
    if (errnum != 0) {
        drop_attempt(c);
    }
}

/* False: the address cannot be tried, the next may. */
static bool attempt(struct connect *c, struct addrinfo *address)
{
    int fd = begin_connect(address, c->port);
    int rc;

    if (fd < 0) {
        note(c, -fd);
        return false;
    }
    rc = watch(c, fd, UV_WRITABLE, on_poll);
    if (rc != 0) {
        (void)close(fd);
        note(c, -rc);
        return false;
    }
    c->fd = fd;
    return true;
}

static unsigned count(const struct addrinfo *address)
{
    unsigned n = 0;

    for (; address != NULL; address = address->ai_next) {
        n++;
    }
    return n;
}

/* Until when the present address may take. */
static struct mono patience(const struct connect *c)
{
    struct mono now = loop_now(c->loop);
    struct mono until = c->deadline;
    unsigned others = count(c->next);

    if (others > 0) {
        if (c->deadline.us != MONO_NEVER.us) {
            until = mono_add_us(now, mono_sub(c->deadline, now) / (int64_t)(others + 1));
        }
        until = mono_min(until, mono_add_ms(now, ATTEMPT_MS));
    }
    return until;
}

static void try_next(struct connect *c)
{
    while (c->next != NULL) {
        struct addrinfo *address = c->next;

        c->next = address->ai_next;
        if (attempt(c, address)) {
            loop_timer_start(c->loop, &c->timer, patience(c));
            return;
        }
    }
    fail(c);
}

static void take_names(struct connect *c)
{
    c->found = lookup_take(c->lookup, &c->error);
    drop_lookup(c);
    if (c->found == NULL) {
        fail(c);
        return;
    }
    c->next = c->found;
    sm_move(&c->sm, CONNECTING);
    try_next(c);
}

static void on_poll_gone(uv_handle_t *handle)
{
    struct connect *c = handle->data;

    loop_enter(c->loop);
    c->polled = false;
    switch (sm_now(&c->sm)) {
    case RESOLVING:
        take_names(c);
        break;
    case CONNECTING:
        try_next(c);
        break;
    case HANDING_OVER:
        hand_over(c);
        break;
    default:
        release(c);
    }
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    struct connect *c = CONTAINER_OF(timer, struct connect, timer);
    bool over = !mono_before(loop_now(loop), c->deadline);

    note(c, ETIMEDOUT);
    if (over || sm_now(&c->sm) == RESOLVING) {
        fail(c);
    } else {
        stop_watching(c);
        drop_attempt(c);
        loop_timer_start(loop, timer, c->deadline);
    }
}

/* --- names --- */

static void on_resolved(uv_poll_t *handle, int status, int events)
{
    struct connect *c = handle->data;

    loop_enter(c->loop);
    if (sm_now(&c->sm) == RESOLVING) {
        stop_watching(c); /* goes on when libuv has let go of the handle */
    }
}

static void resolve(struct connect *c)
{
    enum err err = lookup_open(&c->lookup, c->host, &c->error);

    if (err == EA_OK) {
        int rc = watch(c, lookup_fd(c->lookup), UV_READABLE, on_resolved);

        if (rc != 0) {
            err = error_set_errno(&c->error, EA_IO, -rc, "cannot look up the host %s", c->host);
        }
    }
    if (err != EA_OK) {
        fail(c);
    }
}

/* Whether the host is an address or a path, which needs no resolver. */
static bool take_as_given(struct connect *c)
{
    struct sockaddr_in *in = (void *)&c->given_address;
    struct sockaddr_in6 *in6 = (void *)&c->given_address;
    struct sockaddr_un *un = (void *)&c->given_address;

    if (inet_pton(AF_INET, c->host, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
        c->given.ai_addrlen = sizeof *in;
    } else if (inet_pton(AF_INET6, c->host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        c->given.ai_addrlen = sizeof *in6;
    } else if (strncmp(c->host, "unix:", 5) == 0 && strlen(c->host + 5) < sizeof un->sun_path) {
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, c->host + 5, strlen(c->host + 5));
        c->given.ai_addrlen = sizeof *un;
    } else {
        return false;
    }
    c->given.ai_family = c->given_address.ss_family;
    c->given.ai_addr = (struct sockaddr *)&c->given_address;
    return true;
}

static void run_begin(struct loop *loop, struct loop_task *task)
{
    struct connect *c = CONTAINER_OF(task, struct connect, begin);

    if (sm_now(&c->sm) == OVER) {
        release(c);
    } else if (c->error.code != EA_OK) {
        fail(c); /* connect_open() did not like the host */
    } else if (take_as_given(c)) {
        c->next = &c->given;
        sm_move(&c->sm, CONNECTING);
        try_next(c);
    } else {
        resolve(c);
    }
}

/* --- life --- */

static bool copy_name(char to[HOST_BYTES], struct str name)
{
    if (name.n == 0 || name.n >= HOST_BYTES || str_has_control(name)) {
        return false;
    }
    memcpy(to, name.p, name.n);
    to[name.n] = '\0';
    return true;
}

struct connect *connect_open(struct loop *loop, const struct connect_options *options)
{
    struct connect *c = mem_zalloc(sizeof *c);
    struct str server_name = options->server_name.n > 0 ? options->server_name : options->host;

    c->loop = loop;
    c->tls = options->tls;
    if (c->tls != NULL) {
        tls_context_hold(c->tls);
    }
    c->done = options->done;
    c->user = options->user;
    c->deadline = options->deadline;
    c->port = options->port;
    c->fd = -1;
    c->timer.fire = on_timer;
    c->begin.run = run_begin;
    sm_init(&c->sm, states, STATES, RESOLVING);
    if (!copy_name(c->host, options->host) || !copy_name(c->server_name, server_name)) {
        (void)error_set(&c->error, EA_INVALID, "cannot connect: a host of 1 to %d bytes is needed",
                        HOST_BYTES - 1);
    }
    loop_timer_start(loop, &c->timer, c->deadline);
    loop_at_start(loop, &c->begin);
    return c;
}

void connect_cancel(struct connect *connect)
{
    assert(sm_now(&connect->sm) != OVER);
    to_over(connect);
    release(connect);
}
