#include "store/redis/recall.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/names.h"

#define CANDIDATES_KEPT   64 /* besides the leader */
#define CANDIDATE_KEPT_US INT64_C(60000000)
#define PRIORITY          1                     /* of a candidate that never said one */
#define WEEK_US           INT64_C(604800000000) /* the fence outlives the lease by so much: scripts/common.lua */

void recall_init(struct recall *recall, unsigned nodes, struct arena *arena)
{
    *recall = (struct recall){.nodes = nodes, .quorum = nodes / 2 + 1, .arena = arena, .priority = PRIORITY};
    recall->events = arena_alloc(arena, (size_t)nodes * ELECTION_EVENTS_KEPT * sizeof recall->events[0]);
    recall->candidates =
        arena_alloc(arena, ((size_t)nodes * RECALL_CANDIDATES_MAX + 2) * sizeof recall->candidates[0]);
    for (unsigned i = 0; i < nodes; i++) {
        recall->oldest[i] = UINT64_MAX;
    }
}

/* --- what a node says --- */

static bool take_wall(struct str text, struct wall *out)
{
    return str_to_i64(text, &out->us) && out->us >= 0;
}

static bool take_i32(struct str text, int32_t *out)
{
    int64_t number;
    bool fits = str_to_i64(text, &number) && number >= INT32_MIN && number <= INT32_MAX;
    *out = fits ? (int32_t)number : *out;
    return fits;
}

static bool take_action(struct str word, enum election_action *out)
{
    for (unsigned i = 0; i < ACTION_COUNT; i++) {
        if (str_eq(word, str_of(election_action_word((enum election_action)i)))) {
            *out = (enum election_action)i;
            return true;
        }
    }
    return false;
}

static bool is_name(struct str name)
{
    struct error ignored;
    return name_check("name", name, &ignored) == EA_OK;
}

static bool begins(enum election_action action)
{
    return action == ACTION_ELECTED || action == ACTION_HANDED_OVER;
}

/* "wall\taction\ttoken\tleader\tprevious" */
static bool take_event(struct str line, struct election_event *out)
{
    struct str part[5];
    for (unsigned i = 0; i < 5; i++) {
        if (!str_split(&line, '\t', &part[i])) {
            return false;
        }
    }
    *out = (struct election_event){.leader = part[3], .previous = part[4]};
    return line.p == NULL && take_wall(part[0], &out->at) && take_action(part[1], &out->action) &&
           str_to_u64(part[2], &out->token) && out->token > 0 && is_name(part[3]) &&
           (part[4].n == 0 || is_name(part[4]));
}

/* Nodes may differ: one that had lost the old leader's tenure was elected on what the others handed over, or found a
 * tenure expired that the others saw resigned. The more they know, the greater. */
static int knowledge(const struct election_event *event)
{
    return event->action == ACTION_HANDED_OVER || event->action == ACTION_RESIGNED ||
           event->action == ACTION_STEPPED_DOWN;
}

static bool tells_more(const struct election_event *a, const struct election_event *b)
{
    return knowledge(a) != knowledge(b) ? knowledge(a) > knowledge(b) : a->at.us > b->at.us;
}

static void add_event(struct recall *recall, unsigned node, struct election_event *event)
{
    uint16_t bit = (uint16_t)(1U << node);
    recall->oldest[node] = event->token < recall->oldest[node] ? event->token : recall->oldest[node];
    event->leader = arena_str(recall->arena, event->leader);
    event->previous = arena_str(recall->arena, event->previous);
    for (size_t i = 0; i < recall->n_events; i++) {
        struct recall_event *kept = &recall->events[i];
        if (kept->event.token == event->token && begins(kept->event.action) == begins(event->action)) {
            kept->nodes |= bit;
            if (tells_more(event, &kept->event)) {
                kept->event = *event;
            }
            return;
        }
    }
    recall->events[recall->n_events++] = (struct recall_event){*event, bit};
}

enum err recall_take_meta(struct recall *recall, unsigned node, const struct resp_value *value)
{
    struct wall elected_at = {0};
    int32_t term_ms = 0;
    int32_t priority = PRIORITY;
    unsigned events = 0;
    if (value->type == RESP_ERROR) {
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n % 2 != 0) {
        return EA_PROTOCOL;
    }
    for (size_t i = 0; i < value->n; i += 2) {
        struct election_event event;
        struct str field = value->items[i].str;
        struct str text = value->items[i + 1].str;
        if (value->items[i].type != RESP_STRING || value->items[i + 1].type != RESP_STRING) {
            return EA_PROTOCOL;
        }
        if (str_eq(field, STR("term"))) {
            (void)take_i32(text, &term_ms);
        } else if (str_eq(field, STR("priority"))) {
            (void)take_i32(text, &priority);
        } else if (str_eq(field, STR("elected_at"))) {
            (void)take_wall(text, &elected_at);
        } else if (str_starts(field, STR("e")) && events < ELECTION_EVENTS_KEPT && take_event(text, &event)) {
            add_event(recall, node, &event);
            events++;
        }
    }
    recall->any = recall->any || value->n > 0;
    if (elected_at.us > recall->elected_at.us) {
        recall->elected_at = elected_at;
        recall->term_ms = term_ms > 0 ? term_ms : 0;
        recall->priority = priority;
    }
    return EA_OK;
}

static void add_candidate(struct recall *recall, struct str name, int32_t priority, struct wall seen)
{
    for (size_t i = 0; i < recall->n_candidates; i++) {
        struct election_candidate *candidate = &recall->candidates[i];
        if (str_eq(candidate->name, name)) {
            if (seen.us > candidate->last_seen.us) {
                candidate->last_seen = seen;
                candidate->priority = priority;
            }
            return;
        }
    }
    assert(recall->n_candidates < (size_t)recall->nodes * RECALL_CANDIDATES_MAX + 2);
    recall->candidates[recall->n_candidates++] = (struct election_candidate){
        .name = arena_str(recall->arena, name), .priority = priority, .last_seen = seen};
}

/* "name\tpriority", with a third part if it comes from a sign of life (beat.lua). */
static void take_candidate(struct recall *recall, struct str text, struct wall seen)
{
    struct str name;
    struct str digits;
    int32_t priority = PRIORITY;
    if (str_split(&text, '\t', &name) && is_name(name) && str_split(&text, '\t', &digits) &&
        take_i32(digits, &priority)) {
        add_candidate(recall, name, priority, seen);
    }
}

enum err recall_take_candidates(struct recall *recall, const struct resp_value *value)
{
    if (value->type == RESP_ERROR) {
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n % 2 != 0 || value->n / 2 > RECALL_CANDIDATES_MAX) {
        return EA_PROTOCOL;
    }
    for (size_t i = 0; i < value->n; i += 2) {
        struct wall seen;
        if (value->items[i].type == RESP_STRING && value->items[i + 1].type == RESP_STRING) {
            double score = strtod(arena_str(recall->arena, value->items[i + 1].str).p, NULL);
            seen.us = score > 0 && score < 9e15 ? (int64_t)score : 0;
            take_candidate(recall, value->items[i].str, seen);
        }
    }
    return EA_OK;
}

enum err recall_take_fence(struct recall *recall, const struct resp_value *value, struct wall now)
{
    int64_t left_ms;
    if (value->type == RESP_ERROR) {
        return EA_OK;
    }
    if (!resp_to_i64(value, &left_ms)) {
        return EA_PROTOCOL;
    }
    if (left_ms > 0 && left_ms <= 2 * (WEEK_US / 1000)) {
        assert(recall->n_ended < recall->nodes);
        recall->ended_at[recall->n_ended++].us = now.us + left_ms * 1000 - WEEK_US;
    }
    return EA_OK;
}

/* --- what they know together --- */

static int in_order(const void *a, const void *b)
{
    const struct election_event *x = &((const struct recall_event *)a)->event;
    const struct election_event *y = &((const struct recall_event *)b)->event;
    if (x->token != y->token) {
        return x->token < y->token ? -1 : 1;
    }
    return begins(y->action) - begins(x->action);
}

/* Whether a quorum can have held it: those that remember it, and those whose memory does not reach back so far. */
static bool can_be(const struct recall *recall, uint64_t token)
{
    uint16_t nodes = 0;
    unsigned n = 0;
    for (size_t i = 0; i < recall->n_events; i++) {
        nodes |= recall->events[i].event.token == token ? recall->events[i].nodes : 0;
    }
    for (unsigned i = 0; i < recall->nodes; i++) {
        n += (nodes >> i & 1) != 0 || recall->oldest[i] > token;
    }
    return n >= recall->quorum;
}

/* Of events in order: the one behind an end that only some nodes have noted says that the election was handed over. */
static bool was_handed_over(const struct recall *recall, size_t i)
{
    const struct election_event *next = i + 1 < recall->n_events ? &recall->events[i + 1].event : NULL;
    return next != NULL && next->action == ACTION_HANDED_OVER &&
           str_eq(next->previous, recall->events[i].event.leader);
}

/* Leaves what a quorum can have held; `running` is the token of who leads. */
static void sort_out(struct recall *recall, uint64_t running)
{
    struct recall_event *kept = arena_alloc(recall->arena, (recall->n_events + 1) * sizeof *kept);
    size_t n = 0;
    for (size_t i = 0; i < recall->n_events; i++) {
        const struct election_event *event = &recall->events[i].event;
        bool runs = event->token == running;
        if (runs ? begins(event->action) : can_be(recall, event->token)) {
            kept[n++] = recall->events[i];
        }
    }
    recall->events = kept;
    recall->n_events = n;
    qsort(kept, n, sizeof *kept, in_order);
    n = 0;
    for (size_t i = 0; i < recall->n_events; i++) {
        if (kept[i].event.action != ACTION_EXPIRED || !was_handed_over(recall, i)) {
            kept[n++] = kept[i];
        }
    }
    recall->n_events = n;
    for (size_t i = 1; i < n; i++) { /* not every node knew who was the last one before */
        if (kept[i].event.action == ACTION_ELECTED) {
            kept[i].event.previous = kept[i - 1].event.leader;
        }
    }
}

/* Until when a quorum had the last lease: a grant that failed on one node says nothing. 0: not known. */
static struct wall ended(const struct recall *recall)
{
    struct wall best = {0};
    for (unsigned i = 0; i < recall->n_ended; i++) {
        unsigned n = 0;
        for (unsigned k = 0; k < recall->n_ended; k++) {
            n += recall->ended_at[k].us >= recall->ended_at[i].us;
        }
        if (n >= recall->quorum && recall->ended_at[i].us > best.us) {
            best = recall->ended_at[i];
        }
    }
    return best;
}

/* Nobody leads, and nobody has noted how the last tenure ended. False: or it began a moment ago. */
static bool end_last(const struct recall *recall, struct wall now, struct election_event *out)
{
    const struct election_event *last =
        recall->n_events > 0 ? &recall->events[recall->n_events - 1].event : NULL;
    struct wall at = ended(recall);
    if (last == NULL || !begins(last->action) || at.us == 0 || at.us > now.us) {
        return false;
    }
    *out = (struct election_event){
        .at = at, .action = ACTION_EXPIRED, .leader = last->leader, .token = last->token};
    return true;
}

static void answer_events(struct recall *recall, struct wall now, struct election_request *request)
{
    struct election_info *info = &request->info;
    struct election_event end;
    sort_out(recall, request->tenure.token);
    bool expired = request->tenure.leader.n == 0 && end_last(recall, now, &end);
    size_t most = ELECTION_EVENTS_KEPT - expired;
    size_t first = recall->n_events > most ? recall->n_events - most : 0;
    info->events = arena_alloc(recall->arena, (recall->n_events + 1) * sizeof info->events[0]);
    for (size_t i = first; i < recall->n_events; i++) {
        info->events[info->n_events++] = recall->events[i].event;
    }
    if (expired) {
        info->events[info->n_events++] = end;
        add_candidate(recall, end.leader, recall->priority,
                      (struct wall){end.at.us - (int64_t)recall->term_ms * 1000});
    }
    for (size_t i = 0; i < info->n_events; i++) {
        info->events[i].kind = request->kind;
        info->events[i].election = request->election;
    }
}

static void answer_tenure(const struct recall *recall, struct quorum_now now,
                          struct election_request *request)
{
    struct election_tenure *tenure = &request->tenure;
    for (size_t i = 0; i < recall->n_events; i++) {
        const struct election_event *event = &recall->events[i].event;
        if (event->token == tenure->token && begins(event->action)) {
            tenure->elected_at = event->at;
        }
    }
    /* A tenure that nothing is remembered of, or a foreign agent's. */
    if (tenure->elected_at.us == 0 || tenure->elected_at.us != recall->elected_at.us) {
        return;
    }
    tenure->term_ms = recall->term_ms;
    int64_t since_us = (int64_t)tenure->term_ms * 1000 - mono_sub(tenure->expires, now.mono);
    tenure->renewed_at.us = now.wall.us - (since_us > 0 ? since_us : 0);
}

static int most_recently_seen_first(const void *a, const void *b)
{
    const struct election_candidate *x = a;
    const struct election_candidate *y = b;
    if (x->last_seen.us != y->last_seen.us) {
        return x->last_seen.us < y->last_seen.us ? 1 : -1;
    }
    return x->leading != y->leading ? (int)y->leading - (int)x->leading : str_cmp(x->name, y->name);
}

/* The leader is shown as its tenure says. What it said when it stood is older than its election, unless it says it with
 * every sign of life. */
static void mark_leader(struct recall *recall, const struct election_tenure *tenure, struct wall now)
{
    struct wall seen = tenure->renewed_at.us != 0 ? tenure->renewed_at : now;
    bool known = tenure->elected_at.us != 0 && tenure->elected_at.us == recall->elected_at.us;
    add_candidate(recall, tenure->leader, known ? recall->priority : PRIORITY, tenure->elected_at);
    for (size_t i = 0; i < recall->n_candidates; i++) {
        struct election_candidate *candidate = &recall->candidates[i];
        if (str_eq(candidate->name, tenure->leader)) {
            bool says = candidate->last_seen.us > tenure->elected_at.us;
            candidate->priority = known && !says ? recall->priority : candidate->priority;
            candidate->last_seen = seen;
            candidate->leading = true;
        }
    }
}

static void answer_candidates(struct recall *recall, struct wall now, struct election_request *request)
{
    struct election_info *info = &request->info;
    size_t others = 0;
    if (request->tenure.leader.n > 0) {
        mark_leader(recall, &request->tenure, now);
    }
    qsort(recall->candidates, recall->n_candidates, sizeof recall->candidates[0], most_recently_seen_first);
    info->candidates = recall->candidates;
    for (size_t i = 0; i < recall->n_candidates; i++) {
        const struct election_candidate *candidate = &recall->candidates[i];
        bool fresh = now.us - candidate->last_seen.us < CANDIDATE_KEPT_US && others < CANDIDATES_KEPT;
        if (candidate->leading || fresh) {
            others += candidate->leading ? 0 : 1;
            info->candidates[info->n_candidates++] = *candidate;
        }
    }
}

void recall_answer(struct recall *recall, struct quorum_now now, struct election_request *request)
{
    request->info = (struct election_info){.n_events = 0};
    answer_events(recall, now.wall, request);
    if (request->tenure.leader.n > 0) {
        answer_tenure(recall, now, request);
    }
    answer_candidates(recall, now.wall, request);
}
