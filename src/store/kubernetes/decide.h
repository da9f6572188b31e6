/*
 * The rules of elections (core/DESIGN.md, "Decisions") on a Lease: from what is known of it and a request to an
 * answer, or to what the Lease is to become. Deciding code.
 *
 * What is decided here is written only if the Lease is still the one that was seen (resourceVersion, or that there is
 * none), so that whatever others did meanwhile, one of them and us was first, and the loser looks and decides again.
 * Time: see view.h. Terms are whole seconds in a Lease: they are rounded up.
 */
#ifndef EA_STORE_KUBERNETES_DECIDE_H
#define EA_STORE_KUBERNETES_DECIDE_H

#include "store/kubernetes/view.h"

enum plan_kind {
    PLAN_GRANT, /* a new tenure */
    PLAN_RENEW, /* the running one */
    PLAN_END,   /* its end */
};

struct plan {
    enum plan_kind kind;
    enum election_action action; /* not for PLAN_RENEW */
    char holder[NAME_BYTES_MAX + 1];
    int64_t token;
    int32_t duration_s;
    struct wall acquired;
    struct wall renewed;
    /* What the Lease cannot say exactly. */
    struct mono decided;
    struct mono expires;
    int32_t term_ms;
};

/* True: the answer is in the request, if the view is true (`done` is not called). False: *plan is to be written. */
bool decide(const struct view *view, struct election_request *request, struct mono now, struct wall wall,
            struct plan *plan) __attribute__((warn_unused_result));

/* The end of the tenure that the view shows. */
void plan_end(const struct view *view, enum election_action action, struct wall wall, struct plan *plan);

/* The Lease as it is to become; kube_lease_fini() it. */
void plan_write(const struct plan *plan, const struct view *view, struct kube_lease *lease);

/* The Lease is what the plan was to make of it. */
bool plan_is_there(const struct plan *plan, const struct kube_lease *lease);

/* It was written, and the view has seen that: what we know better than the Lease goes into the view. */
void plan_done(const struct plan *plan, struct view *view);

/* The answer to the request whose plan was carried out. */
void plan_answer(const struct plan *plan, struct election_request *request);

#endif
