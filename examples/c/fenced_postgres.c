/*
 * A row of PostgreSQL that only the leader writes, safe also against a former leader whose statement arrives too late:
 * fenced-postgres NAME CONNECTION [REDIS_URL,...], with a CONNECTION such as "host=db dbname=billing". The row has the
 * highest token that has written it, and the statement that writes compares in the same step.
 *
 *     cc fenced_postgres.c -o fenced-postgres $(pkg-config --cflags --libs election libpq)
 *
 * The table, once:
 *
 *     CREATE TABLE shard (id text PRIMARY KEY, token bigint NOT NULL, value text NOT NULL);
 *     INSERT INTO shard VALUES ('orders', 0, '');
 */
#include <election.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A statement that hangs must not outlive the lease by much: what it writes is refused then, but nobody works. */
#define LIMITS "connect_timeout=2 tcp_user_timeout=2000 options='-c statement_timeout=1000' "

/* 0: written. 1: refused, a later leader has written. -1: not known, the words are on standard error. */
static int fenced_write(PGconn *db, uint64_t token, const char *value)
{
    char number[24];
    const char *const values[] = {number, value};
    (void)snprintf(number, sizeof number, "%" PRIu64, token);
    PGresult *result =
        PQexecParams(db, "UPDATE shard SET token = $1, value = $2 WHERE id = 'orders' AND token <= $1", 2,
                     NULL, values, NULL, NULL, 0);
    int written = -1;
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        written = strcmp(PQcmdTuples(result), "1") == 0 ? 0 : 1;
    } else {
        fprintf(stderr, "%s", PQerrorMessage(db));
    }
    PQclear(result);
    return written;
}

struct work {
    const char *name;
    char connection[1024];
};

static int lead(void *user, struct election_context *context)
{
    const struct work *work = user;
    uint64_t token = election_context_token(context);
    int written = -1;
    PGconn *db = PQconnectdb(work->connection);
    if (PQstatus(db) != CONNECTION_OK) {
        fprintf(stderr, "%s", PQerrorMessage(db));
        goto out;
    }
    printf("%s leads with token %" PRIu64 "\n", work->name, token);
    do {
        written = fenced_write(db, token, work->name);
    } while (written == 0 && election_context_wait(context, 200) == ELECTION_TIMEOUT);
    if (written == 1) {
        printf("token %" PRIu64 ": refused, a later leader has written\n", token);
    }
out:
    PQfinish(db);
    return written; /* not 0: steps down, so that a node that reaches the database can lead */
}

int main(int argc, char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election_config config;
    struct election *election;
    sigset_t ends;

    if (argc < 3) {
        fprintf(stderr, "usage: %s NAME CONNECTION [REDIS_URL,...]\n", argv[0]);
        return 2;
    }
    struct work work = {.name = argv[1]};
    (void)snprintf(work.connection, sizeof work.connection, LIMITS "%s", argv[2]);
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* for sigwait() below */

    election_config_init(&config);
    config.project = "fenced-postgres";
    config.node_id = work.name;
    config.redis_urls = argc > 3 ? argv[3] : "redis://127.0.0.1:6379";
    config.on_start = lead;
    config.user = &work;
    if (election_run(&election, &config, words, sizeof words) != ELECTION_OK) {
        fprintf(stderr, "%s\n", words);
        return 1;
    }
    sigwait(&ends, &(int){0});
    return election_free(election) != ELECTION_OK;
}
