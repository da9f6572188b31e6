/*
 * A store on the bench: one row of rows.c, opened, with a clock that the test moves, asked one question at a
 * time or many at once. Tests see only this, so that they run against every store.
 *
 * To add a store: a row in rows.c. A store with loops and no server beside it needs nothing else.
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
#include "store/store.h"

#define BENCH_LANES_MAX   4
#define BENCH_MAX_TERM_MS 3600000
#define US_PER_MS         1000
#define NOTICED_MS        10 /* an expiry is told that late at most (spec: embedded.md) */

struct bench;

/* How a store is kept on the bench. */
struct row {
    const char *name;
    const struct store_ops *ops;
    unsigned lanes;
    bool loops;       /* it lives on event loops */
    bool api_server;  /* it keeps elections on a Kubernetes API server */
    bool survives;    /* keeps tenures over a restart */
    bool sync_power;  /* every commit durable before the answer */
    const char *path; /* NULL: a new directory */
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

struct mono bench_now(const struct bench *bench);
void bench_advance_us(struct bench *bench, int64_t us);
void bench_advance_ms(struct bench *bench, int64_t ms);

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
struct suite suite_restart(void);   /* for stores that survive */
struct suite suite_forgetful(void); /* for the others */

#endif
