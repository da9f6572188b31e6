/* The answers of the service Election that have lists in them: one election in full, and the leaders of a
 * kind. */
#include "api/election.h"
#include "api/pb.h"

char *election_text(const struct call *call, struct str text)
{
    char *copy = arena_alloc(call->arena, text.n + 1);
    if (text.n > 0) {
        memcpy(copy, text.p, text.n);
    }
    copy[text.n] = '\0';
    return copy;
}

static char *time_text(const struct call *call, struct wall t)
{
    char *text = arena_alloc(call->arena, WALL_TEXT_BYTES);
    wall_format(t, text);
    return text;
}

/* n messages of `bytes` each, and the array of pointers to them that protobuf-c wants. */
static void *repeated(const struct call *call, size_t n, size_t bytes, void ***pointers)
{
    *pointers = arena_alloc(call->arena, n * sizeof **pointers);
    char *messages = arena_alloc(call->arena, n * bytes);
    for (size_t i = 0; i < n; i++) {
        (*pointers)[i] = messages + i * bytes;
    }
    return messages;
}

static void add_candidates(const struct call *call, PB(ElectionInfo) * out, const struct election_info *info)
{
    PB(Candidate) *candidates =
        repeated(call, info->n_candidates, sizeof *candidates, (void ***)(void *)&out->candidates);
    out->n_candidates = info->n_candidates;
    for (size_t i = 0; i < info->n_candidates; i++) {
        const struct election_candidate *from = &info->candidates[i];
        candidates[i] = (PB(Candidate))GRPC__ELECTION_AGENT__V1__CANDIDATE__INIT;
        candidates[i].name = election_text(call, from->name);
        candidates[i].priority = from->priority;
        candidates[i].last_seen = time_text(call, from->last_seen);
        candidates[i].leading = from->leading && out->leader[0] != '\0';
    }
}

static void add_events(const struct call *call, PB(ElectionInfo) * out, const struct election_info *info)
{
    PB(ElectionEvent) *events =
        repeated(call, info->n_events, sizeof *events, (void ***)(void *)&out->events);
    out->n_events = info->n_events;
    for (size_t i = 0; i < info->n_events; i++) {
        const struct election_event *from = &info->events[i];
        events[i] = (PB(ElectionEvent))GRPC__ELECTION_AGENT__V1__ELECTION_EVENT__INIT;
        events[i].at = time_text(call, from->at);
        events[i].action = election_text(call, str_of(election_action_word(from->action)));
        events[i].kind = out->kind;
        events[i].election = out->election;
        events[i].leader = election_text(call, from->leader);
        events[i].previous = election_text(call, from->previous);
        events[i].token = from->token;
    }
}

void election_view_info(struct election_call *state, int64_t left_ms)
{
    const struct call *call = state->call;
    const struct election_request *request = &state->request;
    const struct election_tenure *tenure = &request->tenure;
    PB(ElectionInfo) out = GRPC__ELECTION_AGENT__V1__ELECTION_INFO__INIT;
    out.kind = election_text(call, request->kind);
    out.election = election_text(call, request->election);
    if (tenure->leader.n > 0 && left_ms > 0) { /* nobody is shown as leader past the end of the term */
        out.leader = election_text(call, tenure->leader);
        out.token = tenure->token;
        out.expires_in = left_ms;
        out.term = tenure->term_ms;
        out.elected_at = time_text(call, tenure->elected_at);
        out.renewed_at = time_text(call, tenure->renewed_at);
    }
    add_candidates(call, &out, &request->info);
    add_events(call, &out, &request->info);
    call_answer(state->call, &out.base);
}

void election_view_list(struct election_call *state)
{
    const struct call *call = state->call;
    const struct election_list *list = &state->request.list;
    PB(Leaders) out = GRPC__ELECTION_AGENT__V1__LEADERS__INIT;
    PB(Leader) *leaders = repeated(call, list->n, sizeof *leaders, (void ***)(void *)&out.leaders);
    out.n_leaders = list->n;
    for (size_t i = 0; i < list->n; i++) {
        leaders[i] = (PB(Leader))GRPC__ELECTION_AGENT__V1__LEADER__INIT;
        leaders[i].election = election_text(call, list->leaders[i].election);
        leaders[i].name = election_text(call, list->leaders[i].leader);
        leaders[i].token = list->leaders[i].token;
    }
    if (list->more && list->n > 0) {
        out.next_page_token = leaders[list->n - 1].election;
    }
    call_answer(state->call, &out.base);
}
