/* Three lanes on three threads: every request is answered once, on its own lane, and rightly. For TSan too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "embedded_rig.h"

#define LANES     3
#define ELECTIONS 40
#define REQUESTS  3000 /* per lane */
#define OPEN      32   /* per lane at once */

struct crowd;

struct asker {
    struct election_request request;
    struct lane_thread *thread;
    struct arena arena;
    char election[32];
    char candidate[32];
};

struct lane_thread {
    struct crowd *crowd;
    struct loop *loop;
    uv_thread_t thread;
    struct loop_message begin;
    struct rng rng;
    struct asker askers[OPEN];
    int asked;
    int answered;
};

struct crowd {
    struct store *store;
    bool ends; /* in the middle of everything */
    struct lane_thread threads[LANES];
    atomic_int running;
    atomic_int events;
    atomic_int statuses;
};

static void ask(struct asker *asker);

static void check_answer(struct asker *asker)
{
    const struct election_request *r = &asker->request;
    struct lane_thread *thread = asker->thread;
    assert_true(r->lane == loop_index(thread->loop));
    if (r->err == EA_UNAVAILABLE) { /* only at the end, and it says why */
        assert_true(thread->crowd->ends && r->why.n > 0 && !r->elected && r->tenure.token == 0);
        return;
    }
    if (r->op == OP_LIST) {
        assert_int_equal(r->err, EA_OK);
        for (size_t i = 1; i < r->list.n; i++) {
            assert_true(str_cmp(r->list.leaders[i - 1].election, r->list.leaders[i].election) < 0);
        }
        assert_true(r->list.n <= r->page_size);
        return;
    }
    if (r->elected || (r->err == EA_OK && (r->op == OP_EXTEND || r->op == OP_HANDOVER))) {
        assert_true(str_eq(r->tenure.leader, str_of(asker->candidate)));
    }
    if (r->tenure.token != 0) {
        assert_true(r->tenure.leader.n >= 2 && r->tenure.leader.p[0] == 'c');
    }
    for (size_t i = 0; r->op == OP_INFO && i < r->info.n_events; i++) {
        assert_true(str_eq(r->info.events[i].election, str_of(asker->election)));
        assert_true(r->info.events[i].leader.n >= 2);
    }
}

static void on_done(struct election_request *request)
{
    struct asker *asker = request->user;
    struct lane_thread *thread = asker->thread;
    check_answer(asker);
    arena_reset(&asker->arena);
    thread->answered++;
    if (thread->asked < REQUESTS) {
        ask(asker);
    } else if (thread->answered == REQUESTS && atomic_fetch_sub(&thread->crowd->running, 1) == 1) {
        for (int i = 0; i < LANES; i++) {
            loop_stop(thread->crowd->threads[i].loop);
        }
    }
}

static void ask(struct asker *asker)
{
    struct lane_thread *thread = asker->thread;
    snprintf(asker->election, sizeof asker->election, "e%d", (int)rng_below(&thread->rng, ELECTIONS));
    snprintf(asker->candidate, sizeof asker->candidate, "c%d", (int)rng_below(&thread->rng, 5));
    thread->asked++;
    enum election_op op = (enum election_op)rng_below(&thread->rng, OP_COUNT);
    asker->request = (struct election_request){
        .op = op,
        .kind = STR("default"),
        .election = str_of(asker->election),
        .candidate = str_of(asker->candidate),
        .term_ms = 1000 + (int32_t)rng_below(&thread->rng, 4000),
        .page_size = 7,
        .start = loop_now(thread->loop),
        .deadline = mono_add_ms(loop_now(thread->loop), 60000),
        .arena = &asker->arena,
        .done = on_done,
        .user = asker,
    };
    store_submit(thread->crowd->store, loop_index(thread->loop), &asker->request);
}

static void on_begin(struct loop *loop, struct loop_message *message)
{
    struct lane_thread *thread = CONTAINER_OF(message, struct lane_thread, begin);
    for (int i = 0; i < OPEN; i++) {
        thread->askers[i].thread = thread;
        arena_init(&thread->askers[i].arena, NULL, 0);
        ask(&thread->askers[i]);
    }
    (void)loop;
}

static void run(void *arg)
{
    struct lane_thread *thread = arg;
    loop_run(thread->loop);
}

static void on_event(void *user, unsigned lane, const struct election_event *event)
{
    struct crowd *crowd = user;
    assert_true(lane < LANES && event->token > 0);
    atomic_fetch_add(&crowd->events, 1);
}

static void on_status(void *user)
{
    struct crowd *crowd = user;
    atomic_fetch_add(&crowd->statuses, 1);
}

static void crowd_init(struct crowd *crowd, const char *path)
{
    struct loop *loops[LANES];
    *crowd = (struct crowd){.store = NULL};
    for (unsigned i = 0; i < LANES; i++) {
        struct loop_options options = {.index = i, .seed = i + 1};
        assert_int_equal(loop_new(&loops[i], &options, NULL), EA_OK);
        crowd->threads[i].crowd = crowd;
        crowd->threads[i].loop = loops[i];
        crowd->threads[i].begin.deliver = on_begin;
        rng_seed(&crowd->threads[i].rng, i + 1);
    }
    struct store_options options = {.lanes = loops,
                                    .n_lanes = LANES,
                                    .clock = &clock_system,
                                    .seed = 9,
                                    .max_term_ms = 3600000,
                                    .on_event = on_event,
                                    .on_status = on_status,
                                    .user = crowd,
                                    .path = path};
    struct error error = ERROR_NONE;
    enum err err = store_embedded_ops.open(&crowd->store, &options, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(err, EA_OK);
}

static void crowd_run(struct crowd *crowd)
{
    atomic_store(&crowd->running, LANES);
    for (int i = 0; i < LANES; i++) {
        loop_post(crowd->threads[i].loop, &crowd->threads[i].begin);
        assert_int_equal(uv_thread_create(&crowd->threads[i].thread, run, &crowd->threads[i]), 0);
    }
    for (int i = 0; i < LANES; i++) {
        assert_int_equal(uv_thread_join(&crowd->threads[i].thread), 0);
    }
}

static void add_row(void *arg, struct str kind, uint64_t elections)
{
    uint64_t *sum = arg;
    *sum += elections;
    assert_true(str_eq(kind, STR("default")));
}

static void crowd_fini(struct crowd *crowd)
{
    store_close(crowd->store);
    for (int i = 0; i < LANES; i++) {
        loop_free(crowd->threads[i].loop);
    }
}

static void check_crowd(struct crowd *crowd)
{
    uint64_t led = 0;
    for (int i = 0; i < LANES; i++) {
        assert_int_equal(crowd->threads[i].answered, REQUESTS);
    }
    assert_true(atomic_load(&crowd->events) > ELECTIONS);
    store_count(crowd->store, add_row, &led);
    assert_true(led <= ELECTIONS);
}

static void every_request_is_answered_once_on_its_own_lane_in_memory(void **state)
{
    struct crowd *crowd = mem_alloc(sizeof *crowd);
    crowd_init(crowd, ":memory:");
    crowd_run(crowd);
    check_crowd(crowd);
    crowd_fini(crowd);
    mem_free(crowd);
    (void)state;
}

static void every_request_is_answered_once_on_its_own_lane_with_a_file(void **state)
{
    struct rig rig; /* its directory */
    rig_init(&rig);
    struct crowd *crowd = mem_alloc(sizeof *crowd);
    crowd_init(crowd, rig.directory);
    crowd_run(crowd);
    check_crowd(crowd);
    crowd_fini(crowd);
    mem_free(crowd);
    rig_fini(&rig);
    (void)state;
}

/* The agent ends in the middle: whatever is open, wherever it is, is answered, by the end of close. */
static void requests_under_way_are_answered_at_close(void **state)
{
    struct rig rig;
    rig_init(&rig);
    for (int steps = 0; steps < 12; steps++) {
        struct crowd *crowd = mem_alloc(sizeof *crowd);
        crowd_init(crowd, rig.directory);
        atomic_store(&crowd->running, LANES + 1); /* never all */
        for (int i = 0; i < LANES; i++) {
            on_begin(crowd->threads[i].loop, &crowd->threads[i].begin);
        }
        for (int step = 0; step < steps; step++) {
            (void)loop_step(crowd->threads[step % LANES].loop);
        }
        for (int i = 0; i < LANES; i++) { /* no more are asked */
            crowd->threads[i].asked += REQUESTS;
        }
        crowd->ends = true;
        store_close(crowd->store);
        for (int i = 0; i < LANES; i++) {
            struct lane_thread *thread = &crowd->threads[i];
            assert_int_equal(thread->answered, thread->asked - REQUESTS);
        }
        for (int i = 0; i < LANES; i++) {
            loop_free(crowd->threads[i].loop);
        }
        mem_free(crowd);
    }
    rig_fini(&rig);
    (void)state;
}

/* --- three lanes stepped by hand, asked on the first --- */

struct hand {
    struct crowd *crowd;
    struct rig rig;   /* its directory, and requests */
    struct loop *own; /* the rig's loop, while it has another */
};

static void hand_step(struct hand *hand)
{
    for (int lane = 0; lane < LANES; lane++) {
        (void)loop_step(hand->crowd->threads[lane].loop);
    }
}

static struct election_request *hand_ask(struct hand *hand, struct election_request request)
{
    hand->rig.clock.mono = clock_mono(&clock_system);
    request.deadline = mono_add_ms(hand->rig.clock.mono, 60000);
    request.term_ms = 3600000;
    rig_submit(&hand->rig, request);
    while (!hand->rig.answered) {
        hand_step(hand);
    }
    return &hand->rig.request;
}

static struct election_request *hand_campaign(struct hand *hand, int i)
{
    static char name[32];
    snprintf(name, sizeof name, "n%03d", i);
    return hand_ask(
        hand, (struct election_request){.op = OP_CAMPAIGN, .election = str_of(name), .candidate = STR("a")});
}

static struct hand *hand_new(const char *path)
{
    struct hand *hand = mem_zalloc(sizeof *hand);
    rig_init(&hand->rig);
    hand->crowd = mem_alloc(sizeof *hand->crowd);
    crowd_init(hand->crowd, path != NULL ? path : hand->rig.directory);
    hand->own = hand->rig.loop;
    hand->rig.loop = hand->crowd->threads[0].loop;
    hand->rig.store = hand->crowd->store;
    return hand;
}

static void hand_free(struct hand *hand)
{
    hand->rig.store = NULL;
    hand->rig.loop = hand->own;
    crowd_fini(hand->crowd);
    rig_fini(&hand->rig);
    mem_free(hand->crowd);
    mem_free(hand);
}

static void lists_are_merged_over_lanes_and_pages(void **state)
{
    struct hand *hand = hand_new(":memory:");
    for (int i = 0; i < 100; i++) {
        assert_true(hand_campaign(hand, i * 37 % 100)->elected);
    }
    char after[16] = "";
    int seen = 0;
    bool more = true;
    while (more) {
        const struct election_list *list =
            &hand_ask(hand, (struct election_request){.op = OP_LIST, .after = str_of(after), .page_size = 9})
                 ->list;
        for (size_t i = 0; i < list->n; i++, seen++) {
            char expected[16];
            snprintf(expected, sizeof expected, "n%03d", seen);
            assert_true(str_eq(list->leaders[i].election, str_of(expected)));
        }
        more = list->more;
        assert_int_equal(list->n, more ? 9 : 1);
        snprintf(after, sizeof after, "n%03d", seen - 1);
    }
    assert_int_equal(seen, 100);
    hand_free(hand);
    (void)state;
}

static enum store_state state_of(const struct hand *hand)
{
    struct store_status status;
    store_status(hand->crowd->store, &status);
    return status.state;
}

static void lanes_go_down_and_come_up_one_by_one(void **state)
{
    struct hand *hand = hand_new(NULL);
    struct rlimit limit;
    int i = 0;
    for (; i < 20; i++) {
        assert_true(hand_campaign(hand, i)->elected);
    }
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 1; /* not even what is there can be written again */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int n = 0; n < 20; n++, i++) {
        assert_int_equal(hand_campaign(hand, i)->err, EA_UNAVAILABLE);
        assert_non_null(strstr(hand->rig.why, "cannot write")); /* also from another lane */
    }
    assert_int_equal(state_of(hand), STORE_DOWN);
    for (int n = 0; n < 20; n++) {
        assert_true(hand_campaign(hand, n)->elected); /* they lead already: nothing to write */
    }
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    while (state_of(hand) != STORE_UP) {
        hand_step(hand); /* the retry comes with the real clock, within a second */
    }
    for (; i < 60; i++) {
        assert_true(hand_campaign(hand, i)->elected);
    }
    assert_true(atomic_load(&hand->crowd->statuses) >= 2);
    uint64_t led = 0;
    store_count(hand->crowd->store, add_row, &led);
    assert_int_equal(led, 40);
    hand_free(hand);
    (void)state;
}

int main(void)
{
    log_set_level(LOG_PANIC);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_answered_once_on_its_own_lane_in_memory),
        cmocka_unit_test(every_request_is_answered_once_on_its_own_lane_with_a_file),
        cmocka_unit_test(requests_under_way_are_answered_at_close),
        cmocka_unit_test(lists_are_merged_over_lanes_and_pages),
        cmocka_unit_test(lanes_go_down_and_come_up_one_by_one),
    };
    return cmocka_run_group_tests_name("embedded lanes", tests, NULL, NULL);
}
