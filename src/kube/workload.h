/*
 * What GetPods needs of pods, ReplicaSets and Deployments, cut out of their JSON. Deciding code; internal to kube/.
 */
#ifndef EA_KUBE_WORKLOAD_H
#define EA_KUBE_WORKLOAD_H

#include "kube/pods.h"

enum workload { WORKLOAD_POD, WORKLOAD_REPLICA_SET, WORKLOAD_DEPLOYMENT, WORKLOADS };

/* A copy with only what is used here, in the same places; 10 KB become some hundred bytes. NULL if it has no name. */
json_t *workload_trim(enum workload what, const json_t *object);

/* Texts live as long as the object; NULL if there is none. */
const char *workload_name(const json_t *object);
const char *workload_owner(const json_t *object, const char *kind);

/* Fills what the pod itself tells; slices point into the object. */
void workload_read_pod(const json_t *pod, struct kube_pod *out);
/* ... and what its ReplicaSet tells (NULL: it is gone, its numbers are 0). */
void workload_read_replica_set(const json_t *replica_set, struct kube_pod *out);

#endif
