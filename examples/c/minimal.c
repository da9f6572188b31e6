/*
 * One of several programs of which one leads: minimal NAME [REDIS_URL,...]. Start it in three terminals under three
 * names. Ctrl-C in the one that leads: another leads at once; kill -9: after lease_ttl, three seconds.
 *
 *     cc minimal.c -o minimal $(pkg-config --cflags --libs election)
 */
#include <election.h>
#include <signal.h>
#include <stdio.h>

static int lead(void *user, struct election_context *context)
{
    printf("leading with token %llu\n", (unsigned long long)election_context_token(context));
    while (election_context_wait(context, 1000) == ELECTION_TIMEOUT) {
        printf("working\n"); /* what only one may do, in steps much shorter than a lease */
    }
    printf("leading no more\n");
    return 0;
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election_config config;
    struct election *election;
    sigset_t ends;
    int ended;

    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* a line is seen at once, in a pipe too */
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGINT);
    (void)sigaddset(&ends, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &ends, NULL);

    election_config_init(&config);
    config.project = "minimal";
    config.node_id = argc > 1 ? argv[1] : NULL; /* NULL: the name of the host */
    config.redis_urls = argc > 2 ? argv[2] : "redis://127.0.0.1:6379";
    config.on_start = lead;
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    (void)sigwait(&ends, &ended);
    return election_free(election) == ELECTION_OK ? 0 : 1; /* resigns: another leads at once */
}
