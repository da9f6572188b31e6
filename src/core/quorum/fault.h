/*
 * Mistakes on purpose: the mutations of the specification's protocol.md that lie in the agent's code (those
 * of the scripts lie in the simulated nodes). The simulation breaks one rule at a time with them and asserts
 * that it is noticed. Nobody else includes this; in production all are false.
 */
#ifndef EA_CORE_QUORUM_FAULT_H
#define EA_CORE_QUORUM_FAULT_H

#include <stdbool.h>

struct quorum;

/* FAULT(name): what the code does while it is true. */
#define QUORUM_FAULTS(FAULT)                                                                                \
    FAULT(resign_any_token)   /* resign without the token and owner that were given */                      \
    FAULT(set_on_recovering)  /* SET, and count it, on recovering nodes */                                  \
    FAULT(owner_stands_still) /* every operation of this agent has the same owner clock */                  \
    FAULT(keep_without_look)  /* own name on q nodes counts as elected without a look */                    \
    FAULT(give_back_adopted)  /* undo also what was adopted */                                              \
    FAULT(                                                                                                  \
        final_with_floor) /* the final marker is written with the floor, the longest term not waited for */ \
    FAULT(any_owner_counts)    /* answers count under whatever owner */                                     \
    FAULT(past_ignored)        /* tenures with token <= past are adopted */                                 \
    FAULT(expiry_not_put_back) /* what could not be proven keeps its new expiry */                          \
    FAULT(validity_unchecked)  /* elected is answered although no validity is left */                       \
    FAULT(ceiling_not_raised)  /* tokens are sent above the ceiling, long terms above max_term */           \
    FAULT(fresh_when_quorum)   /* fresh as soon as q nodes know nothing, whatever the others know */        \
    FAULT(claim_all_at_once)   /* a tenure is replaced while another attempt may complete it */             \
    FAULT(undo_before_reply)   /* a silent node's undo is forgotten */                                      \
    FAULT(refill_unchecked)    /* a tenure is refilled without looking at F and at who is missing */        \
    FAULT(count_recovering)    /* recovering nodes count like ready ones */

struct quorum_faults {
#define FAULT(name) bool name;
    QUORUM_FAULTS(FAULT)
#undef FAULT
};

/* Copied. */
void quorum_set_faults(struct quorum *quorum, const struct quorum_faults *faults);

#endif
