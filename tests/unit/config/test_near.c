#include "support.h"

#include "config/near.h"

static unsigned distance(const char *a, const char *b)
{
    return near_distance(str_of(a), str_of(b), 10);
}

static void distance_counts_single_slips(void **state)
{
    assert_int_equal(distance("", ""), 0);
    assert_int_equal(distance("grpc.port", "grpc.port"), 0);
    assert_int_equal(distance("grpc.prot", "grpc.port"), 1);
    assert_int_equal(distance("grpc.por", "grpc.port"), 1);
    assert_int_equal(distance("grpc.portt", "grpc.port"), 1);
    assert_int_equal(distance("grpcport", "grpc.port"), 1);
    assert_int_equal(distance("kitten", "sitting"), 3);
    assert_int_equal(distance("", "abc"), 3);
}

static void case_and_dashes_do_not_count(void **state)
{
    assert_int_equal(distance("LOG-Level", "log_level"), 0);
}

static void distance_over_the_limit_is_limit_plus_one(void **state)
{
    assert_int_equal(near_distance(STR("abcdef"), STR("ghijkl"), 2), 3);
    assert_int_equal(near_distance(STR("a"), STR("abcdef"), 2), 3);
}

static void words_too_long_for_the_table_are_never_near(void **state)
{
    char a[NEAR_BYTES_MAX + 2];
    memset(a, 'x', sizeof a);
    assert_int_equal(near_distance(str_from(a, NEAR_BYTES_MAX), str_from(a, NEAR_BYTES_MAX), 1), 0);
    assert_int_equal(near_distance(str_from(a, NEAR_BYTES_MAX + 1), str_from(a, NEAR_BYTES_MAX + 1), 1), 2);
}

static void nearest_word_wins_and_strangers_never_do(void **state)
{
    struct near near = {.wanted = STR("http.prt")};
    near_try(&near, "grpc.enable");
    assert_null(near.word);
    near_try(&near, "http.part");
    near_try(&near, "http.port");
    assert_string_equal(near.word, "http.part");
    near_try(&near, "http.prt");
    assert_string_equal(near.word, "http.prt");
    near_try(&near, "http.port");
    assert_string_equal(near.word, "http.prt");
}

static void short_words_have_no_neighbours_by_chance(void **state)
{
    struct near near = {.wanted = STR("ab")};
    near_try(&near, "ac");
    assert_null(near.word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_single_slips),
        cmocka_unit_test(case_and_dashes_do_not_count),
        cmocka_unit_test(distance_over_the_limit_is_limit_plus_one),
        cmocka_unit_test(words_too_long_for_the_table_are_never_near),
        cmocka_unit_test(nearest_word_wins_and_strangers_never_do),
        cmocka_unit_test(short_words_have_no_neighbours_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
