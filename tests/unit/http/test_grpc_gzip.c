#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/mem.h"
#include "http/grpc_gzip.h"

#define LIMIT ((size_t)64 * 1024)

/* Compresses in[0..n); window_bits as deflateInit2() has it. Returns the length. */
static size_t pack(const void *in, size_t n, int window_bits, char *out, size_t cap)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)in;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t packed = cap - z.avail_out;
    deflateEnd(&z);
    return packed;
}

static void what_was_packed_comes_out_again(void **state)
{
    (void)state;
    const size_t lengths[] = {0, 1, 100, 1023, 1024, 1025, 5000, LIMIT - 1, LIMIT};
    char *in = mem_alloc(LIMIT);
    char *packed = mem_alloc(2 * LIMIT);
    for (size_t i = 0; i < LIMIT; i++) {
        in[i] = (char)(i * 2654435761U >> 13);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(lengths); i++) {
        size_t n = pack(in, lengths[i], 15 + 16, packed, 2 * LIMIT);
        char *out = NULL;
        size_t n_out = 0;
        assert_int_equal(grpc_gunzip(str_from(packed, n), LIMIT, &out, &n_out), EA_OK);
        assert_int_equal(n_out, lengths[i]);
        assert_memory_equal(out, in, n_out);
        mem_free(out);
    }
    mem_free(packed);
    mem_free(in);
}

static void a_bomb_ends_at_the_limit(void **state)
{
    (void)state;
    const size_t n = (size_t)16 * 1024 * 1024;
    char *zeros = mem_zalloc(n);
    char *packed = mem_alloc(n / 100);
    char *out = NULL;
    size_t n_out = 0;
    size_t length = pack(zeros, n, 15 + 16, packed, n / 100);
    assert_true(length < LIMIT);
    assert_int_equal(grpc_gunzip(str_from(packed, length), LIMIT, &out, &n_out), EA_TOO_LARGE);
    assert_null(out);
    length = pack(zeros, LIMIT + 1, 15 + 16, packed, n / 100);
    assert_int_equal(grpc_gunzip(str_from(packed, length), LIMIT, &out, &n_out), EA_TOO_LARGE);
    mem_free(packed);
    mem_free(zeros);
}

static void damage_is_seen_wherever_it_is(void **state)
{
    (void)state;
    const char text[] = "damage is seen wherever it is, damage is seen wherever it is";
    char packed[256];
    size_t n = pack(text, sizeof text, 15 + 16, packed, sizeof packed);
    char *out = NULL;
    size_t n_out = 0;
    for (size_t cut = 0; cut < n; cut++) {
        assert_int_equal(grpc_gunzip(str_from(packed, cut), LIMIT, &out, &n_out), EA_CORRUPT);
        assert_null(out);
    }
    for (size_t at = 10; at < n; at++) { /* behind the header, some of whose bytes mean nothing */
        packed[at] = (char)(packed[at] ^ 0x55);
        assert_int_equal(grpc_gunzip(str_from(packed, n), LIMIT, &out, &n_out), EA_CORRUPT);
        packed[at] = (char)(packed[at] ^ 0x55);
    }
}

static void other_formats_and_trailing_bytes_are_refused(void **state)
{
    (void)state;
    char packed[256];
    char *out = NULL;
    size_t n_out = 0;
    size_t n = pack("zlib", 4, 15, packed, sizeof packed);
    assert_int_equal(grpc_gunzip(str_from(packed, n), LIMIT, &out, &n_out), EA_CORRUPT);
    n = pack("raw", 3, -15, packed, sizeof packed);
    assert_int_equal(grpc_gunzip(str_from(packed, n), LIMIT, &out, &n_out), EA_CORRUPT);
    n = pack("more", 4, 15 + 16, packed, sizeof packed);
    packed[n] = 'x';
    assert_int_equal(grpc_gunzip(str_from(packed, n + 1), LIMIT, &out, &n_out), EA_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_packed_comes_out_again),
        cmocka_unit_test(a_bomb_ends_at_the_limit),
        cmocka_unit_test(damage_is_seen_wherever_it_is),
        cmocka_unit_test(other_formats_and_trailing_bytes_are_refused),
    };
    return cmocka_run_group_tests_name("http/grpc_gzip", tests, NULL, NULL);
}
