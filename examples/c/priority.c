/*
 * A primary and its stand-by: priority NAME PRIORITY [REDIS_URL,...]. Start `priority main 1` and `priority spare 2`.
 * While both live, main leads. Kill it, and spare leads; start it again, and spare hands over as soon as its own work
 * has stopped: nobody leads in between, and never both.
 *
 *     cc priority.c -o priority $(pkg-config --cflags --libs election)
 */
#include <election.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int lead(void *user, struct election_context *context)
{
    printf("leading with token %llu\n", (unsigned long long)election_context_token(context));
    while (election_context_wait(context, 200) == ELECTION_TIMEOUT) {
        /* work: in steps much shorter than the lease */
    }
    return 0;
}

/* Called after lead() has returned, and before the other may lead: the place to close what it has opened. */
static void stop(void *user, uint64_t token)
{
    printf("stopped, token %llu\n", (unsigned long long)token);
}

static void tell(void *user, const struct election_change *change)
{
    printf("%s leads\n", change->leader[0] != '\0' ? change->leader : "nobody");
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election_config config;
    struct election *election;
    sigset_t ends;

    if (argc < 3) {
        fprintf(stderr, "usage: %s NAME PRIORITY [REDIS_URL,...]\n", argv[0]);
        return 2;
    }
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for sigwait() below */

    election_config_init(&config);
    config.project = "priority-pair";
    config.node_id = argv[1];
    config.strategy = ELECTION_PRIORITY;
    config.node_priority = (int32_t)strtol(argv[2], NULL, 10); /* the lower number is more wanted */
    config.redis_urls = argc > 3 ? argv[3] : "redis://127.0.0.1:6379";
    config.lease_ttl_ms = 2000;
    config.fail_back_delay_ms =
        500; /* so long main has to be back before it is trusted again: minutes, in earnest */
    config.on_start = lead;
    config.on_stop = stop;
    config.on_change = tell;
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    sigwait(&ends, &(int){0});
    return election_free(election) != ELECTION_OK;
}
