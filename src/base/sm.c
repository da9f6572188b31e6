#include "base/sm.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define STATES_MAX 32U

static uint32_t bits_below(unsigned n)
{
    return n == STATES_MAX ? UINT32_MAX : SM_TO(n) - 1;
}

bool sm_table_is_sound(const struct sm_state *table, unsigned states, unsigned first)
{
    if (states == 0 || states > STATES_MAX || first >= states) {
        return false;
    }
    uint32_t all = bits_below(states);
    uint32_t reached = SM_TO(first);
    for (unsigned round = 0; round < states; round++) {
        for (unsigned i = 0; i < states; i++) {
            reached |= (reached & SM_TO(i)) != 0 ? table[i].next : 0;
        }
    }
    for (unsigned i = 0; i < states; i++) {
        const struct sm_state *state = &table[i];
        if (state->name == NULL || (state->next & ~all) != 0 || state->final != (state->next == 0)) {
            return false;
        }
    }
    return reached == all;
}

void sm_init(struct sm *sm, const struct sm_state *table, unsigned states, unsigned first)
{
    assert(states > 0 && states <= STATES_MAX && first < states);
    *sm = (struct sm){.table = table, .states = states, .now = first};
}

static const char *name_of(const struct sm *sm, unsigned state)
{
    return state < sm->states ? sm->table[state].name : "(no state)";
}

void sm_move(struct sm *sm, unsigned to)
{
    if (to >= sm->states || (sm->table[sm->now].next & SM_TO(to)) == 0) {
        fprintf(stderr, "a state machine can't go from %s to %s\n", name_of(sm, sm->now), name_of(sm, to));
        abort();
    }
    sm->now = to;
}

const char *sm_name(const struct sm *sm)
{
    return name_of(sm, sm->now);
}
