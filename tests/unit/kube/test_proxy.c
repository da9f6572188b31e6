#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kube/internal.h"

static char *proxy(const char *const *env, const char *scheme, const char *host, uint16_t port)
{
    struct kube_options options = {.env = env};
    return kube_proxy_from_env(&options, str_of(scheme), str_of(host), port);
}

static void the_schemes_variable_decides_and_capitals_come_first(void **state)
{
    static const char *const env[] = {"HTTP_PROXY=http://plain:1", "HTTPS_PROXY=http://capitals:2",
                                      "https_proxy=http://small:3", NULL};
    static const char *const small[] = {"HTTPS_PROXY=", "https_proxy=small:3", NULL};
    static const char *const none[] = {NULL};
    char *found = proxy(env, "https", "api.test", 443);
    assert_string_equal(found, "http://capitals:2");
    mem_free(found);
    found = proxy(env, "http", "api.test", 80);
    assert_string_equal(found, "http://plain:1");
    mem_free(found);
    found = proxy(small, "https", "api.test", 443);
    assert_string_equal(found, "http://small:3"); /* without a scheme it is http */
    mem_free(found);
    assert_null(proxy(small, "http", "api.test", 80));
    assert_null(proxy(none, "https", "api.test", 443));
}

static void this_machine_is_never_reached_through_a_proxy(void **state)
{
    static const char *const env[] = {"HTTPS_PROXY=http://p", NULL};
    static const char *const hosts[] = {"localhost", "LocalHost", "127.0.0.1", "127.9.9.9", "::1"};
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        assert_null(proxy(env, "https", hosts[i], 443));
    }
    char *found = proxy(env, "https", "localhost.example", 443);
    assert_non_null(found);
    mem_free(found);
}

static void no_proxy_excepts_hosts(void **state)
{
    static const struct {
        const char *no_proxy;
        const char *host;
        bool excepted;
    } rows[] = {
        {"*", "api.test", true},
        {"other, api.test", "api.test", true},
        {"API.test", "api.TEST", true},
        {"test", "api.test", true},
        {"test", "apitest", false},
        {".test", "api.test", true},
        {"*.test", "api.test", true},
        {".api.test", "api.test", false},
        {"*.api.test", "api.test", false},
        {"longer.api.test", "api.test", false},
        {"api.test:443", "api.test", true},
        {"api.test:80", "api.test", false},
        {"api.test:x", "api.test", false},
        {"", "api.test", false},
        {" , ,", "api.test", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1:443", "10.0.0.1", true},
        {"10.0.0.1:444", "10.0.0.1", false},
        {"10.0.0.10", "10.0.0.1", false},
        {"0.0.1", "10.0.0.1", false}, /* an address has no domain above it */
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.1", false},
        {"10.96.0.0/12", "10.111.0.1", true},
        {"10.96.0.0/12", "10.112.0.1", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "fd00::1", false},
        {"10.0.0.0/33", "10.0.0.1", false},
        {"10.0.0.0/", "10.0.0.1", false},
        {"/8", "10.0.0.1", false},
        {"fd00::1", "fd00::1", true},
        {"FD00:0::1", "fd00::1", true},
        {"[fd00::1]:443", "fd00::1", true},
        {"[fd00::1]:1", "fd00::1", false},
        {"[fd00::1]", "fd00::1", true},
        {"[", "fd00::1", false},
        {":", "fd00::1", false},
        {"fd00::/16", "fd00:1::1", true},
        {"fd00::/16", "fd01::1", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf line = BUF_EMPTY;
        buf_format(&line, "no_proxy=%s", rows[i].no_proxy);
        buf_add(&line, "", 1);
        const char *const env[] = {"HTTPS_PROXY=http://p", line.p, NULL};
        char *found = proxy(env, "https", rows[i].host, 443);
        if ((found == NULL) != rows[i].excepted) {
            fail_msg("%s, %s", rows[i].no_proxy, rows[i].host);
        }
        mem_free(found);
        buf_fini(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schemes_variable_decides_and_capitals_come_first),
        cmocka_unit_test(this_machine_is_never_reached_through_a_proxy),
        cmocka_unit_test(no_proxy_excepts_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
