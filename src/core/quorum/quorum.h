/*
 * The quorum protocol as deciding code: requests, replies and times come in, commands and answers go out. No
 * socket, no clock, one thread; the rules are the specification's protocol.md, see DESIGN.md.
 *
 * One object serves one lane and one set of nodes that decide together: all elections in single mode, those
 * of a shard in sharding mode, those of a slot in cluster mode (a node is then that slot of one cluster).
 * Each lane is an agent of its own, with its own agent id, hybrid clock and view of the nodes: nothing is
 * shared between threads, and what holds between agents holds between lanes. What the agents of a deployment
 * agree upon (marker, floor, ceiling, max_term) stands on the nodes.
 *
 * Time. Every call is given the present; it never goes back from call to call. The caller calls
 * quorum_timer() when quorum_next() has come (and may always call it earlier).
 *
 * Hooks. `send` must not call back into the quorum (queue the command). A request's `done` is called at the
 * end of quorum_submit(), quorum_reply(), quorum_node_*(), quorum_timer(), and may submit again.
 */
#ifndef EA_CORE_QUORUM_QUORUM_H
#define EA_CORE_QUORUM_QUORUM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "core/event.h"
#include "core/quorum/command.h"
#include "core/request.h"

#define QUORUM_NODES_MAX 15

struct quorum;

struct quorum_now {
    struct mono mono;
    struct wall wall;
};

/*
 * NODE_STATE(NAME, word). `counts` in majorities: ready, and with limits recovering.
 *
 *   down ──node_up──► checking ──final marker──► ready
 *     ▲                  │  ▲ ◄─────step, flush───┘ ▲
 *     │                  │  └───marker changed──┐   │ proven and waited
 *     └──(from all)      ├──marker unknown──► recovering
 *                        └──role, eviction──► unfit
 */
#define QUORUM_NODE_STATES(NODE_STATE)   \
    NODE_STATE(DOWN, "down")             \
    NODE_STATE(CHECKING, "checking")     \
    NODE_STATE(RECOVERING, "recovering") \
    NODE_STATE(READY, "ready")           \
    NODE_STATE(UNFIT, "unfit")

enum quorum_node_state {
#define NODE_STATE(name, word) QUORUM_NODE_##name,
    QUORUM_NODE_STATES(NODE_STATE)
#undef NODE_STATE
        QUORUM_NODE_STATE_COUNT
};

const char *quorum_node_state_word(enum quorum_node_state state);

/* What a server says of itself at connect (HELLO, INFO), by whoever sends. */
struct quorum_hello {
    char run_id[QUORUM_ID_BYTES];
    char replication_id[QUORUM_ID_BYTES];
    bool master;
    bool evicts;       /* maxmemory is set and its policy is not noeviction */
    struct mono since; /* when that was; a quorum that is made later for the same connection gets it too */
};

struct quorum_hooks {
    void (*send)(void *arg, struct quorum_command *command);
    /* A leader changed by our doing, and a quorum knows. Slices are valid during the call. NULL: not wanted.
     */
    void (*event)(void *arg, const struct election_event *event);
    /* A campaign lost: whose, and the priority it gave; for display. `names` are valid during the call. NULL: not
     * wanted. */
    void (*lost)(void *arg, const struct quorum_names *names, int32_t priority);
    /* A node's state changed. `why` is printable and valid during the call. NULL: not wanted. */
    void (*node)(void *arg, unsigned node, enum quorum_node_state state, const char *why);
    void *arg;
};

struct quorum_options {
    unsigned nodes;               /* 1 to QUORUM_NODES_MAX */
    uint64_t agent;               /* the agent id: random per lane and start, not 0 */
    uint64_t seed;                /* of random waits, nonces and hashes */
    int64_t operation_timeout_ms; /* redis.operation_timeout */
    int64_t max_term_ms;          /* lease.max_term */
    bool allow_eviction;          /* redis.allow_eviction */
    unsigned hints;               /* remembered leaders, rounded up to a power of two; 0: 4096 */
    unsigned undos_max;           /* unanswered undos that are kept; 0: 65536 */
    struct quorum_hooks hooks;
};

struct quorum *quorum_new(const struct quorum_options *options, struct quorum_now now);

/* Calls no hook and forgets everything, also what is under way: as if the agent died. */
void quorum_free(struct quorum *quorum);

/* Answers everything open with EA_UNAVAILABLE and takes nothing new; undos still go out. */
void quorum_stop(struct quorum *quorum, struct quorum_now now);

/* True when nothing is under way any more: no request, no undo, no command. */
bool quorum_idle(const struct quorum *quorum);

/*
 * A session of a client that the agent keeps leading (Hold). One owner serves its whole life. For a unary
 * operation there is none (NULL).
 *   campaign: elected sets `owner`.
 *   extend:   the owner is used as it is; zero means a session that moved here (a new one is made, and set
 *             when the extension succeeds; request->token must be given). Taken over by another agent:
 *             EA_HELD with `moved` set; that session must end without resigning.
 *   resign:   only what this owner holds (request->token must be given too).
 *   handover: of the holder `from` that is this session.
 * The struct is the caller's and must stay until the request is done.
 */
struct quorum_session {
    struct quorum_owner owner;
    bool moved;
};

/*
 * Decides a request of OP_CAMPAIGN, OP_EXTEND, OP_RESIGN, OP_HANDOVER, OP_GET or OP_INFO (which fills
 * `tenure` as OP_GET does, and the expiry exactly); the others are not the quorum's. Names and numbers were
 * checked. request->next, decided and scratch[] are the quorum's until `done`, which comes by
 * request->deadline and by operation_timeout from now.
 */
void quorum_submit(struct quorum *quorum, struct quorum_now now, struct election_request *request,
                   struct quorum_session *session);

/* The command is the quorum's again when this is called. */
void quorum_reply(struct quorum *quorum, struct quorum_now now, struct quorum_command *command,
                  const struct quorum_reply *reply);

/* A connection is ready: authenticated, database selected, facts known, the previous connection killed. */
void quorum_node_up(struct quorum *quorum, struct quorum_now now, unsigned index,
                    const struct quorum_hello *hello);

/*
 * The node's slot moved to another server, and its connection goes on there. Commands under way stay so: who
 * sends may have the new server execute them. Only of a node that is connected and fit, to a server that is.
 * Whether its memory came along is not known: the node is looked at as if it had come up.
 */
void quorum_node_moved(struct quorum *quorum, struct quorum_now now, unsigned index,
                       const struct quorum_hello *hello);

/* The connection ended; all its commands were handed back before. */
void quorum_node_down(struct quorum *quorum, struct quorum_now now, unsigned index);

void quorum_timer(struct quorum *quorum, struct quorum_now now);
struct mono quorum_next(const struct quorum *quorum); /* MONO_NEVER: no timer */

/* --- What status and metrics show --- */

struct quorum_status {
    unsigned nodes;
    unsigned ready;
    unsigned recovering;
    unsigned quorum;      /* how many decide */
    bool memory_was_lost; /* by a majority at once, since this object was made */
    uint64_t attempts;    /* under way, also those only waiting for their undos */
    uint64_t undos;       /* attempts whose undo is not answered yet */
    uint64_t retries;     /* split votes tried again, since the start */
    uint64_t claims_low;  /* claims repeated with a higher token */
    uint64_t repairs;     /* sent */
};

void quorum_status(const struct quorum *quorum, struct quorum_status *out);
enum quorum_node_state quorum_node_state(const struct quorum *quorum, unsigned node);

#endif
