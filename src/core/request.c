/* The names of operations: see request.h. */
#include "core/request.h"

#include <assert.h>

const char *election_op_name(enum election_op op)
{
    static const char *const names[OP_COUNT] = {
        [OP_CAMPAIGN] = "campaign", [OP_EXTEND] = "extend", [OP_RESIGN] = "resign",
        [OP_HANDOVER] = "handover", [OP_GET] = "get",       [OP_INFO] = "info",
        [OP_LIST] = "list",
    };
    assert((unsigned)op < OP_COUNT);
    return names[op];
}
