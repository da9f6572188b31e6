#include "http/grpc_gzip.h"

#include <zlib.h>

#include "base/mem.h"

/* The largest window, and the gzip format only (zlib.h, inflateInit2). */
#define GZIP_WINDOW_BITS (15 + 16)
#define OUT_BYTES_FIRST  ((size_t)1024)

static voidpf zlib_alloc(voidpf opaque, uInt items, uInt size)
{
    (void)opaque;
    return mem_alloc((size_t)items * size);
}

static void zlib_free(voidpf opaque, voidpf address)
{
    (void)opaque;
    mem_free(address);
}

static enum err inflate_all(z_stream *z, size_t limit, char **out, size_t *n)
{
    size_t cap = 0;
    for (;;) {
        if (*n == cap) {
            if (cap > limit) {
                return EA_TOO_LARGE;
            }
            cap = cap > 0 ? cap * 2 : OUT_BYTES_FIRST;
            cap = cap > limit ? limit + 1 : cap; /* one more than allowed shows that it is too much */
            *out = mem_realloc(*out, cap);
        }
        z->next_out = (Bytef *)*out + *n;
        z->avail_out = (uInt)(cap - *n);
        int rv = inflate(z, Z_NO_FLUSH);
        *n = cap - z->avail_out;
        if (rv == Z_STREAM_END) {
            if (*n > limit) {
                return EA_TOO_LARGE;
            }
            return z->avail_in == 0 ? EA_OK : EA_CORRUPT;
        }
        /* Z_BUF_ERROR with room left: the input ended too early. */
        if (rv != Z_OK && !(rv == Z_BUF_ERROR && z->avail_out == 0)) {
            return EA_CORRUPT;
        }
        if (rv == Z_OK && z->avail_in == 0 && z->avail_out > 0) {
            return EA_CORRUPT;
        }
    }
}

enum err grpc_gunzip(struct str message, size_t limit, char **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    z_stream z = {
        .zalloc = zlib_alloc,
        .zfree = zlib_free,
        .next_in = (Bytef *)message.p,
        .avail_in = (uInt)message.n,
    };
    if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK) {
        return EA_INTERNAL;
    }
    enum err err = inflate_all(&z, limit, out, n);
    inflateEnd(&z);
    if (err != EA_OK) {
        mem_free(*out);
        *out = NULL;
        *n = 0;
    }
    return err;
}
