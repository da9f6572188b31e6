/*
 * Who stood for an election within the last minute, besides its leader (who is told from the lease): an array
 * made when the first candidate loses. A losing campaign of a known candidate compares 32-bit hashes along it
 * and writes in place.
 */
#include "core/book_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define CANDIDATES_FIRST 2

static bool candidate_fresh(const struct book_candidate *candidate, struct mono now)
{
    return mono_sub(now, candidate->seen) < BOOK_CANDIDATE_US;
}

static struct str candidate_name(const struct book_candidate *candidate)
{
    return (struct str){candidate->name, candidate->name_bytes};
}

static bool candidate_older(const struct book_candidate *a, const struct book_candidate *b)
{
    return a->seen.us != b->seen.us ? a->seen.us < b->seen.us : a->order < b->order;
}

static struct book_candidate *candidates_find(struct book_trail *trail, struct str name, uint32_t hash)
{
    for (uint32_t i = 0; i < trail->n_candidates; i++) {
        struct book_candidate *candidate = &trail->candidates[i];
        if (candidate->hash == hash && str_eq(candidate_name(candidate), name)) {
            return candidate;
        }
    }
    return NULL;
}

static void candidates_remove(struct book_trail *trail, struct book_candidate *candidate)
{
    mem_free(candidate->name);
    *candidate = trail->candidates[--trail->n_candidates];
}

static void candidates_forget_stale(struct book_trail *trail, struct mono now)
{
    for (uint32_t i = trail->n_candidates; i > 0; i--) {
        if (!candidate_fresh(&trail->candidates[i - 1], now)) {
            candidates_remove(trail, &trail->candidates[i - 1]);
        }
    }
}

/* Room for one more: first what is stale goes, then the array grows, then the least recently seen goes. NULL
 * if that is the newcomer itself. */
static struct book_candidate *candidates_room(struct book_trail *trail, struct mono seen, struct mono now)
{
    if (trail->n_candidates == trail->candidates_cap) {
        candidates_forget_stale(trail, now);
    }
    if (trail->n_candidates == BOOK_CANDIDATES_MAX) {
        struct book_candidate *oldest = &trail->candidates[0];
        for (uint32_t i = 1; i < trail->n_candidates; i++) {
            if (candidate_older(&trail->candidates[i], oldest)) {
                oldest = &trail->candidates[i];
            }
        }
        if (mono_before(seen, oldest->seen)) {
            return NULL;
        }
        candidates_remove(trail, oldest);
    } else if (trail->n_candidates == trail->candidates_cap) {
        trail->candidates_cap = trail->candidates_cap == 0 ? CANDIDATES_FIRST : trail->candidates_cap * 2;
        trail->candidates = mem_realloc(trail->candidates, trail->candidates_cap * sizeof *trail->candidates);
    }
    return &trail->candidates[trail->n_candidates++];
}

static uint32_t candidate_hash(const struct book *book, struct str name)
{
    return (uint32_t)str_hash(name, book->seed);
}

void candidates_see(struct book *book, struct book_lease *lease, struct str name, int32_t priority,
                    struct mono seen, struct wall seen_at, struct mono now)
{
    assert(name.n > 0 && name.n <= UINT8_MAX);
    struct book_trail *trail = trail_get(lease);
    uint32_t hash = candidate_hash(book, name);
    struct book_candidate *candidate = candidates_find(trail, name, hash);
    if (candidate == NULL) {
        candidate = candidates_room(trail, seen, now);
        if (candidate == NULL) {
            return;
        }
        candidate->name = mem_dup(name.p, name.n);
        candidate->name_bytes = (uint8_t)name.n;
        candidate->hash = hash;
    }
    candidate->priority = priority;
    candidate->seen = seen;
    candidate->seen_at = seen_at;
    candidate->order = ++trail->order;
}

int32_t candidates_take(struct book *book, struct book_lease *lease, struct str name, struct mono now)
{
    int32_t priority = BOOK_PRIORITY_DEFAULT;
    if (lease->trail == NULL || lease->trail->n_candidates == 0) {
        return priority;
    }
    struct book_candidate *candidate = candidates_find(lease->trail, name, candidate_hash(book, name));
    if (candidate != NULL) {
        priority = candidate_fresh(candidate, now) ? candidate->priority : priority;
        candidates_remove(lease->trail, candidate);
    }
    return priority;
}

static int by_last_seen(const void *a, const void *b)
{
    const struct book_candidate *x = a;
    const struct book_candidate *y = b;
    return candidate_older(x, y) ? 1 : candidate_older(y, x) ? -1 : 0;
}

void candidates_list(const struct book_lease *lease, struct mono now, struct arena *arena,
                     struct election_info *info)
{
    const struct book_trail *trail = lease->trail;
    struct book_candidate sorted[BOOK_CANDIDATES_MAX];
    size_t n = 0;
    for (uint32_t i = 0; trail != NULL && i < trail->n_candidates; i++) {
        if (candidate_fresh(&trail->candidates[i], now)) {
            sorted[n++] = trail->candidates[i];
        }
    }
    if (n > 1) {
        qsort(sorted, n, sizeof sorted[0], by_last_seen);
    }
    info->candidates = arena_alloc(arena, (n + 1) * sizeof *info->candidates);
    info->n_candidates = 0;
    bool leader_due = lease->led;
    for (size_t i = 0; i <= n; i++) {
        if (leader_due && (i == n || !mono_before(lease->renewed, sorted[i].seen))) {
            leader_due = false;
            info->candidates[info->n_candidates++] = (struct election_candidate){
                .name = lease_leader(lease),
                .priority = lease->priority,
                .last_seen = lease->renewed_at,
                .leading = true,
            };
        }
        if (i < n) {
            info->candidates[info->n_candidates++] = (struct election_candidate){
                .name = candidate_name(&sorted[i]),
                .priority = sorted[i].priority,
                .last_seen = sorted[i].seen_at,
            };
        }
    }
}
