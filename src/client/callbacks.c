/*
 * The thread of on_start and on_stop, and on_start's context.
 *
 * The context's descriptor is an epoll of two: an eventfd that is written when the leadership ends, and a timer at the
 * deadline, so that it becomes readable by itself when every other thread stands still.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/internal.h"

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* --- the context --- */

static void set_timer(int fd, struct mono at)
{
    struct itimerspec spec = {.it_value = {.tv_sec = at.us / 1000000, .tv_nsec = at.us % 1000000 * 1000}};
    (void)timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL); /* 0 disarms */
}

static bool watch(int epoll_fd, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static enum err open_context(struct election_context *context, struct error *error)
{
    context->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    context->over_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    context->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (context->epoll_fd < 0 || !watch(context->epoll_fd, context->over_fd) ||
        !watch(context->epoll_fd, context->timer_fd)) {
        return error_set_errno(error, errno == ENOMEM ? EA_NOMEM : EA_IO, errno,
                               "cannot make on_start's context");
    }
    return EA_OK;
}

/* Also without a lock: what it looks at is atomic, and the deadline is the last word. */
static int64_t left_us(const struct election_context *context)
{
    if (atomic_load_explicit(&context->over, memory_order_acquire)) {
        return 0;
    }
    struct mono now = clock_mono(&clock_system);
    int64_t until = term_until_us(context->term, now);
    return until != 0 ? until - now.us : 0;
}

uint64_t election_context_token(const struct election_context *context)
{
    return atomic_load_explicit(&context->token, memory_order_relaxed);
}

bool election_context_is_over(const struct election_context *context)
{
    return left_us(context) == 0;
}

int64_t election_context_left_ms(const struct election_context *context)
{
    return left_us(context) / 1000;
}

int election_context_fd(const struct election_context *context)
{
    return context->epoll_fd;
}

enum election_error election_context_wait(struct election_context *context, int64_t timeout_ms)
{
    struct mono now = clock_mono(&clock_system);
    struct mono end = timeout_ms < 0 ? MONO_NEVER : mono_add_ms(now, timeout_ms);
    while (left_us(context) > 0) {
        now = clock_mono(&clock_system);
        if (!mono_before(now, end)) {
            return ELECTION_TIMEOUT;
        }
        int64_t ms = end.us == MONO_NEVER.us ? -1 : (mono_sub(end, now) + 999) / 1000;
        struct pollfd fd = {.fd = context->epoll_fd, .events = POLLIN};
        if (poll(&fd, 1, ms > 3600000 ? 3600000 : (int)ms) > 0 && left_us(context) > 0) {
            /* The timer fired for a deadline that a renewal has moved meanwhile: it is armed again by then. */
            (void)poll(NULL, 0, 1);
        }
    }
    return ELECTION_OK;
}

bool callbacks_lead(struct election *e, struct mono until, uint64_t token)
{
    struct election_term *term = e->term;
    if (token == 0) {
        term_end(term);
        return true;
    }
    set_timer(e->context.timer_fd, until);
    if (atomic_load_explicit(&term->token, memory_order_relaxed) != token) {
        term_begin(term, until, token);
        return true;
    }
    /* The clock is read after the timer was set: if it says that the old deadline is not over, the timer has not told
     * anybody so. */
    return term_prolong(term, until, clock_mono(&clock_system));
}

/* --- the thread --- */

static void post_done(struct election *e, enum job did, int result)
{
    e->worker.busy = false;
    e->worker.did = did;
    e->worker.result = result;
    if (!e->deaf) {
        loop_post(e->loop, &e->worker.done);
    }
}

static void run_start(struct election *e)
{
    const struct election_config *program = &e->settings.program;
    e->worker.inside_start = true;
    (void)pthread_mutex_unlock(&e->lock);
    int result = program->on_start(program->user, &e->context);
    (void)pthread_mutex_lock(&e->lock);
    e->worker.inside_start = false;
    post_done(e, JOB_START, result);
    if (e->deaf && e->worker.job == JOB_NONE) {
        e->worker.job =
            JOB_STOP; /* nobody is there to say so: the instance is out of memory, or abandoned us */
    }
}

static void run_stop(struct election *e)
{
    const struct election_config *program = &e->settings.program;
    uint64_t token = e->worker.token;
    (void)pthread_mutex_unlock(&e->lock);
    if (program->on_stop != NULL) {
        program->on_stop(program->user, token);
    }
    (void)pthread_mutex_lock(&e->lock);
    post_done(e, JOB_STOP, 0);
    if (e->deaf && e->worker.job == JOB_NONE) {
        e->worker.job = JOB_QUIT;
    }
}

static void *work(void *arg)
{
    struct election *e = arg;
    atomic_store_explicit(&e->worker.id, gettid(), memory_order_relaxed);
    (void)pthread_mutex_lock(&e->lock);
    for (enum job job = JOB_NONE; job != JOB_QUIT;) {
        while (e->worker.job == JOB_NONE) {
            (void)pthread_cond_wait(&e->worker.wake, &e->lock);
        }
        job = e->worker.job;
        e->worker.job = JOB_NONE;
        if (job == JOB_START) {
            run_start(e);
        } else if (job == JOB_STOP) {
            run_stop(e);
        }
        (void)pthread_cond_broadcast(&e->changed);
    }
    (void)pthread_mutex_unlock(&e->lock);
    atomic_store_explicit(&e->worker.id, 0, memory_order_relaxed);
    election_release(e);
    return NULL;
}

static void give(struct election *e, enum job job)
{
    e->worker.job = job;
    e->worker.busy = e->worker.busy || job != JOB_QUIT;
    (void)pthread_cond_signal(&e->worker.wake);
}

void callbacks_start(struct election *e, uint64_t token)
{
    uint64_t ignored;
    (void)!read(e->context.over_fd, &ignored, sizeof ignored);
    e->worker.token = token;
    atomic_store_explicit(&e->context.token, token, memory_order_relaxed);
    atomic_store_explicit(&e->context.over, false, memory_order_release);
    give(e, JOB_START);
}

void callbacks_end(struct election *e)
{
    const uint64_t one = 1;
    atomic_store_explicit(&e->context.over, true, memory_order_release);
    (void)!write(e->context.over_fd, &one, sizeof one);
}

void callbacks_stop(struct election *e, uint64_t token)
{
    e->worker.token = token;
    give(e, JOB_STOP);
}

void callbacks_quit(struct election *e)
{
    give(e, JOB_QUIT);
}

/* --- life --- */

enum err callbacks_open(struct election *e, struct error *error)
{
    struct worker *worker = &e->worker;
    enum err err = open_context(&e->context, error);
    if (err != EA_OK) {
        return err;
    }
    worker->done.deliver = engine_worker_done;
    int failed = pthread_create(&worker->thread, NULL, work, e);
    if (failed != 0) {
        /* EAGAIN is also what glibc says when there is no memory for the stack. */
        return error_set_errno(error, failed == EAGAIN || failed == ENOMEM ? EA_NOMEM : EA_IO, failed,
                               "cannot make a thread");
    }
    worker->started = true;
    e->references++;
    return EA_OK;
}

void callbacks_close(struct election *e)
{
    close_fd(&e->context.epoll_fd);
    close_fd(&e->context.over_fd);
    close_fd(&e->context.timer_fd);
}
