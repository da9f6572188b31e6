/*
 * The stage of the scenarios: three nodes and three agents that do nothing by themselves, and the words in which
 * scenarios.c tells what happens. Every packet takes 1 ms each way, unless it is held.
 */
#ifndef EA_QSIM_STAGE_H
#define EA_QSIM_STAGE_H

#include "qsim.h"

#define TIMEOUT_MS 1000
#define LONG_MS    2000
#define SHORT_MS   300
#define ASKS_MAX   128

enum { A, B, C, L = 'L' - 'A', X = 'X' - 'A' };

struct stage {
    struct qsim *sim;
    struct ask *asks[ASKS_MAX];
    unsigned n_asks;
};

#define EXPECT(stage, condition)                                                                    \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            trace_fail((stage)->sim->trace, __func__, "line %d: not so: %s", __LINE__, #condition); \
        }                                                                                           \
    } while (0)

void stage_run(struct stage *stage, int64_t ms);
/* Between two packets: sent at 0, a question is at its node at 1 ms and back at 2 ms. */
void stage_run_half(struct stage *stage);
struct question stage_question(unsigned agent, enum election_op op, unsigned name);
struct ask *stage_put(struct stage *stage, const struct question *q, struct quorum_session *session);
struct ask *stage_campaign(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms,
                           uint64_t past);
struct ask *stage_extend(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms, uint64_t token);
struct ask *stage_resign(struct stage *stage, unsigned agent, unsigned name, uint64_t token);
struct ask *stage_handover(struct stage *stage, unsigned agent, unsigned from, unsigned to, uint64_t token);
/* Makes a leader, and tells its token. */
uint64_t stage_crown(struct stage *stage, unsigned agent, unsigned name, int32_t term_ms);
bool stage_elected(const struct ask *ask);
bool stage_said(const struct ask *ask, enum err err);
void stage_hold(struct stage *stage, unsigned agent, unsigned node);
void stage_hold_all(struct stage *stage, unsigned agent);
void stage_release(struct stage *stage, unsigned agent);
/* On how many nodes the tenure stands. */
unsigned stage_stands(struct stage *stage, unsigned name, uint64_t token);
unsigned stage_lease_on(struct stage *stage, unsigned node);
/* A lease key that comes or goes without us. */
void stage_set_lease(struct stage *stage, unsigned node, unsigned name);
void stage_delete_lease(struct stage *stage, unsigned node, unsigned name);
void stage_restart(struct stage *stage, unsigned node, enum memory_fate fate);
enum quorum_node_state stage_state(struct stage *stage, unsigned agent, unsigned node);

#endif
