/*
 * Electors race on a simulated API server, in simulated time: requests are late, lost on either way, or told to conflict;
 * watches are late, break, and come back with a list; the server is away for a while; electors pause, fall sick, stop;
 * pods and Leases are deleted. After every step: at most one elector believes that it leads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "elector/contest.h"

#define ELECTORS 5
#define STEP_US  INT64_C(5000)
#define SECOND   INT64_C(1000000)
#define SEEDS    50
#define EVENTS   4096

struct event {
    uint64_t version;
    bool deleted;
    struct contest_lease lease;
};

struct server {
    bool exists;
    struct contest_lease lease;
    uint64_t version;
    unsigned uids;
    struct mono away_until;
    struct event events[EVENTS]; /* what watches tell; the ring keeps them all, as a run has fewer */
    size_t n_events;
};

struct elector {
    struct contest contest;
    char name[8];
    char uid[32]; /* of its pod */
    bool pod_gone;
    enum contest_want want;
    struct contest_write write;
    char base[CONTEST_UID_BYTES]; /* version that an update is based on */
    struct mono arrives;          /* the request, at the server */
    struct mono answers;          /* the answer, at the elector */
    bool arrived;
    enum contest_outcome outcome;
    struct contest_lease answer;
    bool answer_pod;
    size_t told; /* events */
    struct mono hears;
    struct mono paused_until;
    int64_t drift_ppm; /* its clock runs so much faster */
};

struct race {
    enum contest_strategy strategy;
    struct rng rng;
    struct mono now;
    struct server server;
    struct elector electors[ELECTORS];
    uint64_t tenures;
};

static bool chance(struct race *r, unsigned percent)
{
    return rng_below(&r->rng, 100) < percent;
}

/* What the elector's clock shows. All clocks run within 0.4 % of each other; where they began does not matter. */
static struct mono clock_of(const struct race *r, const struct elector *e)
{
    return (struct mono){r->now.us + r->now.us / 1000000 * e->drift_ppm};
}

/* --- the server --- */

static void commit(struct race *r, bool deleted)
{
    struct server *s = &r->server;
    assert_true(s->n_events < EVENTS);
    s->version++;
    snprintf(s->lease.version, sizeof s->lease.version, "%llu", (unsigned long long)s->version);
    s->exists = !deleted;
    s->events[s->n_events++] = (struct event){s->version, deleted, s->lease};
}

static void write_lease(struct race *r, const struct elector *e)
{
    struct contest_lease *l = &r->server.lease;
    snprintf(l->holder, sizeof l->holder, "%s", e->write.holder);
    l->transitions = e->write.transitions;
    l->acquired = e->write.acquired;
    l->renewed = e->write.renewed;
    l->duration_us = r->strategy == CONTEST_RENEW ? e->contest.settings.duration_us : 0;
    commit(r, false);
}

static enum contest_outcome serve(struct race *r, struct elector *e)
{
    struct server *s = &r->server;
    switch (e->want) {
    case CONTEST_ASK_POD:
        return e->pod_gone ? CONTEST_MISSING : CONTEST_DONE;
    case CONTEST_READ:
        return s->exists ? CONTEST_DONE : CONTEST_MISSING;
    case CONTEST_CREATE:
        if (s->exists) {
            return CONTEST_CONFLICT;
        }
        s->lease = (struct contest_lease){.uid = ""};
        snprintf(s->lease.uid, sizeof s->lease.uid, "lease-%u", s->uids++);
        if (r->strategy == CONTEST_OWNER) {
            snprintf(s->lease.owner, sizeof s->lease.owner, "%s", e->uid);
        }
        write_lease(r, e);
        return CONTEST_DONE;
    case CONTEST_UPDATE:
        if (!s->exists) {
            return CONTEST_MISSING;
        }
        if (strcmp(e->base, s->lease.version) != 0 || chance(r, 20)) {
            return CONTEST_CONFLICT;
        }
        write_lease(r, e);
        return CONTEST_DONE;
    case CONTEST_NOTHING:
        break;
    }
    abort();
}

static void collect_garbage(struct race *r)
{
    struct server *s = &r->server;
    for (int i = 0; s->exists && i < ELECTORS; i++) {
        if (r->electors[i].pod_gone && strcmp(s->lease.owner, r->electors[i].uid) == 0) {
            commit(r, true);
        }
    }
}

/* --- an elector and its requests --- */

static void send_request(struct race *r, struct elector *e)
{
    e->want = contest_next(&e->contest, &e->write, clock_of(r, e), (struct wall){r->now.us});
    if (e->want == CONTEST_NOTHING) {
        return;
    }
    memcpy(e->base, e->contest.lease.version, sizeof e->base);
    int64_t slow = chance(r, 3) ? 20 * SECOND : 40000;
    e->arrives = mono_add_us(r->now, rng_range(&r->rng, 1000, slow));
    e->answers = mono_add_us(e->arrives, rng_range(&r->rng, 1000, slow));
    e->arrived = false;
}

static void move_request(struct race *r, struct elector *e)
{
    bool away = mono_before(r->now, r->server.away_until);
    if (!e->arrived && !mono_before(r->now, e->arrives)) {
        e->arrived = true;
        if (away || chance(r, 3)) {
            e->outcome = chance(r, 50) ? CONTEST_FAILED : CONTEST_UNKNOWN; /* lost on the way there */
        } else {
            e->outcome = serve(r, e);
            e->answer = r->server.lease;
            bool lost = e->want != CONTEST_ASK_POD && chance(r, 5); /* on the way back */
            e->outcome = lost ? CONTEST_UNKNOWN : e->outcome;
        }
    }
    if (e->arrived && !mono_before(r->now, e->answers)) {
        bool pod = e->want == CONTEST_ASK_POD;
        e->want = CONTEST_NOTHING;
        if (pod) {
            contest_answer_pod(&e->contest, e->outcome, e->uid, clock_of(r, e));
        } else {
            contest_answer(&e->contest, e->outcome, &e->answer, clock_of(r, e));
        }
    }
}

static void hear(struct race *r, struct elector *e)
{
    if (mono_before(r->now, e->hears) || mono_before(r->now, r->server.away_until)) {
        return;
    }
    while (e->told < r->server.n_events) {
        const struct event *event = &r->server.events[e->told++];
        if (event->deleted) {
            contest_see_gone(&e->contest, event->lease.uid, clock_of(r, e));
        } else {
            contest_see(&e->contest, &event->lease, clock_of(r, e));
        }
    }
    if (chance(r, 1)) {
        contest_doubt(&e->contest, clock_of(r, e)); /* a list that did not name it */
    }
    e->hears = mono_add_us(r->now, rng_range(&r->rng, 1000, chance(r, 1) ? 5 * SECOND : 50000));
}

static void run_elector(struct race *r, struct elector *e)
{
    if (mono_before(r->now, e->paused_until)) {
        return; /* believes what it believed; shows it to nobody */
    }
    contest_tick(&e->contest, clock_of(r, e));
    hear(r, e);
    if (e->want == CONTEST_NOTHING) {
        send_request(r, e);
    } else {
        move_request(r, e);
    }
    contest_tick(&e->contest, clock_of(r, e));
}

/* --- what goes wrong --- */

static void start(struct race *r, struct elector *e, unsigned incarnation)
{
    bool stable = e->uid[0] != '\0' && !e->pod_gone; /* only the process is new */
    if (!stable) {
        snprintf(e->uid, sizeof e->uid, "pod-%d-%u", (int)(e - r->electors), incarnation);
    }
    e->pod_gone = false;
    r->tenures += e->contest.won; /* of the process before */
    e->want = CONTEST_NOTHING;
    e->told = r->server.n_events;
    e->hears = r->now;
    contest_init(&e->contest, &(struct contest_settings){.strategy = r->strategy,
                                                         .candidate = e->name,
                                                         .duration_us = 6 * SECOND,
                                                         .interval_us = 2 * SECOND,
                                                         .seed = rng_next(&r->rng)});
}

static void trouble(struct race *r, unsigned step)
{
    struct elector *e = &r->electors[rng_below(&r->rng, ELECTORS)];
    switch (rng_below(&r->rng, 7)) {
    case 0:
        e->paused_until = mono_add_us(r->now, rng_range(&r->rng, 0, 10 * SECOND));
        break;
    case 1:
        r->server.away_until = mono_add_us(r->now, rng_range(&r->rng, 0, 20 * SECOND));
        break;
    case 2:
        contest_see_health(&e->contest, chance(r, 70), clock_of(r, e));
        break;
    case 3:
        /* Not while it waits for an answer: of two processes with one name only tokens protect. */
        if (e->want == CONTEST_NOTHING) {
            start(r, e, step);
        }
        break;
    case 4:
    case 5:
        if (r->strategy == CONTEST_OWNER) {
            /* A pod goes, and with it its process, before its object does. */
            contest_stop(&e->contest, clock_of(r, e));
            e->pod_gone = true;
        }
        break;
    default:
        contest_stop(&e->contest, clock_of(r, e));
        break;
    }
}

static void revive(struct race *r, unsigned step)
{
    struct elector *e = &r->electors[rng_below(&r->rng, ELECTORS)];
    if (sm_now(&e->contest.state) == CONTEST_OVER && contest_is_over(&e->contest) &&
        e->want == CONTEST_NOTHING) {
        start(r, e, step);
    }
    contest_see_health(&e->contest, true, clock_of(r, e));
}

/* Who would be shown as the leader by its elector, were it asked now. */
static bool shows_itself(const struct race *r, struct elector *e)
{
    if (mono_before(r->now, e->paused_until)) {
        return false;
    }
    contest_tick(&e->contest, clock_of(r, e));
    bool shown = strcmp(e->contest.leader, e->name) == 0;
    assert_int_equal(shown, contest_leads(&e->contest));
    return shown;
}

static void check(struct race *r, uint64_t seed)
{
    unsigned leaders = 0;
    for (int i = 0; i < ELECTORS; i++) {
        leaders += shows_itself(r, &r->electors[i]);
    }
    if (leaders > 1) {
        fail_msg("seed %llu: %u leaders at %lld us", (unsigned long long)seed, leaders, (long long)r->now.us);
    }
}

static struct race *race_new(enum contest_strategy strategy, uint64_t seed)
{
    struct race *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->strategy = strategy;
    r->now = (struct mono){SECOND};
    rng_seed(&r->rng, seed);
    for (int i = 0; i < ELECTORS; i++) {
        struct elector *e = &r->electors[i];
        snprintf(e->name, sizeof e->name, "e%d", i);
        e->drift_ppm = rng_range(&r->rng, -2000, 2000);
        start(r, e, 0);
    }
    return r;
}

static void run_step(struct race *r, uint64_t seed)
{
    for (int i = 0; i < ELECTORS; i++) {
        run_elector(r, &r->electors[i]);
        check(r, seed);
    }
}

static void run(enum contest_strategy strategy, uint64_t seed, uint64_t *won)
{
    struct race *r = race_new(strategy, seed);
    for (unsigned step = 1; step < 120 * SECOND / STEP_US; step++) {
        r->now = mono_add_us(r->now, STEP_US);
        if (rng_below(&r->rng, 300) == 0) {
            trouble(r, step);
        }
        if (rng_below(&r->rng, 300) == 0) {
            revive(r, step);
        }
        if (rng_below(&r->rng, 40) == 0) {
            collect_garbage(r);
        }
        run_step(r, seed);
    }
    for (int i = 0; i < ELECTORS; i++) {
        r->tenures += r->electors[i].contest.won;
    }
    *won += r->tenures;
    free(r);
}

/* -1: nobody. */
static int leader_of(struct race *r)
{
    for (int i = 0; i < ELECTORS; i++) {
        if (shows_itself(r, &r->electors[i])) {
            return i;
        }
    }
    return -1;
}

static int await_leader(struct race *r, uint64_t seed)
{
    struct mono end = mono_add_us(r->now, 300 * SECOND);
    while (leader_of(r) < 0) {
        assert_true(mono_before(r->now, end));
        r->now = mono_add_us(r->now, STEP_US);
        run_step(r, seed);
    }
    return leader_of(r);
}

/*
 * The server goes away for ten minutes. What was written last is at most as old as that moment, so everybody who watches
 * the Lease may take it a duration later: then the renewer has stopped. An owner has nothing to fear, and leads on.
 */
static void be_gone_for_minutes(enum contest_strategy strategy, uint64_t seed)
{
    struct race *r = race_new(strategy, seed);
    int leader = await_leader(r, seed);
    struct mono lapsed = mono_add_us(r->now, 6 * SECOND);
    r->server.away_until = mono_add_us(r->now, 600 * SECOND);
    while (mono_before(r->now, r->server.away_until)) {
        r->now = mono_add_us(r->now, STEP_US);
        run_step(r, seed);
        if (strategy == CONTEST_OWNER) {
            assert_int_equal(leader_of(r), leader);
        } else if (!mono_before(r->now, lapsed)) {
            assert_int_equal(leader_of(r), -1);
        }
    }
    uint64_t before = r->server.version;
    leader = await_leader(r, seed); /* it is back */
    assert_true(leader >= 0 && (strategy == CONTEST_OWNER || r->server.version > before));
    free(r);
}

static void renewers_stop_and_owners_stay_when_the_api_server_is_gone_for_minutes(void **state)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        be_gone_for_minutes(CONTEST_RENEW, seed);
        be_gone_for_minutes(CONTEST_OWNER, seed);
    }
}

static void race(enum contest_strategy strategy)
{
    uint64_t won = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        run(strategy, seed, &won);
    }
    assert_true(won > UINT64_C(2) * SEEDS); /* there was something to break */
}

static void at_most_one_renewer_leads_whatever_goes_wrong(void **state)
{
    race(CONTEST_RENEW);
}

static void at_most_one_owner_leads_whatever_goes_wrong(void **state)
{
    race(CONTEST_OWNER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_most_one_renewer_leads_whatever_goes_wrong),
        cmocka_unit_test(at_most_one_owner_leads_whatever_goes_wrong),
        cmocka_unit_test(renewers_stop_and_owners_stay_when_the_api_server_is_gone_for_minutes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
