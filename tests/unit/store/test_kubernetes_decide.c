/* The rules on a Lease: what is to be written, exactly. (That the rules are everybody's, the conformance suite shows.) */
#include "store/kubernetes/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

#define US_PER_S INT64_C(1000000)
#define WALL_S   INT64_C(1767225600) /* 2026-01-01 */
#define SINCE_S  (WALL_S - 1577836800)

struct rig {
    struct view view;
    struct mono now;
    struct wall wall;
    struct election_request request;
    struct plan plan;
};

static int set_up(void **state)
{
    struct rig *rig = mem_zalloc(sizeof *rig);
    struct lease_election id = {.kind = "default", .kind_bytes = 7, .election = "e", .election_bytes = 1};
    view_init(&rig->view, &id, "ns", "e");
    rig->now = (struct mono){100 * US_PER_S};
    rig->wall = (struct wall){WALL_S * US_PER_S};
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *rig = *state;
    view_fini(&rig->view);
    mem_free(rig);
    return 0;
}

static void see(struct rig *rig, const char *version, const char *holder, int64_t token, int32_t duration_s)
{
    struct kube_lease lease = {
        .ns = "ns", .name = "e", .uid = "u", .duration_s = duration_s, .transitions = token};
    (void)snprintf(lease.version, sizeof lease.version, "%s", version);
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", holder);
    view_see(&rig->view, &lease, false, rig->now, rig->wall);
    kube_lease_fini(&lease);
}

static bool ask(struct rig *rig, enum election_op op, const char *candidate, int32_t term_ms)
{
    rig->request.op = op;
    rig->request.candidate = str_of(candidate);
    rig->request.term_ms = term_ms;
    return decide(&rig->view, &rig->request, rig->now, rig->wall, &rig->plan);
}

static void a_new_lease_counts_from_the_seconds_since_2020(void **state)
{
    struct rig *rig = *state;
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1500));
    assert_int_equal(rig->plan.kind, PLAN_GRANT);
    assert_int_equal(rig->plan.token, SINCE_S);
    assert_int_equal(rig->plan.duration_s, 2); /* rounded up */
    assert_int_equal(mono_sub(rig->plan.expires, rig->now), 2 * US_PER_S);
    rig->wall = (struct wall){0}; /* a wall clock that is wrong */
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->plan.token, 1);
    rig->wall = (struct wall){INT64_MAX};
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->plan.token, 1);
}

static void a_deleted_lease_does_not_lower_the_token(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "", SINCE_S + 1000, 15);
    view_see_gone(&rig->view, NULL, rig->now, rig->wall);
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->plan.token, SINCE_S + 1001);
}

static void a_lease_that_is_there_goes_on_counting(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "", 3, 15); /* an elector's */
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->plan.token, 4);
}

static void when_the_tokens_are_used_up_nothing_is_granted(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "", LEASE_TOKEN_MAX, 15);
    assert_true(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->request.err, EA_UNAVAILABLE); /* T5 */
    assert_true(rig->request.why.n > 0);
}

static void what_was_promised_is_not_shortened(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 5, 60);
    rig->now = mono_add_us(rig->now, US_PER_S / 2);
    assert_false(ask(rig, OP_EXTEND, "a", 1000));
    assert_int_equal(rig->plan.kind, PLAN_RENEW);
    assert_int_equal(rig->plan.token, 5);
    assert_int_equal(rig->plan.duration_s, 60); /* 59.5, so that others wait no less (L3) */
    assert_int_equal(rig->plan.term_ms, 1000);
    assert_false(ask(rig, OP_HANDOVER, "b", 1000));
    assert_int_equal(rig->plan.token, 6);
    assert_int_equal(rig->plan.duration_s, 60); /* E7 */
}

static void a_renewal_always_changes_the_lease(void **state)
{
    struct rig *rig = *state;
    struct kube_lease lease;
    see(rig, "1", "a", 5, 60);
    assert_false(ask(rig, OP_EXTEND, "a", 60000));
    plan_write(&rig->plan, &rig->view, &lease);
    (void)snprintf(lease.version, sizeof lease.version, "2");
    view_see(&rig->view, &lease, false, rig->now, rig->wall);
    assert_false(ask(rig, OP_EXTEND, "a", 60000)); /* while the wall clock stands still */
    assert_true(rig->plan.renewed.us != lease.renewed.us);
    kube_lease_fini(&lease);
}

static void who_extends_after_a_deletion_makes_the_lease_anew(void **state)
{
    struct rig *rig = *state;
    struct kube_lease lease;
    see(rig, "1", "a", 5, 60);
    view_see_gone(&rig->view, "u", rig->now, rig->wall);
    assert_true(ask(rig, OP_CAMPAIGN, "b", 1000)); /* its leader may not know of it */
    assert_false(rig->request.elected);
    assert_false(ask(rig, OP_EXTEND, "a", 1000));
    plan_write(&rig->plan, &rig->view, &lease);
    assert_string_equal(lease.version, "");
    assert_string_equal(lease.uid, "");
    assert_string_equal(lease.holder, "a");
    assert_int_equal(lease.transitions, 5);
    assert_true(str_eq(kube_lease_annotation(&lease, LEASE_LAST_NOTE), STR("elected 5")));
    kube_lease_fini(&lease);
}

static void a_resignation_keeps_the_lease_and_its_count(void **state)
{
    struct rig *rig = *state;
    struct kube_lease lease;
    see(rig, "7", "a", 5, 60);
    assert_false(ask(rig, OP_RESIGN, "a", 0));
    plan_write(&rig->plan, &rig->view, &lease);
    assert_string_equal(lease.version, "7"); /* only while it is that one */
    assert_string_equal(lease.holder, "");
    assert_int_equal(lease.transitions, 5);
    assert_true(str_eq(kube_lease_annotation(&lease, LEASE_LAST_NOTE), STR("resigned 5")));
    kube_lease_fini(&lease);
}

static void a_lease_without_a_duration_is_not_ours_to_change(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "pod", 0, 0);
    assert_true(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_false(rig->request.elected);
    assert_true(ask(rig, OP_CAMPAIGN, "pod", 1000));
    assert_false(rig->request.elected);
    assert_true(ask(rig, OP_EXTEND, "pod", 1000));
    assert_int_equal(rig->request.err, EA_HELD);
    assert_true(ask(rig, OP_RESIGN, "pod", 0));
    assert_int_equal(rig->request.err, EA_NOT_FOUND);
    assert_true(ask(rig, OP_HANDOVER, "a", 1000));
    assert_int_equal(rig->request.err, EA_HELD);
}

static void a_tenure_without_a_token_is_not_adopted(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 0, 15); /* client-go's first leader */
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    assert_int_equal(rig->plan.kind, PLAN_GRANT); /* 0 is no token (T5) */
    assert_int_equal(rig->plan.token, 1);
}

static void a_strange_holder_is_left_alone(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a\x01", 3, 15);
    assert_true(ask(rig, OP_CAMPAIGN, "b", 1000));
    assert_int_equal(rig->request.err, EA_UNAVAILABLE);
}

static void a_lost_answer_is_found_in_the_lease(void **state)
{
    struct rig *rig = *state;
    struct kube_lease lease;
    assert_false(ask(rig, OP_CAMPAIGN, "a", 1000));
    plan_write(&rig->plan, &rig->view, &lease);
    assert_true(plan_is_there(&rig->plan, &lease));
    lease.renewed.us++; /* somebody extended it meanwhile: it is not ours to take back */
    assert_false(plan_is_there(&rig->plan, &lease));
    kube_lease_fini(&lease);
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_new_lease_counts_from_the_seconds_since_2020),
        RIG_TEST(a_deleted_lease_does_not_lower_the_token),
        RIG_TEST(a_lease_that_is_there_goes_on_counting),
        RIG_TEST(when_the_tokens_are_used_up_nothing_is_granted),
        RIG_TEST(what_was_promised_is_not_shortened),
        RIG_TEST(a_renewal_always_changes_the_lease),
        RIG_TEST(who_extends_after_a_deletion_makes_the_lease_anew),
        RIG_TEST(a_resignation_keeps_the_lease_and_its_count),
        RIG_TEST(a_lease_without_a_duration_is_not_ours_to_change),
        RIG_TEST(a_tenure_without_a_token_is_not_adopted),
        RIG_TEST(a_strange_holder_is_left_alone),
        RIG_TEST(a_lost_answer_is_found_in_the_lease),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
