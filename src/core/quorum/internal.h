/*
 * Inside the quorum: what its files share. Nobody else includes this.
 *
 *   quorum.c     the doors: requests, replies, timers, the end
 *   attempt.c    one operation under way: asking nodes, counting, answering, living on for its undos
 *   campaign.c   set, look, claim; campaigns for one election are served in order
 *   extend.c     look, refill
 *   resign.c     handover.c     read.c
 *   join.c       equal reads and extends are asked once
 *   node.c       what we think of each node, one command about it at a time; raising ahead
 *   admission.c  how a node without proven memory comes back
 *   hint.c       who leads through us, perhaps
 *
 * An attempt has one slot per node and at most one command under way per slot. So what an attempt sends to a
 * node runs in order and its outcome is known, or known to be unknown, before the next: all bookkeeping of
 * undos rests on that (Q8).
 */
#ifndef EA_CORE_QUORUM_INTERNAL_H
#define EA_CORE_QUORUM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hlc.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/sm.h"
#include "base/wheel.h"
#include "core/names.h"
#include "core/quorum/fault.h"
#include "core/quorum/quorum.h"

#define QUORUM_POLL_MS       INT64_C(1000)     /* how often a ready node's marker and clock are looked at */
#define QUORUM_CENSUS_MS     100               /* the same while a node is not ready */
#define QUORUM_AHEAD_US      INT64_C(60000000) /* how far the ceiling is raised ahead of the hybrid clock */
#define QUORUM_TIMER_US      1000              /* a timer fires up to so much late */
#define QUORUM_SPLIT_MIN_US  10000             /* the random wait after a split vote */
#define QUORUM_SPLIT_MAX_US  50000
#define QUORUM_STEP_SLACK_US 2000 /* how far a node's clock may jump besides running 1 % off */

/* --- A node --- */

struct node {
    unsigned index;
    struct sm state; /* enum quorum_node_state */
    struct quorum_hello hello;
    struct quorum_marker marker; /* as last read */
    struct mono since;           /* recovering: when we first knew that this nonce stands */
    uint64_t since_census;       /* and in which census that was: only later ones tell of what went before */

    /* The command about the node itself. */
    struct quorum_command cmd;
    bool out;
    bool want_read;
    bool met;   /* it was read once */
    bool stale; /* the command under way was for the server that the node was before */
    struct mono asked;
    uint64_t cmd_census; /* the census that was on when the present command was sent */

    /* As of the last read, and in which census that was. */
    uint64_t census;
    uint64_t floor;
    uint64_t ceiling;
    int64_t max_term_ms;

    /* Recovering: what was proven under this nonce stands on the node; how long to wait from `since`. */
    bool proven;
    int64_t wait_ms;

    /* What it has confirmed to remember; forgotten when it is found amnesiac. And whether it was read again
     * after the others had confirmed. */
    uint64_t sure_ceiling;
    int64_t sure_term_ms;
    bool attests;
    uint64_t cmd_seq;
    uint64_t heard_seq; /* of the read whose reply came last */

    /* Its clock against ours: it showed node_us at some moment in [low, high]. 0: not known. */
    int64_t clock_us;
    struct mono clock_low;
    struct mono clock_high;
};

/* --- An attempt --- */

/* What an attempt may have left on a node and has to take back if it fails. */
enum held {
    HELD_NONE,
    HELD_UNKNOWN, /* sent, outcome unknown */
    HELD_SURE,
};

enum refill { REFILL_NOT, REFILL_ASKED, REFILL_DONE, REFILL_REFUSED };

struct slot {
    struct quorum_command cmd;
    unsigned round; /* of the attempt, in which the node was last asked */
    bool out;
    bool recovering; /* the node was, when it was asked */
    bool answered;   /* in `round`: the fields below are of that answer */
    bool own;        /* the lease is the candidate's */
    bool committed;
    bool had_tenure; /* one stood there that this attempt had not written: never undone (Q9) */
    bool repaired;   /* a late repair was sent */
    enum quorum_answer answer;
    enum held held;
    enum held held_before; /* what it was before the command under way */
    enum refill refill;
    uint64_t name; /* hash of the holder's name, 0 if none */
    uint64_t fence;
    struct quorum_claim seen;   /* look: T */
    struct quorum_claim expect; /* claim: what T must be; handover: what it replaced */
    struct quorum_claim placed; /* handover: what was sent there last */
    struct quorum_claim put_back;
    int64_t put_back_ms; /* the expiry before this attempt last looked */
    int64_t left_ms;     /* read */
};

enum phase {
    PHASE_QUEUED,
    PHASE_BLOCKED,
    PHASE_SET,
    PHASE_LOOK,
    PHASE_CLAIM,
    PHASE_WAIT,
    PHASE_ASK,
    PHASE_OVER,
    PHASE_COUNT
};

extern const struct sm_state attempt_phases[PHASE_COUNT];

struct attempt;

/* An operation's part: all are called with the attempt alive, and may answer it (attempt_answer). */
struct attempt_ops {
    void (*start)(struct quorum *q, struct attempt *a);
    /* The present phase wants something of this node (nothing is out): sends it, or nothing. */
    void (*ask)(struct quorum *q, struct attempt *a, struct slot *s);
    /* A reply came: keep what it says. */
    void (*note)(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply);
    /* Decide, if what is known suffices. Not called when answered. `s` and `reply` are what came just now; NULL
     * when a round found nobody to ask. */
    void (*judge)(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply);
    /* The answer was given, nothing is out on this slot: repair, undo, put back. */
    void (*after)(struct quorum *q, struct attempt *a, struct slot *s);
    void (*expired)(struct quorum *q, struct attempt *a);
};

struct attempt {
    struct map_node node; /* a campaign at the head of its election, or what may be joined */
    struct attempt *prev; /* in quorum->attempts */
    struct attempt *next;
    struct attempt *waiters; /* head of an election: who comes behind */
    struct attempt *waiters_last;
    struct attempt *waiter_next;
    struct wheel_entry timer;
    const struct attempt_ops *ops;
    struct election_request *request; /* NULL when answered; the first of those that joined (join.c) */
    struct quorum_session *session;
    struct quorum_names names;
    struct sm phase;
    bool head;     /* in quorum->heads */
    bool joinable; /* in quorum->joins */
    bool
        joined; /* a waiting campaign that may share the head's outcome: it came before the head's commands left */
    bool small;        /* which slab */
    bool won;          /* answered with success: what lacks it may be repaired until valid_until */
    bool looked_again; /* looks and reads: once */
    bool hinted;       /* began with look */
    bool confirmed;    /* resign: a node had the tenure `known` */
    bool again;        /* handover: with a higher token */
    bool queued;       /* behind a head, or on the list of heads that start: not freed */
    bool dead;         /* on quorum->dead */
    bool undo_counted;
    unsigned round;
    unsigned n_tried;
    unsigned looks;
    enum phase resume; /* blocked: what goes on when the nodes have been raised */
    struct mono began; /* PX counts from not before here */
    struct mono deadline;
    struct mono retry_at;
    struct mono valid_until;
    struct wall wall;
    int32_t term_ms;
    int32_t priority;
    uint64_t past;
    uint64_t known;            /* extend, resign: the token that we have reason to expect; 0: none */
    struct quorum_claim claim; /* the owner of this attempt, and its token */
    struct quorum_claim tried[QUORUM_CLAIMS_MAX];
    struct slot slots[]; /* one a node, then the bytes of the names */
};

struct hint {
    uint64_t hash; /* of kind, election, candidate */
    uint64_t token;
    struct mono until;
};

struct quorum {
    struct quorum_options options;
    unsigned n;
    unsigned majority;  /* q */
    unsigned witnesses; /* N - q + 1: any so many nodes have one in common with any q */
    struct quorum_now now;
    struct quorum_hooks hooks;
    struct quorum_faults faults;
    struct hlc hlc;
    struct rng rng;
    uint64_t seed;
    struct wheel wheel;
    struct slab small;
    struct slab large;
    struct map heads;
    struct map joins;
    struct attempt *attempts; /* oldest first */
    struct attempt *attempts_last;
    uint64_t n_attempts;
    uint64_t n_undos;
    uint64_t n_blocked;
    struct attempt *dead;   /* freed at the end of the call */
    struct attempt *starts; /* heads of elections whose turn has come */
    struct attempt **starts_end;
    struct election_request *answered; /* done() is due */
    struct election_request **answered_end;
    bool answering;
    bool stopped;
    struct hint *hints;
    uint64_t hint_mask;

    struct node nodes[QUORUM_NODES_MAX];
    struct wheel_entry poll;
    uint64_t census;
    struct mono census_at;
    struct mono reachable_since; /* when a server last came up: the start of the patience for the others */
    bool memory_was_lost;
    /* Raising ahead: what is wanted; what is being proven, by reads sent after `proof_seq`; what stands. */
    uint64_t want_ceiling;
    int64_t want_term_ms;
    bool proving;
    uint64_t proof_ceiling;
    int64_t proof_term_ms;
    uint64_t proof_seq;
    uint64_t stands_ceiling;
    int64_t stands_term_ms;
    uint64_t seq; /* of commands about nodes */

    uint64_t retries;
    uint64_t claims_low;
    uint64_t repairs;
};

/* --- quorum.c --- */

/* A value of the hybrid clock was read. False: it is out of range, and whoever sent it is not believed. */
bool quorum_observe(struct quorum *q, uint64_t value);
uint64_t quorum_clock(struct quorum *q); /* 0: the range is used up */
struct quorum_owner quorum_owner_new(struct quorum *q);

/* --- attempt.c --- */

extern const struct attempt_ops campaign_ops;
extern const struct attempt_ops extend_ops;
extern const struct attempt_ops resign_ops;
extern const struct attempt_ops handover_ops;
extern const struct attempt_ops read_ops;

void attempts_init(struct quorum *q);
struct attempt *attempt_new(struct quorum *q, struct election_request *request,
                            const struct attempt_ops *ops);
void attempt_move(struct attempt *a, enum phase phase);
static inline enum phase attempt_phase(const struct attempt *a)
{
    return (enum phase)sm_now(&a->phase);
}

/* Begins a round in a phase: every node that the phase wants is asked, those with a command under way after
 * its reply. */
void attempt_round(struct quorum *q, struct attempt *a, enum phase phase);

/* Waits until the nodes have been raised, then goes on with ops->start or the phase `resume`. */
void attempt_block(struct quorum *q, struct attempt *a, enum phase resume);
void attempt_unblock_all(struct quorum *q);

/* Fills the command with what every command of this attempt has. */
struct quorum_command *attempt_command(struct attempt *a, struct slot *s, enum quorum_verb verb,
                                       struct mono deadline);
/* Sends the command that was filled: as the question of the present round, or aside from it. */
void attempt_send(struct quorum *q, struct attempt *a, struct slot *s);
void attempt_send_aside(struct quorum *q, struct attempt *a, struct slot *s);

void attempt_reply(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply);
void attempt_timer(struct quorum *q, struct attempt *a);

/* A node can be used again: what attempts still owe it goes out. */
void attempt_owed(struct quorum *q, unsigned node);

/* Answers the request without a tenure; answer_held: by whom. */
void attempt_fail(struct quorum *q, struct attempt *a, enum err err, const char *why);
void attempt_held(struct quorum *q, struct attempt *a, struct str leader, uint64_t token);

/* Answers the request and moves the attempt to PHASE_OVER; tenure and the like were set before. Each slot with
 * nothing under way gets ops->after. */
void attempt_answer(struct quorum *q, struct attempt *a, enum err err, const char *why);

/* The same with a tenure: of the candidate, a->claim.token = `token`. */
void attempt_win(struct quorum *q, struct attempt *a, uint64_t token);

/* Frees the attempt if it was answered, nothing is under way and nothing owed. */
void attempt_settle(struct quorum *q, struct attempt *a);
void attempt_free(struct quorum *q, struct attempt *a);

/* Nothing of the present round can have reached a node yet. */
bool attempt_is_unsent(const struct quorum *q, const struct attempt *a);

unsigned attempt_pending(const struct quorum *q, const struct attempt *a);
uint64_t attempt_name(const struct quorum *q, struct str name); /* hash, never 0 */

/* How many slots answered this round with the name of `s`; with an equal token too. */
unsigned attempt_same_name(const struct quorum *q, const struct attempt *a, const struct slot *s,
                           unsigned *same_token);

/* Shared by campaign and extend. */
void look_ask(struct quorum *q, struct attempt *a, struct slot *s);
void look_note(struct quorum *q, struct attempt *a, struct slot *s, const struct quorum_reply *reply);
/* Slots that hold T with this token under our owner. */
unsigned look_count(const struct quorum *q, const struct attempt *a, uint64_t token);
/* The token with the highest such count, and the count. */
uint64_t look_best(const struct quorum *q, const struct attempt *a, unsigned *count);
/* Another agent has taken ownership of something we looked at. */
bool look_met_greater(const struct quorum *q, const struct attempt *a);
/* A new owner, and one more look. False if that was done before. */
bool look_again(struct quorum *q, struct attempt *a);
/* Puts the old expiry back where our look moved it. */
void look_put_back(struct quorum *q, struct attempt *a, struct slot *s);
/* Repairs a slot that answered that it lacks what this attempt has won. */
void look_repair(struct quorum *q, struct attempt *a, struct slot *s);

/* The token is of one of its own claims. */
static inline bool attempt_tried(const struct attempt *a, uint64_t token)
{
    for (unsigned i = 0; i < a->n_tried; i++) {
        if (a->tried[i].token == token) {
            return true;
        }
    }
    return false;
}

static inline bool slot_fresh(const struct attempt *a, const struct slot *s)
{
    return s->answered && s->round == a->round;
}

/* --- campaign.c --- */

/* Enters the election's queue, and starts if nobody is before it. */
void campaign_enter(struct quorum *q, struct attempt *a);
/* Leaves it: the next one starts. */
void campaign_leave(struct quorum *q, struct attempt *a);

/* --- join.c: reads, and extends without a session --- */

/* True if an equal one that was not sent yet answers this request too. */
bool join_equal(struct quorum *q, struct election_request *request);
/* Others may join `a`, until it is answered. */
void join_open(struct quorum *q, struct attempt *a);
void join_close(struct quorum *q, struct attempt *a);

/* --- hint.c --- */

void hint_init(struct quorum *q);
void hint_put(struct quorum *q, const struct quorum_names *names, uint64_t token, struct mono until);
uint64_t hint_get(const struct quorum *q, const struct quorum_names *names); /* 0: not known */
void hint_drop(struct quorum *q, const struct quorum_names *names, struct str candidate);

/* --- node.c --- */

extern const struct sm_state node_states[QUORUM_NODE_STATE_COUNT];

void node_init(struct quorum *q, unsigned index);
void node_move(struct quorum *q, struct node *node, enum quorum_node_state state, const char *why);
static inline enum quorum_node_state node_state(const struct node *node)
{
    return (enum quorum_node_state)sm_now(&node->state);
}
/* Attempts may ask it something. */
static inline bool node_usable(const struct node *node)
{
    return node_state(node) == QUORUM_NODE_READY || node_state(node) == QUORUM_NODE_RECOVERING;
}
static inline bool node_connected(const struct node *node)
{
    return node_state(node) != QUORUM_NODE_DOWN && node_state(node) != QUORUM_NODE_UNFIT;
}
unsigned node_count(const struct quorum *q, enum quorum_node_state state);
/* Too few nodes can be asked, and others are being looked at or get their final marker: that takes a moment. */
bool nodes_are_coming(const struct quorum *q);
void node_up(struct quorum *q, struct node *node, const struct quorum_hello *hello);
void node_moved(struct quorum *q, struct node *node, const struct quorum_hello *hello);
void node_down(struct quorum *q, struct node *node);
void node_reply(struct quorum *q, struct node *node, const struct quorum_reply *reply);

/* A script said that a node we thought ready has no memory. */
void node_suspect(struct quorum *q, struct node *node);

/* Sends the next command about the node, if one is wanted and none is under way. */
void node_drive(struct quorum *q, struct node *node);
void node_send(struct quorum *q, struct node *node, enum quorum_verb verb);

/* Whether q nodes remember that much; if not, they are asked to, and false. */
bool node_raised_ceiling(struct quorum *q, uint64_t token);
bool node_raised_term(struct quorum *q, int64_t term_ms);
void node_raise_ahead(struct quorum *q);
/* A ready node confirmed, or was read, to remember that much. */
void node_sure(struct quorum *q, struct node *node, uint64_t ceiling, int64_t max_term_ms);
/* It may have forgotten. */
void node_unsure(struct node *node);
/* A majority has forgotten: nothing is proven any more. */
void node_unsure_all(struct quorum *q);
void node_poll(struct quorum *q);

/* --- admission.c --- */

/* What a read says of a node: memory, ours or not. */
void admission_read(struct quorum *q, struct node *node, const struct quorum_reply *reply);
void admission_census(struct quorum *q);
/* The present one has heard every connected node, or waited long enough. */
bool admission_census_over(const struct quorum *q);
/* Uses what the present census knows to bring recovering nodes on. */
void admission_judge(struct quorum *q);

#endif
