#include "client/failover.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/lease.h"

#define TICK_SPREAD_PERCENT 20
#define DEFER_TICKS         2           /* so long a free election is left to a better node that is alive */
#define HURRY_MS            INT64_C(20) /* after a hint the nodes don't all come in the same moment */

const struct sm_state failover_states[ELECTION_OVER + 1] = {
    [ELECTION_FOLLOWING] = {"following", SM_TO(ELECTION_STANDING) | SM_TO(ELECTION_OVER), false},
    [ELECTION_STANDING] = {"standing",
                           SM_TO(ELECTION_FOLLOWING) | SM_TO(ELECTION_LEADING) | SM_TO(ELECTION_GIVING) |
                               SM_TO(ELECTION_OVER),
                           false},
    [ELECTION_LEADING] = {"leading", SM_TO(ELECTION_STOPPING), false},
    [ELECTION_STOPPING] = {"stopping",
                           SM_TO(ELECTION_GIVING) | SM_TO(ELECTION_FOLLOWING) | SM_TO(ELECTION_OVER), false},
    [ELECTION_GIVING] = {"giving", SM_TO(ELECTION_FOLLOWING) | SM_TO(ELECTION_OVER), false},
    [ELECTION_OVER] = {"over", 0, true},
};

static void move(struct failover *f, enum election_state to)
{
    sm_move(&f->state, to);
}

static void note(struct failover *f, enum election_act act, const char *node, uint64_t token, const char *why)
{
    f->settings.hooks.note(f->settings.hooks.arg, act, node, token, why);
}

static void set_name(char to[ELECTION_NAME_BYTES], const char *from)
{
    (void)snprintf(to, ELECTION_NAME_BYTES, "%s", from);
}

static bool is_self(const struct failover *f, const char *name)
{
    return strcmp(name, f->settings.node_id) == 0;
}

static struct mono tick_after(struct failover *f, struct mono now)
{
    int64_t spread_us = f->settings.tick_ms * 1000 * TICK_SPREAD_PERCENT / 100;
    return mono_add_us(now, rng_range(&f->rng, f->settings.tick_ms * 1000 - spread_us,
                                      f->settings.tick_ms * 1000 + spread_us));
}

static void pause_for_ms(struct failover *f, struct mono now, int64_t ms)
{
    f->pause_until = mono_max(f->pause_until, mono_add_ms(now, ms));
}

/* --- who leads --- */

static struct failover_node *find_node(struct failover *f, const char *name)
{
    for (size_t i = 0; i < f->n_nodes; i++) {
        if (strcmp(f->nodes[i].name, name) == 0) {
            return &f->nodes[i];
        }
    }
    return NULL;
}

/* A leader whose end came before a successor is not alive because of what it said before: it died, or it left. */
static void doubt(struct failover *f, const char *name, struct mono now)
{
    struct failover_node *node = find_node(f, name);
    set_name(f->doubted, name);
    f->doubted_at = now;
    if (node != NULL) {
        note(f, ELECTION_ACT_LEFT, name, 0, "its leadership is over");
        *node = f->nodes[--f->n_nodes];
    }
}

static void know_leader(struct failover *f, const char *leader, uint64_t token, struct mono now)
{
    bool same = strcmp(f->leader, leader) == 0;
    char previous[ELECTION_NAME_BYTES];
    if (same && (token == 0 || token == f->leader_token || f->leader_token == 0)) {
        f->leader_token = token != 0 ? token : f->leader_token;
        return;
    }
    set_name(previous, f->leader);
    if (leader[0] == '\0') {
        note(f, ELECTION_ACT_LOST, previous, f->leader_token, "nobody leads");
    } else {
        note(f, ELECTION_ACT_ELECTED, leader, token, "");
    }
    if (previous[0] != '\0' && !is_self(f, previous) && (leader[0] == '\0' || is_self(f, leader))) {
        doubt(f, previous, now);
    }
    set_name(f->leader, leader);
    f->leader_token = token;
    f->settings.hooks.change(f->settings.hooks.arg, leader, previous, token);
}

/* Our own end is no news of somebody else's: it was noted where it began. */
static void forget_leader(struct failover *f)
{
    char previous[ELECTION_NAME_BYTES];
    if (f->leader[0] != '\0') {
        set_name(previous, f->leader);
        f->leader[0] = '\0';
        f->leader_token = 0;
        f->settings.hooks.change(f->settings.hooks.arg, "", previous, 0);
    }
}

/* --- the end of a leadership --- */

static void begin_stop_callback(struct failover *f, struct mono now)
{
    assert(f->callback != 0 && !f->starting && !f->stopping); /* F2 */
    f->stopping = true;
    f->stop_late_at = mono_add_ms(now, FAILOVER_STOP_MS);
    f->settings.hooks.stop(f->settings.hooks.arg, f->callback);
}

/* Callbacks are over, or had their time: what is still ours is given, and then the node follows. */
static void leave_stopping(struct failover *f, struct mono now)
{
    assert(!f->starting || f->closing); /* F3 */
    f->stop_late_at = MONO_NEVER;
    if (f->owned && !f->starting) {
        move(f, ELECTION_GIVING);
        return;
    }
    f->token = 0;
    move(f, f->closing ? ELECTION_OVER : ELECTION_FOLLOWING);
    f->tick_at = mono_min(f->tick_at, tick_after(f, now));
}

static void stop_leading(struct failover *f, struct mono now, bool owned)
{
    f->settings.hooks.lead(f->settings.hooks.arg, (struct mono){0}, 0);
    f->settings.hooks.end(f->settings.hooks.arg, f->token);
    move(f, ELECTION_STOPPING);
    f->owned = owned;
    f->keep_until = owned ? mono_add_ms(now, f->settings.ttl_ms) : now;
    f->past = f->token > f->past ? f->token : f->past;
    f->beat_due = true; /* it stands no more: others must not wait for it, nor hand over to it */
    forget_leader(f);
    if (!f->starting) {
        begin_stop_callback(f, now);
    }
}

static void lose(struct failover *f, struct mono now, const char *why)
{
    if (sm_now(&f->state) == ELECTION_LEADING) {
        note(f, ELECTION_ACT_LOST, f->settings.node_id, f->token, why);
        stop_leading(f, now, false);
    } else {
        f->owned = false;
    }
    pause_for_ms(f, now, f->settings.tick_ms);
}

static void step_down(struct failover *f, struct mono now, bool owned, const char *why)
{
    note(f, ELECTION_ACT_STEPPED_DOWN, f->settings.node_id, f->token, why);
    stop_leading(f, now, owned);
}

void failover_step_down(struct failover *f, struct mono now)
{
    if (sm_now(&f->state) == ELECTION_LEADING) {
        pause_for_ms(f, now, f->settings.ttl_ms);
        step_down(f, now, true, "it was asked to");
    }
}

void failover_lapsed(struct failover *f, struct mono now)
{
    if (sm_now(&f->state) == ELECTION_LEADING) {
        pause_for_ms(f, now, f->settings.tick_ms);
        step_down(f, now, true, "its deadline passed before a renewal was known");
    }
}

void failover_close(struct failover *f, struct mono now)
{
    if (f->closing) {
        return;
    }
    f->closing = true;
    f->beat_due = true;
    f->give_up_at = mono_add_ms(now, f->settings.close_timeout_ms);
    if (sm_now(&f->state) == ELECTION_LEADING) {
        step_down(f, now, true, "it is closed");
    }
}

/* --- callbacks --- */

void failover_started(struct failover *f, int result, struct mono now)
{
    assert(f->starting);
    f->starting = false;
    if (result != 0) {
        char why[48];
        (void)snprintf(why, sizeof why, "on_start returned %d", result);
        note(f, ELECTION_ACT_START_FAILED, f->settings.node_id, f->callback, why);
        pause_for_ms(f, now, f->settings.tick_ms);
        if (sm_now(&f->state) == ELECTION_LEADING) {
            step_down(f, now, true, why);
            return;
        }
    }
    if (sm_now(&f->state) != ELECTION_LEADING) {
        begin_stop_callback(f, now);
    }
}

void failover_stopped(struct failover *f, struct mono now)
{
    assert(f->stopping);
    f->stopping = false;
    f->callback = 0;
    if (sm_now(&f->state) == ELECTION_STOPPING) {
        leave_stopping(f, now);
    }
}

static void begin_leading(struct failover *f, uint64_t token, struct mono now, struct wall wall)
{
    assert(f->callback == 0 && token != 0); /* F2 */
    move(f, ELECTION_LEADING);
    f->token = token;
    f->callback = token;
    f->starting = true;
    f->elected_at = now;
    f->renewed_wall = wall;
    f->deferred = 0;
    f->handing_over = false;
    know_leader(f, f->settings.node_id, token, now);
    /* F1: before on_start can ask */
    f->settings.hooks.lead(f->settings.hooks.arg, lease_valid_until(f->renewed, f->settings.ttl_ms), token);
    f->settings.hooks.start(f->settings.hooks.arg, token);
}

/* --- nodes --- */

int64_t failover_live_us(const struct failover *f)
{
    int64_t ticks_us = 4 * f->settings.tick_ms * 1000;
    int64_t lease_us = f->settings.ttl_ms * 1000 * 3 / 4;
    return ticks_us < lease_us ? ticks_us : lease_us;
}

bool failover_stands(const struct failover *f, struct mono now)
{
    unsigned state = sm_now(&f->state);
    if (f->closing || state == ELECTION_STOPPING || state == ELECTION_GIVING || state == ELECTION_OVER) {
        return false;
    }
    return state == ELECTION_LEADING || (f->callback == 0 && !mono_before(now, f->pause_until));
}

/* A place for a node that is seen for the first time; NULL: there is none for it. More than there are places for are
 * known by the most wanted of them, since the heir must be among those. */
static struct failover_node *place_for(struct failover *f, int32_t priority)
{
    if (f->n_nodes < ELECTION_NODES_MAX) {
        return &f->nodes[f->n_nodes++];
    }
    struct failover_node *least = NULL;
    for (size_t i = 0; i < f->n_nodes; i++) {
        struct failover_node *node = &f->nodes[i];
        if (!is_self(f, node->name) && (least == NULL || node->priority > least->priority)) {
            least = node;
        }
    }
    return least != NULL && priority < least->priority ? least : NULL;
}

void failover_see(struct failover *f, const char *name, int32_t priority, int64_t age_us, struct mono now,
                  struct wall wall)
{
    struct mono seen = {now.us - (age_us > 0 ? age_us : 0)};
    struct failover_node *node = find_node(f, name);
    if (mono_sub(now, seen) > failover_live_us(f) ||
        (strcmp(name, f->doubted) == 0 && !mono_before(f->doubted_at, seen))) {
        return;
    }
    if (node == NULL) {
        node = place_for(f, priority);
        if (node == NULL) {
            return;
        }
        *node = (struct failover_node){.since = now};
        set_name(node->name, name);
        note(f, ELECTION_ACT_JOINED, name, 0, "");
    }
    if (!mono_before(seen, node->seen)) {
        node->seen = seen;
        node->seen_wall.us = wall.us - mono_sub(now, seen);
        node->priority = priority;
    }
}

static void forget_silent(struct failover *f, struct mono now)
{
    for (size_t i = 0; i < f->n_nodes;) {
        if (mono_sub(now, f->nodes[i].seen) > failover_live_us(f)) {
            note(f, ELECTION_ACT_LEFT, f->nodes[i].name, 0, "it is not seen any more");
            f->nodes[i] = f->nodes[--f->n_nodes];
        } else {
            i++;
        }
    }
}

/* The most wanted of those that are more wanted than this node, and have been alive long enough. */
static const struct failover_node *better_node(const struct failover *f, struct mono now)
{
    const struct failover_node *best = NULL;
    for (size_t i = 0; f->settings.strategy == ELECTION_PRIORITY && i < f->n_nodes; i++) {
        const struct failover_node *node = &f->nodes[i];
        bool ready = !is_self(f, node->name) && node->priority < f->settings.priority &&
                     mono_sub(now, node->since) >= f->settings.fail_back_delay_ms * 1000;
        if (ready && (best == NULL || node->priority < best->priority)) {
            best = node;
        }
    }
    return best;
}

static void look_for_better(struct failover *f, struct mono now)
{
    const struct failover_node *better = better_node(f, now);
    if (better != NULL && mono_sub(now, f->elected_at) >= f->settings.min_tenure_ms * 1000) {
        set_name(f->heir, better->name);
        f->handing_over = true;
        step_down(f, now, true, "a more wanted node is alive");
    }
}

/* --- time --- */

static void tick_stopping(struct failover *f, struct mono now)
{
    if (f->owned && f->starting && !mono_before(now, f->keep_until)) {
        f->owned = false; /* on_start goes on without it: tokens protect from here on */
    }
    if (f->stopping && !mono_before(now, f->stop_late_at)) {
        note(f, ELECTION_ACT_STOP_LATE, f->settings.node_id, f->callback,
             "on_stop has not returned within 1 s");
        f->abandoned = f->closing;
        leave_stopping(f, now);
    } else if (f->closing && f->starting && !mono_before(now, f->give_up_at)) {
        f->abandoned = true;
        leave_stopping(f, now);
    }
}

void failover_tick(struct failover *f, struct mono now)
{
    unsigned state = sm_now(&f->state);
    forget_silent(f, now);
    if (state == ELECTION_LEADING) {
        if (!mono_before(now, lease_valid_until(f->renewed, f->settings.ttl_ms))) {
            lose(f, now, "it could not be renewed in time");
        } else if (!mono_before(now, mono_add_ms(f->renewed, f->settings.max_drift_ms))) {
            pause_for_ms(f, now, f->settings.tick_ms);
            step_down(f, now, true, "no renewal has succeeded for max_drift");
            f->keep_until = now; /* what can't be renewed is not kept */
        } else {
            look_for_better(f, now);
        }
    }
    if (sm_now(&f->state) == ELECTION_STOPPING) {
        tick_stopping(f, now);
    }
    if (f->closing && f->busy == FAILOVER_NOTHING && sm_now(&f->state) == ELECTION_FOLLOWING) {
        f->abandoned = f->abandoned || f->starting || f->stopping;
        move(f, ELECTION_OVER);
    }
    if (!mono_before(now, f->tick_at)) {
        f->tick_at = tick_after(f, now);
        f->urgent = true;
        f->beat_due = true;
    }
}

void failover_hint(struct failover *f, struct mono now)
{
    if (sm_now(&f->state) == ELECTION_FOLLOWING) {
        struct mono soon = mono_add_us(now, rng_range(&f->rng, 0, HURRY_MS * 1000));
        f->tick_at = mono_min(f->tick_at, soon);
    }
}

struct mono failover_wake(const struct failover *f)
{
    struct mono at = f->tick_at;
    switch (sm_now(&f->state)) {
    case ELECTION_LEADING:
        at = mono_min(at, mono_add_ms(f->renewed, f->settings.max_drift_ms));
        break;
    case ELECTION_STOPPING:
        at = f->stopping ? mono_min(at, f->stop_late_at) : at;
        at = f->closing && f->starting ? mono_min(at, f->give_up_at) : at;
        break;
    case ELECTION_OVER:
        at = MONO_NEVER;
        break;
    default:
        break;
    }
    return at;
}

/* --- questions --- */

bool failover_beat(struct failover *f)
{
    bool due = f->beat_due;
    f->beat_due = false;
    return due;
}

static bool may_stand(struct failover *f, struct mono now)
{
    if (!failover_stands(f, now)) {
        return false;
    }
    if (f->leader[0] == '\0' && f->deferred < DEFER_TICKS && better_node(f, now) != NULL) {
        f->deferred++;
        return false;
    }
    return true;
}

static enum failover_ask choose(struct failover *f, struct mono now)
{
    bool urgent = f->urgent;
    switch (sm_now(&f->state)) {
    case ELECTION_GIVING:
        return f->handing_over ? FAILOVER_HAND_OVER : FAILOVER_RESIGN;
    case ELECTION_LEADING:
        f->urgent = false;
        return urgent ? FAILOVER_EXTEND : FAILOVER_NOTHING;
    case ELECTION_STOPPING:
        f->urgent = false;
        return urgent && f->owned && mono_before(now, f->keep_until) ? FAILOVER_EXTEND : FAILOVER_NOTHING;
    case ELECTION_FOLLOWING:
        f->urgent = false;
        if (!urgent || f->closing) {
            return FAILOVER_NOTHING;
        }
        if (!f->stranger_gone || !may_stand(f, now)) {
            return FAILOVER_READ;
        }
        move(f, ELECTION_STANDING);
        return FAILOVER_CAMPAIGN;
    default:
        return FAILOVER_NOTHING;
    }
}

struct failover_question failover_next(struct failover *f, struct mono now)
{
    struct failover_question question = {.ask = FAILOVER_NOTHING};
    if (f->busy != FAILOVER_NOTHING) {
        return question;
    }
    question.ask = choose(f, now);
    if (question.ask == FAILOVER_NOTHING) {
        return question;
    }
    int64_t half_ms = f->settings.max_drift_ms / 2;
    f->busy = question.ask;
    f->asked = now;
    question.start = now;
    question.deadline = mono_add_ms(now, half_ms > f->settings.tick_ms ? half_ms : f->settings.tick_ms);
    question.token = f->token;
    question.past = f->past;
    question.heir = f->heir;
    return question;
}

/* --- answers --- */

static void answer_campaign(struct failover *f, const struct failover_answer *answer, struct mono now,
                            struct wall wall)
{
    if (answer->outcome != FAILOVER_OK) {
        move(f, ELECTION_FOLLOWING);
        if (answer->outcome == FAILOVER_LOST) {
            f->deferred = 0;
            know_leader(f, answer->leader, answer->token, now);
        }
        return;
    }
    f->renewed = f->asked;
    bool valid = mono_before(now, lease_valid_until(f->renewed, f->settings.ttl_ms));
    if (!f->closing && valid) {
        begin_leading(f, answer->token, now, wall);
        return;
    }
    f->token = answer->token; /* too late to lead: given back */
    f->past = f->token > f->past ? f->token : f->past;
    f->handing_over = false;
    move(f, ELECTION_GIVING);
}

static void answer_extend(struct failover *f, const struct failover_answer *answer, struct mono now,
                          struct wall wall)
{
    unsigned state = sm_now(&f->state);
    if (state != ELECTION_LEADING && state != ELECTION_STOPPING) {
        return; /* being given away already */
    }
    if (answer->outcome == FAILOVER_LOST) {
        lose(f, now,
             answer->leader[0] != '\0' ? "another node holds it" : "the servers do not know it any more");
        return;
    }
    struct mono until = lease_valid_until(f->asked, f->settings.ttl_ms);
    if (answer->outcome == FAILOVER_OK && mono_before(f->renewed, f->asked)) {
        f->renewed = f->asked;
        f->renewed_wall = wall;
        if (state == ELECTION_LEADING && mono_before(now, until)) {
            f->settings.hooks.lead(f->settings.hooks.arg, until, f->token); /* F1 */
        }
    }
}

static void answer_giving(struct failover *f, enum failover_ask ask, const struct failover_answer *answer,
                          struct mono now)
{
    if (ask == FAILOVER_HAND_OVER) {
        f->handing_over = false;
        if (answer->outcome != FAILOVER_OK) {
            return; /* resigned instead: of this very token, which ends nothing else */
        }
        note(f, ELECTION_ACT_HANDED_OVER, f->heir, answer->token, "");
        know_leader(f, f->heir, answer->token, now);
        pause_for_ms(f, now, f->settings.tick_ms);
    } else {
        note(f, ELECTION_ACT_RESIGNED, f->settings.node_id, f->token,
             answer->outcome == FAILOVER_OK ? "" : "the servers did not say so: it lapses by itself");
    }
    f->token = 0;
    move(f, f->closing ? ELECTION_OVER : ELECTION_FOLLOWING);
}

/*
 * A tenure that has this node's name before the node has stood for election is that of a former life, of which a
 * resignation may still be under way, or of another program by the same name: the store would give it to us, and it is
 * not ours. It is left to lapse.
 */
static void answer_read(struct failover *f, const struct failover_answer *answer, struct mono now)
{
    if (answer->outcome == FAILOVER_UNKNOWN || sm_now(&f->state) != ELECTION_FOLLOWING) {
        return;
    }
    if (!f->stranger_gone && is_self(f, answer->leader)) {
        f->past = answer->token > f->past ? answer->token : f->past;
        return;
    }
    f->urgent = f->urgent || !f->stranger_gone;
    f->stranger_gone = true;
    know_leader(f, answer->leader, answer->token, now);
}

void failover_answer(struct failover *f, const struct failover_answer *answer, struct mono now,
                     struct wall wall)
{
    enum failover_ask ask = f->busy;
    assert(ask != FAILOVER_NOTHING);
    f->busy = FAILOVER_NOTHING;
    switch (ask) {
    case FAILOVER_CAMPAIGN:
        answer_campaign(f, answer, now, wall);
        break;
    case FAILOVER_EXTEND:
        answer_extend(f, answer, now, wall);
        break;
    case FAILOVER_RESIGN:
    case FAILOVER_HAND_OVER:
        answer_giving(f, ask, answer, now);
        break;
    default:
        answer_read(f, answer, now);
    }
}

/* --- life --- */

void failover_init(struct failover *f, const struct failover_settings *settings, struct mono now)
{
    memset(f, 0, sizeof *f);
    f->settings = *settings;
    sm_init(&f->state, failover_states, ELECTION_OVER + 1, ELECTION_FOLLOWING);
    rng_seed(&f->rng, settings->seed);
    f->tick_at = now;
    f->pause_until = now;
    f->stop_late_at = MONO_NEVER;
    f->give_up_at = MONO_NEVER;
}
