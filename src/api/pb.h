/* Shorter words for the names protobuf-c makes of package and message. Internal to api/. */
#ifndef EA_API_PB_H
#define EA_API_PB_H

#include "election_agent.pb-c.h"
#include "health.pb-c.h"

/* The struct of a message of grpc.election_agent.v1: PB(CampaignRequest). */
#define PB(message) Grpc__ElectionAgent__V1__##message

/* The descriptor, by the message's name in snake case. */
#define EA_PB(message)     (&grpc__election_agent__v1__##message##__descriptor)
#define HEALTH_PB(message) (&grpc__health__v1__##message##__descriptor)

#endif
