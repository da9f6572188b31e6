/*
 * What an agent remembers of an election beside its Lease: who stood for it lately, and the changes of leader it has
 * seen (core/DESIGN.md, "Candidates", "Events"). For display, nothing is decided by it. Deciding code.
 */
#ifndef EA_STORE_KUBERNETES_NOTES_H
#define EA_STORE_KUBERNETES_NOTES_H

#include "base/buf.h"
#include "core/event.h"
#include "core/request.h"

#define NOTES_PRIORITY 1 /* of a candidate that never said one */

struct note;
struct note_event;

struct notes {
    struct note *candidates; /* besides the leader, most recently seen first */
    size_t n_candidates;
    struct note_event *events; /* oldest first */
    size_t n_events;
    struct buf last_leader; /* of the last tenure that began */
};

/* A zeroed struct notes is empty. */
void notes_fini(struct notes *notes);

/* A candidate that does not lead was seen. */
void notes_see(struct notes *notes, struct str name, int32_t priority, struct mono seen, struct wall seen_at,
               struct mono now);

/* It leads now: no longer among the others. Its priority, if it is remembered. */
int32_t notes_take(struct notes *notes, struct str name, struct mono now);

/* Keeps an event; the oldest beyond ELECTION_EVENTS_KEPT goes. */
void notes_event(struct notes *notes, const struct election_event *event);

/* Fills request->info; `leader` is told among the candidates where it belongs (NULL: nobody leads). */
void notes_show(struct notes *notes, const struct election_candidate *leader, struct mono leader_seen,
                struct mono now, struct election_request *request);

#endif
