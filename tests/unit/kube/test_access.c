#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kube/access.h"

#define CONFIG(server)                                                                                 \
    "current-context: c\ncontexts: [{name: c, context: {cluster: k}}]\nclusters: [{name: k, cluster: " \
    "{server: '" server "'}}]\n"

static char directory[64];

static int make_directory(void **state)
{
    (void)snprintf(directory, sizeof directory, "/tmp/election-kube-XXXXXX");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
    return remove(path);
}

static int remove_directory(void **state)
{
    return nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *name)
{
    static char path[2][128];
    static unsigned turn;
    char *out = path[turn++ % 2];
    (void)snprintf(out, sizeof path[0], "%s/%s", directory, name);
    return out;
}

static void put(const char *name, const char *text, size_t n)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

/* "NAME=" and a path in the directory. */
static const char *variable(const char *name, const char *file)
{
    static char line[3][160];
    static unsigned turn;
    char *out = line[turn++ % 3];
    (void)snprintf(out, sizeof line[0], "%s=%s", name, path_of(file));
    return out;
}

static void put_service_account(void)
{
    assert_int_equal(mkdir(path_of("account"), 0700), 0);
    put_text("account/token", "secret\n");
    put_text("account/ca.crt", "CA");
    put_text("account/namespace", "web\n");
}

/* --- in a pod --- */

static void a_pod_finds_its_service_account(void **state)
{
    static const struct {
        const char *host;
        const char *server;
    } rows[] = {{"KUBERNETES_SERVICE_HOST=10.0.0.1", "https://10.0.0.1:6443"},
                {"KUBERNETES_SERVICE_HOST=fd00::1", "https://[fd00::1]:6443"},
                {"KUBERNETES_SERVICE_HOST=kubernetes.default.svc", "https://kubernetes.default.svc:6443"}};
    put_service_account();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *const env[] = {rows[i].host, "KUBERNETES_SERVICE_PORT=6443",
                                   variable(KUBE_SERVICE_ACCOUNT_VARIABLE, "account"), NULL};
        struct kube_access access;
        struct error error = ERROR_NONE;
        assert_int_equal(
            kube_access_load(&access, &(struct kube_options){.env = env, .in_cluster = true}, &error), EA_OK);
        assert_string_equal(access.server, rows[i].server);
        assert_string_equal(access.ns, "web");
        assert_string_equal(access.token_file, path_of("account/token"));
        assert_string_equal(access.ca_file, path_of("account/ca.crt"));
        assert_false(access.insecure);
        kube_access_fini(&access);
    }
}

static void what_is_wrong_in_a_pod_is_named(void **state)
{
    static const struct {
        const char *host;
        const char *port;
        const char *file; /* that is broken; NULL: none */
        const char *text; /* of it; NULL: it is not there */
        enum err err;
        const char *words;
    } rows[] = {
        {"X=", "X=", NULL, NULL, EA_NOT_ENABLED, "KUBERNETES_SERVICE_HOST is not set"},
        {"KUBERNETES_SERVICE_HOST=", "X=", NULL, NULL, EA_NOT_ENABLED, "is not set"},
        {"KUBERNETES_SERVICE_HOST=h", "X=", NULL, NULL, EA_CONFIG, "name no address"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=0", NULL, NULL, EA_CONFIG, "name no address"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=tcp://x", NULL, NULL, EA_CONFIG,
         "name no address"},
        {"KUBERNETES_SERVICE_HOST=h/x@y", "KUBERNETES_SERVICE_PORT=1", NULL, NULL, EA_CONFIG,
         "name no address"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=1", "account/token", NULL, EA_NOT_ENABLED,
         "the pod has no service account"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=1", "account/namespace", NULL, EA_NOT_ENABLED,
         "the pod has no service account"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=1", "account/namespace", "a b\n", EA_CONFIG,
         "holds no namespace"},
        {"KUBERNETES_SERVICE_HOST=h", "KUBERNETES_SERVICE_PORT=1", "account/namespace", "", EA_CONFIG,
         "holds no namespace"},
    };
    put_service_account();
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const char *const env[] = {rows[i].host, rows[i].port,
                                   variable(KUBE_SERVICE_ACCOUNT_VARIABLE, "account"), NULL};
        struct kube_options options = {.env = env, .in_cluster = true, .no_kubeconfig = true};
        struct kube_access access;
        struct error error = ERROR_NONE;
        put_text("account/token", "secret\n");
        put_text("account/namespace", "web\n");
        if (rows[i].file != NULL && rows[i].text != NULL) {
            put_text(rows[i].file, rows[i].text);
        } else if (rows[i].file != NULL) {
            assert_int_equal(remove(path_of(rows[i].file)), 0);
        }
        enum err err = kube_access_load(&access, &options, &error);
        if (err != rows[i].err || error.code != rows[i].err || strstr(error.text, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, error.text);
        }
        kube_access_fini(&access);
    }
}

static void without_a_service_account_the_kubeconfig_counts(void **state)
{
    const char *const env[] = {variable("KUBECONFIG", "config"), NULL};
    struct kube_access access;
    struct error error = ERROR_NONE;
    put_text("config", CONFIG("https://outside"));
    assert_int_equal(
        kube_access_load(&access, &(struct kube_options){.env = env, .in_cluster = true}, &error), EA_OK);
    assert_string_equal(access.server, "https://outside");
    kube_access_fini(&access);
    struct kube_options alone = {.env = env, .in_cluster = true, .no_kubeconfig = true};
    assert_int_equal(kube_access_load(&access, &alone, &error), EA_NOT_ENABLED);
    kube_access_fini(&access);
}

/* --- kubeconfig files --- */

static void files_are_looked_for_in_their_order(void **state)
{
    char list[320];
    struct kube_access access;
    struct error error = ERROR_NONE;
    assert_int_equal(mkdir(path_of(".kube"), 0700), 0);
    put_text(".kube/config", CONFIG("https://home"));
    put_text("one", CONFIG("https://one"));
    put_text("two", CONFIG("https://two"));
    (void)snprintf(list, sizeof list, "KUBECONFIG=:%s/missing:%s/two:%s/one", directory, directory,
                   directory);
    const char *home = variable("HOME", ".");
    const char *const both[] = {list, home, NULL};
    const char *const only_home[] = {"KUBECONFIG=", home, NULL};
    const struct {
        struct kube_options options;
        const char *server;
    } rows[] = {{{.env = both, .kubeconfig = path_of("one")}, "https://one"},
                {{.env = both}, "https://two"},
                {{.env = only_home}, "https://home"}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(kube_access_load(&access, &rows[i].options, &error), EA_OK);
        assert_string_equal(access.server, rows[i].server);
        kube_access_fini(&access);
    }
}

static void no_kubeconfig_says_where_it_was_looked_for(void **state)
{
    static const char *const nothing[] = {NULL};
    const char *const env[] = {variable("KUBECONFIG", "missing"), NULL};
    const struct {
        struct kube_options options;
        enum err err;
        const char *words;
    } rows[] = {
        {{.env = nothing}, EA_NOT_ENABLED, "neither KUBECONFIG nor HOME is set"},
        {{.env = env}, EA_NOT_ENABLED, "missing"},
        {{.env = nothing, .kubeconfig = "/no/such/file"}, EA_NOT_ENABLED, "/no/such/file"},
        {{.env = nothing, .in_cluster = true}, EA_NOT_ENABLED, "KUBERNETES_SERVICE_HOST is not set"},
        {{.env = nothing, .kubeconfig = "/tmp"}, EA_IO, "no ordinary file"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct kube_access access;
        struct error error = ERROR_NONE;
        enum err err = kube_access_load(&access, &rows[i].options, &error);
        if (err != rows[i].err || strstr(error.text, rows[i].words) == NULL) {
            fail_msg("row %zu: %s", i, error.text);
        }
        kube_access_fini(&access);
    }
}

static void more_files_than_a_few_are_refused(void **state)
{
    struct buf list = BUF_EMPTY;
    struct kube_access access;
    struct error error = ERROR_NONE;
    put_text("one", CONFIG("https://one"));
    buf_format(&list, "KUBECONFIG=");
    for (unsigned i = 0; i <= KUBE_KUBECONFIGS_MAX; i++) {
        buf_format(&list, "%s:", path_of("one"));
    }
    buf_add(&list, "", 1);
    const char *const env[] = {list.p, NULL};
    assert_int_equal(kube_access_load(&access, &(struct kube_options){.env = env}, &error), EA_CONFIG);
    assert_non_null(strstr(error.text, "more than 8 files"));
    kube_access_fini(&access);
    buf_fini(&list);
}

/* --- helpers --- */

static void a_file_is_read_up_to_a_bound(void **state)
{
    static const struct {
        size_t most;
        enum err err;
    } rows[] = {{5000, EA_OK}, {4999, EA_TOO_LARGE}};
    char text[5000];
    memset(text, 'x', sizeof text);
    put("file", text, sizeof text);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf out = BUF_EMPTY;
        struct error error = ERROR_NONE;
        assert_int_equal(kube_read_file(path_of("file"), rows[i].most, &out, &error), rows[i].err);
        assert_int_equal(rows[i].err == EA_OK ? out.n : sizeof text, sizeof text);
        buf_fini(&out);
    }
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0); /* nobody writes: it must not be waited for */
    struct buf out = BUF_EMPTY;
    assert_int_equal(kube_read_file(path_of("pipe"), 10, &out, NULL), EA_IO);
    assert_int_equal(kube_read_file(path_of("none"), 10, &out, NULL), EA_NOT_FOUND);
    assert_int_equal(kube_read_file(path_of("file/none"), 10, &out, NULL), EA_NOT_FOUND);
    buf_fini(&out);
}

static void base64_is_read_strictly(void **state)
{
    static const struct {
        const char *text;
        const char *bytes; /* NULL: refused */
    } rows[] = {
        {"QQ==", "A"},   {"QUI=", "AB"}, {"QUJD", "ABC"}, {" Q U\nJD\r\n\t", "ABC"},
        {"", NULL},      {"=", NULL},    {"====", NULL},  {"QUJ", NULL},
        {"QUJD=", NULL}, {"QU%D", NULL}, {"Q=JD", NULL},  {"Q===", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf out = BUF_EMPTY;
        bool ok = kube_base64(str_of(rows[i].text), &out);
        if (ok != (rows[i].bytes != NULL) || (ok && !str_eq(buf_str(&out), str_of(rows[i].bytes)))) {
            fail_msg("\"%s\"", rows[i].text);
        }
        buf_fini(&out);
    }
}

static void a_variable_is_found_by_its_whole_name(void **state)
{
    static const char *const env[] = {"NAMES=1", "NAME=2", "NAME=3", "EMPTY=", NULL};
    struct kube_options options = {.env = env};
    assert_string_equal(kube_env(&options, "NAME"), "2");
    assert_string_equal(kube_env(&options, "EMPTY"), "");
    assert_null(kube_env(&options, "NAM"));
}

#define IN_DIRECTORY(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_pod_finds_its_service_account),
        IN_DIRECTORY(what_is_wrong_in_a_pod_is_named),
        IN_DIRECTORY(without_a_service_account_the_kubeconfig_counts),
        IN_DIRECTORY(files_are_looked_for_in_their_order),
        IN_DIRECTORY(no_kubeconfig_says_where_it_was_looked_for),
        IN_DIRECTORY(more_files_than_a_few_are_refused),
        IN_DIRECTORY(a_file_is_read_up_to_a_bound),
        cmocka_unit_test(base64_is_read_strictly),
        cmocka_unit_test(a_variable_is_found_by_its_whole_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
