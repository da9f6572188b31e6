/*
 * The thread that waits for the disk so that nobody else has to. In `process` mode the writer asks it now and then
 * to bring to the disk what is in the file; meanwhile the writer goes on.
 *
 * It has a descriptor of its own: LMDB's may be closed after a failed write.
 */
#ifndef EA_STORE_EMBEDDED_SYNCER_H
#define EA_STORE_EMBEDDED_SYNCER_H

#include <stdint.h>

#include "base/error.h"

struct syncer;

/* `path`: the file. EA_IO. */
enum err syncer_start(struct syncer **out, const char *path, struct error *error) EA_MUST_CHECK;

/* Everything written to the file before this call shall be on the disk. Returns a number: it is done when
 * syncer_done() has reached it. Of one thread at a time, as is the next. */
uint64_t syncer_ask(struct syncer *syncer);
uint64_t syncer_done(struct syncer *syncer);

/* Does not do what is still asked for. NULL is fine. */
void syncer_stop(struct syncer *syncer);

#endif
