/*
 * The rules of an election in the simplest form that could be right: the executable specification that
 * core/DESIGN.md, "Decisions", describes and that core/book.c is compared with. Arrays, linear search, whole
 * names in place, expiry by comparison; no hash, no timer, no hooks, nothing shared with the book but the
 * form of a record. Every operation costs time in proportion to the number of elections.
 *
 * Deciding code: time comes in, nothing else is touched. One thread.
 */
#ifndef EA_STORE_MEMORY_LEDGER_H
#define EA_STORE_MEMORY_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "core/book.h"
#include "core/event.h"
#include "core/request.h"

struct ledger;

struct ledger_options {
    uint64_t first_token; /* tokens are greater than this */
    size_t vacant_kept;   /* elections without a leader that are remembered */
    /* Every change of leader; slices are valid during the call, which must not touch the ledger. May be NULL.
     */
    void (*event)(void *arg, const struct election_event *event);
    void *arg;
};

/* Options are copied; free ends no tenure and tells nobody. */
struct ledger *ledger_new(const struct ledger_options *options);
void ledger_free(struct ledger *ledger);

/*
 * Decides one request and fills its answer; `done` is not called. Slices point into the ledger (until the
 * next call) or into the request's arena.
 */
void ledger_decide(struct ledger *ledger, struct mono now, struct wall wall,
                   struct election_request *request);

/* Ends every tenure whose time has come, earliest first. Decisions do not depend on it, only when events are
 * told. */
void ledger_sweep(struct ledger *ledger, struct mono now, struct wall wall);

/* Puts a tenure back after a restart (S3). False if the election is there already. */
bool ledger_restore(struct ledger *ledger, struct mono now, const struct book_record *record);

/* Visits every tenure that is not ended, in the form in which a store would keep it. */
void ledger_each(const struct ledger *ledger, void (*visit)(void *arg, const struct book_record *record),
                 void *arg);

/* Elections led at `now`, per kind. */
void ledger_count(const struct ledger *ledger, struct mono now,
                  void (*row)(void *arg, struct str kind, uint64_t elections), void *arg);

/* Asserts the invariants that a look at everything can tell; `now` is the time of the last call, or later
 * after a sweep. */
void ledger_check(const struct ledger *ledger, struct mono now);

#endif
