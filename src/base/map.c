/*
 * Linear hashing (Litwin, 1980). There are `count` buckets, mask + 1 <= count < 2 * mask + 2. An entry's
 * bucket is its hash's low bits, one bit more than `mask` has where that bucket exists already, else as many
 * as `mask` has:
 *
 *     count = 6, mask = 3:     000 001  10  11 100 101        next to split: 10, into 010 and 110
 *
 * Every insertion may split one bucket, every removal join two pairs; the load stays between a half and one.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/map.h"

#include <assert.h>
#include <stdbool.h>

#include "base/mem.h"

#define COUNT_MIN    ((size_t)8)
#define BUCKET_BYTES sizeof(void *)
/* Two a removal, so that the load stays above a half when everything is removed. */
#define JOINS_MAX 2

uint64_t str_hash(struct str s, uint64_t seed)
{
    return XXH3_64bits_withSeed(s.n > 0 ? s.p : "", s.n, seed);
}

void map_init(struct map *map)
{
    *map = (struct map){.buckets = NULL};
}

void map_fini(struct map *map)
{
    mem_free(map->buckets);
    map_init(map);
}

static size_t bucket_of(const struct map *map, uint64_t hash)
{
    size_t bucket = (size_t)hash & (2 * map->mask + 1);
    return bucket < map->count ? bucket : bucket & map->mask;
}

static struct map_node *find(struct map_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash) {
        node = node->next;
    }
    return node;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
    return map->count > 0 ? find(map->buckets[bucket_of(map, hash)], hash) : NULL;
}

struct map_node *map_next(const struct map_node *node, uint64_t hash)
{
    return find(node->next, hash);
}

static void allocate(struct map *map, size_t buckets)
{
    assert(buckets <= SIZE_MAX / BUCKET_BYTES);
    map->buckets = mem_realloc(map->buckets, buckets * BUCKET_BYTES);
    map->allocated = buckets;
}

/* Makes bucket `count` out of the entries of its lower half whose next hash bit is set. Keeps their order. */
static void split(struct map *map)
{
    if (map->count == map->allocated) {
        allocate(map, 2 * map->allocated);
    }
    size_t made = map->count++;
    size_t bit = map->mask + 1;
    struct map_node **low = &map->buckets[made - bit];
    struct map_node **high = &map->buckets[made];
    for (struct map_node *node = *low; node != NULL; node = node->next) {
        if ((node->hash & bit) != 0) {
            *high = node;
            high = &node->next;
        } else {
            *low = node;
            low = &node->next;
        }
    }
    *low = NULL;
    *high = NULL;
    if (map->count == 2 * bit) {
        map->mask = 2 * bit - 1;
    }
}

/* The reverse: the last bucket's entries go behind those of its lower half. */
static void join(struct map *map)
{
    if (map->count == map->mask + 1) {
        map->mask /= 2;
    }
    size_t last = --map->count;
    struct map_node **low = &map->buckets[last - (map->mask + 1)];
    while (*low != NULL) {
        low = &(*low)->next;
    }
    *low = map->buckets[last];
    if (map->count <= map->allocated / 4) {
        allocate(map, map->allocated / 2);
    }
}

void map_add(struct map *map, struct map_node *node, uint64_t hash)
{
    if (map->count == 0) {
        allocate(map, COUNT_MIN);
        map->count = COUNT_MIN;
        map->mask = COUNT_MIN - 1;
        memset(map->buckets, 0, COUNT_MIN * BUCKET_BYTES);
    }
    if (map->nodes >= map->count) {
        split(map);
    }
    struct map_node **bucket = &map->buckets[bucket_of(map, hash)];
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->nodes++;
}

void map_remove(struct map *map, struct map_node *node)
{
    assert(map->count > 0);
    struct map_node **at = &map->buckets[bucket_of(map, node->hash)];
    while (*at != node) {
        assert(*at != NULL); /* not in this map */
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    map->nodes--;
    for (int joins = 0; joins < JOINS_MAX && map->count > COUNT_MIN && map->nodes < map->count / 2; joins++) {
        join(map);
    }
}

static uint64_t reverse_bits(uint64_t x)
{
    x = (x >> 1 & UINT64_C(0x5555555555555555)) | (x & UINT64_C(0x5555555555555555)) << 1;
    x = (x >> 2 & UINT64_C(0x3333333333333333)) | (x & UINT64_C(0x3333333333333333)) << 2;
    x = (x >> 4 & UINT64_C(0x0F0F0F0F0F0F0F0F)) | (x & UINT64_C(0x0F0F0F0F0F0F0F0F)) << 4;
    return __builtin_bswap64(x);
}

/*
 * Turn the bits of all hashes round, and each bucket is an interval: the one with the low bits 01 is all of
 * 10000... to 10111... Splitting a bucket halves its interval, joining two makes them one again. The cursor
 * is a place on this line: all before it has been visited. So it holds for any number of buckets.
 */
uint64_t map_scan(const struct map *map, uint64_t cursor, void (*visit)(struct map_node *node, void *arg),
                  void *arg)
{
    if (map->count == 0) {
        return 0;
    }
    size_t bucket = bucket_of(map, reverse_bits(cursor));
    bool is_half = bucket > map->mask || bucket + map->mask + 1 < map->count;
    uint64_t bits = is_half ? 2 * (uint64_t)map->mask + 1 : map->mask;
    uint64_t last = reverse_bits(bucket) | ~reverse_bits(bits);
    struct map_node *next;
    for (struct map_node *node = map->buckets[bucket]; node != NULL; node = next) {
        next = node->next; /* the visit may end the node */
        visit(node, arg);
    }
    return last + 1; /* 0 behind the last bucket, which is all ones */
}
