/* The functions that the rows of methods.def name. Internal to api/. */
#ifndef EA_API_SERVICES_H
#define EA_API_SERVICES_H

#include "api/call.h"

/* election.c */
void election_campaign(struct call *call);
void election_extend(struct call *call);
void election_resign(struct call *call);
void election_handover(struct call *call);
void election_get_leader(struct call *call);
void election_list_leaders(struct call *call);
void election_get(struct call *call);

/* pods.c */
void pods_get(struct call *call);

/* control.c */
void control_get_status(struct call *call);

/* health.c */
void health_check(struct call *call);
void health_watch(struct grpc_call *grpc, struct str message);
/* The lane's watchers learn the present status. */
void health_notify(struct api_lane *lane);

/* reflection.c */
void reflection_info(struct grpc_call *grpc, struct str message);

/* pages.c */
void page_livez(struct exchange *ex, struct api_lane *lane);
void page_readyz(struct exchange *ex, struct api_lane *lane);
void page_metrics(struct exchange *ex, struct api_lane *lane);
void page_openapi(struct exchange *ex, struct api_lane *lane);

#endif
