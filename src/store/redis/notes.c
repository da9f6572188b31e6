/*
 * What servers are told beside the decisions, for display: who campaigned and lost, and that what is remembered of a
 * leader is wanted as long as it leads. Nothing waits for it and nothing is decided by it, so it is dropped wherever
 * it would cost much.
 *
 * A losing campaign is one round trip of native commands. So each candidate is told of now and then, not with each of its
 * campaigns (throttle.h), and what came together in a turn travels as one script call per server.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/redis/internal.h"

#define BACKLOG_MAX ((size_t)64 * 1024) /* bytes: that server has enough to do */
#define QUARTER_MS  INT64_C(21600000)   /* of a day */
#define WEEK_MS     INT64_C(604800000)

/* --- calls that nobody waits for --- */

static enum err on_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    if (value->type == RESP_ERROR && str_starts(value->str, STR("NOSCRIPT"))) {
        conn_load_scripts(conn); /* the cache was flushed; the next call finds it again */
    }
    mem_free(call);
    return EA_OK;
}

static void on_lost(struct redis_conn *conn, struct redis_call *call)
{
    mem_free(call);
}

/* NULL: not now. */
static struct buf *begin(struct redis_server *server)
{
    if (server == NULL || !conn_is_ready(&server->conn) || conn_backlog(&server->conn) > BACKLOG_MAX) {
        return NULL;
    }
    struct redis_call *call = mem_zalloc(sizeof *call);
    *call = (struct redis_call){.replies = 1, .reply = on_reply, .lost = on_lost};
    return server_call(server, call);
}

/* --- those that lost --- */

void redis_notes_lost(struct redis_group *group, const struct quorum_names *names, int32_t priority)
{
    struct redis_lane *lane = group->lane;
    uint64_t hash = str_hash(names->candidate, names->hash ^ lane->agent) + (uint32_t)priority;
    if (!throttle_pass(lane->losers, hash, loop_now(lane->loop))) {
        return;
    }
    char text[NAME_BYTES_MAX + REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write(&lane->store->keys, REDIS_KEY_CANDIDATES, names->kind, names->election, text);
    resp_add(&group->lost_keys, (struct str){text, n});
    memcpy(text, names->candidate.p, names->candidate.n);
    n = names->candidate.n;
    n += (size_t)snprintf(text + n, sizeof text - n, "\t%" PRId32, priority);
    resp_add(&group->lost_members, (struct str){text, n});
    group->n_lost++;
}

void redis_notes_flush(struct redis_group *group)
{
    for (unsigned i = 0; group->n_lost > 0 && i < group->lane->store->n_nodes; i++) {
        struct redis_server *server = group->seats[i].server;
        struct buf *out = begin(server);
        if (out != NULL) {
            resp_begin(out, 3 + 2 * group->n_lost);
            resp_add(out, STR("EVALSHA"));
            resp_add(out, redis_scripts[REDIS_SCRIPT_STOOD].edition[server->conn.edition].sha);
            resp_add_u64(out, group->n_lost);
            buf_add_str(out, buf_str(&group->lost_keys));
            buf_add_str(out, buf_str(&group->lost_members));
        }
    }
    group->n_lost = 0;
    buf_clear(&group->lost_keys);
    buf_clear(&group->lost_members);
}

/* --- those that lead --- */

/* The meta is written when a tenure begins and must outlive it. To ask for that with every extension would be a command
 * more each time; so it is done by chance, four times a day on average for who extends once a term. */
void redis_notes_extended(struct redis_server *server, const struct quorum_command *command)
{
    struct redis_lane *lane = server->lane;
    uint64_t terms = command->term_ms < QUARTER_MS ? (uint64_t)(QUARTER_MS / command->term_ms) : 1;
    struct buf *out = rng_below(loop_rng(lane->loop), terms) == 0 ? begin(server) : NULL;
    if (out != NULL) {
        char key[REDIS_KEY_BYTES_MAX];
        size_t n = redis_key_write(&lane->store->keys, REDIS_KEY_META, command->names->kind,
                                   command->names->election, key);
        resp_begin(out, 3);
        resp_add(out, STR("PEXPIRE"));
        resp_add(out, (struct str){key, n});
        resp_add_i64(out, WEEK_MS + command->term_ms);
    }
}
