/*
 * An event loop: one per thread, on libuv. What belongs to a loop is touched on its thread only; the one door
 * from outside is loop_post().
 *
 * The turn: everything that is ready is read and decoded; services and stores run in those callbacks; then
 * the stages run, each to its end, in the order of `enum loop_stage`; then the loop sleeps. Under load one
 * flush carries the work of hundreds of clients. Time is read once a turn.
 *
 * A loop made with a fake clock never sleeps longer than the test's hand moves the clock: see loop_step().
 */
#ifndef EA_NET_LOOP_H
#define EA_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/random.h"
#include "base/wheel.h"

struct loop;

struct loop_options {
    unsigned index;            /* 0 is the first loop, which also runs what exists once */
    const struct clock *clock; /* NULL: clock_system. Must outlive the loop. */
    uint64_t seed;             /* of loop_rng(); 0: from the kernel */
};

/* EA_IO if the kernel refuses (file descriptors). */
enum err loop_new(struct loop **out, const struct loop_options *options, struct error *error) EA_MUST_CHECK;

/* All handles must be closed; runs the last stages. Calls on the loop's thread, after loop_run() returned. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);

/* Any thread. The loop ends after its present turn. */
void loop_stop(struct loop *loop);

/* One turn without sleeping: fires timers due by the clock, reads what is ready, runs all stages. True if
 * anything happened. For tests and for programs with a loop of their own. */
bool loop_step(struct loop *loop);

/* When loop_step() has something to do that no descriptor tells of; MONO_NEVER: nothing. */
struct mono loop_next(const struct loop *loop);

/* --- facts --- */

struct mono loop_now(const struct loop *loop); /* the turn's time */
struct wall loop_wall(const struct loop *loop);

/* Begins the turn if it has not begun: reads its time and tells those who watch for lateness. Callbacks of
 * libuv handles that are not net/'s own (signals, curl's sockets) call it first. */
void loop_enter(struct loop *loop);

/* Reads the clock again and makes it the turn's time; where a lease's validity starts or an answer is late.
 */
struct mono loop_refresh(struct loop *loop);
const struct clock *loop_clock(const struct loop *loop);
unsigned loop_index(const struct loop *loop);
struct rng *loop_rng(struct loop *loop);
uv_loop_t *loop_uv(struct loop *loop);

/* --- timers --- */

/* Caller's memory; zero it before first use. Fires on the loop's thread, at or after its time, once. */
struct loop_timer {
    struct wheel_entry entry;
    void (*fire)(struct loop *loop, struct loop_timer *timer);
};

void loop_timer_start(struct loop *loop, struct loop_timer *timer, struct mono at); /* or moves it */
void loop_timer_stop(struct loop *loop, struct loop_timer *timer); /* harmless if not started */

/* --- stages of the turn's end --- */

enum loop_stage {
    LOOP_STAGE_STORE,  /* stores send what they collected */
    LOOP_STAGE_STREAM, /* connections produce and write their answers */
    LOOP_STAGE_FREE,   /* what was freed inside its own callback is freed now */
    LOOP_STAGES
};

/* Caller's memory; zero it before first use. One that is queued already stays where it is. */
struct loop_task {
    struct loop_task *next;
    bool queued;
    void (*run)(struct loop *loop, struct loop_task *task);
};

/* Runs the task in this turn's stage, or in the next turn's if that stage is over. A task that queues itself
 * again while it runs has its next run in the next turn; the loop does not sleep before it. */
void loop_at_end(struct loop *loop, enum loop_stage stage, struct loop_task *task);

/* Runs the task early in the next turn, where input arrives and before timers fire: for what must not happen
 * inside the function that asks for it. */
void loop_at_start(struct loop *loop, struct loop_task *task);

/* --- messages from other threads --- */

/* Owned by the sender until delivered, by the receiver after. Delivered in the order in which one thread
 * posted them. */
struct loop_message {
    struct loop_message *next;
    void (*deliver)(struct loop *loop, struct loop_message *message);
};

/* Any thread, never blocks, never fails. One wake-up per batch. Messages posted to a stopped loop are not
 * delivered. */
void loop_post(struct loop *loop, struct loop_message *message);

/* --- borrowed memory --- */

/* The loop's one read buffer: valid until the callback returns. */
#define LOOP_READ_BYTES ((size_t)64 * 1024)
uint8_t *loop_read_buffer(struct loop *loop);

/* Chunks for output in flight; a few idle ones are kept, the rest goes back to the heap. */
#define LOOP_CHUNK_BYTES ((size_t)16 * 1024)
void *loop_chunk_borrow(struct loop *loop) __attribute__((returns_nonnull, warn_unused_result));
void loop_chunk_return(struct loop *loop, void *chunk);

/* --- lateness --- */

/* Called when a turn began much later than it should have (a paused process, a moved virtual machine, a turn
 * that took too long): by more than LOOP_LATE_MS. Called before anything else of that turn, so before what
 * arrived meanwhile is read. Under loop_run() a loop that is watched wakes at least every LOOP_LATE_MS / 2,
 * so that an idle one notices too; under loop_step() only a timer that fires late tells. Caller's memory;
 * stays registered as long as the loop. */
#define LOOP_LATE_MS 1000
struct loop_late {
    struct loop_late *next;
    void (*late)(struct loop *loop, struct loop_late *self, int64_t late_us);
};
void loop_on_late(struct loop *loop, struct loop_late *watcher);

#endif
