/* The service Control: the agent itself. */
#include "api/pb.h"
#include "api/services.h"

void control_get_status(struct call *call)
{
    struct store_status store;
    store_status(call->lane->store, &store);
    PB(AgentStatus) status = GRPC__ELECTION_AGENT__V1__AGENT_STATUS__INIT;
    /* protobuf-c does not write to what it packs. */
    status.state = (char *)(store.state == STORE_UP ? "active" : "unavailable");
    status.mode = (char *)"normal";
    call_answer(call, &status.base);
}
