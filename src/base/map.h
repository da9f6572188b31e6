/*
 * An intrusive hash map by linear hashing: it grows (and shrinks) one bucket at a time, so no single
 * insertion pays for a rehash and a map of a million entries never makes a request wait. The caller embeds
 * `struct map_node`, gives the 64-bit hash (str_hash(), seeded against collision attacks) and compares keys
 * itself. One thread.
 *
 *     for (struct map_node *n = map_first(&m, h); n != NULL; n = map_next(n, h)) { compare, use CONTAINER_OF
 * }
 */
#ifndef EA_BASE_MAP_H
#define EA_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct map_node {
    struct map_node *next; /* in its bucket */
    uint64_t hash;
};

struct map {
    struct map_node **buckets;
    size_t allocated; /* buckets there is memory for; grows by mremap-able steps */
    size_t count;     /* buckets in use */
    size_t mask;      /* largest power of two <= count, minus 1 */
    size_t nodes;
};

/* XXH3 of the bytes, seeded. */
uint64_t str_hash(struct str s, uint64_t seed);

/* Empty, without memory of its own yet. */
void map_init(struct map *map);

/* Frees the table, not the entries. */
void map_fini(struct map *map);

/* First and next entry with exactly this hash. */
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node, uint64_t hash);

/* node->hash is set here. The caller has made sure the key is not there yet. */
void map_add(struct map *map, struct map_node *node, uint64_t hash);

/* node must be in the map. */
void map_remove(struct map *map, struct map_node *node);

/*
 * Visits all entries, a bucket at a call, in an order that survives growing and shrinking: cursor 0 starts,
 * the returned cursor goes on, 0 ends. An entry that stays in the map during the whole walk is visited at
 * least once, and exactly once if the map doesn't shrink meanwhile. `visit` may remove the visited entry
 * only.
 */
uint64_t map_scan(const struct map *map, uint64_t cursor, void (*visit)(struct map_node *node, void *arg),
                  void *arg);

#endif
