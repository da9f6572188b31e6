/* What the files of the service Election share. Internal to them. */
#ifndef EA_API_ELECTION_H
#define EA_API_ELECTION_H

#include "api/call.h"
#include "core/names.h"
#include "core/request.h"

/* A call on its way through the store; in the call's arena. */
struct election_call {
    struct call *call;
    struct election_request request;
    struct loop_timer retry;
    int32_t retries; /* attempts left */
    int32_t retry_interval_ms;
};

/* Each fills state->request from state->call->request. EA_INVALID and EA_NOT_ENABLED, with an error that
 * names the field and the rule. */
enum err election_check_campaign(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_extend(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_resign(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_handover(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_get_leader(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_list_leaders(struct election_call *state, struct error *error) EA_MUST_CHECK;
enum err election_check_get(struct election_call *state, struct error *error) EA_MUST_CHECK;

/* Answers the call with what the store knows. `left_ms`: of the leader's lease. */
void election_view_info(struct election_call *state, int64_t left_ms);
void election_view_list(struct election_call *state);

/* A terminated copy, as protobuf-c wants its strings. */
char *election_text(const struct call *call, struct str text);

#endif
