/*
 * Which of the known words somebody may have meant.
 */
#ifndef EA_CONFIG_NEAR_H
#define EA_CONFIG_NEAR_H

#include "base/str.h"

/* Keeps the nearest word seen so far; zeroed (with `wanted` set) it has seen none. */
struct near {
    struct str wanted;
    const char *word; /* NULL: nothing is near enough */
    unsigned distance;
};

/* Considers one more word. It must outlive `near`. */
void near_try(struct near *near, const char *word);

/* Optimal string alignment distance (insert, delete, replace, swap neighbours), ASCII case ignored, '-' and
 * '_' equal. More than `limit`: limit + 1. Words longer than NEAR_BYTES_MAX are never near. */
#define NEAR_BYTES_MAX 63
unsigned near_distance(struct str a, struct str b, unsigned limit);

#endif
