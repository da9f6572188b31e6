/* Events: their words are the API's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/event.h"

static void every_action_has_the_word_of_the_specification(void **state)
{
    assert_string_equal(election_action_word(ACTION_ELECTED), "elected");
    assert_string_equal(election_action_word(ACTION_RESIGNED), "resigned");
    assert_string_equal(election_action_word(ACTION_HANDED_OVER), "handed_over");
    assert_string_equal(election_action_word(ACTION_EXPIRED), "expired");
    assert_string_equal(election_action_word(ACTION_STEPPED_DOWN), "stepped_down");
    assert_int_equal(ACTION_COUNT, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_has_the_word_of_the_specification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
