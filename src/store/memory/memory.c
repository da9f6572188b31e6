/* The memory store: see memory.h. The rules are the ledger's; here are the lock, the clock and the interface.
 */
#include "store/memory/memory.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "core/names.h"
#include "store/memory/ledger.h"

struct memory_store {
    struct store store;
    struct store_options options;
    pthread_mutex_t lock; /* guards everything below */
    struct ledger *ledger;
    unsigned lane; /* on which the ledger is asked now */
};

static struct memory_store *memory_of(struct store *store)
{
    return CONTAINER_OF(store, struct memory_store, store);
}

static void lock(struct memory_store *self)
{
    int failed = pthread_mutex_lock(&self->lock);
    assert(failed == 0);
    (void)failed;
}

static void unlock(struct memory_store *self)
{
    int failed = pthread_mutex_unlock(&self->lock);
    assert(failed == 0);
    (void)failed;
}

static void tell_event(void *arg, const struct election_event *event)
{
    struct memory_store *self = arg;
    if (self->options.on_event != NULL) {
        self->options.on_event(self->options.user, self->lane, event);
    }
}

static enum err open_store(struct store **out, const struct store_options *options, struct error *error)
{
    assert(options->clock != NULL && options->max_term_ms > 0);
    struct memory_store *self = mem_zalloc(sizeof *self);
    self->store.ops = &store_memory_ops;
    self->options = *options;
    int failed = pthread_mutex_init(&self->lock, NULL);
    if (failed != 0) {
        mem_free(self);
        return error_set_errno(error, EA_IO, failed, "cannot make a mutex");
    }
    self->ledger = ledger_new(
        &(struct ledger_options){.vacant_kept = MEMORY_VACANT_KEPT, .event = tell_event, .arg = self});
    *out = &self->store;
    return EA_OK;
}

static void close_store(struct store *store)
{
    struct memory_store *self = memory_of(store);
    ledger_free(self->ledger);
    (void)pthread_mutex_destroy(&self->lock);
    mem_free(self);
}

static void submit(struct store *store, unsigned lane, struct election_request *request)
{
    struct memory_store *self = memory_of(store);
    char leader[NAME_BYTES_MAX]; /* the answer's, which must outlive the lock */

    election_request_assert_checked(request, lane + 1, self->options.max_term_ms);
    assert((request->op != OP_INFO && request->op != OP_LIST) || request->arena != NULL);
    lock(self);
    struct mono now = clock_mono(self->options.clock);
    self->lane = lane;
    if (mono_before(now, request->deadline)) {
        ledger_decide(self->ledger, now, clock_wall(self->options.clock), request);
        if (request->tenure.leader.n > 0) {
            memcpy(leader, request->tenure.leader.p, request->tenure.leader.n);
            request->tenure.leader.p = leader;
        }
    } else { /* S5 */
        request->err = EA_UNAVAILABLE;
        request->why = STR("the request came after its deadline");
    }
    request->decided = now;
    unlock(self);
    request->done(request);
}

void memory_sweep(struct store *store)
{
    struct memory_store *self = memory_of(store);
    lock(self);
    self->lane = 0;
    ledger_sweep(self->ledger, clock_mono(self->options.clock), clock_wall(self->options.clock));
    unlock(self);
}

static void status(struct store *store, struct store_status *out)
{
    *out = (struct store_status){.state = STORE_UP};
}

static void count(struct store *store, void (*row)(void *arg, struct str kind, uint64_t elections), void *arg)
{
    struct memory_store *self = memory_of(store);
    lock(self);
    ledger_count(self->ledger, clock_mono(self->options.clock), row, arg);
    unlock(self);
}

const struct store_ops store_memory_ops = {
    .name = "memory",
    .open = open_store,
    .submit = submit,
    .status = status,
    .count = count,
    .close = close_store,
};
