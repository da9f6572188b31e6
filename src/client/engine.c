/* Carries out what failover.c decides: the loop, the store, and the program's calls on the loop's thread. */
#include "client/engine_uv.h"
#include "client/internal.h"
#include "client/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "core/names.h"

#define STEPS_MAX 64 /* turns in one dispatch; what is left comes with the next */

/* Virtual memory; what is not used is never touched. */
#define POOL_BYTES         ((size_t)4 * 1024 * 1024)
#define POOL_SERVER_BYTES  ((size_t)512 * 1024)
#define POOL_CLUSTER_BYTES ((size_t)16 * 1024 * 1024)

struct guest engine_enter(struct election *e)
{
    return (struct guest){mem_use(&e->source), log_use(&e->tap)};
}

void engine_leave(struct guest before)
{
    (void)mem_use(before.source);
    (void)log_use(before.tap);
}

static _Noreturn void exhausted(struct mem_source *source)
{
    longjmp(CONTAINER_OF(source, struct election, source)->out_of_memory, 1);
}

static void lock(struct election *e)
{
    (void)pthread_mutex_lock(&e->lock);
}

static void unlock(struct election *e)
{
    (void)pthread_mutex_unlock(&e->lock);
}

/* --- hooks of the decisions: with the lock --- */

static void hook_lead(void *arg, struct mono until, uint64_t token)
{
    struct election *e = arg;
    e->lapsed = !callbacks_lead(e, until, token);
    (void)pthread_cond_broadcast(&e->changed);
}

static void hook_start(void *arg, uint64_t token)
{
    callbacks_start(arg, token);
}

static void hook_end(void *arg, uint64_t token)
{
    callbacks_end(arg);
}

static void hook_stop(void *arg, uint64_t token)
{
    callbacks_stop(arg, token);
}

static void hook_change(void *arg, const char *leader, const char *previous, uint64_t token)
{
    struct election *e = arg;
    if (e->n_changes == CHANGES_MAX) {
        return; /* can't be: a call decides on less, and they are told after each */
    }
    struct change *change = &e->changes[e->n_changes++];
    (void)snprintf(change->leader, sizeof change->leader, "%s", leader);
    (void)snprintf(change->previous, sizeof change->previous, "%s", previous);
    change->token = token;
}

static void hook_note(void *arg, enum election_act act, const char *node, uint64_t token, const char *why)
{
    struct election *e = arg;
    size_t at = e->n_entries % ELECTION_ENTRIES_MAX;
    struct election_entry *entry = &e->entries[at];
    *entry =
        (struct election_entry){.time_ms = clock_wall(&clock_system).us / 1000, .token = token, .act = act};
    (void)snprintf(entry->node_id, sizeof entry->node_id, "%s", node);
    (void)snprintf(e->whys[at], sizeof e->whys[at], "%s", why);
    e->n_entries++;
}

/* --- telling the program: without the lock --- */

static enum log_level level_of(const struct election_entry *entry, bool self)
{
    switch (entry->act) {
    case ELECTION_ACT_LOST:
        return self ? LOG_WARNING : LOG_INFO;
    case ELECTION_ACT_START_FAILED:
    case ELECTION_ACT_STOP_LATE:
        return LOG_WARNING;
    default:
        return LOG_INFO;
    }
}

static void tell_entry(const struct election *e, const struct election_entry *entry, const char *why)
{
    bool self = strcmp(entry->node_id, e->settings.node_id) == 0;
    enum log_level level = level_of(entry, self);
    if (!log_enabled(level)) {
        return;
    }
    struct log_field fields[] = {LOG_TEXT("node", entry->node_id), LOG_UINT("token", entry->token),
                                 LOG_TEXT("why", why)};
    log_write(level, "election", election_act_text(entry->act), fields, why[0] != '\0' ? 3 : 2);
}

static void tell_entries(struct election *e)
{
    lock(e);
    if (e->n_entries - e->n_told > ELECTION_ENTRIES_MAX) {
        e->n_told = e->n_entries - ELECTION_ENTRIES_MAX;
    }
    while (e->n_told < e->n_entries) {
        size_t at = e->n_told++ % ELECTION_ENTRIES_MAX;
        struct election_entry entry = e->entries[at];
        char why[sizeof e->whys[at]];
        memcpy(why, e->whys[at], sizeof why);
        unlock(e);
        tell_entry(e, &entry, why);
        lock(e);
    }
    unlock(e);
}

static void tell_changes(struct election *e)
{
    const struct election_config *program = &e->settings.program;
    lock(e);
    for (unsigned i = 0; i < e->n_changes; i++) {
        struct change change = e->changes[i];
        unlock(e);
        if (program->on_change != NULL) {
            struct election_change told = {.leader = change.leader,
                                           .previous = change.previous,
                                           .token = change.token,
                                           .self = strcmp(change.leader, e->settings.node_id) == 0};
            program->on_change(program->user, &told);
        }
        lock(e);
    }
    e->n_changes = 0;
    unlock(e);
}

/* --- questions to the store --- */

static enum failover_outcome outcome_of(const struct election_request *request)
{
    switch (request->err) {
    case EA_OK:
        return request->op == OP_CAMPAIGN && !request->elected ? FAILOVER_LOST : FAILOVER_OK;
    case EA_HELD:
    case EA_NOT_FOUND:
        return FAILOVER_LOST;
    default:
        return FAILOVER_UNKNOWN;
    }
}

static void answered(struct election_request *request)
{
    struct election *e = request->user;
    char leader[ELECTION_NAME_BYTES] = "";
    bool names = (request->err == EA_OK && request->op != OP_RESIGN) || request->err == EA_HELD;
    if (names && request->tenure.leader.n < sizeof leader && request->tenure.leader.n > 0) {
        memcpy(leader, request->tenure.leader.p, request->tenure.leader.n);
    }
    struct failover_answer answer = {
        .outcome = outcome_of(request), .leader = leader, .token = names ? request->tenure.token : 0};
    struct mono now = loop_refresh(e->loop);
    lock(e);
    failover_answer(&e->failover, &answer, now, loop_wall(e->loop));
    unlock(e);
    engine_touch(e);
}

static void ask(struct election *e, const struct failover_question *question)
{
    static const enum election_op ops[] = {[FAILOVER_READ] = OP_GET,
                                           [FAILOVER_CAMPAIGN] = OP_CAMPAIGN,
                                           [FAILOVER_EXTEND] = OP_EXTEND,
                                           [FAILOVER_RESIGN] = OP_RESIGN,
                                           [FAILOVER_HAND_OVER] = OP_HANDOVER};
    const struct failover_settings *settings = &e->settings.failover;
    struct election_request *request = &e->request;
    struct str self = str_of(e->settings.node_id);
    bool hands_over = question->ask == FAILOVER_HAND_OVER;
    arena_reset(&e->arena);
    if (hands_over) {
        memcpy(e->heir, question->heir, sizeof e->heir);
    }
    *request = (struct election_request){
        .op = ops[question->ask],
        .kind = STR(KIND_DEFAULT),
        .election = str_of(e->settings.project),
        .candidate = hands_over ? str_of(e->heir) : self,
        .from = hands_over ? self : (struct str){NULL, 0},
        .token = question->ask == FAILOVER_CAMPAIGN ? 0 : question->token,
        .past = question->past,
        .term_ms = (int32_t)settings->ttl_ms,
        .priority = settings->priority,
        .start = question->start,
        .deadline = question->deadline,
        .arena = &e->arena,
        .done = answered,
        .user = e,
    };
    store_submit(e->store, 0, request);
}

static void seen(void *user, struct str candidate, int32_t priority, int64_t age_us)
{
    struct election *e = user;
    char name[ELECTION_NAME_BYTES] = "";
    memcpy(name, candidate.p, candidate.n);
    lock(e);
    failover_see(&e->failover, name, priority, age_us, loop_now(e->loop), loop_wall(e->loop));
    unlock(e);
    engine_touch(e);
}

static void beat(struct election *e, bool stands)
{
    const struct failover_settings *settings = &e->settings.failover;
    struct election_beat sign = {
        .kind = STR(KIND_DEFAULT),
        .election = str_of(e->settings.project),
        .candidate = str_of(e->settings.node_id),
        .priority = settings->priority,
        .stands = stands,
        .live_us = failover_live_us(&e->failover),
        .seen = seen,
        .user = e,
    };
    store_beat(e->store, 0, &sign);
}

/* --- the turn --- */

static void look_at_store(struct election *e)
{
    struct store_status status;
    store_status(e->store, &status);
    lock(e);
    e->store_up = status.state == STORE_UP;
    words_translate(e->store_why, sizeof e->store_why, status.why);
    unlock(e);
}

static void turn(struct loop *loop, struct loop_task *task)
{
    struct election *e = CONTAINER_OF(task, struct election, turn);
    struct mono now = loop_refresh(loop);
    lock(e);
    if (e->lapsed) {
        failover_lapsed(&e->failover, now);
    }
    failover_tick(&e->failover, now);
    struct failover_question question = failover_next(&e->failover, now);
    bool beats = failover_beat(&e->failover);
    bool stands = failover_stands(&e->failover, now);
    bool over = failover_state(&e->failover) == ELECTION_OVER;
    struct mono wake = failover_wake(&e->failover);
    unlock(e);
    loop_timer_start(loop, &e->timer, wake);
    if (question.ask != FAILOVER_NOTHING) {
        ask(e, &question);
    }
    if (beats) {
        beat(e, stands);
        look_at_store(e);
    }
    tell_entries(e);
    tell_changes(e);
    if (over && e->settings.own_loop) {
        loop_stop(loop);
    }
}

void engine_touch(struct election *e)
{
    loop_at_end(e->loop, LOOP_STAGE_STORE, &e->turn);
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    engine_touch(CONTAINER_OF(timer, struct election, timer));
}

static void on_step_down(struct loop *loop, struct loop_message *message)
{
    struct election *e = CONTAINER_OF(message, struct election, step_down);
    lock(e);
    e->step_down_posted = false;
    failover_step_down(&e->failover, loop_now(loop));
    unlock(e);
    engine_touch(e);
}

static void on_close(struct loop *loop, struct loop_message *message)
{
    struct election *e = CONTAINER_OF(message, struct election, close);
    lock(e);
    failover_close(&e->failover, loop_now(loop));
    unlock(e);
    engine_touch(e);
}

void engine_worker_done(struct loop *loop, struct loop_message *message)
{
    struct election *e = CONTAINER_OF(message, struct election, worker.done);
    lock(e);
    if (e->worker.did == JOB_START) {
        failover_started(&e->failover, e->worker.result, loop_now(loop));
    } else {
        failover_stopped(&e->failover, loop_now(loop));
    }
    unlock(e);
    engine_touch(e);
}

static void on_event(void *user, unsigned lane, const struct election_event *event)
{
    struct election *e = user;
    if (event->action == ACTION_ELECTED || !str_eq(event->election, str_of(e->settings.project)) ||
        !str_eq(event->kind, STR(KIND_DEFAULT))) {
        return;
    }
    lock(e);
    failover_hint(&e->failover, loop_now(e->loop));
    unlock(e);
    engine_touch(e);
}

static void on_status(void *user)
{
    struct election *e = user;
    look_at_store(e);
    lock(e);
    if (e->store_up) {
        failover_hint(&e->failover, loop_now(e->loop));
    }
    unlock(e);
    engine_touch(e);
}

bool engine_is_over(struct election *e)
{
    lock(e);
    bool over = e->failed || failover_state(&e->failover) == ELECTION_OVER;
    unlock(e);
    return over;
}

/* --- out of memory: the instance ends, the program does not --- */

static void fail(struct election *e)
{
    lock(e);
    if (!e->failed) {
        e->failed = true;
        e->deaf = true;
        (void)callbacks_lead(e, (struct mono){0}, 0);
        callbacks_end(e);
        if (e->failover.callback != 0 && !e->worker.busy) {
            callbacks_stop(e, e->failover.callback);
        }
        (void)pthread_cond_broadcast(&e->changed);
    }
    unlock(e);
    log_error("election", "out of memory: this instance takes no more part");
}

void engine_run(struct election *e)
{
    struct guest before = engine_enter(e);
    if (setjmp(e->out_of_memory) == 0) {
        loop_run(e->loop);
    } else {
        fail(e);
    }
    engine_leave(before);
}

void engine_step(struct election *e)
{
    struct guest before = engine_enter(e);
    if (setjmp(e->out_of_memory) == 0) {
        for (unsigned i = 0; !e->failed && loop_step(e->loop) && i < STEPS_MAX; i++) {
        }
    } else {
        fail(e);
    }
    engine_leave(before);
}

/* --- life --- */

static size_t pool_bytes(const char *urls)
{
    size_t servers = 1;
    for (const char *at = urls; at != NULL && *at != '\0'; at++) {
        servers += *at == ',' || *at == '&';
    }
    return POOL_BYTES + POOL_CLUSTER_BYTES + servers * POOL_SERVER_BYTES;
}

static enum err open_store(struct election *e, struct error *error)
{
    char words[sizeof error->text];
    struct store_options options = {
        .driver = "redis",
        .lanes = &e->loop,
        .n_lanes = 1,
        .clock = &clock_system,
        .max_term_ms = e->settings.failover.ttl_ms,
        .on_event = on_event,
        .on_status = on_status,
        .user = e,
        .redis = &e->settings.redis,
    };
    enum err err = store_redis_ops.open(&e->store, &options, error);
    if (err != EA_OK) {
        words_translate(words, sizeof words, error->text);
        return error_set(error, err, "%s", words);
    }
    store_watch(e->store);
    return EA_OK;
}

static void decide(struct election *e)
{
    struct failover_settings settings = e->settings.failover;
    settings.node_id = e->settings.node_id;
    settings.seed = rng_next(loop_rng(e->loop));
    settings.hooks = (struct failover_hooks){.lead = hook_lead,
                                             .start = hook_start,
                                             .end = hook_end,
                                             .stop = hook_stop,
                                             .change = hook_change,
                                             .note = hook_note,
                                             .arg = e};
    failover_init(&e->failover, &settings, loop_now(e->loop));
    e->turn.run = turn;
    e->timer.fire = on_timer;
    e->step_down.deliver = on_step_down;
    e->close.deliver = on_close;
    arena_init(&e->arena, e->arena_block, sizeof e->arena_block);
    engine_touch(e);
}

enum err engine_open(struct election *e, struct error *error)
{
    e->source = (struct mem_source){.pool = &e->pool, .exhausted = exhausted};
    e->tap = (struct log_tap){.take = show_log, .level = (enum log_level)e->settings.program.log_level};
    if (!pool_init(&e->pool, pool_bytes(e->settings.program.redis_urls))) {
        return error_set(error, EA_NOMEM, "out of memory");
    }
    struct guest before = engine_enter(e);
    volatile enum err err = EA_NOMEM;
    engine_own_libuv();
    if (setjmp(e->out_of_memory) == 0) {
        struct election_config program = e->settings.program;
        err = config_take(&e->settings, &program, error);
        if (err == EA_OK) {
            err = loop_new(&e->loop, &(struct loop_options){.index = 0}, error);
        }
        if (err == EA_OK) {
            err = open_store(e, error);
        }
        if (err == EA_OK) {
            decide(e);
        }
    } else {
        (void)error_set(error, EA_NOMEM, "out of memory");
    }
    engine_leave(before);
    return err;
}

void engine_free(struct election *e)
{
    struct guest before = engine_enter(e);
    /* After a failure the loop is in the middle of something: only its pool can be thrown away. */
    if (!e->failed && setjmp(e->out_of_memory) == 0) {
        if (e->store != NULL) {
            store_close(e->store);
        }
        if (e->loop != NULL) {
            loop_timer_stop(e->loop, &e->timer);
            loop_free(e->loop);
        }
        arena_reset(&e->arena);
    }
    e->store = NULL;
    e->loop = NULL;
    engine_leave(before);
    pool_fini(&e->pool);
}
