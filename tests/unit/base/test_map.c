#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "helpers.h"

struct item {
    struct map_node node;
    uint64_t key;
    bool in;
    int visits;
};

static uint64_t hash_of(uint64_t key)
{
    return str_hash(str_from(&key, sizeof key), 1);
}

static struct item *find(const struct map *map, uint64_t key)
{
    uint64_t hash = hash_of(key);
    for (struct map_node *n = map_first(map, hash); n != NULL; n = map_next(n, hash)) {
        struct item *item = CONTAINER_OF(n, struct item, node);
        if (item->key == key) {
            return item;
        }
    }
    return NULL;
}

static void the_hash_depends_on_bytes_and_seed(void **state)
{
    assert_true(str_hash(STR("a"), 1) != str_hash(STR("b"), 1));
    assert_true(str_hash(STR("a"), 1) != str_hash(STR("a"), 2));
    assert_true(str_hash(STR("a"), 1) == str_hash(STR("a"), 1));
    assert_true(str_hash((struct str){NULL, 0}, 1) == str_hash(STR(""), 1));
}

static void count_visit(struct map_node *node, void *arg)
{
    CONTAINER_OF(node, struct item, node)->visits++;
    (*(int *)arg)++;
}

static void an_empty_map_has_nothing(void **state)
{
    struct map map;
    int visits = 0;
    map_init(&map);
    assert_null(map_first(&map, 5));
    assert_int_equal(map_scan(&map, 0, count_visit, &visits), 0);
    assert_int_equal(map_scan(&map, 12345, count_visit, &visits), 0);
    assert_int_equal(visits, 0);
    map_fini(&map);
}

static void entries_with_equal_hashes_are_all_found(void **state)
{
    struct map map;
    struct item items[50] = {0};
    map_init(&map);
    for (int i = 0; i < 50; i++) {
        map_add(&map, &items[i].node, 77);
    }
    int found = 0;
    for (struct map_node *n = map_first(&map, 77); n != NULL; n = map_next(n, 77)) {
        found++;
    }
    assert_int_equal(found, 50);
    assert_null(map_first(&map, 78));
    for (int i = 0; i < 50; i++) {
        map_remove(&map, &items[i].node);
    }
    assert_null(map_first(&map, 77));
    map_fini(&map);
}

static void it_holds_what_was_added_and_not_removed(void **state)
{
    enum { N = 5000 };
    static struct item items[N];
    struct map map;
    struct rng rng;
    size_t in = 0;
    rng_seed(&rng, 10);
    map_init(&map);
    for (int i = 0; i < 400000; i++) {
        /* Waves: mostly adding, then mostly removing. */
        bool add = rng_below(&rng, 10) < (uint64_t)(i / 50000 % 2 == 0 ? 9 : 1);
        size_t k = rng_below(&rng, N);
        items[k].key = k;
        if (add && !items[k].in) {
            map_add(&map, &items[k].node, hash_of(k));
            items[k].in = true;
            in++;
        } else if (!add && items[k].in) {
            map_remove(&map, &items[k].node);
            items[k].in = false;
            in--;
        }
        k = rng_below(&rng, N);
        assert_ptr_equal(find(&map, k), items[k].in ? &items[k] : NULL);
        assert_int_equal(map.nodes, in);
        assert_true(map.count <= map.allocated && map.allocated <= 4 * map.count);
        assert_true(map.count == 0 || (map.mask < map.count && map.count <= 2 * map.mask + 1));
        assert_true(in <= map.count && map.count <= 2 * in + 8);
    }
    map_fini(&map);
}

static void a_scan_of_a_map_at_rest_visits_each_entry_once(void **state)
{
    enum { N = 700 };
    static struct item items[N];
    for (int n = 0; n < N; n++) {
        struct map map;
        int visits = 0;
        map_init(&map);
        for (int i = 0; i < n; i++) {
            map_add(&map, &items[i].node, hash_of((uint64_t)i));
        }
        uint64_t cursor = 0;
        size_t calls = 0;
        do {
            cursor = map_scan(&map, cursor, count_visit, &visits);
            calls++;
        } while (cursor != 0);
        assert_int_equal(visits, n);
        assert_true(calls == (n > 0 ? map.count : 1));
        map_fini(&map);
    }
}

/* Grows or shrinks at random between the calls of a scan; the entries that were there all the time are
 * `stay`. */
static void scan_while_changing(struct rng *rng, struct item *items, size_t n, size_t stay, bool shrink)
{
    struct map map;
    size_t in = shrink ? n : stay;
    map_init(&map);
    for (size_t i = 0; i < in; i++) {
        map_add(&map, &items[i].node, hash_of(items[i].key));
    }
    for (size_t i = 0; i < n; i++) {
        items[i].visits = 0;
    }
    int visits = 0;
    uint64_t cursor = 0;
    do {
        cursor = map_scan(&map, cursor, count_visit, &visits);
        for (uint64_t change = rng_below(rng, 8); change > 0; change--) {
            if (shrink && in > stay) {
                map_remove(&map, &items[--in].node);
            } else if (!shrink && in < n) {
                map_add(&map, &items[in].node, hash_of(items[in].key));
                in++;
            }
        }
    } while (cursor != 0);
    for (size_t i = 0; i < stay; i++) {
        assert_true(shrink ? items[i].visits >= 1 : items[i].visits == 1);
    }
    assert_true(shrink || in > stay); /* it did change */
    map_fini(&map);
}

static void a_scan_survives_growing_and_shrinking(void **state)
{
    enum { N = 3000 };
    static struct item items[N];
    struct rng rng;
    rng_seed(&rng, 11);
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < N; i++) {
            items[i].key = rng_next(&rng);
        }
        size_t stay = 1 + rng_below(&rng, N / 2);
        scan_while_changing(&rng, items, N, stay, round % 2 == 0);
    }
}

static void remove_visited(struct map_node *node, void *arg)
{
    map_remove(arg, node);
}

static void a_visit_may_remove_its_entry(void **state)
{
    enum { N = 2000 };
    static struct item items[N];
    struct map map;
    map_init(&map);
    for (int i = 0; i < N; i++) {
        map_add(&map, &items[i].node, hash_of((uint64_t)i));
    }
    uint64_t cursor = 0;
    do {
        cursor = map_scan(&map, cursor, remove_visited, &map);
    } while (cursor != 0);
    assert_int_equal(map.nodes, 0);
    assert_int_equal(map.count, 8);
    map_fini(&map);
}

static void remove_what_is_not_there(void *arg)
{
    struct map map;
    struct item in = {0};
    struct item out = {0};
    map_init(&map);
    map_add(&map, &in.node, 1);
    out.node.hash = 1;
    map_remove(&map, &out.node);
}

static void removing_what_is_not_there_ends_the_process(void **state)
{
    struct buf words = BUF_EMPTY;
    assert_true(died_by(run_in_child(remove_what_is_not_there, NULL, &words), SIGABRT));
    buf_fini(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_depends_on_bytes_and_seed),
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(entries_with_equal_hashes_are_all_found),
        cmocka_unit_test(it_holds_what_was_added_and_not_removed),
        cmocka_unit_test(a_scan_of_a_map_at_rest_visits_each_entry_once),
        cmocka_unit_test(a_scan_survives_growing_and_shrinking),
        cmocka_unit_test(a_visit_may_remove_its_entry),
        cmocka_unit_test(removing_what_is_not_there_ends_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
