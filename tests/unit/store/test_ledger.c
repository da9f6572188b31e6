/* The ledger: what only its owner sees. The decisions themselves are held by tests/conformance and tests/sim.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/hlc.h"
#include "base/mem.h"
#include "store/memory/ledger.h"

#define EVENTS_MAX 64

struct desk {
    struct ledger *ledger;
    struct mono now;
    struct wall wall;
    struct arena arena;
    struct election_event events[EVENTS_MAX]; /* names in the arena */
    size_t n_events;
};

static void keep_event(void *arg, const struct election_event *event)
{
    struct desk *desk = arg;
    assert_true(desk->n_events < EVENTS_MAX);
    struct election_event *kept = &desk->events[desk->n_events++];
    *kept = *event;
    kept->election = arena_str(&desk->arena, event->election);
    kept->leader = arena_str(&desk->arena, event->leader);
    kept->previous = arena_str(&desk->arena, event->previous);
}

static void desk_init(struct desk *desk, uint64_t first_token, size_t vacant_kept)
{
    memset(desk, 0, sizeof *desk);
    desk->now = (struct mono){1000000};
    desk->wall = (struct wall){INT64_C(1767225600000000)};
    arena_init(&desk->arena, NULL, 0);
    desk->ledger = ledger_new(&(struct ledger_options){
        .first_token = first_token, .vacant_kept = vacant_kept, .event = keep_event, .arg = desk});
}

static void desk_fini(struct desk *desk)
{
    ledger_check(desk->ledger, desk->now);
    ledger_free(desk->ledger);
    arena_reset(&desk->arena);
}

static void advance_ms(struct desk *desk, int64_t ms)
{
    desk->now = mono_add_ms(desk->now, ms);
    desk->wall.us += ms * 1000;
}

static struct election_request ask(struct desk *desk, enum election_op op, const char *election,
                                   const char *candidate, int32_t term_ms)
{
    struct election_request request = {
        .op = op,
        .kind = STR("default"),
        .election = str_of(election),
        .candidate = str_of(candidate),
        .term_ms = term_ms,
        .page_size = 10,
        .arena = &desk->arena,
    };
    ledger_decide(desk->ledger, desk->now, desk->wall, &request);
    return request;
}

static void a_sweep_ends_what_is_over_earliest_first(void **state)
{
    struct desk desk;
    desk_init(&desk, 0, 100);
    (void)ask(&desk, OP_CAMPAIGN, "third", "A", 3000);
    (void)ask(&desk, OP_CAMPAIGN, "first", "A", 1000);
    (void)ask(&desk, OP_CAMPAIGN, "later", "A", 3001);
    (void)ask(&desk, OP_CAMPAIGN, "second", "A", 2000);
    advance_ms(&desk, 3000);
    ledger_sweep(desk.ledger, desk.now, desk.wall);
    assert_int_equal(desk.n_events, 7);
    assert_true(str_eq(desk.events[4].election, STR("first")));
    assert_true(str_eq(desk.events[5].election, STR("second")));
    assert_true(str_eq(desk.events[6].election, STR("third")));
    assert_int_equal(desk.events[4].at.us, desk.wall.us - 2000 * 1000);
    assert_int_equal(desk.events[6].action, ACTION_EXPIRED);
    desk_fini(&desk);
}

static void the_elections_that_became_vacant_last_are_remembered(void **state)
{
    struct desk desk;
    desk_init(&desk, 0, 2);
    const char *names[] = {"a", "b", "c"};
    uint64_t last = 0;
    for (size_t i = 0; i < 3; i++) {
        last = ask(&desk, OP_CAMPAIGN, names[i], "A", 1000).tenure.token;
    }
    (void)ask(&desk, OP_RESIGN, "b", "A", 0);
    (void)ask(&desk, OP_RESIGN, "a", "A", 0);
    (void)ask(&desk, OP_RESIGN, "c", "A", 0);
    assert_int_equal(ask(&desk, OP_INFO, "b", "", 0).err, EA_NOT_FOUND);
    assert_int_equal(ask(&desk, OP_INFO, "a", "", 0).info.n_events, 2);
    assert_int_equal(ask(&desk, OP_INFO, "c", "", 0).info.n_events, 2);
    assert_true(ask(&desk, OP_CAMPAIGN, "b", "B", 1000).tenure.token > last); /* T1 without the history */
    assert_int_equal(desk.events[desk.n_events - 1].previous.n, 0);
    desk_fini(&desk);
}

static void nothing_vacant_is_remembered_if_nothing_is_to_be_kept(void **state)
{
    struct desk desk;
    desk_init(&desk, 0, 0);
    uint64_t first = ask(&desk, OP_CAMPAIGN, "a", "A", 1000).tenure.token;
    advance_ms(&desk, 1000);
    struct election_request second = ask(&desk, OP_CAMPAIGN, "a", "B", 1000); /* notices the expiry itself */
    assert_true(second.elected);
    assert_true(second.tenure.token > first);
    assert_int_equal(desk.n_events, 3);
    desk_fini(&desk);
}

static void take_record(void *arg, const struct book_record *record)
{
    struct book_record *out = arg;
    *out = *record;
}

static struct book_record only_record(struct desk *desk)
{
    struct book_record record = {0};
    ledger_each(desk->ledger, take_record, &record);
    return record;
}

static void the_longest_term_of_a_tenure_is_recorded(void **state)
{
    struct desk desk;
    desk_init(&desk, 0, 10);
    (void)ask(&desk, OP_CAMPAIGN, "e", "A", 2000);
    assert_int_equal(only_record(&desk).term_ms, 2000);
    (void)ask(&desk, OP_EXTEND, "e", "A", 5000);
    (void)ask(&desk, OP_EXTEND, "e", "A", 1000);
    assert_int_equal(only_record(&desk).term_ms, 5000);
    desk.now.us += 1; /* 4999.999 ms are left: rounded up */
    (void)ask(&desk, OP_HANDOVER, "e", "B", 1000);
    assert_int_equal(only_record(&desk).term_ms, 5000);
    advance_ms(&desk, 4500);
    (void)ask(&desk, OP_HANDOVER, "e", "C", 1000);
    assert_int_equal(only_record(&desk).term_ms, 1000);
    desk_fini(&desk);
}

static void a_tenure_is_restored_once_for_its_full_term(void **state)
{
    struct desk desk;
    desk_init(&desk, 500, 10);
    struct book_record record = {.kind = STR("default"),
                                 .election = STR("e"),
                                 .leader = STR("A"),
                                 .token = 400,
                                 .term_ms = 3000,
                                 .elected_at = {12345}};
    assert_true(ledger_restore(desk.ledger, desk.now, &record));
    assert_false(ledger_restore(desk.ledger, desk.now, &record));
    struct election_request get = ask(&desk, OP_GET, "e", "", 0);
    assert_true(str_eq(get.tenure.leader, STR("A")));
    assert_int_equal(get.tenure.token, 400);
    assert_int_equal(get.tenure.expires.us, mono_add_ms(desk.now, 3000).us);
    assert_int_equal(get.tenure.elected_at.us, 12345);
    assert_int_equal(get.tenure.renewed_at.us, 12345);
    assert_int_equal(desk.n_events, 0);
    desk_fini(&desk);
}

/* T5: when there are no more tokens nothing is granted, and what is there stays. */
static void without_tokens_nothing_is_granted_and_nothing_changes(void **state)
{
    struct desk desk;
    desk_init(&desk, HLC_LIMIT - 2, 10);
    struct election_request won = ask(&desk, OP_CAMPAIGN, "e", "A", 5000);
    assert_true(won.elected);
    assert_int_equal(won.tenure.token, HLC_LIMIT - 1);
    struct election_request other = ask(&desk, OP_CAMPAIGN, "f", "A", 5000);
    assert_int_equal(other.err, EA_UNAVAILABLE);
    assert_true(other.why.n > 0);
    assert_int_equal(ask(&desk, OP_INFO, "f", "", 0).err, EA_NOT_FOUND);
    assert_int_equal(ask(&desk, OP_HANDOVER, "e", "B", 5000).err, EA_UNAVAILABLE);
    assert_int_equal(ask(&desk, OP_HANDOVER, "f", "B", 5000).err, EA_UNAVAILABLE);
    struct election_request past = {.op = OP_CAMPAIGN,
                                    .kind = STR("default"),
                                    .election = STR("e"),
                                    .candidate = STR("A"),
                                    .term_ms = 5000,
                                    .past = UINT64_MAX};
    ledger_decide(desk.ledger, desk.now, desk.wall, &past);
    assert_int_equal(past.err, EA_UNAVAILABLE);
    struct election_request get = ask(&desk, OP_GET, "e", "", 0);
    assert_true(str_eq(get.tenure.leader, STR("A")));
    assert_int_equal(get.tenure.token, HLC_LIMIT - 1);
    assert_int_equal(desk.n_events, 1);
    desk_fini(&desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sweep_ends_what_is_over_earliest_first),
        cmocka_unit_test(the_elections_that_became_vacant_last_are_remembered),
        cmocka_unit_test(nothing_vacant_is_remembered_if_nothing_is_to_be_kept),
        cmocka_unit_test(the_longest_term_of_a_tenure_is_recorded),
        cmocka_unit_test(a_tenure_is_restored_once_for_its_full_term),
        cmocka_unit_test(without_tokens_nothing_is_granted_and_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
