/* Names of Leases: no two elections share one, and every one can be read back. */
#include "store/kubernetes/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/random.h"

static const char *name_of(const char *kind, const char *election)
{
    static char name[LEASE_NAME_BYTES_MAX + 1];
    (void)lease_name_write(str_of(kind), str_of(election), name);
    return name;
}

static bool reads(const char *name, struct lease_election *out)
{
    return lease_name_read(str_of(name), str_from(NULL, 0), str_from(NULL, 0), out);
}

static void names_are_written_so(void **state)
{
    static const char *const rows[][3] = {
        {"default", "orders", "orders"},
        {"default", "orders.eu-1", "orders.eu-1"},
        {"billing", "orders", "billing---orders"},
        {"default", "orders/eu", "orders--2feu"},
        {"default", "Orders", "0--4frders"},
        {"default", "0/", "0--30--2f"},
        {"0", "x", "0--30---x"},
        {"a.b", "c", "a--2eb---c"},
        {"default", "a--b", "a--2d--2db"},
        {"default", "a-", "a--2d"},
        {"default", "a..b", "a--2e--2eb"},
        {"Foo", "-", "0--46oo-----2d"},
        {"default", "\xc3\xa9", "0--c3--a9"},
        {"default", "default", "default"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct lease_election read;
        assert_string_equal(name_of(rows[i][0], rows[i][1]), rows[i][2]);
        assert_true(reads(rows[i][2], &read));
        assert_true(str_eq(str_from(read.kind, read.kind_bytes), str_of(rows[i][0])));
        assert_true(str_eq(str_from(read.election, read.election_bytes), str_of(rows[i][1])));
    }
}

static void a_name_in_another_spelling_is_no_election(void **state)
{
    static const char *const names[] = {
        "default---orders", /* orders */
        "a--62",            /* ab */
        "a--2Feu",          /* no name for a Lease either */
        "0--30",            /* 0 */
        "a--zz",
        "a--",
        "--",
        "0--",
        "---a",
        "a---",
        "a----b",
        "sha256----0",
        "a--00b",
        "a--ff",
        "",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct lease_election read;
        if (reads(names[i], &read)) {
            fail_msg("%s was read as %.*s", names[i], (int)read.election_bytes, read.election);
        }
    }
}

static void what_is_too_long_gets_a_digest_and_is_read_by_its_annotations(void **state)
{
    char election[NAME_BYTES_MAX + 1];
    char name[LEASE_NAME_BYTES_MAX + 1];
    struct lease_election read;
    memset(election, 'e', NAME_BYTES_MAX);
    election[NAME_BYTES_MAX] = '\0';
    assert_true(lease_name_write(STR("default"), str_of(election), name)); /* fits just so */
    assert_string_equal(name, election);
    assert_false(lease_name_write(STR("other"), str_of(election), name));
    assert_memory_equal(name, "sha256----", 10);
    assert_int_equal(strlen(name), 74);
    assert_true(lease_name_read(str_of(name), STR("other"), str_of(election), &read));
    assert_int_equal(read.election_bytes, NAME_BYTES_MAX);
    assert_false(
        lease_name_read(str_of(name), STR("another"), str_of(election), &read)); /* whose digest it is not */
    assert_false(reads(name, &read));
    election[NAME_BYTES_MAX - 1] = 'f';
    char other[LEASE_NAME_BYTES_MAX + 1];
    assert_false(lease_name_write(STR("other"), str_of(election), other));
    assert_string_not_equal(name, other);
}

static bool is_dns_name(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9');
        bool edge = i == 0 || i == n - 1 || name[i - 1] == '.' || name[i + 1] == '.';
        if (!plain && (edge || (name[i] != '-' && name[i] != '.'))) {
            return false;
        }
    }
    return n > 0 && n <= LEASE_NAME_BYTES_MAX;
}

/* Short names of the characters that have a meaning: all pairs are read back, so no two share a Lease. */
static void every_short_name_is_a_dns_name_and_comes_back(void **state)
{
    static const char letters[] = "a0-.-/A";
    struct rng rng;
    rng_seed(&rng, 1);
    for (unsigned round = 0; round < 200000; round++) {
        char kind[5];
        char election[7];
        size_t k = 1 + (size_t)rng_range(&rng, 0, 3);
        size_t e = 1 + (size_t)rng_range(&rng, 0, 5);
        for (size_t i = 0; i < k; i++) {
            char c = letters[rng_range(&rng, 0, 6)];
            kind[i] = c == '/' ? '_' : c;
        }
        for (size_t i = 0; i < e; i++) {
            election[i] = letters[rng_range(&rng, 0, 6)];
        }
        kind[k] = election[e] = '\0';
        const char *used = round % 2 == 0 ? kind : KIND_DEFAULT;
        const char *name = name_of(used, election);
        struct lease_election read;
        if (!is_dns_name(name) || !reads(name, &read) ||
            !str_eq(str_from(read.kind, read.kind_bytes), str_of(used)) ||
            !str_eq(str_from(read.election, read.election_bytes), str_of(election))) {
            fail_msg("%s, \"%s\" is written %s", used, election, name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_written_so),
        cmocka_unit_test(a_name_in_another_spelling_is_no_election),
        cmocka_unit_test(what_is_too_long_gets_a_digest_and_is_read_by_its_annotations),
        cmocka_unit_test(every_short_name_is_a_dns_name_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
