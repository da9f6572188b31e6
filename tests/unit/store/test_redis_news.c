/* Notices of three nodes in every disorder: each change is told once, in order, and only when a majority is behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/news.h"

#define TERM_MS 5000

struct table {
    struct news news;
    struct news_now now;
    char told[4096]; /* "elected A 5 after B; " */
    struct wall last_at;
    struct news_item *asked;
    unsigned questions;
    bool busy;
};

static void on_event(void *arg, const struct election_event *event)
{
    struct table *t = arg;
    size_t n = strlen(t->told);
    assert_true(str_eq(event->kind, STR("default")) && str_eq(event->election, STR("e")));
    int added =
        snprintf(t->told + n, sizeof t->told - n, "%s %.*s %llu%s%.*s; ", election_action_word(event->action),
                 STR_ARG(event->leader), (unsigned long long)event->token,
                 event->previous.n > 0 ? " after " : "", STR_ARG(event->previous));
    assert_true(added > 0 && (size_t)added < sizeof t->told - n);
    t->last_at = event->at;
}

static bool on_ask(void *arg, struct news_item *item, struct str kind, struct str election)
{
    struct table *t = arg;
    assert_null(t->asked);
    if (!t->busy) {
        t->asked = item;
        t->questions++;
    }
    return !t->busy;
}

static int set_up(void **state)
{
    struct table *t = mem_zalloc(sizeof *t);
    const struct news_hooks hooks = {.event = on_event, .ask = on_ask, .arg = t};
    t->now = (struct news_now){{INT64_C(1000000)}, {INT64_C(1700000000000000)}};
    news_init(&t->news, 3, 7, &hooks, t->now.mono);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    struct table *t = *state;
    news_fini(&t->news);
    mem_free(t);
    return 0;
}

static void heard(struct table *t, unsigned node, enum election_action action, const char *leader,
                  uint64_t token)
{
    struct news_notice notice = {
        .action = action,
        .token = token,
        .at = t->now.wall,
        .kind = STR("default"),
        .election = STR("e"),
        .leader = str_of(leader),
        .previous = STR("P"),
        .term_ms = action == ACTION_RESIGNED ? 0 : TERM_MS,
    };
    news_heard(&t->news, t->now, node, &notice);
}

static void heard_by_two(struct table *t, enum election_action action, const char *leader, uint64_t token)
{
    heard(t, 0, action, leader, token);
    heard(t, 1, action, leader, token);
}

static void advance_ms(struct table *t, int64_t ms)
{
    t->now.mono.us += ms * 1000;
    t->now.wall.us += ms * 1000;
    news_timer(&t->news, t->now);
}

static void answer(struct table *t, enum news_answer what, const char *leader, uint64_t token,
                   int64_t left_ms)
{
    struct news_item *item = t->asked;
    assert_non_null(item);
    t->asked = NULL;
    news_answered(&t->news, t->now, item,
                  &(struct news_present){what, str_of(leader), token, mono_add_ms(t->now.mono, left_ms)});
}

static void expect(struct table *t, const char *told)
{
    assert_string_equal(t->told, told);
    t->told[0] = '\0';
}

static void one_node_is_nobody_two_are_a_majority_and_the_third_tells_nothing_new(void **state)
{
    struct table *t = *state;
    heard(t, 2, ACTION_ELECTED, "A", 5);
    heard(t, 2, ACTION_ELECTED, "A", 5);
    expect(t, "");
    heard(t, 0, ACTION_ELECTED, "A", 5);
    expect(t, "elected A 5 after P; ");
    heard(t, 1, ACTION_ELECTED, "A", 5);
    expect(t, "");
    assert_int_equal(t->questions, 0);
}

static void one_nodes_whole_story_waits_for_another_node_and_keeps_its_order(void **state)
{
    struct table *t = *state;
    for (unsigned node = 0; node < 2; node++) {
        heard(t, node, ACTION_ELECTED, "A", 5);
        heard(t, node, ACTION_HANDED_OVER, "B", 6);
        heard(t, node, ACTION_RESIGNED, "B", 6);
        heard(t, node, ACTION_ELECTED, "C", 8);
    }
    expect(t, "elected A 5 after P; handed_over B 6 after A; resigned B 6; elected C 8 after B; ");
}

static void a_grant_that_others_passed_by_is_forgotten(void **state)
{
    struct table *t = *state;
    heard(t, 0, ACTION_ELECTED, "X", 4); /* failed: undone */
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    expect(t, ""); /* node 2 may still say X */
    heard(t, 2, ACTION_ELECTED, "A", 5);
    expect(t, "elected A 5 after P; ");
}

static void what_one_node_says_is_asked_for_after_a_moment(void **state)
{
    struct table *t = *state;
    heard(t, 0, ACTION_ELECTED, "A", 5);
    advance_ms(t, 99);
    assert_null(t->asked);
    advance_ms(t, 1);
    answer(t, NEWS_LED, "A", 5, 4900);
    expect(t, "elected A 5 after P; ");
    heard(t, 0, ACTION_RESIGNED, "A", 5);
    advance_ms(t, 100);
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "resigned A 5; ");
}

static void a_grant_that_the_quorum_never_confirms_is_told_to_nobody(void **state)
{
    struct table *t = *state;
    heard(t, 0, ACTION_ELECTED, "A", 5);
    advance_ms(t, 100);
    answer(t, NEWS_NOBODY, "", 0, 0);
    for (int i = 0; i < 5; i++) {
        advance_ms(t, 1000);
        answer(t, NEWS_NOBODY, "", 0, 0);
    }
    advance_ms(t, 2000);
    assert_null(t->asked);
    expect(t, "");
}

static void a_resignation_that_did_not_reach_a_majority_is_none(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    heard(t, 0, ACTION_RESIGNED, "A", 5);
    advance_ms(t, 100);
    answer(t, NEWS_LED, "A", 5, 60000);
    expect(t, "elected A 5 after P; ");
}

static void an_expiry_is_noticed_and_an_extension_is_none(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    expect(t, "elected A 5 after P; ");
    advance_ms(t, TERM_MS - 1);
    assert_null(t->asked);
    advance_ms(t, 1);
    answer(t, NEWS_LED, "A", 5, 3000);
    advance_ms(t, 2999);
    assert_null(t->asked);
    advance_ms(t, 1);
    struct wall ends = t->now.wall;
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "expired A 5; ");
    assert_int_equal(t->last_at.us, ends.us);
}

static void an_expiry_comes_before_what_follows_it(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    advance_ms(t, TERM_MS);
    heard_by_two(t, ACTION_ELECTED, "B", 9);
    expect(t, "elected A 5 after P; expired A 5; elected B 9 after A; ");
    answer(t, NEWS_LED, "B", 9, 1000);
    expect(t, "");
}

static void starting_over_before_the_term_is_over_is_a_resignation(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    advance_ms(t, 10);
    heard_by_two(t, ACTION_ELECTED, "A", 6);
    expect(t, "elected A 5 after P; resigned A 5; elected A 6 after A; ");
}

static void lost_notices_are_made_up_for_at_the_expected_expiry(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    advance_ms(t, TERM_MS);
    answer(t, NEWS_LED, "B", 7, 2000); /* nothing of that was heard */
    expect(t, "elected A 5 after P; expired A 5; elected B 7 after A; ");
    heard_by_two(t, ACTION_ELECTED, "B", 7); /* late */
    expect(t, "");
}

static void when_a_node_is_heard_again_every_election_is_asked_for(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    news_listening(&t->news, t->now);
    advance_ms(t, 5);
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "elected A 5 after P; expired A 5; ");
}

static void what_somebody_learnt_is_followed_and_is_no_news(void **state)
{
    struct table *t = *state;
    struct news_present present = {NEWS_LED, STR("A"), 5, mono_add_ms(t->now.mono, 300)};
    news_learnt(&t->news, t->now, STR("default"), STR("e"), &present);
    expect(t, "");
    advance_ms(t, 300);
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "expired A 5; ");
}

static void a_quorum_that_cannot_say_is_asked_again(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    advance_ms(t, TERM_MS);
    answer(t, NEWS_UNDECIDED, "", 0, 0);
    t->busy = true;
    advance_ms(t, 1000);
    assert_null(t->asked);
    t->busy = false;
    advance_ms(t, 10);
    answer(t, NEWS_LED, "A", 0, 0); /* on too few nodes to tell its token */
    expect(t, "elected A 5 after P; ");
    advance_ms(t, 1000);
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "expired A 5; ");
}

static void a_foreign_leader_ends_a_tenure_of_ours(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    advance_ms(t, TERM_MS);
    answer(t, NEWS_LED, "foreign", 0, 0);
    expect(t, "elected A 5 after P; expired A 5; ");
}

static void an_election_without_a_leader_is_forgotten_after_a_minute(void **state)
{
    struct table *t = *state;
    heard_by_two(t, ACTION_ELECTED, "A", 5);
    heard_by_two(t, ACTION_RESIGNED, "A", 5);
    heard(t, 2, ACTION_ELECTED, "A", 5);
    expect(t, "elected A 5 after P; resigned A 5; ");
    assert_int_equal(t->news.items.nodes, 1);
    advance_ms(t, 61000);
    assert_int_equal(t->news.items.nodes, 0);
    assert_int_equal(t->questions, 0);
}

static void hints_of_a_lying_node_are_bounded(void **state)
{
    struct table *t = *state;
    for (unsigned i = 1; i < 100000; i++) {
        heard(t, 0, ACTION_ELECTED, "X", i);
    }
    advance_ms(t, 100);
    answer(t, NEWS_NOBODY, "", 0, 0);
    expect(t, "");
}

static void only_whole_notices_are_read(void **state)
{
    struct news_notice notice;
    assert_true(news_notice_read(STR("elected\t5\t17\tdefault\te f\tA\t\t5000"), &notice));
    assert_int_equal(notice.action, ACTION_ELECTED);
    assert_int_equal(notice.token, 5);
    assert_int_equal(notice.at.us, 17);
    assert_int_equal(notice.term_ms, 5000);
    assert_true(str_eq(notice.election, STR("e f")) && notice.previous.n == 0);
    static const char *const bad[] = {
        "",
        "elected",
        "expired\t5\t17\tdefault\te\tA\t\t5000",
        "elected\t0\t17\tdefault\te\tA\t\t5000",
        "elected\t9007199254740992\t17\tdefault\te\tA\t\t5000",
        "elected\t5\t-1\tdefault\te\tA\t\t5000",
        "elected\t5\t17\tde fault\te\tA\t\t5000",
        "elected\t5\t17\tdefault\t\tA\t\t5000",
        "elected\t5\t17\tdefault\te\t\t\t5000",
        "elected\t5\t17\tdefault\te\tA\t\x01\t5000",
        "elected\t5\t17\tdefault\te\tA\t\t-1",
        "elected\t5\t17\tdefault\te\tA\t\t2147483648",
        "elected\t5\t17\tdefault\te\tA\t\t5000\tmore",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(news_notice_read(str_of(bad[i]), &notice));
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_node_is_nobody_two_are_a_majority_and_the_third_tells_nothing_new),
        TEST(one_nodes_whole_story_waits_for_another_node_and_keeps_its_order),
        TEST(a_grant_that_others_passed_by_is_forgotten),
        TEST(what_one_node_says_is_asked_for_after_a_moment),
        TEST(a_grant_that_the_quorum_never_confirms_is_told_to_nobody),
        TEST(a_resignation_that_did_not_reach_a_majority_is_none),
        TEST(an_expiry_is_noticed_and_an_extension_is_none),
        TEST(an_expiry_comes_before_what_follows_it),
        TEST(starting_over_before_the_term_is_over_is_a_resignation),
        TEST(lost_notices_are_made_up_for_at_the_expected_expiry),
        TEST(when_a_node_is_heard_again_every_election_is_asked_for),
        TEST(what_somebody_learnt_is_followed_and_is_no_news),
        TEST(a_quorum_that_cannot_say_is_asked_again),
        TEST(a_foreign_leader_ends_a_tenure_of_ours),
        TEST(an_election_without_a_leader_is_forgotten_after_a_minute),
        TEST(hints_of_a_lying_node_are_bounded),
        TEST(only_whole_notices_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
