#include "support.h"

#include "config/flags.h"

static void keep_setting(void *arg, const struct config_row *row, struct str value)
{
    buf_format(arg, "%s=%.*s|", row->key, STR_ARG(value));
}

static enum err keep_later(void *arg, const struct config_later *later, struct error *error)
{
    buf_format(arg, "later %s|", later->key);
    return EA_OK;
}

/* `settings` NULL: the error is expected to be `words`. */
static void check(const char *const *arguments, const char *settings, enum config_action action,
                  const char *words)
{
    char *argv[16] = {(char *)"election-agent"};
    int argc = 1;
    for (; *arguments != NULL; arguments++) {
        argv[argc++] = (char *)*arguments;
    }
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    enum config_action got = CONFIG_RUN;
    const struct flags_sink sink = {keep_setting, keep_later, &out};
    enum err e = flags_parse(argc, argv, &sink, &got, &error);
    buf_add(&out, "", 1);
    if (settings != NULL) {
        assert_string_equal(error.text, "");
        assert_int_equal(e, EA_OK);
        assert_string_equal(out.p, settings);
        assert_int_equal(got, action);
    } else {
        assert_int_equal(e, EA_CONFIG);
        assert_string_equal(error.text, words);
    }
    buf_fini(&out);
}

static void check_flags(const char *const *arguments, const char *settings)
{
    check(arguments, settings, CONFIG_RUN, NULL);
}

static void check_wrong(const char *const *arguments, const char *words)
{
    check(arguments, NULL, CONFIG_RUN, words);
}

static void values_stand_behind_equals_or_apart(void **state)
{
    check_flags(LIST("--grpc.port=1", "--http.port", "2", "--name=a=b", "--bind="),
                "grpc.port=1|http.port=2|name=a=b|bind=|");
    check_flags(LIST("--lease.min_term", "-1"), "lease.min_term=-1|");
}

static void dashes_are_underscores(void **state)
{
    check_flags(LIST("--log-level=info", "--config-file", "x"), "log_level=info|config_file=x|");
}

static void switches_need_no_value(void **state)
{
    check_flags(LIST("--http.enable", "--grpc.enable", "false", "--kube.enable"),
                "http.enable=true|grpc.enable=false|kube.enable=true|");
}

static void actions_are_told_apart(void **state)
{
    check(LIST("--help"), "", CONFIG_HELP, NULL);
    check(LIST("-h"), "", CONFIG_HELP, NULL);
    check(LIST("--version"), "", CONFIG_VERSION, NULL);
    check(LIST("-V"), "", CONFIG_VERSION, NULL);
    check(LIST("--print-config", "--name=a"), "name=a|", CONFIG_PRINT, NULL);
    check(LIST("--name=a", "--check-config"), "name=a|", CONFIG_CHECK, NULL);
    check(LIST("--print-config", "--check-config"), "", CONFIG_PRINT, NULL);
    check(LIST("--check-config", "--print-config"), "", CONFIG_PRINT, NULL);
}

static void help_wins_over_every_mistake(void **state)
{
    check(LIST("--nonsense", "x", "--help"), "", CONFIG_HELP, NULL);
}

static void unknown_flags_are_named_with_a_near_one(void **state)
{
    check_wrong(LIST("--gprc.port=1"), "unknown flag --gprc.port; did you mean --grpc.port?");
    check_wrong(LIST("--bogus"), "unknown flag --bogus; --help lists all");
    check_wrong(LIST("--=1"), "unknown flag --; --help lists all");
    check_wrong(LIST("--a\nb"), "unknown flag --a\\nb; --help lists all");
    check_wrong(LIST("--help=1"), "unknown flag --help; --help lists all");
    check_wrong(
        LIST("--xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
        "unknown flag --xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...; --help lists all");
}

static void missing_values_and_stray_words_are_named(void **state)
{
    check_wrong(LIST("--grpc.port"), "--grpc.port: a value is missing: --grpc.port=<value>");
    check_wrong(LIST("--grpc.port", "--http.enable"), "--grpc.port: a value is missing: --grpc.port=<value>");
    check_wrong(LIST("stray"), "unexpected argument \"stray\": a flag is --key=value");
    check_wrong(LIST("-x"), "unexpected argument \"-x\": a flag is --key=value");
    check_wrong(LIST("--"), "unexpected argument \"--\": a flag is --key=value");
    check_wrong(LIST(""), "unexpected argument \"\": a flag is --key=value");
}

static void names_of_later_versions_are_known(void **state)
{
    check_flags(LIST("--redis.primary=1", "--zone.name", "x"), "later redis.primary|later zone.name|");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_behind_equals_or_apart),
        cmocka_unit_test(dashes_are_underscores),
        cmocka_unit_test(switches_need_no_value),
        cmocka_unit_test(actions_are_told_apart),
        cmocka_unit_test(help_wins_over_every_mistake),
        cmocka_unit_test(unknown_flags_are_named_with_a_near_one),
        cmocka_unit_test(missing_values_and_stray_words_are_named),
        cmocka_unit_test(names_of_later_versions_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
