/* Extensions: success, refill, repair, and each way to fail. */
#include "rig.h"

#include <string.h>

#include "core/quorum/fault.h"

static struct quorum_owner looked(struct rig *rig, unsigned node)
{
    return rig_expect(rig, node, QUORUM_LOOK)->owner;
}

static void one_token_on_a_quorum_is_success(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.request.tenure.token, 900);
    assert_string_equal(a.leader, "a");
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void equal_extensions_are_asked_once(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask equal = {0};
    struct ask longer = {.request.term_ms = RIG_TERM_MS + 1};
    struct ask unnamed = {0};
    struct ask late = {0};
    char name[] = "a";
    rig_extend(rig, &a, "a", 900);
    rig_extend(rig, &equal, name, 900);
    rig_extend(rig, &longer, "a", 900);
    rig_extend(rig, &unnamed, "a", 0);
    assert_int_equal(rig->n_out[0], 3);
    struct quorum_owner owner = looked(rig, 0);
    rig_extend(rig, &late, "a", 900); /* the look may have reached a node */
    assert_int_equal(rig->n_out[0], 4);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.done + equal.done, 2);
    assert_int_equal(equal.request.err, EA_OK);
    assert_int_equal(equal.request.tenure.token, 900);
    assert_ptr_equal(equal.request.tenure.leader.p, name); /* nothing of another request */
    assert_int_equal(longer.done + unnamed.done + late.done, 0);
    rig_free(rig);
}

static void a_session_extends_for_itself(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask session = {0};
    rig_extend(rig, &a, "a", 900);
    session.request = (struct election_request){.op = OP_EXTEND, .candidate = STR("a"), .token = 900};
    rig_submit(rig, &session, &session.session);
    assert_int_equal(rig->n_out[0], 2);
    rig_free(rig);
}

static void a_node_that_lacks_the_lease_is_repaired_afterwards(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(MISSING, .fence = 3));
    struct quorum_command *repair = rig_expect(rig, 2, QUORUM_REPAIR);
    assert_true(repair->force);
    assert_int_equal(repair->token, 900);
    assert_true(quorum_owner_is(repair->owner, owner));
    rig_reply(rig, 2, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_late_repair_is_not_sent_when_the_validity_is_over(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {.request.term_ms = 1000};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_expect(rig, 2, QUORUM_LOOK);
    rig_advance_ms(rig, 1000);
    rig_reply(rig, 2, R(MISSING, .fence = 3));
    rig_expect_nothing(rig, 2);
    rig_free(rig);
}

static void a_node_that_did_not_answer_is_not_repaired(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(FAILED, ));
    rig_expect_nothing(rig, 2);
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_bare_lease_of_a_loser_is_never_overwritten(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OTHER, .name = STR("b")));
    rig_expect_nothing(rig, 2);
    rig_free(rig);
}

static void a_thinned_tenure_is_refilled_in_the_same_operation(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(MISSING, .fence = 900));
    struct quorum_command *repair = rig_expect(rig, 1, QUORUM_REPAIR);
    assert_false(repair->force);
    assert_int_equal(repair->token, 900);
    assert_int_equal(a.done, 0);
    rig_reply(rig, 1, R(OK, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.request.tenure.token, 900);
    rig_free(rig);
}

static void nothing_is_refilled_where_a_later_tenure_has_been(void **state)
{
    struct rig *rig = rig_new(3); /* F > token: somebody else was elected meanwhile */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .expires_ms = 4711));
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(MISSING, .fence = 901));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESTORE_EXPIRY)->expires_ms, 4711);
    rig_expect_nothing(rig, 1);
    rig_free(rig);
}

static void a_token_that_nobody_named_is_not_refilled(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 12: what a dead agent claimed on one node was never granted */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 0);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(MISSING, .fence = 0));
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void what_this_agent_saw_a_quorum_hold_is_refilled_without_a_named_token(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask first = {0};
    rig_extend(rig, &first, "a", 0);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(first.request.err, EA_OK);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 0);
    owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(MISSING, .fence = 0));
    rig_exchange(rig, 1, 1, QUORUM_REPAIR, R(OK, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void a_recovering_node_without_the_lease_is_no_evidence(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(MISSING, ));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(MISSING, .fence = 5000));
    assert_int_equal(a.done, 0); /* two missing, but one may have forgotten */
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(FAILED, ));
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void a_recovering_node_counts_when_it_holds_that_very_token(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.done, 1);
    rig_free(rig);
}

static void a_recovering_node_is_repaired_under_the_marker_that_was_seen(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(AMNESIAC, ));
    assert_int_equal(rig_expect(rig, 2, QUORUM_REPAIR)->nonce, 77);
    rig_free(rig);
}

static void anothers_committed_name_on_a_quorum_is_already_exists(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OTHER, .name = STR("b"), .committed = true, .token = 950));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_HELD);
    assert_string_equal(a.leader, "b");
    assert_int_equal(a.request.tenure.token, 950);
    rig_free(rig);
}

static void bare_leases_of_losers_on_a_quorum_take_nothing_from_a_leader(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 10 */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OTHER, .name = STR("b")));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void another_tenure_of_the_same_name_is_already_exists(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 950, .owner = owner, .expires_ms = 4711));
    assert_int_equal(a.request.err, EA_HELD);
    assert_string_equal(a.leader, "a");
    assert_int_equal(a.request.tenure.token, 950);
    /* A refused request changes nothing. */
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESTORE_EXPIRY)->expires_ms, 4711);
    rig_free(rig);
}

static void missing_on_a_quorum_is_not_found(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(MISSING, .fence = 901));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void not_found_waits_for_an_answer_that_could_still_refill(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 2);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(MISSING, .fence = 900));
    assert_int_equal(a.done, 0);
    rig_reply(rig, 2, R(OK, .token = 900, .owner = owner));
    rig_exchange(rig, 0, 0, QUORUM_REPAIR, R(OK, ));
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.done, 1);
    rig_free(rig);
}

static void not_found_at_the_deadline_when_the_last_answer_never_came(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(MISSING, .fence = 900));
    rig_expect(rig, 2, QUORUM_LOOK);
    rig_advance_ms(rig, RIG_TIMEOUT_MS);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void without_a_majority_the_store_cannot_decide(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 0);
    rig_cut(rig, 1);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(MISSING, .fence = 0));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    assert_true(a.request.why.n > 0);
    rig_free(rig);
}

static void an_unary_extension_that_meets_a_greater_owner_looks_once_more(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner greater = {looked(rig, 0).clock + 99, 3};
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = greater));
    struct quorum_owner owner = looked(rig, 0);
    assert_true(quorum_owner_cmp(owner, greater) > 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.done, 1);
    rig_free(rig);
}

static void what_was_promised_between_two_looks_is_not_taken_back(void **state)
{
    struct rig *rig =
        rig_new(3); /* another operation was answered with what the second look finds (seed 43399) */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    struct quorum_owner greater = {owner.clock + 99, 3};
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .expires_ms = 4711));
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = greater, .expires_ms = 4711));
    owner = looked(rig, 0);
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .expires_ms = 9000));
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(MISSING, .fence = 901));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    assert_int_equal(rig_expect(rig, 0, QUORUM_RESTORE_EXPIRY)->expires_ms, 9000);
    rig_free(rig);
}

static void a_session_that_meets_a_greater_owner_has_moved_and_puts_nothing_back(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 4 */
    struct quorum_session session = {.owner = {1000, 7}};
    struct ask a = {.request = {.op = OP_EXTEND, .candidate = STR_INIT("a"), .token = 900}};
    rig_submit(rig, &a, &session);
    assert_true(quorum_owner_is(looked(rig, 0), session.owner));
    struct quorum_owner greater = {2000, 3};
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = greater));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_HELD);
    assert_true(session.moved);
    rig_expect_nothing(rig, 0);
    rig_free(rig);
}

static void a_session_reopened_here_takes_a_new_owner_when_a_quorum_has_its_token(void **state)
{
    struct rig *rig = rig_new(3);
    struct quorum_session session = {0};
    struct ask a = {.request = {.op = OP_EXTEND, .candidate = STR_INIT("a"), .token = 900}};
    rig_submit(rig, &a, &session);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_OK);
    assert_true(quorum_owner_is(session.owner, owner));
    rig_free(rig);
}

static void an_answer_that_comes_too_late_for_any_validity_is_no_success(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {.request.term_ms = 1000};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 0);
    rig_expect(rig, 1, QUORUM_LOOK);
    rig->now.mono = mono_add_ms(rig->now.mono, 990);
    rig_reply(rig, 0, R(OK, .token = 900, .owner = owner));
    rig_reply(rig, 1, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void a_number_beyond_the_range_of_tokens_is_not_believed(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 0);
    struct quorum_owner owner = looked(rig, 0);
    rig_exchange(rig, 0, 2, QUORUM_LOOK, R(OK, .token = UINT64_C(1) << 53, .owner = owner));
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void a_foreign_lease_on_a_quorum_is_held_by_another(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OTHER, .name = STR("foreign")));
    assert_int_equal(a.done, 0); /* the third may hold the token */
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OTHER, .name = STR("foreign")));
    assert_int_equal(a.request.err, EA_HELD);
    assert_string_equal(a.leader, "foreign");
    rig_free(rig);
}

static void a_leader_does_not_lose_by_losers_transient_leases(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 10 */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    struct quorum_owner owner = looked(rig, 2);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OTHER, .name = STR("loser")));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void a_leader_does_not_lose_by_them_while_a_node_is_silent(void **state)
{
    struct rig *rig = rig_new(3); /* it may hold the token (seed 1147538) */
    struct ask a = {0};
    rig_extend(rig, &a, "a", 900);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OTHER, .name = STR("loser")));
    rig_cut(rig, 2);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static struct quorum_hello another_server(const struct rig *rig, unsigned node)
{
    struct quorum_hello hello = rig->hello[node];
    hello.run_id[0] = 'X';
    return hello;
}

static void what_a_slots_new_server_lacks_is_no_evidence(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct quorum_hello hello = another_server(rig, 1);
    rig_extend(rig, &a, "a", 900);
    quorum_node_moved(rig->quorum, rig->now, 1, &hello);
    assert_int_equal(quorum_node_state(rig->quorum, 1), QUORUM_NODE_CHECKING);
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(MISSING, ));
    assert_int_equal(a.done, 0); /* one node with memory lacks it, not two */
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(MISSING, ));
    assert_int_equal(a.request.err, EA_NOT_FOUND);
    rig_free(rig);
}

static void what_a_slots_new_server_holds_counts(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct quorum_hello hello = another_server(rig, 1);
    rig_extend(rig, &a, "a", 900);
    quorum_node_moved(rig->quorum, rig->now, 1, &hello);
    struct quorum_owner owner = rig_expect(rig, 1, QUORUM_LOOK)->owner;
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void a_slots_new_server_is_looked_at_before_it_votes(void **state)
{
    struct rig *rig = rig_new(3);
    struct quorum_hello hello = another_server(rig, 1);
    quorum_node_moved(rig->quorum, rig->now, 1, &hello);
    assert_int_equal(quorum_node_state(rig->quorum, 1), QUORUM_NODE_CHECKING);
    rig_expect(rig, 1, QUORUM_NODE_READ);
    memcpy(rig->marker[1].run_id, hello.run_id, sizeof hello.run_id);
    rig->marker[1].nonce = 77; /* another agent met it before */
    rig_serve_nodes(rig);
    assert_int_equal(quorum_node_state(rig->quorum, 1), QUORUM_NODE_RECOVERING);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_token_on_a_quorum_is_success),
        cmocka_unit_test(equal_extensions_are_asked_once),
        cmocka_unit_test(a_session_extends_for_itself),
        cmocka_unit_test(a_node_that_lacks_the_lease_is_repaired_afterwards),
        cmocka_unit_test(a_late_repair_is_not_sent_when_the_validity_is_over),
        cmocka_unit_test(a_node_that_did_not_answer_is_not_repaired),
        cmocka_unit_test(a_bare_lease_of_a_loser_is_never_overwritten),
        cmocka_unit_test(a_thinned_tenure_is_refilled_in_the_same_operation),
        cmocka_unit_test(nothing_is_refilled_where_a_later_tenure_has_been),
        cmocka_unit_test(a_token_that_nobody_named_is_not_refilled),
        cmocka_unit_test(what_this_agent_saw_a_quorum_hold_is_refilled_without_a_named_token),
        cmocka_unit_test(a_recovering_node_without_the_lease_is_no_evidence),
        cmocka_unit_test(a_recovering_node_counts_when_it_holds_that_very_token),
        cmocka_unit_test(a_recovering_node_is_repaired_under_the_marker_that_was_seen),
        cmocka_unit_test(anothers_committed_name_on_a_quorum_is_already_exists),
        cmocka_unit_test(bare_leases_of_losers_on_a_quorum_take_nothing_from_a_leader),
        cmocka_unit_test(another_tenure_of_the_same_name_is_already_exists),
        cmocka_unit_test(missing_on_a_quorum_is_not_found),
        cmocka_unit_test(not_found_waits_for_an_answer_that_could_still_refill),
        cmocka_unit_test(not_found_at_the_deadline_when_the_last_answer_never_came),
        cmocka_unit_test(without_a_majority_the_store_cannot_decide),
        cmocka_unit_test(an_unary_extension_that_meets_a_greater_owner_looks_once_more),
        cmocka_unit_test(what_was_promised_between_two_looks_is_not_taken_back),
        cmocka_unit_test(a_session_that_meets_a_greater_owner_has_moved_and_puts_nothing_back),
        cmocka_unit_test(a_session_reopened_here_takes_a_new_owner_when_a_quorum_has_its_token),
        cmocka_unit_test(an_answer_that_comes_too_late_for_any_validity_is_no_success),
        cmocka_unit_test(a_number_beyond_the_range_of_tokens_is_not_believed),
        cmocka_unit_test(what_a_slots_new_server_lacks_is_no_evidence),
        cmocka_unit_test(what_a_slots_new_server_holds_counts),
        cmocka_unit_test(a_slots_new_server_is_looked_at_before_it_votes),
        cmocka_unit_test(a_foreign_lease_on_a_quorum_is_held_by_another),
        cmocka_unit_test(a_leader_does_not_lose_by_losers_transient_leases),
        cmocka_unit_test(a_leader_does_not_lose_by_them_while_a_node_is_silent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
