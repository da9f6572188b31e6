/* xoshiro256** and splitmix64 by David Blackman and Sebastiano Vigna (prng.di.unimi.it), both public domain.
 */
#include "base/random.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t rotate_left(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static uint64_t splitmix(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* splitmix64 spreads the seed: it can't give the state of all zeros, in which xoshiro would stay for ever. */
void rng_seed(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        rng->s[i] = splitmix(&seed);
    }
}

void rng_seed_system(struct rng *rng)
{
    uint64_t seed;
    ssize_t n;
    do {
        n = getrandom(&seed, sizeof seed, 0); /* so few bytes come whole or not at all */
    } while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof seed) {
        fputs("the kernel gives no random numbers\n", stderr);
        abort();
    }
    rng_seed(rng, seed);
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

/*
 * The high word of a product is in [0, bound); low words below 2^64 mod bound are those that would make some
 * results more frequent than others, and are drawn again (Lemire, "Fast random integer generation in an
 * interval", 2019).
 */
uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    assert(bound > 0);
    unsigned __int128 product = (unsigned __int128)rng_next(rng) * bound;
    if ((uint64_t)product < bound) {
        uint64_t biased = -bound % bound;
        while ((uint64_t)product < biased) {
            product = (unsigned __int128)rng_next(rng) * bound;
        }
    }
    return (uint64_t)(product >> 64);
}

int64_t rng_range(struct rng *rng, int64_t low, int64_t high)
{
    assert(low <= high);
    uint64_t span = (uint64_t)high - (uint64_t)low;
    uint64_t offset = span == UINT64_MAX ? rng_next(rng) : rng_below(rng, span + 1);
    return (int64_t)((uint64_t)low + offset);
}
