/* A lane: what the API keeps per event loop. Internal to api/. Touched on its loop's thread only. */
#ifndef EA_API_LANE_H
#define EA_API_LANE_H

#include <stdatomic.h>

#include "api/api.h"
#include "api/rate.h"
#include "http/grpc.h"

struct health_watch;
struct pods_call;
struct rest;

struct api_lane {
    struct api *api;
    struct loop *loop;
    struct store *store;
    struct metrics_lane *metrics;
    unsigned index;
    struct grpc_server *grpc;
    struct rate rate;
    struct health_watch *watches; /* streams of Health.Watch */
    struct pods_call *pods;       /* calls that wait for the API server */
    /* One message is enough for any number of changes: it is posted by whoever finds it unposted. */
    struct loop_message readiness;
    atomic_bool readiness_posted;
};

struct api {
    struct api_options options; /* `loops` is the api's own */
    struct rest *rest;          /* immutable */
    struct rest *admin;         /* the admin handler's; immutable */
    atomic_bool draining;
    atomic_uint_fast64_t rate; /* calls a second for each lane; 0: no limit */
    struct api_lane lanes[];
};

#endif
