/* Handovers: taken by a quorum, refused, repeated higher, and taken back. */
#include "rig.h"

static void a_handover_moves_the_election_in_one_round(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    struct quorum_command *command = rig_expect(rig, 0, QUORUM_HANDOVER);
    assert_true(str_eq(command->names->from, STR("a")));
    assert_int_equal(command->expect.token, 900);
    uint64_t token = command->token;
    rig_exchange(rig, 0, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    assert_int_equal(h.done, 1);
    assert_int_equal(h.request.err, EA_OK);
    assert_string_equal(h.leader, "b");
    assert_int_equal(h.request.tenure.token, token);
    assert_int_equal(rig->last_event, ACTION_HANDED_OVER);
    rig_exchange(rig, 2, 2, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    rig_expect_nothing(rig, 2);
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void an_override_tells_whom_it_replaced(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "", 0);
    rig_exchange(rig, 0, 0, QUORUM_HANDOVER, R(OK, ));
    rig_exchange(rig, 1, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    assert_int_equal(rig->last_event, ACTION_HANDED_OVER);
    assert_string_equal(rig->last_previous, "a");
    rig_free(rig);
}

static void a_handover_of_what_nobody_holds_is_an_election(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "", 0);
    rig_exchange(rig, 0, 0, QUORUM_HANDOVER, R(OK, ));
    rig_exchange(rig, 1, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"))); /* only stands */
    assert_int_equal(h.request.err, EA_OK);
    assert_int_equal(rig->last_event, ACTION_ELECTED);
    assert_string_equal(rig->last_previous, "");
    rig_free(rig);
}

static void a_node_that_refused_is_repaired_after_the_handover(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    rig_exchange(rig, 2, 2, QUORUM_HANDOVER, R(NO, ));
    assert_true(rig_expect(rig, 2, QUORUM_REPAIR)->force);
    rig_free(rig);
}

static void a_condition_that_does_not_hold_is_already_exists_with_the_holder(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 0);
    rig_exchange(rig, 0, 0, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 2, QUORUM_HANDOVER, R(NO, .name = STR("c"), .token = 950));
    assert_int_equal(h.done, 1);
    assert_int_equal(h.request.err, EA_HELD);
    assert_string_equal(h.leader, "c");
    assert_int_equal(h.request.tenure.token, 950);
    rig_exchange(rig, 0, 0, QUORUM_RESTORE, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_handover_that_reached_a_minority_is_taken_back(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 7 */
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    struct quorum_command *command = rig_expect(rig, 0, QUORUM_HANDOVER);
    struct quorum_claim placed = {command->token, command->owner};
    rig_reply(rig, 0, R(OK, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_HANDOVER, R(FAILED, ));
    rig_expect(rig, 2, QUORUM_HANDOVER);
    rig_advance_ms(rig, RIG_TIMEOUT_MS);
    assert_int_equal(h.request.err, EA_UNAVAILABLE);
    command = rig_expect(rig, 0, QUORUM_RESTORE);
    assert_int_equal(command->token, placed.token);
    assert_true(quorum_owner_is(command->owner, placed.owner));
    rig_reply(rig, 0, R(OK, ));
    /* The silent one is put back when its connection is back: its answer was lost. */
    rig_cut(rig, 2);
    rig_reconnect(rig, 2);
    rig_exchange(rig, 2, 2, QUORUM_RESTORE, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_token_too_low_is_put_back_and_handed_over_higher_once(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    uint64_t first = rig_expect(rig, 0, QUORUM_HANDOVER)->token;
    rig_exchange(rig, 0, 0, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 2, QUORUM_HANDOVER, R(LOW, .fence = first + 50));
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESTORE)->token, first);
    rig_reply(rig, 0, R(OK, )); /* then its condition holds again */
    assert_true(rig_expect(rig, 0, QUORUM_HANDOVER)->token > first + 50);
    assert_int_equal(rig_expect(rig, 0, QUORUM_HANDOVER)->expect.token, 900);
    rig_exchange(rig, 0, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    assert_int_equal(h.request.err, EA_OK);
    assert_int_equal(h.done, 1);
    assert_true(h.request.tenure.token > first + 50);
    rig_free(rig);
}

static void low_twice_is_given_up(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    rig_exchange(rig, 0, 2, QUORUM_HANDOVER, R(LOW, .fence = 1));
    rig_exchange(rig, 0, 2, QUORUM_HANDOVER, R(LOW, .fence = 1));
    assert_int_equal(h.done, 1);
    assert_int_equal(h.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void a_recovering_node_takes_no_part(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    rig_expect_nothing(rig, 2);
    rig_exchange(rig, 0, 1, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    assert_int_equal(h.request.err, EA_OK);
    rig_free(rig);
}

static void an_amnesiac_node_does_not_count(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask h = {0};
    rig_handover(rig, &h, "b", "a", 900);
    rig_exchange(rig, 0, 0, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_HANDOVER, R(AMNESIAC, ));
    assert_int_equal(quorum_node_state(rig->quorum, 1), QUORUM_NODE_CHECKING);
    assert_int_equal(h.done, 0);
    rig_exchange(rig, 2, 2, QUORUM_HANDOVER, R(OK, .name = STR("a"), .token = 900));
    assert_int_equal(h.request.err, EA_OK);
    rig_free(rig);
}

static void a_session_hands_over_only_what_it_holds(void **state)
{
    struct rig *rig = rig_new(3);
    struct quorum_session session = {.owner = {1000, 7}};
    struct ask h = {
        .request = {.op = OP_HANDOVER, .candidate = STR_INIT("b"), .from = STR_INIT("a"), .token = 900}};
    rig_submit(rig, &h, &session);
    struct quorum_command *command = rig_expect(rig, 0, QUORUM_HANDOVER);
    assert_true(quorum_owner_is(command->expect.owner, session.owner));
    assert_false(quorum_owner_is(command->owner, session.owner)); /* the new tenure has its own */
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handover_moves_the_election_in_one_round),
        cmocka_unit_test(an_override_tells_whom_it_replaced),
        cmocka_unit_test(a_handover_of_what_nobody_holds_is_an_election),
        cmocka_unit_test(a_node_that_refused_is_repaired_after_the_handover),
        cmocka_unit_test(a_condition_that_does_not_hold_is_already_exists_with_the_holder),
        cmocka_unit_test(a_handover_that_reached_a_minority_is_taken_back),
        cmocka_unit_test(a_token_too_low_is_put_back_and_handed_over_higher_once),
        cmocka_unit_test(low_twice_is_given_up),
        cmocka_unit_test(a_recovering_node_takes_no_part),
        cmocka_unit_test(an_amnesiac_node_does_not_count),
        cmocka_unit_test(a_session_hands_over_only_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
