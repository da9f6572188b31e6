/*
 * Two kinds of time that cannot be mixed.
 *
 * `struct mono` never goes back and counts suspended time (CLOCK_BOOTTIME); all decisions are made on it.
 * `struct wall` is what people call the time; it is for display, for the hybrid clock and for fields of
 * foreign formats, and may jump. Both count microseconds.
 *
 * Code that needs the time takes a `struct clock` (the seam that tests replace) or is handed the time.
 */
#ifndef EA_BASE_CLOCK_H
#define EA_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct mono {
    int64_t us;
};

struct wall {
    int64_t us; /* since 1970-01-01T00:00:00Z */
};

#define MONO_NEVER ((struct mono){INT64_MAX})

static inline struct mono mono_add_us(struct mono t, int64_t us)
{
    /* MONO_NEVER absorbs: a deadline that never comes stays so. */
    bool never = t.us == INT64_MAX || (us > 0 && t.us > INT64_MAX - us);
    return never ? MONO_NEVER : (struct mono){t.us + us};
}

static inline struct mono mono_add_ms(struct mono t, int64_t ms)
{
    return ms > INT64_MAX / 1000 ? MONO_NEVER : mono_add_us(t, ms * 1000);
}

/* a - b in microseconds. */
static inline int64_t mono_sub(struct mono a, struct mono b)
{
    return a.us - b.us;
}

static inline bool mono_before(struct mono a, struct mono b)
{
    return a.us < b.us;
}

static inline struct mono mono_max(struct mono a, struct mono b)
{
    return a.us > b.us ? a : b;
}

static inline struct mono mono_min(struct mono a, struct mono b)
{
    return a.us < b.us ? a : b;
}

/* The seam. Both functions may be called on any thread. */
struct clock {
    struct mono (*mono)(void *arg);
    struct wall (*wall)(void *arg);
    void *arg;
};

/* The machine's clocks. */
extern const struct clock clock_system;

static inline struct mono clock_mono(const struct clock *c)
{
    return c->mono(c->arg);
}

static inline struct wall clock_wall(const struct clock *c)
{
    return c->wall(c->arg);
}

/* A clock that stands still until it is told to move; for tests and simulations. One thread. */
struct clock_fake {
    struct clock clock; /* hand out &fake->clock */
    struct mono mono;
    struct wall wall;
};

/* Starts at mono 1 s and 2026-01-01T00:00:00Z. */
void clock_fake_init(struct clock_fake *fake);
void clock_fake_advance_us(struct clock_fake *fake, int64_t us);

/* RFC 3339 in UTC with milliseconds, e.g. 2026-11-24T13:10:09.123Z, 24 characters and a terminator. */
#define WALL_TEXT_BYTES 32
void wall_format(struct wall t, char out[WALL_TEXT_BYTES]);

#endif
