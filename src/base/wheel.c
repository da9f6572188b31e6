/*
 * Six levels of 64 slots. A slot of level l is 32^l ms wide, so a level spans two slots of the level above:
 * the one that time is in, and the next one.
 *
 *     level 1   | time is here      | draining          | ...                      32 ms a slot
 *     level 0   | 1 | 2 | ..... | 31| 0 | 1 | ..... | 31|                           1 ms a slot
 *
 * An entry goes to the lowest level that reaches it. While time passes through one slot of an upper level,
 * the entries of the next slot are moved one level down, a bounded number a millisecond: that is what the
 * second half of the lower level is for. So a slot of a hundred thousand timers is no work in one go (as in a
 * wheel that cascades a slot when time gets there), unless a process was stopped for longer than a slot is
 * wide.
 *
 * Position: a time divided by the width of a slot; its slot is the position modulo 64. All positions in use
 * at a level are 1 to 63 ahead of the one that time is in, so a slot never holds two positions.
 *
 * Order within a millisecond: an entry at an upper level was started before every entry with the same
 * millisecond at a lower one, since the level that reaches a time only sinks. So lists get started entries at
 * their tail, and entries from above at their head, the last one first. The exception are times beyond the
 * top level: they wait in its last slot and are placed anew from there.
 */
#include "base/wheel.h"

#include <assert.h>

#define LEVEL_BITS 5
#define TOP        (WHEEL_LEVELS - 1)
#define US_PER_MS  1000
/*
 * How many entries are moved down while a millisecond passes. A move costs up to 200 ns (the entry is in no
 * cache). Level 1 has only 32 ms for a slot, the others a second or more; so 130,000 timers may be due within
 * 32 ms, or a million within a second, before a slot is not drained in time. At most four milliseconds' worth
 * in one call. A slot that was not drained in time is drained before time enters it, also in portions.
 */
#define DRAIN_PER_MS_NEAR 4096
#define DRAIN_PER_MS_FAR  1024
#define DRAIN_MS_MAX      4
#define DRAIN_LATE        32768

_Static_assert(WHEEL_SLOTS == 2 << LEVEL_BITS && WHEEL_SLOTS == 64, "a word has a bit for each slot");

#define NO_TICK UINT64_MAX

static void list_init(struct wheel_entry *head)
{
    head->prev = head;
    head->next = head;
}

static bool list_empty(const struct wheel_entry *head)
{
    return head->next == head;
}

static void list_insert(struct wheel_entry *before, struct wheel_entry *entry)
{
    entry->prev = before->prev;
    entry->next = before;
    before->prev->next = entry;
    before->prev = entry;
}

static void list_unlink(struct wheel_entry *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
}

/* The first millisecond that isn't before t. */
static uint64_t tick_at_or_after(struct mono t)
{
    if (t.us <= 0) {
        return 0;
    }
    return (uint64_t)t.us / US_PER_MS + ((uint64_t)t.us % US_PER_MS != 0);
}

static uint64_t tick_of(struct mono t)
{
    return t.us > 0 ? (uint64_t)t.us / US_PER_MS : 0;
}

static uint64_t position(uint64_t tick, unsigned level)
{
    return tick >> (LEVEL_BITS * level);
}

void wheel_init(struct wheel *wheel, struct mono now)
{
    wheel->tick = tick_of(now);
    wheel->entries = 0;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        wheel->busy[level] = 0;
        for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
            list_init(&wheel->slots[level][slot]);
        }
    }
    list_init(&wheel->due);
}

static struct wheel_entry *mark_slot(struct wheel *wheel, unsigned level, uint64_t pos)
{
    unsigned slot = (unsigned)(pos % WHEEL_SLOTS);
    wheel->busy[level] |= UINT64_C(1) << slot;
    return &wheel->slots[level][slot];
}

/* The lowest level whose slots reach `tick`, which lies ahead; and the position there. */
static unsigned level_for(const struct wheel *wheel, uint64_t tick, uint64_t *pos)
{
    unsigned level = 0;
    while (level < TOP && position(tick, level + 1) - position(wheel->tick, level + 1) > 1) {
        level++;
    }
    *pos = position(tick, level);
    uint64_t furthest = position(wheel->tick, level) + WHEEL_SLOTS - 1;
    *pos = *pos < furthest ? *pos : furthest;
    return level;
}

/* Takes a started entry out of whatever list it is in, and clears the bit of a slot that this empties. */
static void take_out(struct wheel *wheel, struct wheel_entry *entry)
{
    struct wheel_entry *head = entry->prev;
    bool was_alone = entry->next == head; /* then both are the list's head */
    list_unlink(entry);
    if (was_alone && head != &wheel->due) {
        size_t index = (size_t)(head - &wheel->slots[0][0]);
        wheel->busy[index / WHEEL_SLOTS] &= ~(UINT64_C(1) << index % WHEEL_SLOTS);
    }
}

void wheel_stop(struct wheel *wheel, struct wheel_entry *entry)
{
    if (wheel_started(entry)) {
        take_out(wheel, entry);
        entry->prev = NULL;
        entry->next = NULL;
        wheel->entries--;
    }
}

void wheel_start(struct wheel *wheel, struct wheel_entry *entry, struct mono at)
{
    wheel_stop(wheel, entry);
    entry->at = at;
    if (at.us == MONO_NEVER.us) {
        return;
    }
    uint64_t tick = tick_at_or_after(at);
    struct wheel_entry *head = &wheel->due;
    if (tick > wheel->tick) {
        uint64_t pos;
        unsigned level = level_for(wheel, tick, &pos);
        head = mark_slot(wheel, level, pos);
    }
    list_insert(head, entry);
    wheel->entries++;
}

/* Position of the level's first slot with entries; false if there is none. */
static bool first_position(const struct wheel *wheel, unsigned level, uint64_t *pos)
{
    uint64_t now = position(wheel->tick, level);
    uint64_t busy = wheel->busy[level];
    if (busy == 0) {
        return false;
    }
    unsigned turn = (unsigned)(now % WHEEL_SLOTS);
    busy = turn > 0 ? busy >> turn | busy << (WHEEL_SLOTS - turn) : busy;
    assert((busy & 1) == 0); /* the slot that time is in was emptied before time got there */
    *pos = now + (unsigned)__builtin_ctzll(busy);
    return true;
}

/*
 * Moves entries of a slot one level down, from its tail, at most `budget` of them. Returns what is left of
 * the budget. From the top level an entry may go back to the top level: it was beyond it.
 */
static size_t drain(struct wheel *wheel, unsigned level, uint64_t pos, size_t budget)
{
    struct wheel_entry *head = &wheel->slots[level][pos % WHEEL_SLOTS];
    for (; budget > 0 && !list_empty(head); budget--) {
        struct wheel_entry *entry = head->prev;
        uint64_t tick = tick_at_or_after(entry->at);
        uint64_t to = position(tick, level - 1);
        unsigned to_level = level - 1;
        if (level == TOP && position(tick, TOP) != pos) {
            to_level = level_for(wheel, tick, &to);
        }
        list_unlink(entry);
        list_insert(mark_slot(wheel, to_level, to)->next, entry);
    }
    if (list_empty(head)) {
        wheel->busy[level] &= ~(UINT64_C(1) << pos % WHEEL_SLOTS);
    }
    return budget;
}

/* The slot of the level that time comes to next, if it has entries to be moved down. */
static bool next_slot(const struct wheel *wheel, unsigned level, uint64_t *pos)
{
    return first_position(wheel, level, pos) && *pos == position(wheel->tick, level) + 1;
}

/* The ordinary drain, from above to below, since what comes down may have to go on down at once. */
static void drain_ahead(struct wheel *wheel, uint64_t passed_ms)
{
    size_t ms = passed_ms < DRAIN_MS_MAX ? (size_t)passed_ms : DRAIN_MS_MAX;
    size_t budget = ms * DRAIN_PER_MS_FAR;
    uint64_t pos;
    for (unsigned level = TOP; level > 1; level--) {
        if (next_slot(wheel, level, &pos)) {
            budget = drain(wheel, level, pos, budget);
        }
    }
    if (next_slot(wheel, 1, &pos)) {
        drain(wheel, 1, pos, ms * DRAIN_PER_MS_NEAR);
    }
}

static void fire_slot(struct wheel *wheel, uint64_t tick)
{
    struct wheel_entry *head = &wheel->slots[0][tick % WHEEL_SLOTS];
    struct wheel_entry *due = &wheel->due;
    head->next->prev = due->prev;
    due->prev->next = head->next;
    head->prev->next = due;
    due->prev = head->prev;
    list_init(head);
    wheel->busy[0] &= ~(UINT64_C(1) << tick % WHEEL_SLOTS);
}

/*
 * Where time can't go past: the first slot with entries of any level. Returns the tick it begins at, NO_TICK
 * if there is none, and the highest level that has one there.
 */
static uint64_t first_slot(const struct wheel *wheel, unsigned *level_out, uint64_t *pos_out)
{
    uint64_t first = NO_TICK;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        uint64_t pos;
        if (first_position(wheel, level, &pos) && pos << (LEVEL_BITS * level) <= first) {
            first = pos << (LEVEL_BITS * level);
            *level_out = level;
            *pos_out = pos;
        }
    }
    return first;
}

/* Moves time on to `target`, or to the first millisecond before it that has entries, or as far as one portion
 * of moves gets. */
static void advance(struct wheel *wheel, uint64_t target)
{
    uint64_t began = wheel->tick;
    size_t budget = DRAIN_LATE;
    while (wheel->tick < target && list_empty(&wheel->due)) {
        unsigned level = 0;
        uint64_t pos = 0;
        uint64_t first = first_slot(wheel, &level, &pos);
        if (first > target) {
            wheel->tick = target;
        } else if (level > 0) {
            /* Time would enter a slot that isn't drained: time was away for long, or the slot is very full.
             */
            wheel->tick = first - 1;
            budget = drain(wheel, level, pos, budget);
            if (budget == 0) {
                return;
            }
        } else {
            wheel->tick = first;
            fire_slot(wheel, first);
        }
    }
    drain_ahead(wheel, wheel->tick - began);
}

struct wheel_entry *wheel_pop(struct wheel *wheel, struct mono now)
{
    if (list_empty(&wheel->due)) {
        uint64_t target = tick_of(now);
        if (target <= wheel->tick) {
            return NULL;
        }
        advance(wheel, target);
        if (list_empty(&wheel->due)) {
            return NULL;
        }
    }
    struct wheel_entry *entry = wheel->due.next;
    list_unlink(entry);
    entry->prev = NULL;
    entry->next = NULL;
    wheel->entries--;
    return entry;
}

struct mono wheel_next(const struct wheel *wheel)
{
    uint64_t next = list_empty(&wheel->due) ? NO_TICK : wheel->tick;
    for (unsigned level = 0; level < WHEEL_LEVELS && next != wheel->tick; level++) {
        uint64_t pos;
        if (!first_position(wheel, level, &pos)) {
            continue;
        }
        uint64_t tick = pos << (LEVEL_BITS * level);
        if (level > 0 && pos == position(wheel->tick, level) + 1) {
            tick = wheel->tick + 1; /* it is being drained */
        } else if (level > 0) {
            tick = (pos - 1) << (LEVEL_BITS * level); /* its draining begins */
        }
        next = tick < next ? tick : next;
    }
    return next == NO_TICK ? MONO_NEVER : (struct mono){(int64_t)next * US_PER_MS};
}
