#include "support.h"

#include <stdio.h>

#include "metrics/kinds.h"

static unsigned index_of(struct kinds *kinds, unsigned i)
{
    char name[16];
    int n = snprintf(name, sizeof name, "kind-%u", i);
    return kinds_index(kinds, str_from(name, (size_t)n));
}

static void kinds_keep_their_index(void **state)
{
    struct kinds kinds;
    kinds_init(&kinds);
    assert_int_equal(kinds_index(&kinds, STR("b")), 0);
    assert_int_equal(kinds_index(&kinds, STR("a")), 1);
    assert_int_equal(kinds_index(&kinds, STR("b")), 0);
    assert_int_equal(kinds_index(&kinds, STR("")), 2);
    assert_int_equal(kinds_count(&kinds), 3);
    assert_true(str_eq(kinds_name(&kinds, 0), STR("b")));
    assert_true(str_eq(kinds_name(&kinds, 1), STR("a")));
    assert_int_equal(kinds_name(&kinds, 2).n, 0);
    kinds_fini(&kinds);
}

static void kinds_beyond_the_bound_are_other(void **state)
{
    struct kinds kinds;
    kinds_init(&kinds);
    for (unsigned i = 0; i < METRICS_KINDS_MAX; i++) {
        assert_int_equal(index_of(&kinds, i), i);
    }
    for (unsigned i = METRICS_KINDS_MAX; i < 10 * METRICS_KINDS_MAX; i++) {
        assert_int_equal(index_of(&kinds, i), KINDS_OTHER);
    }
    assert_int_equal(kinds_count(&kinds), METRICS_KINDS_MAX);
    for (unsigned i = 0; i < METRICS_KINDS_MAX; i++) {
        assert_int_equal(index_of(&kinds, i), i);
    }
    kinds_fini(&kinds);
}

struct adder {
    pthread_t thread;
    struct kinds *kinds;
    unsigned index[2 * METRICS_KINDS_MAX];
};

static void *add_kinds(void *arg)
{
    struct adder *adder = arg;
    for (unsigned i = 0; i < 2 * METRICS_KINDS_MAX; i++) {
        adder->index[i] = index_of(adder->kinds, i);
    }
    return NULL;
}

static void threads_agree_on_every_index(void **state)
{
    static struct adder adders[4];
    struct kinds kinds;
    kinds_init(&kinds);
    for (int t = 0; t < 4; t++) {
        adders[t].kinds = &kinds;
        assert_int_equal(pthread_create(&adders[t].thread, NULL, add_kinds, &adders[t]), 0);
    }
    for (int t = 0; t < 4; t++) {
        pthread_join(adders[t].thread, NULL);
    }
    /* A kind that one thread saw refused was refused for all from then on, so all agree. */
    assert_int_equal(kinds_count(&kinds), METRICS_KINDS_MAX);
    for (unsigned i = 0; i < 2 * METRICS_KINDS_MAX; i++) {
        for (int t = 0; t < 4; t++) {
            assert_int_equal(adders[t].index[i], index_of(&kinds, i));
        }
    }
    kinds_fini(&kinds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_keep_their_index),
        cmocka_unit_test(kinds_beyond_the_bound_are_other),
        cmocka_unit_test(threads_agree_on_every_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
