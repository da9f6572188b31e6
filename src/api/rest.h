/*
 * REST: paths, queries and JSON bodies to calls, and back; and the pages. Internal to api/.
 */
#ifndef EA_API_REST_H
#define EA_API_REST_H

#include "api/lane.h"
#include "api/methods.h"

#define REST_JSON_TYPE STR("application/json; charset=utf-8")

/* The routes of methods.def: all of them, or those of the admin port; with or without the metrics page.
 * Immutable; shared by loops. */
struct rest *rest_new(bool admin, bool metrics);
void rest_free(struct rest *rest);

/* Answers a request that has come in whole, now or later. */
void rest_request(const struct rest *rest, struct exchange *ex, struct api_lane *lane);

/* {"message": ...} */
void rest_fail(struct exchange *ex, int status, struct str message);

#endif
