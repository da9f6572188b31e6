/*
 * kill -9, at any moment: a child runs the store and writes down, through a pipe, every grant, resignation
 * and handover it was answered; the parent kills it, opens the directory, and holds the file against what was
 * answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "embedded_rig.h"

#define ELECTIONS 50
#define ROUNDS    25
#define MANY      64 /* requests under way at once */

/* What a client knows: the present tenure of an election, or that it is given up. */
struct known {
    uint64_t token; /* of the last tenure that was answered */
    bool led;       /* it has not been given up, as far as was answered */
    bool unsure;    /* something newer was asked and not answered */
    char leader[16];
};

struct note {
    enum { NOTE_ASKED, NOTE_LED, NOTE_RESIGNED } what;
    int election;
    uint64_t token;
    char leader[16];
};

/* --- the child --- */

struct player {
    struct election_request request;
    struct rig *rig;
    int out;
    int election;
    char name[16];
    char candidate[16];
    bool open;
};

static void tell(const struct player *player, const struct note *note)
{
    if (write(player->out, note, sizeof *note) != (ssize_t)sizeof *note) {
        _exit(2);
    }
}

static void player_done(struct election_request *request)
{
    struct player *player = request->user;
    struct note note = {.election = player->election, .token = request->tenure.token};
    player->open = false;
    if (request->err != EA_OK) {
        return;
    }
    if (request->op == OP_RESIGN) {
        note.what = NOTE_RESIGNED;
        tell(player, &note);
    } else if (request->elected || request->op == OP_HANDOVER) {
        note.what = NOTE_LED;
        snprintf(note.leader, sizeof note.leader, "%.*s", STR_ARG(request->tenure.leader));
        tell(player, &note);
    }
}

static void player_ask(struct player *player, struct rng *rng)
{
    static const enum election_op ops[] = {OP_CAMPAIGN, OP_CAMPAIGN, OP_CAMPAIGN, OP_RESIGN, OP_HANDOVER};
    struct note note = {.what = NOTE_ASKED, .election = player->election};
    snprintf(player->candidate, sizeof player->candidate, "c%d", (int)rng_below(rng, 3));
    player->open = true;
    tell(player, &note);
    player->request = (struct election_request){
        .op = ops[rng_below(rng, ARRAY_LENGTH(ops))],
        .kind = STR("default"),
        .election = str_of(player->name),
        .candidate = str_of(player->candidate),
        .term_ms = 3600000,
        .start = loop_now(player->rig->loop),
        .deadline = MONO_NEVER,
        .done = player_done,
        .user = player,
    };
    store_submit(player->rig->store, 0, &player->request);
}

/* One player an election, so that what was asked for it last is known. Runs until it is killed. */
static void play(struct rig *rig, int out, uint64_t seed)
{
    struct player players[ELECTIONS];
    struct rng rng;
    rng_seed(&rng, seed);
    if (rig_open(rig, NULL) != EA_OK) {
        _exit(3);
    }
    for (int i = 0; i < ELECTIONS; i++) {
        players[i] = (struct player){.rig = rig, .out = out, .election = i};
        snprintf(players[i].name, sizeof players[i].name, "e%d", i);
    }
    for (;;) {
        for (int n = 0; n < MANY; n++) {
            struct player *player = &players[rng_below(&rng, ELECTIONS)];
            if (!player->open) {
                player_ask(player, &rng);
            }
        }
        (void)loop_step(rig->loop);
        clock_fake_advance_us(&rig->clock, 1);
    }
}

/* --- the parent --- */

static void learn(struct known *known, const struct note *note)
{
    struct known *k = &known[note->election];
    switch (note->what) {
    case NOTE_ASKED:
        k->unsure = true;
        break;
    case NOTE_RESIGNED:
        k->unsure = false;
        k->led = false;
        break;
    case NOTE_LED:
        assert_true(note->token >= k->token); /* T1 */
        k->unsure = false;
        k->led = true;
        k->token = note->token;
        memcpy(k->leader, note->leader, sizeof k->leader);
        break;
    }
}

/* Reads what the child tells until it is killed, some time after it has begun to tell. */
static size_t watch(int in, pid_t child, struct known *known, uint64_t until_notes)
{
    struct note note;
    size_t notes = 0;
    for (;;) {
        ssize_t n = read(in, &note, sizeof note);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n != (ssize_t)sizeof note) {
            return notes;
        }
        learn(known, &note);
        if (++notes == until_notes) {
            kill(child, SIGKILL); /* ... and what it has told already is still read */
        }
    }
}

static void check(struct rig *rig, const struct known *known)
{
    struct error error = ERROR_NONE;
    enum err err = rig_open(rig, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(err, EA_OK);
    for (int i = 0; i < ELECTIONS; i++) {
        const struct known *k = &known[i];
        char name[16];
        snprintf(name, sizeof name, "e%d", i);
        struct election_request *r = rig_op(rig, OP_GET, name, "");
        if (k->unsure) { /* what was asked last may have happened or not, but nothing went backwards */
            assert_true(r->err == EA_NOT_FOUND || r->tenure.token >= k->token);
        } else if (k->led) {
            assert_int_equal(r->err, EA_OK);
            assert_true(r->tenure.token == k->token);
            assert_string_equal(rig->leader, k->leader);
        } else {
            assert_int_equal(r->err, EA_NOT_FOUND);
        }
    }
    /* A new tenure's token is above all that were ever answered. */
    struct election_request *r = rig_op(rig, OP_HANDOVER, "e0", "next");
    assert_int_equal(r->err, EA_OK);
    for (int i = 0; i < ELECTIONS; i++) {
        assert_true(r->tenure.token > known[i].token);
    }
    assert_int_equal(rig_op(rig, OP_RESIGN, "e0", "next")->err, EA_OK);
    rig_close(rig);
}

static void run_rounds(bool power, int rounds)
{
    struct rig rig;
    struct rng rng;
    struct known known[ELECTIONS] = {{.token = 0}};
    size_t notes = 0;
    rng_seed(&rng, power ? 2 : 1);
    rig_init(&rig);
    rig.power = power;
    for (int round = 0; round < rounds; round++) {
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            play(&rig, ends[1], rng_next(&rng));
        }
        close(ends[1]);
        notes += watch(ends[0], child, known, 1 + rng_below(&rng, power ? 400 : 4000));
        close(ends[0]);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check(&rig, known);
        known[0].led = false;
        known[0].unsure = false;
        rig.clock.wall.us -= 1000000; /* T1 holds whatever the wall clock does */
    }
    assert_true(notes > (size_t)rounds);
    rig_fini(&rig);
}

static void nothing_that_was_answered_is_lost_by_a_kill(void **state)
{
    run_rounds(false, ROUNDS);
    (void)state;
}

static void nothing_that_was_answered_is_lost_by_a_kill_in_power_mode(void **state)
{
    run_rounds(true, ROUNDS / 4);
    (void)state;
}

/* The start itself: killed anywhere between reading the old file and renaming the new one. */
static void a_start_can_be_killed_at_any_moment(void **state)
{
    struct rig rig;
    struct rng rng;
    uint64_t tokens[ELECTIONS];
    char name[16];
    rng_seed(&rng, 3);
    rig_init(&rig);
    assert_int_equal(rig_open(&rig, NULL), EA_OK);
    for (int i = 0; i < ELECTIONS; i++) {
        snprintf(name, sizeof name, "e%d", i);
        tokens[i] = rig_op(&rig, OP_CAMPAIGN, name, "a")->tenure.token;
    }
    rig_close(&rig);
    for (int round = 0; round < 2 * ROUNDS; round++) {
        pid_t child = fork();
        if (child == 0) {
            _exit(rig_open(&rig, NULL) == EA_OK ? 0 : 1);
        }
        /* Not a wait for something: a random moment is the point. */
        (void)poll(NULL, 0, (int)rng_below(&rng, 15));
        kill(child, SIGKILL);
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
    }
    assert_int_equal(rig_open(&rig, NULL), EA_OK);
    for (int i = 0; i < ELECTIONS; i++) {
        snprintf(name, sizeof name, "e%d", i);
        assert_true(rig_op(&rig, OP_GET, name, "")->tenure.token == tokens[i]);
    }
    rig_fini(&rig);
    (void)state;
}

/* Those that change a file or a directory. */
static bool changes_files(uint64_t nr)
{
    static const long calls[] = {
        SYS_openat, SYS_write,     SYS_pwrite64,  SYS_pwritev, SYS_writev,   SYS_ftruncate,
        SYS_fsync,  SYS_fdatasync, SYS_renameat2, SYS_close,   SYS_unlinkat, SYS_fcntl,
#ifdef SYS_rename /* not on every machine */
        SYS_rename, SYS_unlink,    SYS_mkdir,
#endif
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if ((uint64_t)calls[i] == nr) {
            return true;
        }
    }
    return false;
}

/* Opens and closes the store in a child that is killed as it enters its n-th such call. False if it ended before. */
static bool open_until_call(struct rig *rig, int n)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        (void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        (void)raise(SIGSTOP);
        bool opened = rig_open(rig, NULL) == EA_OK;
        rig_close(rig);
        _exit(opened ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
    for (int signal_no = 0;;) {
        assert_int_equal(ptrace(PTRACE_SYSCALL, child, NULL, signal_no), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSTOPPED(status)) {
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
            return false;
        }
        bool call = WSTOPSIG(status) == (SIGTRAP | 0x80);
        signal_no = call ? 0 : WSTOPSIG(status);
        struct __ptrace_syscall_info info;
        if (call && ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info) > 0 &&
            info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_files(info.entry.nr) && --n == 0) {
            kill(child, SIGKILL);
            assert_int_equal(waitpid(child, &status, 0), child);
            return true;
        }
    }
}

static void a_start_and_an_end_can_be_killed_before_each_call_that_changes_files(void **state)
{
    struct rig rig;
    uint64_t kept;
    uint64_t last;
    int n = 1;
    rig_init(&rig);
    assert_int_equal(rig_open(&rig, NULL), EA_OK);
    kept = rig_op(&rig, OP_CAMPAIGN, "kept", "a")->tenure.token;
    last = rig_op(&rig, OP_CAMPAIGN, "moves", "a")->tenure.token;
    rig_close(&rig);
    for (; open_until_call(&rig, n); n++) {
        rig.clock.wall.us -= 1000000; /* a wall clock that goes back does not matter */
        assert_int_equal(rig_open(&rig, NULL), EA_OK);
        assert_true(rig_op(&rig, OP_GET, "kept", "")->tenure.token == kept);
        assert_true(rig_op(&rig, OP_GET, "moves", "")->tenure.token == last);
        uint64_t token = rig_op(&rig, OP_HANDOVER, "moves", n % 2 == 0 ? "a" : "b")->tenure.token;
        assert_true(token > last);
        last = token;
        rig_close(&rig);
    }
    assert_true(n > 20); /* it was killed in the middle of things */
    rig_fini(&rig);
    (void)state;
}

int main(void)
{
    log_set_level(LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_was_answered_is_lost_by_a_kill),
        cmocka_unit_test(nothing_that_was_answered_is_lost_by_a_kill_in_power_mode),
        cmocka_unit_test(a_start_can_be_killed_at_any_moment),
        cmocka_unit_test(a_start_and_an_end_can_be_killed_before_each_call_that_changes_files),
    };
    return cmocka_run_group_tests_name("embedded crash", tests, NULL, NULL);
}
