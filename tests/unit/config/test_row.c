#include "support.h"

#include <string.h>

#include "base/mem.h"
#include "config/row.h"
#include "config/value.h"

static bool is_of(const char *text, const char *alphabet)
{
    return strspn(text, alphabet) == strlen(text);
}

static void names_are_unique_and_well_formed(void **state)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        assert_ptr_equal(config_row_by_key(str_of(row->key)), row);
        assert_ptr_equal(config_row_by_variable(str_of(row->variable)), row);
        assert_true(is_of(row->key, "abcdefghijklmnopqrstuvwxyz_."));
        assert_true(is_of(row->variable, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
        assert_memory_equal(row->variable, "EA_", 3);
        assert_null(config_later_by_key(str_of(row->key)));
        assert_null(config_later_by_variable(str_of(row->variable)));
        assert_false(config_key_is_group(str_of(row->key)));
    }
}

static void helps_are_sentences(void **state)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        const char *help = config_rows[i].help;
        assert_true(help[0] >= 'A' && help[0] <= 'Z');
        assert_int_equal(help[strlen(help) - 1], '.');
    }
}

static void defaults_are_values_of_their_rows(void **state)
{
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        for (int env = -1; env < CONFIG_ENV_COUNT; env++) {
            const char *text = env < 0 ? row->fallback : row->by_env[env];
            if (text == NULL) {
                continue;
            }
            struct config config = {0};
            struct error error = ERROR_NONE;
            if (config_value_parse(row, str_of(text), config_member(&config, row), &error) != EA_OK) {
                fail_msg("%s: %s", row->key, error.text);
            }
            config_value_fini(row, config_member(&config, row));
        }
    }
}

static void every_row_has_the_group_above_it(void **state)
{
    assert_string_equal(config_group_of(config_row_by_key(STR("env")))->title, "General");
    assert_string_equal(config_group_of(config_row_by_key(STR("bind")))->title, "Listeners");
    assert_string_equal(config_group_of(config_row_by_key(STR("kube.enable")))->title, "Kubernetes");
}

static void maps_are_known_by_what_is_in_them(void **state)
{
    assert_true(config_key_is_group(STR("grpc")));
    assert_true(config_key_is_group(STR("redis.tls")));
    assert_false(config_key_is_group(STR("grp")));
    assert_false(config_key_is_group(STR("grpc.")));
    assert_false(config_key_is_group(STR("")));
}

static void near_misses_are_suggested(void **state)
{
    assert_string_equal(config_suggest_key(STR("gprc.port")), "grpc.port");
    assert_string_equal(config_suggest_key(STR("loglevel")), "log_level");
    assert_string_equal(config_suggest_variable(STR("EA_GRPCPORT")), "EA_GRPC_PORT");
    assert_null(config_suggest_key(STR("completely.else")));
    assert_null(config_suggest_variable(STR("EA_SERVICE_HOST")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_and_well_formed),
        cmocka_unit_test(helps_are_sentences),
        cmocka_unit_test(defaults_are_values_of_their_rows),
        cmocka_unit_test(every_row_has_the_group_above_it),
        cmocka_unit_test(maps_are_known_by_what_is_in_them),
        cmocka_unit_test(near_misses_are_suggested),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
