/* What happens to elections: every change of leader is an event (spec: elections.md, "Events"). */
#ifndef EA_CORE_EVENT_H
#define EA_CORE_EVENT_H

#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

/* EVENT(name, word): the words are the API's and the metric label `reason`. */
#define ELECTION_ACTIONS(EVENT)       \
    EVENT(ELECTED, "elected")         \
    EVENT(RESIGNED, "resigned")       \
    EVENT(HANDED_OVER, "handed_over") \
    EVENT(EXPIRED, "expired")         \
    EVENT(STEPPED_DOWN, "stepped_down")

enum election_action {
#define EVENT(name, word) ACTION_##name,
    ELECTION_ACTIONS(EVENT)
#undef EVENT
        ACTION_COUNT
};

/* As events and metrics show it: "handed_over". */
const char *election_action_word(enum election_action action);

#define ELECTION_EVENTS_KEPT 100

struct election_event {
    struct wall at;
    enum election_action action;
    struct str kind;
    struct str election;
    struct str
        leader; /* elected, handed_over: the new one; resigned, expired, stepped_down: the one that was */
    struct str previous; /* handed_over: the old one; elected: the last one known, empty if none */
    uint64_t token;      /* of `leader`'s tenure */
};

#endif
