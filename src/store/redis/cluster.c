/*
 * Redis Clusters: each URL is one, known by its seeds. The slot map is read from whichever server answers, and
 * again when a server says that a slot is elsewhere; what becomes of the command is redirect.c's.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/redis/internal.h"

#define REFRESH_MS     INT64_C(10000) /* a failover is noticed by the broken connection; a planned one by MOVED */
#define REFRESH_MIN_MS INT64_C(100)
#define STRANGER_MS    INT64_C(15000)
#define HOST_BYTES_MAX 253

struct redis_cluster {
    struct redis_lane *lane;
    unsigned node;
    struct redis_server *servers; /* seeds first; later ones are added in front */
    struct redis_server **owners; /* by slot; NULL: nobody known */
    struct redis_call call;
    bool asking;
    bool known;
    bool doubted; /* the map of `asked`: another server is asked next */
    struct loop_timer refresh;
    struct redis_server *asked; /* last; NULL: none yet, or gone */
};

/* --- the map --- */

static struct redis_server *find_server(struct redis_cluster *cluster, struct str host, uint64_t port)
{
    for (struct redis_server *server = cluster->servers; server != NULL; server = server->next) {
        if (!server->leaving && str_eq(str_of(server->address->host), host) &&
            server->address->port == port) {
            return server;
        }
    }
    return NULL;
}

static struct redis_server *add_server(struct redis_cluster *cluster, struct str host, uint16_t port)
{
    struct redis_address *address = mem_zalloc(sizeof *address);
    assert(host.n > 0);
    bool brackets = memchr(host.p, ':', host.n) != NULL;
    char text[300];
    int n = snprintf(text, sizeof text, brackets ? "[%.*s]:%u" : "%.*s:%u", STR_ARG(host), (unsigned)port);
    address->host = mem_alloc(host.n + 1);
    memcpy(address->host, host.p, host.n);
    address->host[host.n] = '\0';
    address->port = port;
    address->text = mem_dup(text, (size_t)n + 1);
    struct redis_server *server = server_new(cluster->lane, cluster->node, 0, address);
    server->own_address = true;
    server->next = cluster->servers;
    cluster->servers = server;
    return server;
}

/* [first, last, [host, port, ...], replicas...]; an empty or missing host is the one that was asked. */
static bool take_range(struct redis_cluster *cluster, const struct resp_value *range,
                       struct redis_server **owners)
{
    int64_t first;
    int64_t last;
    uint64_t port;
    if (range->type != RESP_ARRAY || range->n < 3 || !resp_to_i64(&range->items[0], &first) ||
        !resp_to_i64(&range->items[1], &last) || first < 0 || last < first || last >= REDIS_SLOTS) {
        return false;
    }
    const struct resp_value *master = &range->items[2];
    if (master->type != RESP_ARRAY || master->n < 2 || !resp_to_u64(&master->items[1], &port) || port == 0 ||
        port > UINT16_MAX || master->items[0].str.n > 253) {
        return false;
    }
    struct str host = master->items[0].type == RESP_STRING ? master->items[0].str : (struct str){NULL, 0};
    if (host.n == 0) {
        host = str_of(cluster->asked->address->host);
    }
    if (host.n == 0 || str_plain(host) != host.n) {
        return false;
    }
    struct redis_server *server = cluster_server(cluster->asked, host, port);
    for (int64_t slot = first; slot <= last; slot++) {
        owners[slot] = server;
    }
    return true;
}

static void move_seats(struct redis_cluster *cluster)
{
    struct redis_lane *lane = cluster->lane;
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        if (lane->groups[slot] != NULL) {
            seat_move(&lane->groups[slot]->seats[cluster->node], cluster->owners[slot]);
        }
    }
}

/* --- servers that left --- */

static bool owns_a_slot(const struct redis_cluster *cluster, const struct redis_server *server)
{
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        if (cluster->owners[slot] == server) {
            return true;
        }
    }
    return false;
}

/* A server that owns nothing, and that no map and no redirection has named for a while, is no part of the cluster
 * any more: its connection is not tried for ever. Seeds stay: configuration names them. */
static void drop_strangers(struct redis_cluster *cluster)
{
    for (struct redis_server *server = cluster->servers; server != NULL; server = server->next) {
        int64_t unwanted_us = mono_sub(loop_now(cluster->lane->loop), server->wanted);
        if (server->own_address && !server->leaving && server->seats == NULL &&
            unwanted_us >= STRANGER_MS * 1000 && !owns_a_slot(cluster, server)) {
            server->leaving = true;
            conn_close(&server->conn);
        }
    }
}

static void free_left(struct redis_cluster *cluster)
{
    struct redis_server **at = &cluster->servers;
    while (*at != NULL) {
        struct redis_server *server = *at;
        if (server->leaving && conn_is_closed(&server->conn) && server->first == NULL &&
            !server->flush.queued && server->seats == NULL) {
            *at = server->next;
            cluster->asked = cluster->asked == server ? NULL : cluster->asked;
            server_free(server);
        } else {
            at = &server->next;
        }
    }
}

/* It was taken out of the cluster, or its cluster is not made yet: what others say of it may still hold. */
static void take_none(struct redis_cluster *cluster)
{
    cluster->doubted = true;
    if (!cluster->known) {
        health_node(
            cluster->asked, QUORUM_NODE_DOWN,
            "it is in a cluster that has no slots: add it to the cluster, or name others in redis.urls");
    }
}

static enum err take_map(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct redis_cluster *cluster = CONTAINER_OF(call, struct redis_cluster, call);
    cluster->asking = false;
    if (value->type == RESP_ERROR) {
        cluster->doubted = true;
        health_trouble(cluster->asked, redis_failure_of(value->str));
        return EA_OK;
    }
    if (value->type != RESP_ARRAY) {
        return EA_PROTOCOL;
    }
    if (value->n == 0) {
        take_none(cluster);
        return EA_OK;
    }
    struct redis_server **owners = mem_zalloc(REDIS_SLOTS * sizeof(struct redis_server *));
    for (size_t i = 0; i < value->n; i++) {
        if (!take_range(cluster, &value->items[i], owners)) {
            mem_free(owners);
            return EA_PROTOCOL;
        }
    }
    mem_free(cluster->owners);
    cluster->owners = owners;
    cluster->known = true;
    move_seats(cluster);
    drop_strangers(cluster);
    return EA_OK;
}

static void map_lost(struct redis_conn *conn, struct redis_call *call)
{
    struct redis_cluster *cluster = CONTAINER_OF(call, struct redis_cluster, call);
    cluster->asking = false;
}

/* The same one as before, so that servers that see different things (one is cut off from the rest) do not take turns;
 * unless what it says does not serve. */
static struct redis_server *whom_to_ask(const struct redis_cluster *cluster)
{
    struct redis_server *first = cluster->asked != NULL ? cluster->asked : cluster->servers;
    struct redis_server *server = first;
    if (cluster->asked != NULL && cluster->doubted) {
        server = first->next != NULL ? first->next : cluster->servers;
    }
    struct redis_server *end = server;
    do {
        if (conn_is_ready(&server->conn) && !server->leaving) {
            return server;
        }
        server = server->next != NULL ? server->next : cluster->servers;
    } while (server != end);
    return NULL;
}

static void ask(struct redis_cluster *cluster)
{
    struct redis_server *server = whom_to_ask(cluster);
    if (server == NULL || cluster->asking || cluster->lane->store->closing) {
        return;
    }
    cluster->doubted = false;
    cluster->asking = true;
    cluster->asked = server;
    cluster->call = (struct redis_call){.replies = 1, .reply = take_map, .lost = map_lost};
    struct buf *out = server_call(server, &cluster->call);
    resp_begin(out, 2);
    resp_add(out, STR("CLUSTER"));
    resp_add(out, STR("SLOTS"));
}

static void plan_refresh(struct redis_cluster *cluster, int64_t ms)
{
    struct loop *loop = cluster->lane->loop;
    loop_timer_start(loop, &cluster->refresh, mono_add_ms(loop_now(loop), ms));
}

static void refresh(struct loop *loop, struct loop_timer *timer)
{
    struct redis_cluster *cluster = CONTAINER_OF(timer, struct redis_cluster, refresh);
    bool whole = cluster->known;
    free_left(cluster);
    for (unsigned slot = 0; whole && slot < REDIS_SLOTS; slot++) {
        whole = cluster->owners[slot] != NULL && conn_is_ready(&cluster->owners[slot]->conn);
    }
    cluster->doubted = cluster->doubted || !whole;
    ask(cluster);
    plan_refresh(cluster, whole ? REFRESH_MS : 5 * REFRESH_MIN_MS);
}

void cluster_down(struct redis_server *server)
{
    struct redis_lane *lane = server->lane;
    if (lane->clusters != NULL && lane->clusters[server->node].asked == server) {
        lane->clusters[server->node].doubted = true;
    }
    cluster_moved(server);
}

void cluster_moved(struct redis_server *server)
{
    struct redis_lane *lane = server->lane;
    if (lane->clusters != NULL && !lane->store->closing) {
        conn_recheck(&server->conn); /* it may have become a replica */
        struct redis_cluster *cluster = &lane->clusters[server->node];
        struct mono soon = mono_add_ms(loop_now(lane->loop), REFRESH_MIN_MS);
        if (!wheel_started(&cluster->refresh.entry) || mono_before(soon, cluster->refresh.entry.at)) {
            plan_refresh(cluster, REFRESH_MIN_MS);
        }
    }
}

struct redis_server *cluster_server(struct redis_server *server, struct str host, uint64_t port)
{
    struct redis_cluster *cluster = &server->lane->clusters[server->node];
    if (host.n == 0) {
        host = str_of(server->address->host);
    }
    if (host.n > HOST_BYTES_MAX || str_plain(host) != host.n || port == 0 || port > UINT16_MAX) {
        return NULL;
    }
    struct redis_server *found = find_server(cluster, host, port);
    if (found == NULL) {
        found = add_server(cluster, host, (uint16_t)port);
    }
    found->wanted = loop_now(cluster->lane->loop);
    return found;
}

void cluster_set_owner(struct redis_server *owner, unsigned slot)
{
    struct redis_cluster *cluster = &owner->lane->clusters[owner->node];
    if (cluster->owners != NULL) {
        cluster->owners[slot] = owner;
    }
}

void cluster_server_up(struct redis_server *server)
{
    if (server->lane->clusters != NULL) {
        struct redis_cluster *cluster = &server->lane->clusters[server->node];
        if (!cluster->known) {
            ask(cluster);
        }
    }
}

struct redis_server *cluster_owner(struct redis_lane *lane, unsigned node, unsigned slot)
{
    const struct redis_cluster *cluster = &lane->clusters[node];
    return cluster->owners != NULL ? cluster->owners[slot] : NULL;
}

/* --- life --- */

void cluster_init(struct redis_lane *lane)
{
    struct redis_store *store = lane->store;
    lane->clusters = mem_zalloc(store->n_nodes * sizeof *lane->clusters);
    for (unsigned i = 0; i < store->n_nodes; i++) {
        struct redis_cluster *cluster = &lane->clusters[i];
        struct redis_server **end = &cluster->servers;
        cluster->lane = lane;
        cluster->node = i;
        cluster->refresh.fire = refresh;
        for (size_t j = 0; j < store->urls[i].n_servers; j++) {
            *end = server_new(lane, i, 0, &store->urls[i].servers[j]);
            end = &(*end)->next;
        }
        plan_refresh(cluster, 5 * REFRESH_MIN_MS);
    }
}

void cluster_fini(struct redis_lane *lane)
{
    for (unsigned i = 0; lane->clusters != NULL && i < lane->store->n_nodes; i++) {
        loop_timer_stop(lane->loop, &lane->clusters[i].refresh);
        mem_free(lane->clusters[i].owners);
    }
    mem_free(lane->clusters);
}

struct redis_server *lane_next_server(const struct redis_lane *lane, const struct redis_server *server)
{
    const struct redis_store *store = lane->store;
    if (lane->clusters == NULL) {
        unsigned next = server == NULL ? 0 : server->node * store->shards + server->position + 1;
        return next < store->n_nodes * store->shards ? lane->servers[next] : NULL;
    }
    if (server != NULL && server->next != NULL) {
        return server->next;
    }
    unsigned next = server == NULL ? 0 : server->node + 1;
    return next < store->n_nodes ? lane->clusters[next].servers : NULL;
}
