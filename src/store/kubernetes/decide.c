#include "store/kubernetes/decide.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/lease.h"

#define US_PER_S INT64_C(1000000)
#define MS_PER_S 1000

/* A Lease that is made anew begins to count here, seconds since 2020: a deleted one does not lower the token. */
#define EPOCH_S INT64_C(1577836800)

struct question {
    const struct view *view;
    struct election_request *request;
    struct mono now;
    struct wall wall;
    struct plan *plan;
    bool led;
};

/* --- answers --- */

static bool answer(const struct question *q, enum err err)
{
    q->request->err = err;
    return true;
}

/* With who leads. */
static bool answer_tenure(const struct question *q, enum err err)
{
    q->request->tenure = view_tenure(q->view, q->now);
    return answer(q, err);
}

static bool leads(const struct question *q, struct str name)
{
    return q->led && str_eq(view_leader(q->view), name);
}

/* --- plans --- */

static int64_t next_token(const struct question *q)
{
    int64_t since = q->wall.us / US_PER_S - EPOCH_S;
    int64_t token = q->view->token_max + 1;
    if (!view_exists(q->view) && since > token && since < LEASE_TOKEN_MAX) {
        token = since;
    }
    return token;
}

/* Fills in how long it is held: `not_before` is what somebody was promised already (L3, E7). */
static void hold(const struct question *q, struct mono not_before)
{
    int64_t term_s = ((int64_t)q->request->term_ms + MS_PER_S - 1) / MS_PER_S;
    struct plan *plan = q->plan;
    plan->term_ms = (int32_t)(term_s * MS_PER_S);
    plan->decided = q->now;
    plan->expires = lease_expiry(q->now, plan->term_ms, not_before);
    plan->duration_s = (int32_t)((mono_sub(plan->expires, q->now) + US_PER_S - 1) / US_PER_S);
    /* Others take an unchanged Lease for one that was not renewed, whatever our wall clock does. */
    plan->renewed.us = q->wall.us + (q->wall.us == q->view->lease.renewed.us ? 1 : 0);
    memcpy(plan->holder, q->request->candidate.p, q->request->candidate.n);
    plan->holder[q->request->candidate.n] = '\0';
}

static bool grant(const struct question *q, enum election_action action, struct mono not_before)
{
    int64_t token = next_token(q);
    if (token > LEASE_TOKEN_MAX) { /* T5 */
        q->request->why = STR("there are no more tokens: the Lease's leaseTransitions is used up");
        return answer(q, EA_UNAVAILABLE);
    }
    *q->plan = (struct plan){.kind = PLAN_GRANT, .action = action, .token = token, .acquired = q->wall};
    hold(q, not_before);
    return false;
}

static bool renew(const struct question *q)
{
    *q->plan = (struct plan){
        .kind = PLAN_RENEW, .token = (int64_t)q->view->token, .acquired = q->view->elected_at}; /* T3 */
    hold(q, q->view->expires);
    return false;
}

void plan_end(const struct view *view, enum election_action action, struct wall wall, struct plan *plan)
{
    *plan = (struct plan){
        .kind = PLAN_END,
        .action = action,
        .token = (int64_t)view->token,
        .duration_s = view->lease.duration_s,
        .acquired = view->elected_at,
        .renewed = wall,
    };
}

/* --- operations --- */

static bool campaign(const struct question *q)
{
    q->request->elected = leads(q, q->request->candidate) && !q->view->forever;
    if (q->led && !q->request->elected) {
        return answer_tenure(q, EA_OK);
    }
    if (q->led && q->view->token > q->request->past) { /* T4; a token of 0 is nobody's (T5) */
        return renew(q);
    }
    return grant(q, ACTION_ELECTED, q->now);
}

static bool is_that_tenure(const struct question *q, struct str leader)
{
    uint64_t token = q->request->token;
    return leads(q, leader) && !q->view->forever && (token == 0 || token == q->view->token);
}

static bool extend(const struct question *q)
{
    if (!q->led) {
        return answer(q, EA_NOT_FOUND); /* E4 */
    }
    return is_that_tenure(q, q->request->candidate) ? renew(q) : answer_tenure(q, EA_HELD);
}

static bool resign(const struct question *q)
{
    if (!is_that_tenure(q, q->request->candidate)) {
        return answer(q, EA_NOT_FOUND); /* E5 */
    }
    plan_end(q->view, ACTION_RESIGNED, q->wall, q->plan);
    return false;
}

static bool handover(const struct question *q)
{
    const struct election_request *request = q->request;
    bool from_fails = request->from.n > 0 && !leads(q, request->from);
    bool token_fails = request->token != 0 && !(q->led && request->token == q->view->token);
    if (from_fails || token_fails || (q->led && q->view->forever)) {
        return answer_tenure(q, EA_HELD); /* E6 */
    }
    return q->led ? grant(q, ACTION_HANDED_OVER, q->view->expires) : grant(q, ACTION_ELECTED, q->now);
}

static bool look(const struct question *q)
{
    return answer_tenure(q, q->led ? EA_OK : EA_NOT_FOUND);
}

bool decide(const struct view *view, struct election_request *request, struct mono now, struct wall wall,
            struct plan *plan)
{
    static bool (*const operations[OP_COUNT])(const struct question *q) = {
        [OP_CAMPAIGN] = campaign, [OP_EXTEND] = extend, [OP_RESIGN] = resign,
        [OP_HANDOVER] = handover, [OP_GET] = look,      [OP_INFO] = look,
    };
    struct question q = {view, request, now, wall, plan, view_is_led(view, now)};
    assert(operations[request->op] != NULL);
    request->why = str_from(NULL, 0);
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    if (view->strange) {
        request->why = STR("the Lease's holderIdentity is no name that a candidate can have");
        return answer(&q, EA_UNAVAILABLE);
    }
    return operations[request->op](&q);
}

/* --- what becomes of a plan --- */

void plan_write(const struct plan *plan, const struct view *view, struct kube_lease *lease)
{
    *lease = (struct kube_lease){.meta = NULL};
    kube_lease_copy(lease, &view->lease);
    memcpy(lease->holder, plan->holder, sizeof plan->holder);
    lease->duration_s = plan->duration_s;
    lease->transitions = plan->token;
    lease->acquired = plan->acquired;
    lease->renewed = plan->renewed;
    if (plan->kind != PLAN_RENEW || !view_exists(view)) {
        char note[64];
        enum election_action action = plan->kind == PLAN_RENEW ? ACTION_ELECTED : plan->action;
        int n = snprintf(note, sizeof note, "%s %" PRId64, election_action_word(action), plan->token);
        kube_lease_annotate(lease, LEASE_LAST_NOTE, str_from(note, (size_t)n));
    }
    char name[LEASE_NAME_BYTES_MAX + 1];
    if (!view_exists(view) && !lease_name_write(view_kind(view), view_election(view), name)) {
        kube_lease_annotate(lease, LEASE_KIND_NOTE, view_kind(view));
        kube_lease_annotate(lease, LEASE_ELECTION_NOTE, view_election(view));
    }
}

bool plan_is_there(const struct plan *plan, const struct kube_lease *lease)
{
    return strcmp(plan->holder, lease->holder) == 0 && plan->token == lease->transitions &&
           plan->acquired.us == lease->acquired.us && plan->renewed.us == lease->renewed.us;
}

void plan_done(const struct plan *plan, struct view *view)
{
    if (plan->kind == PLAN_END || !plan_is_there(plan, &view->lease)) {
        return; /* or the view has seen what came after already */
    }
    view->mine = true;
    view->expires = plan->expires;
    view->term_ms = plan->term_ms;
    view->seen = plan->decided;
}

void plan_answer(const struct plan *plan, struct election_request *request)
{
    request->err = EA_OK;
    request->why = str_from(NULL, 0);
    request->elected = request->op == OP_CAMPAIGN;
    request->tenure = (struct election_tenure){.token = 0};
    if (plan->kind != PLAN_END) {
        request->tenure = (struct election_tenure){
            .leader = request->candidate,
            .token = (uint64_t)plan->token,
            .expires = plan->expires,
            .term_ms = plan->term_ms,
            .elected_at = plan->acquired,
            .renewed_at = plan->renewed,
        };
    }
}
