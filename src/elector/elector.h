/*
 * The elector: what the contest decides is done here, on one loop. No thread but its own.
 */
#ifndef EA_ELECTOR_ELECTOR_H
#define EA_ELECTOR_ELECTOR_H

#include "base/error.h"
#include "elector/options.h"

struct elector;

/* Listens, and prepares to reach the API server. `options` outlives it. EA_CONFIG, EA_NOT_ENABLED (no cluster
 * configuration), EA_BUSY (a port in use), EA_IO. */
enum err elector_new(struct elector **out, const struct options *options, struct error *error) EA_MUST_CHECK;

/* Until SIGTERM or SIGINT. */
void elector_run(struct elector *elector);

/* After elector_run(), or instead of it. */
void elector_free(struct elector *elector);

#endif
