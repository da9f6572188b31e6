/*
 * The wheel against a model: the list of all started timers, from which the model takes the one with the
 * least (millisecond, number of the start). Whatever is done, both must hand out the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/wheel.h"

#define MS        INT64_C(1000)
#define S         (1000 * MS)
#define HOUR      (3600 * S)
#define DAY       (24 * HOUR)
#define MODEL_MAX 300

struct timer {
    struct wheel_entry entry;
    uint64_t start; /* number of its last start */
    bool started;
};

static struct wheel wheel;

static struct mono at(int64_t us)
{
    return (struct mono){us};
}

static int64_t round_up_ms(int64_t us)
{
    return (us + MS - 1) / MS * MS;
}

static void a_timer_fires_at_its_millisecond_and_never_before_it(void **state)
{
    for (int64_t ahead = 1; ahead < 3 * HOUR; ahead = ahead * 3 / 2 + 7) {
        struct wheel_entry entry = {0};
        wheel_init(&wheel, at(5 * S + 300));
        wheel_start(&wheel, &entry, at(5 * S + 300 + ahead));
        int64_t fires = round_up_ms(5 * S + 300 + ahead);
        assert_null(wheel_pop(&wheel, at(5 * S + 300)));
        assert_null(wheel_pop(&wheel, at(fires - 1)));
        assert_true(wheel_started(&entry));
        assert_ptr_equal(wheel_pop(&wheel, at(fires)), &entry);
        assert_false(wheel_started(&entry));
        assert_null(wheel_pop(&wheel, at(fires + DAY)));
    }
}

static void a_timer_started_in_the_past_fires_at_the_next_advance(void **state)
{
    struct wheel_entry entry = {0};
    wheel_init(&wheel, at(5 * S));
    wheel_start(&wheel, &entry, at(1 * S));
    assert_int_equal(wheel_next(&wheel).us, 5 * S);
    assert_ptr_equal(wheel_pop(&wheel, at(5 * S)), &entry);
    wheel_start(&wheel, &entry, at(-1));
    assert_ptr_equal(wheel_pop(&wheel, at(5 * S)), &entry);
    assert_null(wheel_pop(&wheel, at(5 * S)));
}

static void starting_again_moves_a_timer_and_never_stops_it(void **state)
{
    struct wheel_entry entry = {0};
    wheel_init(&wheel, at(0));
    wheel_start(&wheel, &entry, at(10 * MS));
    wheel_start(&wheel, &entry, at(20 * MS));
    assert_int_equal(wheel.entries, 1);
    assert_null(wheel_pop(&wheel, at(19 * MS)));
    assert_ptr_equal(wheel_pop(&wheel, at(20 * MS)), &entry);
    wheel_start(&wheel, &entry, at(30 * MS));
    wheel_start(&wheel, &entry, MONO_NEVER);
    assert_false(wheel_started(&entry));
    assert_int_equal(wheel.entries, 0);
    assert_null(wheel_pop(&wheel, at(DAY)));
    assert_int_equal(wheel_next(&wheel).us, MONO_NEVER.us);
}

static void stopping_a_stopped_timer_does_nothing(void **state)
{
    struct wheel_entry entry = {0};
    wheel_init(&wheel, at(0));
    wheel_stop(&wheel, &entry);
    wheel_start(&wheel, &entry, at(10 * MS));
    wheel_stop(&wheel, &entry);
    wheel_stop(&wheel, &entry);
    assert_int_equal(wheel.entries, 0);
    assert_int_equal(wheel_next(&wheel).us, MONO_NEVER.us);
    assert_null(wheel_pop(&wheel, at(DAY)));
}

static void a_clock_that_goes_back_fires_nothing_early(void **state)
{
    struct wheel_entry entry = {0};
    wheel_init(&wheel, at(10 * S));
    wheel_start(&wheel, &entry, at(11 * S));
    assert_null(wheel_pop(&wheel, at(9 * S)));
    assert_null(wheel_pop(&wheel, at(-9 * S)));
    assert_null(wheel_pop(&wheel, at(11 * S - 1)));
    assert_ptr_equal(wheel_pop(&wheel, at(11 * S)), &entry);
}

static void timers_of_one_millisecond_fire_in_the_order_of_their_starts(void **state)
{
    /* Started at ever shorter distances, so that they begin on all levels and meet in one slot. */
    enum { N = 60 };
    static struct wheel_entry entries[N];
    int64_t end = 20 * DAY;
    int64_t ahead = end;
    wheel_init(&wheel, at(0));
    for (int i = 0; i < N; i++) {
        assert_null(wheel_pop(&wheel, at(end - ahead)));
        wheel_start(&wheel, &entries[i], at(end - i % 3));
        ahead = ahead > 2 * MS ? ahead * 2 / 3 : ahead;
    }
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(wheel_pop(&wheel, at(end)), &entries[i]);
    }
}

static void next_is_never_after_the_earliest_timer_and_exact_when_it_is_near(void **state)
{
    struct rng rng;
    rng_seed(&rng, 7);
    for (int round = 0; round < 2000; round++) {
        int64_t now = rng_range(&rng, 0, DAY);
        int64_t ahead = rng_range(&rng, 1, INT64_C(1) << rng_below(&rng, 42));
        struct wheel_entry entry = {0};
        wheel_init(&wheel, at(now));
        wheel_start(&wheel, &entry, at(now + ahead));
        int64_t fires = round_up_ms(now + ahead);
        int wakes = 0;
        for (;;) {
            int64_t next = wheel_next(&wheel).us;
            assert_in_range(next, 0, fires);
            if (fires - (int64_t)wheel.tick * MS <= 32 * MS) {
                assert_int_equal(next, fires);
            }
            wakes++;
            if (wheel_pop(&wheel, at(next)) != NULL) {
                assert_int_equal(next, fires);
                break;
            }
        }
        assert_true(wakes <=
                    2 * WHEEL_LEVELS + 4); /* 2^42 us are seven weeks: the top level is passed twice */
    }
}

static struct timer *model_first(struct timer *timers, int n)
{
    struct timer *first = NULL;
    for (int i = 0; i < n; i++) {
        struct timer *t = &timers[i];
        if (!t->started) {
            continue;
        }
        int64_t t_at = round_up_ms(t->entry.at.us);
        int64_t first_at = first != NULL ? round_up_ms(first->entry.at.us) : 0;
        if (first == NULL || t_at < first_at || (t_at == first_at && t->start < first->start)) {
            first = t;
        }
    }
    return first;
}

/* How far ahead a timer is started or time jumps: mostly near, sometimes hours. */
static int64_t random_distance(struct rng *rng)
{
    switch (rng_below(rng, 8)) {
    case 0:
        return rng_range(rng, 0, 3 * MS);
    case 1:
        return rng_range(rng, 0, 5 * HOUR);
    case 2:
        return rng_range(rng, 0, 5 * S);
    case 3:
        return MS << rng_below(rng, 25); /* the borders of slots */
    default:
        return rng_range(rng, 0, 200 * MS);
    }
}

struct run {
    struct rng rng;
    int64_t now;
    uint64_t starts;
    struct timer timers[MODEL_MAX];
};

static void step_pop(struct run *run)
{
    /* Not always to the end: a turn may leave what it cannot afford. */
    int pops = rng_below(&run->rng, 4) == 0 ? (int)rng_below(&run->rng, 5) : INT32_MAX;
    for (; pops > 0; pops--) {
        struct wheel_entry *entry = wheel_pop(&wheel, at(run->now));
        struct timer *expected = model_first(run->timers, MODEL_MAX);
        if (expected != NULL && round_up_ms(expected->entry.at.us) > run->now / MS * MS) {
            expected = NULL;
        }
        assert_ptr_equal(entry, expected != NULL ? &expected->entry : NULL);
        if (expected == NULL) {
            return;
        }
        expected->started = false;
    }
}

static void step(struct run *run)
{
    struct rng *rng = &run->rng;
    struct timer *timer = &run->timers[rng_below(rng, MODEL_MAX)];
    int64_t next;
    switch (rng_below(rng, 8)) {
    case 0:
        wheel_stop(&wheel, &timer->entry);
        timer->started = false;
        break;
    case 1:
        run->now += rng_below(rng, 10) == 0 ? random_distance(rng) : rng_range(rng, 0, 20 * MS);
        step_pop(run);
        break;
    case 2:
        next = wheel_next(&wheel).us;
        run->now = next != MONO_NEVER.us && next > run->now ? next : run->now;
        step_pop(run);
        break;
    default:
        /* Not into the past: the model sorts by time, and the past comes behind what is already due. */
        wheel_start(&wheel, &timer->entry, at((int64_t)wheel.tick * MS + 1 + random_distance(rng)));
        timer->started = true;
        timer->start = ++run->starts;
        break;
    }
}

static void it_does_what_a_sorted_list_does(void **state)
{
    static struct run run;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run = (struct run){.now = (int64_t)seed * 12345678};
        rng_seed(&run.rng, seed);
        wheel_init(&wheel, at(run.now));
        for (int i = 0; i < 5000; i++) {
            step(&run);
            size_t started = 0;
            for (int t = 0; i % 16 == 0 && t < MODEL_MAX; t++) {
                started += run.timers[t].started;
                assert_int_equal(run.timers[t].started, wheel_started(&run.timers[t].entry));
            }
            assert_true(i % 16 != 0 || started == wheel.entries);
        }
        run.now += 10 * DAY;
        while (model_first(run.timers, MODEL_MAX) != NULL) {
            step_pop(&run);
        }
        assert_null(wheel_pop(&wheel, at(run.now)));
    }
}

static void times_beyond_the_top_level_fire_when_they_should(void **state)
{
    const int64_t days[] = {10, 24, 25, 30, 49, 50, 400, 3000, 100000};
    for (size_t i = 0; i < ARRAY_LENGTH(days); i++) {
        struct wheel_entry entry = {0};
        struct wheel_entry other = {0};
        wheel_init(&wheel, at(3 * S));
        wheel_start(&wheel, &entry, at(days[i] * DAY + 1));
        wheel_start(&wheel, &other, at(INT64_MAX - 1));
        int64_t fires = days[i] * DAY + MS;
        if (days[i] < 500) {
            for (int64_t now = 0; now < fires; now += 7 * HOUR + 1) {
                assert_null(wheel_pop(&wheel, at(now)));
            }
        }
        assert_null(wheel_pop(&wheel, at(fires - 1)));
        assert_ptr_equal(wheel_pop(&wheel, at(fires)), &entry);
        assert_null(wheel_pop(&wheel, at(fires)));
        assert_true(wheel_started(&other));
    }
}

static void a_million_timers_all_fire_in_order_and_once(void **state)
{
    enum { N = 1000000 };
    struct wheel_entry *entries = mem_zalloc(N * sizeof entries[0]);
    struct rng rng;
    rng_seed(&rng, 3);
    wheel_init(&wheel, at(0));
    for (int i = 0; i < N; i++) {
        wheel_start(&wheel, &entries[i], at(rng_range(&rng, 1, 40 * S)));
    }
    int fired = 0;
    int64_t last = 0;
    for (int64_t now = 0; now <= 40 * S; now += rng_range(&rng, 1, 3000)) {
        struct wheel_entry *entry;
        while ((entry = wheel_pop(&wheel, at(now))) != NULL) {
            assert_true(entry->at.us <= now && round_up_ms(entry->at.us) >= last);
            assert_false(wheel_started(entry));
            last = round_up_ms(entry->at.us);
            fired++;
        }
        assert_true(wheel_next(&wheel).us > now / MS * MS);
    }
    while (wheel_pop(&wheel, at(41 * S)) != NULL) {
        fired++;
    }
    assert_int_equal(fired, N);
    assert_int_equal(wheel.entries, 0);
    mem_free(entries);
}

static void a_full_slot_is_moved_down_in_small_steps(void **state)
{
    /* All in one slot of the third level, due in one millisecond: a wheel that cascades would move all at
     * once. */
    enum { N = 20000, FAR = 1024, NEAR = 4096 };
    struct wheel_entry *entries = mem_zalloc(N * sizeof entries[0]);
    wheel_init(&wheel, at(0));
    for (int i = 0; i < N; i++) {
        wheel_start(&wheel, &entries[i], at(70 * S));
    }
    int steps = 0;
    while (wheel_next(&wheel).us < 70 * S) {
        int64_t next = wheel_next(&wheel).us;
        assert_true(next > (int64_t)wheel.tick * MS);
        assert_null(wheel_pop(&wheel, at(next)));
        steps++;
    }
    /* Three moves of each entry; but the first step of each may be larger, since more time has passed. */
    assert_in_range(steps, 2 * N / FAR + N / NEAR - 3 * 4, 2 * N / FAR + N / NEAR + 3);
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(wheel_pop(&wheel, at(70 * S)), &entries[i]);
    }
    mem_free(entries);
}

static void a_slot_that_was_not_drained_in_time_is_drained_before_time_enters_it(void **state)
{
    /* More in one slot than one call moves; then one that is started directly for the slot's first
     * millisecond. */
    enum { N = 20000 };
    struct wheel_entry *entries = mem_zalloc(N * sizeof entries[0]);
    struct wheel_entry last = {0};
    wheel_init(&wheel, at(0));
    for (int i = 0; i < N; i++) {
        wheel_start(&wheel, &entries[i], at(64 * MS));
    }
    assert_null(wheel_pop(&wheel, at(32 * MS)));
    assert_true(wheel.busy[1] != 0);
    wheel_start(&wheel, &last, at(64 * MS));
    for (int i = 0; i < N; i++) {
        assert_ptr_equal(wheel_pop(&wheel, at(64 * MS)), &entries[i]);
    }
    assert_ptr_equal(wheel_pop(&wheel, at(64 * MS)), &last);
    assert_null(wheel_pop(&wheel, at(DAY)));
    mem_free(entries);
}

static void a_crowd_is_moved_in_portions_however_late_it_is(void **state)
{
    /* All due in one millisecond, far ahead, and time comes there in one leap. */
    enum { N = 300000, MOST = 50000 };
    struct wheel_entry *entries = mem_zalloc(N * sizeof entries[0]);
    wheel_init(&wheel, at(0));
    for (int i = 0; i < N; i++) {
        wheel_start(&wheel, &entries[i], at(100 * S));
    }
    int portions = 0;
    struct wheel_entry *entry = NULL;
    struct wheel_entry *first = entries;
    while ((entry = wheel_pop(&wheel, at(200 * S))) == NULL) {
        assert_true(wheel_next(&wheel).us <= at(200 * S).us); /* or nobody would come back */
        portions++;
    }
    assert_true(portions >= N / MOST);
    assert_ptr_equal(entry, first);
    for (int i = 1; i < N; i++) {
        assert_ptr_equal(wheel_pop(&wheel, at(200 * S)), &entries[i]);
    }
    assert_null(wheel_pop(&wheel, at(DAY)));
    mem_free(entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_fires_at_its_millisecond_and_never_before_it),
        cmocka_unit_test(a_timer_started_in_the_past_fires_at_the_next_advance),
        cmocka_unit_test(starting_again_moves_a_timer_and_never_stops_it),
        cmocka_unit_test(stopping_a_stopped_timer_does_nothing),
        cmocka_unit_test(a_clock_that_goes_back_fires_nothing_early),
        cmocka_unit_test(timers_of_one_millisecond_fire_in_the_order_of_their_starts),
        cmocka_unit_test(next_is_never_after_the_earliest_timer_and_exact_when_it_is_near),
        cmocka_unit_test(it_does_what_a_sorted_list_does),
        cmocka_unit_test(times_beyond_the_top_level_fire_when_they_should),
        cmocka_unit_test(a_million_timers_all_fire_in_order_and_once),
        cmocka_unit_test(a_full_slot_is_moved_down_in_small_steps),
        cmocka_unit_test(a_slot_that_was_not_drained_in_time_is_drained_before_time_enters_it),
        cmocka_unit_test(a_crowd_is_moved_in_portions_however_late_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
