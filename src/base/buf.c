#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

#define CAP_MIN ((size_t)256)

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = BUF_EMPTY;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
}

char *buf_grow(struct buf *b, size_t n)
{
    assert(n < SIZE_MAX / 4 && b->n < SIZE_MAX / 4);
    size_t cap = b->cap < CAP_MIN ? CAP_MIN : b->cap;
    while (cap < b->n + n) {
        cap *= 2;
    }
    b->p = mem_realloc(b->p, cap);
    b->cap = cap;
    return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n > 0) {
        memcpy(buf_reserve(b, n), p, n);
        b->n += n;
    }
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    b->n += str_from_u64(v, buf_reserve(b, 20));
}

void buf_format(struct buf *b, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    char *at = buf_reserve(b, 1);
    size_t room = b->cap - b->n;
    int length = vsnprintf(at, room, format, args);
    va_end(args);
    assert(length >= 0); /* only a broken format or multibyte text asked for by %ls fails */
    if ((size_t)length >= room) {
        vsnprintf(buf_reserve(b, (size_t)length + 1), (size_t)length + 1, format, again);
    }
    va_end(again);
    b->n += (size_t)length;
}

void buf_add_json(struct buf *b, struct str s)
{
    buf_add(b, "\"", 1);
    while (s.n > 0) {
        size_t plain = str_plain(s);
        buf_add(b, s.p, plain);
        s.p += plain;
        s.n -= plain;
        if (s.n > 0) {
            size_t written;
            size_t used = str_json_next(s, buf_reserve(b, STR_ESCAPED_BYTES_MAX), &written);
            b->n += written;
            s.p += used;
            s.n -= used;
        }
    }
    buf_add(b, "\"", 1);
}
