#include "base/error.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *name;
    const char *text;
    int grpc;
    int http;
    bool retryable;
    int exit;
};

static const struct row rows[EA_COUNT] = {
#define E(name, text, grpc, http, retryable, exit) [EA_##name] = {#name, text, grpc, http, retryable, exit},
#include "base/error.def"
#undef E
};

static const struct row *row_of(enum err e)
{
    return &rows[(unsigned)e < EA_COUNT ? e : EA_INTERNAL];
}

const char *err_name(enum err e)
{
    return row_of(e)->name;
}

const char *err_text(enum err e)
{
    return row_of(e)->text;
}

int err_grpc(enum err e)
{
    return row_of(e)->grpc;
}

int err_http(enum err e)
{
    return row_of(e)->http;
}

bool err_retryable(enum err e)
{
    return row_of(e)->retryable;
}

int err_exit(enum err e)
{
    return row_of(e)->exit;
}

/*
 * Puts words at the end of text[0..n), which is terminated. Words that don't fit are cut at the border of a
 * character (half a character would be broken UTF-8 in a JSON answer) and end in "...".
 */
static size_t append(char *text, size_t cap, size_t n, struct str words)
{
    if (words.n < cap - n) {
        memcpy(text + n, words.p, words.n);
        n += words.n;
    } else {
        size_t room = cap - n - 1;
        size_t keep = room > 3 ? room - 3 : 0;
        assert(keep < words.n);
        while (keep > 0 && ((unsigned char)words.p[keep] & 0xC0) == 0x80) {
            keep--;
        }
        memcpy(text + n, words.p, keep);
        n += keep;
        size_t dots = cap - 1 - n < 3 ? cap - 1 - n : 3;
        memcpy(text + n, "...", dots);
        n += dots;
    }
    text[n] = '\0';
    return n;
}

/* printf to a scratch large enough that append() sees what would be cut. */
static size_t append_format(char *text, size_t cap, size_t n, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

static size_t append_format(char *text, size_t cap, size_t n, const char *format, va_list args)
{
    char scratch[2 * sizeof((struct error *)0)->text];
    int length = vsnprintf(scratch, sizeof scratch, format, args);
    if (length < 0) {
        return append(text, cap, n, STR("(words that cannot be formatted)"));
    }
    return append(text, cap, n, str_of(scratch));
}

enum err error_set(struct error *error, enum err code, const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error->code = code;
        append_format(error->text, sizeof error->text, 0, format, args);
        va_end(args);
    }
    return code;
}

enum err error_set_str(struct error *error, enum err code, const char *words, struct str foreign)
{
    if (error != NULL) {
        char shown[sizeof error->text];
        size_t around = strlen(words) + strlen(": \"\"");
        /* The foreign part is what is cut when both don't fit, so that the closing quote is always there. */
        str_escape(foreign, shown, around + 8 < sizeof shown ? sizeof shown - around : 8);
        error_set(error, code, "%s: \"%s\"", words, shown);
    }
    return code;
}

enum err error_set_errno(struct error *error, enum err code, int errnum, const char *format, ...)
{
    if (error != NULL) {
        char scratch[128];
        va_list args;
        va_start(args, format);
        error->code = code;
        size_t n = append_format(error->text, sizeof error->text, 0, format, args);
        va_end(args);
        n = append(error->text, sizeof error->text, n, STR(": "));
        /* GNU's strerror_r: the result need not be in the scratch. Safe on any thread. */
        append(error->text, sizeof error->text, n, str_of(strerror_r(errnum, scratch, sizeof scratch)));
    }
    return code;
}

enum err error_wrap(struct error *error, const char *format, ...)
{
    if (error == NULL) {
        return EA_INTERNAL;
    }
    char cause[sizeof error->text];
    memcpy(cause, error->text, sizeof cause);
    va_list args;
    va_start(args, format);
    size_t n = append_format(error->text, sizeof error->text, 0, format, args);
    va_end(args);
    n = append(error->text, sizeof error->text, n, STR(": "));
    append(error->text, sizeof error->text, n, str_of(cause));
    return error->code;
}
