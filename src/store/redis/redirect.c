/*
 * Redirections of a Redis Cluster. A command that is answered MOVED, ASK or TRYAGAIN was not executed; it stays
 * under way, and is sent where it belongs:
 *
 *   ASK       its slot is on its way to another server, and its keys are there: ASKING and the command go to
 *             that server, as what it was, since the memory of the slot is the one that was known: each key is
 *             on one of the two.
 *   TRYAGAIN  its keys are on both: again after a moment.
 *   MOVED     the slot is another server's. Whether that has the slot's memory, or is a replica that was made
 *             its master and lacks the last writes, can't be seen from here. So the quorum looks at it first
 *             (quorum_node_moved), and what was refused is sent when it has: everything to a server that is
 *             proven; to another what a recovering node may be asked, which is all but SET.
 */
#include <string.h>

#include "base/mem.h"
#include "store/redis/internal.h"

#define REDIRECTS_MAX \
    200 /* of one command; those without a deadline are tried again with the node's next look */
#define RETRY_MS   20
#define ARRIVAL_MS 2

/* --- what the error says --- */

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 ::1:6381"; without a host it is the one that answers. */
struct redis_server *redirect_target(struct redis_server *server, const struct redis_failure *failure,
                                     struct str error)
{
    struct str word;
    struct str slot;
    uint64_t port = 0;
    bool names = redis_failure_is(failure, "MOVED") || redis_failure_is(failure, "ASK");
    if (!names || server->lane->clusters == NULL || !str_split(&error, ' ', &word) ||
        !str_split(&error, ' ', &slot) || error.p == NULL) {
        return NULL;
    }
    const char *colon = memrchr(error.p, ':', error.n);
    if (colon == NULL) {
        return NULL;
    }
    struct str host = {error.p, (size_t)(colon - error.p)};
    struct str digits = {colon + 1, error.n - host.n - 1};
    if (!str_to_u64(digits, &port)) {
        return NULL;
    }
    return cluster_server(server, host, port);
}

/* --- commands that wait --- */

static bool is_late(const struct redis_seat *seat, const struct quorum_command *command)
{
    return !mono_before(loop_now(seat->group->lane->loop), command->deadline);
}

static struct quorum_command *take_held(struct redis_seat *seat)
{
    struct quorum_command *first = seat->held;
    seat->held = NULL;
    seat->held_end = &seat->held;
    return first;
}

static void put_held(struct redis_seat *seat, struct quorum_command *command)
{
    command->next = NULL;
    *seat->held_end = command;
    seat->held_end = &command->next;
}

static void wake(struct redis_seat *seat, int64_t ms)
{
    struct loop *loop = seat->group->lane->loop;
    struct mono at = mono_add_ms(loop_now(loop), ms);
    if (!wheel_started(&seat->retry.entry) || mono_before(at, seat->retry.entry.at)) {
        loop_timer_start(loop, &seat->retry, at);
    }
}

void redirect_hold(struct redis_seat *seat, struct quorum_command *command, int64_t ms)
{
    put_held(seat, command);
    wake(seat, ms);
}

/* Nothing was executed. */
static void refuse(struct redis_seat *seat, struct quorum_command *command)
{
    group_reply(seat, command, &(struct quorum_reply){.answer = QUORUM_FAILED, .left_ms = -1});
}

/* The quorum's verdict on where the seat is now. */
static void release(struct redis_seat *seat)
{
    bool proven = seat->state == QUORUM_NODE_READY;
    bool usable = proven || seat->state == QUORUM_NODE_RECOVERING;
    bool waits = seat->arriving || seat->state == QUORUM_NODE_CHECKING;
    struct quorum_command *command = take_held(seat);
    while (command != NULL) {
        struct quorum_command *next = command->next;
        if (is_late(seat, command)) {
            refuse(seat, command);
        } else if (waits) {
            put_held(seat, command);
        } else if (!usable || seat->server == NULL || (command->verb == QUORUM_SET && !proven)) {
            refuse(seat, command);
        } else {
            server_queue(seat->server, command);
        }
        command = next;
    }
    if (seat->held != NULL || seat->arriving) {
        wake(seat, ARRIVAL_MS);
    }
}

static void retry(struct loop *loop, struct loop_timer *timer)
{
    struct redis_seat *seat = CONTAINER_OF(timer, struct redis_seat, retry);
    if (seat->arriving && seat->server != NULL && conn_is_ready(&seat->server->conn)) {
        seat_up(seat);
    }
    release(seat);
}

/* --- redirections --- */

bool redirect(struct redis_server *server, struct quorum_command *command,
              const struct redis_failure *failure, struct redis_server *target)
{
    struct redis_seat *seat = command->user;
    bool moved = redis_failure_is(failure, "MOVED");
    bool asks = redis_failure_is(failure, "ASK");
    if (server->lane->clusters == NULL || server->lane->store->closing ||
        !(moved || asks || redis_failure_is(failure, "TRYAGAIN"))) {
        return false;
    }
    if (moved && target != NULL && target != server && seat->server == server) {
        cluster_set_owner(target, seat->group->index);
        seat_move(seat, target);
    }
    /* What is asked about a node is meant for the very server that it was when it was asked. */
    bool of_node = command->names == NULL;
    if (++command->redirects > REDIRECTS_MAX || is_late(seat, command) ||
        (moved && (of_node || seat->server == server))) {
        return false;
    }
    if (asks && target != NULL && conn_is_ready(&target->conn)) {
        server_ask(target, command);
    } else {
        redirect_hold(seat, command, moved ? ARRIVAL_MS : RETRY_MS);
    }
    return true;
}

static bool drop_held(struct redis_seat *seat)
{
    struct quorum_command *command = take_held(seat);
    bool any = command != NULL;
    while (command != NULL) {
        struct quorum_command *next = command->next;
        refuse(seat, command);
        command = next;
    }
    return any;
}

/* An answer may make the quorum send more, until it knows. */
void redirect_recall(struct redis_seat *seat)
{
    struct redis_lane *lane = seat->group->lane;
    bool any = true;
    while (any) {
        any = drop_held(seat);
        for (struct redis_server *server = lane_next_server(lane, NULL); server != NULL;
             server = lane_next_server(lane, server)) {
            bool possible = lane->clusters != NULL ? server->node == seat->node : server == seat->server;
            any = (possible && server_forget(server, seat)) || any;
        }
    }
    loop_timer_stop(lane->loop, &seat->retry);
}

void redirect_init(struct redis_seat *seat)
{
    seat->held_end = &seat->held;
    seat->retry.fire = retry;
}
