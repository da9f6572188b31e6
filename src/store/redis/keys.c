#include "store/redis/keys.h"

#include <assert.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define SEPARATOR '/'

static const struct str words[] = {
#define KEY(name, word) STR_INIT(word),
    REDIS_KEYS(KEY)
#undef KEY
};

static const struct str reserved[] = {
#define KEY(name, word) STR_INIT(word "/"),
    REDIS_KEYS(KEY)
#undef KEY
        STR_INIT("info/"),
};

/* --- what is allowed --- */

enum err redis_keys_check_prefix(struct str prefix, bool tags, struct error *error)
{
    if (prefix.n == 0 || prefix.n > REDIS_PREFIX_BYTES_MAX) {
        return error_set(error, EA_CONFIG, "key_prefix: %zu bytes; 1 to %d are allowed", prefix.n,
                         REDIS_PREFIX_BYTES_MAX);
    }
    if (!str_is_utf8(prefix) || str_has_control(prefix)) {
        return error_set(error, EA_CONFIG, "key_prefix: only UTF-8 without control characters is allowed");
    }
    /* A tag of the prefix would put every key of a cluster into one slot. */
    if (tags && memchr(prefix.p, '{', prefix.n) != NULL) {
        return error_set(error, EA_CONFIG, "key_prefix: { is not allowed in mode cluster");
    }
    return EA_OK;
}

static bool stands_bare(const struct redis_keys *keys, struct str kind)
{
    return keys->layout == REDIS_FLAT && str_eq(kind, STR(KIND_DEFAULT));
}

enum err redis_keys_check_name(const struct redis_keys *keys, struct str kind, struct str election,
                               struct error *error)
{
    /* In cluster mode the brace keeps them apart, but the rule is the same in every mode, so that a
     * deployment can move. */
    for (size_t i = 0; stands_bare(keys, kind) && i < sizeof reserved / sizeof reserved[0]; i++) {
        if (str_starts(election, reserved[i])) {
            return error_set(
                error, EA_INVALID,
                "election: names of the default kind must not begin with \"%.*s\", where the store "
                "keeps keys of its own; use another kind or redis.key_layout kind",
                STR_ARG(reserved[i]));
        }
    }
    if (keys->tags && election.n > 0 && election.p[0] == '}') {
        return error_set(error, EA_INVALID,
                         "election: on a Redis Cluster a name must not begin with \"}\" (an empty hash tag "
                         "would spread its keys)");
    }
    return EA_OK;
}

/* --- writing --- */

static char *put(char *out, struct str s)
{
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    return out + s.n;
}

static char *put_name(const struct redis_keys *keys, struct str election, char *out)
{
    if (keys->tags) {
        *out++ = '{';
    }
    out = put(out, election);
    if (keys->tags) {
        *out++ = '}';
    }
    return out;
}

/* Everything before the name. */
static char *put_head(const struct redis_keys *keys, enum redis_key which, struct str kind, char *out)
{
    out = put(out, keys->prefix);
    *out++ = SEPARATOR;
    if (which != REDIS_KEY_LEASE || !stands_bare(keys, kind)) {
        out = put(out, words[which]);
        *out++ = SEPARATOR;
        out = put(out, kind);
        *out++ = SEPARATOR;
    }
    return out;
}

size_t redis_key_write(const struct redis_keys *keys, enum redis_key which, struct str kind,
                       struct str election, char *out)
{
    char *end = put_name(keys, election, put_head(keys, which, kind, out));
    return (size_t)(end - out);
}

size_t redis_key_write_node(const struct redis_keys *keys, uint32_t tag, char *out)
{
    char *end = put(put(out, keys->prefix), STR("/info/node"));
    if (keys->tags) {
        *end++ = SEPARATOR;
        *end++ = '{';
        end += str_from_u64(tag, end);
        *end++ = '}';
    }
    return (size_t)(end - out);
}

/* --- finding --- */

size_t redis_key_write_pattern(const struct redis_keys *keys, struct str kind, char *out)
{
    char head[REDIS_KEY_BYTES_MAX];
    char *at = out;
    size_t n = (size_t)(put_head(keys, REDIS_KEY_LEASE, kind, head) - head);
    for (size_t i = 0; i < n; i++) {
        if (strchr("*?[]^\\", head[i]) != NULL) {
            *at++ = '\\';
        }
        *at++ = head[i];
    }
    at = put(at, keys->tags ? STR("{*}") : STR("*"));
    return (size_t)(at - out);
}

bool redis_key_election(const struct redis_keys *keys, struct str kind, struct str key, struct str *election)
{
    char head[REDIS_KEY_BYTES_MAX];
    size_t n = (size_t)(put_head(keys, REDIS_KEY_LEASE, kind, head) - head);
    if (!str_starts(key, (struct str){head, n})) {
        return false;
    }
    *election = (struct str){key.p + n, key.n - n};
    if (keys->tags) {
        if (election->n < 3 || election->p[0] != '{' || election->p[election->n - 1] != '}') {
            return false;
        }
        *election = (struct str){election->p + 1, election->n - 2};
    }
    struct error ignored;
    return name_check("election", *election, &ignored) == EA_OK &&
           redis_keys_check_name(keys, kind, *election, &ignored) == EA_OK;
}

/* --- slots and shards --- */

/* CRC16-CCITT, polynomial 0x1021, as the Redis Cluster specification has it ("Key distribution model"). */
static uint16_t crc16(struct str s)
{
    uint16_t crc = 0;
    for (size_t i = 0; i < s.n; i++) {
        crc = (uint16_t)(crc ^ (uint16_t)((unsigned char)s.p[i] << 8));
        for (int bit = 0; bit < 8; bit++) {
            crc = (uint16_t)((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
        }
    }
    return crc;
}

unsigned redis_slot(struct str key)
{
    const char *open = key.n > 0 ? memchr(key.p, '{', key.n) : NULL;
    if (open != NULL) {
        size_t left = key.n - (size_t)(open - key.p) - 1;
        const char *close = memchr(open + 1, '}', left);
        if (close != NULL && close > open + 1) {
            key = (struct str){open + 1, (size_t)(close - open) - 1};
        }
    }
    return crc16(key) % REDIS_SLOTS;
}

unsigned redis_slot_of(const struct redis_keys *keys, struct str kind, struct str election)
{
    char key[REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write(keys, REDIS_KEY_LEASE, kind, election, key);
    return redis_slot((struct str){key, n});
}

void redis_slot_tags(uint32_t *tags)
{
    char digits[20];
    unsigned found = 0;
    memset(tags, 0xFF, REDIS_SLOTS * sizeof *tags);
    for (uint32_t number = 0; found < REDIS_SLOTS; number++) {
        size_t n = str_from_u64(number, digits);
        unsigned slot = crc16((struct str){digits, n}) % REDIS_SLOTS;
        if (tags[slot] == UINT32_MAX) {
            tags[slot] = number;
            found++;
        }
    }
}

uint64_t redis_hash(struct str kind, struct str election)
{
    char text[KIND_BYTES_MAX + NAME_BYTES_MAX + 1];
    assert(kind.n + election.n + 1 <= sizeof text);
    char *end = put(text, kind);
    *end++ = SEPARATOR; /* a kind has none */
    end = put(end, election);
    return XXH64(text, (size_t)(end - text), 0);
}

unsigned redis_shard(uint64_t hash, unsigned n)
{
    return (unsigned)((hash >> 32) * n >> 32);
}
