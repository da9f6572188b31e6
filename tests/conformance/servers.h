/*
 * The servers of a row: real redis-servers of this program, on free ports, on a clock that the bench moves
 * (server_clock.h). They live as long as the program; between tests they are emptied. What can't be had (no
 * redis-server, no port) ends the program: a row that can't be tested has failed.
 */
#ifndef EA_CONFORMANCE_SERVERS_H
#define EA_CONFORMANCE_SERVERS_H

#include <stdint.h>

#include "base/clock.h"
#include "store/redis_options.h"

struct servers;

struct servers_plan {
    enum redis_mode mode;
    enum redis_layout layout;
    unsigned nodes; /* of the quorum */
    unsigned each;  /* servers of a node: shards, or masters of its cluster */
    bool old;       /* treated as before 7.0 */
};

struct servers *servers_start(const struct servers_plan *plan);
void servers_stop(struct servers *servers);

/* What the store is told; valid until the end. */
const struct redis_options *servers_options(const struct servers *servers);

/* All keys are gone, markers included. */
void servers_empty(struct servers *servers);

/* Every server has answered a question that was asked after whatever the store had sent. */
void servers_hear(struct servers *servers);

/* How often all of them together have carried out a command ("eval"). */
uint64_t servers_calls(struct servers *servers, const char *command);

struct mono servers_mono(const struct servers *servers);
struct wall servers_wall(const struct servers *servers);
void servers_advance_us(struct servers *servers, int64_t us);

#endif
