#include "store/kubernetes/name.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

#define SEPARATOR STR("---")
#define DIGEST \
    STR("sha256----") /* four dashes: the readable forms have two, three, or five and more in a row */

#define DIGEST_BYTES 32
/* Every byte escaped, the separator, a "0" in front. */
#define FORM_BYTES_MAX ((size_t)4 * (KIND_BYTES_MAX + NAME_BYTES_MAX) + 8)

static const char hex[] = "0123456789abcdef";

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* '-' and '.' may stand between letters and digits only, so that the escapes and the separator are never met. */
static bool stays(struct str s, size_t i, bool dots)
{
    char c = s.p[i];
    bool inner = i > 0 && i + 1 < s.n && is_plain(s.p[i - 1]) && is_plain(s.p[i + 1]);
    return is_plain(c) || (inner && (c == '-' || (c == '.' && dots)));
}

static size_t escape_byte(char c, char *out)
{
    unsigned char byte = (unsigned char)c;
    memcpy(out, (char[]){'-', '-', hex[byte >> 4], hex[byte & 15]}, 4);
    return 4;
}

static size_t put(struct str s, char *out)
{
    memcpy(out, s.p, s.n);
    return s.n;
}

static size_t escape(struct str s, bool dots, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (stays(s, i, dots)) {
            out[n++] = s.p[i];
        } else {
            n += escape_byte(s.p[i], out + n);
        }
    }
    return n;
}

static size_t write_readable(struct str kind, struct str election, char *out)
{
    char body[FORM_BYTES_MAX];
    size_t n = 0;
    if (!str_eq(kind, STR(KIND_DEFAULT))) {
        n = escape(kind, false, body);
        n += put(SEPARATOR, body + n);
    }
    n += escape(election, true, body + n);
    struct str rest = str_from(body, n);
    size_t head = 0;
    if (str_starts(rest, STR("0--"))) { /* this beginning has a meaning of its own */
        out[head++] = '0';
        head += escape_byte('0', out + head);
        rest = str_from(rest.p + 1, rest.n - 1);
    } else if (rest.p[0] == '-') {
        out[head++] = '0';
    }
    memcpy(out + head, rest.p, rest.n);
    return head + rest.n;
}

static void write_digest(struct str kind, struct str election, char *out)
{
    char text[KIND_BYTES_MAX + 1 + NAME_BYTES_MAX]; /* no kind has a zero byte */
    unsigned char digest[DIGEST_BYTES];
    unsigned length = 0;
    memcpy(text, kind.p, kind.n);
    text[kind.n] = '\0';
    memcpy(text + kind.n + 1, election.p, election.n);
    int done = EVP_Digest(text, kind.n + 1 + election.n, digest, &length, EVP_sha256(), NULL);
    assert(done == 1 && length == DIGEST_BYTES);
    char *at = out + put(DIGEST, out);
    for (unsigned i = 0; i < DIGEST_BYTES; i++) {
        *at++ = hex[digest[i] >> 4];
        *at++ = hex[digest[i] & 15];
    }
    *at = '\0';
}

bool lease_name_write(struct str kind, struct str election, char out[LEASE_NAME_BYTES_MAX + 1])
{
    char form[FORM_BYTES_MAX + 4];
    assert(kind.n >= 1 && kind.n <= KIND_BYTES_MAX && election.n >= 1 && election.n <= NAME_BYTES_MAX);
    size_t n = write_readable(kind, election, form);
    if (n > LEASE_NAME_BYTES_MAX) {
        write_digest(kind, election, out);
        return false;
    }
    memcpy(out, form, n);
    out[n] = '\0';
    return true;
}

/* --- back --- */

static int digit(char c)
{
    const char *at = c != '\0' ? strchr(hex, c) : NULL;
    return at != NULL ? (int)(at - hex) : -1;
}

/* Undoes escape(). What escape() would not have written is found out by writing it again. */
static bool unescape(struct str s, char *out, size_t cap, size_t *n)
{
    *n = 0;
    while (s.n > 0) {
        char c = s.p[0];
        size_t used = 1;
        if (s.n >= 4 && s.p[0] == '-' && s.p[1] == '-' && digit(s.p[2]) >= 0 && digit(s.p[3]) >= 0) {
            c = (char)(digit(s.p[2]) * 16 + digit(s.p[3]));
            used = 4;
        }
        if (*n == cap) {
            return false;
        }
        out[(*n)++] = c;
        s = str_from(s.p + used, s.n - used);
    }
    return *n > 0;
}

static bool copy(struct str s, char *out, size_t cap, size_t *n)
{
    if (s.n == 0 || s.n > cap) {
        return false;
    }
    memcpy(out, s.p, s.n);
    *n = s.n;
    return true;
}

static bool read_readable(struct str name, struct lease_election *out)
{
    if (str_starts(name, STR("0--"))) {
        name = str_from(name.p + 1, name.n - 1);
    }
    struct str kind = STR(KIND_DEFAULT);
    struct str election = name;
    for (size_t i = 1; i + SEPARATOR.n < name.n; i++) {
        struct str rest = str_from(name.p + i, name.n - i);
        if (str_starts(rest, SEPARATOR)) {
            kind = str_from(name.p, i);
            election = str_from(rest.p + SEPARATOR.n, rest.n - SEPARATOR.n);
            break;
        }
    }
    return unescape(kind, out->kind, sizeof out->kind, &out->kind_bytes) &&
           unescape(election, out->election, sizeof out->election, &out->election_bytes);
}

bool lease_name_read(struct str name, struct str kind_note, struct str election_note,
                     struct lease_election *out)
{
    char again[LEASE_NAME_BYTES_MAX + 1];
    struct error ignored;
    bool read = str_starts(name, DIGEST)
                    ? copy(kind_note, out->kind, sizeof out->kind, &out->kind_bytes) &&
                          copy(election_note, out->election, sizeof out->election, &out->election_bytes)
                    : read_readable(name, out);
    if (!read) {
        return false;
    }
    struct str kind = str_from(out->kind, out->kind_bytes);
    struct str election = str_from(out->election, out->election_bytes);
    if (name_check_kind(kind, &ignored) != EA_OK || name_check("election", election, &ignored) != EA_OK) {
        return false;
    }
    (void)lease_name_write(kind, election, again);
    return str_eq(str_of(again), name);
}
