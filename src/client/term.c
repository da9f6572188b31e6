#include "client/term.h"

void term_begin(struct election_term *term, struct mono until, uint64_t token)
{
    /* A reader that sees the new token can't find the old deadline any more. */
    atomic_store_explicit(&term->until_us, 0, memory_order_seq_cst);
    atomic_store_explicit(&term->token, token, memory_order_seq_cst);
    atomic_store_explicit(&term->until_us, until.us, memory_order_seq_cst);
}

bool term_prolong(struct election_term *term, struct mono until, struct mono now)
{
    int64_t old = atomic_load_explicit(&term->until_us, memory_order_seq_cst);
    if (old == 0 || now.us >= old) {
        term_end(term);
        return false;
    }
    /* Fails if a reader has found it over meanwhile. */
    return atomic_compare_exchange_strong_explicit(&term->until_us, &old, until.us, memory_order_seq_cst,
                                                   memory_order_seq_cst);
}

void term_end(struct election_term *term)
{
    atomic_store_explicit(&term->until_us, 0, memory_order_seq_cst);
}

int64_t term_until_us(struct election_term *term, struct mono now)
{
    int64_t until = atomic_load_explicit(&term->until_us, memory_order_acquire);
    while (until != 0 && now.us >= until) {
        if (atomic_compare_exchange_weak_explicit(&term->until_us, &until, 0, memory_order_seq_cst,
                                                  memory_order_acquire)) {
            until = 0;
        }
    }
    return until;
}

uint64_t term_token(struct election_term *term, struct mono now)
{
    for (;;) {
        int64_t until = term_until_us(term, now);
        uint64_t token = atomic_load_explicit(&term->token, memory_order_seq_cst);
        if (until == 0) {
            return 0;
        }
        if (atomic_load_explicit(&term->until_us, memory_order_seq_cst) == until) {
            return token; /* of this very deadline */
        }
    }
}

bool term_is_forked(const struct election_term *term)
{
    return atomic_load_explicit(&term->alive, memory_order_relaxed) == 0;
}
