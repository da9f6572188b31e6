/*
 * Scripted nodes for the tests of the quorum: what it sends is kept in order per node, and the test answers by hand, in
 * any order it likes. A wrong expectation names the node, what was expected and what was sent.
 */
#ifndef EA_TEST_QUORUM_RIG_H
#define EA_TEST_QUORUM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/names.h"
#include "core/quorum/quorum.h"

#define RIG_QUEUE       16
#define RIG_TERM_MS     10000
#define RIG_TIMEOUT_MS  3000
#define RIG_MAX_TERM_MS 60000

struct rig {
    struct quorum *quorum;
    unsigned n;
    struct quorum_now now;
    struct quorum_command *out[QUORUM_NODES_MAX][RIG_QUEUE]; /* sent, not answered; oldest first */
    unsigned n_out[QUORUM_NODES_MAX];
    struct quorum_hello hello[QUORUM_NODES_MAX];
    struct quorum_marker marker[QUORUM_NODES_MAX]; /* what the script for connecting answers */
    uint64_t floor[QUORUM_NODES_MAX];              /* as rig_serve_nodes() answers */
    uint64_t ceiling[QUORUM_NODES_MAX];
    int64_t term_ms[QUORUM_NODES_MAX];
    char why[QUORUM_NODES_MAX][200];
    bool manual; /* rig_advance_ms() leaves NODE_* to the test */
    unsigned events;
    enum election_action last_event;
    char last_previous[NAME_BYTES_MAX + 1];
    char lost[256]; /* "name priority; " of each losing campaign */
};

struct ask {
    struct election_request request;
    struct quorum_session session;
    char leader[NAME_BYTES_MAX + 1];
    unsigned done;
};

/* n nodes that have each a final marker and remember ceilings and terms high enough, all ready. */
struct rig *rig_new(unsigned n);
/* The same, nothing connected. */
struct rig *rig_bare(unsigned n);
void rig_free(struct rig *rig);
void rig_set_faults(struct rig *rig, const void *faults);

void rig_advance_ms(struct rig *rig, int64_t ms);

/* Requests: candidate `who` on election "e". */
void rig_campaign(struct rig *rig, struct ask *ask, const char *who);
void rig_extend(struct rig *rig, struct ask *ask, const char *who, uint64_t token);
void rig_resign(struct rig *rig, struct ask *ask, const char *who, uint64_t token);
void rig_handover(struct rig *rig, struct ask *ask, const char *to, const char *from, uint64_t token);
void rig_read(struct rig *rig, struct ask *ask);
void rig_submit(struct rig *rig, struct ask *ask, struct quorum_session *session);

/* The oldest command to a node, which must be of this verb; it counts as sent from now on. */
struct quorum_command *rig_expect(struct rig *rig, unsigned node, enum quorum_verb verb);
/* Nothing besides NODE_* is under way to the node. */
void rig_expect_nothing(struct rig *rig, unsigned node);
void rig_reply(struct rig *rig, unsigned node, struct quorum_reply reply);
/* expect and reply at once, for all nodes from `first` to `last`. */
void rig_exchange(struct rig *rig, unsigned first, unsigned last, enum quorum_verb verb,
                  struct quorum_reply reply);

/* The node's connection ends: all is LOST, or DROPPED if not sent. */
void rig_cut(struct rig *rig, unsigned node);
/* It comes back with its final marker, and is ready. */
void rig_reconnect(struct rig *rig, unsigned node);
/* The same, with the marker key as it is in rig->marker[node]. */
void rig_connect(struct rig *rig, unsigned node);
/* Answers a NODE_READ or NODE_MARK as a node would that remembers this much. */
void rig_node_reads(struct rig *rig, unsigned node, uint64_t floor, uint64_t ceiling, int64_t max_term_ms);
/* Whatever NODE_* is under way is answered as ready nodes do. */
void rig_serve_nodes(struct rig *rig);

#define R(what, ...) ((struct quorum_reply){.answer = QUORUM_##what, __VA_ARGS__})

#endif
