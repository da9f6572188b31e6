/* Names and numbers at their limits: invariants N1, N2, E9, S5. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "bench.h"

#define MANY            1000
#define MANY_NOTICED_MS 50

static void names_of_the_greatest_length_work_everywhere(void **state)
{
    struct bench *b = *state;
    char kind[KIND_BYTES_MAX + 1];
    char election[NAME_BYTES_MAX + 1];
    char leader[NAME_BYTES_MAX + 1];
    char rival[NAME_BYTES_MAX + 1];
    memset(kind, 'k', sizeof kind);
    memset(election, 'e', sizeof election);
    memset(leader, 'l', sizeof leader);
    memset(rival, 'l', sizeof rival);
    kind[KIND_BYTES_MAX] = election[NAME_BYTES_MAX] = leader[NAME_BYTES_MAX] = rival[NAME_BYTES_MAX] = '\0';
    rival[NAME_BYTES_MAX - 1] = 'm'; /* differs in the last byte */

    struct election_request question = bench_question(b, OP_CAMPAIGN, election, leader);
    question.kind = str_of(kind);
    struct answer won = bench_ask(b, question);
    expect_elected(&won, leader);
    question.candidate = str_of(rival);
    struct answer lost = bench_ask(b, question);
    expect_leader(&lost, EA_OK, leader, won.tenure.token);
    question.op = OP_HANDOVER;
    question.from = str_of(leader);
    struct answer moved = bench_ask(b, question);
    expect_str(moved.tenure.leader, rival);
    question.op = OP_LIST;
    struct answer list = bench_ask(b, question);
    assert_int_equal(list.list.n, 1);
    expect_str(list.list.leaders[0].election, election);
    expect_str(list.list.leaders[0].leader, rival);
    question.op = OP_INFO;
    struct answer info = bench_ask(b, question);
    assert_int_equal(info.info.n_events, 2);
    assert_int_equal(info.info.n_candidates, 2);
    expect_str(info.info.events[1].previous, leader);
    question.op = OP_RESIGN;
    struct answer resigned = bench_ask(b, question);
    expect_nobody(&resigned, EA_OK);
}

static void a_name_and_its_beginning_are_two_elections(void **state)
{
    struct bench *b = *state;
    char name[NAME_BYTES_MAX + 1];
    memset(name, 'n', sizeof name);
    for (size_t n = NAME_BYTES_MAX; n > 36; n -= 36) {
        name[n] = '\0';
        struct answer answer = bench_campaign(b, name, name, 60000);
        expect_elected(&answer, name);
    }
}

static void kind_and_name_do_not_run_into_each_other(void **state)
{
    struct bench *b = *state;
    struct election_request question = bench_question(b, OP_CAMPAIGN, "b", "A");
    question.kind = STR("a");
    struct answer first = bench_ask(b, question);
    expect_elected(&first, "A");
    question = bench_question(b, OP_CAMPAIGN, "ab", "B");
    question.kind = STR("a");
    struct answer second = bench_ask(b, question);
    expect_elected(&second, "B");
    question = bench_question(b, OP_CAMPAIGN, "b", "C");
    question.kind = STR("aa");
    struct answer third = bench_ask(b, question);
    expect_elected(&third, "C");
}

static void names_in_any_script_come_back_byte_for_byte(void **state)
{
    struct bench *b = *state;
    static const char *const names[] = {"\xe6\x9d\xb1\xe4\xba\xac",
                                        "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0",
                                        "\xf0\x9f\x97\xb3\xef\xb8\x8f",
                                        "a b",
                                        "%00\\x00",
                                        "\"quoted\"",
                                        "{tag}:key*",
                                        "../../etc/passwd"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct answer won = bench_campaign(b, names[i], names[i], 60000);
        expect_elected(&won, names[i]);
        struct answer get = bench_get(b, names[i]);
        expect_leader(&get, EA_OK, names[i], won.tenure.token);
    }
    struct answer list = bench_ask(b, bench_question(b, OP_LIST, NULL, NULL));
    assert_int_equal(list.list.n, ARRAY_LENGTH(names));
    for (size_t i = 0; i < list.list.n; i++) {
        assert_true(str_eq(list.list.leaders[i].election, list.list.leaders[i].leader));
    }
}

static void a_thousand_elections_are_apart_and_listed_once(void **state)
{
    struct bench *b = *state;
    struct election_request *questions = mem_zalloc(MANY * sizeof *questions);
    struct answer *answers = mem_zalloc(MANY * sizeof *answers);
    char(*names)[16] = mem_zalloc(MANY * sizeof *names);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%03d", i);
        questions[i] = bench_question(b, OP_CAMPAIGN, names[i], names[i]);
        questions[i].term_ms = 60000;
    }
    bench_ask_many(b, questions, answers, MANY);
    struct election_request page = bench_question(b, OP_LIST, NULL, NULL);
    page.page_size = 77;
    int seen = 0;
    for (bool more = true; more;) {
        struct answer list = bench_ask(b, page);
        for (size_t i = 0; i < list.list.n; i++, seen++) {
            expect_str(list.list.leaders[i].election, names[seen]); /* E9 */
            expect_str(list.list.leaders[i].leader, names[seen]);
            assert_int_equal(list.list.leaders[i].token, answers[seen].tenure.token);
        }
        more = list.list.more;
        page.after = str_of(names[seen - 1]);
    }
    assert_int_equal(seen, MANY);
    mem_free(names);
    mem_free(answers);
    mem_free(questions);
}

static void a_thousand_tenures_that_end_at_once_are_told_one_by_one(void **state)
{
    struct bench *b = *state;
    struct election_request *questions = mem_zalloc(MANY * sizeof *questions);
    struct answer *answers = mem_zalloc(MANY * sizeof *answers);
    char(*names)[16] = mem_zalloc(MANY * sizeof *names);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "e%03d", i);
        questions[i] = bench_question(b, OP_CAMPAIGN, names[i], "A");
        questions[i].term_ms = 60000;
    }
    bench_ask_many(b, questions, answers, MANY);
    (void)bench_event(b, MANY);
    bench_advance_ms(b, 60000);
    for (int ms = 0; ms < MANY_NOTICED_MS;
         ms++) { /* a crowd of expiries may be spread, so that it delays nobody */
        bench_advance_ms(b, 1);
    }
    (void)bench_event(b, 2 * MANY); /* each elected, each expired */
    mem_free(names);
    mem_free(answers);
    mem_free(questions);
}

static void what_comes_after_its_deadline_changes_nothing(void **state)
{
    struct bench *b = *state;
    struct election_request late = bench_question(b, OP_CAMPAIGN, "e", "A");
    late.deadline = bench_now(b);
    struct answer answer = bench_ask(b, late);
    expect_nobody(&answer, EA_UNAVAILABLE); /* S5 */
    assert_true(answer.why.n > 0);
    struct answer won = bench_campaign(b, "e", "B", 1000);
    expect_elected(&won, "B");
    late.op = OP_RESIGN;
    late.candidate = STR("B");
    answer = bench_ask(b, late);
    expect_nobody(&answer, EA_UNAVAILABLE);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "B", won.tenure.token);
    (void)bench_event(b, 1);
}

struct suite suite_limits(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(names_of_the_greatest_length_work_everywhere),
        BENCH_TEST(a_name_and_its_beginning_are_two_elections),
        BENCH_TEST(kind_and_name_do_not_run_into_each_other),
        BENCH_TEST(names_in_any_script_come_back_byte_for_byte),
        BENCH_TEST(a_thousand_elections_are_apart_and_listed_once),
        BENCH_TEST(a_thousand_tenures_that_end_at_once_are_told_one_by_one),
        BENCH_TEST(what_comes_after_its_deadline_changes_nothing),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
