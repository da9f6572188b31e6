/* What all operations have in common: see request.h. */
#include "core/request.h"

#include <assert.h>

#include "core/names.h"

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

void election_request_assert_checked(const struct election_request *request, unsigned n_lanes,
                                     int64_t max_term_ms)
{
    enum election_op op = request->op;
    assert((unsigned)op < OP_COUNT && request->done != NULL && request->lane < n_lanes);
    assert(request->kind.n >= 1 && request->kind.n <= KIND_BYTES_MAX);
    assert(op == OP_LIST || (request->election.n >= 1 && request->election.n <= NAME_BYTES_MAX));
    if (op == OP_CAMPAIGN || op == OP_EXTEND || op == OP_RESIGN || op == OP_HANDOVER) {
        assert(request->candidate.n >= 1 && request->candidate.n <= NAME_BYTES_MAX);
        assert(op == OP_RESIGN || (request->term_ms > 0 && request->term_ms <= max_term_ms));
        assert(request->from.n <= NAME_BYTES_MAX);
    }
    assert(op != OP_LIST || request->page_size > 0);
}
