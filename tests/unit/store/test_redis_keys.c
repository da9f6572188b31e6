/* store/redis/keys.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/keys.h"

static const struct redis_keys flat = {STR_INIT("ela"), REDIS_FLAT, false};
static const struct redis_keys by_kind = {STR_INIT("ela"), REDIS_KIND, false};
static const struct redis_keys cluster = {STR_INIT("ela"), REDIS_FLAT, true};

static void expect_key(const struct redis_keys *keys, enum redis_key which, const char *kind,
                       const char *election, const char *expected)
{
    char key[REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write(keys, which, str_of(kind), str_of(election), key);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(key, expected, n);
}

static void keys_lie_where_the_layout_says(void **state)
{
    expect_key(&flat, REDIS_KEY_LEASE, "default", "job", "ela/job");
    expect_key(&flat, REDIS_KEY_LEASE, "cron", "job", "ela/lease/cron/job");
    expect_key(&flat, REDIS_KEY_TENURE, "default", "job", "ela/tenure/default/job");
    expect_key(&flat, REDIS_KEY_FENCE, "cron", "a/b", "ela/fence/cron/a/b");
    expect_key(&by_kind, REDIS_KEY_LEASE, "default", "job", "ela/lease/default/job");
    expect_key(&by_kind, REDIS_KEY_META, "default", "job", "ela/meta/default/job");
    expect_key(&cluster, REDIS_KEY_LEASE, "default", "job", "ela/{job}");
    expect_key(&cluster, REDIS_KEY_CANDIDATES, "cron", "job", "ela/candidates/cron/{job}");
}

static void the_longest_names_fit(void **state)
{
    char prefix[REDIS_PREFIX_BYTES_MAX];
    char kind[KIND_BYTES_MAX];
    char name[NAME_BYTES_MAX];
    char key[REDIS_KEY_BYTES_MAX];
    memset(prefix, 'p', sizeof prefix);
    memset(kind, 'k', sizeof kind);
    memset(name, 'n', sizeof name);
    struct redis_keys keys = {{prefix, sizeof prefix}, REDIS_KIND, true};
    for (enum redis_key which = 0; which < REDIS_KEY_COUNT; which++) {
        size_t n = redis_key_write(&keys, which, (struct str){kind, sizeof kind},
                                   (struct str){name, sizeof name}, key);
        assert_true(n <= sizeof key);
    }
    assert_true(redis_key_write_node(&keys, UINT32_MAX, key) <= sizeof key);
}

static void expect_name(const struct redis_keys *keys, const char *kind, const char *name, enum err expected)
{
    struct error error = ERROR_NONE;
    assert_int_equal(redis_keys_check_name(keys, str_of(kind), str_of(name), &error), expected);
    assert_true(expected == EA_OK || strlen(error.text) > 0);
}

static void names_that_would_hit_other_keys_are_refused(void **state)
{
    static const char *const words[] = {"lease/x", "tenure/x", "fence/x", "meta/x", "candidates/x", "info/x"};
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        expect_name(&flat, "default", words[i], EA_INVALID);
        expect_name(&flat, "cron", words[i], EA_OK);
        expect_name(&by_kind, "default", words[i], EA_OK);
    }
    expect_name(&flat, "default", "lease", EA_OK);
    expect_name(&flat, "default", "leases/x", EA_OK);
    expect_name(&flat, "default", "}x", EA_OK);
    expect_name(&cluster, "default", "}x", EA_INVALID);
    expect_name(&cluster, "default", "x}", EA_OK);
}

static void prefixes_that_would_break_keys_are_refused(void **state)
{
    struct error error;
    char longest[REDIS_PREFIX_BYTES_MAX + 1];
    memset(longest, 'p', sizeof longest);
    assert_int_equal(redis_keys_check_prefix(STR(""), false, &error), EA_CONFIG);
    assert_int_equal(redis_keys_check_prefix((struct str){longest, sizeof longest}, false, &error),
                     EA_CONFIG);
    assert_int_equal(redis_keys_check_prefix((struct str){longest, sizeof longest - 1}, false, &error),
                     EA_OK);
    assert_int_equal(redis_keys_check_prefix(STR("a\nb"), false, &error), EA_CONFIG);
    assert_int_equal(redis_keys_check_prefix(STR("a{b}"), false, &error), EA_OK);
    assert_int_equal(redis_keys_check_prefix(STR("a{b}"), true, &error), EA_CONFIG);
    assert_string_equal(error.text, "key_prefix: { is not allowed in mode cluster");
}

static void one_elections_keys_share_a_slot(void **state)
{
    static const char *const names[] = {"job", "{tag}", "a}b", "a{b}c", "\xe6\x9d\xb1"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char key[REDIS_KEY_BYTES_MAX];
        unsigned slot = redis_slot_of(&cluster, STR("default"), str_of(names[i]));
        for (enum redis_key which = 0; which < REDIS_KEY_COUNT; which++) {
            size_t n = redis_key_write(&cluster, which, STR("default"), str_of(names[i]), key);
            assert_int_equal(redis_slot((struct str){key, n}), slot);
        }
    }
}

/* As CLUSTER KEYSLOT of a Redis 7.0 answers. */
static void slots_are_those_of_redis(void **state)
{
    assert_int_equal(redis_slot(STR("123456789")), 0x31C3);
    assert_int_equal(redis_slot(STR("foo")), 12182);
    assert_int_equal(redis_slot(STR("bar")), 5061);
    assert_int_equal(redis_slot(STR("x{foo}y")), 12182);
    assert_int_equal(redis_slot(STR("{}foo")), redis_slot(STR("{}foo")));
    assert_int_not_equal(redis_slot(STR("{}foo")), 12182);
}

static void every_slot_has_a_tag_that_falls_into_it(void **state)
{
    uint32_t *tags = mem_alloc(REDIS_SLOTS * sizeof *tags);
    char key[REDIS_KEY_BYTES_MAX];
    redis_slot_tags(tags);
    for (unsigned slot = 0; slot < REDIS_SLOTS; slot++) {
        size_t n = redis_key_write_node(&cluster, tags[slot], key);
        assert_int_equal(redis_slot((struct str){key, n}), slot);
    }
    mem_free(tags);
}

static void shards_are_even_and_the_same_for_ever(void **state)
{
    unsigned counts[3] = {0};
    for (unsigned i = 0; i < 3000; i++) {
        char name[20];
        size_t n = str_from_u64(i, name);
        counts[redis_shard(redis_hash(STR("default"), (struct str){name, n}), 3)]++;
    }
    for (unsigned i = 0; i < 3; i++) {
        assert_in_range(counts[i], 900, 1100);
    }
    assert_int_equal(redis_hash(STR("default"), STR("job")), UINT64_C(0x62c53853ce363066));
    assert_int_not_equal(redis_hash(STR("a"), STR("b/c")), redis_hash(STR("b"), STR("a/c")));
}

static void a_found_key_gives_its_election_back(void **state)
{
    const struct redis_keys odd = {STR_INIT("e*[a]"), REDIS_FLAT, false};
    char text[REDIS_PATTERN_BYTES_MAX];
    struct str name;
    size_t n = redis_key_write_pattern(&odd, STR("cron"), text);
    assert_int_equal(n, strlen("e\\*\\[a\\]/lease/cron/*"));
    assert_memory_equal(text, "e\\*\\[a\\]/lease/cron/*", n);
    assert_true(redis_key_election(&flat, STR("default"), STR("ela/a/b"), &name));
    assert_true(str_eq(name, STR("a/b")));
    assert_true(redis_key_election(&cluster, STR("default"), STR("ela/{a}"), &name));
    assert_true(str_eq(name, STR("a")));
    assert_false(redis_key_election(&flat, STR("default"), STR("ela/tenure/default/x"), &name));
    assert_false(redis_key_election(&flat, STR("default"), STR("ela/info/node"), &name));
    assert_false(redis_key_election(&flat, STR("default"), STR("other/x"), &name));
    assert_false(redis_key_election(&flat, STR("default"), STR("ela/a\nb"), &name));
    assert_false(redis_key_election(&cluster, STR("default"), STR("ela/a"), &name));
    assert_false(redis_key_election(&cluster, STR("default"), STR("ela/{}"), &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_lie_where_the_layout_says),
        cmocka_unit_test(the_longest_names_fit),
        cmocka_unit_test(names_that_would_hit_other_keys_are_refused),
        cmocka_unit_test(prefixes_that_would_break_keys_are_refused),
        cmocka_unit_test(one_elections_keys_share_a_slot),
        cmocka_unit_test(slots_are_those_of_redis),
        cmocka_unit_test(every_slot_has_a_tag_that_falls_into_it),
        cmocka_unit_test(shards_are_even_and_the_same_for_ever),
        cmocka_unit_test(a_found_key_gives_its_election_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
