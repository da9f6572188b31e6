/* The store's operations: see internal.h for who does what. */
#include "store/redis/redis.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "core/names.h"
#include "store/redis/internal.h"

/* At the end, what gives something back is still sent; so long is waited for it (of real time). */
#define CLOSE_PATIENCE_US INT64_C(500000)
#define CLOSE_PAUSE_NS    200000

static struct redis_store *redis_of(struct store *store)
{
    return CONTAINER_OF(store, struct redis_store, store);
}

struct redis_conn_options redis_conn_options(const struct redis_lane *lane, unsigned node,
                                             const struct redis_address *address)
{
    const struct redis_store *store = lane->store;
    return (struct redis_conn_options){
        .loop = lane->loop,
        .address = address,
        .url = &store->urls[node],
        .tls = store->urls[node].tls ? store->tls : NULL,
        .server_name = str_of(store->redis.tls_server_name),
        .silence_ms = store->redis.operation_timeout_ms,
        .cluster = store->redis.mode == REDIS_CLUSTER,
        .old = store->redis.old_servers,
    };
}

/* --- requests --- */

void redis_refuse(struct election_request *request, enum err err, struct str why)
{
    request->err = err;
    request->why = why;
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = 0};
    request->done(request);
}

static void submit(struct store *store, unsigned index, struct election_request *request)
{
    struct redis_store *self = redis_of(store);
    struct redis_lane *lane = &self->lanes[index];
    struct error error;
    election_request_assert_checked(request, self->n_lanes, self->options.max_term_ms);
    assert(request->arena != NULL);
    if (self->closing) {
        redis_refuse(request, EA_UNAVAILABLE, STR("the agent ends"));
        return;
    }
    if (request->op == OP_LIST) {
        redis_list_submit(lane, request);
        return;
    }
    if (redis_keys_check_name(&self->keys, request->kind, request->election, &error) != EA_OK) {
        redis_refuse(request, EA_INVALID, arena_format(request->arena, "%s", error.text));
        return;
    }
    struct redis_group *group = group_of(lane, request->kind, request->election);
    if (request->op == OP_INFO) {
        redis_info_submit(group, request);
    } else {
        group_submit(group, request);
    }
}

static void beat(struct store *store, unsigned lane, const struct election_beat *beat)
{
    struct redis_store *self = redis_of(store);
    if (!self->closing) {
        redis_beat(group_of(&self->lanes[lane], beat->kind, beat->election), beat);
    }
}

static void status(struct store *store, struct store_status *out)
{
    health_status(redis_of(store), out);
}

static void count(struct store *store, void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    struct redis_store *self = redis_of(store);
    struct census **censuses = mem_alloc(self->n_lanes * sizeof(struct census *));
    for (unsigned i = 0; i < self->n_lanes; i++) {
        censuses[i] = &self->lanes[i].census;
    }
    census_sum(censuses, self->n_lanes, row, arg);
    mem_free(censuses);
}

static void counts(struct store *store, struct store_counts *out)
{
    struct redis_store *self = CONTAINER_OF(store, struct redis_store, store);
    *out = (struct store_counts){
        .claim_retries = atomic_load_explicit(&self->claims_low, memory_order_relaxed),
        .undo_pending = atomic_load_explicit(&self->undos, memory_order_relaxed),
    };
}

static void nodes(struct store *store, void (*row)(void *arg, const char *node, int state), void *arg)
{
    struct redis_store *self = redis_of(store);
    for (size_t i = 0; i < self->n_nodes * self->shards; i++) {
        uv_mutex_lock(&self->lock);
        enum quorum_node_state state = self->health[i].state;
        uv_mutex_unlock(&self->lock);
        bool recovering = state == QUORUM_NODE_RECOVERING || state == QUORUM_NODE_CHECKING;
        row(arg, self->health[i].name, state == QUORUM_NODE_READY ? 0 : recovering ? 1 : 2);
    }
}

static void watch_message(struct loop *loop, struct loop_message *message)
{
    struct redis_store *self = CONTAINER_OF(message, struct redis_store, watch_message);
    if (!self->closing) {
        self->listen = listen_new(self);
    }
    atomic_store_explicit(&self->watch_posted, false, memory_order_release);
}

static void watch(struct store *store)
{
    struct redis_store *self = redis_of(store);
    if (self->options.on_event != NULL &&
        !atomic_exchange_explicit(&self->watched, true, memory_order_acq_rel)) {
        atomic_store_explicit(&self->watch_posted, true, memory_order_relaxed);
        loop_post(self->lanes[0].loop, &self->watch_message);
    }
}

/* --- open --- */

static char *join(const char *a, const char *b)
{
    struct buf text = BUF_EMPTY;
    buf_format(&text, "%s%s", a, b);
    buf_add(&text, "", 1);
    return text.p;
}

static enum err make_tls(struct redis_store *self, struct error *error)
{
    bool wanted = false;
    for (size_t i = 0; i < self->n_nodes; i++) {
        wanted = wanted || self->urls[i].tls;
    }
    if (!wanted) {
        return EA_OK;
    }
    struct tls_options options = {
        .cert_file = self->redis.tls_cert, .key_file = self->redis.tls_key, .ca_file = self->redis.tls_ca};
    enum err err = tls_context_new(&self->tls, &options, error);
    return err == EA_OK ? EA_OK : error_wrap(error, "redis.tls");
}

static void name_nodes(struct redis_store *self)
{
    for (unsigned i = 0; i < self->n_nodes * self->shards; i++) {
        struct redis_health *health = &self->health[i];
        health->name = self->urls[i / self->shards].servers[i % self->shards].text;
        health->state = QUORUM_NODE_DOWN;
        (void)snprintf(health->why, sizeof health->why, "not connected yet");
    }
    self->shards_texts = mem_zalloc(self->shards * sizeof(char *));
    for (unsigned i = 0; i < self->shards; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "%u of %u", i + 1, self->shards);
        self->shards_texts[i] = mem_dup(text, (size_t)n + 1);
    }
}

static enum err configure(struct redis_store *self, struct error *error)
{
    const struct redis_options *redis = &self->redis;
    enum err err =
        redis_urls_parse(self->urls, &self->n_nodes, redis->urls, redis->n_urls, redis->mode, error);
    if (err == EA_OK) {
        err = redis_keys_check_prefix(str_of(redis->prefix), redis->mode == REDIS_CLUSTER, error);
    }
    if (err == EA_OK) {
        err = make_tls(self, error);
    }
    if (err != EA_OK) {
        return err;
    }
    self->shards = redis->mode == REDIS_SHARDING ? (unsigned)self->urls[0].n_servers : 1;
    self->groups = redis->mode == REDIS_CLUSTER ? REDIS_SLOTS : self->shards;
    self->prefix = join(redis->prefix, "");
    self->channel = join(redis->prefix, "/events");
    self->shards_key = join(redis->prefix, "/info/shards");
    self->keys = (struct redis_keys){str_of(self->prefix), redis->layout, redis->mode == REDIS_CLUSTER};
    self->wire = (struct wire){&self->keys, str_of(self->channel)};
    if (redis->mode == REDIS_CLUSTER) {
        self->slot_tags = mem_alloc(REDIS_SLOTS * sizeof *self->slot_tags);
        redis_slot_tags(self->slot_tags);
    }
    name_nodes(self);
    return EA_OK;
}

static void open_lane(struct redis_store *self, unsigned index)
{
    struct redis_lane *lane = &self->lanes[index];
    struct rng random;
    lane->store = self;
    lane->index = index;
    lane->loop = self->options.lanes[index];
    if (self->options.seed != 0) {
        rng_seed(&random, self->options.seed + index);
    } else {
        rng_seed_system(&random);
    }
    lane->agent = rng_next(&random) | 1; /* not 0 */
    lane->groups = mem_zalloc(self->groups * sizeof(struct redis_group *));
    census_init(&lane->census);
    lane->losers = self->redis.beats ? NULL : mem_zalloc(sizeof *lane->losers);
    if (self->redis.mode == REDIS_CLUSTER) {
        cluster_init(lane);
        lane->groups[0] = group_new(lane, 0); /* tells whether a quorum can be had at all */
        return;
    }
    lane->servers = mem_zalloc(self->n_nodes * self->shards * sizeof(struct redis_server *));
    for (unsigned shard = 0; shard < self->shards; shard++) {
        lane->groups[shard] = group_new(lane, shard);
    }
    for (unsigned i = 0; i < self->n_nodes * self->shards; i++) {
        unsigned node = i / self->shards;
        unsigned shard = i % self->shards;
        lane->servers[i] = server_new(lane, node, shard, &self->urls[node].servers[shard]);
        seat_move(&lane->groups[shard]->seats[node], lane->servers[i]);
    }
}

static void free_store(struct redis_store *self)
{
    for (unsigned i = 0; self->shards_texts != NULL && i < self->shards; i++) {
        mem_free(self->shards_texts[i]);
    }
    mem_free(self->shards_texts);
    mem_free(self->slot_tags);
    mem_free(self->shards_key);
    mem_free(self->channel);
    mem_free(self->prefix);
    if (self->tls != NULL) {
        tls_context_release(self->tls);
    }
    redis_urls_fini(self->urls, self->n_nodes);
    uv_mutex_destroy(&self->lock);
    mem_free(self);
}

static void tell_start(const struct redis_store *self)
{
    static const char *const modes[] = {"single", "sharding", "cluster"};
    log_info("redis", "opened", LOG_TEXT("mode", modes[self->redis.mode]), LOG_UINT("nodes", self->n_nodes),
             LOG_UINT("shards", self->shards), LOG_TEXT("prefix", self->prefix));
    if (self->n_nodes == 1) {
        log_warning("redis",
                    "there is one node: while it is down nobody can be elected, and when it loses its "
                    "memory only time protects from two leaders. Three nodes bear the loss of one");
    }
}

static enum err open_store(struct store **out, const struct store_options *options, struct error *error)
{
    assert(options->n_lanes > 0 && options->lanes != NULL && options->clock != NULL &&
           options->redis != NULL);
    struct redis_store *self = mem_zalloc(sizeof *self + options->n_lanes * sizeof self->lanes[0]);
    self->store.ops = &store_redis_ops;
    self->options = *options;
    self->redis = *options->redis;
    self->n_lanes = options->n_lanes;
    self->status_message.deliver = health_message;
    self->watch_message.deliver = watch_message;
    int failed = uv_mutex_init(&self->lock);
    if (failed != 0) {
        mem_free(self);
        return error_set(error, EA_IO, "cannot make a mutex: %s", uv_strerror(failed));
    }
    enum err err = configure(self, error);
    if (err != EA_OK) {
        free_store(self);
        return err;
    }
    tell_start(self);
    for (unsigned i = 0; i < self->n_lanes; i++) {
        open_lane(self, i);
    }
    self->options.lanes = NULL; /* the caller's array; each lane knows its loop */
    self->redis.urls = NULL;
    *out = &self->store;
    return EA_OK;
}

/* --- close --- */

static void step(struct redis_store *self)
{
    bool any = false;
    for (unsigned i = 0; i < self->n_lanes; i++) {
        any = loop_step(self->lanes[i].loop) || any;
    }
    if (!any) {
        (void)nanosleep(&(struct timespec){.tv_nsec = CLOSE_PAUSE_NS}, NULL);
    }
}

static bool is_idle(const struct redis_store *self)
{
    for (unsigned i = 0; i < self->n_lanes; i++) {
        for (unsigned j = 0; j < self->groups; j++) {
            const struct redis_group *group = self->lanes[i].groups[j];
            if (group != NULL && !quorum_idle(group->quorum)) {
                return false;
            }
        }
    }
    return true;
}

static bool is_closed(struct redis_store *self)
{
    for (unsigned i = 0; i < self->n_lanes; i++) {
        for (struct redis_server *server = lane_next_server(&self->lanes[i], NULL); server != NULL;
             server = lane_next_server(&self->lanes[i], server)) {
            if (!conn_is_closed(&server->conn)) {
                return false;
            }
        }
    }
    return (self->listen == NULL || listen_is_closed(self->listen)) &&
           !atomic_load_explicit(&self->watch_posted, memory_order_acquire) &&
           atomic_load_explicit(&self->lessons, memory_order_acquire) == 0 &&
           !atomic_load_explicit(&self->status_posted, memory_order_acquire);
}

static void stop_quorums(struct redis_store *self)
{
    for (unsigned i = 0; i < self->n_lanes; i++) {
        struct redis_lane *lane = &self->lanes[i];
        for (unsigned j = 0; j < self->groups; j++) {
            if (lane->groups[j] != NULL) {
                quorum_stop(lane->groups[j]->quorum, redis_now(lane));
                group_touch(lane->groups[j]);
            }
        }
    }
}

static void close_lane(struct redis_lane *lane)
{
    struct redis_store *self = lane->store;
    struct redis_server *next;
    for (unsigned j = 0; j < self->groups; j++) {
        if (lane->groups[j] != NULL) {
            group_free(lane->groups[j]);
        }
    }
    for (struct redis_server *server = lane_next_server(lane, NULL); server != NULL; server = next) {
        next = lane_next_server(lane, server);
        server_free(server);
    }
    cluster_fini(lane);
    census_fini(&lane->census);
    mem_free(lane->losers);
    mem_free(lane->servers);
    mem_free(lane->groups);
}

static void close_store(struct store *store)
{
    struct redis_store *self = redis_of(store);
    struct mono give_up = mono_add_us(clock_mono(&clock_system), CLOSE_PATIENCE_US);
    uv_mutex_lock(&self->lock);
    self->closing = true;
    uv_mutex_unlock(&self->lock);
    stop_quorums(self);
    while (!is_idle(self) && mono_before(clock_mono(&clock_system), give_up)) {
        step(self);
    }
    for (unsigned i = 0; i < self->n_lanes; i++) {
        for (struct redis_server *server = lane_next_server(&self->lanes[i], NULL); server != NULL;
             server = lane_next_server(&self->lanes[i], server)) {
            conn_close(&server->conn);
        }
    }
    if (self->listen != NULL) {
        listen_close(self->listen);
    }
    while (!is_closed(self)) {
        step(self);
    }
    step(self); /* what the last callbacks left for the turn's end */
    for (unsigned i = 0; i < self->n_lanes; i++) {
        close_lane(&self->lanes[i]);
    }
    if (self->listen != NULL) {
        listen_free(self->listen);
    }
    free_store(self);
}

const struct store_ops store_redis_ops = {
    .name = "redis",
    .open = open_store,
    .submit = submit,
    .beat = beat,
    .status = status,
    .count = count,
    .close = close_store,
    .nodes = nodes,
    .counts = counts,
    .watch = watch,
};
