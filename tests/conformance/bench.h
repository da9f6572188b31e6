/*
 * A store on the bench: one row of rows.c, opened, with a clock that the test moves, asked one question at a
 * time or many at once. Tests see only this, so that they run against every store.
 *
 * To add a store: a row in rows.c. A store with loops and no server beside it needs nothing else; servers are
 * started as the row plans them (servers.h), on the bench's clock.
 */
#ifndef EA_CONFORMANCE_BENCH_H
#define EA_CONFORMANCE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "apiserver.h"
#include "base/arena.h"
#include "base/clock.h"
#include "core/names.h"
#include "core/request.h"
#include "servers.h"
#include "store/store.h"

#define BENCH_LANES_MAX   4
#define BENCH_MAX_TERM_MS 3600000
#define US_PER_MS         1000
#define NOTICED_MS        10 /* an expiry is told that late at most (spec: embedded.md) */

struct bench;

struct exclusion {
    const char *test;
    const char *why;
};

/* How a store is kept on the bench. */
struct row {
    const char *name;
    const struct store_ops *ops;
    unsigned lanes;
    bool loops;      /* it lives on event loops */
    bool api_server; /* it keeps elections on a Kubernetes API server */
    bool survives;   /* keeps tenures over a restart */
    bool sync_power; /* every commit durable before the answer */
    /* An answer holds what its own operation learnt: who leads, the token, what is promised by it. What others were
     * promised, and times for display, would cost every server one more question (OP_INFO asks it). */
    bool lean;
    /* A tenure may be found so long after its end: servers count in milliseconds, and a key is there through the one
     * in which it ends. What they remember of an end, or of when a leader was last seen, is as much too early. */
    int64_t late_us;
    /* Tests that the store by its nature can't pass, and why. */
    const struct exclusion *excluded; /* ends with an empty row; NULL: none */
    const char *path;                 /* NULL: a new directory */
    const struct servers_plan *plan;  /* NULL: it has no servers beside it */
    /* Tells the store that time has passed, where its loops don't. NULL: they do. */
    void (*sweep)(struct store *store);
};

const struct row *row_find(const char *name);

/* An answer that outlives `done`; slices belong to the bench. */
struct answer {
    enum err err;
    struct str why;
    bool elected;
    struct election_tenure tenure;
    struct election_info info;
    struct election_list list;
    unsigned times; /* `done` was called */
    bool on_its_lane;
};

struct bench {
    const struct row *row;
    unsigned lanes;
    struct clock_fake clock;
    const struct kubernetes_options *kubernetes; /* NULL: no API server */
    struct servers *servers;                     /* NULL: none */
    int64_t ahead_us;                            /* by which time went on while an answer was waited for */
    struct mono asked;                           /* when the last question was submitted */
    struct wall asked_wall;
    struct store *store;
    struct loop *loops[BENCH_LANES_MAX];
    char directory[64];
    struct arena arena;
    struct election_event events[4096];
    size_t n_events;
    unsigned turn; /* questions go to the lanes in turn */
    int stepping;  /* the lane whose loop runs now; -1: none */
};

/* --- life --- */

void bench_init(struct bench *bench, const struct row *row);
void bench_fini(struct bench *bench);
void bench_restart(struct bench *bench, unsigned lanes); /* closes and opens again, with that many lanes */

/* --- time --- */

/*
 * Time stands still while a question is answered, so that what the answer says of it can be expected exactly. Where an
 * answer takes time (two lanes split a vote, and try again after a random wait), it goes on until the answer is
 * there, and the next advance is shortened by that.
 */
struct mono bench_now(const struct bench *bench);
void bench_advance_us(struct bench *bench, int64_t us);
void bench_advance_ms(struct bench *bench, int64_t ms);
/* So far, and as much farther as the end of a tenure at that moment needs to be seen. */
void bench_end_us(struct bench *bench, int64_t us);

/* --- questions --- */

struct election_request bench_question(struct bench *bench, enum election_op op, const char *election,
                                       const char *candidate);
struct answer bench_ask(struct bench *bench, struct election_request question);
/* All are submitted before the first answer is waited for. */
void bench_ask_many(struct bench *bench, const struct election_request *questions, struct answer *answers,
                    size_t n);

/* Submits all, and closes and opens the store before anything else happens. */
void bench_ask_and_restart(struct bench *bench, const struct election_request *questions,
                           struct answer *answers, size_t n);

struct answer bench_campaign(struct bench *bench, const char *election, const char *candidate,
                             int32_t term_ms);
struct answer bench_extend(struct bench *bench, const char *election, const char *leader, int32_t term_ms,
                           uint64_t token);
struct answer bench_resign(struct bench *bench, const char *election, const char *leader, uint64_t token);
struct answer bench_handover(struct bench *bench, const char *election, const char *leader, int32_t term_ms,
                             const char *from, uint64_t token);
struct answer bench_get(struct bench *bench, const char *election);
struct answer bench_info(struct bench *bench, const char *election);

/* --- what is expected --- */

void expect_leader(const struct answer *answer, enum err err, const char *leader, uint64_t token);
void expect_nobody(const struct answer *answer, enum err err);
void expect_elected(const struct answer *answer, const char *leader);
void expect_str(struct str s, const char *expected);
/* The operation itself promises it: from when it was asked. */
void expect_term(const struct bench *bench, const struct answer *answer, int64_t term_ms);
/* What somebody was promised before; a lean answer may tell nothing, or less, never more. */
void expect_expires(const struct bench *bench, const struct answer *answer, struct mono expires);
void expect_wall(const struct bench *bench, struct wall told, struct wall expected);
/* As it is remembered. */
void expect_kept_wall(const struct bench *bench, struct wall kept, struct wall expected);

/* Waits until `n` events have been told in all, then nothing more may come; the n-th is returned. */
const struct election_event *bench_event(struct bench *bench, size_t n);

/* --- the suite: each file of tests has one list --- */

struct suite {
    const struct CMUnitTest *tests;
    size_t n;
};

#define BENCH_TEST(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int bench_set_up(void **state);
int bench_tear_down(void **state);
void bench_choose(const struct row *row); /* for the tests that follow; starts its servers */
void bench_dismiss(void);                 /* ends them */

struct suite suite_campaign(void);
struct suite suite_extend(void);
struct suite suite_resign(void);
struct suite suite_handover(void);
struct suite suite_reads(void);
struct suite suite_events(void);
struct suite suite_limits(void);
struct suite suite_lanes(void);
struct suite suite_servers(void);   /* for stores that have some */
struct suite suite_restart(void);   /* for stores that survive */
struct suite suite_forgetful(void); /* for the others */

#endif
