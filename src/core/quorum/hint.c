/*
 * Who leads through us, perhaps: a small table without chains, overwritten at will. A wrong hint costs a round
 * trip and nothing else: what it says is proven by a look before it counts.
 */
#include <stdlib.h>

#include "core/quorum/internal.h"

#define HINTS_DEFAULT 4096

void hint_init(struct quorum *q)
{
    uint64_t size = 1;
    unsigned wanted = q->options.hints != 0 ? q->options.hints : HINTS_DEFAULT;
    while (size < wanted) {
        size *= 2;
    }
    q->hints = mem_zalloc(size * sizeof(*q->hints));
    q->hint_mask = size - 1;
}

static uint64_t hint_hash(const struct quorum *q, const struct quorum_names *names, struct str candidate)
{
    return str_hash(candidate, names->hash ^ q->seed);
}

void hint_put(struct quorum *q, const struct quorum_names *names, uint64_t token, struct mono until)
{
    uint64_t hash = hint_hash(q, names, names->candidate);
    q->hints[hash & q->hint_mask] = (struct hint){.hash = hash, .token = token, .until = until};
}

uint64_t hint_get(const struct quorum *q, const struct quorum_names *names)
{
    uint64_t hash = hint_hash(q, names, names->candidate);
    const struct hint *hint = &q->hints[hash & q->hint_mask];
    return hint->hash == hash && mono_before(q->now.mono, hint->until) ? hint->token : 0;
}

void hint_drop(struct quorum *q, const struct quorum_names *names, struct str candidate)
{
    uint64_t hash = hint_hash(q, names, candidate);
    struct hint *hint = &q->hints[hash & q->hint_mask];
    if (hint->hash == hash) {
        *hint = (struct hint){0};
    }
}
