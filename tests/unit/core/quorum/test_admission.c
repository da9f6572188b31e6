/* Nodes coming into use, and back into use when their memory is in doubt. */
#include "rig.h"

#include <string.h>

#include "core/lease.h"
#include "core/quorum/fault.h"

/* The test's nodes: what each remembers. */
struct memory {
    uint64_t floor;
    uint64_t ceiling;
    int64_t max_term_ms;
};

/* Answers every command about nodes that is under way, as long as there are some. */
static void serve(struct rig *rig, struct memory *memory)
{
    bool more = true;
    while (more) {
        more = false;
        for (unsigned i = 0; i < rig->n; i++) {
            if (rig->n_out[i] == 0) {
                continue;
            }
            struct quorum_command *command = rig->out[i][0];
            if (command->verb != QUORUM_NODE_RAISE && command->verb != QUORUM_NODE_MARK &&
                command->verb != QUORUM_NODE_READ) {
                continue; /* the test's */
            }
            more = true;
            struct memory *m = &memory[i];
            if (command->verb == QUORUM_NODE_RAISE) {
                m->ceiling = command->ceiling > m->ceiling ? command->ceiling : m->ceiling;
                m->max_term_ms =
                    command->max_term_ms > m->max_term_ms ? command->max_term_ms : m->max_term_ms;
                rig_reply(rig, i, R(OK, .ceiling = m->ceiling, .max_term_ms = m->max_term_ms));
                continue;
            }
            bool mark =
                command->verb == QUORUM_NODE_MARK && quorum_marker_is(&command->marker_old, &rig->marker[i]);
            struct memory raised = {command->floor, command->ceiling, command->max_term_ms};
            rig_node_reads(rig, i, m->floor, m->ceiling, m->max_term_ms);
            if (mark) {
                m->floor = raised.floor > m->floor ? raised.floor : m->floor;
                m->ceiling = raised.ceiling > m->ceiling ? raised.ceiling : m->ceiling;
                m->max_term_ms = raised.max_term_ms > m->max_term_ms ? raised.max_term_ms : m->max_term_ms;
            }
        }
    }
}

static void pass_ms(struct rig *rig, struct memory *memory, int64_t ms)
{
    rig->manual = true;
    for (int64_t at = 0; at < ms; at += 50) {
        rig_advance_ms(rig, 50);
        serve(rig, memory);
    }
}

static enum quorum_node_state state_of(struct rig *rig, unsigned node)
{
    return quorum_node_state(rig->quorum, node);
}

/* A server restarts: another run id; its memory is what the test says. */
static void restart(struct rig *rig, unsigned node, bool empty)
{
    rig_cut(rig, node);
    rig->hello[node].run_id[0]++;
    if (empty) {
        rig->marker[node] = (struct quorum_marker){0};
    }
    rig_connect(rig, node);
}

/* Three nodes that have served: a ceiling, and a longest term of 10 s. */
static struct rig *rig_served(struct memory memory[3])
{
    struct rig *rig = rig_bare(3);
    rig->manual = true;
    for (unsigned i = 0; i < 3; i++) {
        memory[i] = (struct memory){.ceiling = 5000, .max_term_ms = 10000};
        rig->marker[i] = (struct quorum_marker){.there = true};
        memcpy(rig->marker[i].run_id, rig->hello[i].run_id, QUORUM_ID_BYTES);
        memcpy(rig->marker[i].replication_id, rig->hello[i].replication_id, QUORUM_ID_BYTES);
        rig_connect(rig, i);
    }
    serve(rig, memory);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(state_of(rig, i), QUORUM_NODE_READY);
    }
    return rig;
}

static void a_node_with_its_own_final_marker_is_ready_at_once(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig_free(rig);
}

/* Whatever is under way to each node is of this verb; it is answered. */
static void answer_all(struct rig *rig, enum quorum_verb verb)
{
    for (unsigned i = 0; i < rig->n; i++) {
        rig_expect(rig, i, verb);
        rig_node_reads(rig, i, 0, 0, 0);
    }
}

static void a_fresh_deployment_is_ready_after_four_round_trips(void **state)
{
    struct rig *rig = rig_bare(3);
    struct memory memory[3] = {0};
    rig->manual = true;
    for (unsigned i = 0; i < 3; i++) {
        rig_connect(rig, i);
    }
    answer_all(rig, QUORUM_NODE_READ);
    answer_all(rig, QUORUM_NODE_MARK);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_RECOVERING); /* a nonce first, always */
    assert_true(rig->marker[0].blank);
    answer_all(rig, QUORUM_NODE_READ); /* at once: younger than all nonces */
    answer_all(rig, QUORUM_NODE_MARK);
    serve(rig, memory);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(state_of(rig, i), QUORUM_NODE_READY);
        assert_int_equal(rig->marker[i].nonce, 0);
    }
    struct quorum_status status;
    quorum_status(rig->quorum, &status);
    assert_false(status.memory_was_lost);
    rig_free(rig);
}

static void a_fresh_deployment_waits_a_while_for_nodes_that_are_late(void **state)
{
    struct rig *rig = rig_bare(3);
    struct memory memory[3] = {0};
    rig_connect(rig, 0);
    rig_connect(rig, 1);
    serve(rig, memory);
    pass_ms(rig, memory, RIG_TIMEOUT_MS - 200);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_RECOVERING);
    pass_ms(rig, memory, 400);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_READY);
    rig_free(rig);
}

/* A slot that is used for the first time, while one cluster is down: nobody waits for that again. */
static void a_node_that_was_away_all_the_time_is_not_waited_for_anew(void **state)
{
    struct rig *rig = rig_bare(3);
    struct memory memory[3] = {0};
    rig->manual = true;
    rig_advance_ms(rig, RIG_TIMEOUT_MS);
    for (unsigned i = 0; i < 2; i++) {
        rig->hello[i].since = mono_add_ms(rig->now.mono, -RIG_TIMEOUT_MS);
        quorum_node_up(rig->quorum, rig->now, i, &rig->hello[i]);
    }
    serve(rig, memory);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_READY);
    rig_free(rig);
}

static void two_empty_nodes_and_one_that_remembers_are_not_fresh(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 15 */
    for (unsigned i = 0; i < 2; i++) {
        memory[i] = (struct memory){0};
        restart(rig, i, true);
    }
    serve(rig, memory);
    pass_ms(rig, memory, 20000);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_RECOVERING);
    pass_ms(rig, memory, lease_drift_us(RIG_MAX_TERM_MS) / 1000 + RIG_MAX_TERM_MS - 20000 + 200);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_READY);
    assert_true(memory[0].floor >= 5000);
    struct quorum_status status;
    quorum_status(rig->quorum, &status);
    assert_true(status.memory_was_lost);
    rig_free(rig);
}

static void the_fault_fresh_when_quorum_forgets_who_remembers(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    const struct quorum_faults faults = {.fresh_when_quorum = true};
    rig_set_faults(rig, &faults);
    for (unsigned i = 0; i < 2; i++) {
        memory[i] = (struct memory){0};
        restart(rig, i, true);
    }
    serve(rig, memory);
    pass_ms(rig, memory, 500);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    rig_free(rig);
}

static void a_node_that_comes_back_empty_gets_the_floor_and_waits_for_the_longest_term(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 9 */
    memory[2] = (struct memory){0};
    restart(rig, 2, true);
    serve(rig, memory);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    pass_ms(rig, memory, 300);
    assert_true(memory[2].floor >= memory[0].ceiling - 60000000);
    assert_true(memory[2].floor >= 5000);
    assert_true(memory[2].ceiling >= 5000); /* the next one may have to learn it from here */
    assert_int_equal(memory[2].max_term_ms, 10000);
    pass_ms(rig, memory, 9700);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    assert_true(rig->marker[2].nonce != 0);
    pass_ms(rig, memory, 600);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_READY);
    assert_int_equal(rig->marker[2].nonce, 0);
    rig_free(rig);
}

static void the_fault_final_with_floor_does_not_wait(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    const struct quorum_faults faults = {.final_with_floor = true};
    rig_set_faults(rig, &faults);
    memory[2] = (struct memory){0};
    restart(rig, 2, true);
    serve(rig, memory);
    pass_ms(rig, memory, 500);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_READY);
    rig_free(rig);
}

static void a_node_that_restarts_with_its_data_is_recovering_too(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 14: its last writes may be lost */
    restart(rig, 2, false);
    serve(rig, memory);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    assert_false(rig->marker[2].blank);
    rig_free(rig);
}

static void without_enough_witnesses_no_floor_is_proven(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig_cut(rig, 1); /* merely unreachable */
    memory[2] = (struct memory){0};
    restart(rig, 2, true);
    serve(rig, memory);
    pass_ms(rig, memory, 2 * RIG_MAX_TERM_MS);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    assert_int_equal(memory[2].floor, 0);
    rig_free(rig);
}

/* Up to the answer to the recovering marker. */
static void find_empty(struct rig *rig, struct memory memory[3], unsigned node)
{
    memory[node] = (struct memory){0};
    restart(rig, node, true);
    rig_expect(rig, node, QUORUM_NODE_READ);
    rig_node_reads(rig, node, 0, 0, 0);
    rig_expect(rig, node, QUORUM_NODE_MARK);
    rig_node_reads(rig, node, 0, 0, 0);
    assert_true(rig->marker[node].nonce != 0);
}

static void a_read_older_than_the_loss_proves_nothing(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    find_empty(rig, memory, 2);
    /* The others were read already, before the nonce stood. They are again, and the floor waits for that. */
    for (unsigned i = 0; i < 3; i++) {
        rig_expect(rig, i, QUORUM_NODE_READ);
        assert_int_equal(rig->n_out[i], 1);
    }
    serve(rig, memory);
    assert_true(memory[2].floor >= 5000);
    rig_free(rig);
}

static void nothing_is_asked_at_once_but_the_census_behind_the_nonce(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig_cut(rig, 1); /* nobody can vouch */
    find_empty(rig, memory, 2);
    serve(rig, memory);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    assert_int_equal(rig->n_out[0] + rig->n_out[2], 0);
    rig_free(rig);
}

static void a_flush_while_the_floor_is_written_starts_anew(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 18 */
    find_empty(rig, memory, 2);
    uint64_t nonce = rig->marker[2].nonce;
    for (unsigned i = 0; i < 3; i++) { /* the census */
        rig_expect(rig, i, QUORUM_NODE_READ);
        rig_node_reads(rig, i, memory[i].floor, memory[i].ceiling, memory[i].max_term_ms);
    }
    struct quorum_command *mark = rig_expect(rig, 2, QUORUM_NODE_MARK);
    assert_int_equal(mark->marker.nonce, nonce); /* the floor only, under the nonce */
    rig->marker[2] = (struct quorum_marker){0};  /* FLUSHALL */
    rig_node_reads(rig, 2, 0, 0, 0);             /* refused: it is changed */
    rig_expect(rig, 2, QUORUM_NODE_MARK);
    rig_node_reads(rig, 2, 0, 0, 0);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_RECOVERING);
    assert_true(rig->marker[2].nonce != nonce && rig->marker[2].nonce != 0);
    rig_expect(rig, 2, QUORUM_NODE_READ); /* no floor before another census */
    rig_free(rig);
}

static void a_flush_of_a_ready_node_is_found_by_the_next_look_at_it(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig->marker[1] = (struct quorum_marker){0};
    memory[1] = (struct memory){0};
    pass_ms(rig, memory, 1100);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_RECOVERING);
    rig_free(rig);
}

static void a_clock_that_steps_makes_a_node_recover(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 18 */
    pass_ms(rig, memory, 2000);
    rig_advance_ms(rig, 1000);
    rig_expect(rig, 0, QUORUM_NODE_READ);
    rig->now.wall.us += 500000; /* node 0 answers with a clock half a second ahead */
    rig_node_reads(rig, 0, 0, memory[0].ceiling, 10000);
    rig->now.wall.us -= 500000;
    serve(rig, memory);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_RECOVERING);
    assert_true(rig->marker[0].nonce != 0);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_READY);
    rig_free(rig);
}

static void a_clock_that_runs_half_a_percent_off_is_no_step(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig->manual = true;
    for (unsigned i = 0; i < 100; i++) {
        rig->now.wall.us += 500; /* beside the 100 ms that pass */
        rig_advance_ms(rig, 100);
        serve(rig, memory);
    }
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    rig_free(rig);
}

static void what_another_agent_marked_is_waited_for_from_when_we_saw_it(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    rig->marker[1].nonce = 5; /* another agent noticed something */
    pass_ms(rig, memory, 1100);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_RECOVERING);
    assert_int_equal(rig->marker[1].nonce, 5);
    rig->marker[1].nonce = 0; /* and has waited */
    pass_ms(rig, memory, 1100);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_READY);
    rig_free(rig);
}

static void all_three_restarted_with_their_memory_serve_after_the_longest_term(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory); /* scenario 15 */
    for (unsigned i = 0; i < 3; i++) {
        restart(rig, i, false);
    }
    serve(rig, memory);
    pass_ms(rig, memory, RIG_MAX_TERM_MS);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_RECOVERING);
    pass_ms(rig, memory, lease_drift_us(RIG_MAX_TERM_MS) / 1000 + 300);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(state_of(rig, i), QUORUM_NODE_READY);
    }
    rig_free(rig);
}

static void a_reconnection_while_the_nonce_stands_does_not_start_the_wait_anew(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    memory[2] = (struct memory){0};
    restart(rig, 2, true);
    serve(rig, memory);
    pass_ms(rig, memory, 6000);
    rig_cut(rig, 2);
    rig_connect(rig, 2);
    serve(rig, memory);
    pass_ms(rig, memory, 4600);
    assert_int_equal(state_of(rig, 2), QUORUM_NODE_READY);
    rig_free(rig);
}

static void a_replica_and_a_server_that_evicts_are_unfit(void **state)
{
    struct rig *rig = rig_bare(3);
    rig->hello[0].master = false;
    rig->hello[1].evicts = true;
    rig_connect(rig, 0);
    rig_connect(rig, 1);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_UNFIT);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_UNFIT);
    assert_non_null(strstr(rig->why[0], "replica"));
    assert_non_null(strstr(rig->why[1], "noeviction"));
    assert_int_equal(rig->n_out[0] + rig->n_out[1], 0);
    rig_cut(rig, 1);
    assert_int_equal(state_of(rig, 1), QUORUM_NODE_DOWN);
    rig_free(rig);
}

static void a_single_node_that_is_empty_is_a_fresh_deployment(void **state)
{
    struct rig *rig = rig_bare(1);
    struct memory memory[1] = {0};
    rig_connect(rig, 0);
    serve(rig, memory);
    pass_ms(rig, memory, 200);
    assert_int_equal(state_of(rig, 0), QUORUM_NODE_READY);
    rig_free(rig);
}

static void a_ceiling_is_raised_ahead_before_anything_needs_it(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    uint64_t wall = (uint64_t)rig->now.wall.us;
    unsigned high = 0;
    for (unsigned i = 0; i < 3; i++) {
        high += memory[i].ceiling >= wall + 30000000 ? 1 : 0;
    }
    assert_true(high >= 2);
    pass_ms(rig, memory, 45000);
    high = 0;
    for (unsigned i = 0; i < 3; i++) {
        high += memory[i].ceiling >= (uint64_t)rig->now.wall.us + 29000000 ? 1 : 0;
    }
    assert_true(high >= 2);
    rig_free(rig);
}

/* The servers of two nodes were lost one after the other, and another agent has declared them fresh: each is ready
 * at once for us, and knows less than what we have proven. */
static void what_a_majority_has_forgotten_without_our_noticing_is_proven_anew(void **state)
{
    struct memory memory[3];
    struct rig *rig = rig_served(memory);
    struct ask a = {0};
    for (unsigned i = 1; i < 3; i++) {
        rig_cut(rig, i);
        rig->hello[i].run_id[0]++;
        rig->marker[i].run_id[0]++;
        memory[i] = (struct memory){.ceiling = memory[i].ceiling - 1000000};
        rig_connect(rig, i);
        serve(rig, memory);
        assert_int_equal(state_of(rig, i), QUORUM_NODE_READY);
    }
    rig_extend(rig, &a, "a", 900); /* needs a longest term, which stands on one node only */
    serve(rig, memory);
    for (unsigned i = 0; i < 3; i++) {
        rig_expect(rig, i, QUORUM_LOOK);
        assert_int_equal(memory[i].max_term_ms, RIG_TERM_MS);
    }
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_with_its_own_final_marker_is_ready_at_once),
        cmocka_unit_test(a_fresh_deployment_is_ready_after_four_round_trips),
        cmocka_unit_test(a_fresh_deployment_waits_a_while_for_nodes_that_are_late),
        cmocka_unit_test(a_node_that_was_away_all_the_time_is_not_waited_for_anew),
        cmocka_unit_test(two_empty_nodes_and_one_that_remembers_are_not_fresh),
        cmocka_unit_test(the_fault_fresh_when_quorum_forgets_who_remembers),
        cmocka_unit_test(a_node_that_comes_back_empty_gets_the_floor_and_waits_for_the_longest_term),
        cmocka_unit_test(the_fault_final_with_floor_does_not_wait),
        cmocka_unit_test(a_node_that_restarts_with_its_data_is_recovering_too),
        cmocka_unit_test(without_enough_witnesses_no_floor_is_proven),
        cmocka_unit_test(a_read_older_than_the_loss_proves_nothing),
        cmocka_unit_test(nothing_is_asked_at_once_but_the_census_behind_the_nonce),
        cmocka_unit_test(a_flush_while_the_floor_is_written_starts_anew),
        cmocka_unit_test(a_flush_of_a_ready_node_is_found_by_the_next_look_at_it),
        cmocka_unit_test(a_clock_that_steps_makes_a_node_recover),
        cmocka_unit_test(a_clock_that_runs_half_a_percent_off_is_no_step),
        cmocka_unit_test(what_another_agent_marked_is_waited_for_from_when_we_saw_it),
        cmocka_unit_test(all_three_restarted_with_their_memory_serve_after_the_longest_term),
        cmocka_unit_test(a_reconnection_while_the_nonce_stands_does_not_start_the_wait_anew),
        cmocka_unit_test(a_replica_and_a_server_that_evicts_are_unfit),
        cmocka_unit_test(a_single_node_that_is_empty_is_a_fresh_deployment),
        cmocka_unit_test(a_ceiling_is_raised_ahead_before_anything_needs_it),
        cmocka_unit_test(what_a_majority_has_forgotten_without_our_noticing_is_proven_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
