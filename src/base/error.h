/*
 * Errors: one enum for decisions, one struct for words.
 *
 * A function that can fail returns `enum err`, marked EA_MUST_CHECK, and takes a `struct error *` last where
 * words help (NULL is allowed: then only the code is wanted). An error keeps its first cause and gains
 * context on the way up: "cannot open the store: /var/lib/x/leases.mdb: permission denied".
 */
#ifndef EA_BASE_ERROR_H
#define EA_BASE_ERROR_H

#include <stdbool.h>

#include "base/str.h"

#define EA_MUST_CHECK __attribute__((warn_unused_result))

enum err {
#define E(name, text, grpc, http, retryable, exit) EA_##name,
#include "base/error.def"
#undef E
    EA_COUNT
};

struct error {
    enum err code;
    char text[240]; /* printable, terminated; what came from outside is escaped */
};

#define ERROR_NONE ((struct error){.code = EA_OK})

/* Facts of the table in error.def. `e` out of range counts as EA_INTERNAL. */
const char *err_name(enum err e); /* "NOT_FOUND" */
const char *err_text(enum err e); /* "not found" */
int err_grpc(enum err e);
int err_http(enum err e);
bool err_retryable(enum err e);
int err_exit(enum err e);

/*
 * Sets code and words, and returns the code, so that `return error_set(error, EA_INVALID, "...")` works. The
 * format is printf's; arguments that hold foreign bytes go through str_escape() first, or use
 * error_set_str().
 */
enum err error_set(struct error *error, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* words: "foreign", where `foreign` may be any bytes: they are escaped here. */
enum err error_set_str(struct error *error, enum err code, const char *words, struct str foreign);

/* The same with the words of errno behind ": ". */
enum err error_set_errno(struct error *error, enum err code, int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts context and ": " before the words already there; the code stays. Returns the code. */
enum err error_wrap(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
