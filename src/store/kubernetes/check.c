/*
 * Whether elections can be kept in the namespace: a Lease is created as a dry run, which changes nothing and needs no
 * right that a grant does not need. Without it a namespace that is not there would show with the first grant only: a
 * list of its Leases is empty, and no error. What the check finds holds readiness up and is looked at again until it
 * is mended; afterwards grants speak for themselves.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/kubernetes/internal.h"

#define ANSWER_MS 5000 /* in which the client tries again by itself */
#define PAUSE_MS  2000
#define NAME      "election-agent-check"

static void ask(struct kubernetes *store);

static void on_pause_over(struct loop *loop, struct loop_timer *timer)
{
    ask(CONTAINER_OF(timer, struct kubernetes, check.again));
}

/* True: the outcome of a real one would be the same, or is left to it. */
static bool is_passed(enum err err)
{
    return err == EA_OK || err == EA_HELD /* somebody has a Lease of that name */ ||
           err == EA_INVALID; /* an admission webhook that knows no dry runs */
}

static bool is_for_people(enum err err)
{
    return err == EA_NOT_FOUND || err == EA_DENIED || err == EA_UNAUTHENTICATED;
}

static void on_answer(struct kube_lease_call *call)
{
    struct kubernetes *store = call->user;
    struct check *check = &store->check;
    if (is_passed(call->err)) {
        check->passed = true;
        mirror_tell(store);
        return;
    }
    if (is_for_people(call->err) && strcmp(check->trouble, call->error.text) != 0) {
        memcpy(check->trouble, call->error.text, sizeof check->trouble);
        log_error("kubernetes", "elections cannot be kept in this namespace (kube.lease_namespace)",
                  LOG_TEXT("namespace", store->ns), LOG_TEXT("why", check->trouble));
        mirror_tell(store);
    } /* else the API server is away: the watch says so too */
    loop_timer_start(store->loop, &check->again, mono_add_ms(loop_now(store->loop), PAUSE_MS));
}

static void ask(struct kubernetes *store)
{
    struct kube_lease lease = {.transitions = 0};
    struct kube_lease_call *call = &store->check.call;
    memcpy(lease.name, NAME, sizeof NAME);
    memcpy(lease.ns, store->ns, strlen(store->ns) + 1); /* bounded when the store was opened */
    call->deadline = mono_add_ms(loop_now(store->loop), ANSWER_MS);
    call->dry_run = true;
    call->done = on_answer;
    call->user = store;
    kube_lease_create(store->kube, call, &lease);
}

void check_open(struct kubernetes *store)
{
    store->check.again.fire = on_pause_over;
    ask(store);
}

void check_close(struct kubernetes *store)
{
    loop_timer_stop(store->loop, &store->check.again);
    kube_lease_cancel(&store->check.call);
}
