/*
 * What the elector answers: who leads (GET /, GET /sse), probes, metrics; each group on an address of its own. One loop,
 * its thread. A subscriber that reads too slowly is sent the newest state when it reads again, not all in between.
 */
#ifndef EA_ELECTOR_PAGES_H
#define EA_ELECTOR_PAGES_H

#include "base/error.h"
#include "elector/options.h"
#include "net/loop.h"

struct pages;

/* What there is to tell now. */
struct pages_view {
    const char *leader; /* empty: nobody */
    bool known;         /* there has been a result */
    bool leads;         /* it is us */
    bool ready;
    struct wall changed; /* when the leader did; no two changes have the same */
    uint64_t won;
    uint64_t lost;
    uint64_t written;
};

struct pages_options {
    struct loop *loop;
    const struct options *options; /* the addresses */
    /* Asked for each answer, so that it is true at that moment. Must not call pages_changed(). */
    struct pages_view (*look)(void *user);
    void *user;
};

/* Listens. */
enum err pages_open(struct pages **out, const struct pages_options *options,
                    struct error *error) EA_MUST_CHECK;

/* The leader has changed: every subscriber hears it. */
void pages_changed(struct pages *pages);

/* Ends all subscriptions and connections, within a second; then calls `closed` and is gone. */
void pages_close(struct pages *pages, void (*closed)(void *user));

#endif
