#include "servers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "server_clock.h"

#define SERVERS_MAX    16
#define PATH_BYTES     64
#define URL_BYTES      256
#define DIRECTORY_FORM "/tmp/election-servers-XXXXXX"
#define FILES_OPEN     8
#define SLOTS          16384
#define PAUSE_NS       2000000
#define US_PER_MS      1000
#define PATIENCE_MS    20000
/* A picked port may be taken by somebody else before the server binds it. */
#define PORTS_TRIED 10
/* The hand moves hours at once, which must not look like a dead master. */
#define CLUSTER_TIMEOUT_MS "1000000000"

struct server {
    pid_t pid;
    int port;
    int bus_port;
    redisContext *client;
};

struct servers {
    struct servers_plan plan;
    char directory[PATH_BYTES];
    struct server_clock *clock;
    struct server server[SERVERS_MAX]; /* [node * each + i] */
    unsigned n;
    char url[SERVERS_MAX][URL_BYTES];
    const char *urls[SERVERS_MAX];
    struct redis_options options;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("conformance: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1); /* the servers die with us */
}

static void pause_shortly(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

/* --- time --- */

static void make_clock(struct servers *servers, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof *servers->clock) != 0) {
        die("%s: %s", path, strerror(errno));
    }
    void *mapped = mmap(NULL, sizeof *servers->clock, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) {
        die("%s: %s", path, strerror(errno));
    }
    (void)close(fd);
    struct clock_fake start;
    clock_fake_init(&start);
    servers->clock = mapped;
    atomic_store(&servers->clock->mono_us, start.mono.us);
    atomic_store(&servers->clock->wall_us, start.wall.us);
}

struct mono servers_mono(const struct servers *servers)
{
    return (struct mono){atomic_load(&servers->clock->mono_us)};
}

struct wall servers_wall(const struct servers *servers)
{
    return (struct wall){atomic_load(&servers->clock->wall_us)};
}

void servers_advance_us(struct servers *servers, int64_t us)
{
    (void)atomic_fetch_add(&servers->clock->mono_us, us);
    (void)atomic_fetch_add(&servers->clock->wall_us, us);
}

/* --- one server --- */

static int free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&in, n) != 0 ||
        getsockname(fd, (struct sockaddr *)&in, &n) != 0) {
        die("no free port: %s", strerror(errno));
    }
    (void)close(fd);
    return ntohs(in.sin_port);
}

__attribute__((format(printf, 2, 3))) static redisReply *call(const struct server *server, const char *format,
                                                              ...)
{
    va_list args;
    va_start(args, format);
    redisReply *reply = redisvCommand(server->client, format, args);
    va_end(args);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        die("port %d: %s: %s", server->port, format, reply != NULL ? reply->str : server->client->errstr);
    }
    return reply;
}

__attribute__((noreturn)) static void run(const struct servers *servers, const struct server *server,
                                          unsigned index)
{
    char port[16];
    char bus_port[16];
    char nodes[PATH_BYTES];
    char log[PATH_BYTES];
    (void)snprintf(port, sizeof port, "%d", server->port);
    (void)snprintf(bus_port, sizeof bus_port, "%d", server->bus_port);
    (void)snprintf(nodes, sizeof nodes, "nodes-%u.conf", index);
    (void)snprintf(log, sizeof log, "log-%u", index);
    const char *cluster = servers->plan.mode == REDIS_CLUSTER ? "yes" : "no";
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir",
                 servers->directory, "--save", "", "--appendonly", "no", "--logfile", log, "--daemonize",
                 "no", "--cluster-enabled", cluster, "--cluster-config-file", nodes, "--cluster-port",
                 bus_port, "--cluster-node-timeout", CLUSTER_TIMEOUT_MS, NULL);
    (void)fprintf(stderr, "conformance: redis-server cannot be started: %s\n", strerror(errno));
    _exit(127);
}

static void spawn(const struct servers *servers, struct server *server)
{
    server->port = free_port();
    server->bus_port = free_port();
    server->pid = fork();
    if (server->pid < 0) {
        die("fork: %s", strerror(errno));
    }
    if (server->pid == 0) {
        run(servers, server, (unsigned)(server - servers->server));
    }
}

/* Waits for its first answer; one that lost its port gets another. */
static void greet(const struct servers *servers, struct server *server)
{
    for (int tried = 1, waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += PAUSE_NS / 1000000) {
        int status;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            if (tried++ == PORTS_TRIED || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
                die("redis-server on port %d ended with status %#x", server->port, (unsigned)status);
            }
            spawn(servers, server);
        }
        server->client = redisConnect("127.0.0.1", server->port);
        if (server->client == NULL) {
            die("out of memory");
        }
        if (server->client->err == 0) {
            freeReplyObject(call(server, "PING"));
            return;
        }
        redisFree(server->client);
        server->client = NULL;
        pause_shortly();
    }
    die("redis-server on port %d does not answer", server->port);
}

/* --- clusters --- */

static bool says(const struct server *server, const char *fact)
{
    redisReply *reply = call(server, "CLUSTER INFO");
    bool found = reply->str != NULL && strstr(reply->str, fact) != NULL;
    freeReplyObject(reply);
    return found;
}

static bool is_whole(const struct server *masters, unsigned n)
{
    char known[32];
    (void)snprintf(known, sizeof known, "cluster_known_nodes:%u\r", n);
    bool whole = true;
    for (unsigned i = 0; i < n; i++) {
        whole = whole && says(&masters[i], "cluster_state:ok") && says(&masters[i], known);
    }
    return whole;
}

static void join(const struct server *masters, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned first = SLOTS * i / n;
        unsigned last = SLOTS * (i + 1) / n - 1;
        freeReplyObject(call(&masters[i], "CLUSTER ADDSLOTSRANGE %u %u", first, last));
        freeReplyObject(call(&masters[i], "CLUSTER SET-CONFIG-EPOCH %u", i + 1));
    }
    for (unsigned i = 1; i < n; i++) {
        freeReplyObject(
            call(&masters[0], "CLUSTER MEET 127.0.0.1 %d %d", masters[i].port, masters[i].bus_port));
    }
}

static void form_clusters(struct servers *servers)
{
    unsigned each = servers->plan.each;
    for (unsigned i = 0; i < servers->plan.nodes; i++) {
        join(&servers->server[i * each], each);
    }
    for (unsigned i = 0, waited_ms = 0; i < servers->plan.nodes;) {
        if (is_whole(&servers->server[i * each], each)) {
            i++;
            continue;
        }
        servers_advance_us(servers, 50 * US_PER_MS); /* they gossip by the clock */
        pause_shortly();
        waited_ms += PAUSE_NS / 1000000;
        if (waited_ms > PATIENCE_MS) {
            die("the servers do not form a cluster");
        }
    }
}

/* --- all --- */

static void name_nodes(struct servers *servers)
{
    const struct servers_plan *plan = &servers->plan;
    for (unsigned i = 0; i < plan->nodes; i++) {
        char *url = servers->url[i];
        int n = snprintf(url, URL_BYTES, "redis://127.0.0.1:%d", servers->server[i * plan->each].port);
        for (unsigned k = 1; k < plan->each; k++) {
            n += snprintf(url + n, URL_BYTES - (size_t)n, "%saddr=127.0.0.1:%d", k == 1 ? "?" : "&",
                          servers->server[i * plan->each + k].port);
        }
        servers->urls[i] = url;
    }
    servers->options = (struct redis_options){
        .mode = plan->mode,
        .layout = plan->layout,
        .urls = servers->urls,
        .n_urls = plan->nodes,
        .prefix = "ela",
        .operation_timeout_ms = 3000,
        .old_servers = plan->old,
    };
}

struct servers *servers_start(const struct servers_plan *plan)
{
    char path[PATH_BYTES + 16];
    struct servers *servers = mem_zalloc(sizeof *servers);
    servers->plan = *plan;
    servers->n = plan->nodes * plan->each;
    if (servers->n > SERVERS_MAX) {
        die("more than %d servers", SERVERS_MAX);
    }
    (void)snprintf(servers->directory, sizeof servers->directory, "%s", DIRECTORY_FORM);
    if (mkdtemp(servers->directory) == NULL) {
        die("%s: %s", servers->directory, strerror(errno));
    }
    (void)snprintf(path, sizeof path, "%s/clock", servers->directory);
    make_clock(servers, path);
    /* Ours has asked for nothing to be loaded any more: this is for the children. */
    if (setenv("LD_PRELOAD", SERVER_CLOCK_LIBRARY, 1) != 0 || setenv(SERVER_CLOCK_VARIABLE, path, 1) != 0) {
        die("out of memory");
    }
    for (unsigned i = 0; i < servers->n; i++) {
        spawn(servers, &servers->server[i]);
    }
    for (unsigned i = 0; i < servers->n; i++) {
        greet(servers, &servers->server[i]);
    }
    if (plan->mode == REDIS_CLUSTER) {
        form_clusters(servers);
    }
    name_nodes(servers);
    return servers;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

void servers_stop(struct servers *servers)
{
    for (unsigned i = 0; i < servers->n; i++) {
        redisFree(servers->server[i].client);
        (void)kill(servers->server[i].pid, SIGKILL);
        (void)waitpid(servers->server[i].pid, NULL, 0);
    }
    (void)munmap(servers->clock, sizeof *servers->clock);
    (void)nftw(servers->directory, remove_entry, FILES_OPEN, FTW_DEPTH | FTW_PHYS);
    mem_free(servers);
}

const struct redis_options *servers_options(const struct servers *servers)
{
    return &servers->options;
}

static void tell_all(struct servers *servers, const char *command)
{
    for (unsigned i = 0; i < servers->n; i++) {
        if (redisAppendCommand(servers->server[i].client, command) != REDIS_OK) {
            die("out of memory");
        }
        int done = 0;
        while (done == 0) {
            if (redisBufferWrite(servers->server[i].client, &done) != REDIS_OK) {
                die("port %d: %s", servers->server[i].port, servers->server[i].client->errstr);
            }
        }
    }
    for (unsigned i = 0; i < servers->n; i++) {
        void *reply = NULL;
        if (redisGetReply(servers->server[i].client, &reply) != REDIS_OK) {
            die("port %d: %s", servers->server[i].port, servers->server[i].client->errstr);
        }
        freeReplyObject(reply);
    }
}

void servers_empty(struct servers *servers)
{
    tell_all(servers, "FLUSHALL");
}

void servers_hear(struct servers *servers)
{
    tell_all(servers, "PING");
}

uint64_t servers_calls(struct servers *servers, const char *command)
{
    char row[64];
    uint64_t calls = 0;
    (void)snprintf(row, sizeof row, "cmdstat_%s:calls=", command);
    for (unsigned i = 0; i < servers->n; i++) {
        redisReply *reply = call(&servers->server[i], "INFO commandstats");
        const char *found = reply->str != NULL ? strstr(reply->str, row) : NULL;
        calls += found != NULL ? strtoull(found + strlen(row), NULL, 10) : 0;
        freeReplyObject(reply);
    }
    return calls;
}
