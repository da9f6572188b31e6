/* Events, as they are told and as they are kept: invariants V1 to V3. */
#include "base/mem.h"
#include "bench.h"

static void expect_event(const struct election_event *event, enum election_action action, const char *leader,
                         const char *previous, uint64_t token, int64_t at_us)
{
    assert_string_equal(election_action_word(event->action), election_action_word(action));
    expect_str(event->kind, KIND_DEFAULT);
    expect_str(event->election, "e");
    expect_str(event->leader, leader);
    expect_str(event->previous, previous);
    assert_int_equal(event->token, token);
    assert_int_equal(event->at.us, at_us);
}

static void every_change_of_leader_is_told_with_leader_previous_and_token(void **state)
{
    struct bench *b = *state;
    struct answer a = bench_campaign(b, "e", "A", 5000);
    expect_event(bench_event(b, 1), ACTION_ELECTED, "A", "", a.tenure.token, b->asked_wall.us);
    bench_advance_ms(b, 10);
    struct answer handed = bench_handover(b, "e", "B", 5000, "A", 0);
    expect_event(bench_event(b, 2), ACTION_HANDED_OVER, "B", "A", handed.tenure.token, b->asked_wall.us);
    bench_advance_ms(b, 10);
    (void)bench_resign(b, "e", "B", 0);
    expect_event(bench_event(b, 3), ACTION_RESIGNED, "B", "", handed.tenure.token, b->asked_wall.us);
    bench_advance_ms(b, 10);
    struct answer c = bench_campaign(b, "e", "C", 1000);
    expect_event(bench_event(b, 4), ACTION_ELECTED, "C", "B", c.tenure.token, b->asked_wall.us);
}

static void a_handover_of_what_nobody_holds_is_told_as_an_election(void **state)
{
    struct bench *b = *state;
    struct answer answer = bench_handover(b, "e", "B", 5000, "", 0);
    expect_event(bench_event(b, 1), ACTION_ELECTED, "B", "", answer.tenure.token, b->asked_wall.us);
}

static void an_expiry_is_told_although_nobody_asks(void **state)
{
    struct bench *b = *state;
    struct answer a = bench_campaign(b, "e", "A", 1000);
    int64_t at_us = b->clock.wall.us + 1000 * US_PER_MS;
    bench_advance_ms(b, 999);
    assert_int_equal(b->n_events, 1);
    bench_advance_ms(b, 1 + NOTICED_MS);
    expect_event(bench_event(b, 2), ACTION_EXPIRED, "A", "", a.tenure.token, at_us);
}

static void an_expiry_comes_before_what_follows_it(void **state)
{
    struct bench *b = *state;
    struct answer a = bench_campaign(b, "e", "A", 1000);
    int64_t at_us = b->clock.wall.us + 1000 * US_PER_MS;
    bench_end_us(b, 1000 * US_PER_MS);
    struct answer c = bench_campaign(b, "e", "B", 1000);
    expect_event(bench_event(b, 3), ACTION_ELECTED, "B", "A", c.tenure.token, b->asked_wall.us);
    expect_event(&b->events[1], ACTION_EXPIRED, "A", "", a.tenure.token, at_us); /* V2 */
}

static void starting_over_with_past_is_two_events(void **state)
{
    struct bench *b = *state;
    struct answer first = bench_campaign(b, "e", "A", 5000);
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", "A");
    question.past = first.tenure.token;
    struct answer second = bench_ask(b, question);
    expect_event(bench_event(b, 3), ACTION_ELECTED, "A", "A", second.tenure.token, b->asked_wall.us);
    expect_event(&b->events[1], ACTION_RESIGNED, "A", "", first.tenure.token, b->asked_wall.us);
}

static void what_changes_no_leader_is_no_event(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 5000);
    (void)bench_campaign(b, "e", "A", 5000);
    (void)bench_campaign(b, "e", "B", 5000);
    (void)bench_extend(b, "e", "A", 5000, 0);
    (void)bench_extend(b, "e", "B", 5000, 0);
    (void)bench_resign(b, "e", "B", 0);
    (void)bench_handover(b, "e", "C", 5000, "B", 0);
    (void)bench_get(b, "e");
    (void)bench_info(b, "e");
    (void)bench_event(b, 1);
}

static void the_events_are_kept_with_the_election_oldest_first(void **state)
{
    struct bench *b = *state;
    (void)bench_campaign(b, "e", "A", 5000);
    (void)bench_handover(b, "e", "B", 5000, "", 0);
    (void)bench_resign(b, "e", "B", 0);
    (void)bench_campaign(b, "e", "B", 1000);
    (void)bench_event(b, 4); /* before time leaps: in a cluster notices travel from server to server */
    bench_end_us(b, 1000 * US_PER_MS);
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_events, 5);
    (void)bench_campaign(b, "e", "C", 1000);
    info = bench_info(b, "e");
    assert_int_equal(info.info.n_events, 6);
    (void)bench_event(b, 6);
    for (size_t i = 0; i < 6; i++) {
        const struct election_event *told = &b->events[i];
        expect_str(info.info.events[i].kind, KIND_DEFAULT);
        expect_str(info.info.events[i].election, "e");
        assert_int_equal(info.info.events[i].action, told->action);
        assert_int_equal(info.info.events[i].token, told->token);
        if (told->action == ACTION_EXPIRED) {
            expect_kept_wall(b, info.info.events[i].at, told->at);
        } else {
            assert_int_equal(info.info.events[i].at.us, told->at.us);
        }
        assert_true(str_eq(info.info.events[i].leader, told->leader));
        assert_true(str_eq(info.info.events[i].previous, told->previous));
    }
}

static void the_last_100_events_are_kept(void **state)
{
    struct bench *b = *state;
    uint64_t token = 0;
    for (unsigned i = 0; i < 60; i++) { /* 120 events */
        struct answer won = bench_campaign(b, "e", "A", 5000);
        token = won.tenure.token;
        (void)bench_resign(b, "e", "A", token);
    }
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_events, ELECTION_EVENTS_KEPT);
    assert_int_equal(info.info.events[99].action, ACTION_RESIGNED);
    assert_int_equal(info.info.events[99].token, token);
    assert_int_equal(info.info.events[0].action, ACTION_ELECTED);
    (void)bench_event(b, 120);
    assert_int_equal(info.info.events[0].token, b->events[20].token);
}

struct suite suite_events(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(every_change_of_leader_is_told_with_leader_previous_and_token),
        BENCH_TEST(a_handover_of_what_nobody_holds_is_told_as_an_election),
        BENCH_TEST(an_expiry_is_told_although_nobody_asks),
        BENCH_TEST(an_expiry_comes_before_what_follows_it),
        BENCH_TEST(starting_over_with_past_is_two_events),
        BENCH_TEST(what_changes_no_leader_is_no_event),
        BENCH_TEST(the_events_are_kept_with_the_election_oldest_first),
        BENCH_TEST(the_last_100_events_are_kept),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
