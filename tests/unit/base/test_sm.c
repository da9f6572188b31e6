#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/sm.h"
#include "helpers.h"

/* idle -> busy <-> paused, busy -> done */
enum { IDLE, BUSY, PAUSED, DONE };

static const struct sm_state table[] = {
    [IDLE] = {"idle", SM_TO(BUSY), false},
    [BUSY] = {"busy", SM_TO(PAUSED) | SM_TO(DONE), false},
    [PAUSED] = {"paused", SM_TO(BUSY), false},
    [DONE] = {"done", 0, true},
};

static void it_moves_along_its_table(void **state)
{
    struct sm sm;
    sm_init(&sm, table, ARRAY_LENGTH(table), IDLE);
    assert_int_equal(sm_now(&sm), IDLE);
    assert_string_equal(sm_name(&sm), "idle");
    static const unsigned way[] = {BUSY, PAUSED, BUSY, DONE};
    for (size_t i = 0; i < ARRAY_LENGTH(way); i++) {
        sm_move(&sm, way[i]);
        assert_int_equal(sm_now(&sm), way[i]);
    }
    assert_string_equal(sm_name(&sm), "done");
}

struct move {
    unsigned from;
    unsigned to;
};

static void make_move(void *arg)
{
    const struct move *move = arg;
    struct sm sm;
    sm_init(&sm, table, ARRAY_LENGTH(table), move->from);
    sm_move(&sm, move->to);
}

static void a_move_that_is_not_in_the_table_ends_the_process_and_names_it(void **state)
{
    static const struct {
        struct move move;
        const char *words;
    } rows[] = {
        {{IDLE, DONE}, "from idle to done"},     {{IDLE, IDLE}, "from idle to idle"},
        {{DONE, BUSY}, "from done to busy"},     {{BUSY, 4}, "from busy to (no state)"},
        {{BUSY, 77}, "from busy to (no state)"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf words = BUF_EMPTY;
        struct move move = rows[i].move;
        assert_true(died_by(run_in_child(make_move, &move, &words), SIGABRT));
        assert_non_null(strstr(words.p, rows[i].words));
        buf_fini(&words);
    }
}

static void a_sound_table_is_told_from_others(void **state)
{
    assert_true(sm_table_is_sound(table, ARRAY_LENGTH(table), IDLE));
    assert_false(sm_table_is_sound(table, ARRAY_LENGTH(table), BUSY)); /* idle can't be reached */
    assert_false(sm_table_is_sound(table, 3, IDLE));                   /* busy goes beyond the table */
    assert_false(sm_table_is_sound(table, ARRAY_LENGTH(table), 4));
    assert_false(sm_table_is_sound(table, 0, 0));
    static const struct sm_state dead_end[] = {{"a", SM_TO(1), false}, {"b", 0, false}};
    assert_false(sm_table_is_sound(dead_end, 2, 0));
    static const struct sm_state final_goes_on[] = {{"a", SM_TO(1), false}, {"b", SM_TO(0), true}};
    assert_false(sm_table_is_sound(final_goes_on, 2, 0));
    static const struct sm_state nameless[] = {{NULL, 0, true}};
    assert_false(sm_table_is_sound(nameless, 1, 0));
}

static void a_table_may_have_thirty_two_states(void **state)
{
    struct sm_state ring[33];
    for (unsigned i = 0; i < 33; i++) {
        ring[i] = (struct sm_state){"x", SM_TO((i + 1) % 32), false};
    }
    assert_true(sm_table_is_sound(ring, 32, 0));
    assert_false(sm_table_is_sound(ring, 33, 0));
    struct sm sm;
    sm_init(&sm, ring, 32, 31);
    sm_move(&sm, 0);
    assert_int_equal(sm_now(&sm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_moves_along_its_table),
        cmocka_unit_test(a_move_that_is_not_in_the_table_ends_the_process_and_names_it),
        cmocka_unit_test(a_sound_table_is_told_from_others),
        cmocka_unit_test(a_table_may_have_thirty_two_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
