/*
 * Writes JSON into a small buffer (the caller's, then the arena's). Commas and escapes are its affair; keys
 * are literals that need none. Deciding code.
 *
 *     jwriter_object(&json, NULL); jwriter_text(&json, "leader", leader); jwriter_end(&json);
 */
#ifndef EA_API_JWRITER_H
#define EA_API_JWRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

struct jwriter {
    char *p;
    size_t n;
    size_t cap;
    struct arena *arena;
    uint64_t arrays; /* a bit per open level, the innermost lowest: whether it is an array */
    bool comma;      /* the next element needs one before it */
};

/* Writes into `room`, the caller's; when that is full, into the arena, which then has what was written too. */
void jwriter_init(struct jwriter *json, struct arena *arena, char *room, size_t room_bytes);

/* `key` is NULL inside an array and at the top. At most 64 levels. */
void jwriter_object(struct jwriter *json, const char *key);
void jwriter_array(struct jwriter *json, const char *key);
void jwriter_end(struct jwriter *json);

/* Bytes that are not UTF-8 become '?', so that the result is always JSON. */
void jwriter_text(struct jwriter *json, const char *key, struct str value);
void jwriter_int(struct jwriter *json, const char *key, int64_t value);
void jwriter_bool(struct jwriter *json, const char *key, bool value);
/* As a string: a number of 64 bits does not survive JavaScript. */
void jwriter_token(struct jwriter *json, const char *key, uint64_t value);

static inline struct str jwriter_str(const struct jwriter *json)
{
    return str_from(json->p, json->n);
}

#endif
