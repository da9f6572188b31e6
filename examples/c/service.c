/*
 * A service of systemd of which one on many machines works: service NAME [REDIS_URL,...], with election-service.service
 * beside this file. It is ready when it takes part, as leader or not; `systemctl status` shows which:
 *
 *     Status: "leading with token 1790000000000000"        Status: "standing by, alpha leads"
 *
 *     cc service.c -o election-service $(pkg-config --cflags --libs election)
 */
#include <election.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * What sd_notify() of libsystemd does: a datagram to the socket that systemd names. The protocol is documented and
 * promised not to change (sd_notify(3)), so these lines spare a service another library. Without systemd: nothing.
 */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path != NULL ? strlen(path) : 0;
    if (n == 0 || n >= sizeof to.sun_path) {
        return;
    }
    memcpy(to.sun_path, path, n);
    to.sun_path[0] = path[0] == '@' ? '\0' : path[0]; /* of the abstract name space */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, bytes) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void tell(void *user, const struct election_change *change)
{
    char state[ELECTION_NAME_BYTES + 64];
    if (change->self) {
        (void)snprintf(state, sizeof state, "STATUS=leading with token %llu",
                       (unsigned long long)change->token);
    } else {
        (void)snprintf(state, sizeof state, "STATUS=standing by, %s leads",
                       change->leader[0] != '\0' ? change->leader : "nobody");
    }
    notify(state);
}

static int lead(void *user, struct election_context *context)
{
    while (election_context_wait(context, 1000) == ELECTION_TIMEOUT) {
        /* the service's work, in steps much shorter than the lease */
    }
    return 0;
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election_config config;
    struct election *election;
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for sigwait() below */

    notify("STATUS=standing by, nobody is known to lead"); /* before the first tell() */
    election_config_init(&config);
    config.project = "election-service";
    config.node_id = argv[1];
    config.redis_urls = argc > 2 ? argv[2] : "redis://127.0.0.1:6379";
    config.on_start = lead;
    config.on_change = tell;
    config.logger = election_log_stderr; /* which the journal keeps */
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    notify("READY=1");
    sigwait(&ends, &(int){0});
    notify("STOPPING=1");
    return election_free(election) != ELECTION_OK;
}
