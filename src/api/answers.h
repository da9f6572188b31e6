/* How successful answers look in JSON (spec: api.md, "HTTP (JSON)"). One function a REST method. */
#ifndef EA_API_ANSWERS_H
#define EA_API_ANSWERS_H

#include <protobuf-c/protobuf-c.h>

#include "api/jwriter.h"

/* Each writes one object; `response` is the message that the method's gRPC answer would be. */
void answer_campaign(struct jwriter *json, const ProtobufCMessage *response);
void answer_extend(struct jwriter *json, const ProtobufCMessage *response);
void answer_resign(struct jwriter *json, const ProtobufCMessage *response);
void answer_handover(struct jwriter *json, const ProtobufCMessage *response);
void answer_leader(struct jwriter *json, const ProtobufCMessage *response);
void answer_leaders(struct jwriter *json, const ProtobufCMessage *response);
void answer_pods(struct jwriter *json, const ProtobufCMessage *response);

#endif
