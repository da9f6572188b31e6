#include "support.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "metrics/process.h"

static void open_descriptors_are_counted(void **state)
{
    struct process_facts before;
    struct process_facts after;
    process_read(&before);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    process_read(&after);
    assert_true(before.open_fds >= 3);
    assert_int_equal(after.open_fds, before.open_fds + 2);
    close(fd);
    close(other);
}

static void listing_descriptors_counts_the_same(void **state)
{
    struct process_facts facts;
    process_read(&facts);
    assert_int_equal(process_list_fds("/proc/self/fd"), facts.open_fds);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(process_list_fds("/proc/self/fd"), facts.open_fds + 1);
    close(fd);
    assert_true(process_list_fds("/does/not/exist") < 0);
}

static void the_limit_of_descriptors_is_the_soft_one(void **state)
{
    struct rlimit limit;
    struct process_facts facts;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit lower = {.rlim_cur = 100, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &lower), 0);
    process_read(&facts);
    assert_int_equal(facts.max_fds, 100);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void memory_and_time_are_plausible(void **state)
{
    struct process_facts before;
    struct process_facts after;
    process_read(&before);
    /* Half a megabyte at least, and not more than the largest machines have. */
    assert_in_range(before.resident_bytes, 512 * 1024, (int64_t)1 << 44);
    assert_int_equal(before.resident_bytes % sysconf(_SC_PAGESIZE), 0);
    do {
        process_read(&after);
    } while (after.cpu_us == before.cpu_us);
    assert_true(after.cpu_us > before.cpu_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_descriptors_are_counted),
        cmocka_unit_test(listing_descriptors_counts_the_same),
        cmocka_unit_test(the_limit_of_descriptors_is_the_soft_one),
        cmocka_unit_test(memory_and_time_are_plausible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
