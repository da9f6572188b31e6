/*
 * Inside the Redis store: what its files share. It carries out what the quorum (core/quorum) decides, and
 * decides nothing about elections itself.
 *
 *   redis.c    the store's operations: open, submit, status, count, close
 *   group.c    a quorum object and its seats: which server is its node 0, 1, 2...
 *   server.c   a server as one lane sees it: the queue of commands, batches, replies
 *   redirect.c MOVED, ASK, TRYAGAIN
 *   cluster.c  the slot map of each Redis Cluster, and which server owns a group's slot
 *   health.c   what is told about nodes: status, log lines
 *   info.c     OP_INFO beyond the tenure;  recall.c  what several nodes remember, put together;  list.c  OP_LIST
 *   notes.c    what servers are told for display: who lost, as far as throttle.c lets it;  beat.c  who lives
 *   listen.c   a watched store listens to the nodes' notices;  news.c  what they add up to
 *   census.c    elections led, per kind
 *   conn.c, greeting.c, resp.c, wire_*.c, keys.c, url.c, failure.c, script.h: one server, without the quorum
 *
 * A lane has a quorum object for each set of servers that decides together: one in single mode, one per shard,
 * and in cluster mode one per slot in use. Everything of a lane is touched on its loop only.
 */
#ifndef EA_STORE_REDIS_INTERNAL_H
#define EA_STORE_REDIS_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/slab.h"
#include "core/quorum/quorum.h"
#include "net/loop.h"
#include "store/redis/census.h"
#include "store/redis/conn.h"
#include "store/redis/redis.h"
#include "store/redis/throttle.h"
#include "store/redis/wire.h"
#include "store/store.h"

struct redis_lane;
struct redis_group;
struct redis_server;

/* Where a group's node lives. */
struct redis_seat {
    struct redis_group *group;
    unsigned node;
    struct redis_server *server; /* NULL: not known (cluster) */
    enum quorum_node_state state;
    struct redis_seat *next; /* of the same server */
    struct wire_node wire;
    bool up; /* the quorum was told so */

    /* Cluster. */
    bool arriving;               /* `server` is new, and the quorum does not know yet */
    struct quorum_command *held; /* redirected: they go out again */
    struct quorum_command **held_end;
    struct loop_timer retry;
};

struct redis_group {
    struct redis_lane *lane;
    unsigned index; /* the shard; the slot */
    struct quorum *quorum;
    struct loop_timer timer;
    struct mono timer_at;
    struct mono fired_at;
    struct mono used_until; /* cluster: see group_of() */
    struct loop_task settle;
    struct quorum_command *homeless; /* commands to seats without a server */
    struct quorum_command **homeless_end;
    bool was_up;
    bool is_up;
    uint64_t told_claims_low; /* what of its quorum is in the store's counts */
    uint64_t told_undos;
    struct buf lost_keys; /* notes.c: who lost in this turn, as the words of the command to come */
    struct buf lost_members;
    size_t n_lost;
    struct redis_seat seats[]; /* one per node */
};

struct redis_server {
    struct redis_lane *lane;
    unsigned node;     /* which URL */
    unsigned position; /* sharding: which shard; cluster: unused */
    struct redis_address *address;
    struct redis_conn conn;
    struct redis_seat *seats;
    struct redis_server *next; /* cluster: of the same cluster */

    struct quorum_command *first; /* not encoded yet, in order */
    struct quorum_command **end;
    struct loop_task flush;
    struct loop_timer retry; /* the server takes nothing: deadlines pass meanwhile */
    struct slab calls;
    struct wire_first set; /* between the two replies to a SET */
    const struct redis_failure *trouble;
    bool own_address;   /* cluster: made from a slot map */
    bool leaving;       /* cluster: it is no part of that any more */
    struct mono wanted; /* cluster: when it was last named */
};

struct redis_cluster;
struct redis_listen;

struct redis_lane {
    struct redis_store *store;
    unsigned index;
    struct loop *loop;
    uint64_t agent;
    struct redis_server **servers;  /* single, sharding: [node * shards + shard] */
    struct redis_cluster *clusters; /* cluster: one per node */
    struct redis_group **groups;    /* by shard, or by slot (NULL: not in use) */
    unsigned groups_waited_for;     /* were up, and are not */
    bool was_up;
    bool is_up;
    struct census census;
    struct throttle *losers; /* notes.c; NULL: they tell of themselves */
};

/* What was last told about a node. */
struct redis_health {
    const char *name; /* "host:port"; cluster: its first seed */
    enum quorum_node_state state;
    char why[sizeof((struct error *)0)->text];
    const struct redis_failure *trouble;
};

struct redis_store {
    struct store store;
    struct redis_options redis;
    struct store_options options;
    struct redis_url urls[REDIS_NODES_MAX];
    size_t n_nodes;
    unsigned shards; /* single and cluster: 1 */
    unsigned groups; /* shards, or REDIS_SLOTS */
    struct redis_keys keys;
    struct wire wire;
    char *prefix;
    char *channel;
    char *shards_key;
    char **shards_texts; /* "2 of 3" */
    uint32_t *slot_tags;
    struct tls_context *tls;
    bool closing;

    uv_mutex_t lock; /* guards what follows */
    struct redis_health health[REDIS_NODES_MAX * REDIS_SERVERS_MAX];
    unsigned lanes_up;
    unsigned lanes_started;

    atomic_uint_least64_t claims_low; /* over all lanes: see store_counts */
    atomic_uint_least64_t undos;

    struct loop_message status_message; /* to lane 0 */
    atomic_bool status_posted;
    struct loop_message watch_message; /* to lane 0 */
    atomic_bool watch_posted;
    atomic_bool watched;         /* events are told by `listen`, all of them on lane 0 */
    atomic_uint lessons;         /* on their way to lane 0 */
    struct redis_listen *listen; /* of lane 0; NULL until it is watched */
    unsigned n_lanes;
    struct redis_lane lanes[];
};

static inline struct quorum_now redis_now(const struct redis_lane *lane)
{
    return (struct quorum_now){loop_now(lane->loop), loop_wall(lane->loop)};
}

/* --- redis.c --- */

/* What every connection to a server of that node has in common: the caller adds what it is for. */
struct redis_conn_options redis_conn_options(const struct redis_lane *lane, unsigned node,
                                             const struct redis_address *address);

/* Answers that nothing could be decided. */
void redis_refuse(struct election_request *request, enum err err, struct str why);

/* --- group.c --- */

struct redis_group *group_new(struct redis_lane *lane, unsigned index);
void group_free(struct redis_group *group);

/* The group of an election. In cluster mode it is made when it is used, and freed when it has not been used for a while
 * and no promise of it can be left: keep it no longer than a request takes. */
struct redis_group *group_of(struct redis_lane *lane, struct str kind, struct str election);

/* After any call into its quorum: timers and status follow at the end of the turn. */
void group_touch(struct redis_group *group);

void group_submit(struct redis_group *group, struct election_request *request);
void group_reply(struct redis_seat *seat, struct quorum_command *command, const struct quorum_reply *reply);

/* The seat gets this server (NULL: none). */
void seat_move(struct redis_seat *seat, struct redis_server *server);
void seat_up(struct redis_seat *seat);
void seat_down(struct redis_seat *seat);

/* --- server.c --- */

struct redis_server *server_new(struct redis_lane *lane, unsigned node, unsigned position,
                                struct redis_address *address);
void server_free(struct redis_server *server); /* its connection is closed */

void server_queue(struct redis_server *server, struct quorum_command *command);

/* Commands of this seat that are queued or under way are handed back, QUORUM_DROPPED or QUORUM_LOST. True if
 * there were any. */
bool server_forget(struct redis_server *server, struct redis_seat *seat);

/* Cluster: sends ASKING and the command. Only while conn_is_ready(). */
void server_ask(struct redis_server *server, struct quorum_command *command);

/* A call beside the quorum's: written to the returned output. Only while conn_is_ready(). */
struct buf *server_call(struct redis_server *server, struct redis_call *call);

/* --- redirect.c --- */

/* An error reply said where a command belongs: NULL if that is nowhere. */
struct redis_server *redirect_target(struct redis_server *server, const struct redis_failure *failure,
                                     struct str error);

/* The command was refused, so not executed. True: it is kept, and sent again; `target` may be NULL. */
bool redirect(struct redis_server *server, struct quorum_command *command,
              const struct redis_failure *failure, struct redis_server *target);

/* Keeps a command until its seat can be asked again. */
void redirect_hold(struct redis_seat *seat, struct quorum_command *command, int64_t ms);

/* All commands of the seat, wherever they are, are handed back. */
void redirect_recall(struct redis_seat *seat);

void redirect_init(struct redis_seat *seat);

/* --- cluster.c --- */

void cluster_init(struct redis_lane *lane);
void cluster_fini(struct redis_lane *lane);
struct redis_server *cluster_owner(struct redis_lane *lane, unsigned node, unsigned slot);
void cluster_server_up(struct redis_server *server);
void cluster_moved(struct redis_server *server); /* MOVED was answered */
void cluster_down(struct redis_server *server);  /* CLUSTERDOWN: it may be cut off from its cluster */
/* The server of that name in the same cluster; a new one begins to connect. NULL: that is no name. */
struct redis_server *cluster_server(struct redis_server *server, struct str host, uint64_t port);
void cluster_set_owner(struct redis_server *owner, unsigned slot);
/* All servers of the lane, one after the other: NULL begins and ends. */
struct redis_server *lane_next_server(const struct redis_lane *lane, const struct redis_server *server);

/* --- health.c --- */

void health_node(struct redis_server *server, enum quorum_node_state state, const char *why);
void health_group_node(struct redis_group *group, unsigned node, enum quorum_node_state state,
                       const char *why);
void health_trouble(struct redis_server *server, const struct redis_failure *failure);
void health_lane(struct redis_lane *lane);
void health_status(struct redis_store *store, struct store_status *out);
void health_message(struct loop *loop, struct loop_message *message);

/* --- listen.c --- */

struct redis_listen *listen_new(struct redis_store *store);
void listen_close(struct redis_listen *listen);
bool listen_is_closed(const struct redis_listen *listen);
void listen_free(struct redis_listen *listen);

/* Any lane was answered who leads: how that goes on is to be told. */
void listen_learnt(struct redis_store *store, const struct election_request *request);

/* --- notes.c --- */

/* A candidate of the group campaigned and lost. It is told to the servers with redis_notes_flush(), at the turn's end. */
void redis_notes_lost(struct redis_group *group, const struct quorum_names *names, int32_t priority);
void redis_notes_flush(struct redis_group *group);

/* A tenure was extended on this server. */
void redis_notes_extended(struct redis_server *server, const struct quorum_command *command);

/* --- beat.c, info.c, list.c --- */

void redis_beat(struct redis_group *group, const struct election_beat *beat);

void redis_info_submit(struct redis_group *group, struct election_request *request);
void redis_list_submit(struct redis_lane *lane, struct election_request *request);

#endif
