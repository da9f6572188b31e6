#include "store/redis/failure.h"

#include <stddef.h>
#include <string.h>

static const struct redis_failure failures[] = {
    {STR_INIT("READONLY"), "it is a replica: name its master in redis.urls"},
    {STR_INIT("LOADING"), "it is loading its data and comes back by itself"},
    {STR_INIT("BUSY"), "somebody's script blocks it: end that with SCRIPT KILL"},
    {STR_INIT("MASTERDOWN"), "it is a replica that has lost its master: name the master in redis.urls"},
    {STR_INIT("OOM"), "its memory is full: raise maxmemory, or give the elections a server of their own"},
    {STR_INIT("NOAUTH"), "it wants a password: write redis://user:password@host"},
    {STR_INIT("WRONGPASS"), "it refuses user and password: correct them in redis.urls"},
    {STR_INIT("NOPERM"), "its ACL does not let this user do that: docs/redis.md lists the rights"},
    {STR_INIT("NOSCRIPT"), "its script cache was emptied; the scripts are loaded again"},
    {STR_INIT("TRYAGAIN"), "the slot is being moved; that ends by itself"},
    {STR_INIT("ASK"), "the slot is being moved; its new owner is asked"},
    {STR_INIT("MOVED"), "the slot has another owner, which takes over by itself"},
    {STR_INIT("CLUSTERDOWN"), "the cluster does not serve all slots: see CLUSTER INFO"},
    {STR_INIT("CROSSSLOT"), "it is part of a Redis Cluster: set redis.mode to cluster"},
    {STR_INIT("MISCONF"),
     "it cannot save and refuses writes: see its log, or set stop-writes-on-bgsave-error no"},
    {STR_INIT("NOREPLICAS"), "it refuses writes without replicas: see min-replicas-to-write"},
    {STR_INIT("DENIED"), "it is in protected mode: set a password, or bind it to a private address"},
    {STR_INIT("WRONGTYPE"), "a key of ours holds something else: let nobody else use the prefix"},
    {STR_INIT(""), "see docs/redis.md"},
};

static struct str first_word(struct str text)
{
    size_t n = 0;
    while (n < text.n && ((text.p[n] >= 'A' && text.p[n] <= 'Z') || text.p[n] == '_')) {
        n++;
    }
    return (struct str){text.p, n};
}

/* Before 7.0 what a script's command answered stands inside: "ERR Error running script (...): ...: -OOM ...". */
static struct str inner(struct str error)
{
    if (str_starts(error, STR("ERR "))) {
        const char *found = memmem(error.p, error.n, ": -", 3);
        if (found != NULL) {
            size_t skip = (size_t)(found - error.p) + 3;
            return (struct str){error.p + skip, error.n - skip};
        }
    }
    return error;
}

/* A right that a script lacks is no NOPERM before 7.2: "ERR The user executing the script can't run this command ...". */
static bool lacks_right(struct str error)
{
    static const char words[] = "user executing the script can't";
    return error.n > 0 && memmem(error.p, error.n, words, sizeof words - 1) != NULL;
}

const struct redis_failure *redis_failure_of(struct str error)
{
    struct str word = lacks_right(error) ? STR("NOPERM") : first_word(inner(error));
    const struct redis_failure *row = failures;
    while (row->word.n > 0 && !str_eq(row->word, word)) {
        row++;
    }
    return row;
}

bool redis_failure_is(const struct redis_failure *failure, const char *word)
{
    return str_eq(failure->word, str_of(word));
}
