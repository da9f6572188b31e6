#include "elector/elector.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "elector/health.h"
#include "elector/pages.h"
#include "kube/lease.h"
#include "net/loop.h"

#define CALL_US    INT64_C(5000000) /* one question to the API server */
#define RELEASE_US INT64_C(3000000) /* all of a release, at the end */
#define SIGNALS    2
#define SECOND_US  INT64_C(1000000)

static const int signals[SIGNALS] = {SIGTERM, SIGINT};

struct elector {
    const struct options *options;
    struct loop *loop;
    struct contest contest;
    struct kube *kube;
    struct kube_lease_watch *watch;
    struct kube_lease lease; /* the contest's, with what others wrote into it */
    bool listed;             /* the list of the watch named the Lease */
    struct kube_lease_call call;
    struct kube_pod_call pod_call;
    enum contest_want want; /* under way */
    struct loop_timer timer;
    struct loop_late late;
    struct pages *pages;
    struct health *health; /* NULL: not asked for */
    uv_signal_t signals[SIGNALS];
    unsigned open_signals;
    struct loop_timer release_over;
    bool stopping;
    bool closing;
    uint64_t shown; /* changes of the leader that have their time, */
    uint64_t told;  /* and that subscribers were told */
    struct wall changed;
    uint64_t written;
    struct error trouble; /* the last that was logged */
};

/* --- between the Lease object and the contest's --- */

static struct contest_lease view_of(const struct kube_lease *lease)
{
    struct contest_lease view = {
        .duration_us = lease->duration_s * SECOND_US,
        .transitions = lease->transitions,
        .acquired = lease->acquired,
        .renewed = lease->renewed,
    };
    static_assert(sizeof view.uid >= KUBE_UID_BYTES && sizeof view.version >= KUBE_VERSION_BYTES &&
                      sizeof view.holder >= sizeof lease->holder,
                  "what the client lets through fits");
    struct str owner = kube_lease_owner(lease);
    snprintf(view.uid, sizeof view.uid, "%s", lease->uid);
    snprintf(view.version, sizeof view.version, "%s", lease->version);
    snprintf(view.holder, sizeof view.holder, "%s", lease->holder);
    if (owner.n > 0 && owner.n < sizeof view.owner) {
        memcpy(view.owner, owner.p, owner.n);
    }
    return view;
}

/* Keeps the whole object if the contest took it as the newest. */
static void keep(struct elector *e, const struct kube_lease *lease)
{
    if (strcmp(e->contest.lease.uid, lease->uid) == 0 &&
        strcmp(e->contest.lease.version, lease->version) == 0) {
        kube_lease_fini(&e->lease);
        e->lease = (struct kube_lease){.meta = NULL};
        kube_lease_copy(&e->lease, lease);
    }
}

/* --- trouble is told once, not at every try --- */

static void tell_trouble(struct elector *e, const struct error *error)
{
    if (strcmp(e->trouble.text, error->text) != 0) {
        log_warning("election", "the API server does not help", LOG_TEXT("why", error->text));
        e->trouble = *error;
    }
}

static void tell_recovery(struct elector *e)
{
    if (e->trouble.text[0] != '\0') {
        log_info("election", "the API server helps again");
        e->trouble = ERROR_NONE;
    }
}

/* --- what is shown --- */

static struct pages_view look(void *user)
{
    struct elector *e = user;
    contest_tick(&e->contest, loop_refresh(e->loop)); /* a moment ago is not now */
    const struct contest *c = &e->contest;
    if (c->changes != e->shown) {
        /* Told to subscribers at the end of the turn; its time begins here. */
        int64_t now = loop_wall(e->loop).us;
        e->changed.us = now > e->changed.us ? now : e->changed.us + 1;
        e->shown = c->changes;
        loop_timer_start(e->loop, &e->timer, loop_now(e->loop));
    }
    return (struct pages_view){
        .leader = c->leader,
        .known = c->known,
        .leads = contest_leads(c),
        .ready = c->known && contest_knows_pod(c) && !e->stopping,
        .changed = e->changed,
        .won = c->won,
        .lost = c->lost,
        .written = e->written,
    };
}

static void publish(struct elector *e)
{
    const struct contest *c = &e->contest;
    look(e);
    if (c->changes != e->told) {
        e->told = c->changes;
        log_info("election",
                 c->leader[0] == '\0' ? "nobody leads"
                 : contest_leads(c)   ? "this pod leads"
                                      : "another pod leads",
                 LOG_TEXT("leader", c->leader));
        pages_changed(e->pages);
    }
}

/* --- acts --- */

static void go_on(struct elector *e);

static enum contest_outcome outcome_of(const struct elector *e, enum err err, bool maybe_done)
{
    switch (err) {
    case EA_OK:
        return CONTEST_DONE;
    case EA_HELD:
        return maybe_done ? CONTEST_UNKNOWN : CONTEST_CONFLICT;
    case EA_NOT_FOUND:
        /* Of a create: there is no such namespace. */
        return e->want == CONTEST_CREATE ? CONTEST_FAILED : CONTEST_MISSING;
    default:
        return maybe_done ? CONTEST_UNKNOWN : CONTEST_FAILED;
    }
}

static void lease_answered(struct kube_lease_call *call)
{
    struct elector *e = call->user;
    enum contest_outcome outcome = outcome_of(e, call->err, call->maybe_done);
    bool wrote = e->want != CONTEST_READ && outcome == CONTEST_DONE;
    e->written += wrote;
    if (outcome == CONTEST_FAILED || outcome == CONTEST_UNKNOWN) {
        tell_trouble(e, &call->error);
    } else {
        tell_recovery(e);
    }
    e->want = CONTEST_NOTHING;
    struct contest_lease view =
        call->err == EA_OK ? view_of(&call->lease) : (struct contest_lease){.uid = ""};
    contest_answer(&e->contest, outcome, &view, loop_refresh(e->loop));
    if (call->err == EA_OK) {
        keep(e, &call->lease);
    }
    go_on(e);
}

static void pod_answered(struct kube_pod_call *call)
{
    struct elector *e = call->user;
    enum contest_outcome outcome = outcome_of(e, call->err, false);
    e->want = CONTEST_NOTHING;
    if (outcome == CONTEST_FAILED || outcome == CONTEST_UNKNOWN) {
        tell_trouble(e, &call->error);
    } else {
        tell_recovery(e);
    }
    if (outcome == CONTEST_MISSING || call->terminating) {
        log_info("election", "this pod does not stand: it is deleted, or not there",
                 LOG_TEXT("pod", e->options->pod_name));
    }
    contest_answer_pod(&e->contest, outcome, outcome == CONTEST_DONE && !call->terminating ? call->uid : NULL,
                       loop_refresh(e->loop));
    go_on(e);
}

static void fill(struct elector *e, struct kube_lease *lease, const struct contest_write *write)
{
    bool renew = e->options->strategy == CONTEST_RENEW;
    snprintf(lease->holder, sizeof lease->holder, "%s", write->holder);
    lease->acquired = write->acquired;
    lease->renewed = write->renewed;
    lease->transitions = write->transitions;
    lease->duration_s = renew ? (int32_t)(e->options->lease_duration / SECOND_US) : 0;
}

static void create(struct elector *e, const struct contest_write *write)
{
    struct kube_lease lease = {.meta = NULL};
    snprintf(lease.ns, sizeof lease.ns, "%s", e->options->election_namespace);
    snprintf(lease.name, sizeof lease.name, "%s", e->options->election);
    fill(e, &lease, write);
    if (e->options->strategy == CONTEST_OWNER) {
        kube_lease_own(&lease, e->options->pod_name, e->contest.pod);
    }
    kube_lease_create(e->kube, &e->call, &lease);
    kube_lease_fini(&lease);
}

static void update(struct elector *e, const struct contest_write *write)
{
    assert(strcmp(e->lease.version, e->contest.lease.version) == 0);
    struct kube_lease lease = {.meta = NULL};
    kube_lease_copy(&lease, &e->lease);
    fill(e, &lease, write);
    kube_lease_update(e->kube, &e->call, &lease);
    kube_lease_fini(&lease);
}

/* One attempt each: when to try again the contest knows better than the client. */
static void act(struct elector *e)
{
    struct contest_write write;
    enum contest_want want = contest_next(&e->contest, &write, loop_now(e->loop), loop_wall(e->loop));
    if (want == CONTEST_NOTHING) {
        return;
    }
    struct mono deadline = mono_add_us(loop_now(e->loop), CALL_US);
    const char *ns = e->options->election_namespace;
    e->want = want;
    e->call = (struct kube_lease_call){.deadline = deadline, .once = true, .done = lease_answered, .user = e};
    switch (want) {
    case CONTEST_ASK_POD:
        e->pod_call = (struct kube_pod_call){.deadline = deadline, .done = pod_answered, .user = e};
        kube_pod_get(e->kube, &e->pod_call, ns, e->options->pod_name);
        break;
    case CONTEST_READ:
        kube_lease_get(e->kube, &e->call, ns, e->options->election);
        break;
    case CONTEST_CREATE:
        create(e, &write);
        break;
    case CONTEST_UPDATE:
        update(e, &write);
        break;
    case CONTEST_NOTHING:
        break;
    }
}

static void close_signals(struct elector *e)
{
    for (unsigned i = 0; i < e->open_signals; i++) {
        uv_close((uv_handle_t *)&e->signals[i], NULL);
    }
}

static void pages_are_closed(void *user)
{
    struct elector *e = user;
    e->pages = NULL;
    close_signals(e); /* not before: a second one must not end the process half-way */
    loop_stop(e->loop);
}

static void close_all(struct elector *e)
{
    e->closing = true;
    loop_timer_stop(e->loop, &e->timer);
    loop_timer_stop(e->loop, &e->release_over);
    kube_lease_watch_stop(e->watch);
    kube_lease_cancel(&e->call);
    kube_pod_cancel(&e->pod_call);
    if (e->health != NULL) {
        health_close(e->health);
    }
    pages_close(e->pages, pages_are_closed);
}

/* After every piece of news: shows it, does what is to be done next, and arms the timer. */
static void go_on(struct elector *e)
{
    if (e->closing) {
        return;
    }
    publish(e);
    act(e);
    if (contest_is_over(&e->contest)) {
        close_all(e);
        return;
    }
    loop_timer_start(e->loop, &e->timer, contest_wake(&e->contest, loop_now(e->loop)));
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    go_on(CONTAINER_OF(timer, struct elector, timer));
}

/* The process was stopped for a while. Before anything else is read: what was true may be so no more. */
static void on_late(struct loop *loop, struct loop_late *self, int64_t late_us)
{
    log_warning("election", "the process was paused", LOG_INT("late_ms", late_us / 1000));
    go_on(CONTAINER_OF(self, struct elector, late));
}

/* --- news --- */

static void lease_seen(struct elector *e, const struct kube_lease *lease)
{
    struct contest_lease view = view_of(lease);
    e->listed = true;
    if (contest_see(&e->contest, &view, loop_now(e->loop))) {
        keep(e, lease);
    }
}

static void on_lease(void *user, enum kube_event event, const struct kube_lease *lease)
{
    struct elector *e = user;
    switch (event) {
    case KUBE_LISTING:
        e->listed = false;
        break;
    case KUBE_ADDED:
    case KUBE_MODIFIED:
        lease_seen(e, lease);
        break;
    case KUBE_DELETED:
        contest_see_gone(&e->contest, lease->uid, loop_now(e->loop));
        break;
    case KUBE_SYNCED:
        tell_recovery(e);
        if (!e->listed && e->contest.lease.uid[0] != '\0') {
            contest_doubt(&e->contest, loop_now(e->loop));
        }
        break;
    case KUBE_BROKEN:
        tell_trouble(e, kube_lease_watch_error(e->watch));
        break;
    case KUBE_RESUMED:
        tell_recovery(e);
        break;
    }
    go_on(e);
}

static void on_health(void *user, bool healthy)
{
    struct elector *e = user;
    contest_see_health(&e->contest, healthy, loop_now(e->loop));
    go_on(e);
}

static void on_release_over(struct loop *loop, struct loop_timer *timer)
{
    struct elector *e = CONTAINER_OF(timer, struct elector, release_over);
    log_warning("election", "could not release the lease; it lapses by itself");
    close_all(e);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct elector *e = handle->data;
    loop_enter(e->loop);
    if (e->closing) {
        return;
    }
    log_info("elector", "asked to stop", LOG_INT("signal", number));
    e->stopping = true;
    contest_stop(&e->contest, loop_now(e->loop));
    loop_timer_start(e->loop, &e->release_over, mono_add_us(loop_now(e->loop), RELEASE_US));
    go_on(e);
}

/* --- life --- */

static enum err watch_signals(struct elector *e, struct error *error)
{
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < SIGNALS; i++) {
        int rc = uv_signal_init(loop_uv(e->loop), &e->signals[i]);
        if (rc == 0) {
            e->open_signals++;
            e->signals[i].data = e;
            rc = uv_signal_start(&e->signals[i], on_signal, signals[i]);
        }
        if (rc != 0) {
            return error_set(error, EA_IO, "cannot watch signals: %s", uv_strerror(rc));
        }
    }
    return EA_OK;
}

static enum err open_health(struct elector *e, struct error *error)
{
    if (e->options->health_url[0] == '\0' && e->options->health_file[0] == '\0') {
        return EA_OK;
    }
    contest_see_health(&e->contest, false, loop_now(e->loop)); /* until it is known better */
    return health_open(&e->health,
                       &(struct health_options){.loop = e->loop,
                                                .url = e->options->health_url,
                                                .file = e->options->health_file,
                                                .file_age_us = e->options->lease_duration,
                                                .changed = on_health,
                                                .user = e},
                       error);
}

static enum err open_parts(struct elector *e, struct error *error)
{
    const struct options *o = e->options;
    enum err err = watch_signals(e, error);
    if (err != EA_OK) {
        return err;
    }
    struct kube_options kube = {
        .loop = e->loop,
        .in_cluster = o->kubeconfig[0] == '\0',
        .kubeconfig = o->kubeconfig[0] != '\0' ? o->kubeconfig : NULL,
        .user_agent = "elector",
    };
    err = kube_open(&e->kube, &kube, error);
    if (err != EA_OK) {
        return err;
    }
    err = open_health(e, error);
    if (err != EA_OK) {
        return err;
    }
    return pages_open(&e->pages,
                      &(struct pages_options){.loop = e->loop, .options = o, .look = look, .user = e}, error);
}

enum err elector_new(struct elector **out, const struct options *options, struct error *error)
{
    struct elector *e = mem_zalloc(sizeof *e);
    e->options = options;
    enum err err = loop_new(&e->loop, &(struct loop_options){.index = 0}, error);
    if (err != EA_OK) {
        mem_free(e);
        return err;
    }
    contest_init(&e->contest, &(struct contest_settings){.strategy = options->strategy,
                                                         .candidate = options->pod_name,
                                                         .duration_us = options->lease_duration,
                                                         .interval_us = options->lease_duration / 3,
                                                         .seed = rng_next(loop_rng(e->loop))});
    e->timer.fire = on_timer;
    e->release_over.fire = on_release_over;
    e->late.late = on_late;
    err = open_parts(e, error);
    if (err != EA_OK) {
        elector_free(e);
        return err;
    }
    loop_on_late(e->loop, &e->late);
    *out = e;
    return EA_OK;
}

void elector_run(struct elector *e)
{
    log_info("elector", "standing", LOG_TEXT("election", e->options->election),
             LOG_TEXT("namespace", e->options->election_namespace), LOG_TEXT("pod", e->options->pod_name),
             LOG_TEXT("server", kube_server(e->kube)));
    e->watch = kube_lease_watch_start(e->kube,
                                      &(struct kube_lease_watch_options){.ns = e->options->election_namespace,
                                                                         .name = e->options->election,
                                                                         .on_event = on_lease,
                                                                         .user = e});
    loop_timer_start(e->loop, &e->timer, loop_now(e->loop)); /* the first question */
    loop_run(e->loop);
}

void elector_free(struct elector *e)
{
    if (!e->closing) { /* it never ran */
        close_signals(e);
        if (e->health != NULL) {
            health_close(e->health);
        }
    }
    if (e->kube != NULL) {
        kube_close(e->kube);
    }
    kube_lease_fini(&e->lease);
    loop_free(e->loop);
    mem_free(e);
}
