/*
 * The service Election: what clients sent is checked here, the store decides, and its answer becomes the
 * API's (spec: elections.md, "Operations"; api.md, "Status codes"). The checks are in election_check.c, the
 * long answers in election_view.c.
 *
 * A request's way:  check ──► submit ──► decided ──► answer
 *                               ▲           │ extend only: the store could not decide, tries are left
 *                               └── timer ◄─┘
 */
#include <assert.h>
#include <inttypes.h>

#include "api/election.h"
#include "api/pb.h"
#include "api/services.h"
#include "base/mem.h"
#include "core/lease.h"

/* What is left of the validity that a grant gives, at this very moment. */
static int64_t validity_left_ms(const struct election_call *state)
{
    const struct election_request *request = &state->request;
    return lease_left_ms(lease_valid_until(request->start, request->term_ms),
                         loop_refresh(state->call->ex->loop));
}

/* What is left of a lease, for those who look at it. */
static int64_t lease_shown_ms(const struct election_call *state)
{
    return lease_left_ms(state->request.tenure.expires, loop_refresh(state->call->ex->loop));
}

/* A grant that comes too late is none (promise 3). */
static void fail_late(struct call *call)
{
    call_fail(call, EA_UNAVAILABLE, STR("the store decided too late: nothing is left of the term"));
}

/* --- failures --- */

/* A client's name in words: quoted, and safe to print. */
static const char *quoted(const struct call *call, struct str name)
{
    char text[4 * NAME_BYTES_MAX + 1];
    size_t n = str_escape(name, text, sizeof text);
    return arena_format(call->arena, "\"%.*s\"", (int)n, text).p;
}

static struct str held_message(const struct call *call, const struct election_request *request)
{
    const char *leader = quoted(call, request->tenure.leader);
    if (request->op == OP_HANDOVER) {
        return request->tenure.leader.n == 0
                   ? STR("nobody holds the election, and the request names its holder")
                   : arena_format(call->arena, "held by %s with token %" PRIu64, leader,
                                  request->tenure.token);
    }
    if (str_eq(request->tenure.leader, request->candidate)) {
        return arena_format(call->arena,
                            "the tenure with token %" PRIu64 " is over: %s leads with token %" PRIu64,
                            request->token, leader, request->tenure.token);
    }
    return arena_format(call->arena, "held by %s", leader);
}

static struct str missing_message(const struct election_request *request)
{
    switch (request->op) {
    case OP_RESIGN:
        return STR("this candidate does not hold the election, or not with this token");
    case OP_EXTEND:
        return STR("nobody holds the election: campaign again");
    case OP_INFO:
        return STR("nothing is known about the election");
    default:
        return STR("nobody holds the election");
    }
}

static void fail(struct election_call *state)
{
    struct call *call = state->call;
    const struct election_request *request = &state->request;
    struct str why = request->why;
    switch (request->err) {
    case EA_HELD:
        call_fail(call, EA_HELD, held_message(call, request));
        break;
    case EA_NOT_FOUND:
        call_fail(call, EA_NOT_FOUND, missing_message(request));
        break;
    case EA_UNAVAILABLE:
        call_fail(call, EA_UNAVAILABLE,
                  why.n > 0 ? arena_format(call->arena, "the store cannot decide: %.*s", STR_ARG(why))
                            : STR("the store cannot decide"));
        break;
    case EA_FULL:
        call_fail(call, EA_EXHAUSTED, why.n > 0 ? why : STR("the store is at its limit"));
        break;
    default:
        call_fail(call, request->err, why.n > 0 ? why : str_of(err_text(request->err)));
        break;
    }
}

/* --- answers --- */

static void answer_campaigned(struct election_call *state)
{
    struct election_request *request = &state->request;
    PB(CampaignResult) result = GRPC__ELECTION_AGENT__V1__CAMPAIGN_RESULT__INIT;
    result.elected = request->elected;
    result.expires_in = request->elected ? validity_left_ms(state) : lease_shown_ms(state);
    if (request->elected && result.expires_in == 0) {
        fail_late(state->call);
        return;
    }
    result.leader = election_text(state->call, request->tenure.leader);
    result.kind = election_text(state->call, request->kind);
    result.token = request->tenure.token;
    call_answer(state->call, &result.base);
}

/* Extended, or handed over. */
static void answer_granted(struct election_call *state)
{
    PB(BoolValue) value = GRPC__ELECTION_AGENT__V1__BOOL_VALUE__INIT;
    value.value = true;
    value.token = state->request.tenure.token;
    value.expires_in = validity_left_ms(state);
    if (value.expires_in == 0) {
        fail_late(state->call);
        return;
    }
    call_answer(state->call, &value.base);
}

static void answer_resigned(struct election_call *state)
{
    PB(BoolValue) value = GRPC__ELECTION_AGENT__V1__BOOL_VALUE__INIT;
    value.value = true;
    call_answer(state->call, &value.base);
}

static void answer_got(struct election_call *state)
{
    PB(StringValue) value = GRPC__ELECTION_AGENT__V1__STRING_VALUE__INIT;
    /* A store that reads from many nodes at once may not know it: 0 then. */
    bool known = state->request.tenure.expires.us != 0;
    value.expires_in = lease_shown_ms(state);
    if (value.expires_in == 0 && known) { /* nobody is shown as leader past the end of the term */
        call_fail(state->call, EA_NOT_FOUND, missing_message(&state->request));
        return;
    }
    value.value = election_text(state->call, state->request.tenure.leader);
    value.token = state->request.tenure.token;
    call_answer(state->call, &value.base);
}

static void answer(struct election_call *state)
{
    switch (state->request.op) {
    case OP_CAMPAIGN:
        answer_campaigned(state);
        break;
    case OP_EXTEND:
    case OP_HANDOVER:
        answer_granted(state);
        break;
    case OP_RESIGN:
        answer_resigned(state);
        break;
    case OP_GET:
        answer_got(state);
        break;
    case OP_INFO:
        election_view_info(state, lease_shown_ms(state));
        break;
    case OP_LIST:
        election_view_list(state);
        break;
    case OP_COUNT:
        assert(false);
    }
}

/* --- the store --- */

static void submit(struct election_call *state, struct mono start)
{
    struct api_lane *lane = state->call->lane;
    state->request.start = start;
    state->request.deadline =
        mono_min(state->call->deadline, mono_add_ms(start, lane->api->options.operation_timeout_ms));
    store_submit(lane->store, lane->index, &state->request);
}

static void retry_fire(struct loop *loop, struct loop_timer *timer)
{
    struct election_call *state = CONTAINER_OF(timer, struct election_call, retry);
    state->call->on_gone = NULL;
    /* The validity of this attempt counts from here: the store counts the term from when it decides. */
    submit(state, loop_now(loop));
}

static void retry_gone(struct call *call)
{
    struct election_call *state = call->state;
    loop_timer_stop(call->ex->loop, &state->retry);
    fail(state);
}

/* Another attempt, if the request asked for one and somebody is there to hear of it. */
static bool retry(struct election_call *state)
{
    struct call *call = state->call;
    if (state->request.err != EA_UNAVAILABLE || state->retries == 0 || call->gone) {
        return false;
    }
    state->retries--;
    state->request.why = STR("");
    state->retry.fire = retry_fire;
    call->on_gone = retry_gone;
    loop_timer_start(call->ex->loop, &state->retry,
                     mono_add_ms(loop_now(call->ex->loop), state->retry_interval_ms));
    return true;
}

static void decided(struct election_request *request)
{
    struct election_call *state = request->user;
    if (request->err == EA_OK) {
        answer(state);
    } else if (!retry(state)) {
        fail(state);
    }
}

/* A handler: checks what the client sent, and asks the store. */
static void run(struct call *call, enum election_op op,
                enum err (*check)(struct election_call *state, struct error *error))
{
    struct election_call *state = arena_zalloc(call->arena, sizeof *state);
    state->call = call;
    state->request.op = op;
    state->request.arena = call->arena;
    state->request.done = decided;
    state->request.user = state;
    call->state = state;
    struct error error = ERROR_NONE;
    enum err err = check(state, &error);
    if (err != EA_OK) {
        call_fail(call, err, str_of(error.text));
        return;
    }
    submit(state, call->arrived);
}

void election_campaign(struct call *call)
{
    run(call, OP_CAMPAIGN, election_check_campaign);
}

void election_extend(struct call *call)
{
    run(call, OP_EXTEND, election_check_extend);
}

void election_resign(struct call *call)
{
    run(call, OP_RESIGN, election_check_resign);
}

void election_handover(struct call *call)
{
    run(call, OP_HANDOVER, election_check_handover);
}

void election_get_leader(struct call *call)
{
    run(call, OP_GET, election_check_get_leader);
}

void election_list_leaders(struct call *call)
{
    run(call, OP_LIST, election_check_list_leaders);
}

void election_get(struct call *call)
{
    run(call, OP_INFO, election_check_get);
}
