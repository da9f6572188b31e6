/* A store on the bench: see bench.h. */
#include "bench.h"

#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop.h"

#define PATIENCE_US    INT64_C(20000000) /* of real time, for what other threads do */
#define DEADLINE_MS    3000
#define WAIT_US        1000
#define WATCH_MS       5
#define QUIET_ROUNDS   3 /* turns in which nothing happens before the bench is taken to be quiet */
#define DIRECTORY_FORM "/tmp/election-conformance-XXXXXX"
#define FILES_OPEN     8

static const struct row *chosen;
static struct apiserver *apiserver; /* of the chosen row; NULL: none */
static struct servers *chosen_servers;

/* --- loops --- */

static bool step(struct bench *bench)
{
    bool any = false;
    for (unsigned i = 0; i < bench->lanes && bench->row->loops; i++) {
        bench->stepping = (int)i;
        any = loop_step(bench->loops[i]) || any;
    }
    bench->stepping = -1;
    return any;
}

/*
 * Until nothing happens any more. What servers have been sent is answered before they answer us, or together with
 * that: so after a quiet round, and another, nothing is under way. True if anything happened.
 */
static bool settle(struct bench *bench)
{
    bool any = false;
    for (unsigned quiet = 0; quiet < QUIET_ROUNDS;) {
        bool stepped = step(bench);
        any = any || stepped;
        quiet = stepped ? 0 : quiet + 1;
        if (!stepped && bench->servers != NULL) {
            servers_hear(bench->servers);
        }
    }
    return any;
}

static void move_time(struct bench *bench, int64_t us)
{
    clock_fake_advance_us(&bench->clock, us);
    if (bench->servers != NULL) {
        servers_advance_us(bench->servers, us);
    }
    if (bench->row->sweep != NULL) {
        bench->row->sweep(bench->store);
    }
}

/* Others have to do something first: a thread that writes, or the clock. */
static void wait_a_little(struct bench *bench)
{
    if (bench->servers != NULL) {
        if (!settle(bench)) {
            move_time(bench, WAIT_US);
            bench->ahead_us += WAIT_US;
        }
    } else if (!step(bench)) {
        (void)sched_yield();
    }
}

static void wait_until(struct bench *bench, bool (*is_true)(struct bench *bench, const void *arg),
                       const void *arg)
{
    struct mono give_up = mono_add_us(clock_mono(&clock_system), PATIENCE_US);
    while (!is_true(bench, arg)) {
        wait_a_little(bench);
        if (mono_before(give_up, clock_mono(&clock_system))) {
            fail_msg("%s: nothing happens any more", bench->row->name);
        }
    }
}

static void open_loops(struct bench *bench)
{
    for (unsigned i = 0; i < bench->lanes && bench->row->loops; i++) {
        struct loop_options options = {.index = i, .clock = &bench->clock.clock, .seed = i + 1};
        struct error error = ERROR_NONE;
        if (loop_new(&bench->loops[i], &options, &error) != EA_OK) {
            fail_msg("%s", error.text);
        }
    }
}

/* --- life --- */

static void keep_event(void *user, unsigned lane, const struct election_event *event)
{
    struct bench *bench = user;
    assert_true(lane < bench->lanes);
    assert_true(bench->n_events < ARRAY_LENGTH(bench->events));
    struct election_event *kept = &bench->events[bench->n_events++];
    *kept = *event;
    kept->kind = arena_str(&bench->arena, event->kind);
    kept->election = arena_str(&bench->arena, event->election);
    kept->leader = arena_str(&bench->arena, event->leader);
    kept->previous = arena_str(&bench->arena, event->previous);
}

static bool is_up(struct bench *bench, const void *arg)
{
    struct store_status status;
    store_status(bench->store, &status);
    return status.state == STORE_UP;
}

static void note_node(void *arg, const char *node, int state)
{
    bool *ready = arg;
    *ready = *ready && state == 0;
}

/* A quorum is up with a majority; tests begin with all. */
static bool is_whole(struct bench *bench, const void *arg)
{
    bool whole = is_up(bench, arg);
    if (whole && bench->row->ops->nodes != NULL) {
        bench->row->ops->nodes(bench->store, note_node, &whole);
    }
    return whole;
}

static void open_store(struct bench *bench)
{
    struct error error = ERROR_NONE;
    struct store_options options = {
        .driver = bench->row->ops->name,
        .lanes = bench->row->loops ? bench->loops : NULL,
        .n_lanes = bench->lanes,
        .clock = &bench->clock.clock,
        .seed = 1,
        .max_term_ms = BENCH_MAX_TERM_MS,
        .on_event = keep_event,
        .user = bench,
        .path = bench->row->path != NULL ? bench->row->path : bench->directory,
        .sync_power = bench->row->sync_power,
        .kubernetes = bench->kubernetes,
        .redis = bench->servers != NULL ? servers_options(bench->servers) : NULL,
    };
    open_loops(bench);
    if (store_open(&bench->store, &options, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    wait_until(bench, is_whole, NULL);
    store_watch(bench->store);
    for (int ms = 0; bench->servers != NULL && ms < WATCH_MS; ms++) { /* until it listens to them */
        (void)settle(bench);
        move_time(bench, WAIT_US);
        bench->ahead_us += WAIT_US;
    }
    (void)settle(bench);
}

static void close_store(struct bench *bench)
{
    store_close(bench->store);
    for (unsigned i = 0; i < bench->lanes && bench->row->loops; i++) {
        loop_free(bench->loops[i]);
    }
}

void bench_init(struct bench *bench, const struct row *row)
{
    memset(bench, 0, sizeof *bench);
    bench->row = row;
    bench->lanes = row->lanes;
    bench->stepping = -1;
    clock_fake_init(&bench->clock);
    bench->kubernetes = row->api_server ? apiserver_options(apiserver) : NULL;
    bench->servers = row->plan != NULL ? chosen_servers : NULL;
    if (bench->servers != NULL) {
        servers_empty(bench->servers);
        bench->clock.mono = servers_mono(bench->servers); /* theirs never goes back */
        bench->clock.wall = servers_wall(bench->servers);
    }
    arena_init(&bench->arena, NULL, 0);
    (void)snprintf(bench->directory, sizeof bench->directory, "%s", DIRECTORY_FORM);
    assert_non_null(mkdtemp(bench->directory));
    open_store(bench);
    bench->ahead_us = 0;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

void bench_fini(struct bench *bench)
{
    (void)settle(bench);
    close_store(bench);
    assert_int_equal(nftw(bench->directory, remove_entry, FILES_OPEN, FTW_DEPTH | FTW_PHYS), 0);
    arena_reset(&bench->arena);
}

void bench_restart(struct bench *bench, unsigned lanes)
{
    (void)settle(bench);
    close_store(bench);
    bench->lanes = lanes;
    bench->n_events = 0;
    open_store(bench);
}

void bench_choose(const struct row *row)
{
    chosen = row;
    apiserver = row->api_server ? apiserver_start() : NULL;
    chosen_servers = row->plan != NULL ? servers_start(row->plan) : NULL;
}

void bench_dismiss(void)
{
    if (apiserver != NULL) {
        apiserver_stop(apiserver);
    }
    if (chosen_servers != NULL) {
        servers_stop(chosen_servers);
        chosen_servers = NULL;
    }
}

int bench_set_up(void **state)
{
    struct bench *bench = mem_zalloc(sizeof *bench);
    bench_init(bench, chosen);
    *state = bench;
    return 0;
}

int bench_tear_down(void **state)
{
    bench_fini(*state);
    mem_free(*state);
    return 0;
}

/* --- time --- */

struct mono bench_now(const struct bench *bench)
{
    return bench->clock.mono;
}

void bench_advance_us(struct bench *bench, int64_t us)
{
    int64_t gone_us = us < bench->ahead_us ? us : bench->ahead_us;
    if (bench->servers != NULL) {
        (void)settle(bench); /* what is under way belongs to the time before */
    }
    bench->ahead_us -= gone_us;
    move_time(bench, us - gone_us);
    (void)settle(bench);
}

void bench_advance_ms(struct bench *bench, int64_t ms)
{
    bench_advance_us(bench, ms * US_PER_MS);
}

void bench_end_us(struct bench *bench, int64_t us)
{
    bench_advance_us(bench, us + bench->row->late_us);
}

/* --- questions --- */

struct asked {
    struct election_request request;
    struct bench *bench;
    struct answer *answer;
};

static void copy_info(struct bench *bench, struct election_info *info)
{
    struct election_candidate *candidates =
        arena_zalloc(&bench->arena, (info->n_candidates + 1) * sizeof candidates[0]);
    struct election_event *events = arena_zalloc(&bench->arena, (info->n_events + 1) * sizeof events[0]);
    for (size_t i = 0; i < info->n_candidates; i++) {
        candidates[i] = info->candidates[i];
        candidates[i].name = arena_str(&bench->arena, candidates[i].name);
    }
    for (size_t i = 0; i < info->n_events; i++) {
        events[i] = info->events[i];
        events[i].kind = arena_str(&bench->arena, events[i].kind);
        events[i].election = arena_str(&bench->arena, events[i].election);
        events[i].leader = arena_str(&bench->arena, events[i].leader);
        events[i].previous = arena_str(&bench->arena, events[i].previous);
    }
    info->candidates = candidates;
    info->events = events;
}

static void copy_list(struct bench *bench, struct election_list *list)
{
    struct election_leader *leaders = arena_zalloc(&bench->arena, (list->n + 1) * sizeof leaders[0]);
    for (size_t i = 0; i < list->n; i++) {
        leaders[i] = list->leaders[i];
        leaders[i].election = arena_str(&bench->arena, leaders[i].election);
        leaders[i].leader = arena_str(&bench->arena, leaders[i].leader);
    }
    list->leaders = leaders;
}

static void take_answer(struct election_request *request)
{
    struct asked *asked = request->user;
    struct bench *bench = asked->bench;
    struct answer *answer = asked->answer;
    unsigned times = answer->times + 1;
    *answer = (struct answer){
        .err = request->err,
        .why = arena_str(&bench->arena, request->why),
        .elected = request->elected,
        .tenure = request->tenure,
        .info = request->info,
        .list = request->list,
        .times = times,
        /* Within submit no loop is stepped; otherwise it must be the one on which the question was asked. */
        .on_its_lane = bench->stepping < 0 || bench->stepping == (int)request->lane,
    };
    answer->tenure.leader = arena_str(&bench->arena, request->tenure.leader);
    copy_info(bench, &answer->info);
    copy_list(bench, &answer->list);
}

struct election_request bench_question(struct bench *bench, enum election_op op, const char *election,
                                       const char *candidate)
{
    return (struct election_request){
        .op = op,
        .kind = STR(KIND_DEFAULT),
        .election = str_of(election),
        .candidate = str_of(candidate),
        .term_ms = 1000,
        .priority = 1,
        .page_size = 100,
        .start = bench_now(bench),
        .deadline = mono_add_ms(bench_now(bench), DEADLINE_MS),
    };
}

struct waited {
    const struct answer *answers;
    size_t n;
};

static bool all_answered(struct bench *bench, const void *arg)
{
    const struct waited *waited = arg;
    for (size_t i = 0; i < waited->n; i++) {
        if (waited->answers[i].times == 0) {
            return false;
        }
    }
    return true;
}

static struct asked *submit_all(struct bench *bench, const struct election_request *questions,
                                struct answer *answers, size_t n)
{
    struct asked *asked = mem_zalloc(n * sizeof *asked);
    memset(answers, 0, n * sizeof *answers);
    bench->asked = bench->clock.mono;
    bench->asked_wall = bench->clock.wall;
    for (size_t i = 0; i < n; i++) {
        asked[i] = (struct asked){questions[i], bench, &answers[i]};
        asked[i].request.arena = &bench->arena;
        asked[i].request.done = take_answer;
        asked[i].request.user = &asked[i];
        store_submit(bench->store, bench->turn++ % bench->lanes, &asked[i].request);
    }
    return asked;
}

static void expect_answered_once(const struct answer *answers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(answers[i].times, 1); /* S6 */
        assert_true(answers[i].on_its_lane);
    }
}

void bench_ask_many(struct bench *bench, const struct election_request *questions, struct answer *answers,
                    size_t n)
{
    struct asked *asked = submit_all(bench, questions, answers, n);
    wait_until(bench, all_answered, &(struct waited){answers, n});
    (void)settle(bench);
    expect_answered_once(answers, n);
    mem_free(asked);
}

void bench_ask_and_restart(struct bench *bench, const struct election_request *questions,
                           struct answer *answers, size_t n)
{
    struct asked *asked = submit_all(bench, questions, answers, n);
    close_store(bench);
    expect_answered_once(answers, n);
    mem_free(asked);
    open_store(bench);
}

struct answer bench_ask(struct bench *bench, struct election_request question)
{
    struct answer answer;
    bench_ask_many(bench, &question, &answer, 1);
    return answer;
}

struct answer bench_campaign(struct bench *bench, const char *election, const char *candidate,
                             int32_t term_ms)
{
    struct election_request question = bench_question(bench, OP_CAMPAIGN, election, candidate);
    question.term_ms = term_ms;
    return bench_ask(bench, question);
}

struct answer bench_extend(struct bench *bench, const char *election, const char *leader, int32_t term_ms,
                           uint64_t token)
{
    struct election_request question = bench_question(bench, OP_EXTEND, election, leader);
    question.term_ms = term_ms;
    question.token = token;
    return bench_ask(bench, question);
}

struct answer bench_resign(struct bench *bench, const char *election, const char *leader, uint64_t token)
{
    struct election_request question = bench_question(bench, OP_RESIGN, election, leader);
    question.token = token;
    return bench_ask(bench, question);
}

struct answer bench_handover(struct bench *bench, const char *election, const char *leader, int32_t term_ms,
                             const char *from, uint64_t token)
{
    struct election_request question = bench_question(bench, OP_HANDOVER, election, leader);
    question.term_ms = term_ms;
    question.from = str_of(from);
    question.token = token;
    return bench_ask(bench, question);
}

struct answer bench_get(struct bench *bench, const char *election)
{
    return bench_ask(bench, bench_question(bench, OP_GET, election, NULL));
}

struct answer bench_info(struct bench *bench, const char *election)
{
    return bench_ask(bench, bench_question(bench, OP_INFO, election, NULL));
}

/* --- what is expected --- */

void expect_str(struct str s, const char *expected)
{
    if (!str_eq(s, str_of(expected))) {
        fail_msg("\"%.*s\", expected \"%s\"", STR_ARG(s), expected);
    }
}

void expect_leader(const struct answer *answer, enum err err, const char *leader, uint64_t token)
{
    assert_string_equal(err_name(answer->err), err_name(err));
    expect_str(answer->tenure.leader, leader);
    assert_int_equal(answer->tenure.token, token);
}

void expect_nobody(const struct answer *answer, enum err err)
{
    assert_string_equal(err_name(answer->err), err_name(err));
    assert_false(answer->elected);
    expect_str(answer->tenure.leader, "");
    assert_int_equal(answer->tenure.token, 0);
    assert_int_equal(answer->tenure.expires.us, 0);
}

void expect_elected(const struct answer *answer, const char *leader)
{
    assert_string_equal(err_name(answer->err), err_name(EA_OK));
    assert_true(answer->elected);
    expect_str(answer->tenure.leader, leader);
    assert_true(answer->tenure.token > 0);
}

void expect_term(const struct bench *bench, const struct answer *answer, int64_t term_ms)
{
    assert_int_equal(answer->tenure.expires.us, mono_add_ms(bench->asked, term_ms).us);
}

void expect_expires(const struct bench *bench, const struct answer *answer, struct mono expires)
{
    if (bench->row->lean) {
        assert_true(answer->tenure.expires.us <= expires.us);
    } else {
        assert_int_equal(answer->tenure.expires.us, expires.us);
    }
}

void expect_wall(const struct bench *bench, struct wall told, struct wall expected)
{
    if (!bench->row->lean || told.us != 0) {
        assert_int_equal(told.us, expected.us);
    }
}

void expect_kept_wall(const struct bench *bench, struct wall kept, struct wall expected)
{
    assert_in_range(kept.us, expected.us - bench->row->late_us, expected.us);
}

static bool has_events(struct bench *bench, const void *arg)
{
    return bench->n_events >= *(const size_t *)arg;
}

const struct election_event *bench_event(struct bench *bench, size_t n)
{
    wait_until(bench, has_events, &n);
    (void)settle(bench);
    assert_int_equal(bench->n_events, n);
    return &bench->events[n - 1];
}
