/* store/redis/url.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "store/redis/url.h"

static void expect_shown(const char *text, const char *expected)
{
    char shown[200];
    redis_url_show(str_of(text), shown, sizeof shown);
    assert_string_equal(shown, expected);
}

static void expect_wrong(const char *text, const char *expected)
{
    struct redis_url url;
    struct error error = ERROR_NONE;
    assert_int_equal(redis_url_parse(&url, str_of(text), &error), EA_CONFIG);
    assert_string_equal(error.text, expected);
}

static void a_full_url_comes_apart(void **state)
{
    struct redis_url url;
    struct error error = ERROR_NONE;
    const char *text = "rediss://us%3Aer:p%40ss%2F%20w@db.example:7001/12?addr=[::1]:7002&addr=10.0.0.3";
    assert_int_equal(redis_url_parse(&url, str_of(text), &error), EA_OK);
    assert_true(url.tls);
    assert_string_equal(url.user, "us:er");
    assert_string_equal(url.password, "p@ss/ w");
    assert_int_equal(url.db, 12);
    assert_int_equal(url.n_servers, 3);
    assert_string_equal(url.servers[0].host, "db.example");
    assert_int_equal(url.servers[0].port, 7001);
    assert_string_equal(url.servers[0].text, "db.example:7001");
    assert_string_equal(url.servers[1].host, "::1");
    assert_string_equal(url.servers[1].text, "[::1]:7002");
    assert_string_equal(url.servers[2].text, "10.0.0.3:6379");
    redis_url_fini(&url);
}

static void a_short_url_means_the_defaults(void **state)
{
    struct redis_url url;
    assert_int_equal(redis_url_parse(&url, STR("redis://a/"), NULL), EA_OK);
    assert_false(url.tls);
    assert_null(url.user);
    assert_null(url.password);
    assert_int_equal(url.db, 0);
    assert_string_equal(url.servers[0].text, "a:6379");
    redis_url_fini(&url);
    assert_int_equal(redis_url_parse(&url, STR("redis://:pw@a"), NULL), EA_OK);
    assert_null(url.user);
    assert_string_equal(url.password, "pw");
    redis_url_fini(&url);
}

static void every_mistake_is_named(void **state)
{
    expect_wrong("http://a", "redis.urls: http://a: a URL begins with redis:// or rediss://");
    expect_wrong("", "redis.urls: : a URL begins with redis:// or rediss://");
    expect_wrong("redis://", "redis.urls: redis://: the host is missing");
    expect_wrong("redis://a b", "redis.urls: redis://a b: the host is not a name or an address");
    expect_wrong("redis://a:0", "redis.urls: redis://a:0: the port must be a number from 1 to 65535");
    expect_wrong("redis://a:65536", "redis.urls: redis://a:65536: the port must be a number from 1 to 65535");
    expect_wrong("redis://a:", "redis.urls: redis://a:: the port must be a number from 1 to 65535");
    expect_wrong("redis://[::1", "redis.urls: redis://[::1: the ] of the IPv6 address is missing");
    expect_wrong("redis://[::1]7",
                 "redis.urls: redis://[::1]7: behind the ] of an IPv6 address only :port may stand");
    expect_wrong("redis://a/x",
                 "redis.urls: redis://a/x: behind the / stands the number of the database, 0 to 65535");
    expect_wrong("redis://a?db=1", "redis.urls: redis://a?db=***: the only parameter is addr=host:port");
    expect_wrong("redis://a?addr=", "redis.urls: redis://a?addr=: the host is missing");
    expect_wrong("redis://a#x", "redis.urls: redis://a#x: a # must be written as %23");
    expect_wrong("redis://user@a",
                 "redis.urls: redis://user@a: a user needs a password: user:password@host, or "
                 ":password@host for the default user");
    expect_wrong("redis://user:@a", "redis.urls: redis://user:***@a: the password is empty");
    expect_wrong("redis://u:%zz@a",
                 "redis.urls: redis://u:***@a: user or password has a malformed percent-escape");
    expect_wrong("redis://u:%00@a",
                 "redis.urls: redis://u:***@a: user or password has a malformed percent-escape");
}

static void a_password_is_never_shown(void **state)
{
    expect_shown("redis://user:secret@host:1/0", "redis://user:***@host:1/0");
    expect_shown("redis://:secret@host", "redis://:***@host");
    expect_shown("redis://user:se@cret@host", "redis://user:***@host");
    expect_shown("redis://user:se/cr?et@host", "redis://user:***@host");
    expect_shown("user:secret@host", "user:***@host");
    expect_shown("redis://host?password=secret&addr=b", "redis://host?password=***&addr=b");
    expect_shown("redis://us\ner:secret@host", "redis://us\\ner:***@host");
    expect_wrong("redis://u:a/secret@host",
                 "redis.urls: redis://u:***@host: user and password must not hold / ? # "
                 "as they are: write %2F %3F %23");
}

static void expect_refused(enum redis_mode mode, const char *const *texts, size_t n, const char *expected)
{
    struct redis_url urls[REDIS_NODES_MAX];
    struct error error = ERROR_NONE;
    size_t parsed;
    assert_int_equal(redis_urls_parse(urls, &parsed, texts, n, mode, &error), EA_CONFIG);
    assert_string_equal(error.text, expected);
    redis_urls_fini(urls, parsed);
}

static void what_cannot_be_a_quorum_is_refused(void **state)
{
    static const char *const two[] = {"redis://a", "redis://b"};
    static const char *const twice[] = {"redis://a", "redis://b", "redis://a:6379/1"};
    static const char *const itself[] = {"redis://a?addr=a"};
    static const char *const unequal[] = {"redis://a?addr=b", "redis://c", "redis://d?addr=e"};
    static const char *const group[] = {"redis://a?addr=b"};
    static const char *const database[] = {"redis://a/1"};
    static const char *const many[REDIS_NODES_MAX + 2] = {"redis://a"};
    expect_refused(
        REDIS_SINGLE, two, 2,
        "redis.urls: 2 nodes: the number must be odd (1, 3, 5, ...), since an even one bears no more "
        "failures than one less");
    expect_refused(REDIS_SINGLE, two, 0, "redis.urls: no URL is given; the redis driver needs 1, 3, 5, ...");
    expect_refused(REDIS_SINGLE, many, ARRAY_LENGTH(many), "redis.urls: 17 nodes; at most 15");
    expect_refused(REDIS_SINGLE, twice, 3, "redis.urls: a:6379 is named twice, in URL 1 and in URL 3");
    expect_refused(REDIS_CLUSTER, itself, 1, "redis.urls: a:6379 is named twice, in URL 1 and in URL 1");
    expect_refused(REDIS_SHARDING, unequal, 3,
                   "redis.urls: group 1 has 2 servers and group 2 has 1: all groups must have the same size");
    expect_refused(
        REDIS_SINGLE, group, 1,
        "redis.urls: redis://a?addr=b: in mode single a URL is one server; addr= belongs to sharding "
        "and cluster");
    expect_refused(REDIS_CLUSTER, database, 1,
                   "redis.urls: redis://a/1: a Redis Cluster has database 0 only");
}

static void good_ones_are_taken_in_every_mode(void **state)
{
    static const char *const groups[] = {"redis://a?addr=b", "redis://c/3?addr=d", "redis://e?addr=f"};
    static const char *const one[] = {"redis://a"};
    struct redis_url urls[REDIS_NODES_MAX];
    size_t n;
    assert_int_equal(redis_urls_parse(urls, &n, groups, 3, REDIS_SHARDING, NULL), EA_OK);
    assert_int_equal(n, 3);
    redis_urls_fini(urls, n);
    for (enum redis_mode mode = REDIS_SINGLE; mode <= REDIS_CLUSTER; mode++) {
        assert_int_equal(redis_urls_parse(urls, &n, one, 1, mode, NULL), EA_OK);
        redis_urls_fini(urls, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_url_comes_apart),
        cmocka_unit_test(a_short_url_means_the_defaults),
        cmocka_unit_test(every_mistake_is_named),
        cmocka_unit_test(a_password_is_never_shown),
        cmocka_unit_test(what_cannot_be_a_quorum_is_refused),
        cmocka_unit_test(good_ones_are_taken_in_every_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
