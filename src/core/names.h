/*
 * What clients may send (spec: elections.md, "Names"): each check names the field and the rule in its
 * message. Deciding code; no allocation.
 */
#ifndef EA_CORE_NAMES_H
#define EA_CORE_NAMES_H

#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

#define KIND_BYTES_MAX     63
#define NAME_BYTES_MAX     253
#define METADATA_BYTES_MAX 1024
#define KIND_DEFAULT       "default"

/* Kind: 1 to 63 characters of A-Z a-z 0-9 . _ -. An empty kind must have been replaced by KIND_DEFAULT
 * before. EA_INVALID. */
enum err name_check_kind(struct str kind, struct error *error) EA_MUST_CHECK;

/* Election or candidate (`field` is what the message calls it): 1 to 253 bytes of UTF-8 without control
 * characters. EA_INVALID. */
enum err name_check(const char *field, struct str name, struct error *error) EA_MUST_CHECK;

/* min <= v <= max, else EA_INVALID with a message that names the field, the value and the bounds. */
enum err range_check(const char *field, int64_t v, int64_t min, int64_t max,
                     struct error *error) EA_MUST_CHECK;

#endif
