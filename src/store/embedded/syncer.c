#include "store/embedded/syncer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>

#include <uv.h>

#include "base/log.h"
#include "base/mem.h"

#define RETRY_AFTER_NS UINT64_C(2000000000)

struct syncer {
    int fd;
    uv_thread_t thread;
    uv_mutex_t lock; /* guards what follows; never held while the disk works */
    uv_cond_t wake;
    uint64_t asked;
    uint64_t done;
    bool stopping;
};

/* The number up to which to sync; 0: it ends. */
static uint64_t take_work(struct syncer *syncer, bool failed)
{
    uv_mutex_lock(&syncer->lock);
    if (failed && !syncer->stopping) {
        (void)uv_cond_timedwait(&syncer->wake, &syncer->lock, RETRY_AFTER_NS);
    }
    while (syncer->asked == syncer->done && !syncer->stopping) {
        uv_cond_wait(&syncer->wake, &syncer->lock);
    }
    uint64_t number = syncer->stopping ? 0 : syncer->asked;
    uv_mutex_unlock(&syncer->lock);
    return number;
}

static void run(void *arg)
{
    struct syncer *syncer = arg;
    bool failed = false;
    for (uint64_t number; (number = take_work(syncer, failed)) != 0;) {
        failed = fdatasync(syncer->fd) != 0;
        if (failed) {
            log_warning("store", "sync failed", LOG_TEXT("why", uv_strerror(uv_translate_sys_error(errno))));
            continue;
        }
        uv_mutex_lock(&syncer->lock);
        syncer->done = number;
        uv_mutex_unlock(&syncer->lock);
    }
}

enum err syncer_start(struct syncer **out, const char *path, struct error *error)
{
    struct syncer *syncer = mem_zalloc(sizeof *syncer);
    int failed = 0;
    syncer->fd = open(path, O_RDWR | O_CLOEXEC);
    if (syncer->fd < 0) {
        enum err err = error_set_errno(error, EA_IO, errno, "cannot open %s", path);
        mem_free(syncer);
        return err;
    }
    failed = uv_mutex_init(&syncer->lock);
    if (failed != 0) {
        goto out;
    }
    failed = uv_cond_init(&syncer->wake);
    if (failed != 0) {
        goto out_lock;
    }
    failed = uv_thread_create(&syncer->thread, run, syncer);
    if (failed == 0) {
        *out = syncer;
        return EA_OK;
    }
    uv_cond_destroy(&syncer->wake);
out_lock:
    uv_mutex_destroy(&syncer->lock);
out:
    (void)close(syncer->fd);
    mem_free(syncer);
    return error_set(error, EA_IO, "cannot start the syncing thread: %s", uv_strerror(failed));
}

uint64_t syncer_ask(struct syncer *syncer)
{
    uv_mutex_lock(&syncer->lock);
    uint64_t number = ++syncer->asked;
    uv_cond_signal(&syncer->wake);
    uv_mutex_unlock(&syncer->lock);
    return number;
}

uint64_t syncer_done(struct syncer *syncer)
{
    uv_mutex_lock(&syncer->lock);
    uint64_t done = syncer->done;
    uv_mutex_unlock(&syncer->lock);
    return done;
}

void syncer_stop(struct syncer *syncer)
{
    if (syncer == NULL) {
        return;
    }
    uv_mutex_lock(&syncer->lock);
    syncer->stopping = true;
    uv_cond_signal(&syncer->wake);
    uv_mutex_unlock(&syncer->lock);
    (void)uv_thread_join(&syncer->thread);
    uv_cond_destroy(&syncer->wake);
    uv_mutex_destroy(&syncer->lock);
    (void)close(syncer->fd);
    mem_free(syncer);
}
