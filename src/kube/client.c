/*
 * curl's multi interface on the loop: its sockets are uv_poll handles, its timer is a uv_timer. Nothing of ours runs
 * inside curl but what stores bytes (easy.c), so that requests may be sent and cancelled in any callback.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kube/internal.h"

extern char **environ;

#define CONNECTIONS_MAX 64 /* a watch holds one; requests beyond it wait in curl's queue */
#define IDLE_MAX        8  /* kept open between requests */

struct sock {
    uv_poll_t poll;
    struct kube *kube;
    curl_socket_t fd;
};

/* --- what curl has done --- */

static void collect(struct kube *kube)
{
    CURLMsg *message;
    int left;
    while (!kube->closing && (message = curl_multi_info_read(kube->multi, &left)) != NULL) {
        struct kube_transfer *transfer = NULL;
        if (message->msg == CURLMSG_DONE) {
            CURLcode code = message->data.result;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)(void *)&transfer);
            kube_transfer_complete(transfer, code); /* the message is gone from here on */
        }
    }
}

static void act(struct kube *kube, curl_socket_t fd, int what)
{
    int running;
    loop_enter(kube->loop);
    if (!kube->closing) {
        (void)curl_multi_socket_action(kube->multi, fd, what, &running);
        collect(kube);
    }
}

/* --- sockets --- */

static void on_sock_closed(uv_handle_t *handle)
{
    struct sock *sock = handle->data;
    struct kube *kube = sock->kube;
    mem_free(sock);
    kube_release(kube);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct sock *sock = handle->data;
    int what = ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
               ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
    if (status < 0) { /* curl learns from the socket itself what is wrong with it */
        what = CURL_CSELECT_IN | CURL_CSELECT_OUT;
    }
    act(sock->kube, sock->fd, what);
}

static struct sock *watch_socket(struct kube *kube, curl_socket_t fd)
{
    struct sock *sock = mem_zalloc(sizeof *sock);
    if (uv_poll_init_socket(loop_uv(kube->loop), &sock->poll, fd) != 0) {
        mem_free(sock);
        return NULL;
    }
    sock->poll.data = sock;
    sock->kube = kube;
    sock->fd = fd;
    kube->handles++;
    (void)curl_multi_assign(kube->multi, fd, sock);
    return sock;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct kube *kube = arg;
    struct sock *sock = socket_arg;
    if (what == CURL_POLL_REMOVE) {
        if (sock != NULL) {
            (void)curl_multi_assign(kube->multi, fd, NULL);
            uv_close((uv_handle_t *)&sock->poll, on_sock_closed); /* libuv forgets the descriptor at once */
        }
        return 0;
    }
    if (sock == NULL) {
        sock = watch_socket(kube, fd);
    }
    int events =
        ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
    return sock != NULL && uv_poll_start(&sock->poll, events, on_poll) == 0 ? 0 : -1;
}

/* --- time --- */

static void on_time(uv_timer_t *timer)
{
    act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct kube *kube = arg;
    if (uv_is_closing((uv_handle_t *)&kube->timer)) {
        return 0;
    }
    if (timeout_ms < 0) {
        (void)uv_timer_stop(&kube->timer);
    } else {
        (void)uv_timer_start(&kube->timer, on_time, (uint64_t)timeout_ms, 0);
    }
    return 0;
}

/* --- life --- */

static char **copy_env(const struct kube_options *options)
{
    const char *const *env = options->env != NULL ? options->env : (const char *const *)environ;
    size_t n = 0;
    while (env != NULL && env[n] != NULL) {
        n++;
    }
    char **copy = mem_zalloc((n + 1) * sizeof *copy);
    for (size_t i = 0; i < n; i++) {
        copy[i] = kube_text(str_of(env[i]));
    }
    return copy;
}

static enum err set_up_curl(struct kube *kube, struct error *error)
{
    /* Counts its calls; balanced by the cleanup in the end. */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return error_set(error, EA_NOMEM, "cannot set libcurl up");
    }
    kube->multi = curl_multi_init();
    if (kube->multi == NULL) {
        curl_global_cleanup();
        return error_set(error, EA_NOMEM, "cannot make a client of libcurl");
    }
    (void)curl_multi_setopt(kube->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(kube->multi, CURLMOPT_SOCKETDATA, kube);
    (void)curl_multi_setopt(kube->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(kube->multi, CURLMOPT_TIMERDATA, kube);
    (void)curl_multi_setopt(kube->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX);
    (void)curl_multi_setopt(kube->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX);
    (void)uv_timer_init(loop_uv(kube->loop), &kube->timer);
    kube->timer.data = kube;
    kube->handles++;
    return EA_OK;
}

static void free_all(struct kube *kube)
{
    kube_credential_fini(kube);
    kube_resolver_fini(kube);
    kube_access_fini(&kube->access);
    for (size_t i = 0; kube->env != NULL && kube->env[i] != NULL; i++) {
        mem_free(kube->env[i]);
    }
    mem_free(kube->env);
    mem_free(kube->user_agent);
    mem_free(kube);
}

enum err kube_open(struct kube **out, const struct kube_options *options, struct error *error)
{
    struct kube *kube = mem_zalloc(sizeof *kube);
    *out = NULL;
    kube->loop = options->loop;
    kube->user_agent =
        kube_text(str_of(options->user_agent != NULL ? options->user_agent : "election-agent"));
    enum err err = kube_access_load(&kube->access, options, error);
    if (err == EA_OK) {
        err = kube_resolver_init(kube, options, error);
    }
    if (err == EA_OK) {
        err = set_up_curl(kube, error);
    }
    if (err != EA_OK) {
        free_all(kube);
        return err;
    }
    if (kube->access.plugin != NULL) {
        kube->env = copy_env(options);
    }
    *out = kube;
    return EA_OK;
}

void kube_release(struct kube *kube)
{
    assert(kube->handles > 0);
    kube->handles--;
    if (kube->closing && kube->handles == 0) {
        free_all(kube);
    }
}

void kube_handle_closed(uv_handle_t *handle)
{
    kube_release(handle->data);
}

/* Not inside a callback of ours: curl may still be on the stack there. */
static void end(struct loop *loop, struct loop_task *task)
{
    struct kube *kube = CONTAINER_OF(task, struct kube, end);
    if (kube->spare != NULL) {
        curl_easy_cleanup(kube->spare);
    }
    (void)curl_multi_cleanup(kube->multi);
    curl_global_cleanup();
    if (kube->resolver.busy) {
        (void)uv_cancel(
            (uv_req_t *)&kube->resolver.request); /* fails if it runs already; it comes back either way */
    }
    if (kube->credential.exec != NULL) {
        kube_exec_cancel(kube->credential.exec);
    }
    uv_close((uv_handle_t *)&kube->timer, kube_handle_closed);
}

void kube_close(struct kube *kube)
{
    assert(kube->transfers == NULL);
    kube->closing = true;
    kube->end.run = end;
    loop_at_end(kube->loop, LOOP_STAGE_FREE, &kube->end);
}

const char *kube_namespace(const struct kube *kube)
{
    return kube->access.ns != NULL ? kube->access.ns : "default";
}

const char *kube_server(const struct kube *kube)
{
    return kube->access.server;
}

struct loop *kube_loop(const struct kube *kube)
{
    return kube->loop;
}
