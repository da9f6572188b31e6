/* Reads. */
#include "rig.h"

static void a_quorum_of_equal_names_is_the_leader(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 0, 1, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = 500));
    assert_int_equal(g.done, 1);
    assert_int_equal(g.request.err, EA_OK);
    assert_string_equal(g.leader, "a");
    assert_int_equal(g.request.tenure.token, 900);
    assert_int_equal(g.request.tenure.expires.us, rig->now.mono.us + 500000);
    rig_free(rig);
}

static void the_token_is_0_unless_a_quorum_agrees_on_it(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 19: a foreign agent's plain lease */
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = -1));
    rig_exchange(rig, 1, 1, QUORUM_READ, R(NAME, .name = STR("a"), .token = 0, .left_ms = -1));
    assert_string_equal(g.leader, "a");
    assert_int_equal(g.request.tenure.token, 0);
    assert_int_equal(g.request.tenure.expires.us, 0);
    rig_free(rig);
}

static void nobody_leads_when_no_name_can_have_a_quorum(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NONE, ));
    assert_int_equal(g.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_READ, R(NONE, ));
    assert_int_equal(g.done, 1);
    assert_int_equal(g.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void a_name_that_the_silent_node_could_complete_leaves_it_undecided(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_READ, R(NONE, ));
    assert_int_equal(g.request.err, EA_UNAVAILABLE);
    assert_int_equal(g.done, 1);
    rig_free(rig);
}

static void what_a_recovering_node_does_not_hold_is_no_evidence(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 2, 2, QUORUM_READ, R(NONE, ));
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NONE, ));
    assert_int_equal(g.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_READ, R(NONE, ));
    assert_int_equal(g.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void a_tenure_without_a_quorum_is_read_once_more_before_nobody_leads(void **state)
{
    for (int refilled = 0; refilled < 2; refilled++) {
        struct rig *rig = rig_new(3); /* node 1 was read, then the tenure moved there from node 2 */
        struct ask g = {0};
        rig_read(rig, &g);
        rig_exchange(rig, 0, 0, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = -1));
        rig_exchange(rig, 1, 2, QUORUM_READ, R(NONE, ));
        assert_int_equal(g.done, 0);
        rig_exchange(rig, 0, 0, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = -1));
        rig_exchange(rig, 2, 2, QUORUM_READ, R(NONE, ));
        if (refilled) {
            rig_exchange(rig, 1, 1, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = -1));
            assert_int_equal(g.request.err, EA_OK);
            assert_string_equal(g.leader, "a");
        } else {
            rig_exchange(rig, 1, 1, QUORUM_READ, R(NONE, ));
            assert_int_equal(g.request.err, EA_NOT_FOUND);
        }
        rig_free(rig);
    }
}

static void a_node_that_says_it_is_amnesiac_is_no_evidence(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {0};
    rig_read(rig, &g);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(AMNESIAC, ));
    rig_exchange(rig, 1, 1, QUORUM_READ, R(NONE, ));
    rig_exchange(rig, 2, 2, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900, .left_ms = -1));
    assert_int_equal(g.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void equal_reads_that_are_not_sent_yet_are_asked_once(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {0};
    struct ask second = {0};
    struct ask late = {0};
    rig_read(rig, &g);
    rig_read(rig, &second);
    assert_int_equal(rig->n_out[0], 1);
    rig_expect(rig, 0, QUORUM_READ); /* sent */
    rig_read(rig, &late);
    assert_int_equal(rig->n_out[0], 2);
    rig_exchange(rig, 0, 1, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900));
    assert_int_equal(g.done, 1);
    assert_int_equal(second.done, 1);
    assert_string_equal(second.leader, "a");
    assert_int_equal(late.done, 0);
    rig_exchange(rig, 0, 1, QUORUM_READ, R(NAME, .name = STR("a"), .token = 900));
    assert_int_equal(late.done, 1);
    rig_free(rig);
}

static void a_read_with_another_deadline_goes_alone(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {0};
    struct ask hasty = {.request.deadline = {1000000 + 50000}};
    rig_read(rig, &g);
    rig_read(rig, &hasty);
    assert_int_equal(rig->n_out[0], 2);
    rig_advance_ms(rig, 51);
    assert_int_equal(hasty.request.err, EA_UNAVAILABLE);
    assert_int_equal(hasty.done, 1);
    assert_int_equal(g.done, 0);
    rig_free(rig);
}

static void only_a_read_for_everything_known_asks_for_the_exact_expiry(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {.request.op = OP_INFO};
    rig_submit(rig, &g, NULL);
    assert_true(rig_expect(rig, 0, QUORUM_READ)->exact);
    struct ask plain = {0};
    rig_read(rig, &plain);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NONE, ));
    assert_false(rig_expect(rig, 0, QUORUM_READ)->exact);
    rig_free(rig);
}

static void a_request_that_comes_at_its_deadline_changes_nothing(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask g = {.request.deadline = {1000000}};
    rig_read(rig, &g);
    assert_int_equal(g.done, 1);
    assert_int_equal(g.request.err, EA_UNAVAILABLE);
    rig_expect_nothing(rig, 0);
    rig_free(rig);
}

static void a_read_waits_for_nodes_that_are_being_looked_at(void **state)
{
    struct rig *rig = rig_new(3); /* in cluster mode: the first question about a slot */
    struct ask a = {0};
    rig_cut(rig, 0);
    rig_cut(rig, 1);
    rig_connect(rig, 0);
    rig_read(rig, &a);
    assert_int_equal(a.done, 0);
    rig_expect_nothing(rig, 2);
    rig_serve_nodes(rig);
    rig_exchange(rig, 0, 0, QUORUM_READ, R(NAME, .name = STR("a"), .token = 7, .left_ms = -1));
    rig_exchange(rig, 2, 2, QUORUM_READ, R(NAME, .name = STR("a"), .token = 7, .left_ms = -1));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    assert_string_equal(a.leader, "a");
    rig_free(rig);
}

static void a_read_waits_in_vain_for_nodes_that_go_away(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_cut(rig, 0);
    rig_cut(rig, 1);
    rig_cut(rig, 2);
    rig_connect(rig, 0);
    rig_read(rig, &a);
    assert_int_equal(a.done, 0);
    rig_cut(rig, 0);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_of_equal_names_is_the_leader),
        cmocka_unit_test(the_token_is_0_unless_a_quorum_agrees_on_it),
        cmocka_unit_test(nobody_leads_when_no_name_can_have_a_quorum),
        cmocka_unit_test(a_name_that_the_silent_node_could_complete_leaves_it_undecided),
        cmocka_unit_test(what_a_recovering_node_does_not_hold_is_no_evidence),
        cmocka_unit_test(a_tenure_without_a_quorum_is_read_once_more_before_nobody_leads),
        cmocka_unit_test(a_node_that_says_it_is_amnesiac_is_no_evidence),
        cmocka_unit_test(equal_reads_that_are_not_sent_yet_are_asked_once),
        cmocka_unit_test(a_read_with_another_deadline_goes_alone),
        cmocka_unit_test(only_a_read_for_everything_known_asks_for_the_exact_expiry),
        cmocka_unit_test(a_request_that_comes_at_its_deadline_changes_nothing),
        cmocka_unit_test(a_read_waits_for_nodes_that_are_being_looked_at),
        cmocka_unit_test(a_read_waits_in_vain_for_nodes_that_go_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
