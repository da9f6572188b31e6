/* Each now and then, and all together so many a second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/throttle.h"

#define NOW ((struct mono){INT64_C(1000000000)})

static int set_up(void **state)
{
    *state = mem_zalloc(sizeof(struct throttle));
    return 0;
}

static int tear_down(void **state)
{
    mem_free(*state);
    return 0;
}

/* Two halves that differ, as those of a hash do. */
static uint64_t hash_of(uint64_t i)
{
    return i * UINT64_C(0x9e3779b97f4a7c15);
}

static void the_same_one_passes_again_after_a_while(void **state)
{
    struct throttle *throttle = *state;
    assert_true(throttle_pass(throttle, 7, NOW));
    assert_false(throttle_pass(throttle, 7, NOW));
    assert_false(throttle_pass(throttle, 7, mono_add_us(NOW, THROTTLE_AGAIN_MS * INT64_C(1000) - 1)));
    assert_true(throttle_pass(throttle, 7, mono_add_ms(NOW, THROTTLE_AGAIN_MS)));
    assert_false(throttle_pass(throttle, 7, mono_add_ms(NOW, THROTTLE_AGAIN_MS)));
    assert_true(throttle_pass(throttle, hash_of(8), mono_add_ms(NOW, THROTTLE_AGAIN_MS)));
}

static void a_burst_passes_and_then_one_at_a_time(void **state)
{
    struct throttle *throttle = *state;
    uint64_t i = 1;
    while (throttle_pass(throttle, hash_of(i), NOW)) {
        i++;
    }
    assert_int_equal(i, THROTTLE_BURST + 1);
    assert_false(throttle_pass(throttle, hash_of(i), mono_add_us(NOW, THROTTLE_GAP_US - 1)));
    assert_true(throttle_pass(throttle, hash_of(i), mono_add_us(NOW, THROTTLE_GAP_US)));
    assert_false(throttle_pass(throttle, hash_of(i + 1), mono_add_us(NOW, THROTTLE_GAP_US)));
}

static void time_without_any_gives_no_more_than_a_burst(void **state)
{
    struct throttle *throttle = *state;
    struct mono later = mono_add_ms(NOW, 3600000);
    unsigned passed = 0;
    assert_true(throttle_pass(throttle, 1, NOW));
    for (uint64_t i = 2; i < 1000; i++) {
        passed += throttle_pass(throttle, hash_of(i), later);
    }
    assert_int_equal(passed, THROTTLE_BURST);
}

static void a_steady_stream_of_others_makes_room_and_most_are_remembered(void **state)
{
    struct throttle *throttle = *state;
    unsigned forgotten = 0;
    for (uint64_t i = 1; i <= THROTTLE_MARKS / 2; i++) {
        assert_true(throttle_pass(throttle, hash_of(i), mono_add_us(NOW, (int64_t)i * THROTTLE_GAP_US)));
    }
    struct mono end = mono_add_us(NOW, THROTTLE_MARKS / 2 * THROTTLE_GAP_US);
    for (uint64_t i = 1; i <= THROTTLE_MARKS / 2; i++) {
        forgotten +=
            throttle_pass(throttle, hash_of(i), mono_add_us(end, (int64_t)i * THROTTLE_GAP_US / 1000));
    }
    assert_in_range(forgotten, 0, THROTTLE_MARKS / 8);
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(the_same_one_passes_again_after_a_while),
        HOLDS(a_burst_passes_and_then_one_at_a_time),
        HOLDS(time_without_any_gives_no_more_than_a_burst),
        HOLDS(a_steady_stream_of_others_makes_room_and_most_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
