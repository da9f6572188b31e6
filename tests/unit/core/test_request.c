/* Requests: the names of operations are the metric labels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/request.h"

static void every_operation_has_a_name_of_its_own(void **state)
{
    assert_string_equal(election_op_name(OP_CAMPAIGN), "campaign");
    assert_string_equal(election_op_name(OP_EXTEND), "extend");
    assert_string_equal(election_op_name(OP_RESIGN), "resign");
    assert_string_equal(election_op_name(OP_HANDOVER), "handover");
    assert_string_equal(election_op_name(OP_GET), "get");
    assert_string_equal(election_op_name(OP_INFO), "info");
    assert_string_equal(election_op_name(OP_LIST), "list");
    assert_int_equal(OP_COUNT, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
