/* Three lanes on three threads: every request is answered once, on its own lane, and rightly. For TSan too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <stdatomic.h>

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

/* A list over all lanes is one list. */
static void lists_are_merged_over_lanes_and_pages(void **state)
{
    struct crowd *crowd = mem_alloc(sizeof *crowd);
    crowd_init(crowd, ":memory:");
    struct rig rig;
    rig_init(&rig);
    struct loop *own = rig.loop;
    rig.loop = crowd->threads[0].loop;
    rig.store = crowd->store;
    rig.clock.mono = clock_mono(&clock_system);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "n%02d", (i * 37) % 100);
        struct election_request request = {
            .op = OP_CAMPAIGN, .election = str_of(name), .candidate = STR("a"), .term_ms = 3600000};
        request.deadline = mono_add_ms(rig.clock.mono, 60000);
        rig_submit(&rig, request);
        while (!rig.answered) {
            for (int lane = 0; lane < LANES; lane++) {
                (void)loop_step(crowd->threads[lane].loop);
            }
        }
        assert_true(rig.request.elected);
    }
    char after[16] = "";
    int seen = 0;
    bool more = true;
    while (more) {
        struct election_request request = {.op = OP_LIST, .after = str_of(after), .page_size = 9};
        request.deadline = mono_add_ms(rig.clock.mono, 60000);
        rig_submit(&rig, request);
        while (!rig.answered) {
            for (int lane = 0; lane < LANES; lane++) {
                (void)loop_step(crowd->threads[lane].loop);
            }
        }
        const struct election_list *list = &rig.request.list;
        for (size_t i = 0; i < list->n; i++, seen++) {
            char expected[16];
            snprintf(expected, sizeof expected, "n%02d", seen);
            assert_true(str_eq(list->leaders[i].election, str_of(expected)));
        }
        more = list->more;
        assert_int_equal(list->n, more ? 9 : 1);
        snprintf(after, sizeof after, "n%02d", seen - 1);
    }
    assert_int_equal(seen, 100);
    rig.store = NULL;
    rig.loop = own;
    rig_fini(&rig);
    crowd_fini(crowd);
    mem_free(crowd);
    (void)state;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_answered_once_on_its_own_lane_in_memory),
        cmocka_unit_test(every_request_is_answered_once_on_its_own_lane_with_a_file),
        cmocka_unit_test(requests_under_way_are_answered_at_close),
        cmocka_unit_test(lists_are_merged_over_lanes_and_pages),
    };
    return cmocka_run_group_tests_name("embedded lanes", tests, NULL, NULL);
}
