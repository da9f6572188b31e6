#include "store/kubernetes/notes.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "core/names.h"

#define CANDIDATES_KEPT   64
#define CANDIDATE_KEPT_US INT64_C(60000000)

struct note {
    struct mono seen;
    struct wall seen_at;
    int32_t priority;
    uint8_t bytes;
    char name[NAME_BYTES_MAX];
};

struct note_event {
    struct election_event event; /* without its words */
    char *words;                 /* leader, previous */
    size_t leader_bytes;
    size_t previous_bytes;
};

static struct str name_of(const struct note *note)
{
    return str_from(note->name, note->bytes);
}

void notes_fini(struct notes *notes)
{
    for (size_t i = 0; i < notes->n_events; i++) {
        mem_free(notes->events[i].words);
    }
    mem_free(notes->events);
    mem_free(notes->candidates);
    buf_fini(&notes->last_leader);
}

/* --- candidates --- */

static void forget_stale(struct notes *notes, struct mono now)
{
    while (notes->n_candidates > 0 &&
           mono_sub(now, notes->candidates[notes->n_candidates - 1].seen) >= CANDIDATE_KEPT_US) {
        notes->n_candidates--;
    }
}

int32_t notes_take(struct notes *notes, struct str name, struct mono now)
{
    forget_stale(notes, now);
    for (size_t i = 0; i < notes->n_candidates; i++) {
        if (str_eq(name_of(&notes->candidates[i]), name)) {
            int32_t priority = notes->candidates[i].priority;
            notes->n_candidates--;
            memmove(&notes->candidates[i], &notes->candidates[i + 1],
                    (notes->n_candidates - i) * sizeof notes->candidates[0]);
            return priority;
        }
    }
    return NOTES_PRIORITY;
}

void notes_see(struct notes *notes, struct str name, int32_t priority, struct mono seen, struct wall seen_at,
               struct mono now)
{
    size_t i = 0;
    (void)notes_take(notes, name, now);
    while (i < notes->n_candidates && mono_before(seen, notes->candidates[i].seen)) {
        i++;
    }
    if (i == CANDIDATES_KEPT) {
        return;
    }
    size_t n = notes->n_candidates < CANDIDATES_KEPT ? notes->n_candidates : CANDIDATES_KEPT - 1;
    notes->candidates = mem_realloc(notes->candidates, (n + 1) * sizeof notes->candidates[0]);
    memmove(&notes->candidates[i + 1], &notes->candidates[i], (n - i) * sizeof notes->candidates[0]);
    notes->candidates[i] =
        (struct note){.seen = seen, .seen_at = seen_at, .priority = priority, .bytes = (uint8_t)name.n};
    memcpy(notes->candidates[i].name, name.p, name.n);
    notes->n_candidates = n + 1;
    forget_stale(notes, now);
}

static void show_candidates(const struct notes *notes, const struct election_candidate *leader,
                            struct mono leader_seen, struct election_request *request)
{
    struct election_info *info = &request->info;
    bool due = leader != NULL;
    info->candidates = arena_alloc(request->arena, (notes->n_candidates + 1) * sizeof info->candidates[0]);
    for (size_t i = 0; i <= notes->n_candidates; i++) {
        const struct note *note = i < notes->n_candidates ? &notes->candidates[i] : NULL;
        if (due && (note == NULL || !mono_before(leader_seen, note->seen))) {
            due = false;
            info->candidates[info->n_candidates++] = *leader;
        }
        if (note != NULL) {
            info->candidates[info->n_candidates++] =
                (struct election_candidate){.name = arena_str(request->arena, name_of(note)),
                                            .priority = note->priority,
                                            .last_seen = note->seen_at};
        }
    }
}

/* --- events --- */

void notes_event(struct notes *notes, const struct election_event *event)
{
    struct buf words = BUF_EMPTY;
    if (notes->n_events == ELECTION_EVENTS_KEPT) {
        mem_free(notes->events[0].words);
        memmove(&notes->events[0], &notes->events[1], --notes->n_events * sizeof notes->events[0]);
    } else {
        notes->events = mem_realloc(notes->events, (notes->n_events + 1) * sizeof notes->events[0]);
    }
    buf_add_str(&words, event->leader);
    buf_add_str(&words, event->previous);
    notes->events[notes->n_events++] = (struct note_event){.event = *event,
                                                           .words = words.p,
                                                           .leader_bytes = event->leader.n,
                                                           .previous_bytes = event->previous.n};
}

static void show_events(const struct notes *notes, struct election_request *request)
{
    struct election_info *info = &request->info;
    info->events = arena_alloc(request->arena, (notes->n_events + 1) * sizeof info->events[0]);
    for (size_t i = 0; i < notes->n_events; i++) {
        const struct note_event *kept = &notes->events[i];
        struct election_event *event = &info->events[info->n_events++];
        *event = kept->event;
        event->kind = request->kind;
        event->election = request->election;
        event->leader = arena_str(request->arena, str_from(kept->words, kept->leader_bytes));
        event->previous =
            arena_str(request->arena, str_from(kept->words + kept->leader_bytes, kept->previous_bytes));
    }
}

void notes_show(struct notes *notes, const struct election_candidate *leader, struct mono leader_seen,
                struct mono now, struct election_request *request)
{
    forget_stale(notes, now);
    show_candidates(notes, leader, leader_seen, request);
    show_events(notes, request);
}
