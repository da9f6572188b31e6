/* The page that says how long this node leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "client/term.h"

static struct mono at(int64_t us)
{
    return (struct mono){us};
}

static void it_ends_by_itself_at_its_deadline(void **state)
{
    struct election_term term = {.alive = 1};
    assert_int_equal(term_until_us(&term, at(0)), 0);
    term_begin(&term, at(100), 7);
    assert_int_equal(term_until_us(&term, at(99)), 100);
    assert_int_equal(term_token(&term, at(99)), 7);
    assert_true(term_prolong(&term, at(200), at(99)));
    assert_int_equal(term_token(&term, at(199)), 7);
    assert_int_equal(term_token(&term, at(200)), 0);
    assert_int_equal(term_until_us(&term, at(200)), 0);
}

static void an_end_that_was_seen_is_not_taken_back(void **state)
{
    struct election_term term = {.alive = 1};
    term_begin(&term, at(100), 7);
    assert_int_equal(term_until_us(&term, at(100)), 0);
    assert_false(term_prolong(&term, at(200), at(99))); /* by a clock that was read before */
    assert_int_equal(term_until_us(&term, at(99)), 0);
    term_begin(&term, at(300), 8);
    assert_int_equal(term_token(&term, at(299)), 8);
}

static void a_renewal_after_the_deadline_does_not_count_though_nobody_looked(void **state)
{
    struct election_term term = {.alive = 1};
    term_begin(&term, at(100), 7);
    assert_false(term_prolong(&term, at(200), at(100))); /* the context's descriptor has told it */
    assert_int_equal(term_until_us(&term, at(99)), 0);
    term_end(&term);
    assert_false(term_prolong(&term, at(200), at(99)));
}

static void a_page_of_zeros_is_a_childs(void **state)
{
    struct election_term term = {0};
    assert_true(term_is_forked(&term));
    assert_int_equal(term_token(&term, at(1)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_by_itself_at_its_deadline),
        cmocka_unit_test(an_end_that_was_seen_is_not_taken_back),
        cmocka_unit_test(a_renewal_after_the_deadline_does_not_count_though_nobody_looked),
        cmocka_unit_test(a_page_of_zeros_is_a_childs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
