/* Names, with a resolver that takes as long as the test wants: getaddrinfo() is this program's own. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/lookup.h"

static sem_t asked;
static sem_t go_on;
static sem_t answered;
static bool signals_blocked;
static atomic_uint living; /* lists of addresses */

/* Seen instead of the C library's. */
#pragma GCC visibility push(default)
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found);
void freeaddrinfo(struct addrinfo *found);
#pragma GCC visibility pop

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
    }
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    sigset_t mask;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &mask);
    signals_blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGPIPE) == 1;
    (void)sem_post(&asked);
    await(&go_on);
    int status = 0;
    if (strcmp(host, "broken.test") == 0) {
        errno = EMFILE;
        status = EAI_SYSTEM;
    } else if (strcmp(host, "nowhere.test") == 0) {
        status = EAI_NONAME;
    } else {
        *found = calloc(1, sizeof **found);
        living++;
    }
    (void)sem_post(&answered);
    return status;
}

void freeaddrinfo(struct addrinfo *found)
{
    living--;
    free(found);
}

static int setup(void **state)
{
    (void)sem_init(&asked, 0, 0);
    (void)sem_init(&go_on, 0, 0);
    (void)sem_init(&answered, 0, 0);
    return 0;
}

static bool is_over(const struct lookup *lookup, int timeout_ms)
{
    struct pollfd fd = {.fd = lookup_fd(lookup), .events = POLLIN};
    return poll(&fd, 1, timeout_ms) == 1;
}

static struct lookup *open_lookup(const char *host)
{
    struct lookup *lookup;
    struct error error = ERROR_NONE;
    assert_int_equal(lookup_open(&lookup, host, &error), EA_OK);
    await(&asked);
    assert_true(signals_blocked);
    assert_false(is_over(lookup, 0));
    return lookup;
}

static void addresses_come_by_the_descriptor_and_are_the_callers(void **state)
{
    struct error error = ERROR_NONE;
    struct lookup *lookup = open_lookup("somewhere.test");
    (void)sem_post(&go_on);
    assert_true(is_over(lookup, -1));
    struct addrinfo *found = lookup_take(lookup, &error);
    assert_non_null(found);
    lookup_close(lookup);
    assert_int_equal(living, 1);
    freeaddrinfo(found);
}

static void addresses_that_nobody_takes_are_freed(void **state)
{
    struct lookup *lookup = open_lookup("somewhere.test");
    (void)sem_post(&go_on);
    assert_true(is_over(lookup, -1));
    lookup_close(lookup);
    await(&answered);
    /* By the thread, if it was the last to let go: a sanitizer would tell if by nobody. */
}

static void what_fails_is_told_with_the_name(void **state)
{
    static const char *const hosts[][2] = {{"nowhere.test", "Name or service not known"},
                                           {"broken.test", "Too many open files"}};
    for (size_t i = 0; i < 2; i++) {
        char expected[100];
        struct error error = ERROR_NONE;
        struct lookup *lookup = open_lookup(hosts[i][0]);
        (void)sem_post(&go_on);
        assert_true(is_over(lookup, -1));
        assert_null(lookup_take(lookup, &error));
        (void)snprintf(expected, sizeof expected, "cannot find the host %s: %s", hosts[i][0], hosts[i][1]);
        assert_string_equal(error.text, expected);
        lookup_close(lookup);
    }
}

static void closing_does_not_wait_for_who_does_not_answer(void **state)
{
    lookup_close(open_lookup("slow.test")); /* returns, or the test would never end */
    assert_int_equal(sem_trywait(&answered), -1);
    (void)sem_post(&go_on);
    await(&answered);
}

static void without_a_descriptor_it_is_an_error(void **state)
{
    struct rlimit before;
    struct error error = ERROR_NONE;
    struct lookup *lookup;
    (void)getrlimit(RLIMIT_NOFILE, &before);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &none);
    enum err err = lookup_open(&lookup, "somewhere.test", &error);
    (void)setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(err, EA_IO);
    assert_null(lookup);
    assert_string_equal(error.text, "cannot look up the host somewhere.test: Too many open files");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(addresses_come_by_the_descriptor_and_are_the_callers),
        T(addresses_that_nobody_takes_are_freed),
        T(what_fails_is_told_with_the_name),
        T(closing_does_not_wait_for_who_does_not_answer),
        T(without_a_descriptor_it_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
