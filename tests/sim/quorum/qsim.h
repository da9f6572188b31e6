/*
 * The quorum protocol on virtual time: a cluster of model nodes (node.c), a network that delays, loses, cuts and
 * keeps order only within a connection (network.c), agents around the real deciding code (agent.c), clients as
 * stupid as real ones (client.c), foreign programs that know nothing but the lease key (foreign.c), a schedule of
 * faults (weather.c), and checks that are named by what they hold (checks.c). scenarios.c drives the same world
 * by hand.
 *
 * Time is true time in microseconds, which nobody in the world can read: every node, agent and client has a clock
 * of its own that runs up to half a percent off. Everything follows from the seed.
 */
#ifndef EA_QSIM_H
#define EA_QSIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../trace.h"
#include "base/random.h"
#include "core/quorum/fault.h"
#include "core/quorum/quorum.h"
#include "core/request.h"

#define QSIM_NODES     5
#define QSIM_AGENTS    3
#define QSIM_CLIENTS   20
#define QSIM_ELECTIONS 2
#define QSIM_LATE      4 /* questions that a client may repeat, and hears late */
#define US_PER_MS      1000

/* Candidates are called by one letter, and known by its place: clients from 'A', foreign programs from 'a'. */
#define QSIM_NAMES 58
#define FOREIGN    ('a' - 'A')
#define FOREIGNERS 2
#define NOBODY     255

enum mutation {
    MUTATION_NONE,
#define MUTATION(name, what, checks) MUTATION_##name,
#include "mutations.def"
#undef MUTATION
    MUTATION_COUNT
};

/* --- A clock: runs rate_ppm off true time, from an offset --- */

struct ticker {
    int64_t offset_us;
    int64_t rate_ppm;
};

int64_t ticker_read(const struct ticker *ticker, int64_t now);
/* The first true time at which the ticker shows at least `us`. */
int64_t ticker_when(const struct ticker *ticker, int64_t us);

/* --- Events --- */

enum event_kind {
    EV_ARRIVE,   /* a flight at its node */
    EV_REPLY,    /* a flight's answer at its agent */
    EV_FLUSH,    /* a stalled connection writes again */
    EV_NOTICE,   /* the agent sees that a connection has ended */
    EV_DIAL,     /* an agent tries to connect */
    EV_GREET,    /* the greeting of a connection at its node */
    EV_READY,    /* its answer at the agent */
    EV_TIMER,    /* an agent's */
    EV_QUESTION, /* at an agent */
    EV_ANSWER,   /* at a client */
    EV_THINK,
    EV_TIMEOUT,
    EV_BOOT,      /* of an agent */
    EV_NODE_BOOT, /* `number`: enum memory_fate */
    EV_FAULT,
    EV_HEAL, /* a node's passing trouble is over */
    EV_LATE, /* an agent renews (even `number`) or closes (odd) a session that is elsewhere */
    EV_FOREIGN_THINK,
    EV_FOREIGN_STEP, /* at a node */
};

struct event {
    int64_t at;
    uint64_t order;
    enum event_kind kind;
    unsigned who;
    uint64_t number;
    void *what;
};

/* --- Nodes --- */

struct tenure_key {
    bool there;
    uint8_t name;
    struct quorum_claim claim;
    int64_t expires_ms;
    /* What a handover replaced. */
    bool replaced;
    uint8_t old_lease; /* NOBODY: there was none */
    bool old_committed;
    struct quorum_claim old_claim;
    int64_t old_expires_ms;
};

struct keys {
    uint8_t lease; /* NOBODY: no such key */
    int64_t lease_expires_ms;
    struct tenure_key tenure;
    uint64_t fence;
    int64_t fence_expires_ms;
};

struct memory {
    struct keys keys[QSIM_ELECTIONS];
    struct quorum_marker marker;
    uint64_t floor;
    uint64_t ceiling;
    int64_t max_term_ms;
};

enum memory_fate { MEMORY_KEPT, MEMORY_EMPTY, MEMORY_OLD };

struct node_model {
    bool up;
    bool replica;
    bool evicts;
    int64_t stopped_until; /* SIGSTOP: nothing runs, connections stay */
    int64_t failing_until; /* OOM, LOADING and the like */
    int64_t slow_us;       /* added to every delay */
    struct ticker clock;
    uint64_t run; /* the run id's number */
    uint64_t replication;
    struct memory memory;
    struct memory snapshot;
    struct memory last_moments; /* what a replica had that is promoted */
};

/* --- The network --- */

struct flight;

struct conn {
    struct conn *all; /* list of all of a run */
    unsigned agent;
    unsigned node;
    uint64_t boot;     /* of the agent */
    bool up;           /* known to the quorum */
    bool broken;       /* packets get lost */
    bool closed;       /* the agent has noticed */
    bool killed;       /* the server's end is closed: what still arrives is not run */
    bool hold_to_node; /* scenarios: packets wait */
    bool hold_to_agent;
    struct conn *previous; /* what CLIENT KILL names */
    struct quorum_hello hello;
    struct quorum_command *queue; /* not sent yet */
    struct quorum_command **queue_end;
    struct flight *out; /* sent, not answered */
    int64_t stalled_until;
    int64_t last_to_node;
    int64_t last_to_agent;
};

struct flight {
    struct flight *next; /* in conn->out, in held, or in the pool */
    struct flight **link;
    struct conn *conn;
    struct quorum_command *command; /* NULL: given back already */
    struct quorum_command copy;
    bool lost;     /* will not arrive */
    bool over;     /* will not be answered; nothing is under way for it */
    bool answered; /* run, held on its way back */
    uint8_t election;
    uint8_t candidate;
    uint8_t from;
    uint8_t name; /* in the reply */
    char letter;  /* the reply's name */
    struct quorum_reply reply;
};

/* --- Clients and what they say --- */

struct question {
    uint64_t id;
    unsigned client;
    unsigned incarnation;
    enum election_op op;
    uint8_t election;
    uint8_t candidate;
    uint8_t from; /* NOBODY: no condition */
    unsigned agent;
    bool hold; /* part of a session */
    uint64_t token;
    uint64_t past;
    int32_t term_ms;
    int64_t sent;
};

struct answer {
    enum err err;
    bool elected;
    bool moved;
    uint8_t leader;
    uint64_t token;
};

struct message {
    struct message *next; /* in the pool */
    struct question question;
    struct answer answer;
};

struct client {
    uint8_t name;
    uint8_t election;
    unsigned incarnation;
    unsigned home;       /* the agent it prefers; a session's agent */
    unsigned moved_from; /* an agent where its session was, or home */
    bool plain;          /* knows neither token nor past */
    bool hold;
    bool hears_late; /* believes answers to questions it has given up waiting for */
    bool stands;
    int64_t rate_ppm;
    int32_t term_ms;
    uint64_t waiting;
    enum election_op waits_for;
    uint64_t token;
    int64_t since; /* its belief, without a gap; true time */
    int64_t until;
    uint64_t past;
    int64_t given_up_at;
    int64_t quiet_until;
    int64_t uncovered_until; /* a give-up without token may be under way: outside of the promises */
    struct question late[QSIM_LATE];
    unsigned n_late;
};

struct foreigner {
    int64_t until;
    int64_t sent;
    int32_t term_ms;
    unsigned op; /* 0 none, 1 set, 2 expire, 3 delete */
    unsigned good;
    unsigned bad;
    uint64_t number;
    uint8_t victim; /* whose lease it deletes */
};

/* --- Agents --- */

struct ask {
    struct ask *next;
    struct ask **link;
    struct qsim *sim;
    unsigned agent;
    struct question question;
    struct election_request request;
    struct quorum_session *session;
    char election;
    char candidate;
    char from;
    int64_t submitted;
    bool paused; /* the agent was suspended meanwhile */
    bool done;
    bool kept; /* a scenario's: stays after its answer */
    struct answer answer;
    int64_t answered;
};

struct agent_model {
    struct quorum *quorum; /* NULL: down */
    uint64_t boot;
    struct ticker clock;
    struct ticker wall;
    int64_t paused_until;
    int64_t timer_at;
    bool doomed;
    uint64_t sends_to_live; /* 0: for ever; else it dies with so many commands sent */
    struct conn *conns[QSIM_NODES];
    struct ask *asks;
    struct quorum_session sessions[QSIM_CLIENTS];
    bool session_busy[QSIM_CLIENTS];
    uint64_t session_token[QSIM_CLIENTS];
    struct quorum_session left[QSIM_CLIENTS]; /* of clients that lead elsewhere by now */
    bool left_busy[QSIM_CLIENTS];
    uint64_t left_token[QSIM_CLIENTS];
};

/* --- What is known: kept apart from the code under test --- */

struct grant {
    uint64_t token;
    uint8_t name;
    int64_t at;       /* first answered */
    int64_t ended_at; /* resigned or handed over, and answered so; INT64_MAX: not */
};

struct facts {
    struct grant *grants;
    size_t n;
    size_t capacity;
    uint64_t believed; /* the greatest token that somebody believed in */
    int64_t uncovered_until;
};

/* What the seeds have been through: a run that met nothing proves nothing. */
#define QSIM_COUNTERS(COUNTER) \
    COUNTER(commands)          \
    COUNTER(grants)            \
    COUNTER(adoptions)         \
    COUNTER(losses)            \
    COUNTER(extensions)        \
    COUNTER(refusals)          \
    COUNTER(resignations)      \
    COUNTER(handovers)         \
    COUNTER(overrides)         \
    COUNTER(reads)             \
    COUNTER(unavailable)       \
    COUNTER(pasts)             \
    COUNTER(moves)             \
    COUNTER(late_closes)       \
    COUNTER(agent_crashes)     \
    COUNTER(deaths_midway)     \
    COUNTER(agent_pauses)      \
    COUNTER(wall_jumps)        \
    COUNTER(node_restarts)     \
    COUNTER(memory_losses)     \
    COUNTER(majority_losses)   \
    COUNTER(flushes)           \
    COUNTER(node_stops)        \
    COUNTER(node_failures)     \
    COUNTER(clock_steps)       \
    COUNTER(cuts)              \
    COUNTER(ran_on_dead_conns) \
    COUNTER(killed_commands)   \
    COUNTER(dropped_unsent)    \
    COUNTER(readmissions)      \
    COUNTER(repairs)           \
    COUNTER(undos)             \
    COUNTER(restores)          \
    COUNTER(expiries_put_back) \
    COUNTER(claims_low)        \
    COUNTER(foreign_tenures)   \
    COUNTER(beliefs_checked)   \
    COUNTER(calms_reached)

struct qsim_counters {
#define COUNTER(name) uint64_t name;
    QSIM_COUNTERS(COUNTER)
#undef COUNTER
};

struct weather {
    unsigned loss_permille; /* of packets: in a connection, a loss is a cut */
    unsigned slow_percent;  /* of packets */
    int64_t slow_us;
    int64_t fault_every_us; /* 0: none */
    bool steps;             /* node clocks step: outside of promise 1 */
    bool majority_loss;     /* outside of promises 1 and 2 */
    bool overrides;
    bool foreign;
    bool memory; /* nodes may forget */
    bool twins;  /* two clients with one name: outside of promise 1 */
};

struct qsim {
    struct trace *trace;
    bool tracing;
    struct qsim_counters *counters;
    enum mutation mutation;
    struct rng rng;
    int64_t now;
    struct event *events; /* a heap */
    size_t n_events;
    size_t events_capacity;
    uint64_t orders;
    uint64_t ids;
    struct weather weather;
    bool calm;          /* no new faults, no slow packets */
    int64_t calm_since; /* when everything that was broken must work again */
    bool silent;        /* clients ask nothing any more */
    bool directed;      /* a scenario: 1 ms each way, nothing at random */
    unsigned n_nodes;
    unsigned majority;
    unsigned n_agents;
    unsigned n_clients;
    unsigned n_elections;
    int64_t operation_timeout_ms;
    int64_t max_term_ms;
    int32_t term_least_ms;
    int32_t term_most_ms;
    uint64_t runs; /* run ids given out */
    struct node_model nodes[QSIM_NODES];
    struct agent_model agents[QSIM_AGENTS];
    struct client clients[QSIM_CLIENTS];
    struct foreigner foreigners[FOREIGNERS];
    struct ask hook_args[QSIM_AGENTS]; /* what an agent's hooks are given: whose they are */
    struct facts facts[QSIM_ELECTIONS];
    struct conn *conns;
    struct flight *held; /* scenarios: packets that wait, newest first */
    /* Pools, kept from run to run. */
    struct flight *free_flights;
    struct message *free_messages;
    struct ask *free_asks;
};

#define NOTE(sim, ...)                                                        \
    do {                                                                      \
        if ((sim)->tracing) {                                                 \
            trace_note((sim)->trace, (struct mono){(sim)->now}, __VA_ARGS__); \
        }                                                                     \
    } while (0)

static inline char name_letter(uint8_t name)
{
    return name == NOBODY ? '-' : (char)('A' + name);
}

/* world.c */
struct qsim *qsim_new(struct qsim_counters *counters, struct trace *trace);
void qsim_free(struct qsim *sim);
void qsim_run(struct qsim *sim, uint64_t seed, enum mutation mutation, bool tracing);
void qsim_begin(struct qsim *sim, uint64_t seed, enum mutation mutation, bool tracing);
void qsim_start(struct qsim *sim); /* after the numbers were set: nodes, agents and their connections */
void qsim_end(struct qsim *sim);
void qsim_until(struct qsim *sim, int64_t at);
void qsim_after(struct qsim *sim, int64_t us, struct event event);
bool qsim_chance(struct qsim *sim, unsigned percent);
int64_t qsim_delay(struct qsim *sim);

/* node.c */
void node_boot(struct qsim *sim, unsigned node, enum memory_fate fate);
void node_die(struct qsim *sim, unsigned node);
void node_execute(struct qsim *sim, struct flight *flight);
void node_flush(struct qsim *sim, unsigned node);
void node_hello(const struct qsim *sim, unsigned node, struct quorum_hello *hello);
int64_t node_ms(const struct qsim *sim, unsigned node);
/* The tenure that counts (T), NULL if there is none; what has expired is deleted first. */
const struct tenure_key *node_tenure(struct qsim *sim, unsigned node, uint8_t election);
uint8_t node_lease(struct qsim *sim, unsigned node, uint8_t election);
bool node_admitted(const struct qsim *sim, unsigned node);
bool node_foreign_step(struct qsim *sim, unsigned node, uint8_t election, unsigned op, uint8_t name,
                       int64_t px);

/* network.c */
void network_send(struct qsim *sim, unsigned agent, struct quorum_command *command);
void network_flush(struct qsim *sim, unsigned agent);
void network_cut(struct qsim *sim, unsigned agent, unsigned node, int64_t notice_us);
void network_dial(struct qsim *sim, unsigned agent, unsigned node, uint64_t boot);
void network_greet(struct qsim *sim, struct conn *conn);
void network_ready(struct qsim *sim, struct conn *conn);
void network_notice(struct qsim *sim, struct conn *conn);
void network_arrive(struct qsim *sim, struct flight *flight);
void network_reply(struct qsim *sim, struct flight *flight);
void network_agent_died(struct qsim *sim, unsigned agent);
void network_release(struct qsim *sim, unsigned agent, unsigned node);
void network_fini(struct qsim *sim);

/* agent.c */
void agent_boot(struct qsim *sim, unsigned agent);
void agent_crash(struct qsim *sim, unsigned agent);
void agent_pause(struct qsim *sim, unsigned agent, int64_t us);
void agent_timer(struct qsim *sim, unsigned agent, uint64_t boot);
void agent_question(struct qsim *sim, const struct question *question);
void agent_left(struct qsim *sim, unsigned agent, unsigned client);
void agent_late(struct qsim *sim, unsigned agent, uint64_t what);
void agent_leave(struct qsim *sim, unsigned agent);
struct ask *agent_submit(struct qsim *sim, const struct question *question, struct quorum_session *session,
                         bool kept);
struct quorum_now agent_now(const struct qsim *sim, unsigned agent);
static inline bool agent_paused(const struct qsim *sim, unsigned agent)
{
    return sim->now < sim->agents[agent].paused_until;
}

/* client.c */
void client_init(struct qsim *sim, unsigned client);
void client_think(struct qsim *sim, unsigned client);
void client_time_out(struct qsim *sim, unsigned client, uint64_t id);
void client_hear(struct qsim *sim, const struct question *question, const struct answer *answer);
struct message *message_new(struct qsim *sim);
void message_free(struct qsim *sim, struct message *message);

/* foreign.c */
void foreign_think(struct qsim *sim, unsigned who);
void foreign_step(struct qsim *sim, unsigned who, uint64_t what);

/* weather.c */
void weather_pick(struct qsim *sim);
void weather_fault(struct qsim *sim);
void weather_heal(struct qsim *sim);

/* checks.c */
void check_answer(struct qsim *sim, struct ask *ask);
void check_belief(struct qsim *sim, uint8_t election, uint8_t name, uint64_t token);
void check_placed(struct qsim *sim, unsigned node, int64_t px_ms);
void check_calm(struct qsim *sim, int64_t from);
void check_silence(struct qsim *sim);
bool checks_uncovered(const struct qsim *sim, uint8_t election);

/* scenarios.c: false, and the trace tells, if one fails */
bool scenarios_run(struct qsim *sim, const char *only, bool tracing);
/* The first scenario that a mutation breaks, NULL if none. */
const char *scenarios_notice(struct qsim *sim, enum mutation mutation);

#endif
