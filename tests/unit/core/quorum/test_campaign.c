/* Campaigns: every branch as a scripted exchange with three nodes. */
#include "rig.h"

#include <string.h>

#include "core/quorum/fault.h"

static struct quorum_owner owner_of(const struct quorum_command *command)
{
    return command->owner;
}

/* Sets and claims everywhere; returns the token. */
static uint64_t elect(struct rig *rig, struct ask *ask, const char *who)
{
    rig_campaign(rig, ask, who);
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    uint64_t token = rig_expect(rig, 0, QUORUM_CLAIM)->token;
    rig_exchange(rig, 0, 2, QUORUM_CLAIM, R(OK, ));
    assert_int_equal(ask->done, 1);
    assert_true(ask->request.elected);
    return token;
}

static void a_candidate_is_elected_when_a_quorum_took_its_claim(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    struct quorum_command *set = rig_expect(rig, 0, QUORUM_SET);
    assert_int_equal(set->term_ms, RIG_TIMEOUT_MS); /* min(term, operation timeout) */
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, .fence = 500));
    struct quorum_command *claim = rig_expect(rig, 0, QUORUM_CLAIM);
    assert_true(claim->token > 500);
    assert_int_equal(claim->term_ms, RIG_TERM_MS);
    assert_int_equal(claim->expect.token, 0);
    uint64_t token = claim->token;
    rig_reply(rig, 0, R(OK, ));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_CLAIM, R(OK, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_OK);
    assert_true(a.request.elected);
    assert_int_equal(a.request.tenure.token, token);
    assert_int_equal(rig->last_event, ACTION_ELECTED);
    /* The third one's set is answered now: it is claimed too. */
    rig_exchange(rig, 2, 2, QUORUM_SET, R(NEW, ));
    assert_int_equal(rig_expect(rig, 2, QUORUM_CLAIM)->token, token);
    rig_reply(rig, 2, R(OK, ));
    rig_expect_nothing(rig, 2);
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_loser_learns_the_leader_from_a_quorum_in_one_round_trip(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7, .fence = 7));
    assert_int_equal(b.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7, .fence = 7));
    assert_int_equal(b.done, 1);
    assert_int_equal(b.request.err, EA_OK);
    assert_false(b.request.elected);
    assert_string_equal(b.leader, "a");
    assert_int_equal(b.request.tenure.token, 7);
    rig_expect_nothing(rig, 0);
    /* A node that was slow and new gets its undo when it answers. */
    rig_exchange(rig, 2, 2, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 2, 2, QUORUM_UNDO, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void a_loser_waits_for_the_answer_that_tells_it_so(void **state)
{
    struct rig *rig = rig_new(3); /* with a node down the first of two answers is no split vote */
    struct ask b = {0};
    rig_cut(rig, 2);
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    assert_int_equal(b.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    assert_int_equal(b.done, 1);
    assert_int_equal(b.request.err, EA_OK);
    assert_false(b.request.elected);
    assert_string_equal(b.leader, "a");
    rig_free(rig);
}

static void who_cannot_be_told_that_it_lost_tries_again(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_cut(rig, 2);
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("c"), .token = 8));
    assert_int_equal(b.done, 0);
    rig_expect_nothing(rig, 0);
    rig_advance_ms(rig, 51);
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("c"), .token = 8));
    assert_int_equal(b.done, 1);
    assert_string_equal(b.leader, "c");
    rig_free(rig);
}

static void a_losers_token_is_0_where_the_nodes_do_not_agree_on_it(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 0));
    assert_int_equal(b.done, 1);
    assert_int_equal(b.request.tenure.token, 0);
    rig_free(rig);
}

static void a_split_vote_is_undone_at_once_and_tried_again_after_10_to_50_ms(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("b")));
    rig_exchange(rig, 2, 2, QUORUM_SET, R(NAME, .name = STR("c")));
    struct quorum_command *undo =
        rig_expect(rig, 0, QUORUM_UNDO); /* no claim: it would raise fences for nothing */
    assert_int_equal(undo->n_tried, 0);
    rig_expect_nothing(rig, 1);
    rig_reply(rig, 0, R(OK, ));
    rig_advance_ms(rig, 9);
    rig_expect_nothing(rig, 0);
    rig_advance_ms(rig, 42);
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    rig_free(rig);
}

static void a_node_that_stays_silent_gets_its_undo_after_the_connection_is_back(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_expect(rig, 2, QUORUM_SET); /* sent, never answered: scenario 13 */
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a")));
    assert_int_equal(b.done, 1);
    rig_cut(rig, 2);
    assert_false(quorum_idle(rig->quorum));
    rig_reconnect(rig, 2);
    struct quorum_command *undo = rig_expect(rig, 2, QUORUM_UNDO);
    assert_true(undo->deadline.us == MONO_NEVER.us);
    rig_cut(rig, 2); /* also lost */
    rig_reconnect(rig, 2);
    rig_exchange(rig, 2, 2, QUORUM_UNDO, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void what_was_never_sent_needs_no_undo(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a")));
    rig_cut(rig, 2); /* DROPPED */
    rig_reconnect(rig, 2);
    rig_expect_nothing(rig, 2);
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void an_undo_that_a_server_refuses_is_tried_again_later(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 2, 2, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a")));
    rig_exchange(rig, 2, 2, QUORUM_UNDO, R(FAILED, ));
    rig_expect_nothing(rig, 2);
    rig_advance_ms(rig, 1001);
    rig_exchange(rig, 2, 2, QUORUM_UNDO, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void an_undo_names_the_tokens_that_were_tried(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    struct quorum_command *claim = rig_expect(rig, 0, QUORUM_CLAIM);
    uint64_t token = claim->token;
    struct quorum_owner owner = owner_of(claim);
    rig_reply(rig, 0, R(OK, ));
    rig_exchange(rig, 1, 2, QUORUM_CLAIM, R(NO, )); /* their bare leases have expired */
    struct quorum_command *undo = rig_expect(rig, 0, QUORUM_UNDO);
    assert_int_equal(undo->n_tried, 1);
    assert_int_equal(undo->tried[0].token, token);
    assert_true(quorum_owner_is(undo->tried[0].owner, owner));
    rig_expect_nothing(rig, 1);
    rig_free(rig);
}

static void a_claim_that_was_too_low_is_repeated_above_expecting_what_was_taken(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 8: fences 100, 150, 150 and a clock that lags */
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    struct quorum_command *claim = rig_expect(rig, 0, QUORUM_CLAIM);
    uint64_t first = claim->token;
    struct quorum_owner owner = owner_of(claim);
    rig_reply(rig, 0, R(OK, ));
    rig_exchange(rig, 1, 2, QUORUM_CLAIM, R(LOW, .fence = first + 50));
    claim = rig_expect(rig, 0, QUORUM_CLAIM);
    assert_true(claim->token > first + 50);
    assert_int_equal(claim->expect.token, first);
    assert_true(quorum_owner_is(claim->expect.owner, owner));
    assert_int_equal(rig_expect(rig, 1, QUORUM_CLAIM)->expect.token, 0);
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    assert_true(a.request.tenure.token > first + 50);
    rig_free(rig);
}

static void a_claim_that_met_another_tenure_of_its_name_looks(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_CLAIM));
    rig_exchange(rig, 0, 2, QUORUM_CLAIM, R(CHANGED, ));
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    assert_true(a.request.elected);
    assert_int_equal(a.request.tenure.token, 900);
    rig_free(rig);
}

static void a_leader_that_campaigns_again_keeps_its_token(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900, .fence = 900));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_reply(rig, 0, R(OK, .token = 900, .owner = owner, .fence = 900));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .fence = 900));
    assert_int_equal(a.done, 1);
    assert_true(a.request.elected);
    assert_int_equal(a.request.tenure.token, 900);
    assert_int_equal(rig->events, 0); /* nothing changed */
    rig_free(rig);
}

static void an_own_name_on_a_quorum_is_no_tenure_until_it_was_looked_at(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 2: an agent died between its sets and its claim */
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NAME, .name = STR("a"), .fence = 700));
    assert_int_equal(a.done, 0);
    rig_exchange(rig, 0, 2, QUORUM_LOOK, R(BARE, .fence = 700));
    struct quorum_command *claim = rig_expect(rig, 0, QUORUM_CLAIM);
    assert_true(claim->token > 700);
    assert_int_equal(claim->expect.token, 0);
    rig_free(rig);
}

static void the_fault_keep_without_look_elects_what_nobody_proved(void **state)
{
    struct rig *rig = rig_new(3);
    const struct quorum_faults faults = {.keep_without_look = true};
    rig_set_faults(rig, &faults);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 700, .fence = 700));
    assert_true(a.request.elected);
    rig_free(rig);
}

static void what_was_given_up_is_not_adopted_but_claimed_anew(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 17 */
    struct ask a = {.request.past = 900};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900, .fence = 900));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 2, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .fence = 900));
    struct quorum_command *claim = rig_expect(rig, 0, QUORUM_CLAIM);
    assert_true(claim->token > 900);
    assert_int_equal(claim->expect.token, 900);
    assert_true(quorum_owner_is(claim->expect.owner, owner));
    rig_exchange(rig, 0, 2, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.tenure.token > 900);
    rig_free(rig);
}

static void a_new_token_is_above_past_unless_past_is_far_ahead_of_the_clock(void **state)
{
    for (unsigned far = 0; far < 2; far++) {
        struct rig *rig = rig_new(3);
        rig->now.wall.us = INT64_C(1) << 52; /* where the ceilings of these nodes are */
        uint64_t past = (UINT64_C(1) << 52) + (far == 1 ? 3600000000 : 20000000);
        struct ask a = {.request.past = past};
        rig_campaign(rig, &a, "a");
        rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, ));
        uint64_t token = rig_expect(rig, 0, QUORUM_CLAIM)->token;
        assert_true(far == 1 ? token < past : token > past);
        rig_free(rig);
    }
}

static void a_tenure_without_a_quorum_is_replaced_only_with_proof(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NAME, .name = STR("a")));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .fence = 900, .expires_ms = 5));
    rig_exchange(rig, 1, 2, QUORUM_LOOK, R(BARE, .fence = 10));
    rig_expect_nothing(rig, 0); /* another attempt may still complete it on node 1 or 2 */
    assert_int_equal(rig_expect(rig, 1, QUORUM_CLAIM)->expect.token, 0);
    rig_exchange(rig, 1, 1, QUORUM_CLAIM, R(OK, ));
    rig_expect_nothing(rig, 0); /* on node 2 */
    rig_exchange(rig, 2, 2, QUORUM_CLAIM, R(OK, ));
    assert_int_equal(a.request.err, EA_OK);
    assert_true(a.request.tenure.token > 900);
    rig_expect(rig, 0, QUORUM_REPAIR);
    rig_free(rig);
}

static struct rig *one_of_a_tenure_and_one_closed_to_it(struct ask *a)
{
    struct rig *rig = rig_new(3);
    rig_campaign(rig, a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NAME, .name = STR("a")));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .fence = 900));
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(BARE, .fence = 10));
    rig_exchange(rig, 2, 2, QUORUM_LOOK, R(BARE, .fence = 950));
    rig_expect_nothing(rig, 0);
    return rig;
}

static void a_tenure_is_replaced_when_nobody_can_complete_it_any_more(void **state)
{
    struct ask a = {0};
    struct rig *rig = one_of_a_tenure_and_one_closed_to_it(&a);
    rig_exchange(rig, 1, 1, QUORUM_CLAIM, R(OK, )); /* so it is closed here, too */
    assert_int_equal(rig_expect(rig, 0, QUORUM_CLAIM)->expect.token, 900);
    rig_exchange(rig, 0, 0, QUORUM_CLAIM, R(OK, ));
    assert_int_equal(a.request.err, EA_OK);
    rig_free(rig);
}

static void a_tenure_that_was_completed_meanwhile_is_adopted(void **state)
{
    struct ask a = {0};
    struct rig *rig = one_of_a_tenure_and_one_closed_to_it(&a);
    rig_exchange(rig, 2, 2, QUORUM_CLAIM, R(OK, ));
    rig_exchange(rig, 1, 1, QUORUM_CLAIM,
                 R(CHANGED, )); /* another attempt's claim was faster (seed 1076451) */
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = owner, .fence = 900));
    assert_int_equal(a.request.err, EA_OK);
    assert_int_equal(a.request.tenure.token, 900);
    rig_free(rig);
}

static void a_tenure_that_a_silent_node_may_complete_is_left_alone(void **state)
{
    struct ask a = {0};
    struct rig *rig = one_of_a_tenure_and_one_closed_to_it(&a);
    rig_exchange(rig, 2, 2, QUORUM_CLAIM, R(OK, ));
    rig_cut(rig, 1);
    rig_exchange(rig, 2, 2, QUORUM_UNDO, R(OK, )); /* it can't win now, and tries again */
    assert_int_equal(a.done, 0);
    rig_free(rig);
}

static void an_unprovable_tenure_keeps_its_old_expiry(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 22: it survives on one node, another is down */
    rig_cut(rig, 2);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900, .fence = 900));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NEW, ));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 1, 1, QUORUM_LOOK, R(BARE, ));
    rig_exchange(rig, 0, 0, QUORUM_LOOK,
                 R(OK, .token = 900, .owner = owner, .fence = 900, .expires_ms = 4711));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    struct quorum_command *back = rig_expect(rig, 0, QUORUM_RESTORE_EXPIRY);
    assert_int_equal(back->expires_ms, 4711);
    assert_int_equal(back->token, 900);
    assert_true(quorum_owner_is(back->owner, owner));
    rig_reply(rig, 0, R(OK, ));
    rig_exchange(rig, 1, 1, QUORUM_UNDO, R(OK, )); /* what it set, and only that */
    assert_true(quorum_idle(rig->quorum));
    rig_free(rig);
}

static void what_was_adopted_is_never_given_back(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NEW, ));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_expect(rig, 1, QUORUM_LOOK);
    rig_advance_ms(rig, RIG_TIMEOUT_MS + 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_exchange(rig, 0, 0, QUORUM_RESTORE_EXPIRY, R(OK, ));
    rig_expect_nothing(rig, 0); /* no undo */
    rig_free(rig);
}

static void the_fault_give_back_adopted_undoes_a_tenure_that_was_there_before(void **state)
{
    struct rig *rig = rig_new(3);
    const struct quorum_faults faults = {.give_back_adopted = true};
    rig_set_faults(rig, &faults);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NEW, ));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 0, QUORUM_LOOK, R(OK, .token = 900, .owner = owner));
    rig_expect(rig, 1, QUORUM_LOOK);
    rig_advance_ms(rig, RIG_TIMEOUT_MS + 1);
    rig_expect(rig, 0, QUORUM_UNDO);
    rig_free(rig);
}

static void an_answer_with_a_greater_owner_is_not_counted_and_looked_at_once_more(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 3 */
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NAME, .name = STR("a"), .token = 900));
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    struct quorum_owner greater = {owner.clock + 1000, 9};
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = greater));
    assert_int_equal(a.done, 0);
    struct quorum_owner second = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    assert_true(quorum_owner_cmp(second, greater) > 0);
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = 900, .owner = second));
    assert_true(a.request.elected);
    rig_free(rig);
}

static void a_leader_known_here_needs_one_round_trip(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask first = {0};
    uint64_t token = elect(rig, &first, "a");
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = token, .owner = owner));
    assert_true(a.request.elected);
    assert_int_equal(a.request.tenure.token, token);
    rig_free(rig);
}

static void a_known_leader_whose_tenure_is_gone_begins_as_everybody_does(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask first = {0};
    elect(rig, &first, "a");
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(MISSING, ));
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    rig_free(rig);
}

static void a_recovering_node_is_peeked_at_and_helps_nobody_to_win(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 5 */
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    assert_int_equal(quorum_node_state(rig->quorum, 2), QUORUM_NODE_RECOVERING);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 2, 2, QUORUM_PEEK, R(NONE, ));
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NEW, ));
    rig_expect_nothing(rig, 2);
    uint64_t token = rig_expect(rig, 0, QUORUM_CLAIM)->token;
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    struct quorum_command *repair = rig_expect(rig, 2, QUORUM_REPAIR);
    assert_true(repair->force);
    assert_int_equal(repair->nonce, 77);
    assert_int_equal(repair->token, token);
    rig_free(rig);
}

static void two_ready_nodes_new_and_own_on_the_recovering_one_is_no_win(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 2);
    rig->marker[2].nonce = 77;
    rig_connect(rig, 2);
    rig_serve_nodes(rig);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 2, 2, QUORUM_PEEK, R(NONE, ));
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 1, 1, QUORUM_SET, R(NAME, .name = STR("b")));
    rig_expect(rig, 0, QUORUM_UNDO);
    rig_free(rig);
}

static void campaigns_for_one_election_are_served_in_order_and_share_a_loss(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask b = {.request.priority = 2};
    struct ask c = {.request.priority = -3};
    struct ask late = {0};
    rig_campaign(rig, &b, "b");
    rig_campaign(rig, &c, "c"); /* before anything was sent */
    assert_int_equal(rig->n_out[0], 1);
    rig_expect(rig, 0, QUORUM_SET);
    rig_campaign(rig, &late, "d"); /* after */
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    assert_int_equal(b.done, 1);
    assert_int_equal(c.done, 1);
    assert_false(c.request.elected);
    assert_string_equal(c.leader, "a");
    assert_int_equal(late.done, 0); /* it asks itself */
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    assert_int_equal(late.done, 1);
    assert_string_equal(rig->lost, "c -3; b 2; d 0; "); /* told of */
    rig_free(rig);
}

static void equal_campaigns_of_a_leader_share_one_look(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask first = {0};
    uint64_t token = elect(rig, &first, "a");
    struct ask a = {0};
    struct ask equal = {0};
    struct ask longer = {.request.term_ms = RIG_TERM_MS + 1};
    struct ask past = {.request.past = token};
    struct ask other = {0};
    struct ask late = {0};
    rig_campaign(rig, &a, "a");
    rig_campaign(rig, &equal, "a");
    rig_campaign(rig, &longer, "a");
    rig_campaign(rig, &past, "a");
    rig_campaign(rig, &other, "b");
    struct quorum_owner owner = owner_of(rig_expect(rig, 0, QUORUM_LOOK));
    rig_campaign(rig, &late, "a"); /* the look may have reached a node */
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = token, .owner = owner));
    assert_true(a.request.elected);
    assert_true(equal.request.elected);
    assert_int_equal(equal.request.tenure.token, token);
    assert_int_equal(longer.done + past.done + other.done + late.done, 0);
    owner = owner_of(
        rig_expect(rig, 0, QUORUM_LOOK)); /* that of the longer term, which serves the late one too */
    rig_exchange(rig, 0, 1, QUORUM_LOOK, R(OK, .token = token, .owner = owner));
    assert_true(longer.request.elected);
    assert_true(late.request.elected);
    assert_int_equal(past.done + other.done, 0);
    rig_free(rig);
}

static void equal_campaigns_share_a_claim_but_not_beyond_their_validity(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask equal = {0};
    struct ask brief = {.request.term_ms = 1000};
    rig_campaign(rig, &a, "a");
    rig_campaign(rig, &equal, "a");
    rig_campaign(rig, &brief, "a");
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, ));
    rig_advance_ms(rig, 1000);
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    assert_true(equal.request.elected);
    assert_int_equal(equal.request.tenure.token, a.request.tenure.token);
    assert_false(brief.request.elected);
    assert_int_equal(rig->events, 1);
    rig_free(rig);
}

static void who_waits_runs_when_the_head_has_won(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask b = {0};
    rig_campaign(rig, &a, "a");
    rig_campaign(rig, &b, "b");
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 1, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    assert_int_equal(b.done, 0);
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a"), .token = 7));
    assert_int_equal(b.done, 1);
    assert_string_equal(b.leader, "a");
    rig_free(rig);
}

static void who_waits_too_long_is_answered_in_time(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask b = {.request.deadline = {1000000 + 500000}};
    rig_campaign(rig, &a, "a");
    rig_expect(rig, 0, QUORUM_SET);
    rig_campaign(rig, &b, "b");
    rig_advance_ms(rig, 501);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.request.err, EA_UNAVAILABLE);
    assert_int_equal(a.done, 0);
    rig_free(rig);
}

static void nothing_is_elected_when_no_validity_is_left(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 16 */
    struct ask a = {.request.term_ms = 1000};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    rig_expect(rig, 0, QUORUM_CLAIM);
    rig_expect(rig, 1, QUORUM_CLAIM);
    rig->now.mono = mono_add_ms(rig->now.mono, 1000); /* suspended: the replies come before the timers */
    rig_reply(rig, 0, R(OK, ));
    rig_reply(rig, 1, R(OK, ));
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_expect(rig, 0, QUORUM_UNDO);
    rig_free(rig);
}

static void without_a_majority_the_answer_comes_at_the_deadline(void **state)
{
    struct rig *rig = rig_new(3);
    rig_cut(rig, 1);
    rig_cut(rig, 2);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 0, QUORUM_UNDO, R(OK, ));
    for (unsigned ms = 0; ms <= RIG_TIMEOUT_MS; ms += 50) {
        rig_advance_ms(rig, 50);
        rig_expect_nothing(rig, 0); /* it can't win, so it does not even try */
    }
    assert_int_equal(a.done, 1);
    assert_int_equal(a.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

static void an_amnesiac_answer_puts_the_node_under_suspicion(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 2, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 0, 0, QUORUM_CLAIM, R(AMNESIAC, ));
    assert_int_equal(quorum_node_state(rig->quorum, 0), QUORUM_NODE_CHECKING);
    rig_expect(rig, 0, QUORUM_NODE_READ);
    rig_exchange(rig, 1, 2, QUORUM_CLAIM, R(OK, ));
    assert_true(a.request.elected);
    rig_free(rig);
}

static void a_term_longer_than_the_nodes_remember_is_raised_before_it_is_sent(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {.request.term_ms = RIG_MAX_TERM_MS + 1};
    rig_campaign(rig, &a, "a");
    rig_expect_nothing(rig, 0);
    assert_int_equal(rig_expect(rig, 0, QUORUM_NODE_RAISE)->max_term_ms, RIG_MAX_TERM_MS + 1);
    rig_serve_nodes(rig);
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, ));
    rig_free(rig);
}

static void a_token_above_the_ceiling_is_sent_only_when_a_quorum_knows_the_higher_one(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    rig_campaign(rig, &a, "a");
    uint64_t high = (UINT64_C(1) << 52) + 100000000;
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NEW, .fence = high));
    rig_expect_nothing(rig, 0);
    assert_true(rig_expect(rig, 0, QUORUM_NODE_RAISE)->ceiling > high);
    rig_reply(rig, 0, R(OK, .ceiling = high + 200000000, .max_term_ms = RIG_MAX_TERM_MS));
    rig_expect_nothing(rig, 0);
    rig_expect(rig, 1, QUORUM_NODE_RAISE);
    rig_reply(rig, 1, R(OK, .ceiling = high + 200000000, .max_term_ms = RIG_MAX_TERM_MS));
    /* And read once more: node 0 may have forgotten before node 1 was raised. */
    rig_expect_nothing(rig, 0);
    struct quorum_reply remembers = R(OK, .ceiling = high + 200000000, .max_term_ms = RIG_MAX_TERM_MS);
    for (unsigned i = 0; i < 2; i++) {
        rig_expect(rig, i, QUORUM_NODE_READ);
        remembers.marker = rig->marker[i];
        remembers.node_us = rig->now.wall.us;
        rig_reply(rig, i, remembers);
    }
    rig_expect(rig, 0, QUORUM_CLAIM);
    rig_free(rig);
}

static void a_late_undo_of_a_lost_attempt_names_only_its_own(void **state)
{
    struct rig *rig = rig_new(3); /* scenario 1 */
    struct ask b = {0};
    rig_campaign(rig, &b, "b");
    rig_expect(rig, 2, QUORUM_SET);
    rig_exchange(rig, 0, 1, QUORUM_SET, R(NAME, .name = STR("a")));
    assert_false(b.request.elected);
    rig_reply(rig, 2, R(NEW, ));
    struct quorum_command *undo = rig_expect(rig, 2, QUORUM_UNDO);
    assert_int_equal(undo->n_tried, 0); /* a tenure of whatever token stays */
    assert_true(str_eq(undo->names->candidate, STR("b")));
    rig_free(rig);
}

static void stopping_answers_everything_and_the_undos_still_go_out(void **state)
{
    struct rig *rig = rig_new(3);
    struct ask a = {0};
    struct ask b = {0};
    rig_campaign(rig, &a, "a");
    rig_exchange(rig, 0, 0, QUORUM_SET, R(NEW, ));
    rig_campaign(rig, &b, "b");
    quorum_stop(rig->quorum, rig->now);
    assert_int_equal(a.done, 1);
    assert_int_equal(b.done, 1);
    rig_exchange(rig, 0, 0, QUORUM_UNDO, R(OK, ));
    rig_exchange(rig, 1, 2, QUORUM_SET, R(NEW, ));
    rig_exchange(rig, 1, 2, QUORUM_UNDO, R(OK, ));
    assert_true(quorum_idle(rig->quorum));
    struct ask c = {0};
    rig_campaign(rig, &c, "c");
    assert_int_equal(c.request.err, EA_UNAVAILABLE);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_candidate_is_elected_when_a_quorum_took_its_claim),
        cmocka_unit_test(a_loser_learns_the_leader_from_a_quorum_in_one_round_trip),
        cmocka_unit_test(a_loser_waits_for_the_answer_that_tells_it_so),
        cmocka_unit_test(who_cannot_be_told_that_it_lost_tries_again),
        cmocka_unit_test(a_losers_token_is_0_where_the_nodes_do_not_agree_on_it),
        cmocka_unit_test(a_split_vote_is_undone_at_once_and_tried_again_after_10_to_50_ms),
        cmocka_unit_test(a_node_that_stays_silent_gets_its_undo_after_the_connection_is_back),
        cmocka_unit_test(what_was_never_sent_needs_no_undo),
        cmocka_unit_test(an_undo_that_a_server_refuses_is_tried_again_later),
        cmocka_unit_test(an_undo_names_the_tokens_that_were_tried),
        cmocka_unit_test(a_claim_that_was_too_low_is_repeated_above_expecting_what_was_taken),
        cmocka_unit_test(a_claim_that_met_another_tenure_of_its_name_looks),
        cmocka_unit_test(a_leader_that_campaigns_again_keeps_its_token),
        cmocka_unit_test(an_own_name_on_a_quorum_is_no_tenure_until_it_was_looked_at),
        cmocka_unit_test(the_fault_keep_without_look_elects_what_nobody_proved),
        cmocka_unit_test(what_was_given_up_is_not_adopted_but_claimed_anew),
        cmocka_unit_test(a_new_token_is_above_past_unless_past_is_far_ahead_of_the_clock),
        cmocka_unit_test(a_tenure_without_a_quorum_is_replaced_only_with_proof),
        cmocka_unit_test(a_tenure_is_replaced_when_nobody_can_complete_it_any_more),
        cmocka_unit_test(a_tenure_that_was_completed_meanwhile_is_adopted),
        cmocka_unit_test(a_tenure_that_a_silent_node_may_complete_is_left_alone),
        cmocka_unit_test(an_unprovable_tenure_keeps_its_old_expiry),
        cmocka_unit_test(what_was_adopted_is_never_given_back),
        cmocka_unit_test(the_fault_give_back_adopted_undoes_a_tenure_that_was_there_before),
        cmocka_unit_test(an_answer_with_a_greater_owner_is_not_counted_and_looked_at_once_more),
        cmocka_unit_test(a_leader_known_here_needs_one_round_trip),
        cmocka_unit_test(a_known_leader_whose_tenure_is_gone_begins_as_everybody_does),
        cmocka_unit_test(a_recovering_node_is_peeked_at_and_helps_nobody_to_win),
        cmocka_unit_test(two_ready_nodes_new_and_own_on_the_recovering_one_is_no_win),
        cmocka_unit_test(campaigns_for_one_election_are_served_in_order_and_share_a_loss),
        cmocka_unit_test(equal_campaigns_of_a_leader_share_one_look),
        cmocka_unit_test(equal_campaigns_share_a_claim_but_not_beyond_their_validity),
        cmocka_unit_test(who_waits_runs_when_the_head_has_won),
        cmocka_unit_test(who_waits_too_long_is_answered_in_time),
        cmocka_unit_test(nothing_is_elected_when_no_validity_is_left),
        cmocka_unit_test(without_a_majority_the_answer_comes_at_the_deadline),
        cmocka_unit_test(an_amnesiac_answer_puts_the_node_under_suspicion),
        cmocka_unit_test(a_term_longer_than_the_nodes_remember_is_raised_before_it_is_sent),
        cmocka_unit_test(a_token_above_the_ceiling_is_sent_only_when_a_quorum_knows_the_higher_one),
        cmocka_unit_test(a_late_undo_of_a_lost_attempt_names_only_its_own),
        cmocka_unit_test(stopping_answers_everything_and_the_undos_still_go_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
