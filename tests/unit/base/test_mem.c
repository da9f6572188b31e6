#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "helpers.h"

/* A sanitizer's allocator ends the process itself when too much is asked for, unless it is told not to. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

struct outer {
    int before;
    int inner;
};

static void memory_is_given_as_asked(void **state)
{
    char *p = mem_zalloc(100);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(p[i], 0);
    }
    memcpy(p, "abc", 4);
    p = mem_realloc(p, 100000);
    assert_string_equal(p, "abc");
    char *q = mem_dup(p, 4);
    assert_string_equal(q, "abc");
    assert_ptr_not_equal(p, q);
    mem_free(p);
    mem_free(q);
    mem_free(NULL);
}

static void nothing_is_also_an_object(void **state)
{
    void *volatile p =
        mem_alloc(0); /* volatile: the compiler believes the attribute and would drop the check */
    void *volatile q = mem_dup(NULL, 0);
    void *volatile r = mem_zalloc(0);
    assert_non_null(p);
    assert_non_null(q);
    assert_non_null(r);
    mem_free(p);
    mem_free(q);
    mem_free(r);
}

static void alignment_is_kept(void **state)
{
    for (size_t alignment = sizeof(void *); alignment <= 65536; alignment *= 2) {
        char *p = mem_alloc_aligned(alignment, 100);
        assert_int_equal((uintptr_t)p % alignment, 0);
        memset(p, 1, 100);
        mem_free(p);
    }
}

static void a_member_finds_its_owner(void **state)
{
    struct outer outer = {1, 2};
    assert_ptr_equal(CONTAINER_OF(&outer.inner, struct outer, inner), &outer);
    int numbers[7];
    assert_int_equal(ARRAY_LENGTH(numbers), 7);
}

enum how { ALLOC, ZALLOC, REALLOC, ALIGNED };

static void use_too_much(void *arg)
{
    volatile size_t too_much = (size_t)1 << 62;
    switch (*(enum how *)arg) {
    case ALLOC:
        mem_free(mem_alloc(too_much));
        break;
    case ZALLOC:
        mem_free(mem_zalloc(too_much));
        break;
    case REALLOC:
        mem_free(mem_realloc(NULL, too_much));
        break;
    case ALIGNED:
        mem_free(mem_alloc_aligned(64, too_much));
        break;
    }
}

static void out_of_memory_ends_the_process_with_a_message(void **state)
{
    for (int i = ALLOC; i <= ALIGNED; i++) {
        struct buf words = BUF_EMPTY;
        enum how how = (enum how)i;
        int status = run_in_child(use_too_much, &how, &words);
        assert_true(died_by(status, SIGABRT));
        assert_non_null(strstr(words.p, "out of memory\n"));
        buf_fini(&words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_given_as_asked),
        cmocka_unit_test(nothing_is_also_an_object),
        cmocka_unit_test(alignment_is_kept),
        cmocka_unit_test(a_member_finds_its_owner),
        cmocka_unit_test(out_of_memory_ends_the_process_with_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
