/* The loop on a clock that the test moves; threads where messages are concerned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.index = 3, .seed = 7};

    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    loop_free(f->loop);
    free(f);
    return 0;
}

static void settle(struct loop *loop)
{
    for (unsigned i = 0; loop_step(loop); i++) {
        assert_true(i < 100000);
    }
}

/* --- timers --- */

struct counted_timer {
    struct loop_timer timer;
    unsigned fired;
    struct mono at;
    struct counted_timer *stops; /* when it fires */
    int64_t again_ms;            /* starts itself again */
};

static void count_fire(struct loop *loop, struct loop_timer *timer)
{
    struct counted_timer *t = CONTAINER_OF(timer, struct counted_timer, timer);

    t->fired++;
    t->at = loop_now(loop);
    if (t->stops != NULL) {
        loop_timer_stop(loop, &t->stops->timer);
    }
    if (t->again_ms != 0) {
        loop_timer_start(loop, timer, mono_add_ms(loop_now(loop), t->again_ms));
    }
}

static void a_timer_fires_once_at_its_millisecond_and_not_before(void **state)
{
    struct fixture *f = *state;
    static const int64_t delays_ms[] = {1, 2, 63, 64, 65, 1000, 4096, 60000, 3600000};

    for (size_t i = 0; i < ARRAY_LENGTH(delays_ms); i++) {
        struct counted_timer t = {.timer.fire = count_fire};

        loop_timer_start(f->loop, &t.timer, mono_add_ms(loop_now(f->loop), delays_ms[i]));
        settle(f->loop);
        clock_fake_advance_us(&f->clock, delays_ms[i] * 1000 - 1);
        settle(f->loop);
        assert_int_equal(t.fired, 0);
        clock_fake_advance_us(&f->clock, 1);
        settle(f->loop);
        assert_int_equal(t.fired, 1);
        assert_int_equal(t.at.us, f->clock.mono.us);
        clock_fake_advance_us(&f->clock, delays_ms[i] * 1000);
        settle(f->loop);
        assert_int_equal(t.fired, 1);
    }
}

static void a_stopped_timer_does_not_fire_even_if_due_in_the_same_turn(void **state)
{
    struct fixture *f = *state;
    struct counted_timer second = {.timer.fire = count_fire};
    struct counted_timer first = {.timer.fire = count_fire, .stops = &second};
    struct mono at = mono_add_ms(loop_now(f->loop), 5);

    loop_timer_start(f->loop, &first.timer, at);
    loop_timer_start(f->loop, &second.timer, at);
    clock_fake_advance_us(&f->clock, 5000);
    settle(f->loop);
    assert_int_equal(first.fired, 1);
    assert_int_equal(second.fired, 0);
    loop_timer_stop(f->loop, &second.timer); /* harmless */
}

static void a_timer_that_starts_itself_again_goes_on(void **state)
{
    struct fixture *f = *state;
    struct counted_timer t = {.timer.fire = count_fire, .again_ms = 10};

    loop_timer_start(f->loop, &t.timer, mono_add_ms(loop_now(f->loop), 10));
    for (unsigned i = 1; i <= 50; i++) {
        clock_fake_advance_us(&f->clock, 10000);
        settle(f->loop);
        assert_int_equal(t.fired, i);
    }
    loop_timer_stop(f->loop, &t.timer);
}

static void a_crowd_of_timers_leaves_turns_between_for_the_sockets(void **state)
{
    enum { CROWD = 5000 };
    struct fixture *f = *state;
    struct counted_timer *crowd = calloc(CROWD, sizeof *crowd);
    struct mono at = mono_add_ms(loop_now(f->loop), 1);
    unsigned steps = 0;

    for (size_t i = 0; i < CROWD; i++) {
        crowd[i].timer.fire = count_fire;
        loop_timer_start(f->loop, &crowd[i].timer, at);
    }
    clock_fake_advance_us(&f->clock, 1000);
    while (loop_step(f->loop)) {
        steps++;
    }
    assert_in_range(steps, 5, 200);
    for (size_t i = 0; i < CROWD; i++) {
        assert_int_equal(crowd[i].fired, 1);
    }
    free(crowd);
}

/* --- stages --- */

struct traced_task {
    struct loop_task task;
    char name;
    char *trace;
    struct traced_task *queues; /* while it runs */
    enum loop_stage queues_in;
    unsigned times; /* 0: always */
};

static void trace_run(struct loop *loop, struct loop_task *task)
{
    struct traced_task *t = CONTAINER_OF(task, struct traced_task, task);
    size_t n = strlen(t->trace);

    t->trace[n] = t->name;
    t->trace[n + 1] = '\0';
    if (t->queues != NULL && --t->times > 0) {
        loop_at_end(loop, t->queues_in, &t->queues->task);
    }
}

static void stages_run_in_order_and_each_to_its_end(void **state)
{
    struct fixture *f = *state;
    char trace[32] = "";
    struct traced_task d = {{.run = trace_run}, 'd', trace, NULL, LOOP_STAGE_FREE, 0};
    struct traced_task c = {{.run = trace_run}, 'c', trace, NULL, LOOP_STAGE_FREE, 0};
    struct traced_task b = {{.run = trace_run}, 'b', trace, &c, LOOP_STAGE_STREAM, 2};
    struct traced_task a = {{.run = trace_run}, 'a', trace, &b, LOOP_STAGE_STREAM, 2};
    struct traced_task s = {{.run = trace_run}, 's', trace, NULL, LOOP_STAGE_FREE, 0};

    loop_at_end(f->loop, LOOP_STAGE_FREE, &d.task);
    loop_at_end(f->loop, LOOP_STAGE_STREAM, &a.task);
    loop_at_end(f->loop, LOOP_STAGE_STREAM, &a.task); /* stays where it is */
    loop_at_end(f->loop, LOOP_STAGE_STORE, &s.task);
    assert_true(loop_step(f->loop));
    assert_string_equal(trace, "sabcd");
    assert_false(loop_step(f->loop));
}

static void a_task_for_a_stage_that_is_over_runs_in_the_next_turn(void **state)
{
    struct fixture *f = *state;
    char trace[32] = "";
    struct traced_task s = {{.run = trace_run}, 's', trace, NULL, LOOP_STAGE_FREE, 0};
    struct traced_task a = {{.run = trace_run}, 'a', trace, &s, LOOP_STAGE_STORE, 2};

    /* At the turn's start, so that the stages run once in this step: after the poll. */
    loop_at_start(f->loop, &a.task);
    a.queues_in = LOOP_STAGE_STORE;
    assert_true(loop_step(f->loop));
    assert_string_equal(trace, "as");

    trace[0] = '\0';
    a.times = 2;
    loop_at_end(f->loop, LOOP_STAGE_FREE, &a.task);
    settle(f->loop);
    assert_string_equal(trace, "as");
}

static void a_task_that_queues_itself_runs_once_a_turn(void **state)
{
    struct fixture *f = *state;
    char trace[32] = "";
    struct traced_task a = {{.run = trace_run}, 'a', trace, &a, LOOP_STAGE_STREAM, 5};

    loop_at_start(f->loop, &a.task);
    for (size_t turn = 1; turn <= 3; turn++) {
        size_t before = strlen(trace);

        assert_true(loop_step(f->loop));
        assert_in_range(strlen(trace) - before, 1, 2); /* before the poll and after it */
    }
    settle(f->loop);
    assert_string_equal(trace, "aaaaa");
}

/* --- messages --- */

enum { SENDERS = 4, PER_SENDER = 20000 };

struct numbered {
    struct loop_message message;
    unsigned sender;
    unsigned number;
};

struct receiver {
    struct loop *loop;
    unsigned next[SENDERS];
    unsigned total;
    bool in_order;
};

static struct receiver receiver;

static void receive(struct loop *loop, struct loop_message *message)
{
    struct numbered *m = CONTAINER_OF(message, struct numbered, message);

    receiver.in_order = receiver.in_order && m->number == receiver.next[m->sender];
    receiver.next[m->sender]++;
    if (++receiver.total == SENDERS * PER_SENDER) {
        loop_stop(loop);
    }
    free(m);
}

struct sender {
    pthread_t thread;
    unsigned index;
};

static void *send_all(void *arg)
{
    const struct sender *s = arg;

    for (unsigned i = 0; i < PER_SENDER; i++) {
        struct numbered *m = calloc(1, sizeof *m);

        m->message.deliver = receive;
        m->sender = s->index;
        m->number = i;
        loop_post(receiver.loop, &m->message);
    }
    return NULL;
}

static void messages_of_many_threads_all_arrive_each_sender_in_order(void **state)
{
    struct sender senders[SENDERS];
    struct loop_options options = {.seed = 1};

    receiver = (struct receiver){.in_order = true};
    assert_int_equal(loop_new(&receiver.loop, &options, NULL), EA_OK);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    loop_run(receiver.loop);
    for (unsigned i = 0; i < SENDERS; i++) {
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
    }
    assert_int_equal(receiver.total, SENDERS * PER_SENDER);
    assert_true(receiver.in_order);
    loop_free(receiver.loop);
}

static void a_loop_told_to_stop_before_it_runs_returns(void **state)
{
    struct fixture *f = *state;

    loop_stop(f->loop);
    loop_run(f->loop);
}

static void *stop_it(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void a_sleeping_loop_is_stopped_by_another_thread(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stop_it, f->loop), 0);
    loop_run(f->loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void stop_from_timer(struct loop *loop, struct loop_timer *timer)
{
    count_fire(loop, timer);
    loop_stop(loop);
}

static void a_running_loop_wakes_for_its_timers_on_the_real_clock(void **state)
{
    struct loop_options options = {.seed = 1};
    struct counted_timer t = {.timer.fire = stop_from_timer};
    struct loop *loop;
    struct mono at;

    assert_int_equal(loop_new(&loop, &options, NULL), EA_OK);
    at = mono_add_ms(loop_now(loop), 3);
    loop_timer_start(loop, &t.timer, at);
    loop_run(loop);
    assert_int_equal(t.fired, 1);
    assert_false(mono_before(t.at, at));
    loop_free(loop);
}

/* --- lateness, facts, memory --- */

struct late_seen {
    struct loop_late watcher;
    int64_t late_us;
    unsigned times;
    const struct counted_timer *timer;
    unsigned fired_before;
};

static void note_late(struct loop *loop, struct loop_late *self, int64_t late_us)
{
    struct late_seen *seen = CONTAINER_OF(self, struct late_seen, watcher);

    seen->late_us = late_us;
    seen->times++;
    seen->fired_before = seen->timer->fired;
}

static void a_late_turn_is_told_before_its_timers_fire(void **state)
{
    struct fixture *f = *state;
    struct counted_timer t = {.timer.fire = count_fire};
    struct late_seen seen = {.watcher.late = note_late, .timer = &t};

    loop_on_late(f->loop, &seen.watcher);
    loop_timer_start(f->loop, &t.timer, mono_add_ms(loop_now(f->loop), 20));
    settle(f->loop);
    clock_fake_advance_us(&f->clock, 20000 + LOOP_LATE_MS * 1000);
    settle(f->loop);
    assert_int_equal(t.fired, 1);
    assert_int_equal(seen.times, 0); /* exactly the limit is not late yet */

    loop_timer_start(f->loop, &t.timer, mono_add_ms(loop_now(f->loop), 20));
    settle(f->loop);
    clock_fake_advance_us(&f->clock, 20000 + 7000000);
    settle(f->loop);
    assert_int_equal(t.fired, 2);
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.fired_before, 1);
    assert_int_equal(seen.late_us, 7000000);
}

static void take_long(struct loop *loop, struct loop_task *task)
{
    clock_fake_advance_us((struct clock_fake *)loop_clock(loop)->arg, 5000000);
}

static void stop_after_late(struct loop *loop, struct loop_late *self, int64_t late_us)
{
    note_late(loop, self, late_us);
    loop_stop(loop);
}

static void a_running_loop_that_is_watched_tells_of_a_turn_that_took_too_long(void **state)
{
    struct fixture *f = *state;
    struct counted_timer none = {.fired = 0};
    struct late_seen seen = {.watcher.late = stop_after_late, .timer = &none};
    struct loop_task task = {.run = take_long};

    loop_on_late(f->loop, &seen.watcher);
    loop_at_start(f->loop, &task);
    loop_run(f->loop);
    assert_int_equal(seen.times, 1);
    assert_int_equal(seen.late_us, 5000000 - LOOP_LATE_MS * 1000 / 2); /* a watched loop's longest sleep */
}

static void deliver_never(struct loop *loop, struct loop_message *message)
{
    fail();
}

static void a_message_to_a_loop_that_has_stopped_is_not_delivered(void **state)
{
    struct loop_options options = {.seed = 1};
    struct loop_message message = {.deliver = deliver_never};
    struct loop *loop;

    assert_int_equal(loop_new(&loop, &options, NULL), EA_OK);
    loop_stop(loop);
    loop_run(loop);
    loop_post(loop, &message);
    loop_free(loop);
}

static void the_turns_time_stands_still_until_it_is_refreshed(void **state)
{
    struct fixture *f = *state;
    struct mono before = loop_now(f->loop);

    clock_fake_advance_us(&f->clock, 1234);
    assert_int_equal(loop_now(f->loop).us, before.us);
    assert_int_equal(loop_refresh(f->loop).us, before.us + 1234);
    assert_int_equal(loop_now(f->loop).us, before.us + 1234);
    assert_int_equal(loop_wall(f->loop).us, f->clock.wall.us);
    assert_int_equal(loop_index(f->loop), 3);
    assert_ptr_equal(loop_clock(f->loop), &f->clock.clock);
}

static void chunks_come_back_and_a_crowd_of_them_goes_after_a_while(void **state)
{
    struct fixture *f = *state;
    void *chunks[600];

    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++) {
        chunks[i] = loop_chunk_borrow(f->loop);
        memset(chunks[i], 0xa5, LOOP_CHUNK_BYTES);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++) {
        loop_chunk_return(f->loop, chunks[i]);
    }
    assert_ptr_equal(loop_chunk_borrow(f->loop), chunks[255]); /* the last one that was kept */
    loop_chunk_return(f->loop, chunks[255]);
    for (unsigned s = 0; s < 4; s++) {
        settle(f->loop);
        clock_fake_advance_us(&f->clock, 1000000);
    }
    assert_false(loop_step(f->loop)); /* trimmed, and the timer for it is at rest */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(a_timer_fires_once_at_its_millisecond_and_not_before),
        T(a_stopped_timer_does_not_fire_even_if_due_in_the_same_turn),
        T(a_timer_that_starts_itself_again_goes_on),
        T(a_crowd_of_timers_leaves_turns_between_for_the_sockets),
        T(stages_run_in_order_and_each_to_its_end),
        T(a_task_for_a_stage_that_is_over_runs_in_the_next_turn),
        T(a_task_that_queues_itself_runs_once_a_turn),
        T(messages_of_many_threads_all_arrive_each_sender_in_order),
        T(a_loop_told_to_stop_before_it_runs_returns),
        T(a_sleeping_loop_is_stopped_by_another_thread),
        T(a_running_loop_wakes_for_its_timers_on_the_real_clock),
        T(a_late_turn_is_told_before_its_timers_fire),
        T(a_running_loop_that_is_watched_tells_of_a_turn_that_took_too_long),
        cmocka_unit_test(a_message_to_a_loop_that_has_stopped_is_not_delivered),
        T(the_turns_time_stands_still_until_it_is_refreshed),
        T(chunks_come_back_and_a_crowd_of_them_goes_after_a_while),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
