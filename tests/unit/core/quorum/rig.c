#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "core/quorum/fault.h"

#define CEILING (UINT64_C(1) << 52)

static void on_send(void *arg, struct quorum_command *command)
{
    struct rig *rig = arg;
    unsigned node = command->node;
    assert_true(rig->n_out[node] < RIG_QUEUE);
    rig->out[node][rig->n_out[node]++] = command;
}

static void on_event(void *arg, const struct election_event *event)
{
    struct rig *rig = arg;
    rig->events++;
    rig->last_event = event->action;
    (void)snprintf(rig->last_previous, sizeof rig->last_previous, "%.*s", STR_ARG(event->previous));
}

static void on_lost(void *arg, const struct quorum_names *names, int32_t priority)
{
    struct rig *rig = arg;
    size_t n = strlen(rig->lost);
    (void)snprintf(rig->lost + n, sizeof rig->lost - n, "%.*s %d; ", STR_ARG(names->candidate),
                   (int)priority);
}

static void on_node(void *arg, unsigned node, enum quorum_node_state state, const char *why)
{
    struct rig *rig = arg;
    snprintf(rig->why[node], sizeof(rig->why[node]), "%s: %s", quorum_node_state_word(state), why);
}

struct rig *rig_bare(unsigned n)
{
    struct rig *rig = mem_zalloc(sizeof(*rig));
    rig->n = n;
    rig->now = (struct quorum_now){{1000000}, {INT64_C(1767225600000000)}};
    for (unsigned i = 0; i < n; i++) {
        snprintf(rig->hello[i].run_id, QUORUM_ID_BYTES, "run%u", i);
        snprintf(rig->hello[i].replication_id, QUORUM_ID_BYTES, "repl%u", i);
        rig->hello[i].master = true;
        rig->ceiling[i] = CEILING;
        rig->term_ms[i] = RIG_MAX_TERM_MS;
    }
    const struct quorum_options options = {
        .nodes = n,
        .agent = 7,
        .seed = 1,
        .operation_timeout_ms = RIG_TIMEOUT_MS,
        .max_term_ms = RIG_MAX_TERM_MS,
        .hooks = {.send = on_send, .event = on_event, .lost = on_lost, .node = on_node, .arg = rig},
    };
    rig->quorum = quorum_new(&options, rig->now);
    return rig;
}

static struct quorum_marker final_marker(const struct rig *rig, unsigned node)
{
    struct quorum_marker marker = {.there = true};
    memcpy(marker.run_id, rig->hello[node].run_id, QUORUM_ID_BYTES);
    memcpy(marker.replication_id, rig->hello[node].replication_id, QUORUM_ID_BYTES);
    return marker;
}

void rig_connect(struct rig *rig, unsigned node)
{
    rig->hello[node].since = rig->now.mono;
    quorum_node_up(rig->quorum, rig->now, node, &rig->hello[node]);
}

void rig_reconnect(struct rig *rig, unsigned node)
{
    rig->marker[node] = final_marker(rig, node);
    rig_connect(rig, node);
    rig_expect(rig, node, QUORUM_NODE_READ);
    rig_node_reads(rig, node, 0, rig->ceiling[node], RIG_MAX_TERM_MS);
    assert_int_equal(quorum_node_state(rig->quorum, node), QUORUM_NODE_READY);
    rig_serve_nodes(rig);
}

struct rig *rig_new(unsigned n)
{
    struct rig *rig = rig_bare(n);
    for (unsigned i = 0; i < n; i++) {
        rig->marker[i] = final_marker(rig, i);
        rig_connect(rig, i);
    }
    for (unsigned i = 0; i < n; i++) {
        rig_expect(rig, i, QUORUM_NODE_READ);
        rig_node_reads(rig, i, 0, CEILING, RIG_MAX_TERM_MS);
        assert_int_equal(quorum_node_state(rig->quorum, i), QUORUM_NODE_READY);
    }
    rig_serve_nodes(rig);
    return rig;
}

void rig_free(struct rig *rig)
{
    quorum_free(rig->quorum);
    mem_free(rig);
}

void rig_set_faults(struct rig *rig, const void *faults)
{
    quorum_set_faults(rig->quorum, faults);
}

void rig_advance_ms(struct rig *rig, int64_t ms)
{
    rig->now.mono = mono_add_ms(rig->now.mono, ms);
    rig->now.wall.us += ms * 1000;
    quorum_timer(rig->quorum, rig->now);
    if (!rig->manual) {
        rig_serve_nodes(rig);
    }
}

/* --- Requests --- */

static void on_done(struct election_request *request)
{
    struct ask *ask = request->user;
    ask->done++;
    struct str leader = request->tenure.leader;
    snprintf(ask->leader, sizeof(ask->leader), "%.*s", STR_ARG(leader));
}

void rig_submit(struct rig *rig, struct ask *ask, struct quorum_session *session)
{
    struct election_request *request = &ask->request;
    request->kind = STR("default");
    request->election = STR("e");
    request->term_ms = request->term_ms != 0 ? request->term_ms : RIG_TERM_MS;
    request->start = rig->now.mono;
    request->deadline =
        request->deadline.us != 0 ? request->deadline : mono_add_ms(rig->now.mono, RIG_TIMEOUT_MS);
    request->done = on_done;
    request->user = ask;
    quorum_submit(rig->quorum, rig->now, request, session);
}

void rig_campaign(struct rig *rig, struct ask *ask, const char *who)
{
    ask->request.op = OP_CAMPAIGN;
    ask->request.candidate = str_of(who);
    rig_submit(rig, ask, NULL);
}

void rig_extend(struct rig *rig, struct ask *ask, const char *who, uint64_t token)
{
    ask->request.op = OP_EXTEND;
    ask->request.candidate = str_of(who);
    ask->request.token = token;
    rig_submit(rig, ask, NULL);
}

void rig_resign(struct rig *rig, struct ask *ask, const char *who, uint64_t token)
{
    ask->request.op = OP_RESIGN;
    ask->request.candidate = str_of(who);
    ask->request.token = token;
    rig_submit(rig, ask, NULL);
}

void rig_handover(struct rig *rig, struct ask *ask, const char *to, const char *from, uint64_t token)
{
    ask->request.op = OP_HANDOVER;
    ask->request.candidate = str_of(to);
    ask->request.from = str_of(from);
    ask->request.token = token;
    rig_submit(rig, ask, NULL);
}

void rig_read(struct rig *rig, struct ask *ask)
{
    ask->request.op = OP_GET;
    rig_submit(rig, ask, NULL);
}

/* --- Nodes --- */

struct quorum_command *rig_expect(struct rig *rig, unsigned node, enum quorum_verb verb)
{
    if (rig->n_out[node] == 0) {
        fail_msg("node %u: expected %s, nothing was sent", node, quorum_verb_word(verb));
    }
    struct quorum_command *command = rig->out[node][0];
    if (command->verb != verb) {
        fail_msg("node %u: expected %s, %s was sent", node, quorum_verb_word(verb),
                 quorum_verb_word(command->verb));
    }
    command->sent = true;
    return command;
}

void rig_expect_nothing(struct rig *rig, unsigned node)
{
    for (unsigned i = 0; i < rig->n_out[node]; i++) {
        if (rig->out[node][i]->verb < QUORUM_NODE_READ) {
            fail_msg("node %u: %s was sent, expected nothing", node,
                     quorum_verb_word(rig->out[node][i]->verb));
        }
    }
}

static struct quorum_command *take(struct rig *rig, unsigned node, unsigned index)
{
    struct quorum_command *command = rig->out[node][index];
    rig->n_out[node]--;
    memmove(&rig->out[node][index], &rig->out[node][index + 1],
            (rig->n_out[node] - index) * sizeof(rig->out[0][0]));
    return command;
}

void rig_reply(struct rig *rig, unsigned node, struct quorum_reply reply)
{
    assert_true(rig->n_out[node] > 0);
    struct quorum_command *command = take(rig, node, 0);
    quorum_reply(rig->quorum, rig->now, command, &reply);
}

void rig_exchange(struct rig *rig, unsigned first, unsigned last, enum quorum_verb verb,
                  struct quorum_reply reply)
{
    for (unsigned i = first; i <= last; i++) {
        rig_expect(rig, i, verb);
        rig_reply(rig, i, reply);
    }
}

void rig_cut(struct rig *rig, unsigned node)
{
    while (rig->n_out[node] > 0) {
        bool sent = rig->out[node][0]->sent;
        rig_reply(rig, node, (struct quorum_reply){.answer = sent ? QUORUM_LOST : QUORUM_DROPPED});
    }
    quorum_node_down(rig->quorum, rig->now, node);
}

void rig_node_reads(struct rig *rig, unsigned node, uint64_t floor, uint64_t ceiling, int64_t max_term_ms)
{
    struct quorum_command *command = rig->out[node][0];
    struct quorum_reply reply = R(OK, .floor = floor, .ceiling = ceiling, .max_term_ms = max_term_ms);
    if (command->verb == QUORUM_NODE_MARK) {
        if (quorum_marker_is(&command->marker_old, &rig->marker[node])) {
            rig->marker[node] = command->marker;
            reply.floor = command->floor > floor ? command->floor : floor;
            reply.ceiling = command->ceiling > ceiling ? command->ceiling : ceiling;
            reply.max_term_ms = command->max_term_ms > max_term_ms ? command->max_term_ms : max_term_ms;
        } else {
            reply.answer = QUORUM_CHANGED;
        }
    }
    reply.marker = rig->marker[node];
    reply.node_us = rig->now.wall.us;
    rig_reply(rig, node, reply);
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool serve_one(struct rig *rig, unsigned node)
{
    for (unsigned i = 0; i < rig->n_out[node]; i++) {
        if (rig->out[node][i]->verb < QUORUM_NODE_READ) {
            continue;
        }
        struct quorum_command *command = take(rig, node, i);
        bool fits = command->verb == QUORUM_NODE_RAISE;
        enum quorum_answer answer = QUORUM_OK;
        if (command->verb == QUORUM_NODE_MARK) {
            fits = quorum_marker_is(&command->marker_old, &rig->marker[node]);
            rig->marker[node] = fits ? command->marker : rig->marker[node];
            rig->floor[node] = fits ? max_u64(command->floor, rig->floor[node]) : rig->floor[node];
            answer = fits ? QUORUM_OK : QUORUM_CHANGED;
        }
        if (fits) {
            int64_t term_ms = command->max_term_ms;
            rig->ceiling[node] = max_u64(command->ceiling, rig->ceiling[node]);
            rig->term_ms[node] = term_ms > rig->term_ms[node] ? term_ms : rig->term_ms[node];
        }
        struct quorum_reply reply = {.answer = answer,
                                     .left_ms = -1,
                                     .marker = rig->marker[node],
                                     .floor = rig->floor[node],
                                     .ceiling = rig->ceiling[node],
                                     .max_term_ms = rig->term_ms[node],
                                     .node_us = rig->now.wall.us};
        quorum_reply(rig->quorum, rig->now, command, &reply);
        return true;
    }
    return false;
}

void rig_serve_nodes(struct rig *rig)
{
    bool more = true;
    while (more) { /* an answer of one node may lead to a question to another */
        more = false;
        for (unsigned i = 0; i < rig->n; i++) {
            more = serve_one(rig, i) || more;
        }
    }
}
