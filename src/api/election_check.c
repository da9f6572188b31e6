/* What clients may send to the service Election (spec: elections.md, "Names" and "Operations"). */
#include <inttypes.h>

#include "api/election.h"
#include "api/pb.h"
#include "base/hlc.h"

#define PRIORITY_DEFAULT      1
#define PRIORITY_MAX          1000000
#define RETRIES_MAX           10
#define RETRY_INTERVAL_MAX_MS 1000
#define WAIT_MAX_MS           INT64_C(3600000)
#define PAGE_SIZE_DEFAULT     100
#define PAGE_SIZE_MAX         1000

#define REQUEST(name) ((const PB(name) *)(const void *)state->call->request)

static enum err check_kind(struct election_call *state, const char *kind, struct error *error)
{
    struct str meant = str_of(kind);
    state->request.kind = meant.n > 0 ? meant : STR(KIND_DEFAULT);
    return name_check_kind(state->request.kind, error);
}

static enum err check_election(struct election_call *state, const char *kind, const char *election,
                               struct error *error)
{
    enum err err = check_kind(state, kind, error);
    if (err == EA_OK) {
        state->request.election = str_of(election);
        err = name_check("election", state->request.election, error);
    }
    return err;
}

/* `field` is what the request calls the candidate. */
static enum err check_candidate(struct election_call *state, const char *field, const char *name,
                                struct error *error)
{
    state->request.candidate = str_of(name);
    return name_check(field, state->request.candidate, error);
}

static enum err check_term(struct election_call *state, int32_t term_ms, struct error *error)
{
    const struct api_options *options = &state->call->lane->api->options;
    state->request.term_ms = term_ms;
    return range_check("term", term_ms, options->min_term_ms, options->max_term_ms, error);
}

/* Tokens are below 2^53 (base/hlc.h): one that is not never was one. */
static enum err check_token(const char *field, uint64_t token, uint64_t *out, struct error *error)
{
    *out = token;
    return token < HLC_LIMIT
               ? EA_OK
               : error_set(error, EA_INVALID, "%s: must be below 2^53, is %" PRIu64, field, token);
}

/* A feature that is not served must not be promised by silence. */
static enum err check_zero(const char *field, int32_t v, int64_t max, const char *feature,
                           struct error *error)
{
    enum err err = range_check(field, v, 0, max, error);
    if (err == EA_OK && v > 0) {
        err = error_set(error, EA_NOT_ENABLED, "%s: must be 0: this agent does not serve %s", field, feature);
    }
    return err;
}

static enum err check_candidacy(struct election_call *state, const PB(CampaignRequest) * in,
                                struct error *error)
{
    state->request.priority =
        in->priority_given_case == GRPC__ELECTION_AGENT__V1__CAMPAIGN_REQUEST__PRIORITY_GIVEN_PRIORITY
            ? in->priority
            : PRIORITY_DEFAULT;
    enum err err = range_check("priority", state->request.priority, 0, PRIORITY_MAX, error);
    if (err != EA_OK) {
        return err;
    }
    size_t n = strlen(in->metadata);
    if (n > METADATA_BYTES_MAX) {
        return error_set(error, EA_INVALID, "metadata: must be at most %d bytes, is %zu", METADATA_BYTES_MAX,
                         n);
    }
    return EA_OK;
}

enum err election_check_campaign(struct election_call *state, struct error *error)
{
    const PB(CampaignRequest) *in = REQUEST(CampaignRequest);
    enum err err = check_election(state, in->kind, in->election, error);
    if (err == EA_OK) {
        err = check_candidate(state, "candidate", in->candidate, error);
    }
    if (err == EA_OK) {
        err = check_term(state, in->term, error);
    }
    if (err == EA_OK) {
        err = check_candidacy(state, in, error);
    }
    if (err == EA_OK) {
        err = check_token("past", in->past, &state->request.past, error);
    }
    if (err == EA_OK) {
        err = check_zero("wait", in->wait, WAIT_MAX_MS, "campaigns that wait", error);
    }
    return err;
}

enum err election_check_extend(struct election_call *state, struct error *error)
{
    const PB(ExtendElectedTermRequest) *in = REQUEST(ExtendElectedTermRequest);
    enum err err = check_election(state, in->kind, in->election, error);
    if (err == EA_OK) {
        err = check_candidate(state, "leader", in->leader, error);
    }
    if (err == EA_OK) {
        err = check_term(state, in->term, error);
    }
    if (err == EA_OK) {
        err = check_token("token", in->token, &state->request.token, error);
    }
    if (err == EA_OK) {
        state->retries = in->retries;
        err = range_check("retries", in->retries, 0, RETRIES_MAX, error);
    }
    if (err == EA_OK) {
        state->retry_interval_ms = in->retry_interval;
        err = range_check("retry_interval", in->retry_interval, 0, RETRY_INTERVAL_MAX_MS, error);
    }
    return err;
}

enum err election_check_resign(struct election_call *state, struct error *error)
{
    const PB(ResignRequest) *in = REQUEST(ResignRequest);
    enum err err = check_election(state, in->kind, in->election, error);
    if (err == EA_OK) {
        err = check_candidate(state, "leader", in->leader, error);
    }
    if (err == EA_OK) {
        err = check_token("token", in->token, &state->request.token, error);
    }
    return err;
}

enum err election_check_handover(struct election_call *state, struct error *error)
{
    const PB(HandoverRequest) *in = REQUEST(HandoverRequest);
    enum err err = check_election(state, in->kind, in->election, error);
    if (err == EA_OK) {
        err = check_candidate(state, "leader", in->leader, error);
    }
    if (err == EA_OK) {
        err = check_term(state, in->term, error);
    }
    if (err == EA_OK && in->from[0] != '\0') {
        state->request.from = str_of(in->from);
        err = name_check("from", state->request.from, error);
    }
    if (err == EA_OK) {
        err = check_token("token", in->token, &state->request.token, error);
    }
    if (err == EA_OK) {
        err = check_zero("drain", in->drain, state->call->lane->api->options.max_term_ms,
                         "handovers that drain", error);
    }
    return err;
}

enum err election_check_get_leader(struct election_call *state, struct error *error)
{
    const PB(GetLeaderRequest) *in = REQUEST(GetLeaderRequest);
    return check_election(state, in->kind, in->election, error);
}

enum err election_check_get(struct election_call *state, struct error *error)
{
    const PB(GetElectionRequest) *in = REQUEST(GetElectionRequest);
    return check_election(state, in->kind, in->election, error);
}

enum err election_check_list_leaders(struct election_call *state, struct error *error)
{
    const PB(ListLeadersRequest) *in = REQUEST(ListLeadersRequest);
    enum err err = check_kind(state, in->kind, error);
    if (err == EA_OK) {
        err = range_check("page_size", in->page_size, 0, PAGE_SIZE_MAX, error);
    }
    if (err == EA_OK) {
        state->request.page_size = in->page_size > 0 ? (uint32_t)in->page_size : PAGE_SIZE_DEFAULT;
        state->request.after = str_of(in->page_token); /* the last name of the page before */
        err = in->page_token[0] != '\0' ? name_check("page_token", state->request.after, error) : EA_OK;
    }
    return err;
}
