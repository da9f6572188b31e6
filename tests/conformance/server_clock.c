/*
 * A library to be preloaded into a server: the time is what stands in the shared struct server_clock. Only what is
 * asked for is replaced; how long the server sleeps in epoll_wait() is the kernel's affair, so it goes on to answer
 * while its clock stands still.
 */
#include "server_clock.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define US_PER_S  INT64_C(1000000)
#define NS_PER_US 1000

#define EXPORT __attribute__((visibility("default")))

static struct server_clock *shared; /* NULL: libc is asked before we are there, and gets the kernel's time */

__attribute__((constructor)) static void map_clock(void)
{
    const char *path = getenv(SERVER_CLOCK_VARIABLE);
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        abort(); /* a server on its own time would make the suite lie */
    }
    void *mapped = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (mapped == MAP_FAILED) {
        abort();
    }
    shared = mapped;
}

/* False: another clock (of CPU time). */
static bool read_us(clockid_t id, int64_t *us)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *us = atomic_load(&shared->wall_us);
        return true;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        *us = atomic_load(&shared->mono_us);
        return true;
    default:
        return false;
    }
}

EXPORT int clock_gettime(clockid_t id, struct timespec *out)
{
    int64_t us;
    if (shared == NULL || !read_us(id, &us)) {
        return (int)syscall(SYS_clock_gettime, id, out);
    }
    out->tv_sec = us / US_PER_S;
    out->tv_nsec = us % US_PER_S * NS_PER_US;
    return 0;
}

EXPORT int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
    struct timespec now;
    int failed = clock_gettime(CLOCK_REALTIME, &now);
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / NS_PER_US;
    return failed;
}

EXPORT time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out != NULL) {
        *out = now.tv_sec;
    }
    return now.tv_sec;
}
