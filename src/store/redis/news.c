#include "store/redis/news.h"

#include <assert.h>
#include <string.h>

#include "base/hlc.h"
#include "base/mem.h"
#include "core/names.h"

#define PATIENCE_MS   100   /* so long the other nodes' notices are waited for; then the quorum is asked */
#define UNPROVEN_MS   5000  /* so long a grant that the quorum does not confirm may still be under way */
#define RETRY_MS      1000  /* the quorum could not say */
#define BUSY_MS       10    /* too many questions at once */
#define KEPT_MS       60000 /* an election without a leader: late doubles are still known as such */
#define HINTS_MAX     64    /* of one election */
#define SWEEP_BUCKETS 64    /* per turn */

/* What at least one node has published, and nothing was told of yet. */
struct hint {
    struct hint *next;
    enum election_action action;
    uint64_t token;
    struct wall at;
    struct mono seen;
    int32_t term_ms;
    uint16_t nodes; /* who has published it: a bit each */
    bool sure;      /* the quorum says so */
    struct str leader;
    struct str previous;
    char bytes[];
};

/*
 * An election, and what was told of it last: a start (`led`) or an end of `token`.
 *
 *     unknown ──any──► led ◄──start── vacant ──a minute──► (freed)
 *                       └────end────────►
 */
struct news_item {
    struct map_node node;
    struct wheel_entry timer;
    bool known;
    bool led;
    bool asked;
    uint64_t token;
    char *leader; /* of that tenure */
    uint8_t leader_bytes;
    struct mono expires;
    struct wall expires_at;
    struct mono ask_at;    /* not before; MONO_NEVER: nothing to ask for */
    struct mono forget_at; /* vacant */
    struct hint *hints;    /* in order */
    unsigned n_hints;
    struct str kind;
    struct str election;
    char bytes[];
};

/* --- the text form --- */

bool news_notice_read(struct str text, struct news_notice *out)
{
    struct str part[8];
    struct error ignored;
    int64_t term = 0;
    for (unsigned i = 0; i < 8; i++) {
        if (!str_split(&text, '\t', &part[i])) {
            return false;
        }
    }
    if (text.p != NULL || !str_to_u64(part[1], &out->token) || out->token == 0 || out->token >= HLC_LIMIT ||
        !str_to_i64(part[2], &out->at.us) || out->at.us < 0 || !str_to_i64(part[7], &term) || term < 0 ||
        term > INT32_MAX) {
        return false;
    }
    static const enum election_action actions[] = {ACTION_ELECTED, ACTION_HANDED_OVER, ACTION_RESIGNED};
    unsigned i = 0;
    while (i < 3 && !str_eq(part[0], str_of(election_action_word(actions[i])))) {
        i++;
    }
    if (i == 3 || name_check_kind(part[3], &ignored) != EA_OK ||
        name_check("election", part[4], &ignored) != EA_OK ||
        name_check("leader", part[5], &ignored) != EA_OK ||
        (part[6].n > 0 && name_check("previous", part[6], &ignored) != EA_OK)) {
        return false;
    }
    out->action = actions[i];
    out->kind = part[3];
    out->election = part[4];
    out->leader = part[5];
    out->previous = part[6];
    out->term_ms = (int32_t)term;
    return true;
}

/* --- items and hints --- */

static char *put(char **at, struct str s)
{
    char *out = *at;
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    *at += s.n;
    return out;
}

static struct str leader_of(const struct news_item *item)
{
    return (struct str){item->leader, item->leader_bytes};
}

static uint64_t hash_of(const struct news *news, struct str kind, struct str election)
{
    return str_hash(election, str_hash(kind, news->seed));
}

static struct news_item *find(const struct news *news, struct str kind, struct str election)
{
    uint64_t hash = hash_of(news, kind, election);
    for (struct map_node *n = map_first(&news->items, hash); n != NULL; n = map_next(n, hash)) {
        struct news_item *item = CONTAINER_OF(n, struct news_item, node);
        if (str_eq(item->election, election) && str_eq(item->kind, kind)) {
            return item;
        }
    }
    return NULL;
}

static struct news_item *find_or_add(struct news *news, struct str kind, struct str election)
{
    struct news_item *item = find(news, kind, election);
    if (item != NULL) {
        return item;
    }
    if (news->items.nodes >= NEWS_ELECTIONS_MAX) {
        news->dropped++;
        return NULL;
    }
    item = mem_zalloc(sizeof *item + kind.n + election.n);
    char *at = item->bytes;
    item->kind = (struct str){put(&at, kind), kind.n};
    item->election = (struct str){put(&at, election), election.n};
    item->ask_at = MONO_NEVER;
    map_add(&news->items, &item->node, hash_of(news, kind, election));
    return item;
}

static void set_leader(struct news_item *item, struct str leader)
{
    char *copy = mem_dup(leader.p, leader.n); /* it may be a slice of the present one */
    mem_free(item->leader);
    item->leader = copy;
    item->leader_bytes = (uint8_t)leader.n;
}

static void drop_first(struct news_item *item)
{
    struct hint *hint = item->hints;
    item->hints = hint->next;
    item->n_hints--;
    mem_free(hint);
}

static void free_item(struct news *news, struct news_item *item)
{
    while (item->hints != NULL) {
        drop_first(item);
    }
    wheel_stop(&news->wheel, &item->timer);
    map_remove(&news->items, &item->node);
    mem_free(item->leader);
    mem_free(item);
}

static bool is_end(enum election_action action)
{
    return action == ACTION_RESIGNED;
}

/* The order of what happens to an election. */
static int order(uint64_t token, bool end, const struct hint *hint)
{
    if (token != hint->token) {
        return token < hint->token ? -1 : 1;
    }
    return (int)end - (int)is_end(hint->action);
}

/* It was told, or something later was. */
static bool is_stale(const struct news_item *item, uint64_t token, bool end)
{
    if (!item->known || token > item->token) {
        return false;
    }
    return token < item->token || !end || !item->led;
}

static void add_hint(struct news_item *item, struct mono now, unsigned node, const struct news_notice *notice)
{
    struct hint **at = &item->hints;
    while (*at != NULL && order(notice->token, is_end(notice->action), *at) > 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && order(notice->token, is_end(notice->action), *at) == 0) {
        (*at)->nodes |= (uint16_t)(1U << node);
        return;
    }
    struct hint *hint = mem_zalloc(sizeof *hint + notice->leader.n + notice->previous.n);
    char *bytes = hint->bytes;
    hint->next = *at;
    hint->action = notice->action;
    hint->token = notice->token;
    hint->at = notice->at;
    hint->seen = now;
    hint->term_ms = notice->term_ms;
    hint->nodes = (uint16_t)(1U << node);
    hint->leader = (struct str){put(&bytes, notice->leader), notice->leader.n};
    hint->previous = (struct str){put(&bytes, notice->previous), notice->previous.n};
    *at = hint;
    item->n_hints++;
}

/* --- telling --- */

static void tell(struct news *news, const struct news_item *item, enum election_action action,
                 struct str leader, struct str previous, uint64_t token, struct wall at)
{
    news->hooks.event(news->hooks.arg, &(struct election_event){
                                           .at = at,
                                           .action = action,
                                           .kind = item->kind,
                                           .election = item->election,
                                           .leader = leader,
                                           .previous = previous,
                                           .token = token,
                                       });
}

static struct wall earlier(struct wall a, struct wall b)
{
    return a.us < b.us ? a : b;
}

static void end(struct news *news, struct news_item *item, enum election_action action, struct wall at)
{
    item->led = false;
    tell(news, item, action, leader_of(item), (struct str){NULL, 0}, item->token, at);
}

/* A tenure begins that was told of; nothing is known to have ended the one before. */
static void end_for_next(struct news *news, struct news_item *item, struct str next, struct wall at)
{
    bool starts_over = str_eq(next, leader_of(item)) && at.us < item->expires_at.us;
    end(news, item, starts_over ? ACTION_RESIGNED : ACTION_EXPIRED,
        starts_over ? at : earlier(at, item->expires_at));
}

static void begin(struct news *news, struct news_item *item, enum election_action action, struct str leader,
                  struct str previous, uint64_t token, struct wall at)
{
    bool moves = action == ACTION_HANDED_OVER && (item->led || (!item->known && previous.n > 0));
    if (item->led && !moves) {
        end_for_next(news, item, leader, at);
    }
    if (item->known) {
        previous = leader_of(item);
    }
    tell(news, item, moves ? ACTION_HANDED_OVER : ACTION_ELECTED, leader, previous, token, at);
    set_leader(item, leader);
    item->known = true;
    item->led = true;
    item->token = token;
}

static void apply(struct news *news, struct news_item *item, const struct hint *hint, struct mono now)
{
    if (!is_end(hint->action)) {
        begin(news, item, hint->action, hint->leader, hint->previous, hint->token, hint->at);
        item->expires = mono_add_ms(now, hint->term_ms);
        item->expires_at.us = hint->at.us + (int64_t)hint->term_ms * 1000;
        return;
    }
    if (!item->known || hint->token > item->token) { /* its start was never heard of */
        if (item->led) {
            end_for_next(news, item, hint->leader, hint->at);
        }
        set_leader(item, hint->leader);
        item->known = true;
        item->token = hint->token;
    }
    end(news, item, ACTION_RESIGNED, hint->at);
}

/* --- deciding --- */

static unsigned popcount(unsigned bits)
{
    return (unsigned)__builtin_popcount(bits);
}

/* Who has published something later will not publish this any more. */
static bool can_be_confirmed(const struct news *news, const struct hint *hint)
{
    unsigned passed = 0;
    for (const struct hint *later = hint->next; later != NULL; later = later->next) {
        passed |= later->nodes;
    }
    return news->nodes - popcount(passed & ~(unsigned)hint->nodes) >= news->quorum;
}

static void schedule(struct news *news, struct news_item *item, struct mono now)
{
    struct mono at = item->ask_at;
    if (item->led) {
        at = mono_min(at, item->expires);
    }
    if (item->hints != NULL) {
        at = mono_min(at, mono_add_ms(item->hints->seen, PATIENCE_MS));
    }
    if (item->ask_at.us != MONO_NEVER.us) { /* it is not to be asked before */
        at = item->ask_at;
    }
    if (at.us == MONO_NEVER.us) {
        item->forget_at = mono_add_ms(now, KEPT_MS);
        at = item->forget_at;
    }
    wheel_start(&news->wheel, &item->timer, item->asked ? MONO_NEVER : at);
}

/* Tells what is certain by now. */
static void settle(struct news *news, struct news_item *item, struct mono now)
{
    while (item->hints != NULL) {
        struct hint *hint = item->hints;
        bool stale = is_stale(item, hint->token, is_end(hint->action));
        if (!stale && (hint->sure || popcount(hint->nodes) >= news->quorum)) {
            apply(news, item, hint, now);
        } else if (!stale && can_be_confirmed(news, hint) && item->n_hints <= HINTS_MAX) {
            break;
        }
        drop_first(item);
    }
    schedule(news, item, now);
}

void news_heard(struct news *news, struct news_now now, unsigned node, const struct news_notice *notice)
{
    assert(node < news->nodes);
    struct news_item *item = find_or_add(news, notice->kind, notice->election);
    if (item != NULL && !is_stale(item, notice->token, is_end(notice->action))) {
        add_hint(item, now.mono, node, notice);
        settle(news, item, now.mono);
    }
}

/* --- what the quorum says --- */

/* The hints in the light of who leads now (0: nobody). */
static void judge_hints(struct news_item *item, struct news_now now, uint64_t token)
{
    struct hint **at = &item->hints;
    while (*at != NULL) {
        struct hint *hint = *at;
        bool end_of_ours = is_end(hint->action) && item->known && hint->token == item->token;
        bool old = mono_sub(now.mono, hint->seen) >= UNPROVEN_MS * INT64_C(1000);
        bool gone = (token != 0 && hint->token < token && !end_of_ours) || old;
        hint->sure = hint->sure || (!is_end(hint->action) && hint->token == token && token != 0) ||
                     (end_of_ours && hint->token != token);
        if (gone && !hint->sure) {
            *at = hint->next;
            item->n_hints--;
            mem_free(hint);
        } else {
            at = &hint->next;
        }
    }
}

static void set_expiry(struct news_item *item, struct news_now now, const struct news_present *present)
{
    item->expires = present->expires.us != 0 ? present->expires : mono_add_ms(now.mono, RETRY_MS);
    item->expires_at.us = now.wall.us + mono_sub(item->expires, now.mono);
}

/* True if it could be used. */
static bool take_led(struct news *news, struct news_item *item, struct news_now now,
                     const struct news_present *present)
{
    if (present->token ==
        0) { /* a foreign agent's, or a tenure that stands on too few nodes at this moment */
        if (item->led && !str_eq(present->leader, leader_of(item))) {
            end(news, item, ACTION_EXPIRED, earlier(now.wall, item->expires_at));
        }
        return false;
    }
    judge_hints(item, now, present->token);
    settle(news, item, now.mono);
    if (present->token < item->token) { /* older than what was told since */
        return false;
    }
    bool is_news = item->known && (present->token > item->token || !item->led);
    if (is_news) {
        begin(news, item, ACTION_ELECTED, present->leader, (struct str){NULL, 0}, present->token, now.wall);
    } else if (!item->known) {
        set_leader(item, present->leader);
        item->known = true;
        item->led = true;
        item->token = present->token;
    }
    set_expiry(item, now, present);
    return true;
}

static void take_nobody(struct news *news, struct news_item *item, struct news_now now)
{
    judge_hints(item, now, 0);
    settle(news, item, now.mono);
    if (item->led) {
        end(news, item, ACTION_EXPIRED, earlier(now.wall, item->expires_at));
    }
}

void news_answered(struct news *news, struct news_now now, struct news_item *item,
                   const struct news_present *present)
{
    assert(item->asked);
    item->asked = false;
    item->ask_at = MONO_NEVER;
    bool decided = false;
    if (present->answer == NEWS_LED) {
        decided = take_led(news, item, now, present);
    } else if (present->answer == NEWS_NOBODY) {
        take_nobody(news, item, now);
        decided = true;
    }
    if (!decided || item->hints != NULL) {
        item->ask_at = mono_add_ms(now.mono, RETRY_MS);
    }
    schedule(news, item, now.mono);
}

void news_learnt(struct news *news, struct news_now now, struct str kind, struct str election,
                 const struct news_present *present)
{
    if (present->answer != NEWS_LED || present->token == 0) {
        return;
    }
    struct news_item *item = find_or_add(news, kind, election);
    if (item != NULL && !item->asked && (!item->known || present->token >= item->token)) {
        (void)take_led(news, item, now, present);
        schedule(news, item, now.mono);
    }
}

/* --- time --- */

static void on_item(struct news *news, struct news_item *item, struct news_now now)
{
    bool vacant = !item->led && item->hints == NULL && item->ask_at.us == MONO_NEVER.us;
    if (vacant) {
        free_item(news, item);
        return;
    }
    item->asked = true;
    if (!news->hooks.ask(news->hooks.arg, item, item->kind, item->election)) {
        item->asked = false;
        item->ask_at = mono_add_ms(now.mono, BUSY_MS);
    }
    schedule(news, item, now.mono);
}

static void ask_soon(struct map_node *node, void *arg)
{
    struct news_item *item = CONTAINER_OF(node, struct news_item, node);
    struct news *news = arg;
    if (!item->asked) {
        item->ask_at = news->sweep_at;
        wheel_start(&news->wheel, &item->timer, item->ask_at);
    }
}

void news_listening(struct news *news, struct news_now now)
{
    news->sweep_cursor = 0;
    wheel_start(&news->wheel, &news->sweep, now.mono);
}

static void sweep(struct news *news, struct news_now now)
{
    news->sweep_at = now.mono;
    for (unsigned i = 0; i < SWEEP_BUCKETS; i++) {
        news->sweep_cursor = map_scan(&news->items, news->sweep_cursor, ask_soon, news);
        if (news->sweep_cursor == 0) {
            return;
        }
    }
    wheel_start(&news->wheel, &news->sweep, mono_add_ms(now.mono, 1));
}

void news_timer(struct news *news, struct news_now now)
{
    struct wheel_entry *entry;
    while ((entry = wheel_pop(&news->wheel, now.mono)) != NULL) {
        if (entry == &news->sweep) {
            sweep(news, now);
        } else {
            on_item(news, CONTAINER_OF(entry, struct news_item, timer), now);
        }
    }
}

struct mono news_next(const struct news *news)
{
    return wheel_next(&news->wheel);
}

/* --- life --- */

void news_init(struct news *news, unsigned nodes, uint64_t seed, const struct news_hooks *hooks,
               struct mono now)
{
    *news = (struct news){.nodes = nodes, .quorum = nodes / 2 + 1, .seed = seed, .hooks = *hooks};
    map_init(&news->items);
    wheel_init(&news->wheel, now);
}

static void free_visited(struct map_node *node, void *arg)
{
    free_item(arg, CONTAINER_OF(node, struct news_item, node));
}

void news_fini(struct news *news)
{
    uint64_t cursor = 0;
    while (news->items.nodes > 0) {
        cursor = map_scan(&news->items, cursor, free_visited, news);
    }
    map_fini(&news->items);
}
