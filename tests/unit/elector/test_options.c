#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "elector/options.h"

static struct options options;
static struct error error;
static enum options_action action;

/* Words after the program's name, ended by NULL. */
static enum err read_words(char *const *env, ...)
{
    char *argv[16] = {(char[]){"elector"}};
    int argc = 1;
    va_list words;
    va_start(words, env);
    for (char *word = va_arg(words, char *); word != NULL; word = va_arg(words, char *)) {
        argv[argc++] = word;
    }
    va_end(words);
    error = ERROR_NONE;
    return options_read(&options, argc, argv, env, &action, &error);
}

#define REQUIRED "--election=e", "--election-namespace=ns", "--pod-name=p"
#define W(text)  ((char[]){text})

static char *no_env[] = {NULL};

static void what_is_not_given_has_its_default(void **state)
{
    assert_int_equal(read_words(no_env, REQUIRED, NULL), EA_OK);
    assert_int_equal(options.strategy, CONTEST_OWNER);
    assert_int_equal(options.lease_duration, 15000000);
    assert_string_equal(options.http.host, "0.0.0.0");
    assert_int_equal(options.http.port, 6060);
    assert_int_equal(options.metrics_address.port, 9090);
    assert_int_equal(options.probe_address.port, 8080);
    assert_int_equal(options.log_format, LOG_FORMAT_TEXT);
    assert_int_equal(options.log_level, LOG_INFO);
}

static void variables_work_and_flags_win(void **state)
{
    char *env[] = {W("ELECTOR_ELECTION=from-env"),
                   W("ELECTOR_ELECTION_NAMESPACE=ns"),
                   W("ELECTOR_HTTP=[::1]:7000"),
                   W("ELECTOR_STRATEGY=renew"),
                   W("ELECTOR_LOG_FORMAT=json"),
                   W("POD_NAME=pod-1"),
                   NULL};
    assert_int_equal(read_words(env, NULL), EA_OK);
    assert_string_equal(options.election, "from-env");
    assert_string_equal(options.http.host, "::1");
    assert_string_equal(options.pod_name, "pod-1");
    assert_int_equal(options.strategy, CONTEST_RENEW);
    assert_int_equal(read_words(env, "--election", "other", "--pod-name=pod-2", NULL), EA_OK);
    assert_string_equal(options.election, "other");
    assert_string_equal(options.pod_name, "pod-2");
}

static void an_empty_variable_is_not_set(void **state)
{
    char *env[] = {W("ELECTOR_HTTP="), NULL};
    assert_int_equal(read_words(env, REQUIRED, NULL), EA_OK);
    assert_int_equal(options.http.port, 6060);
}

static void without_a_pod_name_the_host_has_one(void **state)
{
    assert_int_equal(read_words(no_env, "--election=e", "--election-namespace=n", NULL), EA_OK);
    assert_true(options.pod_name[0] != '\0');
}

static void help_and_version_need_nothing_else(void **state)
{
    assert_int_equal(read_words(no_env, "--help", NULL), EA_OK);
    assert_int_equal(action, OPTIONS_HELP);
    assert_int_equal(read_words(no_env, "--version", NULL), EA_OK);
    assert_int_equal(action, OPTIONS_VERSION);
    struct buf text = BUF_EMPTY;
    options_help(&text);
    buf_add(&text, "", 1);
    assert_non_null(strstr(text.p, "ELECTOR_ELECTION_NAMESPACE"));
    assert_non_null(strstr(text.p, "(default: 0.0.0.0:6060)"));
    buf_fini(&text);
}

static void refused(const char *word, const char *words)
{
    assert_int_equal(read_words(no_env, REQUIRED, word, NULL), EA_CONFIG);
    if (strstr(error.text, words) == NULL) {
        fail_msg("%s: said \"%s\", want \"%s\"", word, error.text, words);
    }
}

static void what_is_wrong_is_named_with_what_would_be_right(void **state)
{
    refused("--htp=x:1", "did you mean --http?");
    refused("--zzzzzzzz=x", "--help lists them");
    refused("election", "begin with --");
    refused("--http", "wants a value");
    refused("--http=6060", "want host:port");
    refused("--http=:70000", "want host:port");
    refused("--http=::1:80", "brackets");
    refused("--strategy=best", "want owner or renew");
    refused("--log-level=loud", "debug, info");
    refused("--lease-duration=1500ms", "whole seconds");
    refused("--lease-duration=1s", "from 2s");
    refused("--election=Upper", "lower-case letters");
    refused("--election=a..b", "lower-case letters");
    refused("--election=-a", "lower-case letters");
    refused("--election=", "1 to 253");
    refused("--health-file=\n", "control characters");
    refused("--health-file=/x", "belong to --strategy=renew");
    refused("--backend=agent", "--backend=kubernetes");
    refused("--backend=redis", "want kubernetes or agent");
    refused("--agent=a:1", "--backend=agent");
}

static void names_of_kubernetes_are_taken(void **state)
{
    assert_int_equal(read_words(no_env, REQUIRED, "--election=my-app--x.v1.0", NULL), EA_OK);
    assert_string_equal(options.election, "my-app--x.v1.0");
}

static void a_health_url_is_plain_http(void **state)
{
    assert_int_equal(read_words(no_env, REQUIRED, "--strategy=renew", "--health-url=https://x/", NULL),
                     EA_CONFIG);
    assert_int_equal(read_words(no_env, REQUIRED, "--strategy=renew", "--health-url=http://x/", NULL), EA_OK);
}

static void the_election_and_its_namespace_are_required(void **state)
{
    assert_int_equal(read_words(no_env, "--election=e", NULL), EA_CONFIG);
    assert_non_null(strstr(error.text, "--election-namespace"));
    assert_int_equal(read_words(no_env, "--election-namespace=e", NULL), EA_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(variables_work_and_flags_win),
        cmocka_unit_test(an_empty_variable_is_not_set),
        cmocka_unit_test(without_a_pod_name_the_host_has_one),
        cmocka_unit_test(help_and_version_need_nothing_else),
        cmocka_unit_test(what_is_wrong_is_named_with_what_would_be_right),
        cmocka_unit_test(names_of_kubernetes_are_taken),
        cmocka_unit_test(a_health_url_is_plain_http),
        cmocka_unit_test(the_election_and_its_namespace_are_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
