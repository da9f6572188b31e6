#include "support.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "config/row.h"
#include "config/show.h"
#include "config/value.h"

static uint64_t random_state;

static uint64_t random_below(uint64_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % bound;
}

/* Text that tries YAML's patience. */
static void random_text(struct buf *out, size_t most)
{
    static const char *const bits[] = {"a",
                                       "Z",
                                       "0",
                                       " ",
                                       "#",
                                       ":",
                                       "\"",
                                       "'",
                                       "\\",
                                       "-",
                                       "{",
                                       "[",
                                       ",",
                                       "&",
                                       "*",
                                       "!",
                                       "null",
                                       "~",
                                       "\xc3\xa4",
                                       "\xe2\x80\xa8",
                                       "%",
                                       "@",
                                       "true",
                                       "?",
                                       "|",
                                       "\xef\xbb\xbf",
                                       "\xf0\x9f\x98\x80",
                                       "\xef\xbf\xbf"};
    size_t start = out->n;
    for (uint64_t n = 1 + random_below(12); n > 0; n--) {
        const char *bit = bits[random_below(ARRAY_LENGTH(bits))];
        if (out->n - start + strlen(bit) <= most) {
            buf_add_str(out, str_of(bit));
        }
    }
    if (out->n == start) {
        buf_add_str(out, STR("x"));
    }
}

/* A flag with a value that the row takes. */
static void random_flag(const struct config_row *row, struct buf *out)
{
    buf_format(out, "--%s=", row->key);
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        random_text(out, 100);
        break;
    case CONFIG_TYPE_ADDRESS:
        buf_format(out, "unix:/");
        random_text(out, 60);
        break;
    case CONFIG_TYPE_DRIVER:
        buf_format(out, "%s", random_below(2) ? "embedded" : "memory");
        break;
    case CONFIG_TYPE_BUCKETS: {
        double s = 0;
        for (uint64_t i = 0, n = 1 + random_below(32); i < n; i++) {
            s += (double)(2 + random_below(1000000)) / 1e6 / 3;
            buf_format(out, "%s%.17g", i > 0 ? "," : "", s);
        }
        break;
    }
    case CONFIG_TYPE_COUNT:
        buf_format(out, "%lld",
                   (long long)(row->low + (int64_t)random_below((uint64_t)(row->high - row->low + 1))));
        break;
    case CONFIG_TYPE_PORT:
        /* Ports of their own, so that the admin port is different from the others. */
        buf_format(out, "%lld", (long long)(1000 * (row - config_rows)) + (long long)random_below(1000));
        break;
    case CONFIG_TYPE_BOOL:
        buf_format(out, "%s", strcmp(row->key, "http.enable") == 0 || random_below(2) ? "true" : "false");
        break;
    case CONFIG_TYPE_DURATION: {
        int64_t low = strcmp(row->key, "lease.max_term") == 0 ? CONFIG_TERM_MAX_US : row->low;
        int64_t ms = (low + (int64_t)random_below((uint64_t)(row->high - low + 1))) / 1000;
        buf_format(out, "%lldms", (long long)ms);
        break;
    }
    case CONFIG_TYPE_ENUM_WORDS: {
        size_t n = 0;
        while (row->words[n].word != NULL) {
            n++;
        }
        buf_format(out, "%s", row->words[random_below(n)].word);
        break;
    }
    case CONFIG_TYPE_LIST:
        for (uint64_t i = 0, n = 1 + random_below(15); i < n; i++) {
            buf_format(out, "%sredis://host-%u:%u", i > 0 ? "," : "", (unsigned)random_below(1000),
                       (unsigned)random_below(65536));
        }
        break;
    default:
        fail_msg("%s: no random value for this type", row->key);
    }
    buf_add(out, "", 1);
}

static void count_difference(void *arg, const char *key, bool reloadable)
{
    print_message("%s differs\n", key);
    ++*(int *)arg;
}

static void check_round_trip(uint64_t seed)
{
    random_state = seed;
    struct buf flags[CONFIG_SETTING_COUNT];
    const char *arguments[CONFIG_SETTING_COUNT + 1] = {NULL};
    size_t n = 0;
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        /* The longest term is always given, so that no shortest one is above its default; the store too, since
         * Redis has rules of its own. */
        bool given = strcmp(config_rows[i].key, "lease.max_term") == 0 ||
                     strcmp(config_rows[i].key, "driver") == 0 || random_below(4) != 0;
        if (given && (config_rows[i].flags & CONFIG_NOT_IN_FILE) == 0) {
            flags[n] = BUF_EMPTY;
            random_flag(&config_rows[i], &flags[n]);
            arguments[n] = flags[n].p;
            n++;
        }
    }
    struct loaded first;
    struct loaded second;
    expect_loaded(&first, .flags = arguments, .drivers = LIST("embedded", "memory"));
    struct buf yaml = BUF_EMPTY;
    config_print(first.config, &yaml);
    load(&second, &(const struct load_options){
                      .yaml = yaml.p, .yaml_bytes = yaml.n, .drivers = LIST("embedded", "memory")});
    if (second.e != EA_OK) {
        fail_msg("seed %llu: %s in\n%.*s", (unsigned long long)seed, second.error.text,
                 STR_ARG(buf_str(&yaml)));
    }
    int differences = 0;
    config_diff(first.config, second.config, count_difference, &differences);
    assert_int_equal(differences, 0);
    buf_fini(&yaml);
    loaded_fini(&first);
    loaded_fini(&second);
    for (size_t i = 0; i < n; i++) {
        buf_fini(&flags[i]);
    }
}

static void what_is_printed_loads_to_the_same(void **state)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        check_round_trip(seed * 0x9e3779b97f4a7c15U);
    }
}

static void the_print_is_nested_and_says_where_values_come_from(void **state)
{
    struct loaded l;
    expect_loaded(&l, .env = LIST("EA_ENV=development", "EA_NAME=it's me"),
                  .flags = LIST("--grpc.port=7000"));
    struct buf out = BUF_EMPTY;
    config_print(l.config, &out);
    buf_add(&out, "", 1);
    assert_non_null(strstr(out.p, "env: development  # EA_ENV\n"));
    assert_non_null(strstr(out.p, "name: \"it's me\"  # EA_NAME\n"));
    assert_non_null(strstr(out.p, "\ngrpc:\n  enable: true\n  port: 7000  # --grpc.port\n"));
    assert_non_null(strstr(out.p, "\nadmin:\n  port: none\n"));
    assert_non_null(strstr(out.p, "  request_duration_buckets: [0.0005, 0.001, "));
    assert_null(strstr(out.p, "config_file"));
    buf_fini(&out);
    loaded_fini(&l);
}

static void check_yaml(struct str text, const char *printed)
{
    struct buf out = BUF_EMPTY;
    config_show_yaml(text, &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, printed);
    buf_fini(&out);
}

static void yaml_is_quoted_where_it_has_to_be(void **state)
{
    check_yaml(STR("plain-text_1.x/y"), "plain-text_1.x/y");
    check_yaml(STR("/path"), "/path");
    check_yaml(STR(""), "\"\"");
    check_yaml(STR("No"), "\"No\"");
    check_yaml(STR("-a"), "\"-a\"");
    check_yaml(STR("::"), "\"::\"");
    check_yaml(STR("a \"b\" \\"), "\"a \\\"b\\\" \\\\\"");
    check_yaml(STR("\xe2\x80\xa8\xef\xbb\xbf"), "\"\\u2028\\uFEFF\"");
}

static void help_fits_the_screen_and_names_every_setting(void **state)
{
    struct buf out = BUF_EMPTY;
    config_help("election-agent", &out);
    struct str rest = buf_str(&out);
    for (struct str line; str_split(&rest, '\n', &line);) {
        if (line.n > 100) {
            fail_msg("%zu columns: %.*s", line.n, STR_ARG(line));
        }
    }
    buf_add(&out, "", 1);
    for (size_t i = 0; i < CONFIG_SETTING_COUNT; i++) {
        char flag[80];
        snprintf(flag, sizeof flag, "\n  --%s=", config_rows[i].key);
        assert_non_null(strstr(out.p, flag));
        assert_non_null(strstr(out.p, config_rows[i].variable));
    }
    assert_memory_equal(out.p, "Usage: election-agent ", 22);
    buf_fini(&out);
}

static void check_default(const char *key, const char *words)
{
    struct buf out = BUF_EMPTY;
    config_show_default(config_row_by_key(str_of(key)), &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, words);
    buf_fini(&out);
}

static void defaults_are_told_with_what_they_depend_on(void **state)
{
    check_default("grpc.port", "443; 50051 in development");
    check_default("threads", "number of processors, at most 8");
    check_default("name", "election-agent");
    check_default("config_file", "");
}

static void keep_difference(void *arg, const char *key, bool reloadable)
{
    buf_format(arg, "%s%s ", key, reloadable ? "!" : "");
}

static void differences_say_what_needs_a_restart(void **state)
{
    struct loaded a;
    struct loaded b;
    expect_loaded(&a, .flags = LIST("--log_level=info", "--limits.rate=5", "--http.port=80"));
    expect_loaded(&b, .flags = LIST("--log_level=debug", "--limits.rate=6", "--http.port=81"),
                  .yaml = "name: x\n");
    struct buf out = BUF_EMPTY;
    config_diff(a.config, b.config, keep_difference, &out);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, "name log_level! http.port limits.rate! ");
    buf_clear(&out);
    config_diff(a.config, a.config, keep_difference, &out);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    loaded_fini(&a);
    loaded_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_printed_loads_to_the_same),
        cmocka_unit_test(the_print_is_nested_and_says_where_values_come_from),
        cmocka_unit_test(yaml_is_quoted_where_it_has_to_be),
        cmocka_unit_test(help_fits_the_screen_and_names_every_setting),
        cmocka_unit_test(defaults_are_told_with_what_they_depend_on),
        cmocka_unit_test(differences_say_what_needs_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
