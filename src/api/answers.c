#include "api/answers.h"

#include "api/pb.h"

/* The messages begin with their ProtobufCMessage, so the pointers are the same. */
#define AS(name) ((const PB(name) *)(const void *)response)

void answer_campaign(struct jwriter *json, const ProtobufCMessage *response)
{
    const PB(CampaignResult) *result = AS(CampaignResult);
    jwriter_object(json, NULL);
    jwriter_bool(json, "elected", result->elected);
    jwriter_text(json, "leader", str_of(result->leader));
    jwriter_text(json, "kind", str_of(result->kind));
    jwriter_token(json, "token", result->token);
    jwriter_int(json, "expires_in", result->expires_in);
    jwriter_end(json);
}

void answer_extend(struct jwriter *json, const ProtobufCMessage *response)
{
    const PB(BoolValue) *value = AS(BoolValue);
    jwriter_object(json, NULL);
    jwriter_token(json, "token", value->token);
    jwriter_int(json, "expires_in", value->expires_in);
    jwriter_end(json);
}

void answer_resign(struct jwriter *json, const ProtobufCMessage *response)
{
    jwriter_object(json, NULL);
    jwriter_end(json);
}

void answer_handover(struct jwriter *json, const ProtobufCMessage *response)
{
    answer_extend(json, response);
}

void answer_leader(struct jwriter *json, const ProtobufCMessage *response)
{
    const PB(StringValue) *value = AS(StringValue);
    jwriter_object(json, NULL);
    jwriter_text(json, "leader", str_of(value->value));
    jwriter_token(json, "token", value->token);
    jwriter_int(json, "expires_in", value->expires_in);
    jwriter_end(json);
}

void answer_leaders(struct jwriter *json, const ProtobufCMessage *response)
{
    const PB(Leaders) *page = AS(Leaders);
    jwriter_object(json, NULL);
    jwriter_array(json, "leaders");
    for (size_t i = 0; i < page->n_leaders; i++) {
        jwriter_object(json, NULL);
        jwriter_text(json, "election", str_of(page->leaders[i]->election));
        jwriter_text(json, "name", str_of(page->leaders[i]->name));
        jwriter_token(json, "token", page->leaders[i]->token);
        jwriter_end(json);
    }
    jwriter_end(json);
    jwriter_text(json, "next_page_token", str_of(page->next_page_token));
    jwriter_end(json);
}

static void pod_status(struct jwriter *json, const PB(PodStatus) * status)
{
    static const PB(PodStatus) none = GRPC__ELECTION_AGENT__V1__POD_STATUS__INIT;
    status = status != NULL ? status : &none;
    jwriter_object(json, "status");
    jwriter_text(json, "phase", str_of(status->phase));
    jwriter_text(json, "reason", str_of(status->reason));
    jwriter_bool(json, "terminating", status->terminating);
    jwriter_bool(json, "podScheduled", status->podscheduled);
    jwriter_bool(json, "podInitialized", status->podinitialized);
    jwriter_bool(json, "podReady", status->podready);
    jwriter_bool(json, "containersReady", status->containersready);
    jwriter_end(json);
}

static void replica_set(struct jwriter *json, const PB(ReplicaSet) * set)
{
    static const PB(ReplicaSet) none = GRPC__ELECTION_AGENT__V1__REPLICA_SET__INIT;
    set = set != NULL ? set : &none;
    jwriter_object(json, "replicaSet");
    jwriter_text(json, "name", str_of(set->name));
    jwriter_int(json, "revision", set->revision);
    jwriter_int(json, "availableReplicas", set->availablereplicas);
    jwriter_int(json, "fullyLabeledReplicas", set->fullylabeledreplicas);
    jwriter_int(json, "readyReplicas", set->readyreplicas);
    jwriter_int(json, "replicas", set->replicas);
    jwriter_int(json, "desiredReplicas", set->desiredreplicas);
    jwriter_int(json, "maxReplicas", set->maxreplicas);
    jwriter_end(json);
}

void answer_pods(struct jwriter *json, const ProtobufCMessage *response)
{
    const PB(Pods) *pods = AS(Pods);
    jwriter_object(json, NULL);
    jwriter_array(json, "items");
    for (size_t i = 0; i < pods->n_items; i++) {
        const PB(Pod) *pod = pods->items[i];
        jwriter_object(json, NULL);
        jwriter_text(json, "name", str_of(pod->name));
        jwriter_text(json, "deployment", str_of(pod->deployment));
        jwriter_text(json, "ip", str_of(pod->ip));
        pod_status(json, pod->status);
        replica_set(json, pod->replicaset);
        jwriter_end(json);
    }
    jwriter_end(json);
    jwriter_end(json);
}
