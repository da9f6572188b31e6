/*
 * State machines as tables: for each state the set of states that may follow. One function changes a state; a
 * change that the table does not have is a bug and ends the process (in every build). Each machine draws its
 * diagram above its table.
 */
#ifndef EA_BASE_SM_H
#define EA_BASE_SM_H

#include <stdbool.h>
#include <stdint.h>

struct sm_state {
    const char *name;
    uint32_t next; /* a bit (SM_TO) for each state that may follow */
    bool final;    /* nothing follows */
};

#define SM_TO(state) (UINT32_C(1) << (state))

struct sm {
    const struct sm_state *table;
    unsigned states; /* rows */
    unsigned now;
};

/*
 * Whether a table makes sense: at most 32 states, only states of the table follow, a state is final if and
 * only if nothing follows it, and every state can be reached from `first`. For the unit test of each table.
 */
bool sm_table_is_sound(const struct sm_state *table, unsigned states, unsigned first);

/* Begins in `first`; a move that the table does not have is a bug and asserted against; the name is the present state's. */
void sm_init(struct sm *sm, const struct sm_state *table, unsigned states, unsigned first);
void sm_move(struct sm *sm, unsigned to);
const char *sm_name(const struct sm *sm);

static inline unsigned sm_now(const struct sm *sm)
{
    return sm->now;
}

#endif
