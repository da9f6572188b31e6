/*
 * Seeded random numbers (xoshiro256**), for jitter, simulation and hash seeds. Not for secrets. One thread.
 */
#ifndef EA_BASE_RANDOM_H
#define EA_BASE_RANDOM_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* The same seed gives the same numbers, on every machine. */
void rng_seed(struct rng *rng, uint64_t seed);

/* Seeds from the kernel (getrandom). Ends the process if the kernel has none to give. */
void rng_seed_system(struct rng *rng);

/* Any 64 bits. */
uint64_t rng_next(struct rng *rng);

/* Evenly in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);

/* Evenly in [low, high], both included. */
int64_t rng_range(struct rng *rng, int64_t low, int64_t high);

#endif
