/*
 * What is told about nodes. Every lane has its own connections and its own view; a change is told once: by the
 * first lane that sees it.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/redis/internal.h"

static struct redis_health *health_of(struct redis_store *store, unsigned node, unsigned position)
{
    return &store->health[node * store->shards + position];
}

/* True if that is news. With the lock. */
static bool note(struct redis_health *health, enum quorum_node_state state, const char *why)
{
    bool news = health->state != state || strcmp(health->why, why) != 0;
    health->state = state;
    (void)snprintf(health->why, sizeof health->why, "%.*s", (int)sizeof health->why - 1, why);
    return news;
}

static void tell(struct redis_store *store, struct redis_health *health, const char *name,
                 enum quorum_node_state state, const char *why)
{
    uv_mutex_lock(&store->lock);
    enum quorum_node_state before = health->state;
    bool news = note(health, state, why);
    bool starting = store->lanes_started < store->n_lanes;
    uv_mutex_unlock(&store->lock);
    if (!news || store->closing) {
        return;
    }
    const char *word = quorum_node_state_word(state);
    if (state == QUORUM_NODE_READY) {
        log_info("redis", "node is ready", LOG_TEXT("node", name),
                 LOG_TEXT("was", quorum_node_state_word(before)));
    } else if (state == QUORUM_NODE_CHECKING) {
        log_debug("redis", "node is being looked at", LOG_TEXT("node", name), LOG_TEXT("why", why));
    } else if (state == QUORUM_NODE_RECOVERING && starting) {
        /* Every new deployment begins so, and is over it in a moment: nothing to be alarmed by. */
        log_info("redis", "node does not count yet", LOG_TEXT("node", name), LOG_TEXT("state", word),
                 LOG_TEXT("why", why));
    } else {
        log_warning("redis", "node does not count", LOG_TEXT("node", name), LOG_TEXT("state", word),
                    LOG_TEXT("why", why));
    }
}

void health_node(struct redis_server *server, enum quorum_node_state state, const char *why)
{
    struct redis_store *store = server->lane->store;
    tell(store, health_of(store, server->node, server->position), server->address->text, state, why);
}

void health_group_node(struct redis_group *group, unsigned node, enum quorum_node_state state,
                       const char *why)
{
    struct redis_store *store = group->lane->store;
    const struct redis_server *server = group->seats[node].server;
    if (state == QUORUM_NODE_DOWN || server == NULL) {
        return; /* told by the connection, which knows why */
    }
    unsigned position = store->redis.mode == REDIS_CLUSTER ? 0 : server->position;
    tell(store, health_of(store, node, position), server->address->text, state, why);
}

void health_trouble(struct redis_server *server, const struct redis_failure *failure)
{
    struct redis_store *store = server->lane->store;
    struct redis_health *health = health_of(store, server->node, server->position);
    server->trouble = failure;
    uv_mutex_lock(&store->lock);
    bool news = health->trouble != failure;
    health->trouble = failure;
    uv_mutex_unlock(&store->lock);
    if (!news) {
        return;
    }
    if (failure != NULL) {
        log_warning("redis", "node refuses commands", LOG_TEXT("node", server->address->text),
                    LOG_STR("error", failure->word.n > 0 ? failure->word : STR("ERR")),
                    LOG_TEXT("why", failure->cure));
    } else {
        log_info("redis", "node takes commands again", LOG_TEXT("node", server->address->text));
    }
}

/* --- the store --- */

void health_message(struct loop *loop, struct loop_message *message)
{
    struct redis_store *store = CONTAINER_OF(message, struct redis_store, status_message);
    atomic_store_explicit(&store->status_posted, false, memory_order_release);
    if (store->options.on_status != NULL && !store->closing) {
        store->options.on_status(store->options.user);
    }
}

static bool all_up(const struct redis_lane *lane)
{
    const struct redis_store *store = lane->store;
    unsigned always = store->redis.mode == REDIS_CLUSTER ? 1 : store->groups;
    for (unsigned i = 0; i < always; i++) {
        if (lane->groups[i] == NULL || !lane->groups[i]->is_up) {
            return false;
        }
    }
    return lane->groups_waited_for == 0;
}

void health_lane(struct redis_lane *lane)
{
    struct redis_store *store = lane->store;
    bool up = all_up(lane);
    if (up == lane->is_up) {
        return;
    }
    lane->is_up = up;
    uv_mutex_lock(&store->lock);
    bool was_all = store->lanes_up == store->n_lanes;
    store->lanes_up += up ? 1U : UINT_MAX;
    store->lanes_started += up && !lane->was_up;
    bool is_all = store->lanes_up == store->n_lanes;
    uv_mutex_unlock(&store->lock);
    lane->was_up = true;
    if (was_all != is_all && !atomic_exchange_explicit(&store->status_posted, true, memory_order_acq_rel)) {
        loop_post(store->lanes[0].loop, &store->status_message);
    }
}

/* "2 of 3 nodes: 127.0.0.1:7003 down: it closed the connection; ..." With the lock. */
static void explain(struct redis_store *store, char *out, size_t cap)
{
    size_t n = store->n_nodes * store->shards;
    size_t bad = 0;
    int at = 0;
    for (size_t i = 0; i < n; i++) {
        bad += store->health[i].state != QUORUM_NODE_READY;
    }
    at = snprintf(out, cap, "%zu of %zu %s ready", n - bad, n, store->shards > 1 ? "servers" : "nodes");
    for (size_t i = 0; i < n && at > 0 && (size_t)at < cap; i++) {
        const struct redis_health *health = &store->health[i];
        if (health->state != QUORUM_NODE_READY) {
            at += snprintf(out + at, cap - (size_t)at, "; %s %s: %s", health->name,
                           quorum_node_state_word(health->state), health->why);
        }
        bool stuck = health->state == QUORUM_NODE_CHECKING || health->state == QUORUM_NODE_RECOVERING;
        if (stuck && health->trouble != NULL && at > 0 && (size_t)at < cap) {
            at +=
                snprintf(out + at, cap - (size_t)at, ", but it refuses commands: %s", health->trouble->cure);
        }
    }
}

void health_status(struct redis_store *store, struct store_status *out)
{
    *out = (struct store_status){.state = STORE_UP};
    uv_mutex_lock(&store->lock);
    if (store->closing) {
        out->state = STORE_CLOSING;
    } else if (store->lanes_up < store->n_lanes) {
        out->state = store->lanes_started < store->n_lanes ? STORE_STARTING : STORE_DOWN;
        explain(store, out->why, sizeof out->why);
    }
    uv_mutex_unlock(&store->lock);
}
