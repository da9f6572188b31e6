#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/pool.h"

#define POOL_BYTES ((size_t)1024 * 1024)

static void blocks_hold_what_was_asked_for_and_are_aligned(void **state)
{
    struct pool pool;
    assert_true(pool_init(&pool, POOL_BYTES));
    for (size_t n = 0; n < 700; n++) {
        void *p = pool_alloc(&pool, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_true(pool_size(p) >= n && pool_size(p) <= n + n / 4 + 16);
        assert_true(pool_owns(&pool, p));
        memset(p, 0xAA, n);
    }
    pool_fini(&pool);
}

static void freed_blocks_are_used_again(void **state)
{
    struct pool pool;
    assert_true(pool_init(&pool, POOL_BYTES));
    for (unsigned i = 0; i < 100000; i++) {
        size_t n = (size_t)i * 37 % 5000;
        void *p = pool_alloc(&pool, n);
        assert_non_null(p);
        pool_free(&pool, p);
    }
    pool_fini(&pool);
}

static void aligned_blocks_are_aligned_also_when_used_again(void **state)
{
    struct pool pool;
    assert_true(pool_init(&pool, POOL_BYTES));
    void *plain = pool_alloc(&pool, 16384);
    pool_free(&pool, plain);
    void *p = pool_alloc_aligned(&pool, 16384, 16384);
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16384, 0);
    pool_free(&pool, p);
    assert_ptr_equal(pool_alloc_aligned(&pool, 16384, 16384), p);
    pool_fini(&pool);
}

static void an_exhausted_pool_says_so(void **state)
{
    struct pool pool;
    assert_true(pool_init(&pool, 4096));
    assert_null(pool_alloc(&pool, 4096)); /* its header does not fit */
    assert_non_null(pool_alloc(&pool, 2048));
    assert_null(pool_alloc(&pool, 2048));
    assert_null(pool_alloc(&pool, SIZE_MAX));
    pool_fini(&pool);
}

static void a_thread_with_a_source_takes_from_its_pool_and_then_from_the_heap(void **state)
{
    struct pool pool;
    assert_true(pool_init(&pool, 4096));
    struct mem_source source = {.pool = &pool};
    assert_null(mem_use(&source));
    char *small = mem_alloc(100);
    char *large = mem_zalloc(100000);
    assert_true(pool_owns(&pool, small));
    assert_false(pool_owns(&pool, large));
    memset(small, 7, 100);
    small = mem_realloc(small, 200000); /* moves to the heap */
    assert_false(pool_owns(&pool, small));
    assert_int_equal(small[99], 7);
    mem_free(small);
    mem_free(large);
    assert_ptr_equal(mem_use(NULL), &source);
    pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_hold_what_was_asked_for_and_are_aligned),
        cmocka_unit_test(freed_blocks_are_used_again),
        cmocka_unit_test(aligned_blocks_are_aligned_also_when_used_again),
        cmocka_unit_test(an_exhausted_pool_says_so),
        cmocka_unit_test(a_thread_with_a_source_takes_from_its_pool_and_then_from_the_heap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
