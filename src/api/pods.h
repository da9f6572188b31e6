/* The end of the service behind GetPods; see pods.c. Internal to api/. */
#ifndef EA_API_PODS_H
#define EA_API_PODS_H

#include "api/lane.h"

/* On the main thread, when the loops have stopped: answers what is still waiting for the API server. */
void pods_end(struct api *api);

#endif
