/*
 * An owner of elections: decides on its loop's thread, hands its changes to the writer once a turn, and lets
 * answers wait for them that depend on them.
 *
 *   deciding ──► filling batch ──(end of turn, if none is flying)──► flying ──► the writer ──► delivered
 *                    ▲                                                                            │
 *                    └────────── failed: its changes go back to the front, the lane is down ◄─────┤
 *                                                                      written: answers go out ◄──┘
 *
 * While a lane is down its book is frozen: what needs no write goes on, the rest is refused. A retry a second
 * writes what is left; when that succeeds the lane is up.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/embedded/internal.h"

/* --- what the book tells --- */

static void on_keep(void *arg, const struct book_record *record)
{
    struct lane *lane = arg;
    bool begins = record->token > lane->last_token; /* T1: a new tenure has a new, greater token */
    lane->last_token = begins ? record->token : lane->last_token;
    if (lane->store->writer != NULL) {
        batch_keep(lane->filling, record, begins);
        if (lane->flying != NULL && !lane->down && lane->filling->changes.n >= EMBEDDED_BEHIND_BYTES) {
            book_freeze(lane->book, "the disk does not keep up");
        }
    }
}

static void on_drop(void *arg, struct str kind, struct str election, bool answered)
{
    struct lane *lane = arg;
    if (lane->store->writer != NULL) {
        batch_drop(lane->filling, kind, election);
        lane_queue_flush(lane);
    }
}

static void on_event(void *arg, const struct election_event *event)
{
    const struct lane *lane = arg;
    const struct store_options *options = &lane->store->options;
    if (options->on_event != NULL) {
        options->on_event(options->user, lane->index, event);
    }
}

static void on_kind(void *arg, void **slot, struct str kind, uint64_t led)
{
    struct lane *lane = arg;
    tally_set(&lane->tally, slot, kind, led);
}

/* --- time --- */

/*
 * The time of a decision: the turn's, but never before the request was made (by another loop's clock reading,
 * which may be younger than our turn), since validity is counted from there (L2); and never before the last
 * decision.
 */
static struct mono lane_time(struct lane *lane, struct mono not_before)
{
    lane->now = mono_max(lane->now, mono_max(loop_now(lane->loop), not_before));
    return lane->now;
}

static void arm_expiry(struct lane *lane, struct mono at)
{
    if (at.us != MONO_NEVER.us && mono_before(at, lane->expiry_at)) {
        lane->expiry_at = at;
        loop_timer_start(lane->loop, &lane->expiry, at);
    }
}

static void on_expiry(struct loop *loop, struct loop_timer *timer)
{
    struct lane *lane = CONTAINER_OF(timer, struct lane, expiry);
    struct mono now = lane_time(lane, loop_now(loop));
    lane->expiry_at = MONO_NEVER;
    bool behind = lane->flying != NULL && lane->filling->n_changes >= EMBEDDED_BEHIND_MAX;
    bool more = behind || book_expire(lane->book, now, loop_wall(loop), EMBEDDED_EXPIRE_PER_TURN);
    /* A crowd of expiries takes several turns, with requests answered in between. */
    arm_expiry(lane, more ? mono_add_ms(now, 1) : book_next(lane->book));
}

/* --- answers --- */

static void lane_answer(struct lane *lane, struct election_request *request)
{
    if (request->lane == lane->index) {
        embedded_answer(lane->store, request);
    } else {
        hop_answer(lane, request);
    }
}

static void arm_deadline(struct lane *lane, struct mono at)
{
    if (at.us != MONO_NEVER.us && mono_before(at, lane->deadline_at)) {
        lane->deadline_at = at;
        loop_timer_start(lane->loop, &lane->deadline, at);
    }
}

static struct batch *batch_of(struct lane *lane, uint64_t sequence)
{
    if (lane->flying != NULL && lane->flying->sequence == sequence) {
        return lane->flying;
    }
    /* A batch that failed has handed its changes to the one that is filling. */
    return lane->filling;
}

/* The answer has to wait until `sequence` is in the file. What it points at may change meanwhile; a promise
 * names the candidate itself, which the request keeps. */
static void lane_wait(struct lane *lane, struct election_request *request, uint64_t sequence)
{
    struct batch *batch = batch_of(lane, sequence);
    if (request->tenure.token != 0) {
        assert(str_eq(request->tenure.leader, request->candidate));
        request->tenure.leader = request->candidate;
    }
    request->next = NULL;
    *batch->waiting_end = request;
    batch->waiting_end = &request->next;
    arm_deadline(lane, request->deadline);
    lane_queue_flush(lane);
}

static struct election_request *take_waiting(struct batch *batch)
{
    struct election_request *waiting = batch->waiting;
    batch->waiting = NULL;
    batch->waiting_end = &batch->waiting;
    return waiting;
}

static void refuse_all(struct lane *lane, struct election_request *waiting, struct str why)
{
    while (waiting != NULL) {
        struct election_request *request = waiting;
        waiting = request->next;
        embedded_refuse(request, why);
        lane_answer(lane, request);
    }
}

/* Takes those out of the batch whose time is over, and answers them: the tenure stands, nobody is told of it.
 */
static void refuse_late(struct lane *lane, struct batch *batch, struct mono now)
{
    struct election_request *waiting = take_waiting(batch);
    while (waiting != NULL) {
        struct election_request *request = waiting;
        waiting = request->next;
        if (mono_before(now, request->deadline)) {
            request->next = NULL;
            *batch->waiting_end = request;
            batch->waiting_end = &request->next;
            arm_deadline(lane, request->deadline);
        } else {
            embedded_refuse(request,
                            STR("the disk was too slow; if this made a leader, its term ends by itself"));
            lane_answer(lane, request);
        }
    }
}

static void on_deadline(struct loop *loop, struct loop_timer *timer)
{
    struct lane *lane = CONTAINER_OF(timer, struct lane, deadline);
    struct mono now = loop_now(loop);
    lane->deadline_at = MONO_NEVER;
    refuse_late(lane, lane->filling, now);
    if (lane->flying != NULL) {
        refuse_late(lane, lane->flying, now);
    }
}

/* --- batches come back --- */

static void withdraw(void *arg, const struct book_record *record)
{
    struct lane *lane = arg;
    (void)book_withdraw(lane->book, lane_time(lane, lane->now), loop_wall(lane->loop), record->kind,
                        record->election, record->token);
}

static void batch_failed(struct lane *lane, struct batch *batch)
{
    struct batch *later = lane->filling;
    struct election_request *waiting = take_waiting(batch);
    struct election_request *waiting_later = take_waiting(later);
    (void)snprintf(lane->why, sizeof lane->why, "%s", batch->outcome.text);
    if (!lane->down) {
        lane->down = true;
        embedded_lane_state(lane, lane->why);
    }
    book_freeze(lane->book, lane->why);
    /*
     * S1: also what was decided while the batch was flying is refused, and its tenures withdrawn: it may rely
     * on what failed (a leader whose grant was in the air campaigned again, with a longer term). Nobody was
     * told of these tenures, and nobody shall be. All changes stay in their order; the deletions go behind
     * them.
     */
    batch_prepend(later, batch);
    batch->sequence = later->sequence;
    lane->filling = batch;
    batch_each_begun(later, withdraw, lane);
    batch_prepend(batch, later);
    refuse_all(lane, waiting, str_of(lane->why));
    refuse_all(lane, waiting_later, str_of(lane->why));
    loop_timer_start(lane->loop, &lane->retry, mono_add_ms(loop_now(lane->loop), EMBEDDED_RETRY_MS));
}

static void batch_written(struct lane *lane, struct batch *batch)
{
    struct election_request *waiting = take_waiting(batch);
    lane->durable = batch->sequence;
    batch_clear(batch);
    book_freeze(lane->book, NULL);
    if (lane->down) {
        lane->down = false;
        embedded_lane_state(lane, NULL);
    }
    while (waiting != NULL) {
        struct election_request *request = waiting;
        waiting = request->next;
        lane_answer(lane, request);
    }
}

static void on_batch(struct loop *loop, struct loop_message *message)
{
    struct batch *batch = CONTAINER_OF(message, struct batch, message);
    struct lane *lane = batch->lane;
    assert(lane->flying == batch && loop == lane->loop);
    lane->flying = NULL;
    if (batch->outcome.code == EA_OK) {
        batch_written(lane, batch);
        lane_queue_flush(lane); /* what came meanwhile */
    } else {
        batch_failed(lane, batch);
    }
}

static void fly(struct lane *lane)
{
    struct batch *batch = lane->filling;
    lane->filling = batch == &lane->batches[0] ? &lane->batches[1] : &lane->batches[0];
    lane->filling->sequence = batch->sequence + 1;
    lane->flying = batch;
    writer_post(lane->store->writer, batch);
}

static void on_retry(struct loop *loop, struct loop_timer *timer)
{
    struct lane *lane = CONTAINER_OF(timer, struct lane, retry);
    if (lane->flying == NULL && !lane->store->closing) {
        fly(lane); /* even an empty one: it tells whether the file can be written again */
    }
}

static void on_flush(struct loop *loop, struct loop_task *task)
{
    struct lane *lane = CONTAINER_OF(task, struct lane, flush);
    if (lane->boxes_filled) {
        hop_send(lane);
    }
    bool may_fly = lane->store->writer != NULL && !lane->store->closing && !lane->down;
    if (may_fly && lane->flying == NULL && lane->filling->n_changes > 0) {
        fly(lane);
    }
    arm_expiry(lane, book_next(lane->book));
}

void lane_queue_flush(struct lane *lane)
{
    loop_at_end(lane->loop, LOOP_STAGE_STORE, &lane->flush);
}

/* --- deciding --- */

static bool changes_or_confirms(enum election_op op)
{
    return op == OP_CAMPAIGN || op == OP_EXTEND || op == OP_HANDOVER;
}

/* S5, and the time after a reboot: whether the request may reach the book. */
static bool admit(struct lane *lane, struct election_request *request, struct mono now)
{
    if (lane->store->closing) {
        embedded_refuse(request, STR("the agent ends"));
        return false;
    }
    if (!mono_before(now, request->deadline)) {
        embedded_refuse(request, STR("the request came after its deadline"));
        return false;
    }
    if (changes_or_confirms(request->op) && mono_before(now, lane->store->quarantine_until)) {
        embedded_refuse(request,
                        STR("the machine was restarted and may have lost the last writes: nothing is granted "
                            "or confirmed until every term that may still run is over"));
        return false;
    }
    return true;
}

void lane_decide(struct lane *lane, struct election_request *request)
{
    struct book_outcome outcome = {.changed = false};
    struct mono now = lane_time(lane, request->start);
    uint64_t need = 0;
    request->decided = now;
    if (!admit(lane, request, now)) {
        lane_answer(lane, request);
        return;
    }
    book_decide(lane->book, now, loop_wall(lane->loop), request, &outcome);
    if (outcome.changed) {
        lane_queue_flush(lane); /* the batch, and the timer */
        need = lane->filling->sequence;
        if (outcome.mark != NULL) {
            *outcome.mark = need;
        }
    } else if (outcome.mark != NULL && embedded_promises(request)) {
        need = *outcome.mark; /* S1: of the tenure it confirms */
    }
    if (need > lane->durable && lane->store->writer != NULL) {
        lane_wait(lane, request, need);
    } else {
        lane_answer(lane, request);
    }
}

/* --- beginning and end --- */

enum err lane_init(struct lane *lane, struct embedded *store, unsigned index, struct error *error)
{
    lane->store = store;
    lane->index = index;
    lane->loop = store->options.lanes[index];
    lane->now = clock_mono(store->options.clock);
    lane->last_token = store->startup.first_token;
    lane->expiry_at = MONO_NEVER;
    lane->deadline_at = MONO_NEVER;
    lane->flush.run = on_flush;
    lane->expiry.fire = on_expiry;
    lane->deadline.fire = on_deadline;
    lane->retry.fire = on_retry;
    for (size_t i = 0; i < ARRAY_LENGTH(lane->batches); i++) {
        batch_init(&lane->batches[i], lane->loop, on_batch);
        lane->batches[i].lane = lane;
    }
    lane->filling = &lane->batches[0];
    lane->filling->sequence = 1;
    enum err err = tally_init(&lane->tally, error);
    if (err != EA_OK) {
        return err;
    }
    struct book_options options = {
        .now = lane->now,
        .seed = store->seed,
        .first_token = store->startup.first_token, /* S4 */
        .vacant_kept = EMBEDDED_VACANT_KEPT / store->n_lanes,
        .vacant_bytes = EMBEDDED_VACANT_BYTES / store->n_lanes,
        .hooks = {.keep = on_keep, .drop = on_drop, .event = on_event, .kind = on_kind, .arg = lane},
    };
    lane->book = book_new(&options);
    hop_init(lane);
    return EA_OK;
}

void lane_restore(struct lane *lane, struct mono now, const struct book_record *record)
{
    bool restored = book_restore(lane->book, now, record);
    assert(restored); /* keys of the file are in strict order, so there is none twice */
    (void)restored;
    lane->last_token = record->token > lane->last_token ? record->token : lane->last_token;
}

void lane_start(struct lane *lane)
{
    arm_expiry(lane, book_next(lane->book));
}

bool lane_is_quiet(const struct lane *lane)
{
    return lane->flying == NULL && !lane->flush.queued && hop_is_quiet(lane);
}

void lane_abandon(struct lane *lane)
{
    struct election_request *waiting = take_waiting(lane->filling);
    while (waiting != NULL) {
        struct election_request *request = waiting;
        waiting = request->next;
        embedded_refuse(request, STR("the agent ends"));
        embedded_answer(lane->store, request);
    }
}

bool lane_write_last(struct lane *lane)
{
    struct error error = ERROR_NONE;
    assert(lane->flying == NULL);
    if (lane->filling->n_changes == 0) {
        return true;
    }
    enum err err = writer_write(lane->store->writer, lane->filling, &error);
    if (err != EA_OK) {
        log_error("store", "the last changes are not written", LOG_TEXT("why", error.text));
    }
    return err == EA_OK;
}

void lane_fini(struct lane *lane)
{
    loop_timer_stop(lane->loop, &lane->expiry);
    loop_timer_stop(lane->loop, &lane->deadline);
    loop_timer_stop(lane->loop, &lane->retry);
    book_free(lane->book);
    tally_fini(&lane->tally);
    hop_fini(lane);
    for (size_t i = 0; i < ARRAY_LENGTH(lane->batches); i++) {
        batch_fini(&lane->batches[i]);
    }
}
