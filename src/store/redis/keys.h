/*
 * The keys of an election, and where they lie (spec: redis.md, "Keys"). No I/O.
 *
 *              flat, default kind   flat, other kinds       kind
 *   lease      p/NAME               p/lease/KIND/NAME       p/lease/KIND/NAME
 *   others     p/tenure/KIND/NAME, p/fence/..., p/meta/..., p/candidates/...
 *
 * In cluster mode NAME is {NAME}, so that one election's keys share a slot. Of a node (cluster: of a slot of
 * a node) there are p/info/node, a hash of marker, floor, ceiling and max_term, and p/info/shards; in cluster
 * mode p/info/node/{TAG} with the shortest number TAG that falls into the slot.
 */
#ifndef EA_STORE_REDIS_KEYS_H
#define EA_STORE_REDIS_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "core/names.h"
#include "store/redis_options.h"

#define REDIS_SLOTS            16384
#define REDIS_PREFIX_BYTES_MAX 200

/* KEY(NAME, word) */
#define REDIS_KEYS(KEY)   \
    KEY(LEASE, "lease")   \
    KEY(TENURE, "tenure") \
    KEY(FENCE, "fence")   \
    KEY(META, "meta")     \
    KEY(CANDIDATES, "candidates")

enum redis_key {
#define KEY(name, word) REDIS_KEY_##name,
    REDIS_KEYS(KEY)
#undef KEY
        REDIS_KEY_COUNT
};

#define REDIS_KEY_BYTES_MAX (REDIS_PREFIX_BYTES_MAX + KIND_BYTES_MAX + NAME_BYTES_MAX + 32)

struct redis_keys {
    struct str prefix;
    enum redis_layout layout;
    bool tags; /* cluster mode */
};

/* EA_CONFIG: empty, too long, or with bytes that would change what the keys mean. */
enum err redis_keys_check_prefix(struct str prefix, bool tags, struct error *error) EA_MUST_CHECK;

/* EA_INVALID for names that this layout can't keep apart from its own keys; the message says why. */
enum err redis_keys_check_name(const struct redis_keys *keys, struct str kind, struct str election,
                               struct error *error) EA_MUST_CHECK;

/* Writes a key (REDIS_KEY_BYTES_MAX suffice); returns its length. */
size_t redis_key_write(const struct redis_keys *keys, enum redis_key which, struct str kind,
                       struct str election, char *out);

/* The key of a node's facts. `tag`: see redis_slot_tag(); not looked at without tags. */
size_t redis_key_write_node(const struct redis_keys *keys, uint32_t tag, char *out);

/* The pattern (SCAN MATCH) of the leases of a kind, and the name in a key that matched; false: another key.
 */
#define REDIS_PATTERN_BYTES_MAX (2 * REDIS_KEY_BYTES_MAX)
size_t redis_key_write_pattern(const struct redis_keys *keys, struct str kind, char *out);
bool redis_key_election(const struct redis_keys *keys, struct str kind, struct str key, struct str *election);

/* CRC16 (XMODEM) of the hash tag, or of all of the key where there is none, modulo 16384. */
unsigned redis_slot(struct str key);
unsigned redis_slot_of(const struct redis_keys *keys, struct str kind, struct str election);

/* For each slot the least number whose decimal digits fall into it. `tags` has REDIS_SLOTS. */
void redis_slot_tags(uint32_t *tags);

/* Which of n shards an election lives on: the same in every agent and release. */
uint64_t redis_hash(struct str kind, struct str election);
unsigned redis_shard(uint64_t hash, unsigned n);

#endif
