/* What the Kubernetes store is told by configuration (spec: config.md, EA_KUBE_*). */
#ifndef EA_STORE_KUBERNETES_OPTIONS_H
#define EA_STORE_KUBERNETES_OPTIONS_H

#include <stdbool.h>

struct kubernetes_options {
    bool in_cluster;             /* the pod's service account; false: the kubeconfig file */
    const char *kubeconfig;      /* NULL: $KUBECONFIG, else ~/.kube/config */
    const char *lease_namespace; /* NULL: the pod's, or the context's */
};

#endif
