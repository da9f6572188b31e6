#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "base/slab.h"
#include "helpers.h"

static void the_object_freed_last_is_handed_out_first(void **state)
{
    struct slab slab;
    slab_init(&slab, 100, 1000);
    void *a = slab_alloc(&slab);
    void *b = slab_alloc(&slab);
    assert_ptr_not_equal(a, b);
    slab_free(&slab, a);
    slab_free(&slab, b);
    assert_ptr_equal(slab_alloc(&slab), b);
    assert_ptr_equal(slab_alloc(&slab), a);
    slab_free(&slab, a);
    slab_free(&slab, b);
    slab_free(&slab, NULL);
    slab_fini(&slab);
}

static void objects_of_any_size_are_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {1, 16, 17, 100, 1000, 3000, 20000, 100000};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        enum { N = 60 };
        unsigned char *objects[N];
        struct slab slab;
        slab_init(&slab, sizes[i], 0);
        for (int k = 0; k < N; k++) {
            objects[k] = slab_alloc(&slab);
            assert_int_equal((uintptr_t)objects[k] % 16, 0);
            memset(objects[k], k, sizes[i]);
        }
        for (int k = 0; k < N; k++) {
            assert_int_equal(objects[k][0], k);
            assert_int_equal(objects[k][sizes[i] - 1], k);
            slab_free(&slab, objects[k]);
        }
        slab_fini(&slab);
    }
}

static void counts_are_right_and_pages_go_back_beyond_what_is_kept(void **state)
{
    enum { N = 3000, KEEP = 200 };
    static void *objects[N];
    static bool taken[N];
    struct slab slab;
    struct rng rng;
    size_t used = 0;
    rng_seed(&rng, 6);
    slab_init(&slab, 200, KEEP);
    for (int i = 0; i < 100000; i++) {
        size_t k = rng_below(&rng, N);
        if (taken[k]) {
            assert_int_equal(*(size_t *)objects[k], k);
            slab_free(&slab, objects[k]);
            used--;
        } else {
            objects[k] = slab_alloc(&slab);
            *(size_t *)objects[k] = k;
            used++;
        }
        taken[k] = !taken[k];
        assert_int_equal(slab.used, used);
        assert_int_equal((slab.used + slab.idle) % slab.per_page, 0);
    }
    for (size_t k = 0; k < N; k++) {
        if (taken[k]) {
            slab_free(&slab, objects[k]);
        }
    }
    assert_int_equal(slab.used, 0);
    assert_in_range(slab.idle, 1, KEEP + slab.per_page);
    slab_fini(&slab);
    assert_int_equal(slab.idle, 0);
}

static void free_in_the_wrong_slab(void *arg)
{
    struct slab one;
    struct slab other;
    slab_init(&one, 64, 0);
    slab_init(&other, 64, 0);
    slab_free(&other, slab_alloc(&one));
}

static void end_with_objects_out(void *arg)
{
    struct slab slab;
    slab_init(&slab, 64, 0);
    void *leaked = slab_alloc(&slab);
    *(char *)leaked = 1;
    slab_fini(&slab);
}

static void misuse_ends_the_process(void **state)
{
    struct buf words = BUF_EMPTY;
    assert_true(died_by(run_in_child(free_in_the_wrong_slab, NULL, &words), SIGABRT));
    assert_true(died_by(run_in_child(end_with_objects_out, NULL, &words), SIGABRT));
    buf_fini(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_object_freed_last_is_handed_out_first),
        cmocka_unit_test(objects_of_any_size_are_aligned_and_apart),
        cmocka_unit_test(counts_are_right_and_pages_go_back_beyond_what_is_kept),
        cmocka_unit_test(misuse_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
