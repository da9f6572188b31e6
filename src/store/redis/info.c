/*
 * OP_INFO: the quorum tells the tenure; what is kept for display (the election's meta and candidates) is then
 * asked of every server that holds it, and what they say is put together. Display only: a server that does not
 * answer is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/redis/internal.h"

#define CANDIDATES_MAX    100
#define ASK_MS            1000 /* for what is only shown */
#define CANDIDATE_KEPT_US INT64_C(60000000)

struct info;

struct question {
    struct redis_call call;
    struct info *info;
};

struct info {
    struct election_request inner; /* what the quorum is asked */
    struct election_request *outer;
    struct redis_group *group;
    struct loop_timer timer;
    unsigned open; /* questions without an answer; the last one frees */
    bool answered;
    bool remembered; /* something is known of it, though nobody may lead */
    int32_t term_ms;
    struct wall elected_at;
    struct election_candidate candidates[CANDIDATES_MAX];
    size_t n_candidates;
    struct election_event events[ELECTION_EVENTS_KEPT];
    size_t n_events; /* in any order until they are sorted */
    struct question questions[];
};

/* --- what servers say --- */

static bool take_wall(struct str text, struct wall *out)
{
    return str_to_i64(text, &out->us) && out->us >= 0;
}

static struct str keep(struct info *info, struct str text)
{
    return arena_str(info->outer->arena, text);
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

static bool is_name_or_empty(struct str name)
{
    struct error ignored;
    return name.n == 0 || name_check("name", name, &ignored) == EA_OK;
}

/* "wall\taction\ttoken\tleader\tprevious" */
static bool take_event(struct info *info, struct str line, struct election_event *out)
{
    struct str part[5];
    for (unsigned i = 0; i < 5; i++) {
        if (!str_split(&line, '\t', &part[i])) {
            return false;
        }
    }
    if (line.p != NULL || !take_wall(part[0], &out->at) || !take_action(part[1], &out->action) ||
        !str_to_u64(part[2], &out->token) || part[3].n == 0 || !is_name_or_empty(part[3]) ||
        !is_name_or_empty(part[4])) {
        return false;
    }
    out->kind = info->outer->kind;
    out->election = info->outer->election;
    out->leader = keep(info, part[3]);
    out->previous = keep(info, part[4]);
    return true;
}

static bool has_event(const struct info *info, const struct election_event *event)
{
    for (size_t i = 0; i < info->n_events; i++) {
        if (info->events[i].token == event->token && info->events[i].action == event->action) {
            return true;
        }
    }
    return false;
}

/* Of a tenure: what ends it comes behind what began it. */
static int part(enum election_action action)
{
    return action == ACTION_ELECTED || action == ACTION_HANDED_OVER ? 0 : 1;
}

/* Nodes answer in any order, and what happened at one moment is told apart by its token. */
static int older_event(const void *a, const void *b)
{
    const struct election_event *x = a;
    const struct election_event *y = b;
    if (x->at.us != y->at.us) {
        return x->at.us < y->at.us ? -1 : 1;
    }
    if (x->token != y->token) {
        return x->token < y->token ? -1 : 1;
    }
    return part(x->action) - part(y->action);
}

/* Each node misses some events, so that its last hundred reach back further than those of all nodes together: the
 * oldest has to give way to a newer one. */
static void add_event(struct info *info, const struct election_event *event)
{
    if (info->n_events < ELECTION_EVENTS_KEPT) {
        info->events[info->n_events++] = *event;
        return;
    }
    struct election_event *oldest = &info->events[0];
    for (size_t i = 1; i < info->n_events; i++) {
        oldest = older_event(&info->events[i], oldest) < 0 ? &info->events[i] : oldest;
    }
    if (older_event(oldest, event) < 0) {
        *oldest = *event;
    }
}

static void take_events(struct info *info, struct str text)
{
    unsigned taken = 0; /* of this node */
    for (struct str line; taken < ELECTION_EVENTS_KEPT && str_split(&text, '\n', &line); taken++) {
        struct election_event event;
        if (take_event(info, line, &event) && !has_event(info, &event)) {
            add_event(info, &event);
        }
    }
}

/* [term, elected_at, events] of HMGET */
static enum err take_meta(struct info *info, const struct resp_value *value)
{
    int64_t term;
    struct wall elected_at;
    if (value->type == RESP_ERROR) {
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n != 3) {
        return EA_PROTOCOL;
    }
    info->remembered = info->remembered || value->items[2].type == RESP_STRING;
    if (resp_to_i64(&value->items[0], &term) && term > 0 && term <= INT32_MAX &&
        value->items[1].type == RESP_STRING && take_wall(value->items[1].str, &elected_at) &&
        elected_at.us > info->elected_at.us) {
        info->term_ms = (int32_t)term;
        info->elected_at = elected_at;
    }
    if (value->items[2].type == RESP_STRING) {
        take_events(info, value->items[2].str);
    }
    return EA_OK;
}

static void take_candidate(struct info *info, struct str text, struct wall seen)
{
    struct str name;
    struct str digits;
    int64_t priority;
    /* A third part says that it comes from a sign of life. */
    if (!str_split(&text, '\t', &name) || name.n == 0 || !is_name_or_empty(name) ||
        !str_split(&text, '\t', &digits) || !str_to_i64(digits, &priority) || priority < INT32_MIN ||
        priority > INT32_MAX) {
        return;
    }
    for (size_t i = 0; i < info->n_candidates; i++) {
        struct election_candidate *candidate = &info->candidates[i];
        if (str_eq(candidate->name, name)) {
            if (seen.us > candidate->last_seen.us) {
                candidate->last_seen = seen;
                candidate->priority = (int32_t)priority;
            }
            return;
        }
    }
    if (info->n_candidates < CANDIDATES_MAX) {
        info->candidates[info->n_candidates++] = (struct election_candidate){
            .name = keep(info, name), .priority = (int32_t)priority, .last_seen = seen};
    }
}

/* [name and priority, last seen, ...] of ZREVRANGE */
static enum err take_candidates(struct info *info, const struct resp_value *value)
{
    if (value->type == RESP_ERROR) {
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n % 2 != 0) {
        return EA_PROTOCOL;
    }
    for (size_t i = 0; i < value->n; i += 2) {
        struct wall seen;
        if (value->items[i].type == RESP_STRING && value->items[i + 1].type == RESP_STRING) {
            double score = strtod(arena_str(info->outer->arena, value->items[i + 1].str).p, NULL);
            seen.us = score > 0 && score < 9e15 ? (int64_t)score : 0;
            take_candidate(info, value->items[i].str, seen);
        }
    }
    return EA_OK;
}

/* --- the answer --- */

static int newer_candidate(const void *a, const void *b)
{
    const struct election_candidate *x = a;
    const struct election_candidate *y = b;
    return x->last_seen.us < y->last_seen.us ? 1 : x->last_seen.us > y->last_seen.us ? -1 : 0;
}

static void fill_tenure(struct info *info)
{
    struct election_request *outer = info->outer;
    struct election_tenure *tenure = &outer->tenure;
    *tenure = info->inner.tenure;
    tenure->leader = keep(info, info->inner.tenure.leader);
    if (tenure->leader.n > 0) {
        struct mono now = loop_now(info->group->lane->loop);
        int64_t left_us = mono_sub(tenure->expires, now);
        tenure->term_ms = info->term_ms > 0 ? info->term_ms : tenure->term_ms;
        tenure->elected_at = info->elected_at;
        int64_t since_us = (int64_t)tenure->term_ms * 1000 - left_us;
        tenure->renewed_at.us = loop_wall(info->group->lane->loop).us - (since_us > 0 ? since_us : 0);
    }
}

/* The leader always is a candidate, the others for a minute (spec: redis.md). */
static void forget_candidates(struct info *info)
{
    const struct election_request *outer = info->outer;
    int64_t now_us = loop_wall(info->group->lane->loop).us;
    size_t n = 0;
    for (size_t i = 0; i < info->n_candidates; i++) {
        struct election_candidate *candidate = &info->candidates[i];
        candidate->leading = str_eq(candidate->name, outer->tenure.leader);
        if (candidate->leading || now_us - candidate->last_seen.us < CANDIDATE_KEPT_US) {
            info->candidates[n++] = *candidate;
        }
    }
    info->n_candidates = n;
}

static void fill_lists(struct info *info)
{
    struct election_request *outer = info->outer;
    forget_candidates(info);
    qsort(info->candidates, info->n_candidates, sizeof info->candidates[0], newer_candidate);
    qsort(info->events, info->n_events, sizeof info->events[0], older_event);
    outer->info.n_candidates = info->n_candidates;
    outer->info.candidates = arena_alloc(outer->arena, (info->n_candidates + 1) * sizeof info->candidates[0]);
    memcpy(outer->info.candidates, info->candidates, info->n_candidates * sizeof info->candidates[0]);
    outer->info.n_events = info->n_events;
    outer->info.events = arena_alloc(outer->arena, (info->n_events + 1) * sizeof info->events[0]);
    memcpy(outer->info.events, info->events, info->n_events * sizeof info->events[0]);
}

static void finish(struct info *info)
{
    struct election_request *outer = info->outer;
    if (!info->answered) {
        info->answered = true;
        loop_timer_stop(info->group->lane->loop, &info->timer);
        if (info->inner.err == EA_OK || (info->inner.err == EA_NOT_FOUND && info->remembered)) {
            outer->err = EA_OK;
            fill_tenure(info);
            fill_lists(info);
            listen_learnt(info->group->lane->store, outer);
            outer->done(outer);
        } else {
            redis_refuse(outer, info->inner.err, info->inner.why);
        }
    }
    if (info->open == 0) {
        mem_free(info);
    }
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    finish(CONTAINER_OF(timer, struct info, timer));
}

static void question_over(struct question *question)
{
    struct info *info = question->info;
    info->open--;
    if (info->open == 0) {
        finish(info);
    }
}

static enum err on_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct question *question = CONTAINER_OF(call, struct question, call);
    struct info *info = question->info;
    enum err err = EA_OK;
    if (!info->answered) { /* else the arena is gone */
        err = call->replies == 1 ? take_meta(info, value) : take_candidates(info, value);
    }
    if (call->replies == 0) {
        question_over(question);
    }
    return err;
}

static void on_lost(struct redis_conn *conn, struct redis_call *call)
{
    question_over(CONTAINER_OF(call, struct question, call));
}

/* --- the questions --- */

static void ask(struct info *info, struct question *question, struct redis_server *server)
{
    const struct redis_keys *keys = &server->lane->store->keys;
    char key[REDIS_KEY_BYTES_MAX];
    question->info = info;
    question->call = (struct redis_call){.replies = 2, .reply = on_reply, .lost = on_lost};
    info->open++;
    struct buf *out = server_call(server, &question->call);
    size_t n = redis_key_write(keys, REDIS_KEY_META, info->outer->kind, info->outer->election, key);
    resp_begin(out, 5);
    resp_add(out, STR("HMGET"));
    resp_add(out, (struct str){key, n});
    resp_add(out, STR("term"));
    resp_add(out, STR("elected_at"));
    resp_add(out, STR("events"));
    n = redis_key_write(keys, REDIS_KEY_CANDIDATES, info->outer->kind, info->outer->election, key);
    resp_begin(out, 5);
    resp_add(out, STR("ZREVRANGE"));
    resp_add(out, (struct str){key, n});
    resp_add(out, STR("0"));
    resp_add_u64(out, CANDIDATES_MAX - 1);
    resp_add(out, STR("WITHSCORES"));
}

static void decided(struct election_request *inner)
{
    struct info *info = inner->user;
    struct redis_group *group = info->group;
    struct loop *loop = group->lane->loop;
    inner->why = keep(info, inner->why);
    inner->tenure.leader = keep(info, inner->tenure.leader);
    if (inner->err == EA_OK || inner->err == EA_NOT_FOUND) {
        for (unsigned i = 0; i < group->lane->store->n_nodes; i++) {
            struct redis_server *server = group->seats[i].server;
            if (server != NULL && conn_is_ready(&server->conn)) {
                ask(info, &info->questions[i], server);
            }
        }
    }
    if (info->open == 0) {
        finish(info);
        return;
    }
    info->timer.fire = on_timer;
    loop_timer_start(loop, &info->timer,
                     mono_min(mono_add_ms(loop_now(loop), ASK_MS), info->outer->deadline));
}

void redis_info_submit(struct redis_group *group, struct election_request *request)
{
    size_t nodes = group->lane->store->n_nodes;
    struct info *info = mem_zalloc(sizeof *info + nodes * sizeof info->questions[0]);
    info->inner = *request;
    info->inner.done = decided;
    info->inner.user = info;
    info->outer = request;
    info->group = group;
    group_submit(group, &info->inner);
}
