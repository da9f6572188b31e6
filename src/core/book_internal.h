/*
 * Inside the book: what its files share. Nobody else includes this.
 *
 *   book.c             the rules
 *   book_table.c       where leases are: by (kind, name), in order of their names, by the time they end
 *   book_events.c      the history of an election
 *   book_candidates.c  who stood for it lately
 *   book_check.c       the structural invariants
 *
 * One allocation per election, names inside. What most elections never have (a history, losing candidates) is
 * a second one, the trail, made when first needed. An election without a leader whose history is kept is the
 * same object, in the map and on the list of vacant ones only.
 */
#ifndef EA_CORE_BOOK_INTERNAL_H
#define EA_CORE_BOOK_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/hlc.h"
#include "base/map.h"
#include "base/wheel.h"
#include "core/book.h"

#define BOOK_CANDIDATES_MAX   64
#define BOOK_CANDIDATE_US     INT64_C(60000000)
#define BOOK_PRIORITY_DEFAULT 1

/* The path from the root of a kind's tree to a lease. The tree is balanced by seeded random numbers: with a
 * thousand million leases the chance of a path of this length is below 1e-30. */
#define BOOK_DEPTH_MAX 256

struct book_kind {
    struct map_node node;    /* in book->kinds */
    struct book_lease *root; /* of the led elections, in byte order of their names */
    uint64_t led;
    uint64_t elections; /* led and vacant: the kind goes with the last one */
    void *slot;         /* the caller's, see book_hooks.kind */
    uint8_t name_bytes;
    char name[];
};

/* A candidate that is not the leader. */
struct book_candidate {
    struct mono seen;
    struct wall seen_at;
    uint64_t order; /* of equal times the one seen later has the greater one */
    char *name;
    uint32_t hash;
    int32_t priority;
    uint8_t name_bytes;
};

/* What only some elections have. */
struct book_trail {
    struct buf events; /* encoded, oldest at `first` */
    size_t first;
    uint32_t n_events;
    uint32_t n_candidates;
    uint32_t candidates_cap;
    uint64_t order;
    struct book_candidate *candidates;
};

struct book_lease {
    struct map_node node;     /* in book->leases */
    struct wheel_entry timer; /* fires at or before `expires`: an extension does not move it */
    struct book_kind *kind;
    struct book_trail *trail; /* NULL: none */
    uint64_t token;           /* vacant: of the last tenure */
    uint64_t mark;            /* the caller's */
    struct mono expires;
    struct mono renewed; /* when its leader was last seen */
    struct wall renewed_at;
    struct wall elected_at;
    union {
        struct book_lease *left;  /* led: in kind->root */
        struct book_lease *newer; /* vacant: in book->vacant */
    };
    union {
        struct book_lease *right;
        struct book_lease *older;
    };
    int32_t term_ms;     /* of the last campaign or extension */
    int32_t recorded_ms; /* the longest promised to this tenure */
    int32_t priority;    /* of the leader */
    uint8_t election_bytes;
    uint8_t leader_bytes;
    uint8_t leader_cap;
    bool led : 1;
    bool implied : 1; /* the event that began this tenure is not in the trail: it follows from the fields */
    char names[];     /* election, then leader (vacant: the last one) */
};

struct book {
    struct map leases;
    struct map kinds;
    struct wheel wheel;
    struct hlc hlc;
    uint64_t seed;
    size_t led;
    size_t vacant;
    size_t vacant_kept;
    size_t vacant_bytes;     /* of those on the list */
    size_t vacant_bytes_max; /* SIZE_MAX: no bound */
    struct book_lease *vacant_newest;
    struct book_lease *vacant_oldest;
    const char *frozen; /* NULL: not */
    struct book_hooks hooks;
};

/* The moment of a decision. */
struct book_now {
    struct mono mono;
    struct wall wall;
};

static inline struct str lease_election(const struct book_lease *lease)
{
    return (struct str){lease->names, lease->election_bytes};
}

static inline struct str lease_leader(const struct book_lease *lease)
{
    return (struct str){lease->names + lease->election_bytes, lease->leader_bytes};
}

static inline struct str lease_kind(const struct book_lease *lease)
{
    return (struct str){lease->kind->name, lease->kind->name_bytes};
}

/* --- book_table.c --- */

/* Led or vacant; NULL if nothing is known. */
struct book_lease *table_find(const struct book *book, struct str kind, struct str election);

/* A new election, vacant and on no list yet; `leader` is written into it. */
struct book_lease *table_add(struct book *book, struct str kind, struct str election, struct str leader);

/* Writes another leader's name. The object may move: use what is returned. `lease` is neither led nor on the
 * list of vacant ones. */
struct book_lease *table_rename(struct book *book, struct book_lease *lease, struct str leader);

/* Between led (in the order of names, on the wheel until `expires`) and neither. */
void table_lead(struct book *book, struct book_lease *lease);
void table_unlead(struct book *book, struct book_lease *lease);

/* Calls the hook about a kind whose number of led elections has changed. */
void table_tell_kind(struct book *book, struct book_kind *kind);

/* Between vacant (on the list) and neither; vacate() forgets the oldest beyond the bound, which may be
 * `lease` itself. */
void table_vacate(struct book *book, struct book_lease *lease);
void table_occupy(struct book *book, struct book_lease *lease);

/* Forgets an election that is neither led nor on the list. */
void table_remove(struct book *book, struct book_lease *lease);

struct book_kind *table_kind(const struct book *book, struct str kind);

/* Visits led leases with names greater than `after` in order, until `visit` returns false. */
void table_walk(const struct book_kind *kind, struct str after,
                bool (*visit)(struct book_lease *lease, void *arg), void *arg);

/* --- book_events.c --- */

struct book_trail *trail_get(struct book_lease *lease);
void trail_free(struct book_trail *trail);
size_t trail_bytes(const struct book_trail *trail); /* the memory it takes; NULL: 0 */

/* Keeps an event, dropping the oldest beyond ELECTION_EVENTS_KEPT. */
void events_push(struct book_lease *lease, const struct election_event *event);

/* Makes the event that began the tenure part of the trail, before another one follows it. */
void events_settle(struct book_lease *lease);

void events_list(const struct book_lease *lease, struct arena *arena, struct election_info *info);

/* Walks the encoding and asserts that it is whole. */
void events_check(const struct book_trail *trail);

/* --- book_candidates.c --- */

/* A candidate that does not lead was seen. */
void candidates_see(struct book *book, struct book_lease *lease, struct str name, int32_t priority,
                    struct mono seen, struct wall seen_at, struct mono now);

/* It leads now: takes it off the list. Its priority if it was remembered, else the default. */
int32_t candidates_take(struct book *book, struct book_lease *lease, struct str name, struct mono now);

void candidates_list(const struct book_lease *lease, struct mono now, struct arena *arena,
                     struct election_info *info);

#endif
