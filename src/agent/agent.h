/*
 * The assembled agent: loops, store, API and listeners, from a configuration. The one place that knows every
 * room.
 *
 * Threads: new, run and free on the main thread, which is also the thread of the first loop.
 */
#ifndef EA_AGENT_AGENT_H
#define EA_AGENT_AGENT_H

#include <stdbool.h>

#include "base/error.h"
#include "config/config.h"

struct agent;

/* What no setting reaches, for programs of the tests. The agent that is installed has none of it. */
struct agent_seams {
    bool watch;     /* somebody observes all elections from the start: see store_watch() */
    bool old_redis; /* every Redis server is treated as one before 7.0 */
};

struct agent_options {
    struct config *config; /* the agent's from now on, also when agent_new() fails */
    /* Reads the configuration again (SIGHUP). NULL, and words in `error`, if it is wrong. */
    struct config *(*reload)(void *user, struct error *error);
    void *user;
    struct agent_seams seams;
};

/*
 * Opens everything, listens, and does not run yet. EA_IO (ports), EA_BUSY (database held by another),
 * EA_CORRUPT (damaged database), EA_CONFIG.
 */
enum err agent_new(struct agent **out, const struct agent_options *options,
                   struct error *error) EA_MUST_CHECK;

/* Serves until SIGTERM or SIGINT, then drains. Returns when all loops have ended. */
void agent_run(struct agent *agent);

/* After agent_run(), or instead of it: ends what is open (the store decides nothing any more) and frees all, the
 * configuration too. */
void agent_free(struct agent *agent);

#endif
