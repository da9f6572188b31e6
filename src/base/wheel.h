/*
 * A hierarchical timer wheel: starting, stopping and firing cost the same with one timer or with a million.
 * Resolution is 1 ms: a timer fires at the first advance at or after its time, never before it. No clock, no
 * I/O: time comes in. One thread, intrusive entries, caller's memory.
 */
#ifndef EA_BASE_WHEEL_H
#define EA_BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct wheel_entry {
    struct wheel_entry *prev; /* NULL: not started */
    struct wheel_entry *next;
    struct mono at;
};

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS  64

struct wheel {
    uint64_t tick;                                       /* the last millisecond that was fired */
    size_t entries;                                      /* started timers */
    uint64_t busy[WHEEL_LEVELS];                         /* a bit per slot that may hold entries */
    struct wheel_entry slots[WHEEL_LEVELS][WHEEL_SLOTS]; /* list heads */
    struct wheel_entry due; /* those whose time has come and which were not handed out yet */
};

void wheel_init(struct wheel *wheel, struct mono now);

static inline bool wheel_started(const struct wheel_entry *entry)
{
    return entry->prev != NULL;
}

/* Starts, or moves, the timer. A time in the past fires at the next advance. MONO_NEVER stops it. */
void wheel_start(struct wheel *wheel, struct wheel_entry *entry, struct mono at);
void wheel_stop(struct wheel *wheel, struct wheel_entry *entry);

/*
 * Moves the wheel to `now` and hands out the next entry that is due, stopped; NULL when there is none. Call
 * it until NULL, or as often as a turn can afford: what is left is handed out by the next call. Entries may
 * be started, stopped and freed between calls. Order among entries due in one millisecond is the order in
 * which they were started.
 */
struct wheel_entry *wheel_pop(struct wheel *wheel, struct mono now);

/* A time not after the earliest timer (exact for timers less than 64 ms away, else the next slot to look at);
 * MONO_NEVER if none. When to wake up. */
struct mono wheel_next(const struct wheel *wheel);

#endif
