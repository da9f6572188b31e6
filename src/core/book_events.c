/*
 * The history of an election: its last events, encoded one behind the other in one buffer. The event that
 * began the running tenure is not in it as long as nothing follows: it is told from the lease, so that an
 * election that is led and renewed for ever has no history to pay for.
 */
#include "core/book_internal.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

struct event_head {
    int64_t at_us;
    uint64_t token;
    uint8_t action;
    uint8_t leader_bytes;
    uint8_t previous_bytes;
    uint8_t unused[5];
};

struct book_trail *trail_get(struct book_lease *lease)
{
    if (lease->trail == NULL) {
        lease->trail = mem_zalloc(sizeof *lease->trail);
    }
    return lease->trail;
}

void trail_free(struct book_trail *trail)
{
    if (trail == NULL) {
        return;
    }
    for (uint32_t i = 0; i < trail->n_candidates; i++) {
        mem_free(trail->candidates[i].name);
    }
    mem_free(trail->candidates);
    buf_fini(&trail->events);
    mem_free(trail);
}

size_t trail_bytes(const struct book_trail *trail)
{
    if (trail == NULL) {
        return 0;
    }
    size_t bytes = sizeof *trail + trail->events.cap + trail->candidates_cap * sizeof *trail->candidates;
    for (uint32_t i = 0; i < trail->n_candidates; i++) {
        bytes += trail->candidates[i].name_bytes;
    }
    return bytes;
}

/* Reads the event at *offset and moves it behind; its slices point into the trail. */
static struct election_event event_read(const struct book_trail *trail, size_t *offset)
{
    struct event_head head;
    assert(trail->events.n - *offset >= sizeof head);
    memcpy(&head, trail->events.p + *offset, sizeof head);
    const char *names = trail->events.p + *offset + sizeof head;
    *offset += sizeof head + head.leader_bytes + head.previous_bytes;
    assert(*offset <= trail->events.n && head.action < ACTION_COUNT);
    return (struct election_event){
        .at = {head.at_us},
        .action = (enum election_action)head.action,
        .leader = {names, head.leader_bytes},
        .previous = {names + head.leader_bytes, head.previous_bytes},
        .token = head.token,
    };
}

static void events_drop_oldest(struct book_trail *trail)
{
    (void)event_read(trail, &trail->first);
    trail->n_events--;
    if (trail->first > trail->events.n / 2) {
        trail->events.n -= trail->first;
        memmove(trail->events.p, trail->events.p + trail->first, trail->events.n);
        trail->first = 0;
    }
}

void events_push(struct book_lease *lease, const struct election_event *event)
{
    struct book_trail *trail = trail_get(lease);
    struct event_head head = {
        .at_us = event->at.us,
        .token = event->token,
        .action = (uint8_t)event->action,
        .leader_bytes = (uint8_t)event->leader.n,
        .previous_bytes = (uint8_t)event->previous.n,
    };
    if (trail->n_events == ELECTION_EVENTS_KEPT) {
        events_drop_oldest(trail);
    }
    buf_add(&trail->events, &head, sizeof head);
    buf_add_str(&trail->events, event->leader);
    buf_add_str(&trail->events, event->previous);
    trail->n_events++;
}

/* The event that began the tenure. What was known before it ended with the last event of the trail. */
static struct election_event implied_event(const struct book_lease *lease)
{
    struct election_event event = {
        .at = lease->elected_at,
        .action = ACTION_ELECTED,
        .leader = lease_leader(lease),
        .token = lease->token,
    };
    const struct book_trail *trail = lease->trail;
    if (trail != NULL && trail->n_events > 0) {
        size_t offset = trail->first;
        while (offset < trail->events.n) {
            event.previous = event_read(trail, &offset).leader;
        }
    }
    return event;
}

void events_settle(struct book_lease *lease)
{
    if (!lease->implied) {
        return;
    }
    lease->implied = false;
    struct election_event event = implied_event(lease);
    /* `previous` points into the buffer that push is going to move. */
    char previous[UINT8_MAX];
    memcpy(previous, event.previous.p != NULL ? event.previous.p : "", event.previous.n);
    event.previous.p = previous;
    events_push(lease, &event);
}

void events_list(const struct book_lease *lease, struct arena *arena, struct election_info *info)
{
    const struct book_trail *trail = lease->trail;
    size_t n = trail != NULL ? trail->n_events : 0;
    size_t offset = n > 0 ? trail->first : 0;
    if (n == ELECTION_EVENTS_KEPT && lease->implied) {
        (void)event_read(trail, &offset);
        n--;
    }
    info->events = arena_alloc(arena, (n + 1) * sizeof *info->events);
    info->n_events = 0;
    for (; n > 0; n--) {
        info->events[info->n_events++] = event_read(trail, &offset);
    }
    if (lease->implied) {
        info->events[info->n_events++] = implied_event(lease);
    }
    for (size_t i = 0; i < info->n_events; i++) {
        struct election_event *event = &info->events[i];
        event->kind = lease_kind(lease);
        event->election = lease_election(lease);
    }
}

void events_check(const struct book_trail *trail)
{
    uint32_t n = 0;
    for (size_t offset = trail->first; offset < trail->events.n; n++) {
        (void)event_read(trail, &offset);
    }
    assert(n == trail->n_events && n <= ELECTION_EVENTS_KEPT); /* V3 */
}
