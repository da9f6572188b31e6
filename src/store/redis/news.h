/*
 * What the notices of the nodes add up to: every change of leader once, and in order per election (spec:
 * redis.md, "Change notices"). Deciding code: no I/O, no clock, one thread.
 *
 * A node publishes what its script committed there, and no node knows whether a majority did. So a change is
 * told when q nodes have published it, or when the quorum, asked who leads, confirms it. Notices can be lost:
 * what fewer nodes have published is asked for after a moment, and so is every tenure at the moment when it
 * should expire, which is how an expiry is noticed at all; nobody publishes that.
 *
 * Per node the notices of one election come in the order of their tokens. So one that q nodes can't publish
 * any more, since others have published later ones, is of a grant that failed, and forgotten.
 */
#ifndef EA_STORE_REDIS_NEWS_H
#define EA_STORE_REDIS_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/map.h"
#include "base/wheel.h"
#include "core/event.h"

#define NEWS_ELECTIONS_MAX 262144 /* more are not followed */

/* "action\ttoken\twall\tkind\telection\tleader\tprevious\tterm": see notice() in scripts/common.lua. */
struct news_notice {
    enum election_action action; /* ELECTED, HANDED_OVER or RESIGNED */
    uint64_t token;
    struct wall at;
    struct str kind;
    struct str election;
    struct str leader;
    struct str previous;
    int32_t term_ms; /* 0 for RESIGNED */
};

/* False: that is no notice of ours. */
bool news_notice_read(struct str text, struct news_notice *out);

/* What the quorum says. */
enum news_answer { NEWS_LED, NEWS_NOBODY, NEWS_UNDECIDED };

struct news_present {
    enum news_answer answer;
    struct str leader;
    uint64_t token;      /* 0: not known, or a foreign agent's */
    struct mono expires; /* 0: not known */
};

struct news_now {
    struct mono mono;
    struct wall wall;
};

struct news_item;

struct news_hooks {
    /* Slices are valid during the call. */
    void (*event)(void *arg, const struct election_event *event);
    /* Asks the quorum who leads; news_answered() follows, perhaps within the call. False: not now. */
    bool (*ask)(void *arg, struct news_item *item, struct str kind, struct str election);
    void *arg;
};

struct news {
    unsigned quorum;
    unsigned nodes;
    uint64_t seed;
    struct news_hooks hooks;
    struct map items;
    struct wheel wheel;
    struct wheel_entry sweep; /* after a node could be heard again: all are asked for */
    uint64_t sweep_cursor;
    struct mono sweep_at;
    uint64_t dropped; /* notices of elections over the bound */
};

void news_init(struct news *news, unsigned nodes, uint64_t seed, const struct news_hooks *hooks,
               struct mono now);
void news_fini(struct news *news);

void news_heard(struct news *news, struct news_now now, unsigned node, const struct news_notice *notice);

/* Somebody learnt who leads, and will want to know how it goes on. Tells nothing that is not news. */
void news_learnt(struct news *news, struct news_now now, struct str kind, struct str election,
                 const struct news_present *present);

void news_answered(struct news *news, struct news_now now, struct news_item *item,
                   const struct news_present *present);

/* A node is listened to (again): what it published meanwhile is lost. */
void news_listening(struct news *news, struct news_now now);

void news_timer(struct news *news, struct news_now now);
struct mono news_next(const struct news *news); /* MONO_NEVER: no timer */

#endif
