/* The agent's client of the Kubernetes API server: for GetPods, on the first loop. */
#include "agent/parts.h"

#include "base/log.h"
#include "kube/pods.h"

enum err agent_open_kube(struct agent *agent, struct error *error)
{
    const struct config *config = agent->config;
    struct error why = ERROR_NONE;
    if (!config->kube_enable) {
        return EA_OK;
    }
    enum err err = kube_open(&agent->kube,
                             &(struct kube_options){
                                 .loop = agent->loops[0],
                                 .in_cluster = config->kube_in_cluster,
                                 .no_kubeconfig = config->kube_in_cluster,
                                 .kubeconfig = config->kube_config,
                             },
                             &why);
    if (err == EA_NOT_ENABLED) {
        log_info("kube", "pods can't be asked for: there is no cluster configuration",
                 LOG_TEXT("why", why.text));
        return EA_OK;
    }
    if (err != EA_OK) {
        return error_set(error, err, "kube: %s", why.text);
    }
    if (config->kube_cache) {
        agent->kube_cache = kube_cache_new(agent->kube);
    }
    log_info("kube", "pods can be asked for", LOG_TEXT("server", kube_server(agent->kube)));
    return EA_OK;
}

void agent_close_kube(struct agent *agent)
{
    if (agent->api != NULL) {
        api_end_pods(agent->api);
    }
    if (agent->kube_cache != NULL) {
        kube_cache_free(agent->kube_cache);
    }
    if (agent->kube != NULL) {
        kube_close(agent->kube);
    }
}
