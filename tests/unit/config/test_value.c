#include "support.h"

#include <string.h>

#include "config/value.h"

/* Memory for a value of any type. */
union any {
    char *text;
    struct config_secret secret;
    struct config_list list;
    struct config_buckets buckets;
    uint32_t count;
    int number;
    bool flag;
    int64_t us;
};

static const struct config_row list_row = {.type = CONFIG_TYPE_LIST, .key = "list", .high = 3};
static const struct config_row secret_row = {.type = CONFIG_TYPE_SECRET, .key = "secret"};

static const struct config_row *row_of(const char *key)
{
    const struct config_row *row = config_row_by_key(str_of(key));
    assert_non_null(row);
    return row;
}

/* Parsed and printed again. */
static void check_prints(const struct config_row *row, const char *text, const char *printed)
{
    union any value = {0};
    struct error error = ERROR_NONE;
    if (config_value_parse(row, str_of(text), &value, &error) != EA_OK) {
        fail_msg("%s: \"%s\": %s", row->key, text, error.text);
    }
    struct buf out = BUF_EMPTY;
    config_value_print(row, &value, &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, printed);
    assert_true(config_value_equal(row, &value, &value));
    buf_fini(&out);
    config_value_fini(row, &value);
}

static void check_refused_bytes(const struct config_row *row, struct str text, const char *words)
{
    union any value = {0};
    struct error error = ERROR_NONE;
    assert_int_equal(config_value_parse(row, text, &value, &error), EA_CONFIG);
    assert_string_equal(error.text, words);
}

static void check_refused(const struct config_row *row, const char *text, const char *words)
{
    check_refused_bytes(row, str_of(text), words);
}

static void texts_are_bounded_printable_utf8(void **state)
{
    const struct config_row *row = row_of("name");
    char longest[130];
    memset(longest, 'n', sizeof longest);
    longest[128] = '\0';
    check_prints(row, longest, longest);
    longest[128] = 'n';
    longest[129] = '\0';
    check_prints(row, "zürich 1", "zürich 1");
    check_refused(row, longest, "expected text of 1 to 128 bytes");
    check_refused(row, "", "expected text of 1 to 128 bytes");
    check_refused(row, "a\nb", "expected UTF-8 text without control characters");
    check_refused(row, "a\xff", "expected UTF-8 text without control characters");
    check_refused_bytes(row, STR("a\0b"), "expected UTF-8 text without control characters");
}

static void no_value_is_longer_than_a_path(void **state)
{
    static char text[CONFIG_VALUE_BYTES_MAX + 2];
    memset(text, 'p', CONFIG_VALUE_BYTES_MAX);
    check_prints(row_of("embedded.path"), text, text);
    text[CONFIG_VALUE_BYTES_MAX] = 'p';
    check_refused(row_of("embedded.path"), text, "expected at most 4096 bytes");
}

static void addresses_are_of_ip_or_of_a_unix_socket(void **state)
{
    const struct config_row *row = row_of("bind");
    const char *words = "expected an IP address such as 127.0.0.1 or ::, or unix:/path";
    check_prints(row, "::", "::");
    check_prints(row, "0.0.0.0", "0.0.0.0");
    check_prints(row, "fe80::1", "fe80::1");
    check_prints(row, "unix:/run/a.sock", "unix:/run/a.sock");
    check_refused(row, "", words);
    check_refused(row, "localhost", words);
    check_refused(row, "[::1]", words);
    check_refused(row, "127.0.0.1:80", words);
    check_refused(row, "256.0.0.1", words);
    check_refused(row, "unix:", words);
    check_refused(row, "unix:/", words);
    check_refused(row, "unix:a.sock", words);
    char path[128] = "unix:/";
    memset(path + 6, 'x', 107 - 1);
    check_prints(row, path, path);
    path[6 + 106] = 'x';
    check_refused(row, path, words);
}

static void names_of_redis_clients_mean_redis(void **state)
{
    check_prints(row_of("driver"), "goredis", "redis");
    check_prints(row_of("driver"), "rueidis", "redis");
    check_prints(row_of("driver"), "embedded", "embedded");
}

static void counts_hold_their_bounds(void **state)
{
    const struct config_row *row = row_of("threads");
    const char *words = "expected a whole number from 1 to 64";
    check_prints(row, "1", "1");
    check_prints(row, "64", "64");
    const char *const wrong[] = {
        "0", "65", "", "-1", "+1", "1.5", " 1", "1 ", "0x1", "four", "18446744073709551617"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_refused(row, wrong[i], words);
    }
}

static void none_is_a_value_only_where_it_means_something(void **state)
{
    union any value = {0};
    check_prints(row_of("limits.rate"), "none", "none");
    check_prints(row_of("limits.rate"), "0", "none");
    check_prints(row_of("limits.rate"), "1", "1");
    assert_int_equal(config_value_parse(row_of("limits.rate"), STR("None"), &value, NULL), EA_OK);
    assert_int_equal(value.count, 0);
    check_prints(row_of("admin.port"), "none", "none");
    check_prints(row_of("admin.port"), "0", "0");
    assert_int_equal(config_value_parse(row_of("admin.port"), STR("none"), &value, NULL), EA_OK);
    assert_int_equal(value.number, CONFIG_NO_PORT);
    check_refused(row_of("admin.port"), "-1", "expected a port from 0 to 65535, or none");
    check_refused(row_of("grpc.port"), "none", "expected a port from 0 to 65535");
}

static void ports_explain_what_kubernetes_does(void **state)
{
    const struct config_row *row = row_of("http.port");
    check_prints(row, "0", "0");
    check_prints(row, "65535", "65535");
    check_refused(row, "65536", "expected a port from 0 to 65535");
    check_refused(
        row, "tcp://10.0.0.1:80",
        "expected a port; Kubernetes sets such variables for services: enableServiceLinks: false in the "
        "pod prevents it");
}

static void booleans_take_the_words_people_use(void **state)
{
    const struct config_row *row = row_of("http.enable");
    const char *const yes[] = {"true", "TRUE", "yes", "on", "1", "t"};
    const char *const no[] = {"false", "False", "no", "off", "0", "f"};
    for (size_t i = 0; i < 6; i++) {
        check_prints(row, yes[i], "true");
        check_prints(row, no[i], "false");
    }
    check_refused(row, "maybe", "expected true or false");
    check_refused(row, "", "expected true or false");
    check_refused(row, "2", "expected true or false");
}

static void durations_are_whole_milliseconds_within_bounds(void **state)
{
    const struct config_row *row = row_of("lease.min_term");
    const char *words = "expected a duration from 100ms to 576h in whole milliseconds";
    check_prints(row, "100ms", "100ms");
    check_prints(row, "1000ms", "1s");
    check_prints(row, "1.5s", "1500ms");
    check_prints(row, "576h", "576h");
    check_prints(row, "90s", "90s");
    check_prints(row, "120s", "2m");
    check_prints(row_of("shutdown_timeout"), "0", "0s");
    const char *const wrong[] = {"99ms", "576h1ms", "100.5ms", "10", "",
                                 "-1s",  "1 s",     "1d",      "s",  "999999999999h"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_refused(row, wrong[i], words);
    }
}

static void words_are_taken_in_any_case_and_near_ones_suggested(void **state)
{
    const struct config_row *row = row_of("log_level");
    check_prints(row, "warning", "warning");
    check_prints(row, "DEBUG", "debug");
    check_refused(row, "warnings",
                  "expected debug, info, warning, error, panic or fatal (did you mean warning?)");
    check_refused(row, "loud", "expected debug, info, warning, error, panic or fatal");
    check_refused(row_of("embedded.sync"), "disk", "expected process or power");
}

static void buckets_ascend_and_are_a_microsecond_apart(void **state)
{
    const struct config_row *row = row_of("metric.request_duration_buckets");
    const char *words = "expected at most 32 numbers from 0.000001 to 1000000, ascending";
    check_prints(row, "0.0005, 0.001,1.0,1e1", "0.0005,0.001,1,10");
    check_prints(row, "0.1", "0.1");
    check_prints(row, "0.12345678912", "0.12345678912");
    check_prints(row, "0.000001,1000000", "0.000001,1000000");
    const char *const wrong[] = {"",    ",",   "1,",  "0",  "-1",  "1,1",  "2,1", "0.1,0.1000001",
                                 "nan", "inf", "0x1", "1e", "1e9", "1..2", "a"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        check_refused(row, wrong[i], words);
    }
    check_refused(row,
                  "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33",
                  words);
}

static void lists_are_separated_by_commas(void **state)
{
    const char *words = "expected a list, separated by commas, without empty items, at most 3";
    check_prints(&list_row, "a", "a");
    check_prints(&list_row, " a , b b,c", "a,b b,c");
    check_refused(&list_row, "", words);
    check_refused(&list_row, "a,,b", words);
    check_refused(&list_row, "a,b,", words);
    check_refused(&list_row, "a,b,c,d", words);
}

static void secrets_are_never_shown_and_their_mask_is_no_value(void **state)
{
    check_prints(&secret_row, "hunter2", CONFIG_MASK);
    check_refused(&secret_row, CONFIG_MASK, "this is what --print-config shows in place of a secret");
    check_refused(&secret_row, "", "expected a secret");
}

static void values_are_equal_by_what_they_mean(void **state)
{
    struct {
        const struct config_row *row;
        const char *a;
        const char *same;
        const char *other;
    } cases[] = {
        {row_of("name"), "a", "a", "b"},
        {row_of("driver"), "redis", "goredis", "etcd"},
        {row_of("threads"), "4", "04", "5"},
        {row_of("admin.port"), "none", "NONE", "0"},
        {row_of("http.enable"), "yes", "1", "no"},
        {row_of("shutdown_timeout"), "1s", "1000ms", "1001ms"},
        {row_of("env"), "test", "TEST", "production"},
        {row_of("metric.request_duration_buckets"), "1,2", "1.0, 2e0", "1,3"},
        {row_of("metric.request_duration_buckets"), "1,2", "1,2", "1,2,3"},
        {&list_row, "a,b", "a , b", "a,c"},
        {&list_row, "a,b", "a,b", "a"},
        {&secret_row, "s", "s", "t"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        union any a = {0};
        union any same = {0};
        union any other = {0};
        assert_int_equal(config_value_parse(cases[i].row, str_of(cases[i].a), &a, NULL), EA_OK);
        assert_int_equal(config_value_parse(cases[i].row, str_of(cases[i].same), &same, NULL), EA_OK);
        assert_int_equal(config_value_parse(cases[i].row, str_of(cases[i].other), &other, NULL), EA_OK);
        assert_true(config_value_equal(cases[i].row, &a, &same));
        assert_false(config_value_equal(cases[i].row, &a, &other));
        config_value_fini(cases[i].row, &a);
        config_value_fini(cases[i].row, &same);
        config_value_fini(cases[i].row, &other);
    }
}

static void no_value_is_printed_as_nothing(void **state)
{
    union any value = {0};
    struct buf out = BUF_EMPTY;
    config_value_print(row_of("config_file"), &value, &out);
    config_value_print(&list_row, &value, &out);
    config_value_print(&secret_row, &value, &out);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_bounded_printable_utf8),
        cmocka_unit_test(no_value_is_longer_than_a_path),
        cmocka_unit_test(addresses_are_of_ip_or_of_a_unix_socket),
        cmocka_unit_test(names_of_redis_clients_mean_redis),
        cmocka_unit_test(counts_hold_their_bounds),
        cmocka_unit_test(none_is_a_value_only_where_it_means_something),
        cmocka_unit_test(ports_explain_what_kubernetes_does),
        cmocka_unit_test(booleans_take_the_words_people_use),
        cmocka_unit_test(durations_are_whole_milliseconds_within_bounds),
        cmocka_unit_test(words_are_taken_in_any_case_and_near_ones_suggested),
        cmocka_unit_test(buckets_ascend_and_are_a_microsecond_apart),
        cmocka_unit_test(lists_are_separated_by_commas),
        cmocka_unit_test(secrets_are_never_shown_and_their_mask_is_no_value),
        cmocka_unit_test(values_are_equal_by_what_they_mean),
        cmocka_unit_test(no_value_is_printed_as_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
