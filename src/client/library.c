/* The public functions: life and leadership. election.h is their contract. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client/internal.h"

#define PAGE_BYTES 4096

/* --- where we are called --- */

static bool on_worker(const struct election *e)
{
    return atomic_load_explicit(&e->worker.id, memory_order_relaxed) == gettid();
}

/* On the thread that runs the engine, which is only here while a callback of the program runs. */
static bool on_engine(const struct election *e)
{
    return atomic_load_explicit(&e->inside, memory_order_relaxed) == gettid();
}

static void go_inside(struct election *e)
{
    atomic_store_explicit(&e->inside, gettid(), memory_order_relaxed);
}

static void go_outside(struct election *e)
{
    atomic_store_explicit(&e->inside, 0, memory_order_relaxed);
}

/* --- making --- */

static enum election_error error_of(enum err err)
{
    switch (err) {
    case EA_OK:
        return ELECTION_OK;
    case EA_NOMEM:
        return ELECTION_NOMEM;
    case EA_CONFIG:
    case EA_INVALID:
        return ELECTION_CONFIG;
    default:
        return ELECTION_SYSTEM;
    }
}

static enum err open_term(struct election *e, struct error *error)
{
    void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        return error_set(error, EA_NOMEM, "out of memory");
    }
    if (madvise(page, PAGE_BYTES, MADV_WIPEONFORK) != 0) {
        int errnum = errno;
        (void)munmap(page, PAGE_BYTES);
        return error_set_errno(error, errnum == ENOMEM ? EA_NOMEM : EA_IO, errnum,
                               "cannot guard against fork()");
    }
    e->term = page;
    e->context.term = page;
    atomic_store_explicit(&e->term->alive, 1, memory_order_relaxed);
    return EA_OK;
}

/* One descriptor that is readable when the loop has something to do: its own, or the time of its next timer. */
static enum err open_program_fd(struct election *e, struct error *error)
{
    struct epoll_event event = {.events = EPOLLIN};
    e->program_fd = epoll_create1(EPOLL_CLOEXEC);
    e->program_timer = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (e->program_fd < 0 || e->program_timer < 0 ||
        epoll_ctl(e->program_fd, EPOLL_CTL_ADD, e->program_timer, &event) != 0 ||
        epoll_ctl(e->program_fd, EPOLL_CTL_ADD, uv_backend_fd(loop_uv(e->loop)), &event) != 0) {
        return error_set_errno(error, errno == ENOMEM ? EA_NOMEM : EA_IO, errno,
                               "cannot make a descriptor to poll");
    }
    return EA_OK;
}

static void *run_loop(void *arg)
{
    struct election *e = arg;
    go_inside(e);
    engine_run(e);
    go_outside(e);
    return NULL;
}

static enum err start_loop(struct election *e, struct error *error)
{
    if (!e->settings.own_loop) {
        return open_program_fd(e, error);
    }
    int failed = pthread_create(&e->loop_thread, NULL, run_loop, e);
    if (failed != 0) {
        return error_set_errno(error, failed == EAGAIN || failed == ENOMEM ? EA_NOMEM : EA_IO, failed,
                               "cannot make a thread");
    }
    e->loop_started = true;
    return EA_OK;
}

static void close_fds(struct election *e)
{
    if (e->program_fd >= 0) {
        (void)close(e->program_fd);
    }
    if (e->program_timer >= 0) {
        (void)close(e->program_timer);
    }
    e->program_fd = -1;
    e->program_timer = -1;
}

static struct election *new_election(const struct election_config *config)
{
    struct election *e = calloc(1, sizeof *e);
    pthread_condattr_t attributes;
    if (e == NULL) {
        return NULL;
    }
    /* A program that was built with a shorter struct has nothing behind it; config_take() judges the size. */
    memcpy(&e->settings.program, config, config->size < sizeof *config ? config->size : sizeof *config);
    e->settings.program.size = config->size;
    e->references = 1;
    e->context.epoll_fd = -1;
    e->context.over_fd = -1;
    e->context.timer_fd = -1;
    e->program_fd = -1;
    e->program_timer = -1;
    /* None of these allocates or fails in glibc and musl with default attributes. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&e->lock, NULL);
    (void)pthread_mutex_init(&e->turn_lock, NULL);
    (void)pthread_cond_init(&e->changed, &attributes);
    (void)pthread_cond_init(&e->worker.wake, NULL);
    (void)pthread_condattr_destroy(&attributes);
    return e;
}

void election_release(struct election *e)
{
    (void)pthread_mutex_lock(&e->lock);
    bool last = --e->references == 0;
    (void)pthread_mutex_unlock(&e->lock);
    if (!last) {
        return;
    }
    callbacks_close(e);
    if (e->term != NULL) {
        (void)munmap(e->term, PAGE_BYTES);
    }
    (void)pthread_mutex_destroy(&e->lock);
    (void)pthread_mutex_destroy(&e->turn_lock);
    (void)pthread_cond_destroy(&e->changed);
    (void)pthread_cond_destroy(&e->worker.wake);
    free(e);
}

/* The worker has nothing to do: it ends now. */
static void end_worker(struct election *e)
{
    if (e->worker.started) {
        (void)pthread_mutex_lock(&e->lock);
        callbacks_quit(e);
        (void)pthread_mutex_unlock(&e->lock);
        (void)pthread_join(e->worker.thread, NULL);
        e->worker.started = false;
    }
}

static enum err open_all(struct election *e, struct error *error)
{
    enum err err = open_term(e, error);
    if (err == EA_OK) {
        err = engine_open(e, error);
    }
    if (err == EA_OK) {
        err = callbacks_open(e, error);
    }
    if (err == EA_OK) {
        err = start_loop(e, error);
    }
    return err;
}

enum election_error election_run(struct election **out, const struct election_config *config, char *words,
                                 size_t words_bytes)
{
    struct error error = ERROR_NONE;
    enum err err = EA_NOMEM;
    sigset_t all;
    sigset_t before;
    if (out == NULL || config == NULL) {
        return ELECTION_INVALID;
    }
    *out = NULL;
    struct election *e = new_election(config);
    if (e != NULL) {
        *out = e; /* before there are threads: callbacks may look at it */
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        err = open_all(e, &error);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (err == EA_OK) {
        return ELECTION_OK;
    }
    *out = NULL;
    if (words != NULL && words_bytes > 0) {
        (void)snprintf(words, words_bytes, "%s", error.text[0] != '\0' ? error.text : err_text(err));
    }
    if (e != NULL) {
        end_worker(e);
        engine_free(e);
        close_fds(e);
        election_release(e);
    }
    return error_of(err);
}

/* --- who leads --- */

bool show_is_forked(const struct election *e)
{
    return term_is_forked(e->term);
}

bool election_is_leader(const struct election *e)
{
    if (e == NULL) {
        return false;
    }
    return term_until_us(e->term, clock_mono(&clock_system)) != 0;
}

uint64_t election_revision(const struct election *e)
{
    return e != NULL ? term_token(e->term, clock_mono(&clock_system)) : 0;
}

/* --- the program's loop --- */

int election_fd(const struct election *e)
{
    return e->program_fd;
}

static void arm_program_timer(struct election *e)
{
    struct mono next = loop_next(e->loop);
    struct itimerspec spec = {{0, 0}, {0, 0}};
    if (next.us != MONO_NEVER.us) {
        spec.it_value =
            (struct timespec){.tv_sec = next.us / 1000000, .tv_nsec = next.us % 1000000 * 1000 + 1};
    }
    (void)timerfd_settime(e->program_timer, TFD_TIMER_ABSTIME, &spec, NULL);
}

enum election_error election_dispatch(struct election *e)
{
    if (e == NULL || e->settings.own_loop) {
        return ELECTION_INVALID;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    if (on_engine(e)) {
        return ELECTION_CALLBACK;
    }
    (void)pthread_mutex_lock(&e->turn_lock);
    enum election_error result = ELECTION_CLOSED;
    if (e->loop != NULL) {
        go_inside(e);
        engine_step(e);
        go_outside(e);
        result = e->failed ? ELECTION_NOMEM : ELECTION_OK;
        if (!e->failed) {
            arm_program_timer(e);
        }
    }
    (void)pthread_mutex_unlock(&e->turn_lock);
    return result;
}

/* --- closing --- */

/* Without a thread of its own the closing one does the loop's work. */
static void drive_to_end(struct election *e)
{
    go_inside(e);
    while (!engine_is_over(e)) {
        engine_step(e);
        if (!e->failed && !engine_is_over(e)) {
            arm_program_timer(e);
            struct pollfd fd = {.fd = e->program_fd, .events = POLLIN};
            (void)poll(&fd, 1, 100);
        }
    }
    go_outside(e);
}

/* After a failure nobody counts the time of on_start and on_stop. With the lock. */
static void wait_for_worker(struct election *e)
{
    struct timespec until;
    int64_t ms = e->settings.failover.close_timeout_ms + FAILOVER_STOP_MS;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    while (e->failed && e->worker.busy &&
           pthread_cond_clockwait(&e->changed, &e->lock, CLOCK_MONOTONIC, &until) == 0) {
    }
}

static enum election_error finish(struct election *e)
{
    (void)pthread_mutex_lock(&e->lock);
    wait_for_worker(e);
    bool busy = e->worker.busy;
    bool failed = e->failed;
    e->deaf = true; /* the worker posts nothing any more */
    (void)pthread_mutex_unlock(&e->lock);
    if (busy) {
        (void)pthread_detach(e->worker.thread); /* ends by itself, see callbacks.c */
    } else {
        end_worker(e);
    }
    engine_free(e);
    return busy ? ELECTION_ABANDONED : failed ? ELECTION_NOMEM : ELECTION_OK;
}

static enum election_error close_now(struct election *e)
{
    (void)pthread_mutex_lock(&e->lock);
    if (!e->deaf) {
        loop_post(e->loop, &e->close);
    }
    (void)pthread_mutex_unlock(&e->lock);
    if (e->settings.own_loop) {
        (void)pthread_join(e->loop_thread, NULL);
        go_inside(e);
    } else {
        (void)pthread_mutex_lock(&e->turn_lock);
        drive_to_end(e);
        go_inside(e);
    }
    enum election_error result = finish(e);
    go_outside(e);
    if (!e->settings.own_loop) {
        (void)pthread_mutex_unlock(&e->turn_lock);
    }
    return result;
}

enum election_error election_close(struct election *e)
{
    if (e == NULL) {
        return ELECTION_OK;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    if (on_worker(e) || on_engine(e)) {
        return ELECTION_CALLBACK;
    }
    (void)pthread_mutex_lock(&e->lock);
    bool first = e->phase == PHASE_OPEN;
    if (first) {
        e->phase = PHASE_CLOSING;
        (void)pthread_mutex_unlock(&e->lock);
        enum election_error result = close_now(e);
        (void)pthread_mutex_lock(&e->lock);
        e->result = result;
        e->phase = PHASE_CLOSED;
        (void)pthread_cond_broadcast(&e->changed);
    }
    while (e->phase != PHASE_CLOSED) {
        (void)pthread_cond_wait(&e->changed, &e->lock);
    }
    enum election_error result = e->result;
    (void)pthread_mutex_unlock(&e->lock);
    return result;
}

enum election_error election_free(struct election *e)
{
    enum election_error result = election_close(e);
    if (e == NULL || result == ELECTION_CALLBACK || result == ELECTION_FORKED) {
        return result;
    }
    close_fds(e);
    election_release(e);
    return result;
}

/* --- step down, wait --- */

enum election_error election_step_down(struct election *e)
{
    if (e == NULL) {
        return ELECTION_INVALID;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    (void)pthread_mutex_lock(&e->lock);
    enum election_error result = ELECTION_OK;
    if (e->phase != PHASE_OPEN || e->deaf) {
        result = ELECTION_CLOSED;
    } else if (!election_is_leader(e)) {
        result = ELECTION_NOT_LEADING;
    } else if (!e->step_down_posted) {
        e->step_down_posted = true;
        loop_post(e->loop, &e->step_down);
    }
    (void)pthread_mutex_unlock(&e->lock);
    return result;
}

static bool has_come(const struct election *e, enum election_until until)
{
    switch (until) {
    case ELECTION_UNTIL_LEADING:
        return election_is_leader(e);
    case ELECTION_UNTIL_NOT_LEADING:
        return !election_is_leader(e);
    default:
        return e->phase == PHASE_CLOSED;
    }
}

/* The end of a leadership comes by itself, without a signal. */
static struct mono next_look(const struct election *e, struct mono end)
{
    int64_t until = atomic_load_explicit(&e->term->until_us, memory_order_acquire);
    return until == 0 ? end : mono_min(end, (struct mono){until});
}

static void sleep_until(struct election *e, struct mono at)
{
    if (at.us == MONO_NEVER.us) {
        (void)pthread_cond_wait(&e->changed, &e->lock);
        return;
    }
    int64_t us = mono_sub(at, clock_mono(&clock_system));
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    us = us > 0 ? us + 1 : 0;
    until.tv_sec += us / 1000000;
    until.tv_nsec += us % 1000000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_clockwait(&e->changed, &e->lock, CLOCK_MONOTONIC, &until);
}

enum election_error election_wait(struct election *e, enum election_until until, int64_t timeout_ms)
{
    if (e == NULL || (unsigned)until > ELECTION_UNTIL_CLOSED) {
        return ELECTION_INVALID;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    if (on_engine(e) || (on_worker(e) && until != ELECTION_UNTIL_NOT_LEADING)) {
        return ELECTION_CALLBACK;
    }
    struct mono end = timeout_ms < 0 ? MONO_NEVER : mono_add_ms(clock_mono(&clock_system), timeout_ms);
    enum election_error result = ELECTION_OK;
    (void)pthread_mutex_lock(&e->lock);
    while (!has_come(e, until)) {
        if (e->phase == PHASE_CLOSED || (e->failed && until != ELECTION_UNTIL_CLOSED)) {
            result = ELECTION_CLOSED;
            break;
        }
        if (!mono_before(clock_mono(&clock_system), end)) {
            result = ELECTION_TIMEOUT;
            break;
        }
        sleep_until(e, next_look(e, end));
    }
    (void)pthread_mutex_unlock(&e->lock);
    return result;
}
