/*
 * A node of libelection for the tests: every event is a line on standard output, every command a line on standard
 * input.
 *
 *     election_rig URLS PROJECT NODE [name=value ...]     ttl, drift, tick, priority, back, tenure, close, mode, layout,
 *                                                         prefix, ca, cert, key, host (in certificates),
 *                                                         start (what on_start returns at once), ignore (on_start
 *                                                         goes on for so long after the end), stop (on_stop's time),
 *                                                         inside=1 (calls close and free in callbacks), loop=1,
 *                                                         stall (the logger stands still once at a line with this word)
 *     leader?  stats  html  events  down  close  quit  fork
 *     idle (dispatches no more)  go (ends idle and stall)  lost (waits until it does not lead)
 */
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <election.h>

static struct election *election;
static long start_returns = -1;
static long ignore_ms;
static long stop_ms;
static bool inside;
static bool idle;
static char stall_at[64];
static sem_t go;

static long long now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* One write a line, so that those of different threads stay whole. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[8192];
    va_list args;
    int n = snprintf(line, sizeof line, "%lld ", now_us());
    va_start(args, format);
    n += vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, args);
    va_end(args);
    line[n++] = '\n';
    (void)!write(STDOUT_FILENO, line, (size_t)n);
}

static void wait_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static int on_start(void *user, struct election_context *context)
{
    unsigned long long token = election_context_token(context);
    say("start %llu", token);
    if (inside) {
        say("inside %d %d %d", election_close(election), election_free(election),
            election_wait(election, ELECTION_UNTIL_CLOSED, -1));
    }
    if (start_returns >= 0) {
        return (int)start_returns;
    }
    struct pollfd fd = {.fd = election_context_fd(context), .events = POLLIN};
    while (!election_context_is_over(context)) {
        (void)poll(&fd, 1, 1000);
    }
    say("over %llu %d", token, election_context_wait(context, 0));
    wait_ms(ignore_ms);
    say("returns %llu", token);
    return 0;
}

static void on_stop(void *user, uint64_t token)
{
    say("stop %llu", (unsigned long long)token);
    if (inside) {
        say("inside %d %d %d", election_close(election), election_free(election),
            election_wait(election, ELECTION_UNTIL_LEADING, -1));
    }
    wait_ms(stop_ms);
    say("stopped %llu", (unsigned long long)token);
}

static void on_change(void *user, const struct election_change *change)
{
    say("change %s %llu", change->leader[0] != '\0' ? change->leader : "-",
        (unsigned long long)change->token);
    if (inside) {
        say("inside %d %d %d", election_close(election), election_free(election),
            election_wait(election, ELECTION_UNTIL_NOT_LEADING, -1));
    }
}

static void logger(void *user, enum election_level level, const char *message,
                   const struct election_field *fields, size_t n)
{
    char text[2048];
    size_t at = (size_t)snprintf(text, sizeof text, "%.200s", message);
    for (size_t i = 0; i < n && at < sizeof text - 1; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, " %s=%.100s", fields[i].name, fields[i].value);
    }
    say("log %d %s", (int)level, text);
    if (stall_at[0] != '\0' && strstr(text, stall_at) != NULL) {
        stall_at[0] = '\0';
        say("stalls");
        while (sem_wait(&go) != 0) {
        }
    }
}

static void set(struct election_config *config, const char *name, const char *value)
{
    long number = strtol(value, NULL, 10);
    if (strcmp(name, "ttl") == 0) {
        config->lease_ttl_ms = number;
    } else if (strcmp(name, "drift") == 0) {
        config->max_drift_ms = number;
    } else if (strcmp(name, "tick") == 0) {
        config->tick_interval_ms = number;
    } else if (strcmp(name, "priority") == 0) {
        config->node_priority = (int32_t)number;
        config->strategy = ELECTION_PRIORITY;
    } else if (strcmp(name, "back") == 0) {
        config->fail_back_delay_ms = number;
    } else if (strcmp(name, "tenure") == 0) {
        config->min_tenure_ms = number;
    } else if (strcmp(name, "close") == 0) {
        config->close_timeout_ms = number;
    } else if (strcmp(name, "mode") == 0) {
        config->redis_mode = (enum election_redis_mode)number;
    } else if (strcmp(name, "layout") == 0) {
        config->redis_layout = (enum election_redis_layout)number;
    } else if (strcmp(name, "prefix") == 0) {
        config->redis_prefix = value;
    } else if (strcmp(name, "ca") == 0) {
        config->redis_tls_ca = value;
    } else if (strcmp(name, "cert") == 0) {
        config->redis_tls_cert = value;
    } else if (strcmp(name, "key") == 0) {
        config->redis_tls_key = value;
    } else if (strcmp(name, "host") == 0) {
        config->redis_tls_server_name = value;
    } else if (strcmp(name, "start") == 0) {
        start_returns = number;
    } else if (strcmp(name, "ignore") == 0) {
        ignore_ms = number;
    } else if (strcmp(name, "stop") == 0) {
        stop_ms = number;
    } else if (strcmp(name, "inside") == 0) {
        inside = number != 0;
    } else if (strcmp(name, "stall") == 0) {
        (void)snprintf(stall_at, sizeof stall_at, "%s", value);
    } else if (strcmp(name, "loop") == 0) {
        config->loop = ELECTION_LOOP_PROGRAM;
    } else {
        fprintf(stderr, "what is %s?\n", name);
        exit(2);
    }
}

static void show_stats(void)
{
    static struct election_stats stats;
    stats.size = sizeof stats;
    enum election_error error = election_stats(election, &stats);
    say("stats %d leader=%s token=%llu self=%d state=%s up=%d nodes=%zu entries=%zu", (int)error,
        stats.leader, (unsigned long long)stats.leader_token, stats.is_leader,
        election_state_text(stats.state), stats.store_up, stats.n_nodes, stats.n_entries);
    for (size_t i = 0; i < stats.n_nodes; i++) {
        say("node %s %d %d %d", stats.nodes[i].node_id, stats.nodes[i].priority, stats.nodes[i].leading,
            stats.nodes[i].self);
    }
    say("stats-end revision %llu", (unsigned long long)stats.revision);
}

static void show_events(void)
{
    static struct election_stats stats;
    stats.size = sizeof stats;
    (void)election_stats(election, &stats);
    for (size_t i = 0; i < stats.n_entries; i++) {
        const struct election_entry *entry = &stats.entries[i];
        say("event %lld %s %s %llu", (long long)entry->time_ms, entry->node_id, election_act_text(entry->act),
            (unsigned long long)entry->token);
    }
    say("events-end %zu", stats.n_entries);
}

static void show_html(void)
{
    char page[ELECTION_FORMAT_BYTES];
    size_t n = election_format_stats(election, page, sizeof page);
    for (char *line = strtok(page, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        say("html %s", line);
    }
    say("html-end %zu", n);
}

/* Of a child of fork(): what each function says. */
static void show_child(void)
{
    static struct election_stats stats = {.size = sizeof stats};
    struct election_node node;
    char page[64];
    say("child leader %d %llu html %zu", election_is_leader(election),
        (unsigned long long)election_revision(election), election_format_stats(election, page, sizeof page));
    say("child refuses %d %d %d %d %d %d %d", election_close(election), election_free(election),
        election_step_down(election), election_wait(election, ELECTION_UNTIL_CLOSED, -1),
        election_dispatch(election), election_stats(election, &stats), election_node_info(election, &node));
}

static void show_fork(void)
{
    pid_t child = fork();
    if (child == 0) {
        show_child();
        _exit(0);
    }
    int status;
    (void)waitpid(child, &status, 0);
    say("parent %d", election_is_leader(election));
}

static bool obey(const char *command)
{
    if (strcmp(command, "leader?") == 0) {
        bool leads = election_is_leader(election);
        say("leader %d %llu", leads, (unsigned long long)election_revision(election));
    } else if (strcmp(command, "stats") == 0) {
        show_stats();
    } else if (strcmp(command, "html") == 0) {
        show_html();
    } else if (strcmp(command, "events") == 0) {
        show_events();
    } else if (strcmp(command, "idle") == 0) {
        idle = true;
        say("idles");
    } else if (strcmp(command, "go") == 0) {
        idle = false;
        (void)sem_post(&go);
    } else if (strcmp(command, "lost") == 0) {
        enum election_error error = election_wait(election, ELECTION_UNTIL_NOT_LEADING, -1);
        say("lost %d", (int)error);
    } else if (strcmp(command, "down") == 0) {
        say("down %d", (int)election_step_down(election));
    } else if (strcmp(command, "fork") == 0) {
        show_fork();
    } else if (strcmp(command, "close") == 0) {
        enum election_error first = election_close(election);
        say("closed %d %d leader %d", (int)first, (int)election_close(election),
            election_is_leader(election));
    } else if (strcmp(command, "quit") == 0) {
        say("freed %d", (int)election_free(election));
        return false;
    }
    return true;
}

static bool read_commands(void)
{
    static char held[4096];
    static size_t n;
    ssize_t more = read(STDIN_FILENO, held + n, sizeof held - 1 - n);
    if (more <= 0) {
        return false;
    }
    n += (size_t)more;
    held[n] = '\0';
    for (char *end; (end = strchr(held, '\n')) != NULL;) {
        *end = '\0';
        if (!obey(held)) {
            return false;
        }
        n -= (size_t)(end + 1 - held);
        memmove(held, end + 1, n + 1);
    }
    return true;
}

/* What the configuration pointed at is nobody's any more when election_run() has returned. */
static void forget(char **argv)
{
    for (int i = 1; argv[i] != NULL; i++) {
        memset(argv[i], '!', strlen(argv[i]));
    }
}

static bool configure(struct election_config *config, char **argv)
{
    election_config_init(config);
    config->redis_urls = argv[1];
    config->project = argv[2];
    config->node_id = argv[3];
    config->on_start = on_start;
    config->on_stop = on_stop;
    config->on_change = on_change;
    config->logger = logger;
    for (int i = 4; argv[i] != NULL; i++) {
        char *equals = strchr(argv[i], '=');
        *equals = '\0';
        set(config, argv[i], equals + 1);
    }
    return config->loop == ELECTION_LOOP_PROGRAM;
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES] = "";
    struct election_config config;
    (void)argc;
    (void)sem_init(&go, 0, 0);
    bool own_loop = configure(&config, argv);
    enum election_error error = election_run(&election, &config, words, sizeof words);
    if (error != ELECTION_OK) {
        say("refused %d %s", (int)error, words);
        return 1;
    }
    forget(argv);
    memset(&config, '!', sizeof config);
    say("run");
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN},
                            {.fd = election_fd(election), .events = POLLIN}};
    do {
        if (own_loop && !idle) {
            (void)election_dispatch(election);
        }
        (void)poll(fds, idle ? 1 : 2, -1);
    } while ((fds[0].revents & (POLLIN | POLLHUP)) == 0 || read_commands());
    return 0;
}
