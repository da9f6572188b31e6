/*
 * Inside the embedded store: what its files share. The page to read first is DESIGN.md.
 *
 *   embedded.c  the store's operations: open, submit, status, count, close
 *   lane.c      an owner: its book, its batch, the answers that wait
 *   hop.c       requests and answers on their way between lanes
 *   list.c      OP_LIST over all lanes
 *   writer.c    the thread that writes; syncer.c: the one that waits for the disk
 *   startup.c, reader.c, database.c, record.c: the file
 *   tally.c     elections led, per kind
 */
#ifndef EA_STORE_EMBEDDED_INTERNAL_H
#define EA_STORE_EMBEDDED_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "core/book.h"
#include "net/loop.h"
#include "store/embedded/embedded.h"
#include "store/embedded/startup.h"
#include "store/embedded/tally.h"
#include "store/embedded/writer.h"
#include "store/store.h"

/* Vacant elections a store remembers (their history), over all lanes. */
#define EMBEDDED_VACANT_KEPT  10000
#define EMBEDDED_VACANT_BYTES ((size_t)32 * 1024 * 1024)

/* Leases ended in one turn: some 2 us each, so that a turn stays short. */
#define EMBEDDED_EXPIRE_PER_TURN 500

/* Changes that wait for the writer; beyond that no more leases are ended (a decision sees that they are over
 * all the same), or a grant in the middle of a crowd of expiries would wait for the deletion of all of them.
 */
#define EMBEDDED_BEHIND_MAX 1000

/* A disk that hangs does not make memory grow: with so much waiting in a lane behind a batch that is being
 * written, nothing more is taken that would have to be written. Some 100,000 grants. */
#define EMBEDDED_BEHIND_BYTES ((size_t)16 * 1024 * 1024)

#define EMBEDDED_RETRY_MS 1000

/* A list of requests by their `next`, in order. */
struct requests {
    struct election_request *first;
    struct election_request **end;
};

struct hop;

/* What goes from one lane to another; the sending lane's. */
struct box {
    struct requests questions;
    struct requests answers;
    struct buf texts; /* of the answers: what their slices will point into */
    struct hop *hops; /* all made for this box */
};

struct lane {
    struct embedded *store;
    unsigned index;
    struct loop *loop;
    struct book *book;
    struct mono now; /* of the last decision: a book's time never goes back */
    uint64_t last_token;

    struct tally tally;
    struct box *boxes; /* one per lane; NULL for a single lane */
    bool boxes_filled;

    /* Durability; unused when the store keeps nothing. One batch is with the writer at a time, so that
     * changes become durable in the order of their decisions (S2), whatever fails. */
    struct batch batches[2];
    struct batch *filling;
    struct batch *flying; /* NULL: none */
    uint64_t durable;     /* the last sequence that is in the file */
    bool down;            /* the last batch failed */
    char why[sizeof((struct error *)0)->text];

    struct loop_task flush;
    struct loop_timer expiry;
    struct mono expiry_at;
    struct loop_timer deadline; /* of the first waiting answer to be late */
    struct mono deadline_at;
    struct loop_timer retry;
};

struct embedded {
    struct store store;
    struct store_options options;
    uint64_t seed; /* which lane owns an election */
    struct startup startup;
    struct writer *writer; /* NULL: keeps nothing */
    struct mono quarantine_until;
    struct loop_timer quarantine;
    bool closing;

    uv_mutex_t status_lock; /* guards what follows */
    unsigned lanes_down;
    char why[sizeof((struct store_status *)0)->why];

    struct loop_message status_message; /* to lane 0 */
    atomic_bool status_posted;
    unsigned n_lanes;
    struct lane lanes[];
};

/* --- lists of requests --- */

static inline void requests_init(struct requests *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static inline void requests_push(struct requests *list, struct election_request *request)
{
    request->next = NULL;
    *list->end = request;
    list->end = &request->next;
}

/* --- embedded.c --- */

/* Answers a request on its own lane, in which nothing of it is left: checks that it is not too late for what
 * it says. */
void embedded_answer(struct embedded *store, struct election_request *request);

/* The answer promises that the candidate leads. */
bool embedded_promises(const struct election_request *request);

void embedded_refuse(struct election_request *request, struct str why);

/* A lane went down (why) or came up again (NULL). On that lane. */
void embedded_lane_state(struct lane *lane, const char *why);

/* --- lane.c --- */

enum err lane_init(struct lane *lane, struct embedded *store, unsigned index,
                   struct error *error) EA_MUST_CHECK;
void lane_restore(struct lane *lane, struct mono now, const struct book_record *record);
void lane_start(struct lane *lane);

/* On the owner's thread: decides, and answers now or when it is durable. */
void lane_decide(struct lane *lane, struct election_request *request);

void lane_queue_flush(struct lane *lane);

/* Nothing of it is under way: no message, no task, no batch. */
bool lane_is_quiet(const struct lane *lane);

/* At the end: answers what still waits. */
void lane_abandon(struct lane *lane);

/* After the writer has stopped: writes what is left. False if it can't. */
bool lane_write_last(struct lane *lane);
void lane_fini(struct lane *lane);

/* --- hop.c --- */

void hop_init(struct lane *lane);
void hop_ask(struct lane *from, struct lane *to, struct election_request *request);
/* `request` was asked on another lane: sends its answer there. */
void hop_answer(struct lane *from, struct election_request *request);
void hop_send(struct lane *lane);
bool hop_is_quiet(const struct lane *lane);
void hop_fini(struct lane *lane);

/* --- list.c --- */

void list_submit(struct lane *lane, struct election_request *request);

#endif
