/* Pods of deployments (spec: kubernetes.md). This agent has no connection to Kubernetes. */
#include "api/services.h"

void pods_get(struct call *call)
{
    call_fail(call, EA_NOT_ENABLED, STR("Kubernetes is not enabled in this agent"));
}
