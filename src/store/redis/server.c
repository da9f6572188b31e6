/*
 * A server as one lane sees it. Commands collect in a queue and leave in one write at the end of the turn.
 *
 * The order of the queue is kept, but for this: looks of one turn travel as one script call, claims as another and
 * reads as one MGET, where the first of them stood. A command joins such a call only if nothing else of its election,
 * and nothing of the node itself, was queued behind that call's place; so the commands of one election never change
 * their order. A small set of hashes remembers which elections were (it may say yes in error, never no).
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/redis/internal.h"

/* The server takes nothing: what is queued waits, and its deadlines pass. */
#define BACKLOG_MAX_BYTES ((size_t)1024 * 1024)
#define RETRY_MS          10
#define CALLS_KEEP        256
#define SEEN_WORDS        16

enum work_kind { WORK_ONE, WORK_BATCH, WORK_ASKING };

struct item {
    struct quorum_command *command; /* NULL: handed back already */
    size_t place;                   /* among what was asked; equal reads share one */
};

struct work {
    struct redis_call call;
    struct redis_server *server;
    enum work_kind kind;
    enum quorum_verb verb; /* WORK_BATCH: of all of them */
    enum redis_edition edition;
    struct mono sent;
    struct work *next;           /* of this turn */
    struct redis_server *target; /* where the first of two replies sends it */
    struct item one;
    struct item *items; /* &one, or a block of the heap */
    size_t n;
    size_t places;
};

/* Which elections have commands behind an open batch. */
struct seen {
    uint64_t bits[SEEN_WORDS];
};

/* The call that commands of one verb may still join; NULL: none. */
struct batch {
    enum quorum_verb verb;
    struct work *open;
    struct seen behind;
};

#define BATCHES 3

struct turn {
    struct work *first;
    struct work **end;
    struct batch batches[BATCHES];
};

/* --- answers to the quorum --- */

static void hand_back(struct quorum_command *command, enum quorum_answer answer)
{
    group_reply(command->user, command, &(struct quorum_reply){.answer = answer, .left_ms = -1});
}

static void free_work(struct work *work)
{
    if (work->items != &work->one) {
        mem_free(work->items);
    }
    slab_free(&work->server->calls, work);
}

static void tell_operation(const struct work *work, enum quorum_verb verb, bool ok)
{
    const struct redis_lane *lane = work->server->lane;
    const struct store_options *options = &lane->store->options;
    if (options->on_operation != NULL) {
        options->on_operation(options->user, lane->index, lane->store->health[work->server->node].name,
                              quorum_verb_word(verb), ok, mono_sub(loop_now(lane->loop), work->sent));
    }
}

static bool is_write(enum quorum_verb verb)
{
    return verb != QUORUM_PEEK && verb != QUORUM_READ && verb != QUORUM_NODE_READ;
}

static void look_at_failure(struct redis_server *server, const struct redis_failure *failure, bool wrote)
{
    if (failure == NULL) {
        if (wrote && server->trouble != NULL) {
            health_trouble(server, NULL);
        }
        return;
    }
    if (redis_failure_is(failure, "NOSCRIPT")) {
        conn_load_scripts(&server->conn);
    }
    if (redis_failure_is(failure, "MOVED")) {
        cluster_moved(server);
    }
    if (redis_failure_is(failure, "CLUSTERDOWN")) {
        cluster_down(server);
    }
    if (redis_failure_is(failure, "READONLY") || redis_failure_is(failure, "MASTERDOWN")) {
        conn_recheck(&server->conn);
    }
    if (server->trouble != failure) {
        health_trouble(server, failure);
    }
}

/* What the metric counts. */
static void count(struct redis_lane *lane, const struct quorum_command *command,
                  const struct quorum_reply *reply)
{
    bool grants =
        command->verb == QUORUM_CLAIM || command->verb == QUORUM_LOOK || command->verb == QUORUM_HANDOVER;
    if (grants && reply->answer == QUORUM_OK) {
        census_led(&lane->census, redis_hash(command->names->kind, command->names->election),
                   command->names->kind, mono_add_ms(loop_now(lane->loop), command->term_ms));
    }
}

/* True if the server sent the command elsewhere, and it goes there. */
static bool went_on(struct work *work, struct item *item, const struct quorum_reply *reply,
                    const struct redis_failure *failure)
{
    struct quorum_command *command = item->command;
    if (command == NULL || failure == NULL || reply->answer != QUORUM_FAILED ||
        !redirect(work->server, command, failure, work->target)) {
        return false;
    }
    item->command = NULL;
    if (redis_failure_is(failure, "MOVED")) {
        cluster_moved(work->server);
    }
    return true;
}

static void answer(struct work *work, struct item *item, const struct quorum_reply *reply)
{
    struct quorum_command *command = item->command;
    item->command = NULL;
    if (command != NULL) {
        count(work->server->lane, command, reply);
        if (command->verb == QUORUM_LOOK && reply->answer == QUORUM_OK) {
            redis_notes_extended(work->server, command);
        }
        group_reply(command->user, command, reply);
    }
}

/* --- replies of the server --- */

static void note_target(struct work *work, const struct resp_value *value)
{
    if (value->type == RESP_ERROR && work->target == NULL) {
        work->target = redirect_target(work->server, redis_failure_of(value->str), value->str);
    }
}

static enum err one_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct work *work = CONTAINER_OF(call, struct work, call);
    struct redis_server *server = work->server;
    struct quorum_reply reply;
    const struct redis_failure *failure;
    unsigned left = call->replies;
    if (work->one.command == NULL) { /* handed back already */
        if (left == 0) {
            free_work(work);
        }
        return EA_OK;
    }
    enum quorum_verb verb = work->one.command->verb;
    note_target(work, value);
    enum err err = wire_read(work->one.command, work->edition, left, value, &server->set, &reply, &failure);
    if (err != EA_OK) {
        reply = (struct quorum_reply){.answer = QUORUM_LOST, .left_ms = -1}; /* what it did we can't tell */
    } else if (left == 0 && went_on(work, &work->one, &reply, failure)) {
        free_work(work);
        return EA_OK;
    } else if (left == 0) {
        look_at_failure(server, failure, is_write(verb));
        tell_operation(work, verb, reply.answer != QUORUM_FAILED);
    }
    if (left == 0) { /* else it is still the connection's */
        answer(work, &work->one, &reply);
        free_work(work);
    }
    return err;
}

static enum err many_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct work *work = CONTAINER_OF(call, struct work, call);
    const struct redis_failure *trouble = NULL;
    enum quorum_verb verb = work->verb;
    enum err err = EA_OK;
    note_target(work, value);
    for (size_t i = 0; i < work->n; i++) {
        struct quorum_reply reply = {.answer = QUORUM_LOST, .left_ms = -1};
        const struct redis_failure *failure = NULL;
        enum err e = wire_read_item(verb, value, work->items[i].place, work->places, &reply, &failure);
        if (e != EA_OK) {
            reply.answer = QUORUM_LOST;
            err = e;
        }
        if (e == EA_OK && went_on(work, &work->items[i], &reply, failure)) {
            continue;
        }
        trouble = failure != NULL ? failure : trouble;
        answer(work, &work->items[i], &reply);
    }
    look_at_failure(work->server, trouble, is_write(verb));
    tell_operation(work, verb, trouble == NULL && err == EA_OK);
    free_work(work);
    return err;
}

static void lost(struct redis_conn *conn, struct redis_call *call)
{
    struct work *work = CONTAINER_OF(call, struct work, call);
    for (size_t i = 0; i < work->n; i++) {
        answer(work, &work->items[i], &(struct quorum_reply){.answer = QUORUM_LOST, .left_ms = -1});
    }
    free_work(work);
}

/* --- a turn's commands as calls --- */

static void turn_init(struct turn *turn)
{
    *turn = (struct turn){.batches = {{QUORUM_LOOK}, {QUORUM_CLAIM}, {QUORUM_READ}}};
    turn->end = &turn->first;
}

/* Redirected ones go alone: others' keys must not stand in their way. */
static bool joins(const struct quorum_command *command)
{
    return command->redirects == 0;
}

static void see(struct seen *seen, uint64_t hash)
{
    seen->bits[hash / 64 % SEEN_WORDS] |= UINT64_C(1) << (hash % 64);
}

static bool was_seen(const struct seen *seen, uint64_t hash)
{
    return (seen->bits[hash / 64 % SEEN_WORDS] >> (hash % 64) & 1) != 0;
}

static struct work *add_work(struct redis_server *server, struct turn *turn, enum work_kind kind, size_t room)
{
    struct work *work = slab_alloc(&server->calls);
    *work = (struct work){.server = server, .kind = kind, .edition = server->conn.edition};
    work->call.replies = 1;
    work->call.reply = kind == WORK_BATCH ? many_reply : one_reply;
    work->call.lost = lost;
    work->items = room == 1 ? &work->one : mem_alloc(room * sizeof *work->items);
    *turn->end = work;
    turn->end = &work->next;
    return work;
}

static void add_item(struct work *work, struct quorum_command *command, size_t place)
{
    work->items[work->n++] = (struct item){command, place};
    work->places = place >= work->places ? place + 1 : work->places;
}

/* In cluster mode a call must stay in one slot. */
static bool fits(const struct work *batch, const struct quorum_command *command)
{
    const struct redis_seat *seat = command->user;
    const struct redis_seat *other = batch->items[0].command->user;
    return seat->group->lane->store->redis.mode != REDIS_CLUSTER || seat == other;
}

/* Equal reads are asked once. Looks and claims are not equal: each has an owner. */
static size_t place_of(const struct work *batch, const struct quorum_command *command)
{
    for (size_t i = 0; command->verb == QUORUM_READ && i < batch->n; i++) {
        const struct quorum_names *names = batch->items[i].command->names;
        if (names->hash == command->names->hash && str_eq(names->election, command->names->election) &&
            str_eq(names->kind, command->names->kind)) {
            return batch->items[i].place;
        }
    }
    return batch->places;
}

/* What comes later does not pass it: of its election nothing, by joining a call that stands before it; if it is about the
 * node itself, nothing at all. `except`: the call that it has joined. */
static void close_batches(struct turn *turn, const struct quorum_command *command, const struct batch *except)
{
    for (size_t i = 0; i < BATCHES; i++) {
        struct batch *batch = &turn->batches[i];
        if (command->names == NULL) { /* the node itself */
            batch->open = NULL;
        } else if (batch != except) {
            see(&batch->behind, command->names->hash);
        }
    }
}

static struct batch *batch_of(struct turn *turn, const struct quorum_command *command)
{
    struct batch *batch = NULL;
    for (size_t i = 0; i < BATCHES && joins(command); i++) {
        if (turn->batches[i].verb == command->verb && wire_batch_max(command) > 0) {
            batch = &turn->batches[i];
        }
    }
    return batch;
}

static void plan(struct redis_server *server, struct turn *turn, struct quorum_command *command)
{
    struct batch *batch = batch_of(turn, command);
    if (batch == NULL) {
        add_item(add_work(server, turn, WORK_ONE, 1), command, 0);
    } else {
        size_t most = wire_batch_max(command);
        if (batch->open == NULL || batch->open->n == most || was_seen(&batch->behind, command->names->hash) ||
            !fits(batch->open, command)) {
            batch->open = add_work(server, turn, WORK_BATCH, most);
            batch->open->verb = command->verb;
            memset(&batch->behind, 0, sizeof batch->behind);
        }
        add_item(batch->open, command, place_of(batch->open, command));
    }
    close_batches(turn, command, batch);
}

static void write_work(struct redis_server *server, struct work *work)
{
    const struct wire *wire = &server->lane->store->wire;
    struct buf *out = &server->conn.output;
    const struct redis_seat *seat = work->items[0].command->user;
    const struct quorum_command *commands[WIRE_READS_MAX];
    commands[0] = work->items[0].command;
    for (size_t i = 0; i < work->n; i++) {
        work->items[i].command->sent = true;
        commands[work->items[i].place] = work->items[i].command;
    }
    switch (work->kind) {
    case WORK_ONE:
        work->call.replies = wire_write(wire, &seat->wire, commands[0], out);
        break;
    case WORK_BATCH:
        wire_write_batch(wire, &seat->wire, commands, work->places, out);
        break;
    case WORK_ASKING:
        break; /* written by server_ask() */
    }
    work->sent = loop_now(server->lane->loop);
    conn_sent(&server->conn, &work->call);
}

/* --- the queue --- */

void server_queue(struct redis_server *server, struct quorum_command *command)
{
    command->next = NULL;
    *server->end = command;
    server->end = &command->next;
    loop_at_end(server->lane->loop, LOOP_STAGE_STORE, &server->flush);
}

static struct quorum_command *take_queue(struct redis_server *server)
{
    struct quorum_command *first = server->first;
    server->first = NULL;
    server->end = &server->first;
    return first;
}

static bool is_late(const struct redis_server *server, const struct quorum_command *command)
{
    return !mono_before(loop_now(server->lane->loop), command->deadline);
}

/* Hands back what is too late, or all of it; the rest stays in order. */
static void drop(struct redis_server *server, bool all)
{
    struct quorum_command *command = take_queue(server);
    while (command != NULL) {
        struct quorum_command *next = command->next;
        command->next = NULL;
        if (all || is_late(server, command)) {
            hand_back(command, QUORUM_DROPPED);
        } else {
            *server->end = command;
            server->end = &command->next;
        }
        command = next;
    }
}

static void send_queue(struct redis_server *server)
{
    struct turn turn;
    turn_init(&turn);
    drop(server, false);
    struct quorum_command *command = take_queue(server);
    while (command != NULL) {
        struct quorum_command *next = command->next;
        plan(server, &turn, command);
        command = next;
    }
    for (struct work *work = turn.first; work != NULL; work = work->next) {
        write_work(server, work);
    }
}

static void flush(struct loop *loop, struct loop_task *task)
{
    struct redis_server *server = CONTAINER_OF(task, struct redis_server, flush);
    if (!conn_is_ready(&server->conn)) {
        drop(server, true);
        return;
    }
    if (conn_backlog(&server->conn) > BACKLOG_MAX_BYTES) {
        drop(server, false);
        loop_timer_start(loop, &server->retry, mono_add_ms(loop_now(loop), RETRY_MS));
    } else if (server->first != NULL) {
        send_queue(server);
    }
    conn_flush(&server->conn);
}

static void retry(struct loop *loop, struct loop_timer *timer)
{
    struct redis_server *server = CONTAINER_OF(timer, struct redis_server, retry);
    loop_at_end(loop, LOOP_STAGE_STORE, &server->flush);
}

static enum err asking_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    free_work(CONTAINER_OF(call, struct work, call)); /* the command's own reply tells all */
    return EA_OK;
}

static void asking_lost(struct redis_conn *conn, struct redis_call *call)
{
    free_work(CONTAINER_OF(call, struct work, call));
}

/* ASKING is for one command: SET's second, which only reads, is refused then, and the set counts all the same. */
void server_ask(struct redis_server *server, struct quorum_command *command)
{
    struct turn turn;
    turn_init(&turn);
    struct work *asking = add_work(server, &turn, WORK_ASKING, 1);
    asking->call.reply = asking_reply;
    asking->call.lost = asking_lost;
    resp_begin(&server->conn.output, 1);
    resp_add(&server->conn.output, STR("ASKING"));
    conn_sent(&server->conn, &asking->call);
    struct work *work = add_work(server, &turn, WORK_ONE, 1);
    add_item(work, command, 0);
    write_work(server, work);
    loop_at_end(server->lane->loop, LOOP_STAGE_STORE, &server->flush);
}

struct buf *server_call(struct redis_server *server, struct redis_call *call)
{
    conn_sent(&server->conn, call);
    loop_at_end(server->lane->loop, LOOP_STAGE_STORE, &server->flush);
    return &server->conn.output;
}

/* True if there was any. */
static bool forget_queued(struct redis_server *server, const struct redis_seat *seat)
{
    struct quorum_command *command = take_queue(server);
    bool any = false;
    while (command != NULL) {
        struct quorum_command *next = command->next;
        command->next = NULL;
        if (command->user == seat) {
            any = true;
            hand_back(command, QUORUM_DROPPED);
        } else {
            *server->end = command;
            server->end = &command->next;
        }
        command = next;
    }
    return any;
}

bool server_forget(struct redis_server *server, struct redis_seat *seat)
{
    bool any = false;
    for (struct redis_call *call = server->conn.first; call != NULL; call = call->next) {
        if (call->lost != lost) {
            continue;
        }
        struct work *work = CONTAINER_OF(call, struct work, call);
        for (size_t i = 0; i < work->n; i++) {
            if (work->items[i].command != NULL && work->items[i].command->user == seat) {
                any = true;
                answer(work, &work->items[i], &(struct quorum_reply){.answer = QUORUM_LOST, .left_ms = -1});
            }
        }
    }
    while (forget_queued(server, seat)) {
        any = true; /* and what an answer makes the quorum send meanwhile */
    }
    return any;
}

/* --- the connection --- */

static void up(struct redis_conn *conn)
{
    struct redis_server *server = conn->options.user;
    server->set.there = false;
    for (struct redis_seat *seat = server->seats; seat != NULL; seat = seat->next) {
        if (!seat->arriving) { /* its timer sees to it */
            seat_up(seat);
        }
    }
    cluster_server_up(server);
}

static void down(struct redis_conn *conn, const char *why)
{
    struct redis_server *server = conn->options.user;
    while (server->first != NULL) {
        drop(server, true); /* an answer may make the quorum send more, until it knows */
    }
    health_node(server, QUORUM_NODE_DOWN, why);
    for (struct redis_seat *seat = server->seats; seat != NULL; seat = seat->next) {
        seat_down(seat);
    }
}

/* Two names of one server, or the same cluster twice: it would be a majority by itself, or nearly. Of the names of
 * one cluster's servers several may be of one, which is not two nodes. */
static enum err admit(struct redis_conn *conn, struct error *error)
{
    const struct redis_server *server = conn->options.user;
    for (const struct redis_server *other = lane_next_server(server->lane, NULL); other != NULL;
         other = lane_next_server(server->lane, other)) {
        if (other->node != server->node && conn_is_ready(&other->conn) &&
            strcmp(other->conn.hello.run_id, conn->hello.run_id) == 0) {
            return error_set(
                error, EA_UNAVAILABLE,
                "it is the same server as %s, and counts as one node with it: correct redis.urls",
                other->address->text);
        }
    }
    return EA_OK;
}

struct redis_server *server_new(struct redis_lane *lane, unsigned node, unsigned position,
                                struct redis_address *address)
{
    struct redis_store *store = lane->store;
    struct redis_server *server = mem_zalloc(sizeof *server);
    server->lane = lane;
    server->node = node;
    server->position = position;
    server->address = address;
    server->end = &server->first;
    server->flush.run = flush;
    server->retry.fire = retry;
    slab_init(&server->calls, sizeof(struct work), CALLS_KEEP);
    struct redis_conn_options options = redis_conn_options(lane, node, address);
    options.admit = admit;
    options.up = up;
    options.down = down;
    options.user = server;
    if (store->redis.mode != REDIS_CLUSTER) {
        options.shards_key = str_of(store->shards_key);
        options.shards = str_of(store->shards_texts[position]);
    }
    conn_init(&server->conn, &options);
    return server;
}

void server_free(struct redis_server *server)
{
    loop_timer_stop(server->lane->loop, &server->retry);
    conn_fini(&server->conn);
    slab_fini(&server->calls);
    if (server->own_address) {
        mem_free(server->address->host);
        mem_free(server->address->text);
        mem_free(server->address);
    }
    mem_free(server);
}
