/* A quorum object and the servers that are its nodes: see internal.h. */
#include "store/redis/internal.h"

#include "base/mem.h"

/* In cluster mode there may be a quorum for each of 16384 slots, each with few elections. */
#define CLUSTER_HINTS 64
#define CLUSTER_UNDOS 4096

/* A slot that nobody uses costs nothing: its quorum is freed, and made anew at its next use. One that still has to bring
 * nodes back is looked at now and then. */
#define UNUSED_MS      INT64_C(60000) /* longer than any request takes */
#define UNUSED_POLL_MS INT64_C(10000)

/* --- the quorum's hooks --- */

static void send_command(void *arg, struct quorum_command *command)
{
    struct redis_group *group = arg;
    struct redis_seat *seat = &group->seats[command->node];
    command->user = seat;
    command->next = NULL;
    if (seat->arriving && command->names != NULL) {
        redirect_hold(seat, command, 0);
    } else if (seat->server != NULL && !seat->arriving) {
        server_queue(seat->server, command);
    } else {
        *group->homeless_end = command;
        group->homeless_end = &command->next;
        group_touch(group);
    }
}

static void event(void *arg, const struct election_event *event)
{
    struct redis_group *group = arg;
    const struct store_options *options = &group->lane->store->options;
    if (event->action == ACTION_RESIGNED) {
        census_ended(&group->lane->census, redis_hash(event->kind, event->election));
    }
    bool watched = atomic_load_explicit(&group->lane->store->watched, memory_order_relaxed);
    if (options->on_event != NULL && !watched) {
        options->on_event(options->user, group->lane->index, event);
    }
}

static void lost(void *arg, const struct quorum_names *names, int32_t priority)
{
    redis_notes_lost(arg, names, priority);
}

static void node(void *arg, unsigned index, enum quorum_node_state state, const char *why)
{
    struct redis_group *group = arg;
    group->seats[index].state = state;
    health_group_node(group, index, state, why);
}

/* --- calls into the quorum --- */

void group_touch(struct redis_group *group)
{
    loop_at_end(group->lane->loop, LOOP_STAGE_STORE, &group->settle);
}

static void use(struct redis_group *group, int64_t term_ms)
{
    const struct redis_lane *lane = group->lane;
    if (lane->clusters == NULL) {
        return; /* it is never freed */
    }
    int64_t ms = UNUSED_MS + lane->store->redis.operation_timeout_ms + term_ms;
    struct mono until = mono_add_ms(loop_now(lane->loop), ms);
    group->used_until = mono_before(group->used_until, until) ? until : group->used_until;
}

/* The first slot's says whether a quorum can be had at all, and stays. */
static bool is_unused(const struct redis_group *group)
{
    return group->lane->clusters != NULL && group->index != 0 &&
           mono_before(group->used_until, loop_now(group->lane->loop));
}

void group_submit(struct redis_group *group, struct election_request *request)
{
    use(group, request->term_ms);
    quorum_submit(group->quorum, redis_now(group->lane), request, NULL);
    group_touch(group);
}

void group_reply(struct redis_seat *seat, struct quorum_command *command, const struct quorum_reply *reply)
{
    quorum_reply(seat->group->quorum, redis_now(seat->group->lane), command, reply);
    group_touch(seat->group);
}

static void fire(struct loop *loop, struct loop_timer *timer)
{
    struct redis_group *group = CONTAINER_OF(timer, struct redis_group, timer);
    group->timer_at = MONO_NEVER;
    group->fired_at = loop_now(loop);
    quorum_timer(group->quorum, redis_now(group->lane));
    census_sweep(&group->lane->census, loop_now(loop));
    group_touch(group);
}

static void drop_homeless(struct redis_group *group)
{
    struct quorum_command *command = group->homeless;
    group->homeless = NULL;
    group->homeless_end = &group->homeless;
    while (command != NULL) {
        struct quorum_command *next = command->next;
        group_reply(command->user, command, &(struct quorum_reply){.answer = QUORUM_DROPPED});
        command = next;
    }
}

/* Nothing is under way or owed, no seat is on its way anywhere; and what a recovering node waits for is known to the
 * group alone. */
static bool is_at_rest(const struct redis_group *group)
{
    if (!quorum_idle(group->quorum) || group->homeless != NULL) {
        return false;
    }
    for (size_t i = 0; i < group->lane->store->n_nodes; i++) {
        const struct redis_seat *seat = &group->seats[i];
        bool coming = seat->state == QUORUM_NODE_CHECKING || seat->state == QUORUM_NODE_RECOVERING;
        if (coming || seat->arriving || seat->held != NULL) {
            return false;
        }
    }
    return true;
}

static void leave_server(struct redis_seat *seat)
{
    struct redis_seat **at = &seat->server->seats;
    while (*at != seat) {
        at = &(*at)->next;
    }
    *at = seat->next;
    seat->server = NULL;
}

static void retire(struct redis_group *group)
{
    struct redis_lane *lane = group->lane;
    for (size_t i = 0; i < lane->store->n_nodes; i++) {
        if (group->seats[i].server != NULL) {
            leave_server(&group->seats[i]);
        }
    }
    lane->groups_waited_for -= group->was_up && !group->is_up;
    lane->groups[group->index] = NULL;
    group_free(group);
    health_lane(lane);
}

static void plan_timer(struct redis_group *group, bool unused)
{
    struct mono next = quorum_next(group->quorum);
    struct mono rarely = mono_add_ms(group->fired_at, UNUSED_POLL_MS);
    next = unused && mono_before(next, rarely) ? rarely : next;
    if (next.us != group->timer_at.us) {
        group->timer_at = next;
        loop_timer_start(group->lane->loop, &group->timer, next); /* MONO_NEVER stops it */
    }
}

/* For the metrics: what has changed since the last turn. An unsigned difference takes away, too. */
static void tell_counts(struct redis_group *group, uint64_t claims_low, uint64_t undos)
{
    struct redis_store *store = group->lane->store;
    if (claims_low != group->told_claims_low) {
        atomic_fetch_add_explicit(&store->claims_low, claims_low - group->told_claims_low,
                                  memory_order_relaxed);
        group->told_claims_low = claims_low;
    }
    if (undos != group->told_undos) {
        atomic_fetch_add_explicit(&store->undos, undos - group->told_undos, memory_order_relaxed);
        group->told_undos = undos;
    }
}

static void settle(struct loop *loop, struct loop_task *task)
{
    struct redis_group *group = CONTAINER_OF(task, struct redis_group, settle);
    struct quorum_status status;
    drop_homeless(group);
    redis_notes_flush(group);
    bool unused = is_unused(group);
    if (unused && is_at_rest(group)) {
        retire(group);
        return;
    }
    plan_timer(group, unused);
    quorum_status(group->quorum, &status);
    tell_counts(group, status.claims_low, status.undos);
    bool up = status.ready >= status.quorum;
    if (up != group->is_up) {
        group->is_up = up;
        group->lane->groups_waited_for += !up;
        group->lane->groups_waited_for -= up && group->was_up;
        group->was_up = true;
        health_lane(group->lane);
    }
}

/* --- seats --- */

void seat_up(struct redis_seat *seat)
{
    struct redis_group *group = seat->group;
    const struct redis_store *store = group->lane->store;
    const struct redis_conn *conn = &seat->server->conn;
    wire_node_init(&seat->wire, conn->edition, &conn->hello,
                   store->slot_tags != NULL ? store->slot_tags[group->index] : 0);
    bool fit = conn->hello.master && (!conn->hello.evicts || store->redis.allow_eviction);
    if (seat->arriving && (!fit || seat->state == QUORUM_NODE_UNFIT)) {
        seat_down(seat);
    }
    if (seat->arriving) {
        seat->arriving = false;
        quorum_node_moved(group->quorum, redis_now(group->lane), seat->node, &conn->hello);
    } else {
        seat->up = true;
        quorum_node_up(group->quorum, redis_now(group->lane), seat->node, &conn->hello);
    }
    group_touch(group);
}

void seat_down(struct redis_seat *seat)
{
    if (seat->up) {
        redirect_recall(seat);
        seat->up = false;
        seat->arriving = false;
        quorum_node_down(seat->group->quorum, redis_now(seat->group->lane), seat->node);
        group_touch(seat->group);
    }
}

void seat_move(struct redis_seat *seat, struct redis_server *server)
{
    if (seat->server == server) {
        return;
    }
    if (server == NULL) {
        seat_down(seat);
    }
    if (seat->server != NULL) {
        leave_server(seat);
    }
    seat->server = server;
    if (server != NULL) {
        seat->next = server->seats;
        server->seats = seat;
        if (seat->up) {                  /* in a moment, and not within an answer of the old server */
            conn_recheck(&server->conn); /* it may have been a replica until now */
            seat->arriving = true;
            loop_timer_start(seat->group->lane->loop, &seat->retry, loop_now(seat->group->lane->loop));
        } else if (conn_is_ready(&server->conn)) {
            seat_up(seat);
        }
    }
}

/* --- life --- */

struct redis_group *group_new(struct redis_lane *lane, unsigned index)
{
    const struct redis_store *store = lane->store;
    struct redis_group *group = mem_zalloc(sizeof *group + store->n_nodes * sizeof group->seats[0]);
    bool small = store->redis.mode == REDIS_CLUSTER;
    group->lane = lane;
    group->index = index;
    group->timer.fire = fire;
    group->timer_at = MONO_NEVER;
    group->settle.run = settle;
    group->homeless_end = &group->homeless;
    for (unsigned i = 0; i < store->n_nodes; i++) {
        group->seats[i] = (struct redis_seat){.group = group, .node = i};
        redirect_init(&group->seats[i]);
    }
    struct quorum_options options = {
        .nodes = (unsigned)store->n_nodes,
        .agent = lane->agent,
        .seed = rng_next(loop_rng(lane->loop)),
        .operation_timeout_ms = store->redis.operation_timeout_ms,
        .max_term_ms = store->options.max_term_ms,
        .allow_eviction = store->redis.allow_eviction,
        .hints = small ? CLUSTER_HINTS : 0,
        .undos_max = small ? CLUSTER_UNDOS : 0,
        .hooks = {.send = send_command,
                  .event = event,
                  .lost = lane->losers != NULL ? lost : NULL,
                  .node = node,
                  .arg = group},
    };
    group->quorum = quorum_new(&options, redis_now(lane));
    group_touch(group);
    return group;
}

void group_free(struct redis_group *group)
{
    loop_timer_stop(group->lane->loop, &group->timer);
    for (size_t i = 0; i < group->lane->store->n_nodes; i++) {
        loop_timer_stop(group->lane->loop, &group->seats[i].retry);
    }
    tell_counts(group, group->told_claims_low, 0);
    quorum_free(group->quorum);
    buf_fini(&group->lost_keys);
    buf_fini(&group->lost_members);
    mem_free(group);
}

struct redis_group *group_of(struct redis_lane *lane, struct str kind, struct str election)
{
    struct redis_store *store = lane->store;
    if (store->redis.mode != REDIS_CLUSTER) {
        return lane->groups[store->shards == 1 ? 0 : redis_shard(redis_hash(kind, election), store->shards)];
    }
    unsigned slot = redis_slot_of(&store->keys, kind, election);
    if (lane->groups[slot] == NULL) {
        struct redis_group *group = group_new(lane, slot);
        lane->groups[slot] = group;
        for (unsigned i = 0; i < store->n_nodes; i++) {
            seat_move(&group->seats[i], cluster_owner(lane, i, slot));
        }
    }
    use(lane->groups[slot], 0);
    return lane->groups[slot];
}
