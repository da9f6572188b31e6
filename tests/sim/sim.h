/*
 * The seeded simulation: clients as stupid as real ones, a network that delays, reorders, repeats and loses,
 * an agent that crashes and comes back with what was durable, a wall clock that is set back, all on virtual
 * time; and checks after every step, named by what they hold (DESIGN.md gives the invariants' numbers).
 *
 * sim.c is the world (time, network), agent.c the agent around the rules, client.c the clients, facts.c what
 * is known to have been decided and told, with the checks.
 */
#ifndef EA_SIM_SIM_H
#define EA_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/random.h"
#include "core/request.h"
#include "decider.h"
#include "trace.h"

#define SIM_KIND      "default"
#define SIM_ELECTIONS 2
#define SIM_CLIENTS   6
#define SIM_NOBODY    SIM_CLIENTS
#define SIM_OLD       8 /* questions a client may repeat much later */
#define US_PER_MS     1000

enum mutation {
    MUTATION_NONE,
#define MUTATION(name, what, checks) MUTATION_##name,
#include "mutations.def"
#undef MUTATION
    MUTATION_COUNT
};

/* --- what travels --- */

struct question {
    uint64_t id;
    unsigned client;
    unsigned incarnation; /* of the client: it crashes and comes back under its name */
    enum election_op op;
    unsigned election;
    unsigned candidate; /* clients are candidates */
    unsigned from;      /* SIM_NOBODY: no condition */
    uint64_t token;
    uint64_t past;
    int32_t term_ms;
    struct mono sent;
};

struct reply {
    enum err err;
    bool elected;
    unsigned leader; /* SIM_NOBODY: none */
    uint64_t token;
    struct mono expires;
    uint64_t ended; /* the token of the tenure that the question ended */
};

/* --- facts: what was decided and told, kept apart from the code under test --- */

struct tenure_facts {
    uint64_t token;
    unsigned leader;
    struct mono expires;      /* as decided */
    struct mono told_expires; /* as somebody was promised */
    int32_t longest_ms;
    bool ended;
    bool told; /* to somebody, as a promise */
    bool end_told;
    bool uncovered; /* ended in a way that the promises leave to tokens (spec: elections.md, promise 1) */
};

struct election_facts {
    struct tenure_facts *tenures;
    size_t n;
    size_t present; /* index + 1; 0: nobody leads */
    uint64_t greatest;
};

/* One decision: what was before it, and what its events said. */
struct decision {
    const struct question *question; /* NULL: an expiry that was noticed */
    size_t before;                   /* index + 1, after what had expired was ended */
    unsigned began;
    unsigned ended;
    uint64_t ended_token;
};

/* --- parts of the world --- */

struct client {
    unsigned election;
    unsigned incarnation;
    int64_t rate_ppm; /* how its clock runs, against true time */
    bool plain;       /* an existing client: it knows neither token nor past */
    int32_t term_ms;
    uint64_t waiting;  /* id of the question it waits for, 0: none */
    uint64_t token;    /* of the tenure it believes in, or did last; 0: none */
    struct mono until; /* true time at which its belief ends */
    uint64_t past;
    struct mono given_up_at; /* answers to older questions are not believed */
    struct mono quiet_until; /* does not campaign before */
    struct question old[SIM_OLD];
    size_t n_old;
};

struct held_answer {
    struct question question;
    struct reply reply;
    uint64_t after; /* writes that must be durable first */
};

struct pending_write {
    bool drop;
    bool begins; /* a tenure: nobody is told of it before it is durable */
    struct sim_record record;
};

struct agent {
    struct decider *deciders[2]; /* the second one only for the mutation TWO_OWNERS */
    bool up;
    unsigned boots;
    uint64_t ceiling; /* durable */
    struct sim_records disk;
    struct pending_write *pending;
    size_t n_pending;
    uint64_t written; /* writes since the beginning */
    uint64_t durable;
    uint64_t marks[SIM_ELECTIONS]; /* the last write of each election's tenure */
    struct held_answer *held;
    size_t n_held;
    uint64_t last_token; /* the greatest written */
    bool committing;
    bool down;             /* the last commit failed */
    struct mono expire_at; /* when its timer is set; MONO_NEVER: it is not */
    struct reply cached;   /* for the mutation STALE_READS */
    uint64_t events;
};

struct weather {
    uint64_t loss_percent;
    uint64_t repeat_percent;
    uint64_t slow_percent;
    uint64_t crash_percent; /* of commits */
    uint64_t slow_disk_percent;
    uint64_t bad_disk_percent; /* of commits that fail */
};

enum due_kind {
    DUE_REQUEST,
    DUE_ANSWER,
    DUE_THINK,
    DUE_TIMEOUT,
    DUE_COMMIT,
    DUE_EXPIRE,
    DUE_CRASH,
    DUE_BOOT
};

struct due {
    struct mono at;
    uint64_t order;
    enum due_kind kind;
    struct question question;
    struct reply reply;
    unsigned who;    /* client; for the agent, the boot it belongs to */
    uint64_t number; /* writes to become durable; a question's id */
};

/* What the seeds have been through: a run that met nothing proves nothing. */
#define SIM_COUNTERS(COUNTER)        \
    COUNTER(decisions)               \
    COUNTER(grants)                  \
    COUNTER(adoptions)               \
    COUNTER(losses)                  \
    COUNTER(extensions)              \
    COUNTER(late_extensions)         \
    COUNTER(resignations)            \
    COUNTER(late_resignations)       \
    COUNTER(handovers)               \
    COUNTER(refused_handovers)       \
    COUNTER(pasts)                   \
    COUNTER(expiries)                \
    COUNTER(crashes)                 \
    COUNTER(answers_lost_in_a_crash) \
    COUNTER(writes_lost_in_a_crash)  \
    COUNTER(tenures_restored)        \
    COUNTER(beliefs_checked)

/* What only the book can do. */
#define SIM_BOOK_COUNTERS(COUNTER) \
    COUNTER(failed_writes)         \
    COUNTER(refusals)              \
    COUNTER(withdrawals)

struct sim_counters {
#define COUNTER(name) uint64_t name;
    SIM_COUNTERS(COUNTER)
    SIM_BOOK_COUNTERS(COUNTER)
#undef COUNTER
};

struct sim {
    struct trace *trace;
    struct sim_counters *counters;
    enum decider_rules rules;
    enum mutation mutation;
    struct rng rng;
    struct mono now;
    int64_t wall_offset_us;
    struct weather weather;
    struct arena arena;
    struct due *dues;
    size_t n_dues;
    uint64_t orders;
    uint64_t ids;
    struct agent agent;
    struct client clients[SIM_CLIENTS];
    unsigned n_clients;
    struct election_facts facts[SIM_ELECTIONS];
    struct decision decision;
};

/* Runs one seed; the trace says whether it failed. */
void sim_run(uint64_t seed, enum decider_rules rules, enum mutation mutation, struct sim_counters *counters,
             struct trace *trace);

/* sim.c */
bool sim_chance(struct sim *sim, uint64_t percent);
struct wall sim_wall(const struct sim *sim);
void sim_after_us(struct sim *sim, int64_t us, struct due due);
void sim_send_question(struct sim *sim, const struct question *question);
void sim_send_reply(struct sim *sim, const struct question *question, const struct reply *reply);
/* Does the reply make somebody believe in its leadership, or give it to another? */
bool sim_is_promise(const struct question *question, const struct reply *reply);
struct str sim_election_name(unsigned election);
struct str sim_client_name(unsigned client);
unsigned sim_client_of(struct str name);
unsigned sim_election_of(struct str name);

/* agent.c */
void agent_boot(struct sim *sim);
void agent_crash(struct sim *sim);
void agent_receive(struct sim *sim, const struct question *question);
void agent_commit(struct sim *sim, uint64_t upto);
void agent_expire(struct sim *sim);
void agent_fini(struct sim *sim);

/* client.c */
void client_init(struct sim *sim, unsigned client);
void client_think(struct sim *sim, unsigned client);
void client_time_out(struct sim *sim, unsigned client, uint64_t id);
void client_receive(struct sim *sim, const struct question *question, const struct reply *reply);

/* facts.c */
struct tenure_facts *facts_find(struct sim *sim, unsigned election, uint64_t token);
struct tenure_facts *facts_present(struct sim *sim, unsigned election);
struct mono facts_next_expiry(const struct sim *sim);
void facts_event(struct sim *sim, const struct election_event *event);
void facts_begin_decision(struct sim *sim, const struct question *question);
void facts_end_decision(struct sim *sim, const struct reply *reply);
void facts_told(struct sim *sim, const struct question *question, const struct reply *reply);
void facts_restarted(struct sim *sim, const struct sim_records *records);
void facts_fini(struct sim *sim);

/* checks.c: after every step */
void checks_run(struct sim *sim);
void check_grant_in_time(struct sim *sim, struct mono until, const struct reply *reply);
/* At the moment of a decision; facts.c calls them. */
void check_decision(struct sim *sim, const struct reply *reply);

#endif
