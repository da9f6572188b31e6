/*
 * A credential plugin runs as a child: its answer is on its standard output, what it has to complain about on the other.
 * Three handles; the last one that closes frees it. Its time and its output are bounded.
 */
#include <openssl/evp.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "kube/internal.h"

#define PLUGIN_MS        30000
#define OUTPUT_BYTES_MAX ((size_t)1024 * 1024)
#define COMPLAINT_BYTES  120
#define INFO_VARIABLE    "KUBERNETES_EXEC_INFO"
#define STREAMS          2

struct stream_of {
    uv_pipe_t pipe;
    struct buf text;
    bool over;
};

struct kube_exec {
    struct kube *kube; /* NULL: nobody wants to know any more */
    struct loop *loop;
    uv_process_t process;
    struct stream_of streams[STREAMS]; /* output, complaints */
    struct loop_timer timer;
    struct loop_task failed; /* it could not be started: said later */
    int open;                /* handles that libuv has */
    bool exited;
    int64_t exit_status;
    int signal;
    bool closing;
    struct error error;
    char read_room[4096];
};

/* --- the end --- */

static void free_exec(struct kube_exec *exec)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        if (exec->streams[i].text.p != NULL) {
            explicit_bzero(exec->streams[i].text.p, exec->streams[i].text.cap);
        }
        buf_fini(&exec->streams[i].text);
    }
    mem_free(exec);
}

static void on_closed(uv_handle_t *handle)
{
    struct kube_exec *exec = handle->data;
    if (--exec->open == 0) {
        free_exec(exec);
    }
}

static void close_pipes(struct kube_exec *exec)
{
    exec->closing = true;
    loop_timer_stop(exec->loop, &exec->timer);
    for (unsigned i = 0; i < STREAMS; i++) {
        uv_close((uv_handle_t *)&exec->streams[i].pipe, on_closed);
    }
}

static void close_process(struct kube_exec *exec)
{
    uv_close((uv_handle_t *)&exec->process, on_closed);
}

static void tell(struct kube_exec *exec, enum err err)
{
    struct kube *kube = exec->kube;
    exec->kube = NULL;
    close_pipes(exec); /* nothing is freed before the turn's end */
    if (exec->exited) {
        close_process(exec); /* else libuv has to bury it first */
    }
    if (kube != NULL) {
        kube_credential_exec_done(kube, err, buf_str(&exec->streams[0].text), &exec->error);
    }
}

static void give_up(struct kube_exec *exec, const char *why)
{
    if (!exec->exited) {
        (void)uv_process_kill(&exec->process, SIGKILL);
    }
    (void)error_set(&exec->error, EA_UNAUTHENTICATED, "the credential plugin %s", why);
    tell(exec, EA_UNAUTHENTICATED);
}

static void check_over(struct kube_exec *exec)
{
    if (exec->closing || !exec->exited || !exec->streams[0].over || !exec->streams[1].over) {
        return;
    }
    if (exec->exit_status == 0 && exec->signal == 0) {
        tell(exec, EA_OK);
        return;
    }
    char complaint[COMPLAINT_BYTES];
    (void)str_escape(str_trim(buf_str(&exec->streams[1].text)), complaint, sizeof complaint);
    (void)error_set(&exec->error, EA_UNAUTHENTICATED, "the credential plugin ended with %s %d: %s",
                    exec->signal != 0 ? "signal" : "exit code",
                    exec->signal != 0 ? exec->signal : (int)exec->exit_status, complaint);
    tell(exec, EA_UNAUTHENTICATED);
}

/* --- its life --- */

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct kube_exec *exec = process->data;
    loop_enter(exec->loop);
    exec->exited = true;
    exec->exit_status = status;
    exec->signal = signal;
    if (exec->closing) {
        close_process(exec);
    } else {
        check_over(exec);
    }
}

static void on_room(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct kube_exec *exec = handle->data;
    *out = uv_buf_init(exec->read_room, sizeof exec->read_room);
}

static void on_text(uv_stream_t *pipe, ssize_t n, const uv_buf_t *bytes)
{
    struct kube_exec *exec = pipe->data;
    struct stream_of *stream = CONTAINER_OF(pipe, struct stream_of, pipe);
    loop_enter(exec->loop);
    if (n > 0 && (size_t)n <= OUTPUT_BYTES_MAX - stream->text.n) {
        buf_add(&stream->text, bytes->base, (size_t)n);
    } else if (n > 0) {
        give_up(exec, "says too much");
    } else if (n < 0) {
        stream->over = true;
        (void)uv_read_stop(pipe);
        check_over(exec);
    }
}

static void on_late(struct loop *loop, struct loop_timer *timer)
{
    give_up(CONTAINER_OF(timer, struct kube_exec, timer), "did not answer in time");
}

static void on_failed(struct loop *loop, struct loop_task *task)
{
    struct kube_exec *exec = CONTAINER_OF(task, struct kube_exec, failed);
    exec->exited = true; /* it never began */
    tell(exec, EA_UNAUTHENTICATED);
}

/* --- the start --- */

static void add_text(const char *key, const char *value, struct buf *out)
{
    if (value != NULL) {
        buf_format(out, ",\"%s\":", key);
        buf_add_json(out, str_of(value));
    }
}

/* A plugin may have to speak to the same server. */
static void add_authority(const struct kube_access *access, struct buf *out)
{
    struct buf pem = BUF_EMPTY;
    if (access->ca.n > 0) {
        buf_add_str(&pem, buf_str(&access->ca));
    } else if (access->ca_file == NULL ||
               kube_read_file(access->ca_file, KUBE_FILE_BYTES_MAX, &pem, NULL) != EA_OK) {
        buf_clear(&pem); /* it is not ours to say: the server's certificate will be refused */
    }
    if (pem.n > 0) {
        buf_format(out, ",\"certificate-authority-data\":\"");
        char *room = buf_reserve(out, pem.n / 3 * 4 + 5); /* with a terminator */
        out->n += (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)pem.p, (int)pem.n);
        buf_format(out, "\"");
    }
    buf_fini(&pem);
}

static void add_info(const struct kube *kube, struct buf *out)
{
    const struct kube_access *access = &kube->access;
    buf_format(out,
               INFO_VARIABLE
               "={\"kind\":\"ExecCredential\",\"apiVersion\":\"%s\",\"spec\":{\"interactive\":false",
               access->plugin->api_version);
    if (access->plugin->cluster_info) {
        buf_format(out, ",\"cluster\":{\"server\":");
        buf_add_json(out, str_of(access->server));
        add_text("tls-server-name", access->server_name, out);
        add_text("proxy-url", access->proxy, out);
        if (access->insecure) {
            buf_format(out, ",\"insecure-skip-tls-verify\":true");
        }
        add_authority(access, out);
        buf_format(out, "}");
    }
    buf_format(out, "}}");
    buf_add(out, "", 1);
}

static bool same_name(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return n == strcspn(b, "=") && memcmp(a, b, n) == 0;
}

/* The plugin's variables over ours; the array is the caller's, its strings are not. */
static char **make_env(const struct kube *kube, char *info)
{
    const struct kube_plugin *plugin = kube->access.plugin;
    size_t n = 0;
    size_t ours = 0;
    while (kube->env[ours] != NULL) {
        ours++;
    }
    char **env = mem_zalloc((ours + KUBE_EXEC_WORDS_MAX + 2) * sizeof *env);
    for (size_t i = 0; plugin->env[i] != NULL; i++) {
        env[n++] = plugin->env[i];
    }
    env[n++] = info;
    size_t over = n;
    for (size_t i = 0; i < ours; i++) {
        bool hidden = false;
        for (size_t k = 0; k < over; k++) {
            hidden = hidden || same_name(env[k], kube->env[i]);
        }
        if (!hidden) {
            env[n++] = kube->env[i];
        }
    }
    return env;
}

static int spawn(struct kube *kube, struct kube_exec *exec)
{
    struct buf info = BUF_EMPTY;
    add_info(kube, &info);
    char **env = make_env(kube, info.p);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_IGNORE},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&exec->streams[0].pipe},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&exec->streams[1].pipe},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_status,
        .file = kube->access.plugin->words[0],
        .args = kube->access.plugin->words,
        .env = env,
        .stdio = stdio,
        .stdio_count = 3,
    };
    int rc = uv_spawn(loop_uv(kube->loop), &exec->process, &options);
    mem_free(env);
    buf_fini(&info);
    return rc;
}

struct kube_exec *kube_exec_start(struct kube *kube)
{
    struct kube_exec *exec = mem_zalloc(sizeof *exec);
    exec->kube = kube;
    exec->loop = kube->loop;
    exec->open = 1 + STREAMS;
    exec->timer.fire = on_late;
    exec->failed.run = on_failed;
    for (unsigned i = 0; i < STREAMS; i++) {
        (void)uv_pipe_init(loop_uv(kube->loop), &exec->streams[i].pipe, 0);
        exec->streams[i].pipe.data = exec;
    }
    exec->process.data = exec;
    int rc = spawn(kube, exec);
    for (unsigned i = 0; i < STREAMS && rc == 0; i++) {
        rc = uv_read_start((uv_stream_t *)&exec->streams[i].pipe, on_room, on_text);
    }
    if (rc != 0) {
        char shown[COMPLAINT_BYTES];
        (void)str_escape(str_of(kube->access.plugin->words[0]), shown, sizeof shown);
        (void)error_set_errno(&exec->error, EA_UNAUTHENTICATED, -rc, "cannot run the credential plugin %s",
                              shown);
        loop_at_start(kube->loop, &exec->failed);
    } else {
        loop_timer_start(kube->loop, &exec->timer, mono_add_ms(loop_now(kube->loop), PLUGIN_MS));
    }
    return exec;
}

void kube_exec_cancel(struct kube_exec *exec)
{
    exec->kube = NULL;
    if (exec->failed.queued) {
        return; /* that closes it */
    }
    if (!exec->exited) {
        (void)uv_process_kill(&exec->process, SIGKILL);
    }
    close_pipes(exec);
    close_process(exec); /* the loop may end before the child does; then nobody buries it but our own end */
}
