/* What a Lease means, and which events follow from one state of it to the next. */
#include "store/kubernetes/view.h"

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

struct rig {
    struct view view;
    struct mono now;
    struct wall wall;
    char told[512]; /* "elected a 5 < ; ..." */
};

static void on_event(void *arg, const struct election_event *event)
{
    struct rig *rig = arg;
    size_t n = strlen(rig->told);
    (void)snprintf(rig->told + n, sizeof rig->told - n, "%s%s %.*s %d", n > 0 ? ", " : "",
                   election_action_word(event->action), STR_ARG(event->leader), (int)event->token);
}

static int set_up(void **state)
{
    struct rig *rig = mem_zalloc(sizeof *rig);
    struct lease_election id = {.kind = "default", .kind_bytes = 7, .election = "e", .election_bytes = 1};
    view_init(&rig->view, &id, "ns", "e");
    rig->view.on_event = on_event;
    rig->view.arg = rig;
    rig->now = (struct mono){100 * US_PER_S};
    rig->wall = (struct wall){1000 * US_PER_S};
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

static void advance(struct rig *rig, int64_t s)
{
    rig->now = mono_add_us(rig->now, s * US_PER_S);
    rig->wall.us += s * US_PER_S;
}

/* `last` is the annotation; NULL: somebody who does not know of it. */
static void see(struct rig *rig, const char *version, const char *holder, int64_t token, int32_t duration_s,
                const char *last)
{
    struct kube_lease lease = {
        .ns = "ns", .name = "e", .uid = "u", .duration_s = duration_s, .transitions = token};
    (void)snprintf(lease.version, sizeof lease.version, "%s", version);
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", holder);
    if (last != NULL) {
        kube_lease_annotate(&lease, LEASE_LAST_NOTE, str_of(last));
    }
    view_see(&rig->view, &lease, false, rig->now, rig->wall);
    kube_lease_fini(&lease);
}

static void expect_led(const struct rig *rig, const char *leader, uint64_t token, int64_t left_s)
{
    struct election_tenure tenure = view_tenure(&rig->view, rig->now);
    assert_true(str_eq(tenure.leader, str_of(leader)));
    assert_int_equal(tenure.token, token);
    assert_int_equal(mono_sub(tenure.expires, rig->now), left_s * US_PER_S);
}

static void a_tenure_runs_for_its_duration_from_when_we_saw_it(void **state)
{
    struct rig *rig = *state;
    see(rig, "10", "a", 5, 15, "elected 5");
    expect_led(rig, "a", 5, 15);
    advance(rig, 10);
    see(rig, "10", "a", 5, 15, "elected 5"); /* the same: no change, so no new moment */
    expect_led(rig, "a", 5, 5);
    see(rig, "11", "a", 5, 15, "elected 5");
    expect_led(rig, "a", 5, 15);
    advance(rig, 15);
    assert_false(view_is_led(&rig->view, rig->now));
    assert_string_equal(rig->told, "elected a 5");
}

static void times_in_the_lease_decide_nothing(void **state)
{
    struct rig *rig = *state;
    struct kube_lease lease = {
        .ns = "ns", .name = "e", .uid = "u", .version = "10", .holder = "a", .duration_s = 15};
    lease.renewed = lease.acquired = (struct wall){rig->wall.us - 3600 * US_PER_S};
    view_see(&rig->view, &lease, false, rig->now, rig->wall);
    assert_true(view_is_led(&rig->view, rig->now));
    rig->wall.us += 3600 * US_PER_S;
    assert_true(view_is_led(&rig->view, rig->now));
}

static void older_news_are_no_news(void **state)
{
    struct rig *rig = *state;
    see(rig, "10", "b", 6, 15, "elected 6");
    see(rig, "9", "a", 5, 15, "elected 5");
    expect_led(rig, "b", 6, 15);
    assert_string_equal(rig->told, "elected b 6");
}

static void the_annotation_tells_what_happened(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 5, 15, "elected 5");
    see(rig, "2", "b", 6, 15, "handed_over 6");
    see(rig, "3", "", 6, 15, "resigned 6");
    see(rig, "4", "c", 7, 15, "elected 7");
    see(rig, "5", "", 7, 15, "expired 7");
    see(rig, "6", "c", 8, 15, "elected 8");
    see(rig, "7", "c", 9, 15, "elected 9"); /* started over with `past` */
    assert_string_equal(rig->told,
                        "elected a 5, handed_over b 6, resigned b 6, elected c 7, expired c 7, elected c 8, "
                        "resigned c 8, elected c 9");
}

static void of_others_it_is_guessed(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 0, 15, NULL);
    see(rig, "2", "b", 1, 15, "elected 0"); /* an annotation about another token says nothing */
    assert_false(rig->view.ours);
    see(rig, "3", "", 1, 1, NULL);
    assert_string_equal(rig->told, "elected a 0, expired a 0, elected b 1, resigned b 1");
}

static void an_expiry_comes_before_what_follows_it(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 5, 15, "elected 5");
    advance(rig, 20);
    see(rig, "2", "b", 6, 15, "elected 6");
    assert_string_equal(rig->told, "elected a 5, expired a 5, elected b 6");
}

static void a_deleted_lease_is_held_until_its_time_is_over(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a", 5, 15, "elected 5");
    view_see_gone(&rig->view, "another", rig->now, rig->wall);
    assert_true(view_exists(&rig->view));
    view_see_gone(&rig->view, "u", rig->now, rig->wall);
    assert_false(view_exists(&rig->view));
    expect_led(rig, "a", 5, 15);
    see(rig, "2", "b", 6, 15, NULL); /* late news of the deleted one */
    expect_led(rig, "a", 5, 15);
    advance(rig, 15);
    assert_false(view_is_led(&rig->view, rig->now));
    view_end(&rig->view, rig->now, rig->wall);
    assert_string_equal(rig->told, "elected a 5, expired a 5");
}

static void without_a_duration_it_is_held_as_long_as_it_exists(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "pod", 0, 0, NULL);
    advance(rig, 1000000);
    assert_true(view_is_led(&rig->view, rig->now));
    assert_int_equal(view_tenure(&rig->view, rig->now).expires.us, 0);
    view_see_gone(&rig->view, "u", rig->now, rig->wall);
    assert_false(view_is_led(&rig->view, rig->now));
    assert_string_equal(rig->told, "elected pod 0, expired pod 0");
}

static void a_holder_that_is_no_name_is_told_to_nobody(void **state)
{
    struct rig *rig = *state;
    see(rig, "1", "a\nb", 5, 15, NULL);
    assert_true(rig->view.strange);
    assert_false(rig->view.led);
    see(rig, "2", "a", 6, 15, NULL);
    assert_false(rig->view.strange);
    assert_string_equal(rig->told, "elected a 6");
}

#define RIG_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_tenure_runs_for_its_duration_from_when_we_saw_it),
        RIG_TEST(times_in_the_lease_decide_nothing),
        RIG_TEST(older_news_are_no_news),
        RIG_TEST(the_annotation_tells_what_happened),
        RIG_TEST(of_others_it_is_guessed),
        RIG_TEST(an_expiry_comes_before_what_follows_it),
        RIG_TEST(a_deleted_lease_is_held_until_its_time_is_over),
        RIG_TEST(without_a_duration_it_is_held_as_long_as_it_exists),
        RIG_TEST(a_holder_that_is_no_name_is_told_to_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
