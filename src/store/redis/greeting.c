#include "store/redis/greeting.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_NAME "election-agent"

/* --- errors --- */

static enum err refuse(struct error *error, const char *what, const struct resp_value *value)
{
    char shown[100];
    const struct redis_failure *failure = redis_failure_of(value->str);
    (void)str_escape(value->str, shown, sizeof shown);
    return error_set(error, EA_UNAVAILABLE, "%s: %s (%s)", what, shown, failure->cure);
}

/* --- hello --- */

unsigned greeting_write_hello(const struct redis_conn *conn, struct buf *out)
{
    const struct redis_url *url = conn->options.url;
    unsigned replies = 2;
    /* The reader knows RESP2 only (hiredis 0.14), which every server speaks. */
    resp_begin(out, url->password != NULL ? 7 : 4);
    resp_add(out, STR("HELLO"));
    resp_add(out, STR("2"));
    if (url->password != NULL) {
        resp_add(out, STR("AUTH"));
        resp_add(out, url->user != NULL ? str_of(url->user) : STR("default"));
        resp_add(out, str_of(url->password));
    }
    resp_add(out, STR("SETNAME"));
    resp_add(out, STR(CLIENT_NAME));
    if (url->db != 0) {
        resp_begin(out, 2);
        resp_add(out, STR("SELECT"));
        resp_add_u64(out, url->db);
        replies++;
    }
    resp_begin(out, 1);
    resp_add(out, STR("INFO"));
    return replies;
}

/* A map as a flat array: the client's id is what the next connection kills. */
static enum err take_hello(struct redis_conn *conn, const struct resp_value *value, struct error *error)
{
    if (value->type == RESP_ERROR && str_starts(value->str, STR("ERR unknown command"))) {
        return error_set(error, EA_UNAVAILABLE, "it is too old: Redis 6.2 or later is needed");
    }
    if (value->type == RESP_ERROR) {
        return refuse(error, "HELLO", value);
    }
    conn->greeted_id = 0;
    for (size_t i = 0; value->type == RESP_ARRAY && i + 1 < value->n; i += 2) {
        if (resp_is_text(&value->items[i]) && str_eq(value->items[i].str, STR("id"))) {
            (void)resp_to_u64(&value->items[i + 1], &conn->greeted_id);
        }
    }
    if (conn->greeted_id == 0) {
        return error_set(error, EA_UNAVAILABLE, "what it answers to HELLO is no answer of a Redis");
    }
    return EA_OK;
}

/* --- INFO --- */

/* The value of "name:value\r\n". Empty if there is none. */
static struct str fact(struct str info, const char *name)
{
    size_t n = strlen(name);
    for (struct str line; str_split(&info, '\n', &line);) {
        if (line.n > n && line.p[n] == ':' && memcmp(line.p, name, n) == 0) {
            return str_trim((struct str){line.p + n + 1, line.n - n - 1});
        }
    }
    return (struct str){NULL, 0};
}

static bool is_id(struct str id)
{
    if (id.n == 0 || id.n >= QUORUM_ID_BYTES) {
        return false;
    }
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= ' ' || id.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static void copy_fact(char *out, size_t cap, struct str value)
{
    (void)snprintf(out, cap, "%.*s", STR_ARG(value));
}

static enum err check_version(struct redis_conn *conn, struct str version, struct error *error)
{
    uint64_t major = 0;
    uint64_t minor = 0;
    struct str rest = version;
    struct str part;
    bool fits = str_split(&rest, '.', &part) && str_to_u64(part, &major) && str_split(&rest, '.', &part) &&
                str_to_u64(part, &minor);
    if (!fits) {
        return error_set_str(error, EA_UNAVAILABLE, "its INFO names no redis_version", version);
    }
    if (major < 6 || (major == 6 && minor < 2)) {
        return error_set_str(error, EA_UNAVAILABLE, "it is too old: Redis 6.2 or later is needed", version);
    }
    conn->edition = major >= 7 && !conn->options.old ? REDIS_EDITION_7 : REDIS_EDITION_6;
    return EA_OK;
}

static enum err check_kind(const struct redis_conn *conn, struct str mode, struct error *error)
{
    if (str_eq(mode, STR("sentinel"))) {
        return error_set(error, EA_UNAVAILABLE, "it is a Sentinel, which keeps no data");
    }
    if (str_eq(mode, STR("cluster")) && !conn->options.cluster) {
        return error_set(error, EA_UNAVAILABLE, "it is part of a Redis Cluster: set redis.mode to cluster");
    }
    if (!str_eq(mode, STR("cluster")) && conn->options.cluster) {
        return error_set(error, EA_UNAVAILABLE,
                         "it is not part of a Redis Cluster: set redis.mode to single or sharding");
    }
    return EA_OK;
}

static enum err take_info(struct redis_conn *conn, const struct resp_value *value, struct error *error)
{
    if (value->type == RESP_ERROR) {
        return refuse(error, "INFO", value);
    }
    if (value->type != RESP_STRING) {
        return error_set(error, EA_UNAVAILABLE, "what it answers to INFO is no answer of a Redis");
    }
    struct str run_id = fact(value->str, "run_id");
    struct str replication_id = fact(value->str, "master_replid");
    struct str policy = fact(value->str, "maxmemory_policy");
    enum err err = check_version(conn, fact(value->str, "redis_version"), error);
    if (err == EA_OK) {
        err = check_kind(conn, fact(value->str, "redis_mode"), error);
    }
    if (err == EA_OK && (!is_id(run_id) || !is_id(replication_id))) {
        err = error_set(error, EA_UNAVAILABLE, "its INFO names no run_id and master_replid");
    }
    if (err != EA_OK) {
        return err;
    }
    copy_fact(conn->hello.run_id, sizeof conn->hello.run_id, run_id);
    copy_fact(conn->hello.replication_id, sizeof conn->hello.replication_id, replication_id);
    conn->hello.master = str_eq(fact(value->str, "role"), STR("master"));
    conn->hello.evicts =
        !str_eq(fact(value->str, "maxmemory"), STR("0")) && !str_eq(policy, STR("noeviction"));
    return EA_OK;
}

void greeting_write_recheck(struct buf *out)
{
    resp_begin(out, 2);
    resp_add(out, STR("INFO"));
    resp_add(out, STR("replication"));
}

bool greeting_is_same(const struct redis_conn *conn, const struct resp_value *value)
{
    if (value->type != RESP_STRING) {
        return true;
    }
    struct str role = fact(value->str, "role");
    struct str id = fact(value->str, "master_replid");
    bool same_role = role.n == 0 || str_eq(role, STR("master")) == conn->hello.master;
    return same_role && (id.n == 0 || str_eq(id, str_of(conn->hello.replication_id)));
}

enum err greeting_take_fact(struct redis_conn *conn, unsigned left, const struct resp_value *value,
                            struct error *error)
{
    bool selects = conn->options.url->db != 0;
    if (left == (selects ? 2U : 1U)) {
        return take_hello(conn, value, error);
    }
    if (left == 0) {
        return take_info(conn, value, error);
    }
    return value->type == RESP_ERROR ? refuse(error, "SELECT", value) : EA_OK;
}

/* --- preparation --- */

unsigned greeting_write_scripts(enum redis_edition edition, struct buf *out)
{
    for (unsigned i = 0; i < REDIS_SCRIPT_COUNT; i++) {
        resp_begin(out, 3);
        resp_add(out, STR("SCRIPT"));
        resp_add(out, STR("LOAD"));
        resp_add(out, redis_scripts[i].edition[edition].text);
    }
    return REDIS_SCRIPT_COUNT;
}

/* The ids of another process would be those of strangers. */
static bool kills(const struct redis_conn *conn)
{
    return conn->client_id != 0 && strcmp(conn->client_run_id, conn->hello.run_id) == 0;
}

unsigned greeting_write_preparation(const struct redis_conn *conn, struct buf *out)
{
    unsigned replies = 0;
    if (kills(conn)) {
        resp_begin(out, 4);
        resp_add(out, STR("CLIENT"));
        resp_add(out, STR("KILL"));
        resp_add(out, STR("ID"));
        resp_add_u64(out, conn->client_id);
        replies++;
    }
    if (conn->options.channel.n > 0) {
        resp_begin(out, 2);
        resp_add(out, STR("SUBSCRIBE"));
        resp_add(out, conn->options.channel);
        return replies + 1;
    }
    if (conn->options.shards.n > 0) {
        if (conn->hello.master) {
            resp_begin(out, 4);
            resp_add(out, STR("SET"));
            resp_add(out, conn->options.shards_key);
            resp_add(out, conn->options.shards);
            resp_add(out, STR("NX"));
            replies++;
        }
        resp_begin(out, 2);
        resp_add(out, STR("GET"));
        resp_add(out, conn->options.shards_key);
        replies++;
    }
    return replies + greeting_write_scripts(conn->edition, out);
}

static unsigned shards_replies(const struct redis_conn *conn)
{
    return conn->options.shards.n == 0 ? 0 : conn->hello.master ? 2 : 1;
}

static enum err check_shards(const struct redis_conn *conn, const struct resp_value *value,
                             struct error *error)
{
    if (value->type == RESP_ERROR) {
        return refuse(error, "GET", value);
    }
    if (value->type == RESP_STRING && !str_eq(value->str, conn->options.shards)) {
        char stored[40];
        (void)str_escape(value->str, stored, sizeof stored);
        return error_set(error, EA_UNAVAILABLE,
                         "it was shard %s of its group and would now be %.*s: elections would move. Restore "
                         "redis.urls, or stop every agent for the longest term and delete %.*s",
                         stored, STR_ARG(conn->options.shards), STR_ARG(conn->options.shards_key));
    }
    return EA_OK;
}

enum err greeting_take_preparation(struct redis_conn *conn, unsigned left, const struct resp_value *value,
                                   struct error *error)
{
    enum err err = EA_OK;
    if (conn->options.channel.n > 0) {
        const char *what = left == 0 ? "SUBSCRIBE" : "CLIENT KILL";
        err = value->type == RESP_ERROR ? refuse(error, what, value) : EA_OK;
    } else if (left < REDIS_SCRIPT_COUNT) {
        err = value->type == RESP_ERROR ? refuse(error, "SCRIPT LOAD", value) : EA_OK;
    } else if (left == REDIS_SCRIPT_COUNT && conn->options.shards.n > 0) {
        err = check_shards(conn, value, error);
    } else if (value->type == RESP_ERROR) {
        unsigned behind_kill = REDIS_SCRIPT_COUNT + shards_replies(conn);
        err = refuse(error, left == behind_kill ? "CLIENT KILL" : "SET", value);
    }
    if (err == EA_OK && left == 0) {
        conn->client_id = conn->greeted_id;
        memcpy(conn->client_run_id, conn->hello.run_id, sizeof conn->client_run_id);
    }
    return err;
}
