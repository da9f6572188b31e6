/*
 * Sockets are opened here and watched with uv_poll: SO_REUSEPORT has to be set before bind(), and what to do
 * when the process runs out of file descriptors is for us to say.
 */
#include "net/listener.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/plain.h"
#include "net/tls.h"

#define BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

/* Connections taken at once before others have their turn. */
#define ACCEPTS_PER_TURN 64

/* Out of file descriptors: connections wait in the kernel's queue so long. */
#define SHORTAGE_PAUSE_MS 100
#define SHORTAGE_LOG_MS   1000

#define UNIX_PREFIX STR("unix:")

struct listener {
    uv_poll_t poll;
    struct loop *loop;
    struct tls_context *tls;
    bool (*admit)(void *user);
    void (*on_accept)(struct stream *stream, void *user);
    void *user;
    int fd;
    bool closing;
    struct loop_timer pause;
    struct mono shortage_logged;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    char text[160];     /* the address, for people */
    struct stat socket; /* of the unix socket's file: what we may remove */
    bool owns_file;     /* the first of siblings */
};

/* --- addresses --- */

static bool is_unix(const struct listener *l)
{
    return l->address.ss_family == AF_UNIX;
}

static enum err parse_unix(struct listener *l, struct str path, struct error *error)
{
    struct sockaddr_un *un = (void *)&l->address;

    if (path.n == 0 || path.n >= sizeof un->sun_path || memchr(path.p, '\0', path.n) != NULL) {
        return error_set(error, EA_CONFIG, "cannot listen on %s: a path of 1 to %zu bytes is needed", l->text,
                         sizeof un->sun_path - 1);
    }
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.p, path.n);
    l->address_bytes = sizeof *un;
    return EA_OK;
}

static enum err parse_address(struct listener *l, const struct listener_options *options, struct error *error)
{
    struct sockaddr_in *in = (void *)&l->address;
    struct sockaddr_in6 *in6 = (void *)&l->address;
    char shown[128];
    char host[INET6_ADDRSTRLEN];

    (void)str_escape(options->address, shown, sizeof shown);
    if (str_starts(options->address, UNIX_PREFIX)) {
        (void)snprintf(l->text, sizeof l->text, "%s", shown);
        return parse_unix(l, str_from(options->address.p + UNIX_PREFIX.n, options->address.n - UNIX_PREFIX.n),
                          error);
    }
    if (options->address.n < sizeof host) {
        memcpy(host, options->address.p, options->address.n);
        host[options->address.n] = '\0';
        if (strlen(host) == options->address.n && inet_pton(AF_INET, host, &in->sin_addr) == 1) {
            in->sin_family = AF_INET;
            in->sin_port = htons(options->port);
            l->address_bytes = sizeof *in;
            (void)snprintf(l->text, sizeof l->text, "%s:%u", host, options->port);
            return EA_OK;
        }
        if (strlen(host) == options->address.n && inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
            in6->sin6_family = AF_INET6;
            in6->sin6_port = htons(options->port);
            l->address_bytes = sizeof *in6;
            (void)snprintf(l->text, sizeof l->text, "[%s]:%u", host, options->port);
            return EA_OK;
        }
    }
    return error_set(error, EA_CONFIG, "cannot listen on \"%s\": not an IP address and not \"unix:/path\"",
                     shown);
}

/* Wildcard in both families; on a machine without IPv6 it means IPv4's. */
static bool is_dual_stack(const struct listener *l)
{
    return l->address.ss_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)(const void *)&l->address)->sin6_addr);
}

static void fall_back_to_ipv4(struct listener *l)
{
    struct sockaddr_in *in = (void *)&l->address;
    in_port_t port = ((struct sockaddr_in6 *)(void *)&l->address)->sin6_port;

    memset(&l->address, 0, sizeof l->address);
    in->sin_family = AF_INET;
    in->sin_port = port;
    l->address_bytes = sizeof *in;
}

/* --- opening --- */

static enum err refuse(const struct listener *l, int errnum, struct error *error)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
        return is_unix(l) ? error_set(error, EA_IO,
                                      "cannot listen on %s: permission denied: "
                                      "choose a folder this user may write to",
                                      l->text)
                          : error_set(error, EA_IO,
                                      "cannot listen on %s: permission denied: choose a port above 1023 "
                                      "or give the capability NET_BIND_SERVICE",
                                      l->text);
    case EADDRINUSE:
        return error_set(error, EA_BUSY,
                         "cannot listen on %s: in use by another process: stop it or choose another %s",
                         l->text, is_unix(l) ? "path" : "port");
    case EADDRNOTAVAIL:
        return error_set(error, EA_CONFIG, "cannot listen on %s: this machine does not have the address",
                         l->text);
    default:
        return error_set_errno(error, EA_IO, errnum, "cannot listen on %s", l->text);
    }
}

static void set_flag(int fd, int level, int option, int value)
{
    /* None of these can fail on a socket of the right family; and none decides anything. */
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* A bound socket, or -errno. */
static int bound_socket(const struct listener *l, bool shared)
{
    int fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -errno;
    }
    if (!is_unix(l)) {
        set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        set_flag(fd, SOL_SOCKET, SO_REUSEPORT, shared);
        if (l->address.ss_family == AF_INET6) {
            set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
        }
        /* Accepted sockets inherit these. */
        set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_flag(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    }
    if (bind(fd, (const struct sockaddr *)&l->address, l->address_bytes) != 0) {
        int errnum = errno;

        (void)close(fd);
        return -errnum;
    }
    return fd;
}

/* SO_REUSEPORT would let a second agent of the same user take half of the connections: a bind() that does not
 * share must succeed first. 0 or -errno. */
static int prove_unused(struct listener *l)
{
    int fd = bound_socket(l, false);

    if ((fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL) && is_dual_stack(l)) {
        fall_back_to_ipv4(l);
        fd = bound_socket(l, false);
    }
    if (fd < 0) {
        return fd;
    }
    (void)close(fd);
    return 0;
}

/* Removes a unix socket that nobody accepts on. 0 if the path is free now, or -errno. */
static int clear_stale(const struct listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->address;
    struct stat before;
    int rc = 0;
    int fd;

    if (lstat(un->sun_path, &before) != 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    if (!S_ISSOCK(before.st_mode)) {
        return -EADDRINUSE;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    if (connect(fd, (const struct sockaddr *)un, sizeof *un) == 0 || errno == EAGAIN) {
        rc = -EADDRINUSE; /* somebody answers, or would if he had time */
    } else if (errno != ECONNREFUSED) {
        rc = -errno;
    } else if (unlink(un->sun_path) != 0 && errno != ENOENT) {
        rc = -errno;
    }
    (void)close(fd);
    return rc;
}

static int open_unix(struct listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->address;
    int rc = clear_stale(l);
    int fd;

    if (rc != 0) {
        return rc;
    }
    fd = bound_socket(l, false);
    if (fd >= 0) {
        l->owns_file = lstat(un->sun_path, &l->socket) == 0;
    }
    return fd;
}

/* A listening socket, or -errno. */
static int open_socket(struct listener *l, const struct listener *sibling)
{
    int fd;

    if (sibling != NULL && is_unix(l)) {
        fd = fcntl(sibling->fd, F_DUPFD_CLOEXEC, 0);
        return fd < 0 ? -errno : fd;
    }
    if (is_unix(l)) {
        fd = open_unix(l);
    } else {
        int rc = sibling == NULL ? prove_unused(l) : 0;

        fd = rc != 0 ? rc : bound_socket(l, true);
    }
    if (fd < 0) {
        return fd;
    }
    if (listen(fd, BACKLOG) != 0) {
        int errnum = errno;

        (void)close(fd);
        return -errnum;
    }
    l->address_bytes = sizeof l->address;
    (void)getsockname(fd, (struct sockaddr *)&l->address, &l->address_bytes);
    return fd;
}

/* --- accepting --- */

static void on_poll(uv_poll_t *handle, int status, int events);

static void on_pause_over(struct loop *loop, struct loop_timer *timer)
{
    struct listener *l = CONTAINER_OF(timer, struct listener, pause);

    (void)uv_poll_start(&l->poll, UV_READABLE, on_poll);
}

static void pause_accepting(struct listener *l, int errnum)
{
    struct mono now = loop_now(l->loop);

    (void)uv_poll_stop(&l->poll);
    loop_timer_start(l->loop, &l->pause, mono_add_ms(now, SHORTAGE_PAUSE_MS));
    if (!mono_before(now, l->shortage_logged)) {
        l->shortage_logged = mono_add_ms(now, SHORTAGE_LOG_MS);
        log_warning("net", "cannot accept connections; they wait", LOG_TEXT("address", l->text),
                    LOG_TEXT("error", uv_strerror(-errnum)));
    }
}

static void hand_over(struct listener *l, int fd)
{
    struct error error = ERROR_NONE;
    struct stream *stream;

    if (l->admit != NULL && !l->admit(l->user)) {
        (void)close(fd);
        return;
    }
    if (plain_stream_new(&stream, l->loop, fd, &error) != EA_OK) {
        log_warning("net", "connection lost", LOG_TEXT("error", error.text));
        return;
    }
    if (l->tls != NULL) {
        stream = tls_stream(stream, l->tls, STR(""));
    }
    l->on_accept(stream, l->user);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct listener *l = handle->data;

    loop_enter(l->loop);
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && !l->closing; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            hand_over(l, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            pause_accepting(l, errno);
            return;
        } else if (errno == EAGAIN) {
            return;
        }
        /* Else that one connection broke before it was taken (accept(2), "Error handling"). */
    }
}

/* --- life --- */

enum err listener_open(struct listener **out, struct loop *loop, const struct listener_options *options,
                       struct error *error)
{
    struct listener *l = mem_zalloc(sizeof *l);
    enum err err = EA_OK;
    int rc;

    *out = NULL;
    l->loop = loop;
    l->tls = options->tls;
    l->admit = options->admit;
    l->on_accept = options->on_accept;
    l->user = options->user;
    l->pause.fire = on_pause_over;
    if (options->sibling != NULL) {
        l->address = options->sibling->address;
        l->address_bytes = options->sibling->address_bytes;
        memcpy(l->text, options->sibling->text, sizeof l->text);
    } else {
        err = parse_address(l, options, error);
    }
    if (err != EA_OK) {
        goto fail;
    }
    l->fd = open_socket(l, options->sibling);
    if (l->fd < 0) {
        err = refuse(l, -l->fd, error);
        goto fail;
    }
    rc = uv_poll_init(loop_uv(loop), &l->poll, l->fd);
    if (rc != 0) {
        (void)close(l->fd);
        err = refuse(l, -rc, error);
        goto fail;
    }
    l->poll.data = l;
    (void)uv_poll_start(&l->poll, UV_READABLE, on_poll);
    *out = l;
    return EA_OK;

fail:
    mem_free(l);
    return err;
}

uint16_t listener_port(const struct listener *listener)
{
    switch (listener->address.ss_family) {
    case AF_INET:
        return ntohs(((const struct sockaddr_in *)(const void *)&listener->address)->sin_port);
    case AF_INET6:
        return ntohs(((const struct sockaddr_in6 *)(const void *)&listener->address)->sin6_port);
    default:
        return 0;
    }
}

static void on_handle_gone(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void remove_file(const struct listener *l)
{
    const struct sockaddr_un *un = (const void *)&l->address;
    struct stat present;

    /* Only if it is still ours: another process may have replaced it. */
    if (lstat(un->sun_path, &present) == 0 && present.st_dev == l->socket.st_dev &&
        present.st_ino == l->socket.st_ino) {
        (void)unlink(un->sun_path);
    }
}

void listener_close(struct listener *listener)
{
    assert(!listener->closing);
    listener->closing = true;
    loop_timer_stop(listener->loop, &listener->pause);
    if (listener->owns_file) {
        remove_file(listener);
    }
    uv_close((uv_handle_t *)&listener->poll, on_handle_gone);
    (void)close(listener->fd);
}
