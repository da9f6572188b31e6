#include "support.h"

#include "config/dotenv.h"

/* Entries as "line name=value|" in a row. */
static void keep_entry(void *arg, unsigned line, struct str name, struct str value)
{
    buf_format(arg, "%u %.*s=%.*s|", line, STR_ARG(name), STR_ARG(value));
}

static void check_entries(struct str text, const char *entries)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    if (dotenv_parse(text, ".env", keep_entry, &out, &error) != EA_OK) {
        fail_msg("%s", error.text);
    }
    buf_add(&out, "", 1);
    assert_string_equal(out.p, entries);
    buf_fini(&out);
}

static void check_wrong(struct str text, const char *words)
{
    struct buf out = BUF_EMPTY;
    struct error error = ERROR_NONE;
    assert_int_equal(dotenv_parse(text, ".env", keep_entry, &out, &error), EA_CONFIG);
    assert_string_equal(error.text, words);
    buf_fini(&out);
}

static void plain_lines_are_names_and_values(void **state)
{
    check_entries(STR(""), "");
    check_entries(STR("A=1"), "1 A=1|");
    check_entries(STR("A=1\nB=two words\n"), "1 A=1|2 B=two words|");
    check_entries(STR("  A = 1  \r\nB=\r\n"), "1 A=1|2 B=|");
    check_entries(STR("A=b=c"), "1 A=b=c|");
    check_entries(STR("\xef\xbb\xbf"
                      "A=1"),
                  "1 A=1|");
}

static void comments_and_empty_lines_say_nothing(void **state)
{
    check_entries(STR("# a comment\n\n   \n  # another=1\nA=1"), "5 A=1|");
    check_entries(STR("A=1 # one\nB=#none\nC=a#b\nD=\t# nothing"), "1 A=1|2 B=|3 C=a#b|4 D=|");
}

static void export_is_allowed(void **state)
{
    check_entries(STR("export A=1\nexport\tB=2\nexported=3"), "1 A=1|2 B=2|3 exported=3|");
}

static void single_quotes_keep_all(void **state)
{
    check_entries(STR("A='a \\n # \"b\" $C'  # comment"), "1 A=a \\n # \"b\" $C|");
    check_entries(STR("A=''"), "1 A=|");
}

static void double_quotes_take_escapes(void **state)
{
    check_entries(STR("A=\"a\\t\\rb\\\"\\\\\\$\\n\"#x"), "1 A=a\t\rb\"\\$\n|");
}

static void broken_lines_are_named(void **state)
{
    check_wrong(STR("A=1\nnonsense"), ".env:2: no \"=\": a line is NAME=value");
    check_wrong(STR("1A=1"), ".env:1: a name that is not of letters, digits and _");
    check_wrong(STR("=1"), ".env:1: a name that is not of letters, digits and _");
    check_wrong(STR("A B=1"), ".env:1: a name that is not of letters, digits and _");
    check_wrong(STR("A='x"), ".env:1: a quote that is not closed on its line");
    check_wrong(STR("A=\"x\\\""), ".env:1: a quote that is not closed on its line");
    check_wrong(STR("A='x' y"), ".env:1: text behind the closing quote");
    check_wrong(STR("A=\"\\x\""), ".env:1: an escape that is none of \\n \\r \\t \\\" \\\\ \\$");
    check_wrong(STR("A=\"\\\0\""), ".env:1: a NUL byte");
    check_wrong(STR("A=1\nB=\0"), ".env:2: a NUL byte");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_lines_are_names_and_values),
        cmocka_unit_test(comments_and_empty_lines_say_nothing),
        cmocka_unit_test(export_is_allowed),
        cmocka_unit_test(single_quotes_keep_all),
        cmocka_unit_test(double_quotes_take_escapes),
        cmocka_unit_test(broken_lines_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
