/*
 * One election. At most one call to the API server is under way for it:
 *
 *            ┌──────── a request, or an expiry, that needs a write ────────┐
 *            │                                                            ▼
 *   entry_work() ──── an answer that must be true now ──► LOOK ──► entry_work()
 *            │                                              ▲             ▲
 *            └────────────────► WRITE ──conflict, unknown───┘             │
 *                                 └───────────── written, refused ────────┘
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/kubernetes/internal.h"

/* What no request waits for gets so long, since requests that come wait for it; and so long a pause before it is tried
 * again. */
#define OWN_MS   1000
#define PAUSE_MS 1000

#define DIGITS_OF(n) #n
#define DIGITS(n)    DIGITS_OF(n)
#define FULL                                                                                             \
    "the namespace has the most Leases that the driver kubernetes takes, " DIGITS(                       \
        LEASES_MAX) ": delete those of elections that are not used any more (kubectl delete lease), or " \
                    "keep elections on "                                                                 \
                    "Redis (EA_REDIS_URLS)"

#define TURN_MS   INT64_C(400)
#define US_PER_MS INT64_C(1000)

static void on_called(struct kube_lease_call *call);

static struct mono now_of(const struct entry *entry)
{
    return loop_now(entry->store->loop);
}

static struct wall wall_of(const struct entry *entry)
{
    return loop_wall(entry->store->loop);
}

/* --- the queue --- */

static void unqueue(struct job *job)
{
    struct entry *entry = job->entry;
    loop_timer_stop(entry->store->loop, &job->deadline);
    *job->link = job->next;
    if (job->next != NULL) {
        job->next->link = job->link;
    } else {
        entry->end = job->link;
    }
    job->link = NULL;
    if (entry->writer == job) {
        entry->writer = NULL;
    }
}

static void refuse(struct job *job, struct str why)
{
    unqueue(job);
    job_refuse(job, EA_UNAVAILABLE, why);
}

static void on_deadline(struct loop *loop, struct loop_timer *timer)
{
    struct job *job = CONTAINER_OF(timer, struct job, deadline);
    struct entry *entry = job->entry;
    if (entry->call == CALL_WRITE && entry->writer == job) {
        return; /* the call has the same deadline, and knows more */
    }
    refuse(job, STR("the API server gave no answer in time"));
    entry_work(entry);
}

void entry_take(struct entry *entry, struct job *job)
{
    struct loop *loop = entry->store->loop;
    job->entry = entry;
    job->came = ++entry->store->order;
    job->next = NULL;
    job->link = entry->end;
    *entry->end = job;
    entry->end = &job->next;
    job->deadline.fire = on_deadline;
    if (job->request->deadline.us != MONO_NEVER.us) {
        loop_timer_start(loop, &job->deadline, job->request->deadline);
    }
    entry_work(entry);
}

/* --- asking the API server --- */

static void begin_call(struct entry *entry, enum entry_call what, struct mono deadline)
{
    assert(entry->call == CALL_NONE);
    entry->call = what;
    entry->sent = ++entry->store->order;
    entry->sent_at = now_of(entry);
    entry->lease_call.deadline = deadline;
    entry->lease_call.done = on_called;
    entry->lease_call.user = entry;
}

static void look(struct entry *entry, struct mono deadline)
{
    begin_call(entry, CALL_LOOK, deadline);
    kube_lease_get(entry->store->kube, &entry->lease_call, entry->view.lease.ns, entry->view.lease.name);
}

static void write_plan(struct entry *entry, struct job *writer, struct mono deadline)
{
    struct kube_lease lease;
    begin_call(entry, CALL_WRITE, deadline);
    entry->writer = writer;
    plan_write(&entry->plan, &entry->view, &lease);
    if (view_exists(&entry->view)) {
        kube_lease_update(entry->store->kube, &entry->lease_call, &lease);
    } else {
        kube_lease_create(entry->store->kube, &entry->lease_call, &lease);
    }
    kube_lease_fini(&lease);
}

/* --- answering --- */

/* The API server was asked after the request came; and an end of a tenure by time was seen after it. */
static bool is_fresh(const struct entry *entry, const struct job *job)
{
    bool over = entry->view.led && !view_is_led(&entry->view, now_of(entry));
    return entry->fresh > job->came && !(over && mono_before(entry->fresh_at, entry->view.expires));
}

static void show_info(struct entry *entry, struct election_request *request)
{
    struct view *view = &entry->view;
    struct mono now = now_of(entry);
    bool led = view_is_led(view, now);
    struct election_candidate leader = {
        .priority = view->priority, .last_seen = view->renewed_at, .leading = true};
    leader.name = arena_str(request->arena, view_leader(view));
    notes_show(&view->notes, led ? &leader : NULL, view->seen, now, request);
    bool known = led || request->info.n_candidates > 0 || request->info.n_events > 0;
    request->err = known ? EA_OK : EA_NOT_FOUND;
}

/* What was decided without a write. */
static void answer(struct entry *entry, struct job *job)
{
    struct election_request *request = job->request;
    if (request->op == OP_CAMPAIGN && request->err == EA_OK) {
        notes_see(&entry->view.notes, request->candidate, request->priority, now_of(entry), wall_of(entry),
                  now_of(entry));
    } else if (request->op == OP_INFO && request->err != EA_UNAVAILABLE) {
        show_info(entry, request);
    }
    unqueue(job);
    job_answer(job);
}

/* The plan was carried out. */
static void succeed(struct entry *entry)
{
    struct job *job = entry->writer;
    plan_done(&entry->plan, &entry->view);
    if (job == NULL) {
        return;
    }
    if (job->request->op == OP_CAMPAIGN && plan_is_there(&entry->plan, &entry->view.lease)) {
        entry->view.priority = job->request->priority;
    }
    plan_answer(&entry->plan, job->request);
    unqueue(job);
    job_answer(job);
}

/* --- what came of a call --- */

static void tell_trouble(struct entry *entry, const struct error *error)
{
    struct kubernetes *store = entry->store;
    if (strcmp(store->trouble, error->text) != 0) {
        memcpy(store->trouble, error->text, sizeof store->trouble);
        log_warning("kubernetes", "cannot decide", LOG_TEXT("why", error->text));
    }
}

static void see(struct entry *entry, const struct kube_lease *lease)
{
    entry->fresh = entry->sent;
    entry->fresh_at = entry->sent_at;
    entry->store->trouble[0] = '\0';
    if (lease != NULL) {
        view_see(&entry->view, lease, false, now_of(entry), wall_of(entry));
    } else {
        view_see_gone(&entry->view, NULL, now_of(entry), wall_of(entry));
    }
}

/* Whether the write of unknown outcome was done shows in the Lease. */
static void resolve(struct entry *entry, const struct kube_lease *lease)
{
    entry->unsure = false;
    if (lease == NULL || !plan_is_there(&entry->plan, lease)) {
        entry->writer = NULL; /* decides again */
    } else if (entry->writer != NULL) {
        succeed(entry);
    } else {
        plan_done(&entry->plan, &entry->view);
        entry->undo = entry->plan.kind == PLAN_GRANT;
    }
}

static void looked(struct entry *entry, const struct kube_lease_call *call)
{
    if (call->err == EA_OK || call->err == EA_NOT_FOUND) {
        const struct kube_lease *lease = call->err == EA_OK ? &call->lease : NULL;
        see(entry, lease);
        entry->doubt = false;
        if (entry->unsure) {
            resolve(entry, lease);
        }
        return;
    }
    tell_trouble(entry, &call->error);
    entry->resume = mono_add_ms(now_of(entry), PAUSE_MS);
    if (entry->first != NULL && !mono_before(call->deadline, entry->first->request->deadline)) {
        refuse(entry->first, str_of(call->error.text));
    }
    if (entry->unsure && !mono_before(now_of(entry), entry->plan.expires)) {
        entry->unsure = false; /* what may have been granted has ended by itself */
    }
}

static void wrote(struct entry *entry, const struct kube_lease_call *call)
{
    bool existed = call->request.method == KUBE_PUT;
    if (call->err == EA_OK) {
        see(entry, &call->lease);
        entry->undo = false;
        succeed(entry);
    } else if (call->maybe_done) {
        entry->unsure = true;
    } else if (call->err == EA_HELD || (call->err == EA_NOT_FOUND && existed)) {
        entry->writer = NULL;
        entry->doubt = true; /* somebody was first */
        entry->undo = false;
        return;
    }
    if (call->err != EA_OK && (!entry->unsure || !mono_before(now_of(entry), call->deadline))) {
        entry->undo = false;
        entry->resume = mono_add_ms(now_of(entry), PAUSE_MS);
        tell_trouble(entry, &call->error);
        if (entry->writer != NULL) {
            refuse(entry->writer, str_of(call->error.text));
        }
    }
    if (!entry->unsure) {
        entry->writer = NULL;
    }
}

static void on_called(struct kube_lease_call *call)
{
    struct entry *entry = call->user;
    struct kubernetes *store = entry->store;
    enum entry_call what = entry->call;
    entry->call = CALL_NONE;
    if (store->options.on_operation != NULL) {
        bool answered = call->err == EA_OK || call->err == EA_NOT_FOUND || call->err == EA_HELD;
        const char *name = what == CALL_LOOK ? "get" : call->request.method == KUBE_PUT ? "update" : "create";
        store->options.on_operation(store->options.user, 0, store->store.ops->name, name, answered,
                                    mono_sub(loop_refresh(store->loop), entry->sent_at));
    }
    if (what == CALL_LOOK) {
        looked(entry, call);
    } else {
        wrote(entry, call);
    }
    entry_work(entry);
}

/* --- deciding what to do --- */

static bool over_of(const struct entry *entry)
{
    return entry->view.led && !view_is_led(&entry->view, now_of(entry));
}

/* A tenure that is over by time. One that an agent began is ended in its Lease, so that everybody, and we after a
 * restart, knows; of others we only make sure. */
static void end_by_time(struct entry *entry)
{
    struct mono deadline = mono_add_ms(now_of(entry), OWN_MS);
    if (!over_of(entry)) {
        entry->due = false;
    } else if (entry->view.ours) {
        plan_end(&entry->view, ACTION_EXPIRED, wall_of(entry), &entry->plan);
        write_plan(entry, NULL, deadline);
    } else if (mono_before(entry->fresh_at, entry->view.expires)) {
        look(entry, deadline);
    } else {
        view_end(&entry->view, now_of(entry), wall_of(entry));
    }
}

static bool is_full(const struct entry *entry)
{
    return !view_exists(&entry->view) && entry->store->entries.nodes > LEASES_MAX;
}

static void decide_first(struct entry *entry)
{
    struct job *job = entry->first;
    struct election_request *request = job->request;
    struct mono now = now_of(entry);
    if (!mono_before(now, request->deadline)) { /* S5 */
        refuse(job, STR("the request's deadline is over"));
    } else if (!decide(&entry->view, request, now, wall_of(entry), &entry->plan)) {
        if (is_full(entry)) {
            unqueue(job);
            job_refuse(job, EA_FULL, STR(FULL));
        } else {
            write_plan(entry, job, request->deadline);
        }
    } else if (!is_fresh(entry, job)) {
        look(entry, request->deadline);
    } else {
        answer(entry, job);
    }
}

/* One step; false when there is nothing to do, or a call is under way. */
static bool step(struct entry *entry)
{
    struct mono soon = mono_add_ms(now_of(entry), OWN_MS);
    if (entry->call != CALL_NONE) {
        return false;
    }
    if (entry->first == NULL && mono_before(now_of(entry), entry->resume)) {
        return false;
    }
    entry->undo = entry->undo && (entry->unsure || plan_is_there(&entry->plan, &entry->view.lease));
    if (entry->unsure || entry->doubt) {
        look(entry, entry->first != NULL ? entry->first->request->deadline : soon);
    } else if (entry->undo) {
        plan_end(&entry->view, ACTION_STEPPED_DOWN, wall_of(entry), &entry->plan);
        write_plan(entry, NULL, soon);
    } else if (entry->first != NULL) {
        decide_first(entry);
    } else if (entry->due) {
        end_by_time(entry);
    } else {
        return false;
    }
    return true;
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    struct entry *entry = CONTAINER_OF(timer, struct entry, timer);
    entry->due = over_of(entry);
    entry_work(entry);
}

/* The timer, the count, and whether the entry is still of use. */
static void rest(struct entry *entry)
{
    struct loop *loop = entry->store->loop;
    struct view *view = &entry->view;
    bool over = over_of(entry);
    bool left =
        over || entry->unsure || entry->undo || entry->doubt; /* it could not be ended, or found out */
    mirror_led(entry, view->led && !over);
    if (left && entry->call == CALL_NONE) {
        loop_timer_start(loop, &entry->timer, mono_max(entry->resume, now_of(entry)));
    } else if (view->led && !view->forever && !over) {
        /* What another agent wrote last is first its own to end. */
        int64_t turn_us =
            view->mine ? 0 : rng_range(loop_rng(loop), TURN_MS / 2 * US_PER_MS, TURN_MS * US_PER_MS);
        loop_timer_start(loop, &entry->timer, mono_add_us(view->expires, turn_us));
    } else {
        loop_timer_stop(loop, &entry->timer);
    }
    if (!view_exists(view) && !view->led && entry->first == NULL && entry->call == CALL_NONE && !left) {
        mirror_forget(entry);
    }
}

void entry_work(struct entry *entry)
{
    if (entry->working || entry->store->closing) {
        return;
    }
    entry->working = true;
    while (step(entry)) {
    }
    entry->working = false;
    rest(entry);
}

/* --- life --- */

struct entry *entry_new(struct kubernetes *store, const struct lease_election *id, const char *name)
{
    struct entry *entry = mem_zalloc(sizeof *entry);
    entry->store = store;
    view_init(&entry->view, id, store->ns, name);
    entry->end = &entry->first;
    entry->timer.fire = on_timer;
    return entry;
}

void entry_free(struct entry *entry)
{
    assert(entry->first == NULL && entry->call == CALL_NONE);
    loop_timer_stop(entry->store->loop, &entry->timer);
    mirror_led(entry, false);
    view_fini(&entry->view);
    mem_free(entry);
}

void entry_close(struct entry *entry)
{
    if (entry->call != CALL_NONE) {
        kube_lease_cancel(&entry->lease_call);
        entry->call = CALL_NONE;
    }
    while (entry->first != NULL) {
        refuse(entry->first, STR("the agent ends"));
    }
}
