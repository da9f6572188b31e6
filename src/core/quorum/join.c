/*
 * Equal questions are asked once: a read or an extend that comes while an equal one has not been sent yet joins it. The
 * answer is of a moment after both were asked, and a term that was written then covers both. Who extends takes ownership
 * in the script that he counts (Q3): one script under one owner does that for all who joined.
 */
#include "core/quorum/internal.h"

#define JOIN_US 100000 /* deadlines that differ by more are not served by one attempt */

static uint64_t join_hash(const struct quorum *q, const struct election_request *request)
{
    return str_hash(request->election, str_hash(request->kind, q->seed)) + (uint64_t)request->op;
}

/* Not in a later round: an extend may have refilled a node in the one before, for a term that began before this. */
static bool takes_company(const struct quorum *q, const struct attempt *a)
{
    return a->round <= 1 && attempt_is_unsent(q, a);
}

static bool is_equal(const struct election_request *a, const struct election_request *b)
{
    bool same = a->op == b->op && str_eq(a->election, b->election) && str_eq(a->kind, b->kind);
    bool same_extend = str_eq(a->candidate, b->candidate) && a->term_ms == b->term_ms && a->token == b->token;
    return same && (a->op != OP_EXTEND || same_extend);
}

void join_open(struct quorum *q, struct attempt *a)
{
    a->joinable = true;
    map_add(&q->joins, &a->node, join_hash(q, a->request));
}

void join_close(struct quorum *q, struct attempt *a)
{
    if (a->joinable) {
        a->joinable = false;
        map_remove(&q->joins, &a->node);
    }
}

bool join_equal(struct quorum *q, struct election_request *request)
{
    uint64_t hash = join_hash(q, request);
    for (struct map_node *n = map_first(&q->joins, hash); n != NULL; n = map_next(n, hash)) {
        struct attempt *a = CONTAINER_OF(n, struct attempt, node);
        if (!is_equal(a->request, request)) {
            continue;
        }
        if (!takes_company(q, a)) { /* Q17 */
            join_close(q, a);
            return false;
        }
        /* The one attempt ends by its own deadline, which must suit both. */
        struct mono latest = mono_add_ms(q->now.mono, q->options.operation_timeout_ms);
        int64_t later_us = mono_sub(mono_min(request->deadline, latest), a->deadline) - QUORUM_TIMER_US;
        if (later_us < 0 || later_us > JOIN_US) {
            continue;
        }
        request->next = a->request->next;
        a->request->next = request;
        return true;
    }
    return false;
}
