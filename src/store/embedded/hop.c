/*
 * Between lanes. What one turn of a lane has for another, questions and answers, goes as one message at the
 * turn's end: under load one wake-up carries hundreds of requests.
 *
 * A hop is its sender's memory; the receiver marks it free when it is done with it, and the sender uses it
 * again. The requests on it are their askers' memory. An answer's slices point into the owner's book, which
 * goes on changing, so their bytes travel with the hop (INFO's in the request's arena, which nobody else
 * touches while the request is under way).
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "store/embedded/internal.h"

/* Where an answer's text is until it is delivered. */
#define SCRATCH_LEADER 0
#define SCRATCH_WHY    1
#define IN_PLACE       UINT64_MAX /* the slice is the asker's own memory, or empty */

struct hop {
    struct loop_message message;
    struct hop *next; /* of the box */
    struct lane *from;
    struct lane *to;
    atomic_bool is_free;
    struct requests questions;
    struct requests answers;
    struct buf texts;
};

static void box_init(struct box *box)
{
    *box = (struct box){.texts = BUF_EMPTY};
    requests_init(&box->questions);
    requests_init(&box->answers);
}

void hop_init(struct lane *lane)
{
    unsigned n = lane->store->n_lanes;
    if (n > 1) {
        lane->boxes = mem_alloc(n * sizeof *lane->boxes);
        for (unsigned i = 0; i < n; i++) {
            box_init(&lane->boxes[i]);
        }
    }
}

void hop_fini(struct lane *lane)
{
    for (unsigned i = 0; lane->boxes != NULL && i < lane->store->n_lanes; i++) {
        struct box *box = &lane->boxes[i];
        while (box->hops != NULL) {
            struct hop *hop = box->hops;
            box->hops = hop->next;
            buf_fini(&hop->texts);
            mem_free(hop);
        }
        buf_fini(&box->texts);
    }
    mem_free(lane->boxes);
}

static void requests_move(struct requests *from, struct requests *to)
{
    *to = *from;
    if (to->first == NULL) {
        to->end = &to->first;
    }
    requests_init(from);
}

static struct election_request *requests_take(struct requests *list)
{
    struct election_request *first = list->first;
    requests_init(list);
    return first;
}

/* --- packing --- */

void hop_ask(struct lane *from, struct lane *to, struct election_request *request)
{
    requests_push(&from->boxes[to->index].questions, request);
    from->boxes_filled = true;
    lane_queue_flush(from);
}

static uint64_t pack(struct buf *texts, struct str *slice)
{
    if (slice->n == 0) {
        return IN_PLACE;
    }
    uint64_t offset = texts->n;
    buf_add_str(texts, *slice);
    slice->p = NULL;
    return offset;
}

static void unpack(const struct buf *texts, uint64_t offset, struct str *slice)
{
    if (offset != IN_PLACE) {
        slice->p = texts->p + offset;
    }
}

static void own_info(struct election_request *request)
{
    struct arena *arena = request->arena;
    struct election_info *info = &request->info;
    for (size_t i = 0; i < info->n_candidates; i++) {
        info->candidates[i].name = arena_str(arena, info->candidates[i].name);
    }
    for (size_t i = 0; i < info->n_events; i++) {
        struct election_event *event = &info->events[i];
        event->kind = request->kind;
        event->election = request->election;
        event->leader = arena_str(arena, event->leader);
        event->previous = arena_str(arena, event->previous);
    }
}

void hop_answer(struct lane *from, struct election_request *request)
{
    struct box *box = &from->boxes[request->lane];
    bool own_name = request->tenure.leader.p == request->candidate.p;
    request->scratch[SCRATCH_LEADER] = own_name ? IN_PLACE : pack(&box->texts, &request->tenure.leader);
    request->scratch[SCRATCH_WHY] = pack(&box->texts, &request->why);
    if (request->op == OP_INFO) {
        own_info(request);
    }
    requests_push(&box->answers, request);
    from->boxes_filled = true;
    lane_queue_flush(from);
}

/* --- delivery --- */

static void deliver_answers(struct hop *hop)
{
    struct election_request *request = requests_take(&hop->answers);
    while (request != NULL) {
        struct election_request *next = request->next;
        unpack(&hop->texts, request->scratch[SCRATCH_LEADER], &request->tenure.leader);
        unpack(&hop->texts, request->scratch[SCRATCH_WHY], &request->why);
        embedded_answer(hop->to->store, request);
        request = next;
    }
}

static void deliver(struct loop *loop, struct loop_message *message)
{
    struct hop *hop = CONTAINER_OF(message, struct hop, message);
    struct election_request *request = requests_take(&hop->questions);
    assert(loop == hop->to->loop);
    while (request != NULL) {
        struct election_request *next = request->next;
        lane_decide(hop->to, request);
        request = next;
    }
    deliver_answers(hop);
    atomic_store_explicit(&hop->is_free, true, memory_order_release);
}

static struct hop *hop_obtain(struct lane *from, unsigned to)
{
    struct box *box = &from->boxes[to];
    for (struct hop *hop = box->hops; hop != NULL; hop = hop->next) {
        if (atomic_load_explicit(&hop->is_free, memory_order_acquire)) {
            return hop;
        }
    }
    struct hop *hop = mem_zalloc(sizeof *hop);
    hop->message.deliver = deliver;
    hop->from = from;
    hop->to = &from->store->lanes[to];
    hop->next = box->hops;
    box->hops = hop;
    return hop;
}

void hop_send(struct lane *lane)
{
    lane->boxes_filled = false;
    for (unsigned i = 0; i < lane->store->n_lanes; i++) {
        struct box *box = &lane->boxes[i];
        if (box->questions.first == NULL && box->answers.first == NULL) {
            continue;
        }
        struct hop *hop = hop_obtain(lane, i);
        struct buf used = hop->texts;
        requests_move(&box->questions, &hop->questions);
        requests_move(&box->answers, &hop->answers);
        hop->texts = box->texts;
        box->texts = used;
        buf_clear(&box->texts);
        atomic_store_explicit(&hop->is_free, false, memory_order_relaxed);
        loop_post(hop->to->loop, &hop->message);
    }
}

bool hop_is_quiet(const struct lane *lane)
{
    for (unsigned i = 0; lane->boxes != NULL && i < lane->store->n_lanes; i++) {
        const struct box *box = &lane->boxes[i];
        if (box->questions.first != NULL || box->answers.first != NULL) {
            return false;
        }
        for (const struct hop *hop = box->hops; hop != NULL; hop = hop->next) {
            if (!atomic_load_explicit(&hop->is_free, memory_order_acquire)) {
                return false;
            }
        }
    }
    return true;
}
