/* Tokens, plugins and passwords against the test API server, which knows the token "good" only. */
#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "kube/internal.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/default/leases"

static int set_up(void **state)
{
    static const char *const arguments[] = {"--token", "good=bob", NULL};
    struct rig *rig = mem_zalloc(sizeof *rig);
    rig_init(rig, arguments);
    *state = rig;
    return 0;
}

static void use(struct rig *rig, const char *user)
{
    char text[1024];
    (void)snprintf(
        text, sizeof text,
        "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'http://127.0.0.1:%u'}}]\nusers: [{name: u, user: {%s}}]\n",
        rig->port, user);
    rig_reopen(rig, text);
}

static void a_wrong_token_is_told(void **state)
{
    struct rig *rig = *state;
    use(rig, "token: bad");
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_UNAUTHENTICATED);
    assert_string_equal(answer.error, "get things: Unauthorized");
}

static void a_token_file_is_read_again_when_it_changes(void **state)
{
    struct rig *rig = *state;
    (void)rig_file(rig, "token", "bad\n");
    use(rig, "tokenFile: token");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_UNAUTHENTICATED);
    (void)rig_file(rig, "token", "good\n");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    (void)rig_file(rig, "token", ""); /* being replaced just now: the old one stays */
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
}

#define SCRIPT_HEAD "#!/bin/sh\necho x >>\"$0.runs\"\n"

static void plugin(struct rig *rig, const char *script)
{
    assert_int_equal(chmod(rig_file(rig, "plugin", script), 0700), 0);
    use(rig, "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin}");
}

static unsigned runs(struct rig *rig)
{
    char path[128];
    struct stat stat_of;
    (void)snprintf(path, sizeof path, "%s/plugin.runs", rig->directory);
    return stat(path, &stat_of) == 0 ? (unsigned)stat_of.st_size / 2 : 0;
}

static void a_plugin_is_asked_once_for_all(void **state)
{
    struct rig *rig = *state;
    plugin(rig, SCRIPT_HEAD
           "case \"$KUBERNETES_EXEC_INFO\" in *'\"interactive\":false'*) ;; *) exit 9;; esac\n"
           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
           "\"status\":{\"token\":\"good\"}}'\n");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(runs(rig), 1);
}

static void a_refused_credential_is_asked_for_again_once(void **state)
{
    struct rig *rig = *state;
    plugin(rig, SCRIPT_HEAD
           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
           "\"status\":{\"token\":\"bad\"}}'\n");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_UNAUTHENTICATED);
    assert_int_equal(runs(rig), 2);
}

static void a_plugin_that_fails_is_quoted(void **state)
{
    struct rig *rig = *state;
    plugin(rig, "#!/bin/sh\necho 'please log in' >&2\nexit 3\n");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_UNAUTHENTICATED);
    assert_non_null(strstr(answer.error, "the credential plugin ended with exit code 3: please log in"));
}

static void a_plugin_that_talks_without_end_is_stopped(void **state)
{
    struct rig *rig = *state;
    plugin(rig, "#!/bin/sh\nexec yes\n");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_non_null(strstr(answer.error, "the credential plugin says too much"));
}

static void a_plugin_that_is_not_there_is_named(void **state)
{
    struct rig *rig = *state;
    use(rig, "exec: {apiVersion: client.authentication.k8s.io/v1, command: /no/such/plugin}");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_non_null(strstr(answer.error, "cannot run the credential plugin /no/such/plugin: "));
}

static void a_plugin_is_told_the_cluster_and_its_variables(void **state)
{
    struct rig *rig = *state;
    static const char script[] =
        SCRIPT_HEAD "[ \"$WORD\" = over ] && [ \"$1\" = first ] || exit 8\n"
                    "case \"$KUBERNETES_EXEC_INFO\" in *'\"cluster\":{\"server\":\"http://127.0.0.1:'*) ;; "
                    "*) exit 9;; esac\n"
                    "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
                    "\"status\":{\"token\":\"good\"}}'\n";
    assert_int_equal(chmod(rig_file(rig, "plugin", script), 0700), 0);
    use(rig, "exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin, args: [first], "
             "provideClusterInfo: "
             "true, env: [{name: WORD, value: over}], interactiveMode: Never}");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    if (answer.err != EA_OK) {
        fail_msg("%s", answer.error);
    }
}

static void a_token_that_has_expired_is_asked_for_again(void **state)
{
    struct rig *rig = *state;
    plugin(rig, SCRIPT_HEAD
           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
           "\"status\":{\"token\":\"good\",\"expirationTimestamp\":\"2999-01-01T00:00:00Z\"}}'\n");
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(runs(rig), 1);
    rig->kube->credential.good_until = loop_now(rig->loop); /* the year has come */
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(runs(rig), 2);
}

static void an_answer_that_has_expired_already_is_none(void **state)
{
    struct rig *rig = *state;
    plugin(rig, SCRIPT_HEAD
           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
           "\"status\":{\"token\":\"good\",\"expirationTimestamp\":\"2001-01-01T00:00:00Z\"}}'\n");
    rig->once = true;
    struct rig_answer answer = rig_ask(rig, KUBE_GET, LEASES, NULL);
    assert_int_equal(answer.err, EA_UNAUTHENTICATED);
    assert_non_null(strstr(answer.error, "has expired"));
}

static void a_slow_plugin_holds_up_nobody_past_the_deadline_and_serves_the_next(void **state)
{
    struct rig *rig = *state;
    plugin(rig, SCRIPT_HEAD
           "while [ ! -e \"$0.go\" ]; do sleep 0.02; done\n"
           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\","
           "\"status\":{\"token\":\"good\"}}'\n");
    rig->deadline_ms = 50;
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_TIMEOUT);
    (void)rig_file(rig, "plugin.go", "");
    rig->deadline_ms = 5000;
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
    assert_int_equal(runs(rig), 1);
}

static void never(struct kube_request *request)
{
    fail_msg("answered: %s", request->error.text);
}

static void a_client_may_be_closed_while_its_plugin_runs(void **state)
{
    struct rig *rig = *state;
    plugin(rig, "#!/bin/sh\nexec sleep 60\n");
    struct kube_request request = {
        .what = "get things", .path = STR(LEASES), .deadline = MONO_NEVER, .done = never};
    kube_send(rig->kube, &request);
    (void)loop_step(rig->loop);
    (void)loop_step(rig->loop);
    kube_cancel(rig->kube, &request);
    rig_reopen(rig, NULL);
    assert_int_equal(rig_ask(rig, KUBE_GET, LEASES, NULL).err, EA_OK);
}

#define WITH_TOKEN(f) cmocka_unit_test_setup_teardown(f, set_up, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TOKEN(a_wrong_token_is_told),
        WITH_TOKEN(a_token_file_is_read_again_when_it_changes),
        WITH_TOKEN(a_plugin_is_asked_once_for_all),
        WITH_TOKEN(a_refused_credential_is_asked_for_again_once),
        WITH_TOKEN(a_plugin_is_told_the_cluster_and_its_variables),
        WITH_TOKEN(a_token_that_has_expired_is_asked_for_again),
        WITH_TOKEN(an_answer_that_has_expired_already_is_none),
        WITH_TOKEN(a_slow_plugin_holds_up_nobody_past_the_deadline_and_serves_the_next),
        WITH_TOKEN(a_plugin_that_fails_is_quoted),
        WITH_TOKEN(a_plugin_that_talks_without_end_is_stopped),
        WITH_TOKEN(a_plugin_that_is_not_there_is_named),
        WITH_TOKEN(a_client_may_be_closed_while_its_plugin_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
