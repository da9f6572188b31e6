/* Get, info, list and counts: invariants L5, E9; DESIGN.md, "Candidates". */
#include <stdio.h>

#include "base/mem.h"
#include "bench.h"

#define SECOND_MS 1000

/* --- get --- */

static void get_tells_the_whole_tenure(void **state)
{
    struct bench *b = *state;
    struct answer won = bench_campaign(b, "e", "A", 5000);
    bench_advance_ms(b, 1000);
    struct answer renewed = bench_extend(b, "e", "A", 7000, 0);
    bench_advance_ms(b, 500);
    struct answer get = bench_get(b, "e");
    expect_leader(&get, EA_OK, "A", won.tenure.token);
    expect_expires(b, &get, renewed.tenure.expires);
    assert_true(get.tenure.term_ms == 7000 || (b->row->lean && get.tenure.term_ms == 0));
    expect_wall(b, get.tenure.elected_at, won.tenure.elected_at);
    expect_wall(b, get.tenure.renewed_at, renewed.tenure.renewed_at);
}

static void get_finds_nobody_where_nobody_leads(void **state)
{
    struct bench *b = *state;
    struct answer get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND);
    (void)bench_campaign(b, "e", "A", 1000);
    bench_advance_us(b, 1000 * US_PER_MS - 1);
    get = bench_get(b, "e");
    expect_str(get.tenure.leader, "A");
    bench_end_us(b, 1);
    get = bench_get(b, "e");
    expect_nobody(&get, EA_NOT_FOUND); /* L5 */
}

/* --- info --- */

static void expect_candidate(const struct answer *info, size_t i, const char *name, int32_t priority,
                             bool leading)
{
    assert_true(i < info->info.n_candidates);
    const struct election_candidate *candidate = &info->info.candidates[i];
    expect_str(candidate->name, name);
    assert_int_equal(candidate->priority, priority);
    assert_int_equal(candidate->leading, leading);
}

static struct answer campaign_with_priority(struct bench *b, const char *candidate, int32_t priority)
{
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", candidate);
    question.term_ms = BENCH_MAX_TERM_MS;
    question.priority = priority;
    return bench_ask(b, question);
}

static void info_of_an_election_never_seen_is_not_found(void **state)
{
    struct answer info = bench_info(*state, "e");
    expect_nobody(&info, EA_NOT_FOUND);
    assert_int_equal(info.info.n_candidates, 0);
    assert_int_equal(info.info.n_events, 0);
}

static void info_lists_candidates_most_recently_seen_first(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "A", 2);
    bench_advance_ms(b, 10);
    (void)campaign_with_priority(b, "B", 5);
    bench_advance_ms(b, 10);
    struct answer lost = campaign_with_priority(b, "C", 0);
    struct answer info = bench_info(b, "e");
    expect_leader(&info, EA_OK, "A", lost.tenure.token);
    assert_int_equal(info.info.n_candidates, 3);
    expect_candidate(&info, 0, "C", 0, false);
    expect_candidate(&info, 1, "B", 5, false);
    expect_candidate(&info, 2, "A", 2, true);
    assert_int_equal(info.info.candidates[0].last_seen.us, b->clock.wall.us);
    expect_kept_wall(b, info.info.candidates[2].last_seen, (struct wall){b->clock.wall.us - 20 * US_PER_MS});
    (void)bench_extend(b, "e", "A", BENCH_MAX_TERM_MS, 0);
    info = bench_info(b, "e");
    expect_candidate(&info, 0, "A", 2, true); /* seen again; of equal times the leader comes first */
}

static void a_candidate_is_remembered_for_a_minute(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "A", 1);
    (void)campaign_with_priority(b, "B", 7);
    bench_advance_us(b, 60 * SECOND_MS * US_PER_MS - 1);
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 2);
    bench_advance_us(b, 1);
    info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 1); /* the leader always is one */
    expect_candidate(&info, 0, "A", 1, true);
}

static void who_goes_on_campaigning_goes_on_being_remembered(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "A", 1);
    for (int i = 0; i < 30; i++) {
        (void)campaign_with_priority(b, "B", 7);
        bench_advance_ms(b, 5 * SECOND_MS);
    }
    (void)campaign_with_priority(b, "B", 3);
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 2);
    expect_candidate(&info, 0, "B", 3, false);
    expect_candidate(&info, 1, "A", 1, true); /* however long it leads */
}

static void a_leader_whose_tenure_expired_is_a_candidate_from_its_last_extension(void **state)
{
    struct bench *b = *state;
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", "A");
    question.term_ms = 10 * SECOND_MS;
    question.priority = 4;
    (void)bench_ask(b, question);
    bench_advance_ms(b, 5 * SECOND_MS);
    (void)bench_extend(b, "e", "A", 10 * SECOND_MS, 0);
    struct wall seen = b->clock.wall;
    bench_end_us(b, 10 * SECOND_MS * US_PER_MS);
    struct answer info = bench_info(b, "e");
    expect_nobody(&info, EA_OK);
    assert_int_equal(info.info.n_candidates, 1);
    expect_candidate(&info, 0, "A", 4, false);
    expect_kept_wall(b, info.info.candidates[0].last_seen, seen);
    (void)bench_campaign(b, "e", "B", BENCH_MAX_TERM_MS);
    info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 2);
    expect_candidate(&info, 1, "A", 4, false);
    expect_kept_wall(b, info.info.candidates[1].last_seen, seen);
}

static void a_former_leader_is_a_candidate_from_when_it_was_last_seen(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "A", 4);
    struct wall seen = b->clock.wall;
    bench_advance_ms(b, 59 * SECOND_MS);
    (void)bench_resign(b, "e", "A", 0);
    struct answer info = bench_info(b, "e");
    expect_nobody(&info, EA_OK);
    assert_int_equal(info.info.n_candidates, 1);
    expect_candidate(&info, 0, "A", 4, false);
    expect_kept_wall(b, info.info.candidates[0].last_seen, seen);
    bench_advance_ms(b, 1 * SECOND_MS);
    info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 0);
    assert_int_equal(info.info.n_events, 2);
}

static void a_new_leader_by_handover_keeps_its_priority_if_it_is_known(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "A", 3);
    (void)campaign_with_priority(b, "B", 9);
    bench_advance_ms(b, 1);
    (void)bench_handover(b, "e", "B", 60000, "A", 0);
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 2);
    expect_candidate(&info, 0, "B", 9, true);
    expect_candidate(&info, 1, "A", 3, false);
    bench_advance_ms(b, 1);
    (void)bench_handover(b, "e", "C", 60000, "B", 0);
    info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 3);
    expect_candidate(&info, 0, "C", 1, true);
}

static void at_most_64_candidates_are_remembered_beside_the_leader(void **state)
{
    struct bench *b = *state;
    (void)campaign_with_priority(b, "leader", 1);
    for (int i = 0; i < 70; i++) {
        char name[16];
        bench_advance_ms(b, 1);
        (void)snprintf(name, sizeof name, "c%d", i);
        (void)campaign_with_priority(b, name, i);
    }
    struct answer info = bench_info(b, "e");
    assert_int_equal(info.info.n_candidates, 65);
    expect_candidate(&info, 0, "c69", 69, false);
    expect_candidate(&info, 63, "c6", 6, false);
    expect_candidate(&info, 64, "leader", 1, true);
}

/* --- list and count --- */

static struct answer list_page(struct bench *b, const char *kind, struct str after, uint32_t page_size)
{
    struct election_request question = bench_question(b, OP_LIST, NULL, NULL);
    question.kind = str_of(kind);
    question.after = after;
    question.page_size = page_size;
    return bench_ask(b, question);
}

static void a_list_of_nothing_is_empty(void **state)
{
    struct answer list = list_page(*state, KIND_DEFAULT, STR(""), 10);
    assert_string_equal(err_name(list.err), err_name(EA_OK));
    assert_int_equal(list.list.n, 0);
    assert_false(list.list.more);
}

static void a_list_is_in_byte_order_over_its_pages(void **state)
{
    struct bench *b = *state;
    static const char *const sorted[] = {" ",   "A",  "B b", "Z", "a",        "a!",
                                         "a/b", "aa", "b",   "~", "\xc3\xa9", "\xf0\x9f\x97\xb3"};
    for (size_t i = 0; i < ARRAY_LENGTH(sorted); i++) { /* 7 has no common divisor with 12: another order */
        (void)bench_campaign(b, sorted[i * 7 % ARRAY_LENGTH(sorted)], "A", 5000);
    }
    for (uint32_t page_size = 1; page_size <= ARRAY_LENGTH(sorted) + 1; page_size++) {
        struct str after = STR("");
        size_t seen = 0;
        bool more = true;
        while (more) {
            struct answer list = list_page(b, KIND_DEFAULT, after, page_size);
            for (size_t i = 0; i < list.list.n; i++) {
                expect_str(list.list.leaders[i].election, sorted[seen++]);
            }
            more = list.list.more;
            assert_int_equal(more, seen < ARRAY_LENGTH(sorted));
            assert_true(list.list.n == page_size || !more);
            after = list.list.n > 0 ? list.list.leaders[list.list.n - 1].election : after;
        }
        assert_int_equal(seen, ARRAY_LENGTH(sorted));
    }
}

static void a_list_shows_what_is_led_now_with_leader_and_token(void **state)
{
    struct bench *b = *state;
    struct answer a = bench_campaign(b, "a", "A", 1000);
    struct answer c = bench_campaign(b, "b", "B", 1000);
    struct answer d = bench_campaign(b, "c", "C", 2000);
    (void)bench_resign(b, "b", "B", 0);
    struct answer list = list_page(b, KIND_DEFAULT, STR(""), 10);
    assert_int_equal(list.list.n, 2);
    expect_str(list.list.leaders[0].leader, "A");
    assert_int_equal(list.list.leaders[0].token, a.tenure.token);
    assert_int_equal(list.list.leaders[1].token, d.tenure.token);
    assert_true(c.elected);
    bench_end_us(b, 1000 * US_PER_MS);
    list = list_page(b, KIND_DEFAULT, STR(""), 10);
    assert_int_equal(list.list.n, 1);
    expect_str(list.list.leaders[0].election, "c");
    list = list_page(b, "other", STR(""), 10);
    assert_int_equal(list.list.n, 0);
}

struct counted {
    uint64_t kind_default;
    uint64_t other;
    unsigned rows;
};

static void take_count(void *arg, struct str kind, uint64_t elections)
{
    struct counted *counted = arg;
    counted->rows++;
    if (str_eq(kind, STR(KIND_DEFAULT))) {
        counted->kind_default += elections;
    } else if (str_eq(kind, STR("other"))) {
        counted->other += elections;
    } else {
        fail_msg("a kind that nobody asked for: %.*s", STR_ARG(kind));
    }
}

static void led_elections_are_counted_by_kind(void **state)
{
    struct bench *b = *state;
    struct counted counted = {0};
    for (char name[2] = "a"; name[0] <= 'e'; name[0]++) {
        (void)bench_campaign(b, name, "A", name[0] == 'e' ? 1000 : 60000);
    }
    struct election_request question = bench_question(b, OP_CAMPAIGN, "e", "A");
    question.kind = STR("other");
    question.term_ms = 60000;
    (void)bench_ask(b, question);
    (void)bench_resign(b, "a", "A", 0);
    bench_advance_ms(b, 1000 + NOTICED_MS);
    store_count(b->store, take_count, &counted);
    assert_int_equal(counted.kind_default, 3);
    assert_int_equal(counted.other, 1);
}

struct suite suite_reads(void)
{
    static const struct CMUnitTest tests[] = {
        BENCH_TEST(get_tells_the_whole_tenure),
        BENCH_TEST(get_finds_nobody_where_nobody_leads),
        BENCH_TEST(info_of_an_election_never_seen_is_not_found),
        BENCH_TEST(info_lists_candidates_most_recently_seen_first),
        BENCH_TEST(a_candidate_is_remembered_for_a_minute),
        BENCH_TEST(who_goes_on_campaigning_goes_on_being_remembered),
        BENCH_TEST(a_leader_whose_tenure_expired_is_a_candidate_from_its_last_extension),
        BENCH_TEST(a_former_leader_is_a_candidate_from_when_it_was_last_seen),
        BENCH_TEST(a_new_leader_by_handover_keeps_its_priority_if_it_is_known),
        BENCH_TEST(at_most_64_candidates_are_remembered_beside_the_leader),
        BENCH_TEST(a_list_of_nothing_is_empty),
        BENCH_TEST(a_list_is_in_byte_order_over_its_pages),
        BENCH_TEST(a_list_shows_what_is_led_now_with_leader_and_token),
        BENCH_TEST(led_elections_are_counted_by_kind),
    };
    return (struct suite){tests, ARRAY_LENGTH(tests)};
}
