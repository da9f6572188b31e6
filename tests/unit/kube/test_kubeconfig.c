#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kube/access.h"

#define AROUND             \
    "current-context: c\n" \
    "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
#define CLUSTER "clusters: [{name: k, cluster: {server: 'https://h:1'}}]\n"

static enum err load(struct kube_access *access, const char *text, struct error *error)
{
    struct kubeconfig_text one = {str_of(text), "/dir", "config"};
    memset(access, 0, sizeof *access);
    return kubeconfig_read(access, &one, 1, error);
}

static void everything_of_the_current_context_is_read(void **state)
{
    struct kube_access access;
    struct error error = ERROR_NONE;
    const char *text =
        "current-context: b\n"
        "contexts:\n- {name: a, context: {cluster: x, user: x}}\n"
        "- {name: b, context: {cluster: k, user: u, namespace: n}}\n"
        "clusters:\n- name: k\n  cluster:\n    server: https://h:1/base//\n    tls-server-name: other\n"
        "    certificate-authority: ca.crt\n    certificate-authority-data: Q0E=\n"
        "    insecure-skip-tls-verify: false\n    proxy-url: http://p:2\n"
        "users:\n- name: u\n  user:\n    tokenFile: /abs/token\n    client-certificate: c.crt\n"
        "    client-key-data: S0VZ\n    username: me\n    password: 'it''s'\n";
    assert_int_equal(load(&access, text, &error), EA_OK);
    assert_string_equal(access.server, "https://h:1/base");
    assert_string_equal(access.ns, "n");
    assert_string_equal(access.server_name, "other");
    assert_string_equal(access.ca_file, "/dir/ca.crt");
    assert_memory_equal(access.ca.p, "CA", 2);
    assert_int_equal(access.ca.n, 2);
    assert_string_equal(access.proxy, "http://p:2");
    assert_string_equal(access.token_file, "/abs/token");
    assert_string_equal(access.cert_file, "/dir/c.crt");
    assert_int_equal(access.key.n, 3);
    assert_string_equal(access.user, "me");
    assert_string_equal(access.password, "it's");
    assert_null(access.token);
    kube_access_fini(&access);
}

static void a_plugin_is_read(void **state)
{
    struct kube_access access;
    struct error error = ERROR_NONE;
    const char *text =
        AROUND CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1beta1,"
                       " command: ./get, args: [a, ''], env: [{name: N, value: v}], provideClusterInfo: "
                       "true, interactiveMode: IfAvailable}}}]\n";
    assert_int_equal(load(&access, text, &error), EA_OK);
    assert_string_equal(access.plugin->words[0], "/dir/./get");
    assert_string_equal(access.plugin->words[1], "a");
    assert_string_equal(access.plugin->words[2], "");
    assert_null(access.plugin->words[3]);
    assert_string_equal(access.plugin->env[0], "N=v");
    assert_true(access.plugin->cluster_info);
    kube_access_fini(&access);
}

static void of_two_files_the_first_value_wins(void **state)
{
    struct kube_access access = {.server = NULL};
    struct error error = ERROR_NONE;
    struct kubeconfig_text texts[2] = {
        {STR("current-context: c\nclusters: [{name: k, cluster: {server: 'https://first', "
             "certificate-authority: x}}]\n"),
         "/one", "one"},
        {STR("current-context: other\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
             "clusters: [{name: k, cluster: {server: 'https://second'}}]\nusers: [{name: u, user: "
             "{client-key: k}}]\n"),
         "/two", "two"},
    };
    assert_int_equal(kubeconfig_read(&access, texts, 2, &error), EA_OK);
    assert_string_equal(access.server, "https://first");
    assert_string_equal(access.ca_file, "/one/x");
    assert_string_equal(access.key_file, "/two/k"); /* relative to the file that says so */
    kube_access_fini(&access);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *words;
    } rows[] = {
        {"", "there is no current-context"},
        {"a: [", "config:2: "},
        {"current-context: z\n", "has no context: \"z\""},
        {AROUND, "has no cluster: \"k\""},
        {AROUND CLUSTER, "has no user: \"u\""},
        {AROUND "clusters: [{name: k, cluster: {a: b}}]\n", "the cluster has no server"},
        {AROUND "clusters: [{name: k, cluster: {server: 'ftp://h'}}]\n", "is no URL"},
        {AROUND "clusters: [{name: k, cluster: {server: 'https://h\\\"x'}}]\n", "is no URL"},
        {AROUND "clusters: [{name: k, cluster: {server: \"https://h\\nx\"}}]\n",
         "server must be a line of text"},
        {AROUND "clusters: [{name: k, cluster: {server: {a: b}}}]\n", "server must be a line of text"},
        {AROUND "clusters: [{name: k, cluster: {server: 'https://h', insecure-skip-tls-verify: maybe}}]\n",
         "true or false"},
        {AROUND "clusters: [{name: k, cluster: {server: 'https://h', certificate-authority-data: '%'}}]\n",
         "is not base64"},
        {AROUND CLUSTER "users: [{name: u, user: {token: \"a\\r\\nX: y\"}}]\n",
         "token must be a line of text"},
        {AROUND CLUSTER "users: [{name: u, user: {auth-provider: {name: gcp}}}]\n",
         "auth-provider is not supported"},
        {AROUND CLUSTER "users: [{name: u, user: {exec: {command: x}}}]\n", "exec.apiVersion must be"},
        {AROUND CLUSTER "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1}}}]\n",
         "no command"},
        {AROUND CLUSTER
         "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x,"
         " interactiveMode: Always}}}]\n",
         "wants a person at a terminal"},
        {AROUND CLUSTER
         "users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: x,"
         " interactiveMode: Perhaps}}}]\n",
         "must be Never, IfAvailable or Always"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct kube_access access;
        struct error error = ERROR_NONE;
        assert_int_equal(load(&access, rows[i].text, &error), EA_CONFIG);
        if (strstr(error.text, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, error.text);
        }
        kube_access_fini(&access);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_of_the_current_context_is_read),
        cmocka_unit_test(a_plugin_is_read),
        cmocka_unit_test(of_two_files_the_first_value_wins),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
