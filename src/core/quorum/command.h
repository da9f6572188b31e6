/*
 * What a node can be asked, and what it answers: the contract between the protocol (core/quorum), who carries
 * it out on real servers (store/redis) and who plays servers in the simulation (tests/sim/quorum). The source
 * of every rule is the specification's protocol.md; here it stands as exactly as the code needs it.
 *
 * The life of a command. It is the quorum's memory. It is given to hooks->send, and handed back with
 * quorum_reply() exactly once, whatever happens; what it points at stays until then. Who sends sets `sent`
 * when the command may reach the server from now on (when it is encoded into the connection's output).
 *
 * Order. Commands to one node run in the order in which they were given to hooks->send, never another: there
 * are no priorities, since that order is relied upon (an undo runs behind the set it takes back). Between
 * nodes there is no order. A command is never repeated by who sends it, on no connection; but one that a server
 * of a cluster redirected (MOVED, ASK, TRYAGAIN) was not executed, and may be sent where it belongs. Then
 * commands of other attempts may pass it, as those of another agent may: between attempts no order is relied
 * upon, and an attempt has one command under way per node (Q8).
 *
 * Deadline. A command that is not `sent` when its deadline has come is not sent any more and answered
 * QUORUM_DROPPED. One that was sent is waited for until the connection ends.
 *
 * The end of a connection. All its commands are answered QUORUM_LOST (sent) or QUORUM_DROPPED (not sent),
 * then quorum_node_down() is called. What was sent may have run, or may still run later, until the server has
 * killed the old connection (CLIENT KILL ID), which the next connection does first of all.
 */
#ifndef EA_CORE_QUORUM_COMMAND_H
#define EA_CORE_QUORUM_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

/*
 * Who an operation belongs to. The order is (clock, agent), which is the order of the strings
 * "%016llu.%016llx" as well; no owner is {0, 0}. clock < 2^53; agent is random per start and not 0.
 */
struct quorum_owner {
    uint64_t clock;
    uint64_t agent;
};

static inline bool quorum_owner_is(struct quorum_owner a, struct quorum_owner b)
{
    return a.clock == b.clock && a.agent == b.agent;
}

static inline int quorum_owner_cmp(struct quorum_owner a, struct quorum_owner b)
{
    if (a.clock != b.clock) {
        return a.clock < b.clock ? -1 : 1;
    }
    return a.agent == b.agent ? 0 : a.agent < b.agent ? -1 : 1;
}

/* A token (0: none, else below 2^53), and under which owner it was, or must be, written. */
struct quorum_claim {
    uint64_t token;
    struct quorum_owner owner;
};

/*
 * The marker of a node (cluster: of a slot): whose memory this is. Final when `nonce` is 0. `blank` may be
 * set only with a nonce: when this marker was first written the node had no marker, floor, ceiling or
 * max_term, so nothing is known to have been lost. As text one line of printable ASCII; a marker that can't
 * be read is {.there = true} with empty ids. Two markers are equal if all fields are.
 */
#define QUORUM_ID_BYTES 41 /* 40 characters and a terminator */

struct quorum_marker {
    bool there; /* false: the key is missing, the other fields are zero */
    bool blank;
    uint64_t nonce;
    char run_id[QUORUM_ID_BYTES];         /* the server's (cluster: of the master that owns the slot) */
    char replication_id[QUORUM_ID_BYTES]; /* its master_replid */
};

bool quorum_marker_is(const struct quorum_marker *a, const struct quorum_marker *b);

/* The names of an attempt: the election is addressed by (kind, election). Each at most NAME_BYTES_MAX bytes
 * (kind: KIND_BYTES_MAX), see core/names.h. `hash` is of (kind, election), the same in every agent and
 * release: in sharding mode it picks the shard. */
struct quorum_names {
    struct str kind;
    struct str election;
    struct str candidate; /* campaign, extend, resign: whose; handover: the new one; read: empty */
    struct str from;      /* handover: the present holder it asks for; empty: any */
    uint64_t hash;
};

/* How many claims one attempt makes at most, and so how many tokens an undo names. */
#define QUORUM_CLAIMS_MAX 4

/*
 * Words of the comments below.
 *   lease     the holder's plain name, with an expiry.
 *   tenure    "<token> <owner> <name>" (after a handover also what it replaced), always written together
 *             with the lease and with the same expiry.
 *   T         the tenure, if it names the lease's holder and both keys have the same remaining time (read
 *             in the script); else none. A lease with T is *committed*, one without is *bare*.
 *   F         max(fence, floor), a missing one counting as 0.
 *   amnesiac  the node's marker is not exactly {its run id, its replication id, no nonce}: the ids are
 *             those of the hello facts of the connection that carries the command.
 *   write(name, t, owner): lease = name, tenure = (t, owner, name), both with PX = max(term_ms, what is
 *             left of this name's own lease).
 *   refresh:  the fence expires 7 days after the lease again.
 *
 * VERB(NAME, word, script): a script runs in one piece on its node; others are plain commands.
 */
#define QUORUM_VERBS(VERB)                       \
    VERB(SET, "set", false)                      \
    VERB(PEEK, "peek", false)                    \
    VERB(CLAIM, "claim", true)                   \
    VERB(LOOK, "look", true)                     \
    VERB(REPAIR, "repair", true)                 \
    VERB(UNDO, "undo", true)                     \
    VERB(RESIGN, "resign", true)                 \
    VERB(HANDOVER, "handover", true)             \
    VERB(RESTORE, "restore", true)               \
    VERB(RESTORE_EXPIRY, "restore_expiry", true) \
    VERB(READ, "read", false)                    \
    VERB(NODE_READ, "node_read", true)           \
    VERB(NODE_MARK, "node_mark", true)           \
    VERB(NODE_RAISE, "node_raise", true)

enum quorum_verb {
#define VERB(name, word, script) QUORUM_##name,
    QUORUM_VERBS(VERB)
#undef VERB
        QUORUM_VERB_COUNT
};

const char *quorum_verb_word(enum quorum_verb verb); /* "claim" */

/*
 * Elections. Each verb: what it does; `->` its answers, besides DROPPED, LOST and FAILED, with what of the
 * reply is set. `fence` in a reply is F.
 *
 * SET            Campaign, round 1. SET lease candidate PX set_ms NX GET; and directly behind it, in the
 *                same write, the fence and the tenure are read. Not asked of recovering nodes. One native
 *                write command on servers from 7.0, a script with the same effect on older ones. Whether
 *                the node is amnesiac is not looked at.
 *                -> NEW fence; NAME name, token, fence: somebody's, perhaps the candidate's own; untouched.
 *                `fence` may be the fence key alone (the floor is learnt with the marker). `token` is for
 *                display: the tenure's if it names the holder, else 0.
 * PEEK           The same without setting, for recovering nodes.
 *                -> NONE fence; NAME name, token, fence.
 * CLAIM          (candidate, token, owner, expect) lease is not candidate's: NO. T is not `expect` (token
 *                and owner; token 0: T is none): CHANGED. F >= token: LOW, strictly, nothing is written.
 *                Amnesiac: AMNESIAC. Else write(candidate, token, owner), fence = token: OK.
 *                -> OK; NO; CHANGED; LOW fence; AMNESIAC.
 * LOOK           (candidate, owner) no lease: MISSING, or AMNESIAC on an amnesiac node. Another's: OTHER.
 *                Own, T none: BARE. Else write(candidate, T's token, max(T's owner, owner)), refresh: OK.
 *                An amnesiac node answers OTHER, BARE and OK as any other.
 *                -> OK token, owner (as it is now), fence, expires_ms (of the lease *before* this look);
 *                MISSING fence; OTHER name, committed, token (T's, 0 if bare); BARE fence; AMNESIAC.
 * REPAIR         (candidate, token, owner, force, nonce) F (on the very recovering marker of `nonce`, with
 *                force: the fence key alone, not the floor) > token: LOW. A lease is there (anybody's), and
 *                not (force and committed with a lower token): OTHER; a bare lease is never overwritten.
 *                Amnesiac, and not (force and nonce is not 0 and the marker is {run id, replication id,
 *                nonce}, blank or not): AMNESIAC. Else write(candidate, token, owner), fence = max(the
 *                same, token): OK.
 *                -> OK; LOW fence; OTHER; AMNESIAC.
 * UNDO           (candidate, tried[]) lease is candidate's, and T is none or T's (token, owner) is one of
 *                tried[]: delete lease and tenure. Else nothing. Never dropped: its deadline is MONO_NEVER.
 *                -> OK in both cases.
 * RESIGN         (candidate, owner or none, token or 0, force) lease is candidate's and (no owner given or
 *                T's owner is equal) and (no token given or T's token is equal): fence = max(F, T's token +
 *                1), delete both: OK. A bare lease is deleted if neither was given: OK, token 0. No lease:
 *                NONE; else: NO. In both cases, unless the lease is candidate's or has T, if force: fence =
 *                max(F, token + 1). Amnesiac nodes do the same. `force` is set only when another node has
 *                confirmed the token: a token that a client made up must not move fences.
 *                -> OK token; NONE; NO name, token.
 * HANDOVER       (candidate, token, owner, from.{name, owner, token}) amnesiac: AMNESIAC. A condition is
 *                given and does not hold: NO (names.from: the holder, by T: a bare lease, which may be a
 *                loser's for a moment, is nobody's tenure; expect.owner, expect.token: T's; with any of
 *                them T must be there). F >= token: LOW. Else lease = candidate,
 *                tenure = (token, owner, candidate) and in it the old lease, old tenure as it stood and old
 *                expiry; PX = max(term_ms, what is left of the old lease, whosever it is), fence = token:
 *                OK.
 *                -> OK name (of the old holder, empty if none), token (T's, or 0); NO name, token; LOW
 *                fence; AMNESIAC.
 * RESTORE        (candidate, token, owner) lease is candidate's and T is (token, owner): put back what the
 *                tenure says it replaced, with its old expiry; if that is over, or there was nothing,
 *                delete both. Else nothing. Never dropped.
 *                -> OK in both cases.
 * RESTORE_EXPIRY (candidate, token, owner, expires_ms) lease is candidate's and T is (token, owner): lease
 *                and tenure expire at expires_ms (deleted if that is over). Else nothing. Never dropped.
 *                -> OK in both cases.
 * READ           Lease and tenure; a plain read, many may travel as one. `token` as with SET; where `exact`
 *                is set it is T's, by the rule of equal remaining times, and left_ms is known.
 *                -> NONE; NAME name, token, left_ms (-1: not known). AMNESIAC may be answered instead of
 *                NONE by who reads the marker along; else a flushed node misleads reads until it is looked
 *                at, a second at most.
 *
 * Nodes (cluster: the slot of this quorum object). Never more than one of these is under way per node.
 *
 * NODE_READ      -> OK marker, floor, ceiling, max_term_ms (a missing one is 0), node_us (the server's
 *                clock, TIME).
 * NODE_MARK      (marker_old, marker, floor, ceiling, max_term_ms) the marker is not exactly marker_old:
 *                CHANGED, and nothing is written. Else floor, ceiling and max_term become at least the
 *                given (0: left alone) and the marker is `marker`, unless equal; none of the four expires:
 *                OK.
 *                -> as NODE_READ, with the values as they are now, both for OK and for CHANGED.
 * NODE_RAISE     (ceiling, max_term_ms) amnesiac: AMNESIAC. Else both become at least the given: OK.
 *                -> OK ceiling, max_term_ms as they are now; AMNESIAC.
 */
struct quorum_command {
    enum quorum_verb verb;
    unsigned node;
    struct mono deadline;             /* not sent at or after it; MONO_NEVER: always sent */
    bool sent;                        /* set by who sends */
    const struct quorum_names *names; /* NULL for NODE_* */

    /* A command is about an election or about the node. An attempt has one for each node, and is made for every request:
     * so they share their memory. */
    union {
        struct {
            int64_t term_ms;            /* CLAIM, LOOK, REPAIR, HANDOVER: PX before the max; SET: set_ms */
            uint64_t token;             /* CLAIM, REPAIR, RESIGN, HANDOVER, RESTORE, RESTORE_EXPIRY */
            struct quorum_owner owner;  /* the same, and LOOK */
            struct quorum_claim expect; /* CLAIM: T; HANDOVER: conditions on T, each only if not zero */
            bool force;                 /* REPAIR, RESIGN */
            bool exact;                 /* READ */
            uint64_t nonce;             /* REPAIR: of the recovering marker that we saw; 0: none */
            int64_t expires_ms;         /* RESTORE_EXPIRY: as LOOK gave it */
            unsigned n_tried;           /* UNDO */
            struct quorum_claim tried[QUORUM_CLAIMS_MAX];
            /* What a script may write beside for display (the election's meta, notices): it never decides anything. */
            int32_t priority; /* of the candidate */
            struct wall wall; /* when the attempt began */
        };
        struct { /* NODE_* */
            struct quorum_marker marker_old;
            struct quorum_marker marker;
            uint64_t floor;
            uint64_t ceiling;
            int64_t max_term_ms;
        };
    };

    /* Of who sends, from hooks->send to quorum_reply(). */
    struct quorum_command *next;
    void *user;
    unsigned redirects; /* starts as 0 */
};

enum quorum_answer {
    QUORUM_OK,
    QUORUM_NEW,
    QUORUM_NAME,
    QUORUM_NONE,
    QUORUM_NO,
    QUORUM_CHANGED,
    QUORUM_LOW,
    QUORUM_MISSING,
    QUORUM_OTHER,
    QUORUM_BARE,
    QUORUM_AMNESIAC,
    QUORUM_FAILED,  /* the server refused (READONLY, LOADING, OOM, NOPERM, ...): nothing was changed */
    QUORUM_DROPPED, /* not sent, and never will be */
    QUORUM_LOST,    /* sent, and the connection ended: it may have run or may still run */
    QUORUM_ANSWER_COUNT
};

const char *quorum_answer_word(enum quorum_answer answer); /* "amnesiac" */

/* Only what the verb's answer names is looked at. `name` is valid during quorum_reply(). */
struct quorum_reply {
    enum quorum_answer answer;
    bool committed;
    struct str name;
    uint64_t token;
    uint64_t fence;
    struct quorum_owner owner;
    int64_t expires_ms; /* absolute, by the node's own clock (PEXPIRETIME): meaningful to that node alone */
    int64_t left_ms;
    struct quorum_marker marker;
    uint64_t floor;
    uint64_t ceiling;
    int64_t max_term_ms;
    int64_t node_us;
};

#endif
