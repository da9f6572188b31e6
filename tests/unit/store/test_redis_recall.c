/* What three nodes remember, put together: gaps, ghosts, contradictions and nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/recall.h"

#define NOW_US     INT64_C(1700000000000000)
#define WEEK_MS    INT64_C(604800000)
#define SECOND_US  INT64_C(1000000)
#define FIELDS_MAX 256

/* Times are seconds before the present. */
struct desk {
    struct arena arena;
    struct recall recall;
    struct election_request request;
    struct resp_value items[FIELDS_MAX];
    size_t n;
    unsigned events;
    char shown[4096]; /* "elected A 5; expired A 5; " */
};

static int set_up(void **state)
{
    struct desk *desk = mem_zalloc(sizeof *desk);
    arena_init(&desk->arena, NULL, 0);
    desk->request = (struct election_request){.kind = STR("default"), .election = STR("e")};
    recall_init(&desk->recall, 3, &desk->arena);
    *state = desk;
    return 0;
}

static int tear_down(void **state)
{
    struct desk *desk = *state;
    arena_reset(&desk->arena);
    mem_free(desk);
    return 0;
}

/* --- what nodes say --- */

static void say(struct desk *desk, const char *text)
{
    assert_true(desk->n < FIELDS_MAX);
    desk->items[desk->n++] =
        (struct resp_value){.type = RESP_STRING, .str = arena_str(&desk->arena, str_of(text))};
}

static struct resp_value said(struct desk *desk)
{
    struct resp_value value = {.type = RESP_ARRAY, .items = desk->items, .n = desk->n};
    desk->n = 0;
    desk->events = 0;
    return value;
}

static void say_event(struct desk *desk, const char *action, const char *leader, unsigned token, int ago,
                      const char *previous)
{
    char text[128];
    (void)snprintf(text, sizeof text, "e%u", desk->events++);
    say(desk, text);
    (void)snprintf(text, sizeof text, "%lld\t%s\t%u\t%s\t%s", (long long)(NOW_US - ago * SECOND_US), action,
                   token, leader, previous);
    say(desk, text);
}

static void say_last(struct desk *desk, int elected_ago, const char *term_ms, const char *priority)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)(NOW_US - elected_ago * SECOND_US));
    say(desk, "elected_at");
    say(desk, text);
    say(desk, "term");
    say(desk, term_ms);
    say(desk, "priority");
    say(desk, priority);
}

static void meta_of(struct desk *desk, unsigned node)
{
    struct resp_value value = said(desk);
    assert_int_equal(recall_take_meta(&desk->recall, node, &value), EA_OK);
}

static void say_candidate(struct desk *desk, const char *member, int ago)
{
    char text[32];
    say(desk, member);
    (void)snprintf(text, sizeof text, "%lld", (long long)(NOW_US - ago * SECOND_US));
    say(desk, text);
}

static void candidates_of_a_node(struct desk *desk)
{
    struct resp_value value = said(desk);
    assert_int_equal(recall_take_candidates(&desk->recall, &value), EA_OK);
}

static void fence_of_a_node(struct desk *desk, int ended_ago)
{
    struct resp_value value = {.type = RESP_INTEGER, .integer = WEEK_MS - ended_ago * INT64_C(1000)};
    assert_int_equal(recall_take_fence(&desk->recall, &value, (struct wall){NOW_US}), EA_OK);
}

/* --- what is shown --- */

static void answer(struct desk *desk)
{
    size_t n = 0;
    recall_answer(&desk->recall, (struct quorum_now){{SECOND_US * 1000}, {NOW_US}}, &desk->request);
    for (size_t i = 0; i < desk->request.info.n_events; i++) {
        const struct election_event *event = &desk->request.info.events[i];
        assert_true(str_eq(event->kind, STR("default")) && str_eq(event->election, STR("e")));
        n += (size_t)snprintf(desk->shown + n, sizeof desk->shown - n, "%s %.*s %u%s%.*s; ",
                              election_action_word(event->action), STR_ARG(event->leader),
                              (unsigned)event->token, event->previous.n > 0 ? " after " : "",
                              STR_ARG(event->previous));
        assert_true(n < sizeof desk->shown);
    }
}

static void leads(struct desk *desk, const char *leader, unsigned token, int left)
{
    desk->request.tenure = (struct election_tenure){
        .leader = str_of(leader), .token = token, .expires = {SECOND_US * (1000 + left)}};
}

static void expect_candidate(const struct desk *desk, size_t i, const char *name, int priority, int ago,
                             bool leading)
{
    assert_true(i < desk->request.info.n_candidates);
    const struct election_candidate *candidate = &desk->request.info.candidates[i];
    assert_true(str_eq(candidate->name, str_of(name)));
    assert_int_equal(candidate->priority, priority);
    assert_int_equal(candidate->last_seen.us, NOW_US - ago * SECOND_US);
    assert_int_equal(candidate->leading, leading);
}

/* --- events --- */

static void what_nodes_missed_is_filled_by_the_others_in_the_order_of_tokens(void **state)
{
    struct desk *desk = *state;
    say_event(desk, "resigned", "A", 10, 80, "");
    say_event(desk, "elected", "A", 10, 90, "");
    meta_of(desk, 0);
    say_event(desk, "elected", "B", 20, 70, "A");
    say_event(desk, "resigned", "B", 20, 60, "");
    meta_of(desk, 1);
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "elected", "B", 20, 70, "");
    meta_of(desk, 2);
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; resigned A 10; elected B 20 after A; resigned B 20; ");
    assert_true(desk->recall.any);
}

static void what_a_quorum_can_not_have_held_is_left_out(void **state)
{
    struct desk *desk = *state;
    for (unsigned node = 0; node < 3; node++) {
        say_event(desk, "elected", "A", 10, 90, "");
        say_event(desk, "resigned", "A", 10, 80, "");
        if (node == 1) {
            say_event(desk, "elected", "ghost", 15, 75, "A");
        }
        say_event(desk, "elected", "B", 20, 70, node == 1 ? "ghost" : "A");
        meta_of(desk, node);
    }
    leads(desk, "B", 20, 5);
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; resigned A 10; elected B 20 after A; ");
}

static void a_node_without_memory_may_have_held_anything(void **state)
{
    struct desk *desk = *state;
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "resigned", "A", 10, 80, "");
    meta_of(desk, 0);
    meta_of(desk, 1); /* nothing at all */
    say_event(desk, "elected", "B", 20, 70, "");
    meta_of(desk, 2); /* nothing so old */
    leads(desk, "B", 20, 5);
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; resigned A 10; elected B 20 after A; ");
}

static void of_two_ends_the_one_that_somebody_caused_is_shown(void **state)
{
    struct desk *desk = *state;
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "expired", "A", 10, 85, "");
    say_event(desk, "elected", "B", 20, 70, "A");
    meta_of(desk, 0);
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "resigned", "A", 10, 88, "");
    say_event(desk, "elected", "B", 20, 70, "A");
    meta_of(desk, 1);
    leads(desk, "B", 20, 5);
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; resigned A 10; elected B 20 after A; ");
}

static void what_was_handed_over_did_not_expire(void **state)
{
    struct desk *desk = *state;
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "expired", "A", 10, 80, ""); /* this node had lost the tenure */
    say_event(desk, "elected", "B", 20, 80, "A");
    meta_of(desk, 0);
    for (unsigned node = 1; node < 3; node++) {
        say_event(desk, "elected", "A", 10, 90, "");
        say_event(desk, "handed_over", "B", 20, 80, "A");
        meta_of(desk, node);
    }
    leads(desk, "B", 20, 5);
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; handed_over B 20 after A; ");
}

static void a_tenure_that_runs_has_no_end(void **state)
{
    struct desk *desk = *state;
    say_event(desk, "elected", "A", 10, 90, "");
    say_event(desk, "expired", "A", 10, 80, "");
    meta_of(desk, 0);
    leads(desk, "A", 10, 5); /* thinned out, and refilled */
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; ");
}

static void an_end_that_nobody_noted_is_seen_from_the_fences_of_a_quorum(void **state)
{
    struct desk *desk = *state;
    for (unsigned node = 0; node < 3; node++) {
        say_last(desk, 90, "10000", "4");
        say_event(desk, "elected", "A", 10, 90, "");
        meta_of(desk, node);
        fence_of_a_node(desk, node == 0 ? -5 : 30); /* a grant that failed raised it there */
    }
    answer(desk);
    assert_string_equal(desk->shown, "elected A 10; expired A 10; ");
    assert_int_equal(desk->request.info.events[1].at.us, NOW_US - 30 * SECOND_US);
    assert_int_equal(desk->request.info.n_candidates, 1);
    expect_candidate(desk, 0, "A", 4, 40, false);
}

static void what_began_a_moment_ago_has_not_ended(void **state)
{
    struct desk *desk = *state;
    for (unsigned node = 0; node < 3; node++) {
        say_event(desk, "elected", "A", 10, 0, "");
        meta_of(desk, node);
        fence_of_a_node(desk, -10);
    }
    answer(desk); /* the quorum had answered before */
    assert_string_equal(desk->shown, "elected A 10; ");
}

static void the_last_hundred_events_are_shown(void **state)
{
    struct desk *desk = *state;
    for (unsigned node = 0; node < 3; node++) {
        for (unsigned token = 100; token < 150; token++) {
            say_event(desk, "elected", "A", token + node, 5, "");
            say_event(desk, "resigned", "A", token + node, 5, "");
        }
        meta_of(desk, node);
    }
    answer(desk);
    assert_int_equal(desk->request.info.n_events, ELECTION_EVENTS_KEPT);
    assert_int_equal(desk->request.info.events[0].token, 101);
    assert_int_equal(desk->request.info.events[99].token, 150);
}

/* --- candidates, tenure --- */

static void candidates_are_the_newest_that_any_node_saw(void **state)
{
    struct desk *desk = *state;
    say_candidate(desk, "A\t1", 30);
    say_candidate(desk, "B\t2", 20);
    candidates_of_a_node(desk);
    say_candidate(desk, "A\t7", 10);
    say_candidate(desk, "A\t1\tb", 40);
    say_candidate(desk, "C\t1", 61);
    candidates_of_a_node(desk);
    answer(desk);
    assert_int_equal(desk->request.info.n_candidates, 2);
    expect_candidate(desk, 0, "A", 7, 10, false);
    expect_candidate(desk, 1, "B", 2, 20, false);
}

static void a_leader_is_shown_by_its_tenure(void **state)
{
    struct desk *desk = *state;
    say_last(desk, 500, "10000", "4");
    say_event(desk, "elected", "A", 10, 500, "");
    meta_of(desk, 0);
    say_candidate(desk, "B\t2", 3);
    say_candidate(desk, "C\t2", 1);
    candidates_of_a_node(desk);
    leads(desk, "A", 10, 8);
    answer(desk);
    assert_int_equal(desk->request.tenure.term_ms, 10000);
    assert_int_equal(desk->request.tenure.elected_at.us, NOW_US - 500 * SECOND_US);
    assert_int_equal(desk->request.tenure.renewed_at.us, NOW_US - 2 * SECOND_US);
    assert_int_equal(desk->request.info.n_candidates, 3);
    expect_candidate(desk, 0, "C", 2, 1, false);
    expect_candidate(desk, 1, "A", 4, 2, true);
    expect_candidate(desk, 2, "B", 2, 3, false);
}

static void a_leader_that_goes_on_telling_its_priority_has_the_new_one(void **state)
{
    struct desk *desk = *state;
    say_last(desk, 500, "10000", "4");
    say_event(desk, "elected", "A", 10, 500, "");
    meta_of(desk, 0);
    say_candidate(desk, "A\t9\tb", 1);
    candidates_of_a_node(desk);
    leads(desk, "A", 10, 10);
    answer(desk);
    expect_candidate(desk, 0, "A", 9, 0, true);
}

static void a_leader_without_a_tenure_of_ours_is_known_by_its_name_alone(void **state)
{
    struct desk *desk = *state;
    say_last(desk, 500, "10000", "4");
    say_event(desk, "elected", "A", 10, 500, "");
    meta_of(desk, 0);
    leads(desk, "foreign", 0, 10);
    answer(desk);
    assert_int_equal(desk->request.tenure.term_ms, 0);
    assert_int_equal(desk->request.tenure.elected_at.us, 0);
    assert_int_equal(desk->request.info.n_candidates, 1);
    expect_candidate(desk, 0, "foreign", 1, 0, true);
}

static void sixty_four_are_shown_besides_the_leader(void **state)
{
    struct desk *desk = *state;
    leads(desk, "leader", 0, 10);
    for (int i = 0; i < 70; i++) {
        char member[16];
        (void)snprintf(member, sizeof member, "c%d\t1", i);
        say_candidate(desk, member, 1);
    }
    candidates_of_a_node(desk);
    answer(desk);
    assert_int_equal(desk->request.info.n_candidates, 65);
    expect_candidate(desk, 0, "leader", 1, 0, true);
}

/* --- nonsense --- */

static void what_is_damaged_is_passed_by(void **state)
{
    struct desk *desk = *state;
    static const char *const lines[] = {
        "",
        "x\telected\t10\tA\t",
        "-1\telected\t10\tA\t",
        "1\tcrowned\t10\tA\t",
        "1\telected\t0\tA\t",
        "1\telected\tten\tA\t",
        "1\telected\t10\t\t",
        "1\telected\t10\tA\x01\t",
        "1\telected\t10\tA",
        "1\telected\t10\tA\t\tmore",
        "1\telected\t10\tA\tB\xff",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        say(desk, "e1");
        say(desk, lines[i]);
    }
    say(desk, "term");
    say(desk, "long");
    meta_of(desk, 0);
    say_candidate(desk, "", 1);
    say_candidate(desk, "A", 1);
    say_candidate(desk, "A\tx", 1);
    say_candidate(desk, "A\t99999999999", 1);
    say_candidate(desk, "\t1", 1);
    candidates_of_a_node(desk);
    answer(desk);
    assert_int_equal(desk->request.info.n_events, 0);
    assert_int_equal(desk->request.info.n_candidates, 0);
}

static void a_server_that_answers_with_an_error_remembers_nothing(void **state)
{
    struct desk *desk = *state;
    struct resp_value error = {.type = RESP_ERROR, .str = STR("WRONGTYPE no")};
    assert_int_equal(recall_take_meta(&desk->recall, 0, &error), EA_OK);
    assert_int_equal(recall_take_candidates(&desk->recall, &error), EA_OK);
    assert_int_equal(recall_take_fence(&desk->recall, &error, (struct wall){NOW_US}), EA_OK);
    answer(desk);
    assert_false(desk->recall.any);
}

static void what_does_not_fit_the_question_is_no_answer(void **state)
{
    struct desk *desk = *state;
    struct resp_value number = {.type = RESP_INTEGER, .integer = 5};
    assert_int_equal(recall_take_meta(&desk->recall, 0, &number), EA_PROTOCOL);
    assert_int_equal(recall_take_candidates(&desk->recall, &number), EA_PROTOCOL);
    say(desk, "field");
    struct resp_value odd = said(desk);
    assert_int_equal(recall_take_meta(&desk->recall, 0, &odd), EA_PROTOCOL);
    assert_int_equal(recall_take_candidates(&desk->recall, &odd), EA_PROTOCOL);
    assert_int_equal(recall_take_fence(&desk->recall, &odd, (struct wall){NOW_US}), EA_PROTOCOL);
    desk->items[0] = desk->items[1] = number;
    struct resp_value numbers = {.type = RESP_ARRAY, .items = desk->items, .n = 2};
    assert_int_equal(recall_take_meta(&desk->recall, 0, &numbers), EA_PROTOCOL);
    struct resp_value many = {
        .type = RESP_ARRAY, .items = NULL, .n = 2 * ((size_t)RECALL_CANDIDATES_MAX + 1)};
    assert_int_equal(recall_take_candidates(&desk->recall, &many), EA_PROTOCOL);
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(what_nodes_missed_is_filled_by_the_others_in_the_order_of_tokens),
        HOLDS(what_a_quorum_can_not_have_held_is_left_out),
        HOLDS(a_node_without_memory_may_have_held_anything),
        HOLDS(of_two_ends_the_one_that_somebody_caused_is_shown),
        HOLDS(what_was_handed_over_did_not_expire),
        HOLDS(a_tenure_that_runs_has_no_end),
        HOLDS(an_end_that_nobody_noted_is_seen_from_the_fences_of_a_quorum),
        HOLDS(what_began_a_moment_ago_has_not_ended),
        HOLDS(the_last_hundred_events_are_shown),
        HOLDS(candidates_are_the_newest_that_any_node_saw),
        HOLDS(a_leader_is_shown_by_its_tenure),
        HOLDS(a_leader_that_goes_on_telling_its_priority_has_the_new_one),
        HOLDS(a_leader_without_a_tenure_of_ours_is_known_by_its_name_alone),
        HOLDS(sixty_four_are_shown_besides_the_leader),
        HOLDS(what_is_damaged_is_passed_by),
        HOLDS(a_server_that_answers_with_an_error_remembers_nothing),
        HOLDS(what_does_not_fit_the_question_is_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
