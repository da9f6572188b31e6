/*
 * A file that only the leader appends to, safe also against a leader that was stopped in the middle of a write and
 * comes back too late: fenced NAME FILE [REDIS_URL,...]. Every line begins with the token of the leader that wrote it,
 * and an append is refused when the file has a line with a higher one, so the file's tokens never go down. Whatever is
 * written to (a database, an object store, a device) can be guarded like that if it can compare and write in one step.
 *
 *     cc fenced.c -o fenced $(pkg-config --cflags --libs election)
 */
#include <election.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LINE_BYTES 256

/* The token of the last whole line (0: there is none), and whether half a line follows it, from a machine that went
 * down while it wrote. -1 and errno. */
static int last_token(int fd, uint64_t *token, bool *torn)
{
    char tail[2 * LINE_BYTES + 1];
    off_t end = lseek(fd, 0, SEEK_END);
    off_t from = end > 2 * LINE_BYTES ? end - 2 * LINE_BYTES : 0;
    ssize_t n = end < 0 ? -1 : pread(fd, tail, sizeof tail - 1, from);
    if (n < 0) {
        return -1;
    }
    tail[n] = '\0';
    *torn = n > 0 && tail[n - 1] != '\n';
    *token = 0;
    char *line = tail;
    for (char *next; (next = strchr(line, '\n')) != NULL; line = next + 1) {
        if (line != tail || from == 0) { /* the first of the tail has lost its beginning */
            *token = strtoull(line, NULL, 10);
        }
    }
    return 0;
}

/*
 * The resource's side of fencing: compares and writes under the file's lock. 0; ESTALE if a later leader has written;
 * or the errno of what failed. A process that is stopped while it has the lock holds up the others: what guards a
 * resource for many machines had better be a server.
 */
static int fenced_append(const char *path, uint64_t token, const char *text)
{
    char line[LINE_BYTES];
    uint64_t newest;
    bool torn;
    int error = 0;
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        return errno;
    }
    if (flock(fd, LOCK_EX) != 0 || last_token(fd, &newest, &torn) != 0) {
        error = errno;
    } else if (newest > token) {
        error = ESTALE;
    } else {
        int n = snprintf(line, sizeof line, "%s%" PRIu64 " %s\n", torn ? "\n" : "", token, text);
        ssize_t written = n > 0 && n < LINE_BYTES ? write(fd, line, (size_t)n) : 0;
        if (written < 0 || fdatasync(fd) != 0) {
            error = errno;
        } else if (written != n) {
            error = EIO;
        }
    }
    if (close(fd) != 0 && error == 0) { /* and unlocks */
        error = errno;
    }
    return error;
}

struct work {
    const char *name;
    const char *path;
};

static int lead(void *user, struct election_context *context)
{
    const struct work *work = user;
    uint64_t token = election_context_token(context);
    printf("%s leads with token %" PRIu64 "\n", work->name, token);
    do {
        int error = fenced_append(work->path, token, work->name);
        if (error != 0) {
            printf("token %" PRIu64 ": %s\n", token,
                   error == ESTALE ? "refused, a later leader has written" : strerror(error));
            return 1; /* steps down, and stands again after a tick */
        }
    } while (election_context_wait(context, 100) == ELECTION_TIMEOUT);
    return 0;
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election_config config;
    struct election *election;
    sigset_t ends;

    if (argc < 3) {
        fprintf(stderr, "usage: %s NAME FILE [REDIS_URL,...]\n", argv[0]);
        return 2;
    }
    struct work work = {.name = argv[1], .path = argv[2]};
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for sigwait() below */

    election_config_init(&config);
    config.project = "fenced-file";
    config.node_id = work.name;
    config.redis_urls = argc > 3 ? argv[3] : "redis://127.0.0.1:6379";
    config.lease_ttl_ms = 1000;
    config.on_start = lead;
    config.user = &work;
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    sigwait(&ends, &(int){0});
    return election_free(election) != ELECTION_OK;
}
