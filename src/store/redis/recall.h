/*
 * What several nodes remember of an election, put together for display. A node remembers what it committed: it misses
 * what happened while it was down, and has what was committed there and nowhere else. Deciding code: no I/O, no clock.
 *
 * What is shown: the tenures that a quorum can have held, in the order of their tokens. An expiry runs no script, so no
 * node notes it when it happens: the next grant does (scripts/history.lua), and until then it is seen from this, that
 * nobody leads and the last tenure has no end.
 */
#ifndef EA_STORE_REDIS_RECALL_H
#define EA_STORE_REDIS_RECALL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/quorum/quorum.h"
#include "core/request.h"
#include "store/redis/resp.h"

#define RECALL_CANDIDATES_MAX 128 /* of one node */

struct recall_event {
    struct election_event event;
    uint16_t nodes; /* who remembers it: a bit each */
};

struct recall {
    unsigned nodes;
    unsigned quorum;
    struct arena *arena;
    bool any; /* some node remembers something */
    /* Of the last tenure that began. */
    struct wall elected_at;
    int32_t term_ms;
    int32_t priority;
    struct wall ended_at[QUORUM_NODES_MAX]; /* the last lease's end there, by our clock */
    unsigned n_ended;
    uint64_t oldest[QUORUM_NODES_MAX]; /* the first token that a node remembers; UINT64_MAX: none */
    struct recall_event *events;
    size_t n_events;
    struct election_candidate *candidates;
    size_t n_candidates;
};

/* The arena holds everything, and the answer. */
void recall_init(struct recall *recall, unsigned nodes, struct arena *arena);

/* Replies of a node: HGETALL of the meta, ZREVRANGE ... WITHSCORES of the candidates (RECALL_CANDIDATES_MAX), PTTL of
 * the fence. An error reply is nothing remembered; EA_PROTOCOL: it does not fit the question. */
enum err recall_take_meta(struct recall *recall, unsigned node, const struct resp_value *value) EA_MUST_CHECK;
enum err recall_take_candidates(struct recall *recall, const struct resp_value *value) EA_MUST_CHECK;
enum err recall_take_fence(struct recall *recall, const struct resp_value *value,
                           struct wall now) EA_MUST_CHECK;

/* Fills tenure (beyond leader, token and expires, which the quorum told) and info of the request. */
void recall_answer(struct recall *recall, struct quorum_now now, struct election_request *request);

#endif
