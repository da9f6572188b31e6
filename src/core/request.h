/*
 * A request to the elections, and its answer: the one struct that travels from a service through the store to
 * the rules (core/book.h) and back. The caller's memory from submission until its `done` is called, exactly
 * once. Slices in the answer belong to who decided and are valid only during `done`.
 */
#ifndef EA_CORE_REQUEST_H
#define EA_CORE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "core/event.h"

enum election_op {
    OP_CAMPAIGN,
    OP_EXTEND,
    OP_RESIGN,
    OP_HANDOVER,
    OP_GET,  /* who leads: leader, token, expires */
    OP_INFO, /* everything known about one election */
    OP_LIST, /* the led elections of one kind, in byte order of their names */
    OP_COUNT
};

const char *election_op_name(enum election_op op); /* "campaign" */

/* A running tenure, as the store sees it. */
struct election_tenure {
    struct str leader;
    uint64_t token;
    struct mono expires; /* by our clock; 0: the store does not know (get, a lost campaign) */
    int32_t term_ms;     /* of the last campaign or extension */
    struct wall elected_at;
    struct wall renewed_at;
};

struct election_candidate {
    struct str name;
    int32_t priority;
    struct wall last_seen;
    bool leading;
};

/* OP_INFO's answer; arrays in the request's arena. */
struct election_info {
    struct election_candidate *candidates; /* most recently seen first */
    size_t n_candidates;
    struct election_event *events; /* oldest first, at most ELECTION_EVENTS_KEPT */
    size_t n_events;
};

/* A sign of life: see store_beat() in store/store.h. */
struct election_beat {
    struct str kind;
    struct str election;
    struct str candidate;
    int32_t priority;
    bool stands;     /* false: it is no candidate for now, and only asks */
    int64_t live_us; /* who was silent for longer is not told of */
    /* `age_us`: since its last sign of life, by the clock of the server that tells. */
    void (*seen)(void *user, struct str candidate, int32_t priority, int64_t age_us);
    void *user;
};

struct election_leader {
    struct str election;
    struct str leader;
    uint64_t token;
};

/* OP_LIST's answer; everything in the request's arena. */
struct election_list {
    struct election_leader *leaders;
    size_t n;
    bool more; /* there are names behind the last one */
};

struct election_request {
    /* --- the question: set by the caller, unchanged until done --- */
    enum election_op op;
    struct str kind;
    struct str election;  /* not for OP_LIST */
    struct str candidate; /* campaign: who stands; extend, resign: the leader; handover: the new one */
    struct str from;      /* handover: must be the present holder; empty: no condition (an override) */
    uint64_t token;       /* extend, resign, handover: only this tenure of the present holder; 0: any */
    uint64_t past;        /* campaign: the highest token the candidate has given up; never led again */
    int32_t term_ms;
    int32_t priority;     /* campaign */
    struct str after;     /* OP_LIST: names greater than this one */
    uint32_t page_size;   /* OP_LIST: at most so many; > 0 */
    struct mono start;    /* when the request arrived: validity counts from here */
    struct mono deadline; /* the answer comes by then, EA_UNAVAILABLE if need be */
    struct arena *arena;  /* for answers with arrays, and for `why` */
    void (*done)(struct election_request *request);
    void *user;

    /*
     * --- the answer ---
     *
     * EA_OK           campaign: see `elected`; `tenure` is who leads, in both cases. extend, handover, get,
     *                 info: tenure. info: tenure.leader is empty if nobody leads and something is remembered.
     * EA_HELD         extend: by another, in `tenure`; or, with a token, another tenure of the same name.
     *                 handover: a condition (`from`, `token`) does not hold.
     * EA_NOT_FOUND    extend, get: nobody holds it; resign: not the holder, or another tenure;
     *                 info: nothing is known.
     * EA_UNAVAILABLE  the store could not decide; nothing is known about the outcome. `why` in words.
     * EA_FULL         the store is at its limit.
     */
    enum err err;
    struct str why;
    bool elected;
    struct election_tenure tenure;
    struct election_info info;
    struct election_list list;

    /* --- the store's, from submit to done --- */
    struct election_request *next;
    struct mono decided; /* when the outcome was decided */
    unsigned lane;
    uint64_t scratch[6];
};

/* N1, L4: what reaches a store has been checked by the service; only a bug ends here. Any thread. */
void election_request_assert_checked(const struct election_request *request, unsigned n_lanes,
                                     int64_t max_term_ms);

#endif
