#include "elector/contest.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"

/* A follower shows that nobody leads only after so long, so that a quick succession is one change, not two. */
#define VACANT_SHOWN_US   INT64_C(1000000)
#define RETRY_FIRST_US    INT64_C(100000)
#define RETRY_MOST_US     INT64_C(2000000)
#define POD_RETRY_US      INT64_C(2000000)
#define CONFLICTS_AT_ONCE 3 /* then they are spread, too */
#define RELEASE_TRIES     3

const struct sm_state contest_states[CONTEST_STATES] = {
    [CONTEST_LOOKING] = {"looking",
                         SM_TO(CONTEST_FREE) | SM_TO(CONTEST_HELD) | SM_TO(CONTEST_LEADING) |
                             SM_TO(CONTEST_OVER),
                         false},
    [CONTEST_FREE] = {"free", SM_TO(CONTEST_HELD) | SM_TO(CONTEST_LEADING) | SM_TO(CONTEST_OVER), false},
    [CONTEST_HELD] = {"held", SM_TO(CONTEST_FREE) | SM_TO(CONTEST_LEADING) | SM_TO(CONTEST_OVER), false},
    [CONTEST_LEADING] = {"leading", SM_TO(CONTEST_FREE) | SM_TO(CONTEST_HELD) | SM_TO(CONTEST_OVER), false},
    [CONTEST_OVER] = {"over", 0, true},
};

static void copy_text(char *to, size_t cap, const char *from)
{
    size_t n = strlen(from);
    assert(n < cap);
    memcpy(to, from, n + 1);
}

#define COPY(to, from) copy_text((to), sizeof(to), (from))

static bool is_renew(const struct contest *c)
{
    return c->settings.strategy == CONTEST_RENEW;
}

static bool there_is_a_lease(const struct contest *c)
{
    return c->lease.uid[0] != '\0';
}

void contest_init(struct contest *c, const struct contest_settings *settings)
{
    *c = (struct contest){
        .settings = *settings,
        .vacant_since = MONO_NEVER,
        .valid_until = {INT64_MIN},
        .retry_at = {INT64_MIN},
        .free_at = {INT64_MIN},
        .read_needed = true,
    };
    sm_init(&c->state, contest_states, CONTEST_STATES, CONTEST_LOOKING);
    rng_seed(&c->rng, settings->seed);
}

/* --- who leads --- */

static bool lease_has_our_name(const struct contest *c)
{
    return there_is_a_lease(c) && strcmp(c->lease.holder, c->settings.candidate) == 0;
}

/* What we wrote, or what the API server must have made of it. */
static bool lease_is_our_doing(const struct contest *c)
{
    if (!lease_has_our_name(c)) {
        return false;
    }
    if (!is_renew(c)) {
        return c->pod[0] != '\0' && strcmp(c->lease.owner, c->pod) == 0;
    }
    return c->tenure && strcmp(c->lease.uid, c->tenure_uid) == 0 &&
           c->lease.transitions == c->tenure_transitions && c->lease.acquired.us == c->tenure_acquired.us;
}

static enum contest_state state_by_facts(const struct contest *c, struct mono now)
{
    if (sm_now(&c->state) == CONTEST_OVER) {
        return CONTEST_OVER;
    }
    if (!there_is_a_lease(c)) {
        return sm_now(&c->state) == CONTEST_LOOKING && c->read_needed ? CONTEST_LOOKING : CONTEST_FREE;
    }
    bool valid = !is_renew(c) || (mono_before(now, c->valid_until) && !c->sick);
    return lease_is_our_doing(c) && valid ? CONTEST_LEADING : CONTEST_HELD;
}

/* Whether the others may take it: it has not changed for as long as it is held for. */
static bool lease_has_lapsed(const struct contest *c, struct mono now)
{
    if (c->lease.duration_us == 0) {
        return false; /* an owner's: it lapses by being deleted */
    }
    return !mono_before(now, mono_add_us(c->observed, c->lease.duration_us));
}

static void show(struct contest *c, const char *leader)
{
    c->vacant_since = MONO_NEVER;
    if (strcmp(c->leader, leader) != 0) {
        COPY(c->leader, leader);
        c->changes++;
    }
    c->known = c->known || leader[0] != '\0';
}

static void show_vacancy(struct contest *c, struct mono now)
{
    if (strcmp(c->leader, c->settings.candidate) == 0) {
        show(c, ""); /* of ourselves nobody may think so a moment longer */
        return;
    }
    if (c->leader[0] == '\0') {
        return;
    }
    if (c->vacant_since.us == INT64_MAX) {
        c->vacant_since = now;
    }
    if (mono_sub(now, c->vacant_since) >= VACANT_SHOWN_US) {
        show(c, "");
    }
}

/* The one place that changes the state and what is shown. */
static void settle(struct contest *c, struct mono now)
{
    enum contest_state state = state_by_facts(c, now);
    enum contest_state was = (enum contest_state)sm_now(&c->state);
    if (state != was) {
        sm_move(&c->state, state);
        c->won += state == CONTEST_LEADING;
        c->lost += was == CONTEST_LEADING;
    }
    bool others = there_is_a_lease(c) && c->lease.holder[0] != '\0' && !lease_has_our_name(c);
    if (state == CONTEST_LEADING) {
        show(c, c->settings.candidate);
    } else if (others && !(is_renew(c) && lease_has_lapsed(c, now))) {
        show(c, c->lease.holder);
    } else {
        show_vacancy(c, now);
    }
}

void contest_tick(struct contest *c, struct mono now)
{
    settle(c, now);
}

/* --- news --- */

static bool is_older(const char *version, const char *than)
{
    uint64_t a;
    uint64_t b;
    return str_to_u64(str_of(version), &a) && str_to_u64(str_of(than), &b) && a < b;
}

static bool take_news(struct contest *c, const struct contest_lease *lease, struct mono now)
{
    if (strcmp(lease->uid, c->gone) == 0 ||
        (there_is_a_lease(c) && is_older(lease->version, c->lease.version))) {
        return false;
    }
    if (there_is_a_lease(c) && strcmp(lease->uid, c->lease.uid) == 0 &&
        strcmp(lease->version, c->lease.version) == 0) {
        return true; /* the same: no change, so no new moment */
    }
    c->lease = *lease;
    c->observed = now;
    if (lease->transitions > c->transitions_max) {
        c->transitions_max = lease->transitions;
    }
    return true;
}

bool contest_see(struct contest *c, const struct contest_lease *lease, struct mono now)
{
    bool news = take_news(c, lease, now);
    settle(c, now);
    return news;
}

static void forget_lease(struct contest *c)
{
    /* Somebody took it away by hand. Its holder may not know yet, and believes in it for its duration. */
    if (is_renew(c) && !lease_is_our_doing(c) && c->lease.holder[0] != '\0') {
        c->free_at = mono_add_us(c->observed, c->lease.duration_us);
    }
    COPY(c->gone, c->lease.uid);
    c->lease = (struct contest_lease){.uid = ""};
    c->tenure = false;
}

void contest_see_gone(struct contest *c, const char *uid, struct mono now)
{
    if (there_is_a_lease(c) && strcmp(uid, c->lease.uid) == 0) {
        forget_lease(c);
    }
    COPY(c->gone, uid);
    settle(c, now);
}

void contest_doubt(struct contest *c, struct mono now)
{
    c->read_needed = true;
    settle(c, now);
}

void contest_see_health(struct contest *c, bool healthy, struct mono now)
{
    c->sick = !healthy;
    if (c->sick) {
        c->valid_until =
            (struct mono){INT64_MIN}; /* this tenure is over, also when it gets well again at once */
    }
    settle(c, now);
}

void contest_stop(struct contest *c, struct mono now)
{
    if (sm_now(&c->state) != CONTEST_OVER) {
        c->lost += sm_now(&c->state) == CONTEST_LEADING;
        sm_move(&c->state, CONTEST_OVER);
        c->failures = 0;
        c->retry_at = (struct mono){INT64_MIN};
        settle(c, now);
    }
}

/* --- acts --- */

static struct contest_write make_write(const struct contest *c, const char *holder, bool new_tenure,
                                       struct wall wall)
{
    /* By this time a write is known again whose answer was lost, so two never have the same. */
    struct wall mark = wall.us > c->last_written.us ? wall : (struct wall){c->last_written.us + 1};
    struct contest_write write = {.renewed = mark};
    COPY(write.holder, holder);
    write.transitions = new_tenure ? c->transitions_max + 1 : c->lease.transitions;
    write.acquired = new_tenure ? mark : c->lease.acquired;
    return write;
}

/* Renew: something of ours stands in the Lease that should not. */
static bool release_is_due(const struct contest *c)
{
    bool should = c->sick || sm_now(&c->state) == CONTEST_OVER;
    return is_renew(c) && should && !c->released && lease_is_our_doing(c);
}

static enum contest_want want_of_owner(struct contest *c, struct contest_write *write, struct wall wall)
{
    if (c->pod[0] == '\0') {
        return CONTEST_ASK_POD; /* also to know whether a Lease of our name is ours */
    }
    if (sm_now(&c->state) != CONTEST_FREE) {
        return CONTEST_NOTHING;
    }
    if (!c->pod_checked) {
        return CONTEST_ASK_POD;
    }
    *write = make_write(c, c->settings.candidate, true, wall);
    write->transitions = 0; /* an owner's Lease has one tenure, and is never renewed */
    write->renewed = (struct wall){0};
    return CONTEST_CREATE;
}

static enum contest_want want_of_renew(struct contest *c, struct contest_write *write, struct mono now,
                                       struct wall wall)
{
    if (c->sick) {
        return CONTEST_NOTHING;
    }
    switch ((enum contest_state)sm_now(&c->state)) {
    case CONTEST_FREE:
        *write = make_write(c, c->settings.candidate, true, wall);
        return mono_before(now, c->free_at) ? CONTEST_NOTHING : CONTEST_CREATE;
    case CONTEST_LEADING:
        *write = make_write(c, c->settings.candidate, false, wall);
        return mono_before(now, c->renew_at) ? CONTEST_NOTHING : CONTEST_UPDATE;
    case CONTEST_HELD:
        *write = make_write(c, c->settings.candidate, true, wall);
        /* What we let lapse ourselves is ours to take again: its version says that nobody came in between. */
        return c->lease.holder[0] == '\0' || lease_is_our_doing(c) || lease_has_lapsed(c, now)
                   ? CONTEST_UPDATE
                   : CONTEST_NOTHING;
    case CONTEST_LOOKING:
    case CONTEST_OVER:
    case CONTEST_STATES:
        break;
    }
    return CONTEST_NOTHING;
}

static enum contest_want choose(struct contest *c, struct contest_write *write, struct mono now,
                                struct wall wall)
{
    if (mono_before(now, c->retry_at)) {
        return CONTEST_NOTHING;
    }
    bool over = sm_now(&c->state) == CONTEST_OVER;
    if (c->read_needed && (!over || (c->unsure && is_renew(c)))) {
        return CONTEST_READ;
    }
    if (release_is_due(c)) {
        *write = make_write(c, "", false, wall);
        return CONTEST_UPDATE;
    }
    if (over) {
        return CONTEST_NOTHING;
    }
    return is_renew(c) ? want_of_renew(c, write, now, wall) : want_of_owner(c, write, wall);
}

enum contest_want contest_next(struct contest *c, struct contest_write *write, struct mono now,
                               struct wall wall)
{
    if (c->busy != CONTEST_NOTHING) {
        return CONTEST_NOTHING;
    }
    settle(c, now);
    *write = (struct contest_write){.holder = ""};
    enum contest_want want = choose(c, write, now, wall);
    if (want != CONTEST_NOTHING) {
        c->busy = want;
        c->sent = now;
    }
    if (want == CONTEST_CREATE || want == CONTEST_UPDATE) {
        c->write = *write;
        c->last_written = write->renewed.us > 0 ? write->renewed : c->last_written;
        c->pod_checked = false;
        if (write->holder[0] == '\0') {
            c->valid_until =
                (struct mono){INT64_MIN}; /* from now on others may lead, whatever we hear of it */
        }
    }
    return want;
}

static void wait_before_retry(struct contest *c, struct mono now)
{
    int64_t most =
        is_renew(c) && c->settings.interval_us < RETRY_MOST_US ? c->settings.interval_us : RETRY_MOST_US;
    int64_t pause = RETRY_FIRST_US << (c->failures < 5 ? c->failures : 5);
    c->failures++;
    pause = pause < most ? pause : most;
    c->retry_at = mono_add_us(now, pause / 2 + rng_range(&c->rng, 0, pause / 2));
}

/* What was written at `sent` stands in the Lease. */
static void begin_or_extend_tenure(struct contest *c, struct mono sent)
{
    c->unsure = false;
    if (c->write.holder[0] == '\0') {
        c->tenure = false;
        c->released = true;
        return;
    }
    c->tenure = true;
    c->released = false;
    COPY(c->tenure_uid, c->lease.uid);
    c->tenure_transitions = c->write.transitions;
    c->tenure_acquired = c->write.acquired;
    /* 1 % and 2 ms: what clocks of different speed may differ by. */
    int64_t duration = c->settings.duration_us;
    c->valid_until = mono_add_us(sent, duration - duration / 100 - 2000);
    c->renew_at = mono_add_us(sent, c->settings.interval_us);
}

/* Whether the Lease is what the write of unknown outcome would have made. Only we write our name. */
static bool lease_is_what_we_wrote(const struct contest *c)
{
    return strcmp(c->lease.holder, c->write.holder) == 0 && c->lease.transitions == c->write.transitions &&
           c->lease.acquired.us == c->write.acquired.us && c->lease.renewed.us == c->write.renewed.us;
}

static void answered_write(struct contest *c, enum contest_outcome outcome, const struct contest_lease *lease,
                           struct mono sent, struct mono now)
{
    switch (outcome) {
    case CONTEST_DONE:
        c->failures = c->conflicts = 0;
        c->unsure = false;
        if (take_news(c, lease, now)) {
            begin_or_extend_tenure(c, sent);
        }
        break;
    case CONTEST_CONFLICT:
        c->read_needed = true;
        if (++c->conflicts > CONFLICTS_AT_ONCE) {
            wait_before_retry(c, now);
        }
        break;
    case CONTEST_MISSING:
        c->read_needed = true;
        break;
    case CONTEST_UNKNOWN:
        c->unsure = true;
        c->unsure_sent = sent;
        c->read_needed = true;
        wait_before_retry(c, now);
        break;
    case CONTEST_FAILED:
        wait_before_retry(c, now);
        break;
    }
}

static void answered_read(struct contest *c, enum contest_outcome outcome, const struct contest_lease *lease,
                          struct mono now)
{
    switch (outcome) {
    case CONTEST_DONE:
        c->failures = 0;
        c->read_needed = false;
        if (take_news(c, lease, now) && c->unsure && lease_is_what_we_wrote(c)) {
            begin_or_extend_tenure(c, c->unsure_sent);
        }
        c->unsure = false;
        break;
    case CONTEST_MISSING:
        c->failures = 0;
        c->read_needed = false;
        c->unsure = false;
        if (there_is_a_lease(c)) {
            forget_lease(c);
        }
        break;
    case CONTEST_CONFLICT:
    case CONTEST_FAILED:
    case CONTEST_UNKNOWN:
        wait_before_retry(c, now);
        break;
    }
}

void contest_answer(struct contest *c, enum contest_outcome outcome, const struct contest_lease *lease,
                    struct mono now)
{
    enum contest_want want = c->busy;
    assert(want == CONTEST_READ || want == CONTEST_CREATE || want == CONTEST_UPDATE);
    c->busy = CONTEST_NOTHING;
    if (want == CONTEST_READ) {
        answered_read(c, outcome, lease, now);
    } else {
        answered_write(c, outcome, lease, c->sent, now);
        if (c->write.holder[0] == '\0' && outcome != CONTEST_DONE && c->failures >= RELEASE_TRIES) {
            c->released = true; /* it lapses by itself */
        }
    }
    settle(c, now);
}

void contest_answer_pod(struct contest *c, enum contest_outcome outcome, const char *uid, struct mono now)
{
    assert(c->busy == CONTEST_ASK_POD);
    c->busy = CONTEST_NOTHING;
    bool ours = outcome == CONTEST_DONE && uid != NULL && (c->pod[0] == '\0' || strcmp(c->pod, uid) == 0);
    if (ours) {
        c->failures = 0;
        COPY(c->pod, uid);
        c->pod_checked = true;
    } else if (outcome == CONTEST_FAILED || outcome == CONTEST_UNKNOWN) {
        wait_before_retry(c, now);
    } else {
        /* Deleted, terminating, or another one has our name: we are not to lead, and may be ended any moment. */
        c->retry_at = mono_add_us(now, POD_RETRY_US);
    }
    settle(c, now);
}

/* Moments that have passed were acted upon. */
static void wake_at(struct mono *wake, struct mono at, struct mono now)
{
    if (mono_before(now, at)) {
        *wake = mono_min(*wake, at);
    }
}

struct mono contest_wake(const struct contest *c, struct mono now)
{
    struct mono wake = MONO_NEVER;
    if (c->vacant_since.us != INT64_MAX) {
        wake_at(&wake, mono_add_us(c->vacant_since, VACANT_SHOWN_US), now);
    }
    if (is_renew(c)) {
        wake_at(&wake, c->valid_until, now);
        wake_at(&wake, c->renew_at, now);
        wake_at(&wake, c->free_at, now);
        wake_at(&wake, mono_add_us(c->observed, c->lease.duration_us), now);
    }
    wake_at(&wake, c->retry_at, now);
    return wake;
}

bool contest_is_over(const struct contest *c)
{
    return sm_now(&c->state) == CONTEST_OVER && c->busy == CONTEST_NOTHING && !release_is_due(c) &&
           !(c->unsure && is_renew(c) && c->failures < RELEASE_TRIES);
}
