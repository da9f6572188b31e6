#include "support.h"

#include <string.h>
#include <unistd.h>

#include "config/file.h"

static void defaults_of_production_are_those_of_the_specification(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = NULL);
    const struct config *c = l.config;
    assert_int_equal(l.action, CONFIG_RUN);
    assert_int_equal(c->env, CONFIG_PRODUCTION);
    assert_int_equal(c->log_level, LOG_INFO);
    assert_int_equal(c->log_format, LOG_FORMAT_JSON);
    assert_string_equal(c->name, "election-agent");
    assert_string_equal(c->driver, "embedded");
    assert_int_equal(c->threads, 4);
    assert_int_equal(c->lease_min_term_us, 1000 * 1000);
    assert_int_equal(c->lease_max_term_us, CONFIG_HOUR_US);
    assert_string_equal(c->embedded_path, "/var/lib/election-agent");
    assert_int_equal(c->embedded_sync, CONFIG_SYNC_PROCESS);
    assert_true(c->kube_enable);
    assert_true(c->grpc_enable);
    assert_int_equal(c->grpc_port, 443);
    assert_int_equal(c->grpc_max_connection_idle_us, 30 * CONFIG_SECOND_US);
    assert_int_equal(c->grpc_max_connection_age_us, 300 * CONFIG_SECOND_US);
    assert_int_equal(c->grpc_max_connection_age_grace_us, 30 * CONFIG_SECOND_US);
    assert_true(c->http_enable);
    assert_int_equal(c->http_port, 80);
    assert_string_equal(c->bind, "::");
    assert_true(c->metric_enable);
    assert_int_equal(c->metric_request_duration_buckets.n, 11);
    assert_true(c->metric_request_duration_buckets.seconds[0] == 0.0005);
    assert_true(c->metric_request_duration_buckets.seconds[10] == 1.0);
    assert_int_equal(c->admin_port, CONFIG_NO_PORT);
    assert_int_equal(c->limits_connections, 100000);
    assert_int_equal(c->limits_streams, 1000);
    assert_int_equal(c->limits_rate, 0);
    assert_int_equal(c->shutdown_timeout_us, 20 * CONFIG_SECOND_US);
    assert_null(c->config_file);
    assert_null(c->origin[CONFIG_SETTING_grpc_port]);
    loaded_fini(&l);
}

static void development_needs_no_rights(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_ENV=development"));
    assert_int_equal(l.config->grpc_port, 50051);
    assert_int_equal(l.config->http_port, 8080);
    assert_string_equal(l.config->embedded_path, "./election-agent.db");
    assert_int_equal(l.config->log_format, LOG_FORMAT_TEXT);
    loaded_fini(&l);
    /* Defaults follow `env` wherever it comes from. */
    expect_loaded(&l, .env = LIST("EA_ENV=development", "EA_HTTP_PORT=1"), .flags = LIST("--env=test"));
    assert_int_equal(l.config->grpc_port, 443);
    assert_int_equal(l.config->http_port, 1);
    assert_int_equal(l.config->log_format, LOG_FORMAT_TEXT);
    loaded_fini(&l);
}

static void later_sources_win(void **state)
{
    const char *dotenv = "EA_NAME=dotenv\nEA_BIND=1.1.1.1\nEA_THREADS=1\nEA_GRPC_PORT=1\n";
    const char *const *env = LIST("EA_NAME=environment", "EA_BIND=2.2.2.2", "EA_THREADS=2");
    const char *yaml = "name: file\nbind: 3.3.3.3\n";
    struct loaded l;
    expect_loaded(&l, .dotenv = dotenv, .env = env, .yaml = yaml, .flags = LIST("--name=flag"));
    assert_string_equal(l.config->name, "flag");
    assert_string_equal(l.config->bind, "3.3.3.3");
    assert_int_equal(l.config->threads, 2);
    assert_int_equal(l.config->grpc_port, 1);
    assert_string_equal(l.config->origin[CONFIG_SETTING_name], "--name");
    assert_non_null(strstr(l.config->origin[CONFIG_SETTING_bind], ":2: bind"));
    assert_string_equal(l.config->origin[CONFIG_SETTING_threads], "EA_THREADS");
    assert_non_null(strstr(l.config->origin[CONFIG_SETTING_grpc_port], ":4: EA_GRPC_PORT"));
    loaded_fini(&l);
}

static void the_last_of_equal_flags_wins(void **state)
{
    struct loaded l;
    expect_loaded(&l, .flags = LIST("--name=a", "--name=b"));
    assert_string_equal(l.config->name, "b");
    loaded_fini(&l);
}

static void an_empty_variable_counts_as_not_set(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_NAME=", "EA_GRPC_PORT="), .dotenv = "EA_NAME=a\nEA_HTTP_PORT=\n");
    assert_string_equal(l.config->name, "a");
    assert_int_equal(l.config->grpc_port, 443);
    loaded_fini(&l);
    expect_error("--name: \"\": expected text of 1 to 128 bytes", .flags = LIST("--name="));
}

static void a_key_without_value_in_the_file_changes_nothing(void **state)
{
    struct loaded l;
    expect_loaded(&l, .yaml = "name:\ngrpc:\nhttp: {}\n", .env = LIST("EA_NAME=a"));
    assert_string_equal(l.config->name, "a");
    loaded_fini(&l);
}

static void the_file_takes_maps_dotted_keys_and_lists(void **state)
{
    struct loaded l;
    expect_loaded(&l, .yaml = "grpc:\n  port: 1\n  max_connection_idle: 5s\nhttp.port: 2\n"
                              "metric:\n  request_duration_buckets: [0.1, 2]\n");
    assert_int_equal(l.config->grpc_port, 1);
    assert_int_equal(l.config->grpc_max_connection_idle_us, 5 * CONFIG_SECOND_US);
    assert_int_equal(l.config->http_port, 2);
    assert_int_equal(l.config->metric_request_duration_buckets.n, 2);
    loaded_fini(&l);
    expect_loaded(&l, .yaml = "metric.request_duration_buckets: 0.1, 2\n");
    assert_int_equal(l.config->metric_request_duration_buckets.n, 2);
    loaded_fini(&l);
}

static void a_bad_value_is_named_with_its_source(void **state)
{
    expect_error("EA_GRPC_PORT: \"70000\": expected a port from 0 to 65535",
                 .env = LIST("EA_GRPC_PORT=70000"));
    expect_error("--log_level: \"loud\\n\": expected UTF-8 text without control characters",
                 .flags = LIST("--log-level=loud\n"));
    expect_error("--env: \"staging\": expected production, development or test",
                 .flags = LIST("--env=staging"));
    char long_value[5000] = "--name=";
    memset(long_value + 7, 'x', sizeof long_value - 8);
    expect_error(
        "--name: \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...\": expected at most 4096 bytes",
        .flags = LIST(long_value));
}

/* The files of tests have names like /proc/self/fd/7. */
static void expect_file_error(const char *dotenv, const char *yaml, const char *words)
{
    struct loaded l;
    load(&l, &(const struct load_options){.dotenv = dotenv, .yaml = yaml});
    assert_int_equal(l.e, EA_CONFIG);
    assert_memory_equal(l.error.text, "/proc/self/fd/", 14);
    assert_string_equal(strchr(l.error.text, ':'), words);
    loaded_fini(&l);
}

static void mistakes_in_files_are_named_with_their_line(void **state)
{
    expect_file_error(NULL, "name: a\ngrpc:\n  prot: 1\n",
                      ":3: grpc.prot: unknown key; did you mean grpc.port?");
    expect_file_error(NULL, "gprc: {port: 1}\n", ":1: gprc.port: unknown key; did you mean grpc.port?");
    expect_file_error(NULL, "bogus: {}\n", ":1: bogus: unknown key; --help lists all");
    expect_file_error(NULL, "grpc: 1\n", ":1: grpc: expected a map of settings");
    expect_file_error(NULL, "name: {a: 1}\n", ":1: name.a: unknown key; did you mean name?");
    expect_file_error(NULL, "name: {}\n", ":1: name: expected one value, not a map");
    expect_file_error(NULL, "name: [a]\n", ":1: name: expected one value, not a list");
    expect_file_error(NULL, "name: a\nthreads: 0\n",
                      ":2: threads: \"0\": expected a whole number from 1 to 64");
    expect_file_error(NULL, "config_file: a\n",
                      ":1: config_file: has no place in the file; use EA_CONFIG_FILE or --config_file");
    expect_file_error(NULL, "name: b: c\n", ":1:8: mapping values are not allowed in this context");
    expect_file_error("EA_NAME=a\noops\n", NULL, ":2: no \"=\": a line is NAME=value");
    expect_file_error("EA_THREADS=0\n", NULL, ":1: EA_THREADS: \"0\": expected a whole number from 1 to 64");
}

static void a_value_that_loses_may_be_wrong(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_HTTP_PORT=tcp://10.0.0.1:80"), .flags = LIST("--http.port=8080"));
    assert_int_equal(l.config->http_port, 8080);
    loaded_fini(&l);
}

static void the_file_is_named_by_variable_flag_or_dotenv(void **state)
{
    char path[MEMORY_PATH_BYTES];
    int fd = memory_file("name: a\n", 8, path);
    struct buf variable = BUF_EMPTY;
    buf_format(&variable, "EA_CONFIG_FILE=%s", path);
    buf_add(&variable, "", 1);
    struct loaded l;
    expect_loaded(&l, .env = LIST(variable.p));
    assert_string_equal(l.config->name, "a");
    loaded_fini(&l);
    expect_loaded(&l, .dotenv = variable.p);
    assert_string_equal(l.config->name, "a");
    loaded_fini(&l);
    /* A flag wins here, too. */
    expect_loaded(&l, .env = LIST(variable.p), .yaml = "name: b\n");
    assert_string_equal(l.config->name, "b");
    loaded_fini(&l);
    buf_fini(&variable);
    close(fd);
}

static void a_file_that_is_missing_is_an_error(void **state)
{
    expect_error("EA_CONFIG_FILE: cannot read /does/not/exist: No such file or directory",
                 .env = LIST("EA_CONFIG_FILE=/does/not/exist"));
    expect_error("--config_file: cannot read /: Is a directory", .flags = LIST("--config_file=/"));
}

static void a_missing_dotenv_is_none(void **state)
{
    const struct config_io io = {.dotenv = "/does/not/exist"};
    struct config *config;
    enum config_action action;
    struct error error = ERROR_NONE;
    assert_int_equal(config_load(&config, &io, &action, &error), EA_OK);
    assert_in_range(config->threads, 1, 8);
    config_free(config);
}

static void unknown_variables_are_warned_about(void **state)
{
    struct loaded l;
    expect_loaded(
        &l, .env = LIST("EA_GRPC_PROT=1", "EA_\n=1", "EA_SERVICE_HOST=10.0.0.1", "PATH=/bin", "EA_NAME"),
        .dotenv = "EA_BOGUS=1\nOTHER=1\n", .flags = LIST("--kube.enable=false"));
    assert_true(warned(&l, "unknown variable EA_GRPC_PROT; did you mean EA_GRPC_PORT?\n"));
    assert_true(warned(&l, "unknown variable EA_\\n\n"));
    assert_true(warned(&l, "unknown variable EA_SERVICE_HOST\n"));
    assert_true(warned(&l, ":1: EA_BOGUS\n"));
    assert_false(warned(&l, "PATH"));
    assert_false(warned(&l, "OTHER"));
    loaded_fini(&l);
}

static void names_of_later_versions_have_no_effect(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_DEFAULT_STATE=a", "EA_ZONE_NAME=c"), .yaml = "redis:\n  primary: 1\n",
                  .flags = LIST("--state_cache_ttl=1s"));
    assert_true(warned(&l, "EA_DEFAULT_STATE has no effect in this version\n"));
    assert_true(warned(&l, "EA_ZONE_NAME has no effect in this version\n"));
    assert_true(warned(&l, ":2: redis.primary has no effect in this version\n"));
    assert_true(warned(&l, "--state_cache_ttl has no effect in this version\n"));
    loaded_fini(&l);
}

static void protection_that_is_not_there_is_not_pretended(void **state)
{
    expect_error("EA_TLS_CERT: this version has no TLS and no authentication; it does not run as if it had",
                 .env = LIST("EA_TLS_CERT=/a"));
    expect_error(
        "--auth.tokens_file: this version has no TLS and no authentication; it does not run as if it had",
        .flags = LIST("--auth.tokens_file=/a"));
    expect_file_error(
        "EA_TLS_KEY=/a", NULL,
        ":1: EA_TLS_KEY: this version has no TLS and no authentication; it does not run as if it had");
}

static void help_and_version_look_at_flags_alone(void **state)
{
    struct loaded l;
    load(&l, &(const struct load_options){.env = LIST("EA_GRPC_PORT=x"), .flags = LIST("--help")});
    assert_int_equal(l.e, EA_OK);
    assert_int_equal(l.action, CONFIG_HELP);
    assert_null(l.config);
    loaded_fini(&l);
    expect_error("EA_GRPC_PORT: \"x\": expected a port from 0 to 65535", .env = LIST("EA_GRPC_PORT=x"),
                 .flags = LIST("--check-config"));
}

static void a_file_over_the_bound_is_refused(void **state)
{
    struct buf text = BUF_EMPTY;
    memset(buf_reserve(&text, CONFIG_FILE_BYTES_MAX + 1), '#', CONFIG_FILE_BYTES_MAX + 1);
    struct loaded l;
    load(&l, &(const struct load_options){.yaml = text.p, .yaml_bytes = CONFIG_FILE_BYTES_MAX + 1});
    assert_int_equal(l.e, EA_CONFIG);
    assert_non_null(strstr(l.error.text, "is larger than 1048576 bytes"));
    loaded_fini(&l);
    buf_fini(&text);
}

static void errors_may_be_left_out(void **state)
{
    char *argv[] = {(char *)"election-agent", (char *)"--threads=0", NULL};
    const struct config_io io = {.argc = 2, .argv = argv};
    struct config *config;
    enum config_action action;
    assert_int_equal(config_load(&config, &io, &action, NULL), EA_CONFIG);
    assert_null(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_of_production_are_those_of_the_specification),
        cmocka_unit_test(development_needs_no_rights),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(the_last_of_equal_flags_wins),
        cmocka_unit_test(an_empty_variable_counts_as_not_set),
        cmocka_unit_test(a_key_without_value_in_the_file_changes_nothing),
        cmocka_unit_test(the_file_takes_maps_dotted_keys_and_lists),
        cmocka_unit_test(a_bad_value_is_named_with_its_source),
        cmocka_unit_test(mistakes_in_files_are_named_with_their_line),
        cmocka_unit_test(a_value_that_loses_may_be_wrong),
        cmocka_unit_test(the_file_is_named_by_variable_flag_or_dotenv),
        cmocka_unit_test(a_file_that_is_missing_is_an_error),
        cmocka_unit_test(a_missing_dotenv_is_none),
        cmocka_unit_test(unknown_variables_are_warned_about),
        cmocka_unit_test(names_of_later_versions_have_no_effect),
        cmocka_unit_test(protection_that_is_not_there_is_not_pretended),
        cmocka_unit_test(help_and_version_look_at_flags_alone),
        cmocka_unit_test(a_file_over_the_bound_is_refused),
        cmocka_unit_test(errors_may_be_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
