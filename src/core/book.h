/*
 * The book: the elections one lane owns, and the rules by which they change. Deciding code: time comes in,
 * changes go out through the caller's hooks, nothing else is touched. One million elections cost at most 256
 * bytes each (names of 32 bytes), and no operation's cost grows with their number.
 *
 * A store adds what the book has not: durability, other lanes, waiting for a commit. The invariants
 * (DESIGN.md) are asserted here.
 */
#ifndef EA_CORE_BOOK_H
#define EA_CORE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/hlc.h"
#include "core/event.h"
#include "core/request.h"

struct book;
struct book_lease; /* an election with a leader, as the hooks see it */

/* A tenure, in the form in which it is kept over a restart. */
struct book_record {
    struct str kind;
    struct str election;
    struct str leader;
    uint64_t token;
    int32_t term_ms; /* the longest of this tenure: after a restart it runs that long */
    struct wall elected_at;
};

struct book_hooks {
    /* A tenure began, was replaced, or got a longer term than its record says: keep `record` (valid during
     * the call). */
    void (*keep)(void *arg, const struct book_record *record);
    /* The election has no leader any more. `answered` is false for an expiry, which nobody waits for. */
    void (*drop)(void *arg, struct str kind, struct str election, bool answered);
    void (*event)(void *arg, const struct election_event *event);
    /* The number of led elections of a kind changed. *slot is the caller's, one per kind, NULL at first; when
     * `led` is 0 the kind may be gone afterwards, so the caller clears it. */
    void (*kind)(void *arg, void **slot, struct str kind, uint64_t led);
    void *arg;
};

struct book_options {
    struct mono now;
    uint64_t seed;           /* of hashes */
    uint64_t first_token;    /* tokens are greater than this */
    size_t vacant_kept;      /* elections without a leader whose history is kept; oldest dropped first */
    size_t vacant_bytes;     /* and the memory of those besides the newest; 0: no bound */
    struct book_hooks hooks; /* functions may be NULL */
};

/* Options are copied, hooks called on the thread of whoever calls the book; free ends no tenure and calls no hook. */
struct book *book_new(const struct book_options *options);
void book_free(struct book *book);

/*
 * Decides one request at `now` and fills its answer (slices point into the book, or the arena, until the next
 * call on the book; OP_LIST's are all in the arena). `done` is not called. Expiry is exact: a lease whose
 * time has come counts as expired here even if book_expire() has not seen it yet. `now` never goes back from
 * call to call.
 *
 * The outcome says what the answer depends on. A page of OP_LIST has at most BOOK_PAGE_MAX rows, so that no
 * page makes others wait.
 */
#define BOOK_PAGE_MAX 5000

struct book_outcome {
    bool changed;   /* hooks->keep, or hooks->drop with `answered`, was called: the answer must wait for it */
    uint64_t *mark; /* the lease's mark, for the caller: 0 at first; NULL if there is no lease. Stays valid
                       for the call only. */
};
void book_decide(struct book *book, struct mono now, struct wall wall, struct election_request *request,
                 struct book_outcome *outcome);

/*
 * While a reason is given, what would call `keep`, or `drop` with `answered`, is refused: EA_UNAVAILABLE with
 * that reason, and nothing changes. Renewals within the recorded term, reads, losses and expiries go on. For
 * a store that cannot write. NULL ends it; the text stays the caller's and must outlive its answers.
 */
void book_freeze(struct book *book, const char *why);

/*
 * Takes back a tenure that nobody was told of, since it could not be made durable: event `stepped_down`,
 * `drop` with `answered` false. False if that tenure is not there any more.
 */
bool book_withdraw(struct book *book, struct mono now, struct wall wall, struct str kind, struct str election,
                   uint64_t token);

/* Ends at most `most` leases whose time has come. True if more are due. */
bool book_expire(struct book *book, struct mono now, struct wall wall, size_t most);

/* When book_expire() is due; MONO_NEVER if no lease is there. It may find nothing to end then (a lease that
 * was extended meanwhile), and has a new time afterwards. */
struct mono book_next(const struct book *book);

/* Puts a tenure back after a restart: it runs for its full term from now. False if the election is there
 * already. */
bool book_restore(struct book *book, struct mono now, const struct book_record *record);

/* The greatest token given out. */
uint64_t book_last_token(const struct book *book);

/* Visits every led election; for compaction and conformance tests. */
void book_each(const struct book *book, void (*visit)(void *arg, const struct book_record *record),
               void *arg);

/* Elections led now, per kind. */
void book_count(const struct book *book, void (*row)(void *arg, struct str kind, uint64_t elections),
                void *arg);
size_t book_size(const struct book *book);

/* Walks everything and asserts the structural invariants; for tests. */
void book_check(const struct book *book);

#endif
