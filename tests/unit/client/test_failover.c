/* A node on simulated time; the test plays the store and the program's callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/failover.h"
#include "core/lease.h"

#define MS INT64_C(1000)

struct scene {
    struct failover f;
    struct mono now;
    struct failover_question question;
    struct mono until; /* as told by lead */
    uint64_t token;
    uint64_t running; /* the token of the last start or stop */
    unsigned starts;
    unsigned ends;
    struct mono ended_at;
    unsigned stops;
    enum election_act acts[100];
    unsigned n_acts;
    char leader[ELECTION_NAME_BYTES];
};

static void lead(void *arg, struct mono until, uint64_t token)
{
    struct scene *s = arg;
    s->until = until;
    s->token = token;
}

static void start(void *arg, uint64_t token)
{
    struct scene *s = arg;
    assert_int_equal(s->starts, s->stops);
    s->starts++;
    s->running = token;
}

static void end(void *arg, uint64_t token)
{
    struct scene *s = arg;
    assert_int_equal(s->running, token);
    assert_int_equal(s->until.us, 0); /* it does not lead any more when it is told */
    s->ends++;
    s->ended_at = s->now;
}

static void stop(void *arg, uint64_t token)
{
    struct scene *s = arg;
    assert_int_equal(s->running, token);
    assert_int_equal(s->starts, s->stops + 1);
    s->stops++;
}

static void change(void *arg, const char *leader, const char *previous, uint64_t token)
{
    struct scene *s = arg;
    assert_string_equal(s->leader, previous);
    (void)snprintf(s->leader, sizeof s->leader, "%s", leader);
}

static void note(void *arg, enum election_act act, const char *node, uint64_t token, const char *why)
{
    struct scene *s = arg;
    s->acts[s->n_acts++ % 100] = act;
}

/* A node that has just begun. */
static void begin(struct scene *s, enum election_strategy strategy, int32_t priority)
{
    memset(s, 0, sizeof *s);
    s->now.us = 1000000;
    failover_init(&s->f,
                  &(struct failover_settings){
                      .node_id = "me",
                      .priority = priority,
                      .strategy = strategy,
                      .ttl_ms = 3000,
                      .max_drift_ms = 1500,
                      .tick_ms = 500,
                      .close_timeout_ms = 5000,
                      .seed = 7,
                      .hooks = {lead, start, end, stop, change, note, s},
                  },
                  s->now);
}

/* Time goes on to the next event, at most to `at`; true if there is a question then. */
static bool step(struct scene *s, struct mono at)
{
    failover_tick(&s->f, s->now);
    s->question = failover_next(&s->f, s->now);
    if (s->question.ask == FAILOVER_NOTHING && failover_state(&s->f) != ELECTION_OVER) {
        struct mono wake = failover_wake(&s->f);
        s->now = mono_max(s->now, mono_min(wake, at));
    }
    return s->question.ask != FAILOVER_NOTHING;
}

static enum failover_ask until_question(struct scene *s)
{
    struct mono end_at = mono_add_ms(s->now, 20000);
    while (!step(s, end_at)) {
        assert_true(mono_before(s->now, end_at));
    }
    return s->question.ask;
}

static void answer(struct scene *s, enum failover_outcome outcome, const char *leader, uint64_t token)
{
    failover_answer(&s->f, &(struct failover_answer){outcome, leader, token}, s->now,
                    (struct wall){s->now.us});
    s->question.ask = FAILOVER_NOTHING;
}

static void elect(struct scene *s, uint64_t token)
{
    assert_int_equal(until_question(s), FAILOVER_CAMPAIGN);
    answer(s, FAILOVER_OK, "me", token);
    assert_int_equal(failover_state(&s->f), ELECTION_LEADING);
}

/* One that has seen that nobody leads. */
static void init(struct scene *s, enum election_strategy strategy, int32_t priority)
{
    begin(s, strategy, priority);
    assert_int_equal(until_question(s), FAILOVER_READ);
    answer(s, FAILOVER_LOST, "", 0);
}

static bool noted(const struct scene *s, enum election_act act)
{
    for (unsigned i = 0; i < s->n_acts && i < 100; i++) {
        if (s->acts[i] == act) {
            return true;
        }
    }
    return false;
}

static void the_table_is_sound(void **state)
{
    assert_true(sm_table_is_sound(failover_states, ELECTION_OVER + 1, ELECTION_FOLLOWING));
}

static void validity_counts_from_before_the_question_was_sent(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
    struct mono sent = s.now;
    s.now = mono_add_ms(s.now, 400);
    answer(&s, FAILOVER_OK, "me", 11);
    assert_int_equal(s.until.us, lease_valid_until(sent, 3000).us);
    assert_int_equal(s.starts, 1);
    assert_string_equal(s.leader, "me");
}

static void an_election_that_comes_too_late_is_given_back(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
    s.now = mono_add_ms(s.now, 3000);
    answer(&s, FAILOVER_OK, "me", 11);
    assert_int_equal(s.starts, 0);
    assert_int_equal(s.until.us, 0);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    assert_int_equal(s.question.token, 11);
}

static void ticks_are_up_to_a_fifth_shorter_or_longer(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    int64_t least = INT64_MAX;
    int64_t most = 0;
    (void)until_question(&s);
    answer(&s, FAILOVER_LOST, "other", 5);
    for (unsigned i = 0; i < 200; i++) {
        struct mono before = s.now;
        assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
        int64_t us = mono_sub(s.now, before);
        least = us < least ? us : least;
        most = us > most ? us : most;
        answer(&s, FAILOVER_LOST, "other", 5);
    }
    assert_in_range(least, 400 * MS, 420 * MS);
    assert_in_range(most, 580 * MS, 600 * MS);
}

static void without_a_renewal_for_max_drift_it_steps_down(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    struct mono renewed = s.now;
    while (failover_state(&s.f) == ELECTION_LEADING) {
        if (step(&s, mono_add_ms(s.now, 10000)) && failover_state(&s.f) == ELECTION_LEADING) {
            answer(&s, FAILOVER_UNKNOWN, "", 0);
        }
    }
    assert_int_equal(mono_sub(s.ended_at, renewed), 1500 * MS);
    assert_int_equal(s.ends, 1);
    assert_true(noted(&s, ELECTION_ACT_STEPPED_DOWN));
    assert_int_equal(s.stops, 0); /* on_start has not returned */
    failover_started(&s.f, 0, s.now);
    assert_int_equal(s.stops, 1);
}

static void a_lost_lease_ends_it_at_once_and_is_not_resigned(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    assert_int_equal(until_question(&s), FAILOVER_EXTEND);
    answer(&s, FAILOVER_LOST, "other", 12);
    assert_int_equal(s.until.us, 0);
    assert_int_equal(s.ends, 1);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_FOLLOWING);
    enum failover_ask next = until_question(&s);
    assert_true(next == FAILOVER_CAMPAIGN || next == FAILOVER_READ);
}

static void a_failing_on_start_resigns_and_stands_again_after_a_tick(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    struct mono before = s.now;
    failover_started(&s.f, 3, s.now);
    assert_int_equal(s.until.us, 0);
    assert_int_equal(s.stops, 1);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    answer(&s, FAILOVER_OK, "", 0);
    while (until_question(&s) == FAILOVER_READ) {
        answer(&s, FAILOVER_LOST, "", 0);
    }
    assert_int_equal(s.question.ask, FAILOVER_CAMPAIGN);
    assert_int_equal(s.question.past, 11); /* is never led again */
    assert_in_range(mono_sub(s.now, before), 500 * MS, 1200 * MS);
}

static void on_stop_has_a_second_and_then_the_lease_is_given_without_it(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    failover_started(&s.f, 0, s.now); /* returned, and leads on */
    assert_int_equal(s.stops, 0);
    failover_step_down(&s.f, s.now);
    struct mono before = s.now;
    while (until_question(&s) == FAILOVER_EXTEND) {
        answer(&s, FAILOVER_OK, "me", 11);
    }
    assert_int_equal(s.question.ask, FAILOVER_RESIGN);
    assert_int_equal(mono_sub(s.now, before), 1000 * MS);
    assert_true(noted(&s, ELECTION_ACT_STOP_LATE));
    answer(&s, FAILOVER_OK, "", 0);
    for (unsigned i = 0; i < 20; i++) { /* it does not stand while on_stop runs */
        assert_int_equal(until_question(&s), FAILOVER_READ);
        answer(&s, FAILOVER_LOST, "", 0);
    }
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
}

static void after_a_step_down_others_come_first(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    struct mono before = s.now;
    failover_step_down(&s.f, s.now);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    answer(&s, FAILOVER_OK, "", 0);
    assert_false(failover_stands(&s.f, s.now));
    while (until_question(&s) == FAILOVER_READ) {
        answer(&s, FAILOVER_LOST, "", 0);
    }
    assert_true(mono_sub(s.now, before) >= 3000 * MS);
}

static void the_lease_is_kept_while_on_start_ends_but_not_for_ever(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    struct mono before = s.now;
    struct mono last = s.now;
    failover_step_down(&s.f, s.now);
    while (mono_sub(s.now, before) < 10000 * MS) {
        if (step(&s, mono_add_ms(before, 10000))) {
            assert_int_equal(s.question.ask, FAILOVER_EXTEND);
            last = s.now;
            answer(&s, FAILOVER_OK, "me", 11);
            assert_int_equal(s.until.us, 0); /* renewed, and yet no leader */
        }
    }
    assert_in_range(mono_sub(last, before), 2000 * MS, 3000 * MS);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_FOLLOWING);
}

static void a_leader_hands_over_to_a_more_wanted_node_after_its_work_has_ended(void **state)
{
    struct scene s;
    init(&s, ELECTION_PRIORITY, 5);
    elect(&s, 11);
    failover_see(&s.f, "worse", 7, 0, s.now, (struct wall){0});
    failover_tick(&s.f, s.now);
    assert_int_equal(s.ends, 0);
    failover_see(&s.f, "good", 2, 0, s.now, (struct wall){0});
    failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
    failover_tick(&s.f, s.now);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.until.us, 0);
    (void)step(&s, s.now);
    assert_int_not_equal(s.question.ask, FAILOVER_HAND_OVER);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_HAND_OVER);
    assert_string_equal(s.question.heir, "best");
    assert_int_equal(s.question.token, 11);
    answer(&s, FAILOVER_OK, "best", 12);
    assert_string_equal(s.leader, "best");
    assert_true(noted(&s, ELECTION_ACT_HANDED_OVER));
}

static void a_handover_that_fails_becomes_a_resignation_of_that_very_token(void **state)
{
    struct scene s;
    init(&s, ELECTION_PRIORITY, 5);
    elect(&s, 11);
    failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
    failover_tick(&s.f, s.now);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_HAND_OVER);
    answer(&s, FAILOVER_UNKNOWN, "", 0);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    assert_int_equal(s.question.token, 11);
}

static void fail_back_delay_and_min_tenure_are_waited_for(void **state)
{
    struct scene s;
    for (unsigned i = 0; i < 2; i++) {
        init(&s, ELECTION_PRIORITY, 5);
        s.f.settings.fail_back_delay_ms = i == 0 ? 4000 : 0;
        s.f.settings.min_tenure_ms = i == 1 ? 4000 : 0;
        elect(&s, 11);
        struct mono before = s.now;
        while (failover_state(&s.f) == ELECTION_LEADING) {
            failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
            if (step(&s, mono_add_ms(s.now, 1000)) && s.question.ask == FAILOVER_EXTEND) {
                answer(&s, FAILOVER_OK, "me", 11);
            }
        }
        assert_in_range(mono_sub(s.now, before), 4000 * MS, 4700 * MS);
    }
}

static void who_died_while_leading_is_not_alive_when_the_next_is_elected(void **state)
{
    struct scene s;
    init(&s, ELECTION_PRIORITY, 5);
    assert_true(failover_live_us(&s.f) < 3000 * MS);
    failover_see(&s.f, "best", 1, 3000 * MS, s.now, (struct wall){0}); /* died a lease ago */
    assert_int_equal(s.f.n_nodes, 0);
    elect(&s, 11);
    failover_tick(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_LEADING);
}

static void a_free_election_is_left_to_a_better_node_for_a_while(void **state)
{
    struct scene s;
    init(&s, ELECTION_PRIORITY, 5);
    failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(until_question(&s), FAILOVER_READ);
        answer(&s, FAILOVER_LOST, "", 0);
        failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
    }
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
}

static void a_better_leader_that_leaves_is_neither_waited_for_nor_given_the_lease_again(void **state)
{
    struct scene s;
    for (unsigned seen_over = 0; seen_over < 2; seen_over++) {
        init(&s, ELECTION_PRIORITY, 5);
        assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
        answer(&s, FAILOVER_LOST, "best", 11);
        failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
        struct mono said = s.now;
        if (seen_over == 1) {
            failover_hint(&s.f, s.now);
            assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
            answer(&s, FAILOVER_LOST, "", 0);
        }
        elect(&s, 12);
        assert_true(noted(&s, ELECTION_ACT_LEFT));
        failover_see(&s.f, "best", 1, mono_sub(s.now, said), s.now, (struct wall){0}); /* heard once more */
        failover_tick(&s.f, s.now);
        assert_int_equal(failover_state(&s.f), ELECTION_LEADING);
        s.now = mono_add_ms(s.now, 1);
        failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0}); /* it is back */
        failover_tick(&s.f, s.now);
        assert_int_equal(failover_state(&s.f), ELECTION_STOPPING);
    }
}

static void an_end_that_was_seen_before_the_renewal_is_the_end(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    failover_lapsed(&s.f, s.now);
    assert_int_equal(s.ends, 1);
    assert_int_equal(s.until.us, 0);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN); /* the lease itself was renewed */
    answer(&s, FAILOVER_OK, "", 0);
    failover_lapsed(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_FOLLOWING);
}

static void a_tenure_of_a_former_life_is_left_to_lapse(void **state)
{
    struct scene s;
    begin(&s, ELECTION_RACE, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(until_question(&s), FAILOVER_READ);
        answer(&s, i == 2 ? FAILOVER_UNKNOWN : FAILOVER_OK, i == 2 ? "" : "me", i == 2 ? 0 : 11);
        assert_string_equal(s.leader, "");
    }
    assert_int_equal(until_question(&s), FAILOVER_READ);
    struct mono lapsed = s.now;
    answer(&s, FAILOVER_LOST, "", 0);
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN); /* at once */
    assert_int_equal(s.now.us, lapsed.us);
    assert_int_equal(s.question.past, 11);
}

static void who_stops_leading_says_at_once_that_it_does_not_stand(void **state)
{
    struct scene s;
    init(&s, ELECTION_PRIORITY, 5);
    elect(&s, 11);
    (void)failover_beat(&s.f);
    assert_false(failover_beat(&s.f));
    failover_step_down(&s.f, s.now);
    assert_true(failover_beat(&s.f));
    assert_false(failover_stands(&s.f, s.now));
}

static void of_more_nodes_than_are_kept_the_most_wanted_are(void **state)
{
    struct scene s;
    char name[16];
    init(&s, ELECTION_PRIORITY, 5);
    elect(&s, 11);
    failover_see(&s.f, "me", 5, 0, s.now, (struct wall){0});
    for (int i = 1; i < ELECTION_NODES_MAX + 10; i++) {
        (void)snprintf(name, sizeof name, "n%d", i);
        failover_see(&s.f, name, 7, 0, s.now, (struct wall){0});
    }
    assert_int_equal(s.f.n_nodes, ELECTION_NODES_MAX);
    failover_tick(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_LEADING);
    failover_see(&s.f, "best", 1, 0, s.now, (struct wall){0});
    assert_int_equal(s.f.n_nodes, ELECTION_NODES_MAX);
    assert_string_equal(s.f.nodes[0].name, "me"); /* this node stays */
    failover_tick(&s.f, s.now);
    assert_int_equal(failover_state(&s.f), ELECTION_STOPPING);
    assert_string_equal(s.f.heir, "best");
}

static void nodes_that_fall_silent_leave(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    failover_see(&s.f, "other", 1, 0, s.now, (struct wall){0});
    assert_true(noted(&s, ELECTION_ACT_JOINED));
    s.now = mono_add_ms(s.now, 2000);
    failover_tick(&s.f, s.now);
    assert_int_equal(s.f.n_nodes, 1);
    s.now = mono_add_us(s.now, 1);
    failover_tick(&s.f, s.now);
    assert_int_equal(s.f.n_nodes, 0);
    assert_true(noted(&s, ELECTION_ACT_LEFT));
}

static void closing_waits_for_the_callbacks_and_resigns(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    failover_close(&s.f, s.now);
    assert_int_equal(s.ends, 1);
    failover_started(&s.f, 0, s.now);
    failover_stopped(&s.f, s.now);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    answer(&s, FAILOVER_OK, "", 0);
    assert_int_equal(failover_state(&s.f), ELECTION_OVER);
    assert_int_equal(failover_wake(&s.f).us, MONO_NEVER.us);
}

static void closing_gives_an_election_back_that_comes_meanwhile(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    assert_int_equal(until_question(&s), FAILOVER_CAMPAIGN);
    failover_close(&s.f, s.now);
    answer(&s, FAILOVER_OK, "me", 11);
    assert_int_equal(s.starts, 0);
    assert_int_equal(until_question(&s), FAILOVER_RESIGN);
    answer(&s, FAILOVER_UNKNOWN, "", 0);
    assert_int_equal(failover_state(&s.f), ELECTION_OVER);
}

static void closing_does_not_wait_for_ever_and_then_does_not_resign(void **state)
{
    struct scene s;
    init(&s, ELECTION_RACE, 1);
    elect(&s, 11);
    struct mono before = s.now;
    failover_close(&s.f, s.now);
    while (failover_state(&s.f) != ELECTION_OVER) {
        if (step(&s, mono_add_ms(s.now, 10000))) {
            assert_int_equal(s.question.ask, FAILOVER_EXTEND);
            answer(&s, FAILOVER_OK, "me", 11);
        }
    }
    assert_int_equal(mono_sub(s.now, before), 5000 * MS);
    assert_true(s.f.abandoned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_sound),
        cmocka_unit_test(validity_counts_from_before_the_question_was_sent),
        cmocka_unit_test(an_election_that_comes_too_late_is_given_back),
        cmocka_unit_test(ticks_are_up_to_a_fifth_shorter_or_longer),
        cmocka_unit_test(without_a_renewal_for_max_drift_it_steps_down),
        cmocka_unit_test(a_lost_lease_ends_it_at_once_and_is_not_resigned),
        cmocka_unit_test(a_failing_on_start_resigns_and_stands_again_after_a_tick),
        cmocka_unit_test(on_stop_has_a_second_and_then_the_lease_is_given_without_it),
        cmocka_unit_test(after_a_step_down_others_come_first),
        cmocka_unit_test(the_lease_is_kept_while_on_start_ends_but_not_for_ever),
        cmocka_unit_test(a_leader_hands_over_to_a_more_wanted_node_after_its_work_has_ended),
        cmocka_unit_test(a_handover_that_fails_becomes_a_resignation_of_that_very_token),
        cmocka_unit_test(fail_back_delay_and_min_tenure_are_waited_for),
        cmocka_unit_test(who_died_while_leading_is_not_alive_when_the_next_is_elected),
        cmocka_unit_test(a_free_election_is_left_to_a_better_node_for_a_while),
        cmocka_unit_test(a_better_leader_that_leaves_is_neither_waited_for_nor_given_the_lease_again),
        cmocka_unit_test(an_end_that_was_seen_before_the_renewal_is_the_end),
        cmocka_unit_test(a_tenure_of_a_former_life_is_left_to_lapse),
        cmocka_unit_test(who_stops_leading_says_at_once_that_it_does_not_stand),
        cmocka_unit_test(of_more_nodes_than_are_kept_the_most_wanted_are),
        cmocka_unit_test(nodes_that_fall_silent_leave),
        cmocka_unit_test(closing_waits_for_the_callbacks_and_resigns),
        cmocka_unit_test(closing_gives_an_election_back_that_comes_meanwhile),
        cmocka_unit_test(closing_does_not_wait_for_ever_and_then_does_not_resign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
