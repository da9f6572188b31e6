/*
 * How a node comes into use, and back into use when its memory is in doubt.
 *
 *   final marker, of this very server ───────────────────────────────────────────► ready
 *   another marker, none, or its clock stepped: a recovering marker is written ──► recovering
 *   recovering, and witnesses (N - q + 1 ready nodes) read in the same census:
 *       floor, ceiling, max_term are raised to their maxima, under the nonce ────► proven
 *       proven, and the longest term over since we saw the nonce: final marker ──► ready
 *   recovering, and so many others too that there can't be witnesses:
 *       all reachable are blank: a fresh deployment: final marker ───────────────► ready
 *       else the longest term over: floor = their maximum and our clock: final ──► ready
 *
 * A census is one read of every connected node. Everything is decided on reads of the present census, and everything is
 * written under the condition that the marker is the one that was read: what happened to a node in between (a
 * flush, a restart, another agent's decision) makes the write fail, and the next census knows (scenario 18). And a
 * census tells only of what was lost before it began: a read of another node that is older than the loss does not know
 * the last tokens, nor that somebody has declared the others ready meanwhile. So the nonce must be older (Q12).
 */
#include <string.h>

#include "core/lease.h"
#include "core/quorum/internal.h"

/* Waiting out a term by our own clock, which may run 1 % fast against the client's. */
static int64_t wait_us(int64_t term_ms)
{
    return term_ms * 1000 + lease_drift_us(term_ms);
}

static bool of_this_server(const struct node *node, const struct quorum_marker *marker)
{
    return marker->there && strcmp(marker->run_id, node->hello.run_id) == 0 &&
           strcmp(marker->replication_id, node->hello.replication_id) == 0;
}

static struct quorum_marker marker_of(const struct node *node, uint64_t nonce, bool blank)
{
    struct quorum_marker marker = {.there = true, .blank = blank, .nonce = nonce};
    memcpy(marker.run_id, node->hello.run_id, sizeof(marker.run_id));
    memcpy(marker.replication_id, node->hello.replication_id, sizeof(marker.replication_id));
    marker.run_id[QUORUM_ID_BYTES - 1] = '\0';
    marker.replication_id[QUORUM_ID_BYTES - 1] = '\0';
    return marker;
}

static void mark(struct quorum *q, struct node *node, struct quorum_marker next, uint64_t floor,
                 uint64_t ceiling, int64_t max_term_ms)
{
    node->cmd.marker_old = node->marker;
    node->cmd.marker = next;
    node->cmd.floor = floor;
    node->cmd.ceiling = ceiling;
    node->cmd.max_term_ms = max_term_ms;
    node_send(q, node, QUORUM_NODE_MARK);
}

/* "First a recovering marker with a random nonce is written." Until then the node is of no use. */
static void mark_recovering(struct quorum *q, struct node *node, const char *why)
{
    bool blank = node->floor == 0 && node->ceiling == 0 && node->max_term_ms == 0 &&
                 (!node->marker.there || node->marker.blank);
    uint64_t nonce = rng_next(&q->rng);
    node_move(q, node, QUORUM_NODE_CHECKING, why);
    node_unsure(node);
    mark(q, node, marker_of(node, nonce != 0 ? nonce : 1, blank), 0, 0, 0);
}

/* --- Its clock --- */

/* "the node's clock stepped by more than 1 % against ours": its leases end by its clock. */
static bool clock_stepped(struct quorum *q, struct node *node, int64_t node_us)
{
    if (node_us <= 0) {
        return false;
    }
    bool stepped = false;
    int64_t least_us = mono_sub(node->asked, node->clock_high); /* as little time may have passed, */
    int64_t most_us = mono_sub(q->now.mono, node->clock_low);   /* or as much */
    if (node->clock_us != 0) {
        int64_t passed_us = node_us - node->clock_us;
        stepped = passed_us < least_us - least_us / 100 - QUORUM_STEP_SLACK_US ||
                  passed_us > most_us + most_us / 100 + QUORUM_STEP_SLACK_US;
    }
    if (node->clock_us == 0 || stepped || least_us >= QUORUM_POLL_MS * 1000) {
        node->clock_us = node_us;
        node->clock_low = node->asked;
        node->clock_high = q->now.mono;
    }
    return stepped;
}

/* --- What a read says --- */

static void now_recovering(struct quorum *q, struct node *node, bool same_nonce)
{
    if (!same_nonce || node_state(node) != QUORUM_NODE_RECOVERING) {
        bool kept = same_nonce && node->since.us != 0;
        if (!kept) {
            node->since = q->now.mono;
            node->since_census = q->census;
            node->proven = false;
        }
        node_unsure(node);
    }
    if (node_state(node) == QUORUM_NODE_READY) {
        node_move(q, node, QUORUM_NODE_CHECKING, "another agent found its memory in doubt");
    }
    node_move(
        q, node, QUORUM_NODE_RECOVERING,
        "its memory is not proven: it helps nobody to win until the other nodes' memory is copied and the "
        "longest term is over");
}

void admission_read(struct quorum *q, struct node *node, const struct quorum_reply *reply)
{
    if (reply->floor >= HLC_LIMIT || reply->ceiling >= HLC_LIMIT || reply->max_term_ms < 0) {
        return; /* out of range: it stays as it was, and is asked again */
    }
    /* The clock "starts above the ceilings it reads" (Q19): only the first time. Later ones, and floors made of
     * them, are a minute ahead of our own clock, which would chase itself. */
    if (!node->met && (!quorum_observe(q, reply->floor) || !quorum_observe(q, reply->ceiling))) {
        return;
    }
    node->met = true;
    bool stepped = clock_stepped(q, node, reply->node_us);
    bool same = quorum_marker_is(&node->marker, &reply->marker);
    node->marker = reply->marker;
    node->floor = reply->floor;
    node->ceiling = reply->ceiling;
    node->max_term_ms = reply->max_term_ms;
    node->census = node->cmd_census;
    bool ours = of_this_server(node, &reply->marker);
    bool final = ours && reply->marker.nonce == 0;
    if (!ours) {
        mark_recovering(q, node,
                        reply->marker.there ? "it has restarted, or its data is another server's"
                                            : "it remembers nothing");
    } else if (stepped && (final || same)) {
        mark_recovering(q, node, "its clock stepped: leases may have ended early");
    } else if (final) {
        node_move(q, node, QUORUM_NODE_READY,
                  q->memory_was_lost
                      ? "ready, after a majority's memory was lost: from there on clocks order the tokens"
                      : "ready");
        node_unsure(node); /* it may have forgotten since, and been declared ready by another agent */
        node_sure(q, node, reply->ceiling, reply->max_term_ms);
        node_raise_ahead(q);
    } else {
        now_recovering(q, node, same);
    }
    admission_judge(q);
}

/* --- The census --- */

bool admission_census_over(const struct quorum *q)
{
    bool heard = true;
    for (unsigned i = 0; i < q->n; i++) {
        heard = heard && (!node_connected(&q->nodes[i]) || q->nodes[i].census == q->census);
    }
    return heard || mono_sub(q->now.mono, q->census_at) >= q->options.operation_timeout_ms * 1000;
}

void admission_census(struct quorum *q)
{
    q->census++;
    q->census_at = q->now.mono;
    for (unsigned i = 0; i < q->n; i++) {
        struct node *node = &q->nodes[i];
        if (node_connected(node)) {
            node->want_read = true;
            node_drive(q, node);
        }
    }
}

struct census {
    unsigned ready;
    unsigned recovering;
    unsigned blank;
    bool settled;         /* no recovering node's nonce is younger than the census */
    bool complete;        /* every connected node was read in it */
    bool all;             /* and every node is connected */
    uint64_t ready_floor; /* maxima over the ready ones: of floor and ceiling */
    int64_t ready_term_ms;
    uint64_t any_floor; /* over all */
    int64_t any_term_ms;
};

static uint64_t max_token(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static int64_t max_term(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static struct census count_census(const struct quorum *q)
{
    struct census c = {.settled = true, .complete = true, .all = true};
    for (unsigned i = 0; i < q->n; i++) {
        const struct node *node = &q->nodes[i];
        bool read = node_usable(node) && node->census == q->census;
        c.all = c.all && node_connected(node);
        c.complete = c.complete && (read || !node_connected(node));
        if (!read) {
            continue;
        }
        uint64_t floor = max_token(node->floor, node->ceiling);
        c.any_floor = max_token(c.any_floor, floor);
        c.any_term_ms = max_term(c.any_term_ms, node->max_term_ms);
        if (node_state(node) == QUORUM_NODE_READY) {
            c.ready++;
            c.ready_floor = max_token(c.ready_floor, floor);
            c.ready_term_ms = max_term(c.ready_term_ms, node->max_term_ms);
        } else {
            c.recovering++;
            c.blank += node->marker.blank ? 1 : 0;
            c.settled = c.settled && node->since_census < q->census;
        }
    }
    return c;
}

/* Q13: by our own clock, from when we saw the nonce. */
static bool waited(const struct quorum *q, const struct node *node, int64_t term_ms)
{
    return mono_sub(q->now.mono, node->since) >= wait_us(term_ms);
}

/* One step for a recovering node whose lost memory the ready ones can vouch for. */
static void bring_on(struct quorum *q, struct node *node, const struct census *c)
{
    struct quorum_marker final = marker_of(node, 0, false);
    if (!node->proven) {
        if (c->ready < q->witnesses) {
            return;
        }
        bool stands = node->floor >= c->ready_floor && node->ceiling >= c->ready_floor &&
                      node->max_term_ms >= c->ready_term_ms;
        if (!stands) {
            struct quorum_marker kept = q->faults.final_with_floor ? final : node->marker;
            mark(q, node, kept, c->ready_floor, c->ready_floor, c->ready_term_ms);
            return;
        }
        node->proven = true;
        node->wait_ms = c->ready_term_ms;
    }
    if (waited(q, node, node->wait_ms) || q->faults.final_with_floor) {
        mark(q, node, final, 0, 0, 0);
    }
}

/* A majority has no memory: nobody can vouch. */
static void bring_on_all(struct quorum *q, const struct census *c)
{
    bool patient =
        c->all || mono_sub(q->now.mono, q->reachable_since) >= q->options.operation_timeout_ms * 1000;
    bool fresh = c->ready == 0 && c->blank == c->recovering && c->blank >= q->majority && patient;
    fresh = fresh || (q->faults.fresh_when_quorum && c->blank >= q->majority);
    int64_t longest_ms = max_term(q->options.max_term_ms, c->any_term_ms);
    uint64_t wall = q->now.wall.us > 0 ? (uint64_t)q->now.wall.us : 0;
    uint64_t floor = max_token(max_token(c->any_floor, q->hlc.last), wall < HLC_LIMIT ? wall : 0);
    /* The last raise may be among what was lost. An agent (or another lane of this one) that met a ceiling and raised it
     * gives tokens up to so far above it. */
    floor = floor < HLC_LIMIT - 1 - QUORUM_AHEAD_US ? floor + QUORUM_AHEAD_US : floor;
    for (unsigned i = 0; i < q->n; i++) {
        struct node *node = &q->nodes[i];
        if (node_state(node) != QUORUM_NODE_RECOVERING || node->out) {
            continue;
        }
        if (fresh) {
            mark(q, node, marker_of(node, 0, false), 0, 0, 0);
        } else if (waited(q, node, longest_ms)) {
            q->memory_was_lost = true;
            mark(q, node, marker_of(node, 0, false), floor, floor, c->any_term_ms);
        }
    }
}

/* Every connected node was heard in this census, which can't tell of a nonce that is younger: the next one can, at
 * once. One that begins after the nonce stands suffices, so this comes to an end. */
static void hurry(struct quorum *q)
{
    bool young = false;
    for (unsigned i = 0; i < q->n; i++) {
        const struct node *node = &q->nodes[i];
        young = young || (node_state(node) == QUORUM_NODE_RECOVERING && node->since_census == q->census);
        if (node_connected(node) && (node->census != q->census || !node_usable(node))) {
            return;
        }
    }
    if (young) {
        admission_census(q);
    }
}

void admission_judge(struct quorum *q)
{
    if (node_count(q, QUORUM_NODE_RECOVERING) == 0) {
        return;
    }
    hurry(q);
    struct census c = count_census(q);
    if (c.recovering > q->n - q->majority) {
        node_unsure_all(q);
        if (c.complete && c.settled && c.recovering + c.ready >= q->majority) {
            bring_on_all(q, &c);
        }
        return;
    }
    for (unsigned i = 0; i < q->n; i++) {
        struct node *node = &q->nodes[i];
        if (node_state(node) == QUORUM_NODE_RECOVERING && node->census == q->census && !node->out &&
            node->since_census < q->census) {
            bring_on(q, node, &c);
        }
    }
}
