#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/random.h"

static _Alignas(16) char block[512];

static bool in_block(const void *p)
{
    return (const char *)p >= block && (const char *)p < block + sizeof block;
}

static void the_callers_block_is_used_first(void **state)
{
    struct arena arena;
    arena_init(&arena, block, sizeof block);
    void *a = arena_alloc(&arena, 1);
    void *b = arena_alloc(&arena, 496);
    assert_ptr_equal(a, block);
    assert_ptr_equal(b, block + 16);
    assert_null(arena.blocks);
    assert_false(in_block(arena_alloc(&arena, 1)));
    arena_reset(&arena);
    assert_null(arena.blocks);
    assert_ptr_equal(arena_alloc(&arena, 1), block);
    arena_reset(&arena);
}

static void without_a_block_all_comes_from_the_heap(void **state)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    char *p = arena_alloc(&arena, 100);
    memset(p, 1, 100);
    arena_reset(&arena);
    assert_null(arena.blocks);
    p = arena_zalloc(&arena, 100);
    assert_int_equal(p[99], 0);
    arena_reset(&arena);
}

static void objects_are_aligned_and_apart_whatever_their_sizes(void **state)
{
    enum { N = 400 };
    static unsigned char *objects[N];
    static size_t sizes[N];
    struct rng rng;
    struct arena arena;
    rng_seed(&rng, 1);
    arena_init(&arena, block, sizeof block - 7); /* a block of an odd size */
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++) {
            sizes[i] = rng_below(&rng, 20) == 0 ? rng_below(&rng, 200000) : rng_below(&rng, 300);
            objects[i] = arena_alloc(&arena, sizes[i]);
            assert_int_equal((uintptr_t)objects[i] % 16, 0);
            memset(objects[i], i & 0xFF, sizes[i]);
        }
        for (int i = 0; i < N; i++) {
            for (size_t k = 0; k < sizes[i]; k++) {
                if (objects[i][k] != (i & 0xFF)) {
                    fail_msg("object %d was overwritten", i);
                }
            }
        }
        arena_reset(&arena);
    }
}

static void a_large_object_leaves_the_current_block_in_use(void **state)
{
    struct arena arena;
    arena_init(&arena, block, sizeof block);
    (void)arena_alloc(&arena, 16);
    assert_false(in_block(arena_alloc(&arena, 100000)));
    assert_ptr_equal(arena_alloc(&arena, 16), block + 16);
    arena_reset(&arena);
}

static void a_copy_of_a_slice_is_terminated(void **state)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct str copy = arena_str(&arena, str_from("abcdef", 3));
    assert_int_equal(copy.n, 3);
    assert_string_equal(copy.p, "abc");
    copy = arena_str(&arena, (struct str){NULL, 0});
    assert_int_equal(copy.n, 0);
    assert_string_equal(copy.p, "");
    arena_reset(&arena);
}

static void formatting_fits_at_every_fill_of_the_block(void **state)
{
    for (size_t used = 0; used <= 512; used += 16) {
        for (size_t length = 0; length < 200; length += 5) {
            struct arena arena;
            arena_init(&arena, block, sizeof block);
            (void)arena_alloc(&arena, used);
            struct str s = arena_format(&arena, "%0*d", (int)length + 1, 7);
            assert_int_equal(s.n, length + 1);
            assert_int_equal(strlen(s.p), length + 1);
            assert_int_equal(s.p[length], '7');
            char *after = arena_alloc(&arena, 1);
            assert_true(after < s.p || after > s.p + s.n);
            arena_reset(&arena);
        }
    }
}

static void formatting_without_a_block_works(void **state)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct str s = arena_format(&arena, "%s-%d", "a", 1);
    assert_string_equal(s.p, "a-1");
    s = arena_format(&arena, "%5000d", 1);
    assert_int_equal(s.n, 5000);
    arena_reset(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_callers_block_is_used_first),
        cmocka_unit_test(without_a_block_all_comes_from_the_heap),
        cmocka_unit_test(objects_are_aligned_and_apart_whatever_their_sizes),
        cmocka_unit_test(a_large_object_leaves_the_current_block_in_use),
        cmocka_unit_test(a_copy_of_a_slice_is_terminated),
        cmocka_unit_test(formatting_fits_at_every_fill_of_the_block),
        cmocka_unit_test(formatting_without_a_block_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
