#include "rig.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"

#define PATIENCE_US INT64_C(20000000)
#define ARGS_MAX    24

/* --- the server --- */

static void start_server(struct rig *rig, const char *const *more)
{
    int to[2];
    int from[2];
    const char *argv[ARGS_MAX] = {"/usr/bin/python3", API_SERVER, "--kubeconfig", rig->config};
    size_t n = 4;
    for (; more != NULL && *more != NULL; more++) {
        argv[n++] = *more;
    }
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)dup2(to[0], STDIN_FILENO);
        (void)dup2(from[1], STDOUT_FILENO);
        execv(argv[0], (char *const *)(const void *)argv);
        _exit(127);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    rig->server = pid;
    rig->server_stdin = to[1];
    char line[256];
    FILE *said = fdopen(from[0], "r");
    assert_non_null(fgets(line, sizeof line, said));
    (void)fclose(said);
    json_t *doc = json_loads(line, 0, NULL);
    rig->port = (unsigned)json_integer_value(json_object_get(doc, "port"));
    json_decref(doc);
    assert_true(rig->port > 0);
}

static void open_client(struct rig *rig, const char *config)
{
    static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
    struct error error = ERROR_NONE;
    if (kube_open(&rig->kube, &(struct kube_options){.loop = rig->loop, .env = env, .kubeconfig = config},
                  &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
}

void rig_init(struct rig *rig, const char *const *argv)
{
    struct error error = ERROR_NONE;
    memset(rig, 0, sizeof *rig);
    rig->deadline_ms = 5000;
    log_set_level(LOG_FATAL);
    (void)snprintf(rig->directory, sizeof rig->directory, "/tmp/election-kube-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    (void)snprintf(rig->config, sizeof rig->config, "%s/config", rig->directory);
    start_server(rig, argv);
    assert_int_equal(loop_new(&rig->loop, &(struct loop_options){.seed = 1}, &error), EA_OK);
    open_client(rig, rig->config);
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

void rig_fini(struct rig *rig)
{
    kube_close(rig->kube);
    loop_free(rig->loop);
    (void)close(rig->server_stdin); /* it ends by that */
    (void)waitpid((pid_t)rig->server, NULL, 0);
    assert_int_equal(nftw(rig->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

const char *rig_file(struct rig *rig, const char *name, const char *text)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", rig->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

void rig_reopen(struct rig *rig, const char *kubeconfig_text)
{
    kube_close(rig->kube);
    open_client(rig, kubeconfig_text != NULL ? rig_file(rig, "own-config", kubeconfig_text) : rig->config);
}

/* --- waiting --- */

/* Until a socket, pipe or child has something to tell, or a timer may be due: the server needs the processor meanwhile. */
static void wait_for_input(struct loop *loop)
{
    struct pollfd ready = {.fd = uv_backend_fd(loop_uv(loop)), .events = POLLIN};
    (void)poll(&ready, 1, 1);
}

void rig_until_true(struct rig *rig, bool (*is_true)(void *arg), void *arg)
{
    struct mono give_up = mono_add_us(clock_mono(&clock_system), PATIENCE_US);
    while (!is_true(arg)) {
        if (!loop_step(rig->loop)) {
            wait_for_input(rig->loop);
        }
        if (mono_before(give_up, clock_mono(&clock_system))) {
            fail_msg("what is waited for does not happen");
        }
    }
}

static bool is_set(void *arg)
{
    return *(const bool *)arg;
}

void rig_until(struct rig *rig, const bool *flag)
{
    rig_until_true(rig, is_set, (void *)flag);
}

/* --- asking --- */

struct asked {
    struct kube_request request;
    struct rig_answer answer;
    bool done;
};

static void on_done(struct kube_request *request)
{
    struct asked *asked = CONTAINER_OF(request, struct asked, request);
    struct rig_answer *answer = &asked->answer;
    answer->err = request->err;
    answer->status = request->status;
    answer->maybe_done = request->maybe_done;
    memcpy(answer->reason, request->reason, sizeof answer->reason);
    memcpy(answer->error, request->error.text, sizeof answer->error);
    (void)snprintf(answer->body, sizeof answer->body, "%.*s", (int)request->answer.n,
                   request->answer.n > 0 ? request->answer.p : "");
    asked->done = true;
}

struct rig_answer rig_ask(struct rig *rig, enum kube_method method, const char *path, const char *body)
{
    static const char *const whats[] = {"get things", "create things", "update things", "patch things",
                                        "delete things"};
    struct asked asked = {
        .request = {.method = method,
                    .what = whats[method],
                    .path = str_of(path),
                    .body = str_of(body),
                    .deadline = mono_add_ms(clock_mono(&clock_system), rig->deadline_ms),
                    .once = rig->once,
                    .done = on_done},
    };
    kube_send(rig->kube, &asked.request);
    assert_false(asked.done);
    rig_until(rig, &asked.done);
    return asked.answer;
}

void rig_order(struct rig *rig, const char *format, ...)
{
    char order[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(order, sizeof order, format, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < sizeof order);
    for (char *c = order; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    struct rig_answer answer = rig_ask(rig, KUBE_POST, "/_control", order);
    if (answer.err != EA_OK) {
        fail_msg("%s: %s", order, answer.error);
    }
}

struct counted {
    struct kube_request request;
    const char *verb;
    const char *resource;
    unsigned n;
    bool done;
};

static void on_counted(struct kube_request *request)
{
    struct counted *counted = CONTAINER_OF(request, struct counted, request);
    json_t *all = json_loadb(request->answer.p, request->answer.n, 0, NULL);
    assert_true(json_is_array(all));
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *verb = json_string_value(json_object_get(one, "verb"));
        const char *resource = json_string_value(json_object_get(one, "resource"));
        counted->n += verb != NULL && resource != NULL && strcmp(verb, counted->verb) == 0 &&
                      strcmp(resource, counted->resource) == 0;
    }
    json_decref(all);
    counted->done = true;
}

unsigned rig_asked(struct rig *rig, const char *verb, const char *resource)
{
    struct counted counted = {
        .request = {.method = KUBE_GET,
                    .what = "get requests",
                    .path = STR("/_control/requests"),
                    .deadline = mono_add_ms(clock_mono(&clock_system), 5000),
                    .done = on_counted},
        .verb = verb,
        .resource = resource,
    };
    kube_send(rig->kube, &counted.request);
    rig_until(rig, &counted.done);
    return counted.n;
}

int rig_set_up(void **state)
{
    struct rig *rig = mem_zalloc(sizeof *rig);
    rig_init(rig, NULL);
    *state = rig;
    return 0;
}

int rig_tear_down(void **state)
{
    rig_fini(*state);
    mem_free(*state);
    return 0;
}
