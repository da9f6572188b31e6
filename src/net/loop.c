/*
 * The turn, in libuv's terms:
 *
 *     prepare ──► poll (read what is ready) ──► check ──► closing callbacks ──► prepare ...
 *        │                │                        │
 *        │                │                        └ start tasks, due timers, the stages
 *        │                └ loop_enter(): the turn's time
 *        └ the stages again if closing callbacks queued something; how long to sleep
 *
 * One uv_timer stands for all timers: it only ends the sleep, the wheel says who fires.
 */
#include "net/loop.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/loop_private.h"
#include "net/output.h"

/* So many timers fire before sockets are looked at again, so that a crowd of expiries delays no answer. */
#define TIMERS_PER_TURN 256

#define CHUNK_TRIM_MS 1000

struct task_list {
    struct loop_task *head;
    struct loop_task *tail;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_async_t wake;
    uv_timer_t sleep;
    bool stepping; /* in loop_step(), not in loop_run() */
    bool ending;   /* in loop_free() */

    const struct clock *clock;
    struct mono now;
    struct wall wall;
    bool now_known; /* now is this turn's */
    bool wall_known;
    uint64_t uv_began_ms; /* libuv's time when the turn began */

    struct wheel wheel;
    struct mono armed; /* when `sleep` ends; MONO_NEVER: not started */

    struct mono expected; /* the next turn should have begun by then */
    int64_t late_us;      /* not yet told to the watchers */
    struct loop_late *watchers;

    struct task_list starts;
    struct task_list stages[LOOP_STAGES];
    struct task_list again[LOOP_STAGES]; /* queued by themselves while they ran: for the next turn */
    const struct loop_task *running;
    uint64_t happened; /* counts, so that loop_step() can tell */

    _Atomic(struct loop_message *) posted; /* newest first */
    atomic_bool stopping;

    struct chunk_pool chunks;
    struct loop_timer trim;
    uint8_t *read_buffer;
    uint8_t *scratch;
    struct slab streams;

    struct rng rng;
    unsigned index;
};

/* --- tasks --- */

static void list_push(struct task_list *list, struct loop_task *task)
{
    task->next = NULL;
    if (list->tail != NULL) {
        list->tail->next = task;
    } else {
        list->head = task;
    }
    list->tail = task;
}

static struct loop_task *list_pop(struct task_list *list)
{
    struct loop_task *task = list->head;

    if (task != NULL) {
        list->head = task->next;
        if (list->head == NULL) {
            list->tail = NULL;
        }
    }
    return task;
}

static struct task_list list_take(struct task_list *list)
{
    struct task_list taken = *list;

    *list = (struct task_list){NULL, NULL};
    return taken;
}

static void run_list(struct loop *loop, struct task_list *list)
{
    struct loop_task *task;

    while ((task = list_pop(list)) != NULL) {
        task->queued = false;
        loop->running = task;
        loop->happened++;
        task->run(loop, task); /* may free the task */
        loop->running = NULL;
    }
}

static void run_stages(struct loop *loop)
{
    for (unsigned stage = 0; stage < LOOP_STAGES; stage++) {
        run_list(loop, &loop->stages[stage]);
        loop->stages[stage] = list_take(&loop->again[stage]);
    }
}

static bool stages_are_empty(const struct loop *loop)
{
    for (unsigned stage = 0; stage < LOOP_STAGES; stage++) {
        if (loop->stages[stage].head != NULL) {
            return false;
        }
    }
    return true;
}

void loop_at_end(struct loop *loop, enum loop_stage stage, struct loop_task *task)
{
    if (task->queued) {
        return;
    }
    task->queued = true;
    list_push(task == loop->running ? &loop->again[stage] : &loop->stages[stage], task);
}

void loop_at_start(struct loop *loop, struct loop_task *task)
{
    if (task->queued) {
        return;
    }
    task->queued = true;
    list_push(&loop->starts, task);
}

/* --- time --- */

static void begin_turn(struct loop *loop)
{
    loop->now = clock_mono(loop->clock);
    loop->now_known = true;
    loop->wall_known = false;
    loop->uv_began_ms = uv_now(&loop->uv);
    if (loop->expected.us != MONO_NEVER.us) {
        int64_t late_us = mono_sub(loop->now, loop->expected);

        if (late_us > (int64_t)LOOP_LATE_MS * 1000) {
            loop->late_us = late_us;
        }
        loop->expected = MONO_NEVER;
    }
}

void loop_enter(struct loop *loop)
{
    if (!loop->now_known) {
        begin_turn(loop);
    }
    loop->happened++;
    if (loop->late_us != 0) {
        int64_t late_us = loop->late_us;

        loop->late_us = 0;
        for (struct loop_late *watcher = loop->watchers; watcher != NULL; watcher = watcher->next) {
            watcher->late(loop, watcher, late_us);
        }
    }
}

struct mono loop_now(const struct loop *loop)
{
    if (!loop->now_known) {
        /* Asked for by a callback that did not enter; only what is remembered about the clock changes. */
        begin_turn((struct loop *)loop);
    }
    return loop->now;
}

struct wall loop_wall(const struct loop *loop)
{
    struct loop *mutable = (struct loop *)loop;

    (void)loop_now(loop);
    if (!loop->wall_known) {
        mutable->wall = clock_wall(loop->clock);
        mutable->wall_known = true;
    }
    return loop->wall;
}

struct mono loop_refresh(struct loop *loop)
{
    (void)loop_now(loop); /* lateness is measured once, where the turn begins */
    loop->now = clock_mono(loop->clock);
    loop->wall_known = false;
    return loop->now;
}

void loop_on_late(struct loop *loop, struct loop_late *watcher)
{
    watcher->next = loop->watchers;
    loop->watchers = watcher;
}

/* --- timers --- */

void loop_timer_start(struct loop *loop, struct loop_timer *timer, struct mono at)
{
    wheel_start(&loop->wheel, &timer->entry, at);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    if (wheel_started(&timer->entry)) {
        wheel_stop(&loop->wheel, &timer->entry);
    }
}

static void fire_timers(struct loop *loop)
{
    for (unsigned i = 0; i < TIMERS_PER_TURN; i++) {
        struct wheel_entry *entry = wheel_pop(&loop->wheel, loop->now);
        struct loop_timer *timer;

        if (entry == NULL) {
            return;
        }
        timer = CONTAINER_OF(entry, struct loop_timer, entry);
        loop->happened++;
        timer->fire(loop, timer);
    }
}

static void on_sleep_over(uv_timer_t *handle)
{
    struct loop *loop = handle->data;

    loop->armed = MONO_NEVER;
}

/* Lets libuv sleep until `until` at the latest. A sleep that ends earlier stays: setting it again in every
 * turn would cost more than one turn too many. */
static void arm_sleep(struct loop *loop, struct mono until)
{
    int64_t us;

    if (until.us == MONO_NEVER.us) {
        return;
    }
    if (mono_before(loop->now, loop->armed) && !mono_before(until, loop->armed)) {
        return;
    }
    /* The turn's time is as old as the turn; libuv's is new. */
    us = mono_sub(until, loop->now) - (int64_t)(uv_now(&loop->uv) - loop->uv_began_ms) * 1000;
    loop->armed = until;
    (void)uv_timer_start(&loop->sleep, on_sleep_over, us > 0 ? (uint64_t)(us + 999) / 1000 : 0, 0);
}

/* --- the turn --- */

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;
    struct mono until;

    if (!stages_are_empty(loop)) {
        run_stages(loop);
    }
    (void)loop_now(loop);
    if (loop->chunks.n > CHUNK_POOL_KEEP && !wheel_started(&loop->trim.entry)) {
        loop_timer_start(loop, &loop->trim, mono_add_ms(loop->now, CHUNK_TRIM_MS));
    }
    until = wheel_next(&loop->wheel);
    if (loop->watchers != NULL && !loop->stepping) {
        until = mono_min(until, mono_add_ms(loop->now, LOOP_LATE_MS / 2));
    }
    if (loop->starts.head != NULL || !stages_are_empty(loop) || loop->late_us != 0) {
        until = loop->now;
    }
    arm_sleep(loop, until);
    loop->expected = loop->stepping ? wheel_next(&loop->wheel) : until;
    loop->expected = mono_max(loop->expected, loop->now);
    loop->now_known = false;
}

static void on_check(uv_check_t *handle)
{
    struct loop *loop = handle->data;
    struct task_list starts = list_take(&loop->starts);
    uint64_t happened = loop->happened;

    loop_enter(loop);
    loop->happened = happened; /* that a turn takes place is no event */
    run_list(loop, &starts);
    fire_timers(loop);
    run_stages(loop);
    if (!loop->stepping && atomic_load_explicit(&loop->stopping, memory_order_acquire)) {
        uv_stop(&loop->uv);
    }
}

void loop_run(struct loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire)) {
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    }
    atomic_store_explicit(&loop->stopping, false, memory_order_relaxed);
    loop->now_known = false;
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    (void)uv_async_send(&loop->wake);
}

bool loop_step(struct loop *loop)
{
    uint64_t happened = loop->happened;

    loop->now_known = false;
    loop->stepping = true;
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    loop->stepping = false;
    loop->expected = mono_max(wheel_next(&loop->wheel), loop_now(loop));
    loop->now_known = false;
    return loop->happened != happened || loop->starts.head != NULL || !stages_are_empty(loop);
}

struct mono loop_next(const struct loop *loop)
{
    bool pending = loop->starts.head != NULL || !stages_are_empty(loop);
    return pending ? loop_now(loop) : wheel_next(&loop->wheel);
}

/* --- messages --- */

void loop_post(struct loop *loop, struct loop_message *message)
{
    struct loop_message *newest = atomic_load_explicit(&loop->posted, memory_order_relaxed);

    do {
        message->next = newest;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posted, &newest, message, memory_order_release,
                                                    memory_order_relaxed));
    /* Who finds the list empty wakes the loop; the others' messages ride along. */
    if (newest == NULL) {
        (void)uv_async_send(&loop->wake);
    }
}

static void on_wake(uv_async_t *handle)
{
    struct loop *loop = handle->data;
    struct loop_message *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct loop_message *oldest = NULL;

    while (newest != NULL) {
        struct loop_message *next = newest->next;

        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    if (loop->ending) {
        return; /* too late: whom they are for may be gone */
    }
    loop_enter(loop);
    while (oldest != NULL) {
        struct loop_message *next = oldest->next; /* the receiver owns it from here on */

        loop->happened++;
        oldest->deliver(loop, oldest);
        oldest = next;
    }
}

/* --- borrowed memory --- */

uint8_t *loop_read_buffer(struct loop *loop)
{
    return loop->read_buffer;
}

struct chunk_pool *loop_chunks(struct loop *loop)
{
    return &loop->chunks;
}

void *loop_chunk_borrow(struct loop *loop)
{
    return chunk_pool_get(&loop->chunks)->bytes;
}

void loop_chunk_return(struct loop *loop, void *chunk)
{
    chunk_pool_put(&loop->chunks, CONTAINER_OF(chunk, struct chunk, bytes));
}

static void on_trim(struct loop *loop, struct loop_timer *timer)
{
    if (chunk_pool_trim(&loop->chunks)) {
        loop_timer_start(loop, timer, mono_add_ms(loop->now, CHUNK_TRIM_MS));
    }
}

uint8_t *loop_scratch(struct loop *loop)
{
    if (loop->scratch == NULL) {
        loop->scratch = mem_alloc(LOOP_CHUNK_BYTES);
    }
    return loop->scratch;
}

struct slab *loop_stream_slab(struct loop *loop, size_t object_bytes)
{
    if (loop->streams.object_bytes == 0) {
        slab_init(&loop->streams, object_bytes, 64);
    }
    return &loop->streams;
}

/* --- facts --- */

const struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

unsigned loop_index(const struct loop *loop)
{
    return loop->index;
}

struct rng *loop_rng(struct loop *loop)
{
    return &loop->rng;
}

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

/* --- life --- */

enum err loop_new(struct loop **out, const struct loop_options *options, struct error *error)
{
    struct loop *loop = mem_zalloc(sizeof *loop);
    int rc;

    *out = NULL;
    rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        goto no_loop;
    }
    rc = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (rc != 0) {
        goto no_wake;
    }
    loop->wake.data = loop;
    (void)uv_prepare_init(&loop->uv, &loop->prepare);
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    loop->prepare.data = loop;
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_check_start(&loop->check, on_check);
    loop->check.data = loop;
    (void)uv_timer_init(&loop->uv, &loop->sleep);
    loop->sleep.data = loop;

    loop->clock = options->clock != NULL ? options->clock : &clock_system;
    loop->index = options->index;
    loop->expected = MONO_NEVER;
    loop->armed = MONO_NEVER;
    if (options->seed != 0) {
        rng_seed(&loop->rng, options->seed);
    } else {
        rng_seed_system(&loop->rng);
    }
    wheel_init(&loop->wheel, clock_mono(loop->clock));
    loop->trim.fire = on_trim;
    loop->read_buffer = mem_alloc(LOOP_READ_BYTES);
    *out = loop;
    return EA_OK;

no_wake:
    (void)uv_loop_close(&loop->uv);
no_loop:
    mem_free(loop);
    return error_set_errno(error, EA_IO, -rc, "cannot make an event loop");
}

static void find_child(uv_handle_t *handle, void *arg)
{
    bool *found = arg;
    *found = *found || (handle->type == UV_PROCESS && !uv_is_closing(handle));
}

/* A child process that was killed is still ours until the kernel has told of its end. */
static bool has_child(struct loop *loop)
{
    bool found = false;
    uv_walk(&loop->uv, find_child, &found);
    return found;
}

void loop_free(struct loop *loop)
{
    int rc;

    loop->ending = true;
    /* What handles that just closed have queued. */
    while (loop_step(loop)) {
    }
    /* What libuv's thread pool still does for us (the Kubernetes client's names) cannot be called off. */
    while (loop->uv.active_reqs.count > 0 || has_child(loop)) {
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
    loop_timer_stop(loop, &loop->trim);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->sleep, NULL);
    (void)uv_run(&loop->uv, UV_RUN_NOWAIT);
    rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* else somebody left a handle open */
    (void)rc;
    if (loop->streams.object_bytes != 0) {
        slab_fini(&loop->streams);
    }
    chunk_pool_fini(&loop->chunks);
    mem_free(loop->read_buffer);
    mem_free(loop->scratch);
    mem_free(loop);
}
