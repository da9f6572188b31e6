/*
 * The one thread that writes. Lanes hand it batches; it writes all that wait in one transaction, and hands
 * each back to its lane by a loop message, with the outcome. So no loop ever waits for a disk.
 *
 * A batch belongs to its lane, but between writer_post() and its delivery: then it is the writer's.
 */
#ifndef EA_STORE_EMBEDDED_WRITER_H
#define EA_STORE_EMBEDDED_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "core/book.h"
#include "net/loop.h"
#include "store/embedded/startup.h"

struct lane;
struct writer;

struct batch {
    struct loop_message message; /* its delivery; set `deliver` once */
    struct batch *next;          /* the writer's */
    struct lane *lane;           /* whose it is; the writer does not look at it */
    struct loop *loop;           /* where it goes back to */
    uint64_t sequence;           /* the lane's batches are numbered */
    struct buf changes;
    size_t n_changes;
    uint64_t max_token; /* of its records */
    int32_t max_term_ms;
    struct election_request *waiting; /* the lane's: answers that depend on it */
    struct election_request **waiting_end;
    struct error outcome; /* set by the writer */
};

/* Empty. `deliver` is called on `loop` when the writer hands it back. */
void batch_init(struct batch *batch, struct loop *loop,
                void (*deliver)(struct loop *loop, struct loop_message *message));
void batch_fini(struct batch *batch);

/* Forgets the changes; the waiting ones must have been taken off. */
void batch_clear(struct batch *batch);

/* `begins`: the tenure is new, not only its term longer. */
void batch_keep(struct batch *batch, const struct book_record *record, bool begins);
void batch_drop(struct batch *batch, struct str kind, struct str election);

/* Puts the changes of `earlier` before those of `batch`, and clears it. */
void batch_prepend(struct batch *batch, struct batch *earlier);

/* Visits the tenures that begin in this batch. */
void batch_each_begun(const struct batch *batch, void (*visit)(void *arg, const struct book_record *record),
                      void *arg);

/* Takes over the database and the header; startup keeps the lock. */
enum err writer_start(struct writer **out, struct startup *startup, struct error *error) EA_MUST_CHECK;

/* Any thread. */
void writer_post(struct writer *writer, struct batch *batch);

/* The quarantine is over: a restart needs none any more. Any thread. */
void writer_settle(struct writer *writer);

/* Writes what was posted and ends the thread. Batches still out are the caller's again, with their outcomes.
 */
void writer_stop(struct writer *writer);

/* After writer_stop(), on the caller's thread. */
enum err writer_write(struct writer *writer, struct batch *batch, struct error *error) EA_MUST_CHECK;

/* After writer_stop(). `complete`: everything decided is in the file, which is marked as closed in order. */
void writer_free(struct writer *writer, bool complete);

#endif
