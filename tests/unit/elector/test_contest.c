#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "elector/contest.h"

#define SECOND INT64_C(1000000)
#define MS     INT64_C(1000)

/*
 * A contest and what it was told and asked; the test plays the API server.
 */
struct scene {
    struct contest contest;
    struct contest_write write;
    struct mono now;
    struct wall wall;
};

static void scene_init(struct scene *s, enum contest_strategy strategy)
{
    *s = (struct scene){.now = {SECOND}, .wall = {1700000000 * SECOND}};
    contest_init(&s->contest, &(struct contest_settings){.strategy = strategy,
                                                         .candidate = "me",
                                                         .duration_us = 15 * SECOND,
                                                         .interval_us = 5 * SECOND,
                                                         .seed = 1});
}

static void pass(struct scene *s, int64_t us)
{
    s->now = mono_add_us(s->now, us);
    s->wall.us += us;
    contest_tick(&s->contest, s->now);
}

static enum contest_want next(struct scene *s)
{
    return contest_next(&s->contest, &s->write, s->now, s->wall);
}

static struct contest_lease lease(const char *uid, const char *version, const char *holder)
{
    struct contest_lease l = {.duration_us = 15 * SECOND, .transitions = 3};
    snprintf(l.uid, sizeof l.uid, "%s", uid);
    snprintf(l.version, sizeof l.version, "%s", version);
    snprintf(l.holder, sizeof l.holder, "%s", holder);
    return l;
}

/* As the API server would answer the write under way. */
static struct contest_lease written(const struct scene *s, const char *uid, const char *version)
{
    struct contest_lease l = lease(uid, version, s->write.holder);
    l.transitions = s->write.transitions;
    l.acquired = s->write.acquired;
    l.renewed = s->write.renewed;
    if (s->contest.settings.strategy == CONTEST_OWNER) {
        l.duration_us = 0;
        snprintf(l.owner, sizeof l.owner, "%s", s->contest.pod);
    }
    return l;
}

static void answer(struct scene *s, enum contest_outcome outcome, const struct contest_lease *l)
{
    contest_answer(&s->contest, outcome, l, s->now);
}

static void see(struct scene *s, struct contest_lease l)
{
    contest_see(&s->contest, &l, s->now);
}

static void expect_leader(const struct scene *s, const char *name)
{
    assert_string_equal(s->contest.leader, name);
}

static void find_nothing(struct scene *s)
{
    assert_int_equal(next(s), CONTEST_READ);
    answer(s, CONTEST_MISSING, NULL);
}

static void win_as_owner(struct scene *s)
{
    find_nothing(s);
    assert_int_equal(next(s), CONTEST_ASK_POD);
    contest_answer_pod(&s->contest, CONTEST_DONE, "pod-1", s->now);
    assert_int_equal(next(s), CONTEST_CREATE);
    struct contest_lease l = written(s, "l1", "10");
    answer(s, CONTEST_DONE, &l);
    assert_true(contest_leads(&s->contest));
}

static void win_by_renewing(struct scene *s)
{
    find_nothing(s);
    assert_int_equal(next(s), CONTEST_CREATE);
    struct contest_lease l = written(s, "l1", "10");
    answer(s, CONTEST_DONE, &l);
    assert_true(contest_leads(&s->contest));
}

static void follow(struct scene *s)
{
    assert_int_equal(next(s), CONTEST_READ);
    struct contest_lease l = lease("l1", "10", "other");
    answer(s, CONTEST_DONE, &l);
    expect_leader(s, "other");
}

static void the_table_of_states_makes_sense(void **state)
{
    assert_true(sm_table_is_sound(contest_states, CONTEST_STATES, CONTEST_LOOKING));
}

/* --- owner --- */

static void an_owner_that_creates_the_lease_leads_for_ever(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    assert_false(s.contest.known);
    win_as_owner(&s);
    expect_leader(&s, "me");
    pass(&s, 3600 * SECOND);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_NOTHING);
    assert_int_equal(contest_wake(&s.contest, s.now).us, MONO_NEVER.us);
}

static void an_owner_that_comes_second_follows_who_holds_it(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    find_nothing(&s);
    next(&s);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-1", s.now);
    assert_int_equal(next(&s), CONTEST_CREATE);
    answer(&s, CONTEST_CONFLICT, NULL);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = lease("l1", "10", "other");
    answer(&s, CONTEST_DONE, &l);
    expect_leader(&s, "other");
    assert_int_equal(next(&s), CONTEST_NOTHING);
    pass(&s, 3600 * SECOND);
    assert_int_equal(next(&s), CONTEST_NOTHING);
}

static void a_deleted_lease_is_campaigned_for_by_a_living_pod_alone(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    win_as_owner(&s);
    contest_see_gone(&s.contest, "l1", s.now);
    expect_leader(&s, ""); /* at once: others may be elected now */
    assert_int_equal(next(&s), CONTEST_ASK_POD);
    contest_answer_pod(&s.contest, CONTEST_MISSING, NULL, s.now);
    assert_int_equal(next(&s), CONTEST_NOTHING);
    pass(&s, 3 * SECOND);
    assert_int_equal(next(&s), CONTEST_ASK_POD);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-2", s.now); /* another pod of our name */
    pass(&s, 3 * SECOND);
    assert_int_equal(next(&s), CONTEST_ASK_POD);
    contest_answer_pod(&s.contest, CONTEST_DONE, NULL, s.now); /* terminating */
    assert_int_equal(next(&s), CONTEST_NOTHING);
}

static void a_lease_of_a_former_pod_of_our_name_is_not_ours(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = lease("l0", "5", "me");
    snprintf(l.owner, sizeof l.owner, "pod-0");
    answer(&s, CONTEST_DONE, &l);
    assert_int_equal(next(&s), CONTEST_ASK_POD);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-1", s.now);
    expect_leader(&s, "");
    assert_false(contest_leads(&s.contest));
    contest_see_gone(&s.contest, "l0", s.now);
    assert_int_equal(next(&s), CONTEST_CREATE);
}

static void a_restarted_owner_finds_its_own_lease(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = lease("l0", "5", "me");
    snprintf(l.owner, sizeof l.owner, "pod-1");
    answer(&s, CONTEST_DONE, &l);
    assert_false(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_ASK_POD);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-1", s.now);
    assert_true(contest_leads(&s.contest));
}

static void a_create_without_answer_is_found_by_reading(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    find_nothing(&s);
    next(&s);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-1", s.now);
    next(&s);
    answer(&s, CONTEST_UNKNOWN, NULL);
    assert_false(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_NOTHING);
    pass(&s, SECOND);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = written(&s, "l1", "10");
    snprintf(l.holder, sizeof l.holder, "me");
    answer(&s, CONTEST_DONE, &l);
    assert_true(contest_leads(&s.contest));
}

static void old_news_of_a_deleted_lease_are_no_news(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    win_as_owner(&s);
    contest_see_gone(&s.contest, "l1", s.now);
    struct contest_lease old = s.contest.lease;
    snprintf(old.uid, sizeof old.uid, "l1");
    assert_false(contest_see(&s.contest, &old, s.now));
    assert_false(contest_leads(&s.contest));
    contest_see_gone(&s.contest, "l0", s.now);
    assert_int_equal(next(&s), CONTEST_ASK_POD);
}

static void a_list_that_is_older_than_our_win_does_not_end_it(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    win_as_owner(&s);
    contest_doubt(&s.contest, s.now);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = s.contest.lease;
    answer(&s, CONTEST_DONE, &l);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(s.contest.changes, 1);
}

static void a_quick_succession_is_one_change_and_a_long_vacancy_is_shown(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    follow(&s);
    next(&s);
    contest_answer_pod(&s.contest, CONTEST_DONE, "pod-1", s.now);
    contest_see_gone(&s.contest, "l1", s.now);
    pass(&s, 500 * MS);
    expect_leader(&s, "other");
    see(&s, lease("l2", "20", "third"));
    expect_leader(&s, "third");
    assert_int_equal(s.contest.changes, 2);
    contest_see_gone(&s.contest, "l2", s.now);
    assert_int_equal(contest_wake(&s.contest, s.now).us, s.now.us + SECOND);
    pass(&s, SECOND);
    expect_leader(&s, "");
}

/* --- renew --- */

static void a_renewer_leads_until_its_validity_is_over_and_no_longer(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    int64_t valid = 15 * SECOND - 150 * MS - 2 * MS;
    pass(&s, valid - 1);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(contest_wake(&s.contest, s.now).us, s.now.us + 1);
    pass(&s, 1);
    assert_false(contest_leads(&s.contest));
    expect_leader(&s, "");
    assert_int_equal(s.contest.lost, 1);
}

static void validity_counts_from_the_sending(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    pass(&s, 5 * SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    struct mono sent = s.now;
    pass(&s, 8 * SECOND);
    struct contest_lease l = written(&s, "l1", "11");
    answer(&s, CONTEST_DONE, &l);
    assert_int_equal(s.contest.valid_until.us, sent.us + 15 * SECOND - 152 * MS);
    assert_int_equal(s.contest.tenure_transitions, 1);
}

static void an_answer_that_comes_too_late_does_not_make_a_leader(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    find_nothing(&s);
    assert_int_equal(next(&s), CONTEST_CREATE);
    pass(&s, 20 * SECOND);
    struct contest_lease l = written(&s, "l1", "10");
    answer(&s, CONTEST_DONE, &l);
    assert_false(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_int_equal(s.write.transitions, 2); /* a new tenure, a new token */
}

static void a_follower_takes_a_lease_that_it_saw_unchanged_for_its_duration(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    follow(&s);
    pass(&s, 14 * SECOND);
    see(&s, lease("l1", "11", "other"));
    pass(&s, 15 * SECOND - 1);
    assert_int_equal(next(&s), CONTEST_NOTHING);
    pass(&s, 1);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_string_equal(s.write.holder, "me");
    assert_int_equal(s.write.transitions, 4);
    assert_int_equal(s.write.acquired.us, s.wall.us);
}

static void the_same_version_again_is_no_change(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    follow(&s);
    pass(&s, 10 * SECOND);
    see(&s, lease("l1", "10", "other"));
    pass(&s, 5 * SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
}

static void a_released_lease_is_taken_at_once(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    follow(&s);
    see(&s, lease("l1", "11", ""));
    assert_int_equal(next(&s), CONTEST_UPDATE);
}

static void a_lease_without_duration_is_its_owners_until_it_is_deleted(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = lease("l1", "10", "other");
    l.duration_us = 0;
    answer(&s, CONTEST_DONE, &l);
    pass(&s, 3600 * SECOND);
    assert_int_equal(next(&s), CONTEST_NOTHING);
    expect_leader(&s, "other");
}

static void a_conflict_is_read_and_the_renewal_repeated(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    pass(&s, 5 * SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    answer(&s, CONTEST_CONFLICT, NULL);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = s.contest.lease;
    snprintf(l.version, sizeof l.version, "12"); /* somebody annotated it */
    answer(&s, CONTEST_DONE, &l);
    assert_true(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_UPDATE);
}

static void a_renewal_of_unknown_outcome_extends_only_if_it_is_there(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    struct mono valid_until = s.contest.valid_until;
    pass(&s, 5 * SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    answer(&s, CONTEST_UNKNOWN, NULL);
    pass(&s, SECOND);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = s.contest.lease;
    snprintf(l.version, sizeof l.version, "12"); /* changed by another, not renewed */
    answer(&s, CONTEST_DONE, &l);
    assert_int_equal(s.contest.valid_until.us, valid_until.us);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    struct mono sent = s.now;
    answer(&s, CONTEST_UNKNOWN, NULL);
    pass(&s, SECOND);
    assert_int_equal(next(&s), CONTEST_READ);
    l = written(&s, "l1", "13");
    l.transitions = s.contest.write.transitions;
    l.acquired = s.contest.write.acquired;
    l.renewed = s.contest.write.renewed;
    snprintf(l.holder, sizeof l.holder, "me");
    answer(&s, CONTEST_DONE, &l);
    assert_int_equal(s.contest.valid_until.us, sent.us + 15 * SECOND - 152 * MS);
}

static void our_name_in_a_lease_of_a_former_process_is_waited_for(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    assert_int_equal(next(&s), CONTEST_READ);
    struct contest_lease l = lease("l1", "10", "me");
    answer(&s, CONTEST_DONE, &l);
    expect_leader(&s, "");
    assert_int_equal(next(&s), CONTEST_NOTHING);
    pass(&s, 15 * SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
}

static void a_lease_deleted_by_hand_is_waited_for_unless_it_was_ours(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    follow(&s);
    contest_see_gone(&s.contest, "l1", s.now);
    assert_int_equal(next(&s), CONTEST_NOTHING);
    assert_true(mono_before(s.now, contest_wake(&s.contest, s.now)));
    pass(&s, 15 * SECOND);
    assert_int_equal(next(&s), CONTEST_CREATE);
    assert_int_equal(s.write.transitions, 4); /* goes on counting */

    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    contest_see_gone(&s.contest, "l1", s.now);
    assert_false(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_CREATE);
}

static void a_sick_leader_lets_go_and_stands_again_when_it_is_well(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    contest_see_health(&s.contest, false, s.now);
    expect_leader(&s, "");
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_string_equal(s.write.holder, "");
    struct contest_lease l = written(&s, "l1", "11");
    answer(&s, CONTEST_DONE, &l);
    pass(&s, 60 * SECOND);
    assert_int_equal(next(&s), CONTEST_NOTHING);
    contest_see_health(&s.contest, true, s.now);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_string_equal(s.write.holder, "me");
}

static void who_is_well_again_during_the_release_does_not_lead_on(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    contest_see_health(&s.contest, false, s.now);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    contest_see_health(&s.contest, true, s.now);
    assert_false(contest_leads(&s.contest)); /* the Lease may be free already */
    answer(&s, CONTEST_FAILED, NULL);
    assert_false(contest_leads(&s.contest));
    pass(&s, SECOND);
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_int_equal(s.write.transitions, 2);
}

static void a_stopped_leader_releases_and_is_over(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    win_by_renewing(&s);
    contest_stop(&s.contest, s.now);
    expect_leader(&s, "");
    assert_false(contest_is_over(&s.contest));
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_string_equal(s.write.holder, "");
    struct contest_lease l = written(&s, "l1", "11");
    answer(&s, CONTEST_DONE, &l);
    assert_true(contest_is_over(&s.contest));
    assert_int_equal(next(&s), CONTEST_NOTHING);
}

static void a_win_that_is_answered_after_the_stop_is_released(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    find_nothing(&s);
    assert_int_equal(next(&s), CONTEST_CREATE);
    contest_stop(&s.contest, s.now);
    assert_false(contest_is_over(&s.contest));
    struct contest_lease l = written(&s, "l1", "10");
    answer(&s, CONTEST_DONE, &l);
    assert_false(contest_leads(&s.contest));
    assert_int_equal(next(&s), CONTEST_UPDATE);
    assert_string_equal(s.write.holder, "");
}

static void a_stopped_owner_and_a_follower_have_nothing_to_release(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_OWNER);
    win_as_owner(&s);
    contest_stop(&s.contest, s.now);
    assert_true(contest_is_over(&s.contest));
    scene_init(&s, CONTEST_RENEW);
    follow(&s);
    contest_stop(&s.contest, s.now);
    assert_true(contest_is_over(&s.contest));
}

static void failures_are_retried_with_growing_pauses(void **state)
{
    struct scene s;
    scene_init(&s, CONTEST_RENEW);
    int64_t pauses[8];
    for (size_t i = 0; i < ARRAY_LENGTH(pauses); i++) {
        assert_int_equal(next(&s), CONTEST_READ);
        answer(&s, CONTEST_FAILED, NULL);
        assert_int_equal(next(&s), CONTEST_NOTHING);
        pauses[i] = mono_sub(contest_wake(&s.contest, s.now), s.now);
        assert_in_range(pauses[i], 50 * MS, 2 * SECOND);
        pass(&s, pauses[i]);
    }
    assert_true(pauses[0] <= 100 * MS && pauses[7] >= SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_states_makes_sense),
        cmocka_unit_test(an_owner_that_creates_the_lease_leads_for_ever),
        cmocka_unit_test(an_owner_that_comes_second_follows_who_holds_it),
        cmocka_unit_test(a_deleted_lease_is_campaigned_for_by_a_living_pod_alone),
        cmocka_unit_test(a_lease_of_a_former_pod_of_our_name_is_not_ours),
        cmocka_unit_test(a_restarted_owner_finds_its_own_lease),
        cmocka_unit_test(a_create_without_answer_is_found_by_reading),
        cmocka_unit_test(old_news_of_a_deleted_lease_are_no_news),
        cmocka_unit_test(a_list_that_is_older_than_our_win_does_not_end_it),
        cmocka_unit_test(a_quick_succession_is_one_change_and_a_long_vacancy_is_shown),
        cmocka_unit_test(a_renewer_leads_until_its_validity_is_over_and_no_longer),
        cmocka_unit_test(validity_counts_from_the_sending),
        cmocka_unit_test(an_answer_that_comes_too_late_does_not_make_a_leader),
        cmocka_unit_test(a_follower_takes_a_lease_that_it_saw_unchanged_for_its_duration),
        cmocka_unit_test(the_same_version_again_is_no_change),
        cmocka_unit_test(a_released_lease_is_taken_at_once),
        cmocka_unit_test(a_lease_without_duration_is_its_owners_until_it_is_deleted),
        cmocka_unit_test(a_conflict_is_read_and_the_renewal_repeated),
        cmocka_unit_test(a_renewal_of_unknown_outcome_extends_only_if_it_is_there),
        cmocka_unit_test(our_name_in_a_lease_of_a_former_process_is_waited_for),
        cmocka_unit_test(a_lease_deleted_by_hand_is_waited_for_unless_it_was_ours),
        cmocka_unit_test(a_sick_leader_lets_go_and_stands_again_when_it_is_well),
        cmocka_unit_test(who_is_well_again_during_the_release_does_not_lead_on),
        cmocka_unit_test(a_stopped_leader_releases_and_is_over),
        cmocka_unit_test(a_win_that_is_answered_after_the_stop_is_released),
        cmocka_unit_test(a_stopped_owner_and_a_follower_have_nothing_to_release),
        cmocka_unit_test(failures_are_retried_with_growing_pauses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
