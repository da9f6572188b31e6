/* Resignations. */
#include "rig.h"

#include "core/quorum/fault.h"

static void a_resignation_counts_when_a_quorum_is_closed_to_the_tenure(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESIGN)->token, 900);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESIGN)->owner.clock, 0);
    rig_reply(rig, 0, R(OK, .token = 900));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(rig->last_event, ACTION_RESIGNED);
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(OK, .token = 900));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void who_does_not_hold_it_is_told_not_found(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(NO, .name = STR("b"), .token = 950));
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(NONE, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    assert_int_equal(rig->events, 0);
    rig_free(rig);
}

static void a_token_learnt_from_one_node_closes_those_without_a_lease_too(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 11: a repair of this tenure may still be under way to them */
    struct ask a = {0};
    rig_resign(rig, &a, "a", 0);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(NONE, ));
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.done, 0);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESIGN)->token, 900);
    assert_true(rig_expect(rig, 0, QUORUM_RESIGN)->force);
    rig_reply(rig, 0, R(NONE, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void anothers_bare_lease_settles_nothing_until_the_fence_behind_it_is_raised(void **state)
{
    struct rig *rig = rig_new(3); /* its candidate may lose and take it back, and then a repair arrives */
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(OK, .token = 900));
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(NO, .name = STR("d"), .token = 0));
    assert_int_equal(a.done, 0);
    assert_true(rig_expect(rig, 2, QUORUM_RESIGN)->force);
    assert_int_equal(rig_expect(rig, 2, QUORUM_RESIGN)->token, 900);
    rig_reply(rig, 2, R(NO, .name = STR("d"), .token = 0));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void anothers_tenure_settles_it_if_it_is_later(void **state)
{
    for (uint64_t token = 850; token <= 950; token += 100) {
        struct rig *rig = rig_new(3);
        struct ask a = {0};
        rig_resign(rig, &a, "a", 900);
        rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(OK, .token = 900));
        rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(NO, .name = STR("d"), .token = token));
        assert_int_equal(a.done, token > 900 ? 1 : 0);
        rig_expect_nothing(rig, 1); /* its fence is its leader's */
        rig_free(rig);
    }
}

static void a_token_that_a_client_made_up_moves_no_fence(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_resign(rig, &a, "a", (UINT64_C(1) << 53) - 1);
    assert_false(rig_expect(rig, 0, QUORUM_RESIGN)->force);
    rig_exchange(rig, 0, 2, QUORUM_RESIGN, R(NONE, ));
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    rig_expect_nothing(rig, 0);
    rig_free(rig);
}

static void the_same_token_under_another_owner_still_stands(void **state)
{
    struct rig *rig = rig_new(3);
    struct quorum_session session = {.owner = {1000, 7}};
    struct ask a = {.request = {.op = OP_RESIGN, .candidate = STR_INIT("a"), .token = 900}};
    rig_submit(rig, &a, &session);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(OK, .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(NO, .name = STR("a"), .token = 900));
    assert_int_equal(a.done, 0); /* the third one may hold it too */
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void a_session_resigns_only_what_its_owner_holds(void **state)
{
    struct rig *rig = rig_new(3);
    struct quorum_session session = {.owner = {1000, 7}};
    struct ask a = {.request = {.op = OP_RESIGN, .candidate = STR_INIT("a"), .token = 900}};
    rig_submit(rig, &a, &session);
    assert_true(quorum_owner_is(rig_expect(rig, 0, QUORUM_RESIGN)->owner, session.owner));
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESIGN)->token, 900);
    rig_free(rig);
}

static void the_fault_resign_any_token_forgets_the_conditions(void **state)
{
    struct rig *rig = rig_new(3);
    const struct quorum_faults faults = {.resign_any_token = true};
    rig_set_faults(rig, &faults);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESIGN)->token, 0);
    rig_free(rig);
}

static void what_a_recovering_node_does_not_hold_is_no_evidence(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(NONE, ));
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(NONE, ));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void the_own_name_without_a_tenure_settles_nothing(void **state)
{
    struct rig *rig = rig_new(3); /* the claim for it may still be under way to this node */
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(OK, .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_RESIGN, R(NO, .name = STR("a"), .token = 0));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void a_node_that_answers_late_is_told_the_token_all_the_same(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 11: a repair under way to it must find a fence */
    struct ask a = {0};
    rig_resign(rig, &a, "a", 0);
    rig_exchange(rig, 0, 1, QUORUM_RESIGN, R(OK, .token = 900));
    assert_int_equal(a.done, 1);
    rig_exchange(rig, 2, 2, QUORUM_RESIGN, R(NONE, ));
    assert_int_equal(rig_expect(rig, 2, QUORUM_RESIGN)->token, 900);
    assert_true(rig_expect(rig, 2, QUORUM_RESIGN)->force);
    rig_reply(rig, 2, R(NONE, ));
    rig_expect_nothing(rig, 2);
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void too_few_answers_leave_it_undecided(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_exchange(rig, 0, 0, QUORUM_RESIGN, R(OK, .token = 900));
    rig_exchange(rig, 1, 2, QUORUM_RESIGN, R(FAILED, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void silence_is_answered_at_the_deadline(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_resign(rig, &a, "a", 900);
    rig_expect(rig, 0, QUORUM_RESIGN);
    rig_advance_ms(rig, RIG_TIMEOUT_MS);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resignation_counts_when_a_quorum_is_closed_to_the_tenure),
        cmocka_unit_test(who_does_not_hold_it_is_told_not_found),
        cmocka_unit_test(a_token_learnt_from_one_node_closes_those_without_a_lease_too),
        cmocka_unit_test(anothers_bare_lease_settles_nothing_until_the_fence_behind_it_is_raised),
        cmocka_unit_test(anothers_tenure_settles_it_if_it_is_later),
        cmocka_unit_test(a_token_that_a_client_made_up_moves_no_fence),
        cmocka_unit_test(the_same_token_under_another_owner_still_stands),
        cmocka_unit_test(a_session_resigns_only_what_its_owner_holds),
        cmocka_unit_test(the_fault_resign_any_token_forgets_the_conditions),
        cmocka_unit_test(what_a_recovering_node_does_not_hold_is_no_evidence),
        cmocka_unit_test(the_own_name_without_a_tenure_settles_nothing),
        cmocka_unit_test(a_node_that_answers_late_is_told_the_token_all_the_same),
        cmocka_unit_test(too_few_answers_leave_it_undecided),
        cmocka_unit_test(silence_is_answered_at_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
