/* The thread that waits for the disk: who asks it does not wait, and it claims nothing that is not done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

#include "embedded_rig.h"
#include "store/embedded/syncer.h"

static atomic_bool disk_hangs;
static atomic_bool disk_fails;
static atomic_int syncs; /* begun */

/* In place of the C library's, for syncer.c. */
int fdatasync(int fd)
{
    (void)fd;
    atomic_fetch_add(&syncs, 1);
    while (atomic_load(&disk_hangs)) {
        (void)sched_yield();
    }
    errno = EIO;
    return atomic_load(&disk_fails) ? -1 : 0;
}

static int set_up(void **state)
{
    static struct rig rig;
    rig_init(&rig);
    rig_write(rig.file, "x", 1);
    atomic_store(&syncs, 0);
    *state = &rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_fini(*state);
    return 0;
}

static void who_asks_does_not_wait_and_what_comes_meanwhile_is_done_again(void **state)
{
    struct rig *rig = *state;
    struct syncer *syncer;
    assert_int_equal(syncer_start(&syncer, rig->file, NULL), EA_OK);
    atomic_store(&disk_hangs, true);
    uint64_t first = syncer_ask(syncer);
    while (atomic_load(&syncs) == 0) {
        (void)sched_yield();
    }
    uint64_t second = syncer_ask(syncer); /* may not be covered by the one that runs */
    assert_true(second > first && syncer_done(syncer) < first);
    atomic_store(&disk_hangs, false);
    while (syncer_done(syncer) < second) {
        (void)sched_yield();
    }
    assert_int_equal(atomic_load(&syncs), 2);
    syncer_stop(syncer);
}

static void what_failed_is_not_called_done(void **state)
{
    struct rig *rig = *state;
    struct syncer *syncer;
    assert_int_equal(syncer_start(&syncer, rig->file, NULL), EA_OK);
    atomic_store(&disk_fails, true);
    uint64_t number = syncer_ask(syncer);
    while (atomic_load(&syncs) == 0) {
        (void)sched_yield();
    }
    assert_true(syncer_done(syncer) < number);
    syncer_stop(syncer); /* also in the middle of a wait for the next try */
    atomic_store(&disk_fails, false);
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct rig *rig = *state;
    struct syncer *syncer;
    struct error error = ERROR_NONE;
    assert_int_equal(syncer_start(&syncer, "/proc/nothing", &error), EA_IO);
    assert_non_null(strstr(error.text, "/proc/nothing"));
    assert_non_null(rig);
    syncer_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_does_not_wait_and_what_comes_meanwhile_is_done_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_failed_is_not_called_done, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
