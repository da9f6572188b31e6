/* The history of an election. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "book_rig.h"

static void info_tells_the_history_oldest_first(void **state)
{
    struct bench *b = *state;
    assert_int_equal(op(b, OP_INFO, "")->err, EA_NOT_FOUND);
    campaign(b, "a");
    assert_int_equal(op(b, OP_INFO, "")->info.n_events, 1);
    op(b, OP_HANDOVER, "b");
    op(b, OP_RESIGN, "b");
    campaign(b, "c");
    struct election_request *r = op(b, OP_INFO, "");
    static const enum election_action actions[] = {ACTION_ELECTED, ACTION_HANDED_OVER, ACTION_RESIGNED,
                                                   ACTION_ELECTED};
    static const char *const leaders[] = {"a", "b", "b", "c"};
    static const char *const previous[] = {"", "a", "", "b"};
    assert_int_equal(r->info.n_events, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(r->info.events[i].action, actions[i]);
        assert_true(str_eq(r->info.events[i].leader, str_of(leaders[i])));
        assert_true(str_eq(r->info.events[i].previous, str_of(previous[i])));
        assert_true(str_eq(r->info.events[i].election, STR("e")));
        assert_true(str_eq(r->info.events[i].kind, STR("default")));
    }
}

static void the_last_hundred_events_are_kept(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 120; i++) {
        campaign(b, i % 2 == 0 ? "a" : "b");
        op(b, OP_RESIGN, i % 2 == 0 ? "a" : "b");
    }
    assert_int_equal(op(b, OP_INFO, "")->info.n_events, 100);
    uint64_t token = campaign(b, "c")->tenure.token;
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_events, 100);
    assert_true(r->info.events[99].token == token);
    assert_int_equal(r->info.events[0].action, ACTION_RESIGNED);
    for (size_t i = 1; i < 100; i++) {
        assert_true(r->info.events[i].token >= r->info.events[i - 1].token);
    }
}

static void the_leader_before_a_restored_handover_is_remembered(void **state)
{
    struct bench *b = *state;
    struct book_record record = record_of("e", "a", 77);
    assert_true(book_restore(b->book, b->clock.mono, &record));
    op(b, OP_HANDOVER, "b");
    assert_string_equal(b->told.text, "keep default e b 10000\nhanded_over e b (a)\n");
    struct election_request *r = op(b, OP_INFO, "");
    assert_int_equal(r->info.n_events, 1);
    assert_true(str_eq(r->info.events[0].previous, STR("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(info_tells_the_history_oldest_first),
        HOLDS(the_last_hundred_events_are_kept),
        HOLDS(the_leader_before_a_restored_handover_is_remembered),
    };
    return cmocka_run_group_tests_name("book events", tests, NULL, NULL);
}
