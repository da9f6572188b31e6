/*
 * Signs of life: every server of the group is told that a candidate lives, and tells who else does. Nothing waits for
 * it and nothing is decided by it: a server that does not answer is left out.
 */
#include "base/mem.h"
#include "store/redis/internal.h"

struct ask {
    struct redis_call call;
    struct redis_server *server;
    void (*seen)(void *user, struct str candidate, int32_t priority, int64_t age_us);
    void *user;
};

/* "name\tpriority\tb"; others are of campaigns, with the time of another clock. */
static bool take_candidate(struct str text, struct str *name, int32_t *priority)
{
    struct str digits;
    struct error ignored;
    int64_t number;
    if (!str_split(&text, '\t', name) || !str_split(&text, '\t', &digits) || !str_eq(text, STR("b")) ||
        !str_to_i64(digits, &number) || number < INT32_MIN || number > INT32_MAX) {
        return false;
    }
    *priority = (int32_t)number;
    return name_check("candidate", *name, &ignored) == EA_OK;
}

static enum err take(const struct ask *ask, const struct resp_value *value)
{
    if (value->type == RESP_ERROR) {
        /* NOSCRIPT: the cache was flushed; the next beat finds it again. */
        if (str_starts(value->str, STR("NOSCRIPT"))) {
            conn_load_scripts(&ask->server->conn);
        }
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n % 2 != 0) {
        return EA_PROTOCOL;
    }
    for (size_t i = 0; i < value->n; i += 2) {
        struct str name;
        int32_t priority;
        int64_t age_us;
        if (value->items[i].type == RESP_STRING && take_candidate(value->items[i].str, &name, &priority) &&
            resp_to_i64(&value->items[i + 1], &age_us) && age_us >= 0) {
            ask->seen(ask->user, name, priority, age_us);
        }
    }
    return EA_OK;
}

static enum err on_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct ask *ask = CONTAINER_OF(call, struct ask, call);
    enum err err = take(ask, value);
    mem_free(ask);
    return err;
}

static void on_lost(struct redis_conn *conn, struct redis_call *call)
{
    mem_free(CONTAINER_OF(call, struct ask, call));
}

static void tell(struct redis_server *server, const struct election_beat *beat)
{
    char key[REDIS_KEY_BYTES_MAX];
    struct ask *ask = mem_zalloc(sizeof *ask);
    ask->call = (struct redis_call){.replies = 1, .reply = on_reply, .lost = on_lost};
    ask->server = server;
    ask->seen = beat->seen;
    ask->user = beat->user;
    struct buf *out = server_call(server, &ask->call);
    size_t n =
        redis_key_write(&server->lane->store->keys, REDIS_KEY_CANDIDATES, beat->kind, beat->election, key);
    resp_begin(out, 8);
    resp_add(out, STR("EVALSHA"));
    resp_add(out, redis_scripts[REDIS_SCRIPT_BEAT].edition[server->conn.edition].sha);
    resp_add(out, STR("1"));
    resp_add(out, (struct str){key, n});
    resp_add(out, beat->candidate);
    resp_add_i64(out, beat->priority);
    resp_add(out, beat->stands ? STR("1") : STR("0"));
    resp_add_i64(out, beat->live_us);
}

void redis_beat(struct redis_group *group, const struct election_beat *beat)
{
    for (unsigned i = 0; i < group->lane->store->n_nodes; i++) {
        struct redis_server *server = group->seats[i].server;
        if (server != NULL && conn_is_ready(&server->conn)) {
            tell(server, beat);
        }
    }
}
