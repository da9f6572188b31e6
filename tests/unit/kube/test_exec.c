/* Credential plugins as children, on a clock of the test's. What is made of their answers is tested in test_credential.c. */
#include "json.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/internal.h"
#include "net/loop.h"

#define SHELL   "/bin/sh"
#define REAL_MS INT64_C(20000)

static struct {
    struct loop *loop;
    struct clock_fake clock;
    bool told;
    enum err err;
    char output[8192];
    size_t output_bytes;
    char error[240];
} scene;

/* What credential.c does with it. */
void kube_credential_exec_done(struct kube *kube, enum err err, struct str output, const struct error *error)
{
    assert_false(scene.told);
    scene.told = true;
    scene.err = err;
    scene.output_bytes = output.n;
    size_t n = output.n < sizeof scene.output - 1 ? output.n : sizeof scene.output - 1;
    memcpy(scene.output, output.n > 0 ? output.p : "", n);
    scene.output[n] = '\0';
    (void)snprintf(scene.error, sizeof scene.error, "%s", error->text);
}

/* A client that has a plugin and nothing else. */
struct client {
    struct kube kube;
    struct kube_plugin plugin;
    char *env[8];
};

static void client_init(struct client *c, const char *script)
{
    *c = (struct client){.kube = {.loop = scene.loop}};
    c->plugin.api_version = (char *)"client.authentication.k8s.io/v1";
    c->plugin.words[0] = (char *)SHELL;
    c->plugin.words[1] = (char *)"-c";
    c->plugin.words[2] = (char *)script;
    c->env[0] = (char *)"PATH=/usr/bin:/bin";
    c->kube.env = c->env;
    c->kube.access.plugin = &c->plugin;
    scene.told = false;
}

/* Steps the loop until something is told: by a child, which is real. */
static void until_told(void)
{
    struct pollfd events = {.fd = uv_backend_fd(loop_uv(scene.loop)), .events = POLLIN};
    while (!scene.told) {
        if (!loop_step(scene.loop)) {
            assert_int_not_equal(poll(&events, 1, REAL_MS), 0); /* or interrupted: by the end of a child */
        }
    }
}

static void run(struct client *c)
{
    assert_non_null(kube_exec_start(&c->kube));
    assert_false(scene.told); /* never inside */
    until_told();
}

static void what_a_plugin_says_and_how_it_ends_is_told(void **state)
{
    static const struct {
        const char *script;
        enum err err;
        const char *output; /* NULL: does not matter */
        const char *error;  /* begins so */
    } rows[] = {
        {"printf hello", EA_OK, "hello", ""},
        {"true", EA_OK, "", ""},
        {"printf a; sleep 0.01; printf b; echo chatter >&2", EA_OK, "ab", ""},
        {"exec >&-; exec 2>&-; exit 0", EA_OK, "", ""},
        {"cat", EA_OK, "", ""}, /* its standard input is at its end */
        {"printf half; exit 3", EA_UNAUTHENTICATED, NULL, "the credential plugin ended with exit code 3: "},
        {"echo '  log in first  ' >&2; exit 1", EA_UNAUTHENTICATED, NULL,
         "the credential plugin ended with exit code 1: log in first"},
        {"printf 'a\\nb\\033[31m' >&2; exit 1", EA_UNAUTHENTICATED, NULL,
         "the credential plugin ended with exit code 1: a\\nb\\x1b[31m"},
        {"kill -9 $$", EA_UNAUTHENTICATED, NULL, "the credential plugin ended with signal 9: "},
        {"exec yes", EA_UNAUTHENTICATED, NULL, "the credential plugin says too much"},
        {"exec yes >&2", EA_UNAUTHENTICATED, NULL, "the credential plugin says too much"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct client c;
        client_init(&c, rows[i].script);
        run(&c);
        if (scene.err != rows[i].err || strncmp(scene.error, rows[i].error, strlen(rows[i].error)) != 0 ||
            (rows[i].output != NULL && strcmp(scene.output, rows[i].output) != 0)) {
            fail_msg("%s: %d, \"%s\", \"%s\"", rows[i].script, (int)scene.err, scene.output, scene.error);
        }
    }
}

static void a_long_complaint_is_cut(void **state)
{
    struct client c;
    client_init(&c, "head -c 5000 /dev/zero | tr '\\0' x >&2; exit 1");
    run(&c);
    assert_in_range(strlen(scene.error), 100, sizeof scene.error - 1);
}

static void a_megabyte_is_taken_and_no_byte_more(void **state)
{
    struct client c;
    client_init(&c, "head -c 1048576 /dev/zero");
    run(&c);
    assert_int_equal(scene.err, EA_OK);
    assert_int_equal(scene.output_bytes, 1048576);
    client_init(&c, "head -c 1048577 /dev/zero");
    run(&c);
    assert_int_equal(scene.err, EA_UNAUTHENTICATED);
}

static void a_plugin_that_cannot_be_run_is_named(void **state)
{
    static const struct {
        const char *path;
        const char *error;
    } rows[] = {
        {"/no/such/plugin", "cannot run the credential plugin /no/such/plugin: "},
        {"/", "cannot run the credential plugin /: "},
        {"no\nsuch", "cannot run the credential plugin no\\nsuch: "},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct client c;
        client_init(&c, "");
        c.plugin.words[0] = (char *)rows[i].path;
        run(&c);
        assert_int_equal(scene.err, EA_UNAUTHENTICATED);
        if (strncmp(scene.error, rows[i].error, strlen(rows[i].error)) != 0) {
            fail_msg("%s", scene.error);
        }
    }
}

static void a_plugin_that_says_nothing_for_thirty_seconds_is_killed(void **state)
{
    /* The second has closed both ends: it is not over before it has ended. */
    static const char *const scripts[] = {"exec sleep 600", "exec sleep 600 >&- 2>&-"};
    for (size_t i = 0; i < ARRAY_LENGTH(scripts); i++) {
        struct client c;
        client_init(&c, scripts[i]);
        assert_non_null(kube_exec_start(&c.kube));
        clock_fake_advance_us(&scene.clock, 29900000);
        (void)loop_step(scene.loop);
        assert_false(scene.told);
        clock_fake_advance_us(&scene.clock, 200000);
        until_told();
        assert_int_equal(scene.err, EA_UNAUTHENTICATED);
        assert_string_equal(scene.error, "the credential plugin did not answer in time");
    }
}

static void who_is_not_wanted_any_more_tells_nothing(void **state)
{
    static const char *const commands[][2] = {
        {SHELL, "exec sleep 600"}, {SHELL, "exit 0"}, {"/no/such/plugin", ""}};
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++) {
        for (unsigned steps = 0; steps < 3; steps++) {
            struct client c;
            client_init(&c, commands[i][1]);
            c.plugin.words[0] = (char *)commands[i][0];
            struct kube_exec *exec = kube_exec_start(&c.kube);
            for (unsigned step = 0; step < steps && !scene.told; step++) {
                (void)loop_step(scene.loop);
            }
            bool before = scene.told; /* it was quick: there is nothing left to cancel */
            if (!before) {
                kube_exec_cancel(exec);
            }
            (void)loop_step(scene.loop);
            (void)loop_step(scene.loop);
            assert_true(scene.told == before);
            assert_true(steps > 0 || !before);
        }
    }
}

/* --- what a plugin is told --- */

static void its_variables_win_over_ours(void **state)
{
    struct client c;
    client_init(&c, "printf %s \"$ONE $TWO $THREE $PATH\"");
    c.plugin.env[0] = (char *)"TWO=plugin";
    c.plugin.env[1] = (char *)"THREE=";
    c.env[1] = (char *)"ONE=ours";
    c.env[2] = (char *)"TWO=ours";
    c.env[3] = (char *)"THREE=ours";
    c.env[4] = (char *)"KUBERNETES_EXEC_INFO=somebody else's";
    run(&c);
    assert_string_equal(scene.output, "ours plugin  /usr/bin:/bin");
}

static void the_cluster_is_told_if_it_wants_to_know(void **state)
{
    static const struct {
        bool wanted;
        bool insecure;
        const char *ca; /* data */
        const char *ca_file;
        const char *proxy;
        const char *name;
        const char *info;
    } rows[] = {
        {false, true, "CA", NULL, "http://p", "n", "{'interactive':false}"},
        {true, false, NULL, NULL, NULL, NULL, "{'interactive':false,'cluster':{'server':'https://a\\\"b'}}"},
        {true, true, NULL, NULL, "http://p:1", "n",
         "{'interactive':false,'cluster':{'server':'https://a\\\"b','tls-server-name':'n','proxy-url':'http:/"
         "/p:1',"
         "'insecure-skip-tls-verify':true}}"},
        {true, false, "CA", "/no/such/file", NULL, NULL,
         "{'interactive':false,'cluster':{'server':'https://a\\\"b','certificate-authority-data':'Q0E='}}"},
        {true, false, NULL, "/no/such/file", NULL, NULL,
         "{'interactive':false,'cluster':{'server':'https://a\\\"b'}}"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct client c;
        client_init(&c, "printf %s \"$KUBERNETES_EXEC_INFO\"");
        c.plugin.cluster_info = rows[i].wanted;
        c.kube.access.server = (char *)"https://a\"b";
        c.kube.access.insecure = rows[i].insecure;
        c.kube.access.ca_file = (char *)rows[i].ca_file;
        c.kube.access.proxy = (char *)rows[i].proxy;
        c.kube.access.server_name = (char *)rows[i].name;
        if (rows[i].ca != NULL) {
            buf_add_str(&c.kube.access.ca, str_of(rows[i].ca));
        }
        run(&c);
        buf_fini(&c.kube.access.ca);
        json_t *info = json_loads(scene.output, JSON_REJECT_DUPLICATES, NULL);
        json_t *wanted = test_json(rows[i].info);
        assert_non_null(info);
        assert_string_equal(json_string_value(json_object_get(info, "kind")), "ExecCredential");
        assert_string_equal(json_string_value(json_object_get(info, "apiVersion")), c.plugin.api_version);
        if (!json_equal(json_object_get(info, "spec"), wanted)) {
            fail_msg("row %zu: %s", i, scene.output);
        }
        json_decref(info);
        json_decref(wanted);
    }
}

static int set_up(void **state)
{
    log_set_level(LOG_FATAL);
    clock_fake_init(&scene.clock);
    return loop_new(&scene.loop, &(struct loop_options){.clock = &scene.clock.clock, .seed = 1}, NULL) ==
                   EA_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    loop_free(scene.loop);
    return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_a_plugin_says_and_how_it_ends_is_told),
        TEST(a_long_complaint_is_cut),
        TEST(a_megabyte_is_taken_and_no_byte_more),
        TEST(a_plugin_that_cannot_be_run_is_named),
        TEST(a_plugin_that_says_nothing_for_thirty_seconds_is_killed),
        TEST(who_is_not_wanted_any_more_tells_nothing),
        TEST(its_variables_win_over_ours),
        TEST(the_cluster_is_told_if_it_wants_to_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
