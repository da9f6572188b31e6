/* The words of the agent's settings in those of the library's options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "client/words.h"

static void expect(const char *from, const char *to)
{
    char out[240];
    words_translate(out, sizeof out, from);
    assert_string_equal(out, to);
}

static void names_of_settings_become_those_of_options(void **state)
{
    expect("it refuses user and password: correct them in redis.urls",
           "it refuses user and password: correct them in redis_urls");
    expect("Restore redis.urls, or set redis.mode. redis.key_layout.",
           "Restore redis_urls, or set redis_mode. redis_layout.");
    expect("key_prefix: 0 bytes", "redis_prefix: 0 bytes");
    expect("redis.tls: cannot read /x", "redis_tls: cannot read /x");
    expect("(redis.tls.ca and redis.tls.server_name)", "(redis_tls_ca and redis_tls_server_name)");
    expect("it has not answered for redis.operation_timeout", "it has not answered in time");
}

static void what_only_looks_like_one_stays(void **state)
{
    expect("docs/redis.md lists them", "docs/redis.md lists them");
    expect("my.redis.urls redis.urls.example my_key_prefix key_prefixes", //
           "my.redis.urls redis.urls.example my_key_prefix key_prefixes");
    expect("", "");
}

/* Every setting of the agent that the store could name. */
static void every_setting_of_redis_is_known(void **state)
{
#define SETTING(type, member, variable, key, ...) key,
    static const char *const names[] = {
#include "config/config.def"
    };
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(names[i], "redis.", 6) == 0) {
            char out[240];
            words_translate(out, sizeof out, names[i]);
            assert_null(strchr(out, '.'));
            seen++;
        }
    }
    assert_in_range(seen, 8, 100);
}

static void what_is_too_long_is_cut(void **state)
{
    char out[14];
    for (size_t bytes = 1; bytes <= sizeof out; bytes++) {
        memset(out, 'x', sizeof out);
        words_translate(out, bytes, "set redis.urls now");
        assert_int_equal(strlen(out), bytes - 1);
        assert_memory_equal(out, "set redis_urls", bytes - 1);
    }
    words_translate(NULL, 0, "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_settings_become_those_of_options),
        cmocka_unit_test(what_only_looks_like_one_stays),
        cmocka_unit_test(every_setting_of_redis_is_known),
        cmocka_unit_test(what_is_too_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
