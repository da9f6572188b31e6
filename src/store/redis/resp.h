/*
 * The Redis protocol (RESP2) as bytes in, values out. hiredis' reader takes replies apart; the values live in
 * an arena of ours instead of a heap block each, and every size that a server chooses is bounded. Commands are
 * written straight into the output: hiredis' formatter allocates a string for each. No I/O. One thread.
 */
#ifndef EA_STORE_REDIS_RESP_H
#define EA_STORE_REDIS_RESP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

enum resp_type { RESP_NIL, RESP_STATUS, RESP_ERROR, RESP_INTEGER, RESP_STRING, RESP_ARRAY };

struct resp_value {
    enum resp_type type;
    int64_t integer;
    struct str str; /* STATUS, ERROR, STRING */
    struct resp_value *items;
    size_t n;
};

/* One reply: its bytes, and the memory of its values. */
#define RESP_BYTES_MAX  ((size_t)4 * 1024 * 1024)
#define RESP_MEMORY_MAX ((size_t)24 * 1024 * 1024)

struct redisReader;

struct resp_reader {
    struct redisReader *hiredis;
    struct arena arena;
    size_t memory; /* of the present reply's values */
    char block[2048] __attribute__((aligned(16)));
};

/* Stays where it is: the arena points into it. */
void resp_reader_init(struct resp_reader *reader);
void resp_reader_fini(struct resp_reader *reader);

/* Forgets half a reply. */
void resp_reader_reset(struct resp_reader *reader);

/* Bytes arrived. EA_PROTOCOL if more of them belong to one reply than is allowed. */
enum err resp_reader_feed(struct resp_reader *reader, const void *bytes, size_t n,
                          struct error *error) EA_MUST_CHECK;

/* The next reply, valid until the next call; *out is NULL when more bytes are needed. EA_PROTOCOL: these are no
 * replies of a Redis, or too large ones. */
enum err resp_reader_next(struct resp_reader *reader, const struct resp_value **out,
                          struct error *error) EA_MUST_CHECK;

/* --- commands --- */

/* A command of `n` words; then so many of the following. */
void resp_begin(struct buf *out, size_t n);
void resp_add(struct buf *out, struct str word);
void resp_add_u64(struct buf *out, uint64_t word);
void resp_add_i64(struct buf *out, int64_t word);

/* --- values --- */

/* A number as digits in a string, or an integer. */
bool resp_to_u64(const struct resp_value *value, uint64_t *out);
bool resp_to_i64(const struct resp_value *value, int64_t *out);
static inline bool resp_is_text(const struct resp_value *value)
{
    return value->type == RESP_STRING || value->type == RESP_STATUS;
}

#endif
