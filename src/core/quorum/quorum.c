/* The doors of the quorum: see quorum.h. */
#include "core/quorum/quorum.h"

#include <assert.h>
#include <string.h>

#include "core/quorum/internal.h"

#define UNDOS_DEFAULT 65536

bool quorum_observe(struct quorum *q, uint64_t value)
{
    return hlc_observe(&q->hlc, value);
}

uint64_t quorum_clock(struct quorum *q)
{
    return hlc_next(&q->hlc, q->now.wall);
}

struct quorum_owner quorum_owner_new(struct quorum *q)
{
    uint64_t clock = q->faults.owner_stands_still ? 1 : quorum_clock(q);
    return clock != 0 ? (struct quorum_owner){clock, q->options.agent} : (struct quorum_owner){0};
}

struct quorum *quorum_new(const struct quorum_options *options, struct quorum_now now)
{
    assert(options->nodes >= 1 && options->nodes <= QUORUM_NODES_MAX && options->agent != 0);
    assert(options->operation_timeout_ms > 0 && options->max_term_ms > 0 && options->hooks.send != NULL);
    struct quorum *q = mem_zalloc(sizeof(*q));
    q->options = *options;
    q->options.undos_max = options->undos_max != 0 ? options->undos_max : UNDOS_DEFAULT;
    q->n = options->nodes;
    q->majority = q->n / 2 + 1;
    q->witnesses = q->n - q->majority + 1;
    q->now = now;
    q->hooks = options->hooks;
    rng_seed(&q->rng, options->seed);
    q->seed = rng_next(&q->rng);
    wheel_init(&q->wheel, now.mono);
    attempts_init(q);
    map_init(&q->heads);
    map_init(&q->joins);
    q->starts_end = &q->starts;
    q->answered_end = &q->answered;
    q->census = 1; /* no node was heard in it */
    hint_init(q);
    for (unsigned i = 0; i < q->n; i++) {
        node_init(q, i);
    }
    return q;
}

void quorum_free(struct quorum *q)
{
    if (q == NULL) {
        return;
    }
    while (q->attempts != NULL) {
        attempt_free(q, q->attempts);
    }
    map_fini(&q->heads);
    map_fini(&q->joins);
    slab_fini(&q->small);
    slab_fini(&q->large);
    mem_free(q->hints);
    mem_free(q);
}

void quorum_set_faults(struct quorum *q, const struct quorum_faults *faults)
{
    q->faults = *faults;
}

/* --- The end of every call --- */

static void run_starts(struct quorum *q)
{
    while (q->starts != NULL) {
        struct attempt *a = q->starts;
        q->starts = a->waiter_next;
        if (q->starts == NULL) {
            q->starts_end = &q->starts;
        }
        a->waiter_next = NULL;
        a->queued = false;
        if (a->request != NULL) {
            a->ops->start(q, a);
        }
        attempt_settle(q, a);
    }
}

static void free_dead(struct quorum *q)
{
    while (q->dead != NULL) {
        struct attempt *a = q->dead;
        q->dead = a->waiter_next;
        attempt_free(q, a);
    }
}

/* Attempts whose turn has come begin, answers go out. `done` may call in again: that call leaves it to this one. */
static void leave(struct quorum *q)
{
    if (q->answering) {
        return;
    }
    q->answering = true;
    run_starts(q);
    while (q->answered != NULL) {
        struct election_request *request = q->answered;
        q->answered = request->next;
        if (q->answered == NULL) {
            q->answered_end = &q->answered;
        }
        request->next = NULL;
        request->done(request);
        run_starts(q);
    }
    free_dead(q);
    q->answering = false;
}

static void enter(struct quorum *q, struct quorum_now now)
{
    assert(!mono_before(now.mono, q->now.mono));
    q->now = now;
}

/* --- Requests --- */

static void refuse(struct quorum *q, struct election_request *request, const char *why)
{
    request->err = EA_UNAVAILABLE;
    request->why = str_of(why);
    request->elected = false;
    request->tenure = (struct election_tenure){0};
    request->decided = q->now.mono;
    request->next = NULL;
    *q->answered_end = request;
    q->answered_end = &request->next;
}

static const struct attempt_ops *ops_of(enum election_op op)
{
    switch (op) {
    case OP_CAMPAIGN:
        return &campaign_ops;
    case OP_EXTEND:
        return &extend_ops;
    case OP_RESIGN:
        return &resign_ops;
    case OP_HANDOVER:
        return &handover_ops;
    case OP_GET:
    case OP_INFO:
        return &read_ops;
    default:
        return NULL;
    }
}

static void submit(struct quorum *q, struct election_request *request, struct quorum_session *session)
{
    const struct attempt_ops *ops = ops_of(request->op);
    assert(ops != NULL && request->done != NULL);
    request->next = NULL;
    if (q->stopped) {
        refuse(q, request, "the store is closing");
        return;
    }
    /* S5: what comes too late changes nothing. */
    if (!mono_before(mono_add_us(q->now.mono, QUORUM_TIMER_US), request->deadline)) {
        refuse(q, request, "the deadline was over before the store could be asked");
        return;
    }
    bool joinable = ops == &read_ops || (ops == &extend_ops && session == NULL);
    if (joinable && join_equal(q, request)) {
        return;
    }
    struct attempt *a = attempt_new(q, request, ops);
    a->session = session;
    if (ops == &campaign_ops) {
        campaign_enter(q, a);
        return;
    }
    if (joinable) {
        join_open(q, a);
    }
    ops->start(q, a);
    attempt_settle(q, a);
}

void quorum_submit(struct quorum *q, struct quorum_now now, struct election_request *request,
                   struct quorum_session *session)
{
    enter(q, now);
    submit(q, request, session);
    leave(q);
}

/* --- Nodes --- */

void quorum_reply(struct quorum *q, struct quorum_now now, struct quorum_command *command,
                  const struct quorum_reply *reply)
{
    enter(q, now);
    assert(command->node < q->n && reply->answer < QUORUM_ANSWER_COUNT);
    struct node *node = &q->nodes[command->node];
    if (command == &node->cmd) {
        node_reply(q, node, reply);
    } else {
        struct slot *s = CONTAINER_OF(command, struct slot, cmd);
        struct slot *first = s - command->node;
        struct attempt *a = CONTAINER_OF(first, struct attempt, slots[0]);
        assert(s->out);
        attempt_reply(q, a, s, reply);
    }
    leave(q);
}

void quorum_node_up(struct quorum *q, struct quorum_now now, unsigned index, const struct quorum_hello *hello)
{
    enter(q, now);
    assert(index < q->n);
    node_up(q, &q->nodes[index], hello);
    leave(q);
}

void quorum_node_moved(struct quorum *q, struct quorum_now now, unsigned index,
                       const struct quorum_hello *hello)
{
    enter(q, now);
    assert(index < q->n);
    node_moved(q, &q->nodes[index], hello);
    leave(q);
}

void quorum_node_down(struct quorum *q, struct quorum_now now, unsigned index)
{
    enter(q, now);
    assert(index < q->n);
    node_down(q, &q->nodes[index]);
    leave(q);
}

/* --- Time --- */

void quorum_timer(struct quorum *q, struct quorum_now now)
{
    enter(q, now);
    struct wheel_entry *entry = NULL;
    while ((entry = wheel_pop(&q->wheel, now.mono)) != NULL) {
        if (entry == &q->poll) {
            node_poll(q);
        } else {
            attempt_timer(q, CONTAINER_OF(entry, struct attempt, timer));
        }
    }
    leave(q);
}

struct mono quorum_next(const struct quorum *q)
{
    return wheel_next(&q->wheel);
}

void quorum_stop(struct quorum *q, struct quorum_now now)
{
    enter(q, now);
    q->stopped = true;
    for (struct attempt *a = q->attempts; a != NULL; a = a->next) {
        if (a->request != NULL) {
            a->ops->expired(q, a);
            attempt_settle(q, a);
        }
    }
    leave(q);
}

bool quorum_idle(const struct quorum *q)
{
    bool out = false;
    for (unsigned i = 0; i < q->n; i++) {
        out = out || q->nodes[i].out;
    }
    return q->n_attempts == 0 && q->answered == NULL && !out;
}

/* --- Status --- */

void quorum_status(const struct quorum *q, struct quorum_status *out)
{
    *out = (struct quorum_status){
        .nodes = q->n,
        .ready = node_count(q, QUORUM_NODE_READY),
        .recovering = node_count(q, QUORUM_NODE_RECOVERING),
        .quorum = q->majority,
        .memory_was_lost = q->memory_was_lost,
        .attempts = q->n_attempts,
        .undos = q->n_undos,
        .retries = q->retries,
        .claims_low = q->claims_low,
        .repairs = q->repairs,
    };
}

enum quorum_node_state quorum_node_state(const struct quorum *q, unsigned node)
{
    assert(node < q->n);
    return node_state(&q->nodes[node]);
}
