/*
 * One of several programs of which one leads: minimal NAME [REDIS_URL,...]
 *
 *     cc minimal.c -o minimal $(pkg-config --cflags --libs election)
 */
#include <election.h>
#include <signal.h>
#include <stdio.h>

static int lead(void *user, struct election_context *context)
{
    do { /* what only one may do, in steps much shorter than the lease of three seconds */
        printf("leading with token %llu\n", (unsigned long long)election_context_token(context));
    } while (election_context_wait(context, 1000) == ELECTION_TIMEOUT);
    printf("leading no more\n");
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
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for sigwait() below */

    election_config_init(&config);
    config.project = "minimal";
    config.node_id = argv[1];
    config.redis_urls = argc > 2 ? argv[2] : "redis://127.0.0.1:6379";
    config.on_start = lead;
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    sigwait(&ends, &(int){0});                     /* Ctrl-C */
    return election_free(election) != ELECTION_OK; /* gives the leadership up: another leads at once */
}
