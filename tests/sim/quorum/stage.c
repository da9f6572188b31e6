/* The words of the scenarios: see stage.h. */
#include "stage.h"

#include <inttypes.h>

void stage_run(struct stage *stage, int64_t ms)
{
    qsim_until(stage->sim, stage->sim->now + ms * US_PER_MS);
}

void stage_run_half(struct stage *stage)
{
    qsim_until(stage->sim, stage->sim->now + US_PER_MS + US_PER_MS / 2);
}

struct question stage_question(unsigned agent, enum election_op op, unsigned name)
{
    return (struct question){.client = QSIM_CLIENTS,
                             .op = op,
                             .candidate = (uint8_t)name,
                             .from = NOBODY,
                             .agent = agent,
                             .term_ms = LONG_MS};
}

struct ask *stage_put(struct stage *stage, const struct question *q, struct quorum_session *session)
{
    NOTE(stage->sim, "asked at a%u: %s %c t=%" PRIu64, q->agent, election_op_name(q->op),
         name_letter(q->candidate), q->token);
    struct ask *ask = agent_submit(stage->sim, q, session, true);
    if (stage->n_asks < ASKS_MAX) {
        stage->asks[stage->n_asks++] = ask;
    } else {
        trace_fail(stage->sim->trace, "put", "too many questions");
    }
    return ask;
}

struct ask *stage_campaign(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms, uint64_t past)
{
    struct question q = stage_question(agent, OP_CAMPAIGN, name);
    q.term_ms = term_ms;
    q.past = past;
    return stage_put(stage, &q, NULL);
}

struct ask *stage_extend(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms, uint64_t token)
{
    struct question q = stage_question(agent, OP_EXTEND, name);
    q.term_ms = term_ms;
    q.token = token;
    return stage_put(stage, &q, NULL);
}

struct ask *stage_resign(struct stage *stage, unsigned agent, unsigned name, uint64_t token)
{
    struct question q = stage_question(agent, OP_RESIGN, name);
    q.token = token;
    return stage_put(stage, &q, NULL);
}

struct ask *stage_handover(struct stage *stage, unsigned agent, unsigned from, unsigned to, uint64_t token)
{
    struct question q = stage_question(agent, OP_HANDOVER, to);
    q.from = (uint8_t)from;
    q.token = token;
    return stage_put(stage, &q, NULL);
}

uint64_t stage_crown(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms)
{
    const struct ask *ask = stage_campaign(stage, agent, name, term_ms, 0);
    stage_run(stage, 20);
    if (!ask->done || !ask->answer.elected) {
        trace_fail(stage->sim->trace, "crown", "%c is not elected", name_letter((uint8_t)name));
    }
    return ask->answer.token;
}

bool stage_elected(const struct ask *ask)
{
    return ask->done && ask->answer.elected;
}

bool stage_said(const struct ask *ask, enum err err)
{
    return ask->done && ask->answer.err == err;
}

void stage_hold(struct stage *stage, unsigned agent, unsigned node)
{
    stage->sim->agents[agent].conns[node]->hold_to_node = true;
}

void stage_hold_all(struct stage *stage, unsigned agent)
{
    for (unsigned node = 0; node < stage->sim->n_nodes; node++) {
        stage_hold(stage, agent, node);
    }
}

void stage_release(struct stage *stage, unsigned agent)
{
    for (unsigned node = 0; node < stage->sim->n_nodes; node++) {
        network_release(stage->sim, agent, node);
    }
    stage_run(stage, 20);
}

unsigned stage_stands(struct stage *stage, unsigned name, uint64_t token)
{
    unsigned n = 0;
    for (unsigned node = 0; node < stage->sim->n_nodes; node++) {
        const struct tenure_key *t = node_tenure(stage->sim, node, 0);
        n += t != NULL && t->name == name && t->claim.token == token ? 1 : 0;
    }
    return n;
}

unsigned stage_lease_on(struct stage *stage, unsigned node)
{
    return node_lease(stage->sim, node, 0);
}

void stage_set_lease(struct stage *stage, unsigned node, unsigned name)
{
    (void)node_foreign_step(stage->sim, node, 0, 1, (uint8_t)name, TIMEOUT_MS);
}

void stage_delete_lease(struct stage *stage, unsigned node, unsigned name)
{
    (void)node_foreign_step(stage->sim, node, 0, 3, (uint8_t)name, 0);
}

void stage_restart(struct stage *stage, unsigned node, enum memory_fate fate)
{
    node_die(stage->sim, node);
    node_boot(stage->sim, node, fate);
}

enum quorum_node_state stage_state(struct stage *stage, unsigned agent, unsigned node)
{
    return quorum_node_state(stage->sim->agents[agent].quorum, node);
}
