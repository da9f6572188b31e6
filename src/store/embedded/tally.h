/*
 * How many elections are led, per kind, for any thread. Each lane has one and changes it; a number is one
 * atomic store, the mutex is taken only when a kind comes or goes, and by readers. Off the request path.
 */
#ifndef EA_STORE_EMBEDDED_TALLY_H
#define EA_STORE_EMBEDDED_TALLY_H

#include <stdint.h>

#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct tally_row;

struct tally {
    uv_mutex_t lock; /* guards the list */
    struct tally_row *rows;
};

/* The caller's memory. EA_IO: there is no mutex to be had. Fini when no lane counts any more. */
enum err tally_init(struct tally *tally, struct error *error) EA_MUST_CHECK;
void tally_fini(struct tally *tally);

/* book_hooks.kind, but for its first argument. On the lane's thread. */
void tally_set(struct tally *tally, void **slot, struct str kind, uint64_t led);

/* Adds the rows of several tallies up and calls `row` once per kind. Any thread. */
struct tally_sum {
    struct buf rows;
};
void tally_add_to(struct tally *tally, struct tally_sum *sum);
void tally_sum_tell(struct tally_sum *sum, void (*row)(void *arg, struct str kind, uint64_t elections),
                    void *arg);

#endif
