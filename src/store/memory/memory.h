/*
 * The memory store: the executable specification as a driver. It keeps nothing over a restart and answers
 * within store_submit(). Any number of lanes, none of them needed: one plain mutex guards all (it is the
 * specification, not the product).
 *
 * Events are told on the lane whose request made or noticed the change, with the mutex held: on_event must
 * not submit.
 */
#ifndef EA_STORE_MEMORY_MEMORY_H
#define EA_STORE_MEMORY_MEMORY_H

#include "store/store.h"

/* Elections without a leader whose history is remembered. */
#define MEMORY_VACANT_KEPT 1000

extern const struct store_ops store_memory_ops;

/* Tells of every expiry that is due by the clock now, as events on lane 0; without it an expiry is told when
 * its election is asked for next. */
void memory_sweep(struct store *store);

#endif
