/* The embedded store on one lane and a fake clock: what survives a restart, and what is said when it can't.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "embedded_rig.h"

static int set_up(void **state)
{
    struct rig *rig = mem_alloc(sizeof *rig);
    rig_init(rig);
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_fini(*state);
    mem_free(*state);
    return 0;
}

static void reopen(struct rig *rig)
{
    struct error error = ERROR_NONE;
    rig_close(rig);
    enum err err = rig_open(rig, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(err, EA_OK);
}

static enum store_state state_of(struct rig *rig, char why[160])
{
    struct store_status status;
    store_status(rig->store, &status);
    memcpy(why, status.why, sizeof status.why);
    return status.state;
}

/* --- restarts --- */

static void a_grant_is_there_after_a_restart_and_runs_its_full_term(void **state)
{
    struct rig *rig = *state;
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    assert_true(rig->request.elected && token > 0);
    rig_advance_ms(rig, RIG_TERM_MS - 1000);
    reopen(rig);
    struct election_request *r = rig_op(rig, OP_GET, "e", "");
    assert_int_equal(r->err, EA_OK);
    assert_true(r->tenure.token == token);
    assert_string_equal(rig->leader, "a");
    assert_int_equal(r->tenure.expires.us, rig->clock.mono.us + RIG_TERM_MS * 1000);
    r = rig_op(rig, OP_CAMPAIGN, "e", "b");
    assert_false(r->elected);
    r = rig_op(rig, OP_CAMPAIGN, "e", "a");
    assert_true(r->elected && r->tenure.token == token);
}

static void a_resignation_and_a_handover_are_there_after_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "resigned", "a");
    assert_int_equal(rig_op(rig, OP_RESIGN, "resigned", "a")->err, EA_OK);
    rig_op(rig, OP_CAMPAIGN, "handed", "a");
    uint64_t token = rig_op(rig, OP_HANDOVER, "handed", "b")->tenure.token;
    reopen(rig);
    assert_int_equal(rig_op(rig, OP_GET, "resigned", "")->err, EA_NOT_FOUND);
    struct election_request *r = rig_op(rig, OP_GET, "handed", "");
    assert_string_equal(rig->leader, "b");
    assert_true(r->tenure.token == token);
}

static void a_longer_term_is_there_after_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    struct election_request *r =
        rig_ask(rig, (struct election_request){
                         .op = OP_EXTEND, .election = STR("e"), .candidate = STR("a"), .term_ms = 90000});
    assert_int_equal(r->err, EA_OK);
    reopen(rig);
    r = rig_op(rig, OP_GET, "e", "");
    assert_int_equal(r->tenure.expires.us, rig->clock.mono.us + INT64_C(90000000));
}

static void what_has_expired_is_not_there_after_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    rig_advance_ms(rig, RIG_TERM_MS);
    reopen(rig);
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_NOT_FOUND);
}

static void tokens_grow_over_a_restart_whatever_the_wall_clock_does(void **state)
{
    struct rig *rig = *state;
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    for (int i = 0; i < 3; i++) {
        rig_op(rig, OP_RESIGN, "e", "a");
        rig->clock.wall.us -= INT64_C(86400) * 1000000;
        reopen(rig);
        struct election_request *r = rig_op(rig, OP_CAMPAIGN, "e", "a");
        assert_true(r->elected && r->tenure.token > token);
        token = r->tenure.token;
    }
}

static void a_wall_clock_at_the_end_of_the_range_does_not_end_the_supply(void **state)
{
    struct rig *rig = *state;
    struct wall right = rig->clock.wall;
    rig->clock.wall.us = (int64_t)HLC_LIMIT - 1000000; /* in 2255, as it seems */
    reopen(rig);
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    assert_true(token != 0);
    reopen(rig);
    rig->clock.wall = right;
    reopen(rig);
    for (int i = 0; i < 3; i++) {
        uint64_t next = rig_op(rig, OP_HANDOVER, "e", "b")->tenure.token;
        assert_true(next > token);
        token = next;
    }
}

static void a_thousand_leases_come_back(void **state)
{
    struct rig *rig = *state;
    char name[300];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "e%0*d", i % 250 + 1, i);
        rig_op(rig, OP_CAMPAIGN, name, name);
    }
    reopen(rig);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "e%0*d", i % 250 + 1, i);
        assert_int_equal(rig_op(rig, OP_GET, name, "")->err, EA_OK);
        assert_string_equal(rig->leader, name);
    }
}

static void in_power_mode_the_same_holds(void **state)
{
    struct rig *rig = *state;
    rig->power = true;
    reopen(rig);
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    reopen(rig);
    assert_true(rig_op(rig, OP_GET, "e", "")->tenure.token == token);
}

static void memory_keeps_nothing_and_makes_no_file(void **state)
{
    struct rig *rig = *state;
    rig_close(rig);
    struct store_options options = {.lanes = &rig->loop,
                                    .n_lanes = 1,
                                    .clock = &rig->clock.clock,
                                    .max_term_ms = 3600000,
                                    .path = ":memory:"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_embedded_ops.open(&rig->store, &options, NULL), EA_OK);
        assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_NOT_FOUND);
        rig_submit(rig,
                   (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
        assert_true(rig->answered && rig->request.elected); /* at once */
        rig_close(rig);
    }
    assert_int_equal(access(":memory:", F_OK), -1);
}

/* --- answers and time --- */

static void what_needs_no_write_is_answered_at_once(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    static const enum election_op ops[] = {OP_CAMPAIGN, OP_EXTEND, OP_GET, OP_INFO, OP_LIST};
    for (size_t i = 0; i < ARRAY_LENGTH(ops); i++) {
        rig_submit(rig, (struct election_request){
                            .op = ops[i], .election = STR("e"), .candidate = STR("a"), .page_size = 1});
        assert_true(rig->answered);
    }
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("b")});
    assert_true(rig->answered && !rig->request.elected);
}

static void a_grant_is_not_answered_before_it_is_written(void **state)
{
    struct rig *rig = *state;
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
    assert_false(rig->answered);
    rig_wait(rig);
    assert_true(rig->request.elected);
}

static void a_renewal_waits_for_the_grant_it_confirms(void **state)
{
    struct rig *rig = *state;
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
    struct election_request first = rig->request; /* its answer counts for the second as well */
    (void)first;
    assert_false(rig->answered);
    struct rig second = *rig;
    struct election_request extend = rig->request;
    extend.op = OP_EXTEND;
    extend.user = &second;
    second.answered = false;
    store_submit(rig->store, 0, &extend);
    assert_false(second.answered);
    while (!second.answered) {
        (void)loop_step(rig->loop);
    }
    assert_true(rig->answered);
    assert_int_equal(extend.err, EA_OK);
}

static void a_request_after_its_deadline_changes_nothing(void **state)
{
    struct rig *rig = *state;
    struct election_request *r = rig_ask(rig, (struct election_request){.op = OP_CAMPAIGN,
                                                                        .election = STR("e"),
                                                                        .candidate = STR("a"),
                                                                        .deadline = rig->clock.mono});
    assert_int_equal(r->err, EA_UNAVAILABLE);
    assert_true(strlen(rig->why) > 0 && !r->elected && r->tenure.token == 0);
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_NOT_FOUND);
}

static void an_answer_that_comes_too_late_promises_nothing(void **state)
{
    struct rig *rig = *state;
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
    assert_false(rig->answered);
    clock_fake_advance_us(&rig->clock, INT64_C(5000000));
    rig_wait(rig);
    assert_int_equal(rig->request.err, EA_UNAVAILABLE);
    assert_false(rig->request.elected);
    /* The tenure stands, and ends by itself. */
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_OK);
    rig_advance_ms(rig, RIG_TERM_MS);
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_NOT_FOUND);
}

struct seen {
    struct election_event last;
    int n;
};

static void see_event(void *user, unsigned lane, const struct election_event *event)
{
    struct seen *seen = user;
    seen->last = *event;
    seen->n += lane == 0;
}

static void an_expiry_is_told_in_its_time_and_crowds_take_several_turns(void **state)
{
    struct rig *rig = *state;
    struct seen seen = {.n = 0};
    rig_close(rig);
    struct store_options options = {.lanes = &rig->loop,
                                    .n_lanes = 1,
                                    .clock = &rig->clock.clock,
                                    .max_term_ms = 3600000,
                                    .on_event = see_event,
                                    .user = &seen,
                                    .path = ":memory:"};
    assert_int_equal(store_embedded_ops.open(&rig->store, &options, NULL), EA_OK);
    int crowd = 3 * EMBEDDED_EXPIRE_PER_TURN;
    for (int i = 0; i < crowd; i++) {
        char name[16];
        snprintf(name, sizeof name, "e%d", i);
        rig_op(rig, OP_CAMPAIGN, name, "a");
    }
    assert_int_equal(seen.n, crowd);
    (void)loop_step(rig->loop);
    rig_advance_ms(rig, RIG_TERM_MS - 1);
    assert_int_equal(seen.n, crowd);
    clock_fake_advance_us(&rig->clock, 1000);
    (void)loop_step(rig->loop);
    assert_int_equal(seen.n, crowd + EMBEDDED_EXPIRE_PER_TURN);
    assert_int_equal(seen.last.action, ACTION_EXPIRED);
    for (int ms = 0; ms < 10 && seen.n < 2 * crowd; ms++) {
        rig_advance_ms(rig, 1);
    }
    assert_int_equal(seen.n, 2 * crowd);
}

static void count_row(void *arg, struct str kind, uint64_t elections)
{
    char *text = arg;
    snprintf(text + strlen(text), 100, "%.*s=%d ", STR_ARG(kind), (int)elections);
}

static void elections_are_counted_also_after_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    rig_op(rig, OP_CAMPAIGN, "f", "a");
    rig_ask(rig, (struct election_request){
                     .op = OP_CAMPAIGN, .kind = STR("k"), .election = STR("e"), .candidate = STR("a")});
    rig_op(rig, OP_RESIGN, "f", "a");
    for (int i = 0; i < 2; i++) {
        char text[400] = "";
        store_count(rig->store, count_row, text);
        assert_string_equal(text, "default=1 k=1 ");
        reopen(rig);
    }
}

/* --- reboots --- */

/* The process is gone without closing the store, the machine lives: what a kill leaves in the file. */
static void copy_of_a_running_store_replaces_it(struct rig *rig)
{
    char copy[128];
    size_t n;
    snprintf(copy, sizeof copy, "%s/copy", rig->directory);
    char *bytes = rig_read(rig->file, &n);
    rig_close(rig);
    rig_write(rig->file, bytes, n);
    mem_free(bytes);
}

static void after_a_kill_nothing_has_to_be_waited_for(void **state)
{
    struct rig *rig = *state;
    char why[160];
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    copy_of_a_running_store_replaces_it(rig);
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_UP);
    assert_true(rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token == token);
    assert_true(rig_op(rig, OP_CAMPAIGN, "f", "a")->elected);
}

static void after_a_power_cut_nothing_is_granted_until_the_longest_term_is_over(void **state)
{
    struct rig *rig = *state;
    char why[160];
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    rig_ask(rig, (struct election_request){
                     .op = OP_CAMPAIGN, .election = STR("long"), .candidate = STR("a"), .term_ms = 60000});
    rig_op(rig, OP_RESIGN, "long", "a"); /* which the power cut may have undone, or worse */
    copy_of_a_running_store_replaces_it(rig);
    rig_boot(rig, "22222222-2222-2222-2222-222222222222");
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_STARTING);
    assert_non_null(strstr(why, "restart of the machine"));
    assert_int_equal(rig_op(rig, OP_CAMPAIGN, "f", "x")->err, EA_UNAVAILABLE);
    assert_int_equal(rig_op(rig, OP_CAMPAIGN, "e", "a")->err, EA_UNAVAILABLE);
    assert_int_equal(rig_op(rig, OP_EXTEND, "e", "a")->err, EA_UNAVAILABLE);
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_OK);
    /* Another restart in between, of the process only, or in order: the wait begins anew. */
    rig_advance_ms(rig, 50000);
    reopen(rig);
    rig_advance_ms(rig, 59000);
    assert_int_equal(rig_op(rig, OP_CAMPAIGN, "f", "x")->err, EA_UNAVAILABLE);
    rig_advance_ms(rig, 1000);
    assert_int_equal(state_of(rig, why), STORE_UP);
    assert_true(rig_op(rig, OP_CAMPAIGN, "f", "x")->elected);
    assert_true(rig_op(rig, OP_CAMPAIGN, "e", "b")->elected);
    /* Once over, it is over for the next start too. */
    copy_of_a_running_store_replaces_it(rig);
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_UP);
}

/* Opens after a power cut, restarts in order a moment later: whether nothing is granted still. */
static void check_wait_survives_restart(struct rig *rig)
{
    char why[160];
    copy_of_a_running_store_replaces_it(rig);
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_STARTING);
    rig_advance_ms(rig, RIG_TERM_MS / 2);
    reopen(rig);
    assert_int_equal(state_of(rig, why), STORE_STARTING);
    rig_advance_ms(rig, RIG_TERM_MS - 1000);
    assert_int_equal(rig_op(rig, OP_CAMPAIGN, "f", "x")->err, EA_UNAVAILABLE);
    rig_advance_ms(rig, 1000);
    assert_true(rig_op(rig, OP_CAMPAIGN, "f", "x")->elected);
}

/* The commits of this run are durable, those of the run before it were not. */
static void a_wait_begun_in_power_mode_is_not_forgotten_by_a_restart(void **state)
{
    struct rig *rig = *state;
    char why[160];
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    rig->power = true;
    rig_boot(rig, "22222222-2222-2222-2222-222222222222");
    check_wait_survives_restart(rig);
    /* From then on the file is one of power mode. */
    copy_of_a_running_store_replaces_it(rig);
    rig_boot(rig, "33333333-3333-3333-3333-333333333333");
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_UP);
}

static void a_wait_without_a_boot_id_is_not_forgotten_by_a_restart(void **state)
{
    struct rig *rig = *state;
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    rig_boot(rig, "");
    check_wait_survives_restart(rig);
}

static void after_a_reboot_in_order_nothing_has_to_be_waited_for(void **state)
{
    struct rig *rig = *state;
    char why[160];
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token;
    rig_close(rig);
    rig_boot(rig, "22222222-2222-2222-2222-222222222222");
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_UP);
    assert_true(rig_op(rig, OP_CAMPAIGN, "e", "a")->tenure.token == token);
}

static void after_a_power_cut_in_power_mode_nothing_has_to_be_waited_for(void **state)
{
    struct rig *rig = *state;
    char why[160];
    rig->power = true;
    reopen(rig);
    rig_op(rig, OP_CAMPAIGN, "e", "a");
    copy_of_a_running_store_replaces_it(rig);
    rig_boot(rig, "22222222-2222-2222-2222-222222222222");
    assert_int_equal(rig_open(rig, NULL), EA_OK);
    assert_int_equal(state_of(rig, why), STORE_UP);
    assert_true(rig_op(rig, OP_CAMPAIGN, "f", "a")->elected);
}

/* --- who may open it --- */

static void a_second_agent_is_told_which_process_holds_it(void **state)
{
    struct rig *rig = *state;
    int status;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) {
        struct startup startup;
        struct error error = ERROR_NONE;
        char expected[32];
        struct startup_options options = {
            .directory = rig->directory, .clock = &rig->clock.clock, .boot_id_file = rig->boot_id_file};
        enum err err = startup_run(&startup, &options, &error);
        snprintf(expected, sizeof expected, "process %d", (int)parent);
        _exit(err == EA_BUSY && strstr(error.text, expected) != NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(rig_op(rig, OP_CAMPAIGN, "e", "a")->elected);
}

static void what_is_no_directory_of_ours_is_named(void **state)
{
    struct rig *rig = *state;
    struct startup startup;
    struct error error = ERROR_NONE;
    struct startup_options options = {.directory = "/proc/self/nothing/here",
                                      .clock = &rig->clock.clock,
                                      .boot_id_file = rig->boot_id_file};
    assert_int_equal(startup_run(&startup, &options, &error), EA_CONFIG);
    assert_non_null(strstr(error.text, "/proc/self/nothing/here"));
    assert_non_null(strstr(error.text, "the directory above it has to be there"));
    options.directory = rig->file;
    assert_int_equal(startup_run(&startup, &options, &error), EA_CONFIG);
    assert_non_null(strstr(error.text, "is not a directory"));
}

static void a_missing_directory_is_made_for_its_owner_alone(void **state)
{
    struct rig *rig = *state;
    struct startup startup;
    struct stat stat_of;
    char path[128];
    char file[160];
    snprintf(path, sizeof path, "%s/sub", rig->directory);
    struct startup_options options = {
        .directory = path, .clock = &rig->clock.clock, .boot_id_file = rig->boot_id_file};
    assert_int_equal(startup_run(&startup, &options, NULL), EA_OK);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0700);
    assert_int_equal(stat(startup.path, &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    startup_fini(&startup);
    snprintf(file, sizeof file, "%s/leases.lock", path);
    (void)unlink(file);
    snprintf(file, sizeof file, "%s/leases.mdb", path);
    (void)unlink(file);
    assert_int_equal(rmdir(path), 0);
}

/* --- a full disk --- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void on_a_full_disk_nothing_new_is_granted_and_nothing_old_is_lost(void **state)
{
    struct rig *rig = *state;
    char why[160];
    char name[64];
    int granted = 0;
    uint64_t token = rig_op(rig, OP_CAMPAIGN, "old", "a")->tenure.token;
    struct stat stat_of;
    assert_int_equal(stat(rig->file, &stat_of), 0);
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files((rlim_t)stat_of.st_size + 4096);
    for (; granted < 5000; granted++) {
        snprintf(name, sizeof name, "election number %d", granted);
        if (!rig_op(rig, OP_CAMPAIGN, name, "a")->elected) {
            break;
        }
    }
    assert_true(granted < 5000);
    assert_int_equal(rig->request.err, EA_UNAVAILABLE);
    assert_non_null(strstr(rig->why, "cannot write"));
    assert_int_equal(state_of(rig, why), STORE_DOWN);
    assert_non_null(strstr(why, "leases.mdb"));
    /* Nobody leads what was refused; what needs no write goes on; the rest is refused at once. */
    assert_int_equal(rig_op(rig, OP_GET, name, "")->err, EA_NOT_FOUND);
    assert_true(rig_op(rig, OP_CAMPAIGN, "old", "a")->tenure.token == token);
    assert_int_equal(rig_op(rig, OP_RESIGN, "old", "a")->err, EA_UNAVAILABLE);
    assert_int_equal(rig_op(rig, OP_CAMPAIGN, "another", "a")->err, EA_UNAVAILABLE);
    /* A retry fails as well. */
    rig_advance_ms(rig, EMBEDDED_RETRY_MS);
    assert_int_equal(state_of(rig, why), STORE_DOWN);
    limit_files(RLIM_INFINITY);
    while (state_of(rig, why) != STORE_UP) {
        rig_op(rig, OP_EXTEND, "old", "a");
        rig_advance_ms(rig, EMBEDDED_RETRY_MS);
    }
    assert_true(rig_op(rig, OP_CAMPAIGN, name, "b")->elected);
    reopen(rig);
    assert_true(rig_op(rig, OP_GET, "old", "")->tenure.token == token);
    assert_int_equal(rig_op(rig, OP_GET, name, "")->err, EA_OK);
    assert_string_equal(rig->leader, "b");
}

struct second {
    struct loop_task task;
    struct store *store;
    struct election_request request;
    bool answered;
};

static void take_second(struct election_request *request)
{
    struct second *second = request->user;
    second->answered = true;
}

static void submit_second(struct loop *loop, struct loop_task *task)
{
    struct second *second = CONTAINER_OF(task, struct second, task);
    store_submit(second->store, 0, &second->request);
}

struct throng {
    struct rig *rig;
    struct election_request *requests;
    char (*names)[NAME_BYTES_MAX];
    size_t n;
    size_t granted;
    size_t refused; /* for the disk's sake */
};

static void throng_done(struct election_request *request)
{
    struct throng *throng = request->user;
    throng->granted += request->elected;
    throng->refused +=
        request->err == EA_UNAVAILABLE && str_eq(request->why, STR("the disk does not keep up"));
}

static void throng_ask(struct throng *throng, size_t i)
{
    struct rig *rig = throng->rig;
    memset(throng->names[i], 'n', NAME_BYTES_MAX);
    (void)snprintf(throng->names[i], 12, "%011zu", i);
    throng->names[i][11] = 'n';
    throng->requests[i] = (struct election_request){
        .op = OP_CAMPAIGN,
        .kind = STR("default"),
        .election = {throng->names[i], NAME_BYTES_MAX},
        .candidate = {throng->names[i], NAME_BYTES_MAX},
        .term_ms = RIG_TERM_MS,
        .start = rig->clock.mono,
        .deadline = mono_add_ms(rig->clock.mono, 3000),
        .done = throng_done,
        .user = throng,
    };
    store_submit(rig->store, 0, &throng->requests[i]);
}

static void behind_a_disk_that_hangs_memory_does_not_grow_without_end(void **state)
{
    enum { N = 40000 };
    struct rig *rig = *state;
    struct throng throng = {.rig = rig, .n = N};
    throng.requests = mem_zalloc(N * sizeof *throng.requests);
    throng.names = mem_alloc(N * sizeof *throng.names);
    const struct lane *lane = &CONTAINER_OF(rig->store, struct embedded, store)->lanes[0];
    char name[16];
    /* Until a batch does not come back in the very turn it flies. */
    for (int i = 0; lane->flying == NULL; i++) {
        (void)snprintf(name, sizeof name, "e%d", i);
        rig_submit(rig, (struct election_request){
                            .op = OP_CAMPAIGN, .election = str_of(name), .candidate = STR("a")});
        (void)loop_step(rig->loop);
    }
    for (size_t i = 0; i < N; i++) {
        throng_ask(&throng, i);
    }
    assert_true(lane->filling->changes.n < EMBEDDED_BEHIND_BYTES + 1024);
    assert_true(throng.refused > 0 && throng.granted == 0);
    while (throng.granted + throng.refused < N) {
        (void)loop_step(rig->loop);
        (void)sched_yield();
    }
    assert_true(throng.granted > EMBEDDED_BEHIND_BYTES / 1024);
    assert_true(rig_op(rig, OP_CAMPAIGN, "another", "a")->elected);
    mem_free(throng.requests);
    mem_free(throng.names);
}

/* Invariant S1: the second campaign waits for a later write than the first, but relies on the first. */
static void a_promise_that_waits_behind_a_failed_write_is_not_given(void **state)
{
    struct rig *rig = *state;
    char why[160];
    struct second second = {.task = {.run = submit_second}, .store = rig->store};
    (void)signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
    second.request = rig->request;
    second.request.term_ms = 2 * RIG_TERM_MS;
    second.request.done = take_second;
    second.request.user = &second;
    loop_at_end(rig->loop, LOOP_STAGE_STORE, &second.task); /* right after the first one's batch has left */
    rig_wait(rig);
    limit_files(RLIM_INFINITY);
    assert_int_equal(rig->request.err, EA_UNAVAILABLE);
    assert_true(second.answered);
    assert_int_equal(second.request.err, EA_UNAVAILABLE);
    while (state_of(rig, why) != STORE_UP) {
        rig_op(rig, OP_GET, "e", "");
        rig_advance_ms(rig, EMBEDDED_RETRY_MS);
    }
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_NOT_FOUND);
    assert_true(rig_op(rig, OP_CAMPAIGN, "e", "b")->elected);
    reopen(rig);
    assert_int_equal(rig_op(rig, OP_GET, "e", "")->err, EA_OK);
    assert_string_equal(rig->leader, "b");
}

/* --- the end --- */

static void an_open_request_is_answered_at_close(void **state)
{
    struct rig *rig = *state;
    rig_submit(rig,
               (struct election_request){.op = OP_CAMPAIGN, .election = STR("e"), .candidate = STR("a")});
    assert_false(rig->answered);
    rig_close(rig);
    assert_true(rig->answered);
    assert_true(rig->request.err == EA_UNAVAILABLE || rig->request.elected);
}

#define HOLDS(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOLDS(a_grant_is_there_after_a_restart_and_runs_its_full_term),
        HOLDS(a_resignation_and_a_handover_are_there_after_a_restart),
        HOLDS(a_longer_term_is_there_after_a_restart),
        HOLDS(what_has_expired_is_not_there_after_a_restart),
        HOLDS(behind_a_disk_that_hangs_memory_does_not_grow_without_end),
        HOLDS(a_promise_that_waits_behind_a_failed_write_is_not_given),
        HOLDS(tokens_grow_over_a_restart_whatever_the_wall_clock_does),
        HOLDS(a_wall_clock_at_the_end_of_the_range_does_not_end_the_supply),
        HOLDS(a_thousand_leases_come_back),
        HOLDS(in_power_mode_the_same_holds),
        HOLDS(memory_keeps_nothing_and_makes_no_file),
        HOLDS(what_needs_no_write_is_answered_at_once),
        HOLDS(a_grant_is_not_answered_before_it_is_written),
        HOLDS(a_renewal_waits_for_the_grant_it_confirms),
        HOLDS(a_request_after_its_deadline_changes_nothing),
        HOLDS(an_answer_that_comes_too_late_promises_nothing),
        HOLDS(an_expiry_is_told_in_its_time_and_crowds_take_several_turns),
        HOLDS(elections_are_counted_also_after_a_restart),
        HOLDS(after_a_kill_nothing_has_to_be_waited_for),
        HOLDS(after_a_power_cut_nothing_is_granted_until_the_longest_term_is_over),
        HOLDS(after_a_reboot_in_order_nothing_has_to_be_waited_for),
        HOLDS(a_wait_begun_in_power_mode_is_not_forgotten_by_a_restart),
        HOLDS(a_wait_without_a_boot_id_is_not_forgotten_by_a_restart),
        HOLDS(after_a_power_cut_in_power_mode_nothing_has_to_be_waited_for),
        HOLDS(a_second_agent_is_told_which_process_holds_it),
        HOLDS(what_is_no_directory_of_ours_is_named),
        HOLDS(a_missing_directory_is_made_for_its_owner_alone),
        HOLDS(on_a_full_disk_nothing_new_is_granted_and_nothing_old_is_lost),
        HOLDS(an_open_request_is_answered_at_close),
    };
    return cmocka_run_group_tests_name("embedded", tests, NULL, NULL);
}
