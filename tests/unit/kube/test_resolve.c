/* What is to be connected to, by the configuration. That names are found is tested with requests (test_transfer.c). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kube/internal.h"

static char *text(const char *s)
{
    return s != NULL ? kube_text(str_of(s)) : NULL;
}

static enum err init(struct kube *kube, const char *server, const char *proxy, const char *name,
                     const char *const *env, struct error *error)
{
    static const char *const none[] = {NULL};
    *kube = (struct kube){.loop = NULL};
    kube->access.server = text(server);
    kube->access.proxy = text(proxy);
    kube->access.server_name = text(name);
    return kube_resolver_init(kube, &(struct kube_options){.env = env != NULL ? env : none}, error);
}

static void fini(struct kube *kube)
{
    kube_resolver_fini(kube);
    kube_access_fini(&kube->access);
}

static void expect(const char *what, const char *is, const char *wanted)
{
    if ((is == NULL) != (wanted == NULL) || (is != NULL && strcmp(is, wanted) != 0)) {
        fail_msg("%s: %s, not %s", what, is, wanted);
    }
}

static void names_are_resolved_and_addresses_are_not(void **state)
{
    static const struct {
        const char *server;
        const char *proxy;
        const char *name; /* tls-server-name */
        const char *base;
        const char *host; /* to be resolved; NULL: nothing */
        const char *entry_name;
        uint16_t port;
    } rows[] = {
        {"https://10.0.0.1", NULL, NULL, "https://10.0.0.1", NULL, NULL, 443},
        {"https://10.0.0.1:6443/base", NULL, NULL, "https://10.0.0.1:6443/base", NULL, NULL, 6443},
        {"http://[fd00::1]", NULL, NULL, "http://[fd00::1]", NULL, NULL, 80},
        {"https://[fd00::1]:6443", NULL, NULL, "https://[fd00::1]:6443", NULL, NULL, 6443},
        {"https://api.test", NULL, NULL, "https://api.test", "api.test", "api.test", 443},
        {"https://api.test:6443/k8s/c", NULL, NULL, "https://api.test:6443/k8s/c", "api.test", "api.test",
         6443},
        /* The URL has the certificate's name, which "resolves" to the server. */
        {"https://10.0.0.1:6443/b", NULL, "kubernetes", "https://kubernetes:6443/b", "10.0.0.1", "kubernetes",
         6443},
        {"https://api.test", NULL, "other.test", "https://other.test:443", "api.test", "other.test", 443},
        /* Only the proxy is connected to. */
        {"https://api.test", "http://p.test:3128", NULL, "https://api.test", "p.test", "p.test", 3128},
        {"https://api.test", "http://user:word@p.test", NULL, "https://api.test", "p.test", "p.test", 80},
        {"https://api.test", "http://10.0.0.2:3128", NULL, "https://api.test", NULL, NULL, 3128},
        {"https://api.test", "socks5://p.test:1080", NULL, "https://api.test", "p.test", "p.test", 1080},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct kube kube;
        struct error error = ERROR_NONE;
        assert_int_equal(init(&kube, rows[i].server, rows[i].proxy, rows[i].name, NULL, &error), EA_OK);
        expect("base", kube.resolver.base, rows[i].base);
        expect("host", kube.resolver.host, rows[i].host);
        expect("entry", kube.resolver.entry_name, rows[i].entry_name);
        assert_int_equal(kube.resolver.port, rows[i].port);
        fini(&kube);
    }
}

static void curl_is_told_to_let_a_socks_proxy_resolve(void **state)
{
    struct kube kube;
    struct error error = ERROR_NONE;
    assert_int_equal(init(&kube, "https://api.test", "socks5://10.0.0.2:1080", NULL, NULL, &error), EA_OK);
    assert_string_equal(kube.access.proxy, "socks5h://10.0.0.2:1080");
    fini(&kube);
}

static void the_environments_proxy_counts_where_the_kubeconfig_names_none(void **state)
{
    static const char *const env[] = {"HTTPS_PROXY=env.test:1", "NO_PROXY=excepted.test", NULL};
    static const struct {
        const char *server;
        const char *proxy;
        const char *wanted;
    } rows[] = {{"https://api.test", NULL, "http://env.test:1"},
                {"https://api.test", "http://own.test:2", "http://own.test:2"},
                {"https://excepted.test:6443", NULL, NULL},
                {"https://[::1]:6443", NULL, NULL},
                {"http://api.test", NULL, NULL}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct kube kube;
        struct error error = ERROR_NONE;
        assert_int_equal(init(&kube, rows[i].server, rows[i].proxy, NULL, env, &error), EA_OK);
        expect("proxy", kube.access.proxy, rows[i].wanted);
        fini(&kube);
    }
}

static void what_cannot_be_connected_to_is_refused(void **state)
{
    static const struct {
        const char *server;
        const char *proxy;
        const char *name;
        const char *words;
    } rows[] = {
        {"api.test", NULL, NULL, "URL is none"},
        {"https://", NULL, NULL, "URL is none"},
        {"https://:443", NULL, NULL, "URL is none"},
        {"https://h:", NULL, NULL, "URL is none"},
        {"https://h:0", NULL, NULL, "URL is none"},
        {"https://h:65536", NULL, NULL, "URL is none"},
        {"https://h:1x", NULL, NULL, "URL is none"},
        {"https://[::1", NULL, NULL, "URL is none"},
        {"https://[::1]x", NULL, NULL, "URL is none"},
        {"https://h", "ftp://p", NULL, "must be http, https or socks5"},
        {"https://h", "p:3128", NULL, "must be http, https or socks5"},
        {"https://h", "http://p", "other", "tls-server-name does not go with a proxy"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct kube kube;
        struct error error = ERROR_NONE;
        enum err err = init(&kube, rows[i].server, rows[i].proxy, rows[i].name, NULL, &error);
        if (err != EA_CONFIG || strstr(error.text, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, error.text);
        }
        fini(&kube);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_resolved_and_addresses_are_not),
        cmocka_unit_test(curl_is_told_to_let_a_socks_proxy_resolve),
        cmocka_unit_test(the_environments_proxy_counts_where_the_kubeconfig_names_none),
        cmocka_unit_test(what_cannot_be_connected_to_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
