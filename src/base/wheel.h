/*
 * A hierarchical timer wheel: starting, stopping and firing cost the same with one timer or with a million.
 * Resolution is 1 ms: a timer fires at the first advance at or after its time, rounded up to the next whole
 * millisecond; never before it. No clock, no I/O: time comes in. One thread, intrusive entries, caller's
 * memory.
 */
#ifndef EA_BASE_WHEEL_H
#define EA_BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct wheel_entry {
    struct wheel_entry *prev; /* NULL: not started; so a zeroed entry is ready for use */
    struct wheel_entry *next;
    struct mono at;
};

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS  64

struct wheel {
    uint64_t tick;                                       /* the last millisecond that was fired */
    size_t entries;                                      /* started timers */
    uint64_t busy[WHEEL_LEVELS];                         /* a bit per slot that holds entries */
    struct wheel_entry slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* list heads */
    struct wheel_entry due; /* those whose time has come and which were not handed out yet */
};

/* The wheel must stay where it is: its lists end in itself. */
void wheel_init(struct wheel *wheel, struct mono now);

static inline bool wheel_started(const struct wheel_entry *entry)
{
    return entry->prev != NULL;
}

/* Starts, or moves, the timer. A time in the past fires at the next advance. MONO_NEVER stops it. */
void wheel_start(struct wheel *wheel, struct wheel_entry *entry, struct mono at);
void wheel_stop(struct wheel *wheel, struct wheel_entry *entry);

/*
 * Moves the wheel to `now` and hands out the next entry that is due, stopped; NULL when there is none, or when
 * the way to it takes more work than one call should do: then wheel_next() is not after `now`. Call it until
 * NULL, or as often as a turn can afford: what is left is handed out by the next call. Entries may
 * be started, stopped and freed between calls. Entries come in the order of their milliseconds; among those
 * of one millisecond in the order in which they were started (not promised for timers that were started more
 * than 24 days ahead). An entry that is started for a time that has passed comes behind those already due: a
 * loop until NULL that always starts such entries doesn't end.
 */
struct wheel_entry *wheel_pop(struct wheel *wheel, struct mono now);

/*
 * When to call wheel_pop() next: a whole millisecond, not after that of the earliest timer. Exact when that
 * timer is at most 32 ms ahead, unless thousands more are; for a later one it may be the time at which the
 * wheel has work with it. MONO_NEVER if there are no timers.
 */
struct mono wheel_next(const struct wheel *wheel);

#endif
