/* The memory store as a driver: its lock, its lanes, its answers. The rules are held by tests/conformance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/memory/memory.h"

#define LANES   3
#define ROUNDS  300
#define LONG_MS 3600000

static struct store *
open_memory(const struct clock *clock, unsigned lanes,
            void (*on_event)(void *user, unsigned lane, const struct election_event *event), void *user)
{
    struct store *store = NULL;
    struct store_options options = {.driver = "memory",
                                    .n_lanes = lanes,
                                    .clock = clock,
                                    .max_term_ms = LONG_MS,
                                    .on_event = on_event,
                                    .user = user};
    assert_int_equal(store_memory_ops.open(&store, &options, NULL), EA_OK);
    return store;
}

static void done_nothing(struct election_request *request) {}

static struct election_request question(enum election_op op, const char *candidate)
{
    return (struct election_request){.op = op,
                                     .kind = STR("default"),
                                     .election = STR("e"),
                                     .candidate = str_of(candidate),
                                     .term_ms = 1000,
                                     .deadline = MONO_NEVER,
                                     .done = done_nothing};
}

/* --- one thread --- */

static void it_is_up_from_the_first_moment(void **state)
{
    struct clock_fake clock;
    struct store_status status;
    clock_fake_init(&clock);
    struct store *store = open_memory(&clock.clock, 1, NULL, NULL);
    store_status(store, &status);
    assert_int_equal(status.state, STORE_UP);
    assert_string_equal(status.why, "");
    store_close(store);
}

struct nested {
    struct store *store;
    struct election_request second;
    bool second_done;
};

static void second_is_done(struct election_request *request)
{
    struct nested *nested = request->user;
    nested->second_done = true;
    assert_true(str_eq(request->tenure.leader, STR("B")));
}

/* Asks again before it reads its own answer. */
static void first_is_done(struct election_request *request)
{
    struct nested *nested = request->user;
    store_submit(nested->store, 0, &nested->second);
    assert_true(nested->second_done);
    assert_true(str_eq(request->tenure.leader, STR("A")));
}

static void a_request_may_be_submitted_from_done_and_leaves_the_first_answer_alone(void **state)
{
    struct clock_fake clock;
    clock_fake_init(&clock);
    struct nested nested = {.store = open_memory(&clock.clock, 1, NULL, NULL)};
    struct election_request first = question(OP_CAMPAIGN, "A");
    first.done = first_is_done;
    first.user = &nested;
    nested.second = question(OP_HANDOVER, "B");
    nested.second.done = second_is_done;
    nested.second.user = &nested;
    store_submit(nested.store, 0, &first);
    assert_true(nested.second_done);
    store_close(nested.store);
}

struct told {
    unsigned lane;
    enum election_action action;
    unsigned times;
};

static void keep_told(void *user, unsigned lane, const struct election_event *event)
{
    struct told *told = user;
    *told = (struct told){lane, event->action, told->times + 1};
}

static void an_event_is_told_on_the_lane_that_made_it_and_a_sweep_on_the_first(void **state)
{
    struct clock_fake clock;
    struct told told = {0};
    clock_fake_init(&clock);
    struct store *store = open_memory(&clock.clock, LANES, keep_told, &told);
    struct election_request request = question(OP_CAMPAIGN, "A");
    store_submit(store, 2, &request);
    assert_int_equal(told.lane, 2);
    assert_int_equal(told.action, ACTION_ELECTED);
    clock_fake_advance_us(&clock, 1000 * 1000);
    memory_sweep(store);
    assert_int_equal(told.lane, 0);
    assert_int_equal(told.action, ACTION_EXPIRED);
    assert_int_equal(told.times, 2);
    store_close(store);
}

/* --- a thread a lane --- */

struct crowd {
    struct store *store;
    atomic_uint leaders; /* candidates that rightly lead now; never more than one */
    atomic_uint elections;
    atomic_uint broken; /* cmocka asserts on the main thread only */
};

struct worker {
    struct crowd *crowd;
    unsigned lane;
};

static void *campaign_and_resign(void *arg)
{
    struct worker *worker = arg;
    struct crowd *crowd = worker->crowd;
    char name[16];
    uint64_t last = 0;
    (void)snprintf(name, sizeof name, "c%u", worker->lane);
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct election_request request = question(OP_CAMPAIGN, name);
        request.term_ms = LONG_MS;
        store_submit(crowd->store, worker->lane, &request);
        if (!request.elected) {
            continue;
        }
        if (atomic_fetch_add(&crowd->leaders, 1) != 0 || request.tenure.token <= last) {
            (void)atomic_fetch_add(&crowd->broken, 1);
        }
        last = request.tenure.token;
        (void)atomic_fetch_add(&crowd->elections, 1);
        (void)atomic_fetch_sub(&crowd->leaders, 1);
        struct election_request resignation = question(OP_RESIGN, name);
        resignation.token = last;
        store_submit(crowd->store, worker->lane, &resignation);
        if (resignation.err != EA_OK) {
            (void)atomic_fetch_add(&crowd->broken, 1);
        }
    }
    return NULL;
}

static void lanes_may_be_threads(void **state)
{
    struct crowd crowd = {.store = open_memory(&clock_system, LANES, NULL, NULL)};
    struct worker workers[LANES];
    pthread_t threads[LANES];
    for (unsigned i = 0; i < LANES; i++) {
        workers[i] = (struct worker){&crowd, i};
        assert_int_equal(pthread_create(&threads[i], NULL, campaign_and_resign, &workers[i]), 0);
    }
    for (unsigned i = 0; i < LANES; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&crowd.broken), 0);
    assert_true(atomic_load(&crowd.elections) > 0);
    store_close(crowd.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_up_from_the_first_moment),
        cmocka_unit_test(a_request_may_be_submitted_from_done_and_leaves_the_first_answer_alone),
        cmocka_unit_test(an_event_is_told_on_the_lane_that_made_it_and_a_sweep_on_the_first),
        cmocka_unit_test(lanes_may_be_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
