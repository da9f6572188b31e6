/* The store's operations: see internal.h for who does what, DESIGN.md for why. */
#include "store/embedded/embedded.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "core/names.h"
#include "store/embedded/internal.h"

#define BOOT_ID_FILE "/proc/sys/kernel/random/boot_id"

static struct embedded *embedded_of(struct store *store)
{
    return CONTAINER_OF(store, struct embedded, store);
}

/* --- answers --- */

bool embedded_promises(const struct election_request *request)
{
    return request->err == EA_OK &&
           (request->op == OP_EXTEND || request->op == OP_HANDOVER || request->elected);
}

void embedded_refuse(struct election_request *request, struct str why)
{
    request->err = EA_UNAVAILABLE;
    request->why = why;
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = 0};
}

void embedded_answer(struct embedded *store, struct election_request *request)
{
    if (request->err != EA_UNAVAILABLE) {
        struct mono now = loop_now(store->lanes[request->lane].loop);
        if (!mono_before(now, request->deadline)) {
            embedded_refuse(
                request,
                STR("decided too late to be answered; if this made a leader, its term ends by itself"));
        } else if (embedded_promises(request) && !mono_before(now, request->tenure.expires)) {
            embedded_refuse(request, STR("the term was over before it could be answered"));
        }
    }
    request->done(request);
}

/* --- status --- */

static void tell_status(struct embedded *self)
{
    if (self->options.on_status != NULL && !self->closing) {
        self->options.on_status(self->options.user);
    }
}

static void on_status_message(struct loop *loop, struct loop_message *message)
{
    struct embedded *self = CONTAINER_OF(message, struct embedded, status_message);
    atomic_store_explicit(&self->status_posted, false, memory_order_release);
    tell_status(self);
}

void embedded_lane_state(struct lane *lane, const char *why)
{
    struct embedded *self = lane->store;
    uv_mutex_lock(&self->status_lock);
    if (why != NULL) {
        self->lanes_down++;
        (void)snprintf(self->why, sizeof self->why, "%.*s", (int)sizeof self->why - 1, why);
    } else {
        self->lanes_down--;
    }
    uv_mutex_unlock(&self->status_lock);
    if (why != NULL) {
        log_error("store", "cannot write", LOG_UINT("lane", lane->index), LOG_TEXT("why", why));
    } else {
        log_info("store", "can write again", LOG_UINT("lane", lane->index));
    }
    if (lane->index == 0) {
        tell_status(self);
    } else if (!atomic_exchange_explicit(&self->status_posted, true, memory_order_acq_rel)) {
        loop_post(self->lanes[0].loop, &self->status_message);
    }
}

static void status(struct store *store, struct store_status *out)
{
    struct embedded *self = embedded_of(store);
    int64_t left_us = mono_sub(self->quarantine_until, clock_mono(self->options.clock));
    *out = (struct store_status){.state = STORE_UP};
    uv_mutex_lock(&self->status_lock);
    if (self->lanes_down > 0) {
        out->state = STORE_DOWN;
        memcpy(out->why, self->why, sizeof out->why);
    } else if (left_us > 0) {
        out->state = STORE_STARTING;
        (void)snprintf(out->why, sizeof out->why,
                       "after a restart of the machine nothing is granted for another %" PRId64 " s",
                       left_us / 1000000 + 1);
    }
    uv_mutex_unlock(&self->status_lock);
}

static void on_quarantine_over(struct loop *loop, struct loop_timer *timer)
{
    struct embedded *self = CONTAINER_OF(timer, struct embedded, quarantine);
    log_info("store", "every term from before the restart of the machine is over");
    writer_settle(self->writer);
    tell_status(self);
}

static void count(struct store *store, void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    struct embedded *self = embedded_of(store);
    struct tally_sum sum = {.rows = BUF_EMPTY};
    for (unsigned i = 0; i < self->n_lanes; i++) {
        tally_add_to(&self->lanes[i].tally, &sum);
    }
    tally_sum_tell(&sum, row, arg);
}

/* --- requests --- */

/* The upper half of the hash; the lane's own map uses the lower. */
static struct lane *owner_of(struct embedded *self, struct str kind, struct str election)
{
    uint64_t hash = str_hash(election, str_hash(kind, self->seed));
    return &self->lanes[(hash >> 32) * self->n_lanes >> 32];
}

static void submit(struct store *store, unsigned index, struct election_request *request)
{
    struct embedded *self = embedded_of(store);
    struct lane *lane = &self->lanes[index];
    election_request_assert_checked(request, self->n_lanes, self->options.max_term_ms);
    assert((request->op != OP_INFO && request->op != OP_LIST) || request->arena != NULL);
    if (self->closing) { /* the last turns of the loops: nothing new comes in, or they would never be the last
                          */
        request->decided = request->start;
        embedded_refuse(request, STR("the agent ends"));
        request->done(request);
        return;
    }
    if (self->n_lanes == 1) {
        lane_decide(lane, request);
        return;
    }
    if (request->op == OP_LIST) {
        list_submit(lane, request);
        return;
    }
    struct lane *owner = owner_of(self, request->kind, request->election);
    if (owner == lane) {
        lane_decide(lane, request);
    } else {
        hop_ask(lane, owner, request);
    }
}

/* --- open and close --- */

static void restore(void *arg, const struct book_record *record)
{
    struct embedded *self = arg;
    struct lane *owner = owner_of(self, record->kind, record->election);
    lane_restore(owner, clock_mono(self->options.clock), record);
}

static bool keeps_nothing(const struct store_options *options)
{
    return strcmp(options->path, ":memory:") == 0;
}

static enum err open_file(struct embedded *self, const struct embedded_seams *seams, struct error *error)
{
    struct startup_options options = {
        .directory = self->options.path,
        .clock = self->options.clock,
        .sync_power = self->options.sync_power,
        .boot_id_file = seams->boot_id_file,
    };
    return startup_run(&self->startup, &options, error);
}

/* The leases back into memory, and the thread. */
static enum err resume(struct embedded *self, struct error *error)
{
    enum err err = startup_restore(&self->startup, restore, self, error);
    if (err != EA_OK) {
        return err;
    }
    err = writer_start(&self->writer, &self->startup, error);
    if (err != EA_OK) {
        return err;
    }
    if (self->startup.quarantine_ms > 0) {
        self->quarantine_until = mono_add_ms(clock_mono(self->options.clock), self->startup.quarantine_ms);
        self->quarantine.fire = on_quarantine_over;
        loop_timer_start(self->lanes[0].loop, &self->quarantine, self->quarantine_until);
        log_warning("store", "the machine was restarted: nothing is granted until every old term is over",
                    LOG_INT("ms", self->startup.quarantine_ms));
    }
    log_info("store", "opened", LOG_TEXT("path", self->startup.path),
             LOG_UINT("leases", self->startup.leases),
             LOG_TEXT("sync", self->options.sync_power ? "power" : "process"));
    return EA_OK;
}

static void free_lanes(struct embedded *self, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        lane_fini(&self->lanes[i]);
    }
}

static bool is_quiet(struct embedded *self)
{
    for (unsigned i = 0; i < self->n_lanes; i++) {
        if (!lane_is_quiet(&self->lanes[i])) {
            return false;
        }
    }
    return !atomic_load_explicit(&self->status_posted, memory_order_acquire);
}

/*
 * The loops do not run any more, but their queues may hold messages and tasks of ours. They are stepped by
 * hand until none is left: what the writer has finished is answered as it deserves, what comes to a lane now
 * is refused.
 */
static void settle_loops(struct embedded *self)
{
    while (!is_quiet(self)) {
        for (unsigned i = 0; i < self->n_lanes; i++) {
            (void)loop_step(self->lanes[i].loop);
        }
    }
    for (unsigned i = 0; i < self->n_lanes; i++) {
        lane_abandon(&self->lanes[i]);
    }
}

static void close_store(struct store *store)
{
    struct embedded *self = embedded_of(store);
    bool complete = true;
    self->closing = true;
    if (self->writer != NULL) {
        loop_timer_stop(self->lanes[0].loop, &self->quarantine);
        writer_stop(self->writer);
    }
    settle_loops(self);
    if (self->writer != NULL) {
        for (unsigned i = 0; i < self->n_lanes; i++) {
            complete = lane_write_last(&self->lanes[i]) && complete;
        }
        writer_free(self->writer, complete);
    }
    free_lanes(self, self->n_lanes);
    startup_fini(&self->startup);
    uv_mutex_destroy(&self->status_lock);
    mem_free(self);
}

static uint64_t seed_of(const struct store_options *options)
{
    struct rng rng;
    if (options->seed != 0) {
        return options->seed;
    }
    rng_seed_system(&rng);
    return rng_next(&rng);
}

enum err embedded_open(struct store **out, const struct store_options *options,
                       const struct embedded_seams *seams, struct error *error)
{
    assert(options->n_lanes > 0 && options->lanes != NULL && options->clock != NULL && options->path != NULL);
    struct embedded *self = mem_zalloc(sizeof *self + options->n_lanes * sizeof self->lanes[0]);
    unsigned ready = 0;
    enum err err = EA_OK;
    self->store.ops = &store_embedded_ops;
    self->options = *options;
    self->n_lanes = options->n_lanes;
    self->seed = seed_of(options);
    self->quarantine_until = (struct mono){INT64_MIN / 2};
    self->startup.lock_fd = -1;
    self->status_message.deliver = on_status_message;
    int failed = uv_mutex_init(&self->status_lock);
    if (failed != 0) {
        mem_free(self);
        return error_set(error, EA_IO, "cannot make a mutex: %s", uv_strerror(failed));
    }
    if (!keeps_nothing(options)) {
        err = open_file(self, seams, error);
    }
    for (; err == EA_OK && ready < self->n_lanes; ready += err == EA_OK) {
        err = lane_init(&self->lanes[ready], self, ready, error);
    }
    if (err == EA_OK && !keeps_nothing(options)) {
        err = resume(self, error);
    }
    if (err != EA_OK) {
        goto out;
    }
    for (unsigned i = 0; i < self->n_lanes; i++) {
        lane_start(&self->lanes[i]);
    }
    self->options.lanes = NULL; /* the caller's array; each lane knows its loop */
    self->options.path = NULL;
    *out = &self->store;
    return EA_OK;
out:
    free_lanes(self, ready);
    startup_fini(&self->startup);
    uv_mutex_destroy(&self->status_lock);
    mem_free(self);
    return err;
}

static enum err open_store(struct store **out, const struct store_options *options, struct error *error)
{
    static const struct embedded_seams seams = {.boot_id_file = BOOT_ID_FILE};
    return embedded_open(out, options, &seams, error);
}

const struct store_ops store_embedded_ops = {
    .name = "embedded",
    .open = open_store,
    .submit = submit,
    .status = status,
    .count = count,
    .close = close_store,
};
