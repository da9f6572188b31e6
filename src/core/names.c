/* What clients may send: see names.h. The rules are invariant N1. */
#include "core/names.h"

#include <inttypes.h>
#include <stdbool.h>

static bool is_kind_char(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

enum err name_check_kind(struct str kind, struct error *error)
{
    bool good = kind.n >= 1 && kind.n <= KIND_BYTES_MAX;
    for (size_t i = 0; good && i < kind.n; i++) {
        good = is_kind_char(kind.p[i]);
    }
    if (!good) {
        return error_set(error, EA_INVALID, "kind: must be 1 to %d characters of A-Z a-z 0-9 . _ -",
                         KIND_BYTES_MAX);
    }
    return EA_OK;
}

enum err name_check(const char *field, struct str name, struct error *error)
{
    if (name.n < 1 || name.n > NAME_BYTES_MAX || !str_is_utf8(name) || str_has_control(name)) {
        return error_set(error, EA_INVALID, "%s: must be 1 to %d bytes of UTF-8 without control characters",
                         field, NAME_BYTES_MAX);
    }
    return EA_OK;
}

enum err range_check(const char *field, int64_t v, int64_t min, int64_t max, struct error *error)
{
    if (v < min || v > max) {
        return error_set(error, EA_INVALID, "%s: must be %" PRId64 " to %" PRId64 ", is %" PRId64, field, min,
                         max, v);
    }
    return EA_OK;
}
