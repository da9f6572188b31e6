#include "base/str.h"

#include <assert.h>

#define US_PER_MS  INT64_C(1000)
#define US_PER_S   (1000 * US_PER_MS)
#define US_PER_MIN (60 * US_PER_S)
#define US_PER_H   (60 * US_PER_MIN)
/* 100 years of 365.25 days. */
#define DURATION_MAX_US (INT64_C(876600) * US_PER_H)
/* An hour is 2^10 * 3^2 * 5^8 us: a fraction of it with more decimals is no whole number of them. */
#define DECIMALS_MAX 10

static const char hex_digits[] = "0123456789abcdef";

static char to_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (to_lower(a.p[i]) != to_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    if (order != 0) {
        return order;
    }
    return (a.n > b.n) - (a.n < b.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return prefix.n <= s.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return suffix.n <= s.n &&
           (suffix.n == 0 || str_eq((struct str){s.p + (s.n - suffix.n), suffix.n}, suffix));
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_space(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool str_split(struct str *rest, char sep, struct str *part)
{
    if (rest->p == NULL) {
        return false;
    }
    const char *found = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
    if (found == NULL) {
        *part = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    size_t length = (size_t)(found - rest->p);
    *part = (struct str){rest->p, length};
    *rest = (struct str){found + 1, rest->n - length - 1};
    return true;
}

/* The bounds of the second byte are what keeps overlong forms, surrogates and > U+10FFFF out (RFC 3629, 4).
 */
size_t str_utf8_next(struct str s, uint32_t *code)
{
    if (s.n == 0) {
        return 0;
    }
    const unsigned char *p = (const unsigned char *)s.p;
    unsigned lead = p[0];
    if (lead < 0x80) {
        *code = lead;
        return 1;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return 0;
    }
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (s.n < length || p[1] < low || p[1] > high) {
        return 0;
    }
    uint32_t value = lead & (0x7FU >> length);
    for (size_t i = 1; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) {
            return 0;
        }
        value = value << 6 | (p[i] & 0x3FU);
    }
    *code = value;
    return length;
}

/* Whether the next eight bytes are all ASCII; names mostly are. */
static bool eight_ascii(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

bool str_is_utf8(struct str s)
{
    while (s.n > 0) {
        uint32_t code;
        size_t length = s.n >= 8 && eight_ascii(s.p) ? 8 : str_utf8_next(s, &code);
        if (length == 0) {
            return false;
        }
        s.p += length;
        s.n -= length;
    }
    return true;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7F && code < 0xA0);
}

bool str_has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7F) {
            return true;
        }
        if (c == 0xC2 && i + 1 < s.n && is_control((unsigned char)s.p[i + 1])) {
            return true; /* U+0080 to U+009F are C2 80 to C2 9F */
        }
    }
    return false;
}

#define DIGITS_SAFE 18 /* so many fit into 64 bits in any case */

/* Digits of s as a number not above max. */
static bool parse_digits(struct str s, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        if (i >= DIGITS_SAFE && value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return s.n > 0 && value <= max;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t value;
    if (!parse_digits(s, UINT64_MAX, &value)) {
        return false;
    }
    *out = value;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    struct str digits = negative ? (struct str){s.p + 1, s.n - 1} : s;
    uint64_t value;
    if (!parse_digits(digits, (uint64_t)INT64_MAX + negative, &value)) {
        return false;
    }
    /* Not -(int64_t)value: INT64_MIN has no positive counterpart. */
    *out = negative && value > 0 ? -(int64_t)(value - 1) - 1 : (int64_t)value;
    return true;
}

/* Larger first. */
static const struct unit {
    struct str name;
    int64_t us;
} units[] = {
    {STR_INIT("h"), US_PER_H},   {STR_INIT("m"), US_PER_MIN}, {STR_INIT("s"), US_PER_S},
    {STR_INIT("ms"), US_PER_MS}, {STR_INIT("us"), 1},
};

#define UNITS (sizeof units / sizeof units[0])

/* Takes the letters at the head of *s. */
static const struct unit *take_unit(struct str *s)
{
    size_t length = 0;
    while (length < s->n && s->p[length] >= 'a' && s->p[length] <= 'z') {
        length++;
    }
    struct str name = {s->p, length};
    s->p += length;
    s->n -= length;
    for (size_t i = 0; i < UNITS; i++) {
        if (str_eq(name, units[i].name)) {
            return &units[i];
        }
    }
    return NULL;
}

static struct str take_digits(struct str *s)
{
    size_t length = 0;
    while (length < s->n && is_digit(s->p[length])) {
        length++;
    }
    struct str digits = {s->p, length};
    s->p += length;
    s->n -= length;
    return digits;
}

/* 0.<digits> of a unit; false when it isn't a whole number of microseconds. */
static bool fraction_us(struct str digits, int64_t unit_us, int64_t *us)
{
    uint64_t value;
    uint64_t scale = 1;
    while (digits.n > 0 && digits.p[digits.n - 1] == '0') {
        digits.n--;
    }
    if (digits.n == 0) {
        *us = 0;
        return true;
    }
    if (digits.n > DECIMALS_MAX || !parse_digits(digits, UINT64_MAX, &value)) {
        return false;
    }
    for (size_t i = 0; i < digits.n; i++) {
        scale *= 10;
    }
    unsigned __int128 product = (unsigned __int128)value * (uint64_t)unit_us;
    *us = (int64_t)(product / scale);
    return product % scale == 0;
}

bool str_to_duration_us(struct str s, int64_t *us)
{
    if (str_eq(s, STR("0"))) {
        *us = 0;
        return true;
    }
    if (s.n == 0) {
        return false;
    }
    int64_t total = 0;
    while (s.n > 0) {
        uint64_t whole;
        int64_t part = 0;
        struct str digits = take_digits(&s);
        if (!parse_digits(digits, DURATION_MAX_US, &whole)) {
            return false;
        }
        struct str fraction = {NULL, 0};
        if (s.n > 0 && s.p[0] == '.') {
            s.p++;
            s.n--;
            fraction = take_digits(&s);
            if (fraction.n == 0) {
                return false;
            }
        }
        const struct unit *unit = take_unit(&s);
        if (unit == NULL || (int64_t)whole > DURATION_MAX_US / unit->us ||
            !fraction_us(fraction, unit->us, &part)) {
            return false;
        }
        part += (int64_t)whole * unit->us;
        if (part > DURATION_MAX_US - total) {
            return false;
        }
        total += part;
    }
    *us = total;
    return true;
}

static size_t count_digits(uint64_t v)
{
    size_t n = 1;
    while (v >= 10000) {
        v /= 10000;
        n += 4;
    }
    return v < 10 ? n : v < 100 ? n + 1 : v < 1000 ? n + 2 : n + 3;
}

size_t str_from_u64(uint64_t v, char *out)
{
    static const char pairs[] =
        "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
        "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
        "8081828384858687888990919293949596979899";
    size_t n = count_digits(v);
    char *at = out + n;
    while (v >= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        memcpy(out, pairs + 2 * v, 2);
    } else {
        *out = (char)('0' + v);
    }
    return n;
}

/* us as a decimal number of one unit; 0 when there is none. */
static size_t format_in(uint64_t us, const struct unit *unit, char out[32])
{
    uint64_t unit_us = (uint64_t)unit->us;
    uint64_t rest = us % unit_us;
    size_t n = str_from_u64(us / unit_us, out);
    if (rest != 0) {
        out[n++] = '.';
    }
    for (int decimals = 0; decimals < DECIMALS_MAX && rest != 0; decimals++) {
        uint64_t digit = rest * 10 / unit_us;
        out[n++] = (char)('0' + digit);
        rest = rest * 10 - digit * unit_us;
    }
    if (rest != 0) {
        return 0;
    }
    memcpy(out + n, unit->name.p, unit->name.n);
    return n + unit->name.n;
}

size_t str_from_duration(int64_t us, char *out, size_t cap)
{
    char best[32] = "0";
    size_t best_n = us == 0 ? 1 : SIZE_MAX;
    uint64_t magnitude = us < 0 ? -(uint64_t)us : (uint64_t)us;
    for (size_t i = 0; i < UNITS && us != 0; i++) {
        if (magnitude < (uint64_t)units[i].us) {
            continue; /* 300ms, not 0.3s */
        }
        char candidate[32];
        size_t n = format_in(magnitude, &units[i], candidate);
        if (n > 0 && n < best_n) {
            memcpy(best, candidate, n);
            best_n = n;
        }
    }
    size_t sign = us < 0;
    assert(sign + best_n < cap);
    if (sign > 0) {
        out[0] = '-';
    }
    memcpy(out + sign, best, best_n);
    out[sign + best_n] = '\0';
    return sign + best_n;
}

static int hex_value(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    c = to_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t str_percent_decode(struct str s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
            int low = s.n - i > 2 ? hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return SIZE_MAX;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

/* Shown as it is, the character would do something instead of being seen. */
static bool is_unseen(uint32_t code)
{
    return is_control(code) || code == 0x061C || code == 0x200E || code == 0x200F ||
           (code >= 0x2028 && code <= 0x202E) || (code >= 0x2066 && code <= 0x2069);
}

/* The letter of a two-character escape, or 0. */
static char short_escape(uint32_t code)
{
    switch (code) {
    case '\n':
        return 'n';
    case '\t':
        return 't';
    case '\r':
        return 'r';
    case '"':
    case '\\':
        return (char)code;
    default:
        return 0;
    }
}

size_t str_plain(struct str s)
{
    size_t n = 0;
    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7F && s.p[n] != '"' && s.p[n] != '\\') {
        n++;
    }
    return n;
}

size_t str_escape_next(struct str s, char out[STR_ESCAPED_BYTES_MAX], size_t *written)
{
    uint32_t code = 0;
    size_t length = str_utf8_next(s, &code);
    char letter = length > 0 ? short_escape(code) : 0;
    if (letter != 0) {
        out[0] = '\\';
        out[1] = letter;
        *written = 2;
        return 1;
    }
    if (length > 0 && !is_unseen(code)) {
        memcpy(out, s.p, length);
        *written = length;
        return length;
    }
    size_t bytes = length > 0 ? length : 1;
    for (size_t i = 0; i < bytes; i++) {
        unsigned byte = (unsigned char)s.p[i];
        char *piece = out + 4 * i;
        piece[0] = '\\';
        piece[1] = 'x';
        piece[2] = hex_digits[byte >> 4];
        piece[3] = hex_digits[byte & 15];
    }
    *written = 4 * bytes; /* unseen characters are at most three bytes long */
    return bytes;
}

size_t str_json_next(struct str s, char out[STR_ESCAPED_BYTES_MAX], size_t *written)
{
    static const char replacement[] = {'\xEF', '\xBF', '\xBD'}; /* U+FFFD, one for each broken byte */
    uint32_t code = 0;
    size_t length = str_utf8_next(s, &code);
    char letter = length > 0 ? short_escape(code) : 0;
    if (length == 0) {
        *written = sizeof replacement;
        memcpy(out, replacement, sizeof replacement);
        return 1;
    }
    if (letter != 0) {
        out[0] = '\\';
        out[1] = letter;
        *written = 2;
    } else if (is_unseen(code)) {
        out[0] = '\\';
        out[1] = 'u';
        for (int i = 0; i < 4; i++) {
            out[2 + i] = hex_digits[code >> (12 - 4 * i) & 15];
        }
        *written = 6;
    } else {
        memcpy(out, s.p, length);
        *written = length;
    }
    return length;
}

size_t str_escape(struct str s, char *out, size_t cap)
{
    assert(cap > 0);
    size_t n = 0;
    size_t cut = 0; /* where "..." goes if the rest doesn't fit */
    while (s.n > 0) {
        char piece[STR_ESCAPED_BYTES_MAX];
        size_t written;
        size_t used = str_escape_next(s, piece, &written);
        if (n + written > cap - 1) {
            size_t dots = cap - 1 - cut < 3 ? cap - 1 - cut : 3;
            memcpy(out + cut, "...", dots);
            n = cut + dots;
            break;
        }
        memcpy(out + n, piece, written);
        n += written;
        cut = n + 3 <= cap - 1 ? n : cut;
        s.p += used;
        s.n -= used;
    }
    out[n] = '\0';
    return n;
}
