/*
 * One of the crowd (crowd.py): a program that is elected by libelection and, while it leads, appends its token to a
 * file that all share. It is killed, stopped and started again from outside, and ends when its standard input does.
 *
 *     crowd_member URLS NAME FILE HISTORY [ttl=MS] [tick=MS] [priority=N] [tenure=MS] [seed=N] [zombie=1]
 *
 * FILE has records of RECORD_BYTES, `<token> <name>`. An append is guarded: under a lock, the last token is read, and a
 * lower one is refused. With zombie=1 it is not, and every former leader writes once more long after its end: the judge
 * must notice.
 *
 * HISTORY is what the judge reads (see tests/integration/harness/history.py), one object a line, times in seconds of
 * CLOCK_BOOTTIME. A "campaign" is the first moment at which election_is_leader() was seen to be true, an "extend" a
 * later one with a later deadline, a "resign" the end: sent when it was true for the last time, received when it was
 * false. {"fault": "..."} is what must never be, seen from inside. {"refused": TOKEN} is an append that came too late.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include <election.h>

#define RECORD_BYTES    48
#define LOOK_MS         4
#define APPEND_EVERY    8 /* looks */
#define FOREVER_S       1e18
#define FATE_MS_MIN     200
#define FATE_MS_MAX     3000
#define AWAY_MS_MAX     800
#define EXTENDS_LATER_S 0.01 /* a deadline that moved by less is not written down */

static const char *name;
static int file_fd;
static int history_fd;
static int leave_fd; /* on_start asks the main thread to close */
static bool zombie;
static long late_ms;
static unsigned seed;
static struct election *election;

/* --- notes --- */

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One write a line: those of different processes stay whole, and one that is killed leaves no half. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    line[n++] = '\n';
    if (write(history_fd, line, (size_t)n) != n) {
        abort();
    }
}

static void note_operation(const char *op, double sent, double received, uint64_t token, long left_ms)
{
    note("{\"client\": \"%s\", \"op\": \"%s\", \"election\": \"crowd\", \"candidate\": \"%s\", \"sent\": "
         "%.6f, "
         "\"received\": %.6f, \"status\": \"ok\", \"elected\": true, \"token\": %llu, \"arg_token\": %llu, "
         "\"expires_in\": %ld, \"until\": %.6f}",
         name, op, name, sent, received, (unsigned long long)token, (unsigned long long)token, left_ms,
         sent + (double)left_ms / 1000);
}

/* --- the shared file --- */

enum append { APPENDED, REFUSED, BUSY };

static uint64_t last_token(void)
{
    char record[RECORD_BYTES + 1] = "";
    off_t end = lseek(file_fd, 0, SEEK_END);
    if (end < RECORD_BYTES || pread(file_fd, record, RECORD_BYTES, end - RECORD_BYTES) != RECORD_BYTES) {
        return 0;
    }
    return strtoull(record, NULL, 10);
}

/* Never waits for the lock: its holder may be stopped. */
static enum append append(uint64_t token)
{
    char record[RECORD_BYTES + 1];
    enum append result = APPENDED;
    (void)snprintf(record, sizeof record, "%020llu %-*s\n", (unsigned long long)token, RECORD_BYTES - 22,
                   name);
    if (flock(file_fd, LOCK_EX | LOCK_NB) != 0) {
        return BUSY;
    }
    if (!zombie && token < last_token()) {
        result = REFUSED;
    } else if (write(file_fd, record, RECORD_BYTES) != RECORD_BYTES) {
        abort();
    }
    (void)flock(file_fd, LOCK_UN);
    return result;
}

/* --- leading --- */

/* The present leadership: of on_start and on_stop, which are one thread. */
struct tenure {
    uint64_t token; /* 0: none */
    double seen;    /* when it was seen to lead for the last time: the moment before the question */
    double told;    /* the latest deadline that was written down */
};

static struct tenure tenure;

static void see(const struct election_context *context, bool *leads)
{
    double before = now_s();
    uint64_t revision = election_revision(election);
    long left_ms = (long)election_context_left_ms(context);
    *leads = election_is_leader(election) && revision == tenure.token && left_ms > 0;
    double after = now_s();
    if (revision != 0 && revision != tenure.token) {
        note("{\"fault\": \"%s leads with token %llu inside the on_start of %llu\"}", name,
             (unsigned long long)revision, (unsigned long long)tenure.token);
    }
    if (!*leads) {
        return;
    }
    double until = before + (double)left_ms / 1000;
    if (until > tenure.told + EXTENDS_LATER_S) {
        note_operation(tenure.told == 0 ? "campaign" : "extend", before, after, tenure.token, left_ms);
        tenure.told = until;
    }
    tenure.seen = before;
}

static void write_token(void)
{
    if (append(tenure.token) != REFUSED) {
        return;
    }
    note("{\"refused\": %llu}", (unsigned long long)tenure.token);
    if (election_revision(election) == tenure.token) {
        note("{\"fault\": \"%s was refused token %llu, and still leads with it\"}", name,
             (unsigned long long)tenure.token);
    }
}

/* Looks and appends until it leads no more, or the time is over. */
static void lead(struct election_context *context, double end)
{
    struct pollfd fd = {.fd = election_context_fd(context), .events = POLLIN};
    bool leads;
    see(context, &leads);
    for (unsigned n = 0; leads && now_s() < end; n++) {
        if (n % APPEND_EVERY == 0) {
            write_token();
        }
        (void)poll(&fd, 1, LOOK_MS);
        see(context, &leads);
    }
}

static void wait_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

static long chance(long low, long high)
{
    return low + rand_r(&seed) % (high - low + 1);
}

/* What a leader does of itself, some time after it began. */
enum fate { STAYS, STEPS_DOWN, FAILS, LEAVES, WRITES_LATE };

static enum fate choose_fate(void)
{
    static const enum fate fates[] = {STAYS,      STAYS, STAYS,  STEPS_DOWN,  STEPS_DOWN,
                                      STEPS_DOWN, FAILS, LEAVES, WRITES_LATE, WRITES_LATE};
    return fates[chance(0, sizeof fates / sizeof *fates - 1)];
}

static int on_start(void *user, struct election_context *context)
{
    const uint64_t one = 1;
    enum fate fate = zombie ? STEPS_DOWN : choose_fate();
    bool stays = fate == STAYS || fate == WRITES_LATE;
    if (tenure.token != 0) {
        note("{\"fault\": \"%s: on_start follows on_start\"}", name);
    }
    tenure = (struct tenure){.token = election_context_token(context)};
    lead(context, stays ? FOREVER_S
                        : now_s() + (double)chance(FATE_MS_MIN, zombie ? FATE_MS_MIN : FATE_MS_MAX) / 1000);
    if (fate == FAILS) {
        return 1;
    }
    if (fate == STEPS_DOWN) {
        (void)election_step_down(election);
    } else if (fate == LEAVES) {
        (void)!write(leave_fd, &one, sizeof one);
    }
    lead(context, FOREVER_S);
    if (fate == WRITES_LATE || zombie) { /* as one that did not look at its context */
        wait_ms(zombie ? 4 * late_ms : chance(0, late_ms));
        write_token();
    }
    return 0;
}

static void on_stop(void *user, uint64_t token)
{
    if (token != tenure.token) {
        note("{\"fault\": \"%s: on_stop got another token than on_start\"}", name);
    }
    if (election_is_leader(election)) {
        note("{\"fault\": \"%s leads inside on_stop\"}", name);
    }
    if (tenure.told != 0) {
        note_operation("resign", tenure.seen, now_s(), token, 0);
    }
    tenure.token = 0;
}

/* --- life --- */

static void start(const struct election_config *config)
{
    char words[ELECTION_WORDS_BYTES] = "";
    if (election_run(&election, config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s: %s\n", name, words);
        exit(1);
    }
}

static void end(void)
{
    enum election_error error = election_free(election);
    if (error != ELECTION_OK) {
        fprintf(stderr, "%s: closing: %s\n", name, election_error_text(error));
        exit(1);
    }
}

static void take_option(struct election_config *config, const char *option, const char *value)
{
    long number = strtol(value, NULL, 10);
    if (strcmp(option, "ttl") == 0) {
        config->lease_ttl_ms = number;
        late_ms = number / 2;
    } else if (strcmp(option, "tick") == 0) {
        config->tick_interval_ms = number;
    } else if (strcmp(option, "priority") == 0) {
        config->node_priority = (int32_t)number;
        config->strategy = ELECTION_PRIORITY;
    } else if (strcmp(option, "tenure") == 0) {
        config->min_tenure_ms = number;
    } else if (strcmp(option, "seed") == 0) {
        seed = (unsigned)number;
    } else if (strcmp(option, "zombie") == 0) {
        zombie = number != 0;
    } else {
        fprintf(stderr, "what is %s?\n", option);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct election_config config;
    election_config_init(&config);
    if (argc < 5) {
        return 2;
    }
    name = argv[2];
    file_fd = open(argv[3], O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    history_fd = open(argv[4], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    leave_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    config.project = "crowd";
    config.node_id = name;
    config.redis_urls = argv[1];
    config.on_start = on_start;
    config.on_stop = on_stop;
    config.logger = election_log_stderr;
    for (int i = 5; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL) {
            return 2;
        }
        *equals = '\0';
        take_option(&config, argv[i], equals + 1);
    }
    start(&config);
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = leave_fd, .events = POLLIN}};
    while (poll(fds, 2, -1) >= 0 && fds[0].revents == 0) {
        uint64_t ignored;
        end();
        (void)!read(leave_fd, &ignored, sizeof ignored);
        wait_ms(chance(0, AWAY_MS_MAX));
        start(&config);
    }
    end();
    return 0;
}
