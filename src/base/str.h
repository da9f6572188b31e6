/*
 * Byte slices: text with a length, no terminator, owned by somebody else.
 *
 * Every name that travels through the service (kinds, elections, candidates, header values) is a `struct str`
 * into a buffer whose owner is named where the slice is made. Nothing here allocates.
 */
#ifndef EA_BASE_STR_H
#define EA_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A slice of bytes. `p` may be NULL only when `n` is 0. */
struct str {
    const char *p;
    size_t n;
};

/* A slice of a string literal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
/* For initialisers of static objects, where a compound literal is not a constant. */
#define STR_INIT(literal)              \
    {                                  \
        (literal), sizeof(literal) - 1 \
    }
/* For printf's "%.*s". Only for text already known to be printable; see str_escape() for the rest. */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z)
{
    return (struct str){z, z != NULL ? strlen(z) : 0};
}

static inline struct str str_from(const void *p, size_t n)
{
    return (struct str){p, n};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case is ignored; other bytes must be equal. */
bool str_eq_nocase(struct str a, struct str b);

/* Byte order, shorter first when one is a prefix of the other: <0, 0, >0. */
int str_cmp(struct str a, struct str b);

/* Byte by byte; the empty string begins and ends every other. */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Cuts spaces and tabs (and CR, LF) from both ends. */
struct str str_trim(struct str s);

/*
 * Takes the part of *rest before the first `sep` and moves *rest behind it. False when *rest is exhausted
 * (its p is NULL then); an empty part between two separators, or after the last one, is a part.
 */
bool str_split(struct str *rest, char sep, struct str *part);

/*
 * The length of the well-formed UTF-8 sequence that s begins with, and in *code what it encodes; 0 when s is
 * empty or begins with broken bytes.
 */
size_t str_utf8_next(struct str s, uint32_t *code);

/* Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
bool str_is_utf8(struct str s);

/* Has a control character: C0, DEL, or (in UTF-8) C1. */
bool str_has_control(struct str s);

/*
 * Whole decimal numbers: digits only (and a leading '-' for the signed one), no spaces, no overflow, the
 * whole slice consumed. False, and *out untouched, otherwise.
 */
bool str_to_u64(struct str s, uint64_t *out) __attribute__((warn_unused_result));
bool str_to_i64(struct str s, int64_t *out) __attribute__((warn_unused_result));

/*
 * A duration such as `300ms`, `10s`, `5m`, `1h`, also with a fraction (`1.5s`) and in sum (`1h30m`), or a
 * plain `0`; the units are us, ms, s, m and h. Result in microseconds. False on anything else, on a negative,
 * on one over 100 years and on one that is no whole number of microseconds (rounded to 0 it would often mean
 * "off").
 */
bool str_to_duration_us(struct str s, int64_t *us) __attribute__((warn_unused_result));

/*
 * Writes, with a terminator, the shortest form above in one unit that means exactly `us` and is at least one
 * of it (90s, not 1m30s; 300ms, not 0.3s); of two that are as short the larger unit. Returns the length;
 * `cap` >= 32 suffices, and less is a bug.
 */
size_t str_from_duration(int64_t us, char *out, size_t cap);

/* Decimal digits of v into out (at least 20 bytes); returns how many. No terminator. The hot path's printf.
 */
size_t str_from_u64(uint64_t v, char *out);

/*
 * Percent-decodes (RFC 3986, '+' is left alone) into out, which must have s.n bytes. Returns the length, or
 * SIZE_MAX for a malformed escape. out may be s.p itself.
 */
size_t str_percent_decode(struct str s, char *out);

/*
 * Makes any bytes fit to be shown to a person or written to a log: printable ASCII and well-formed UTF-8
 * stay, control characters, quotes, backslashes and broken bytes become \n, \t, \", \\, \xNN. Characters that
 * turn or break the line unseen (U+2028, the bidirectional controls) count as control characters. At most
 * cap - 1 bytes and a terminator; a text that does not fit ends in "...". Returns the length without the
 * terminator.
 */
size_t str_escape(struct str s, char *out, size_t cap);

/* The length of the head of s that is printable ASCII without quotes and backslashes: what no escaping
 * changes. */
size_t str_plain(struct str s);

/*
 * One step of such an escaping: writes the first character of s (not empty) to out and its length to
 * *written, and returns how many bytes of s that used up. The JSON form is the inside of a JSON string: what
 * is broken becomes U+FFFD, so that the result is always valid JSON.
 */
#define STR_ESCAPED_BYTES_MAX 12
size_t str_escape_next(struct str s, char out[STR_ESCAPED_BYTES_MAX], size_t *written);
size_t str_json_next(struct str s, char out[STR_ESCAPED_BYTES_MAX], size_t *written);

#endif
