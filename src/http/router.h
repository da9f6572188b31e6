/*
 * REST routes: patterns such as "/election/{kind}/{name}" to a number, percent-decoded segments out. A
 * pattern of n segments is matched only by paths of n segments; a literal segment wins over a parameter.
 * Deciding code; the table is built once and shared by loops.
 */
#ifndef EA_HTTP_ROUTER_H
#define EA_HTTP_ROUTER_H

#include "base/arena.h"
#include "base/error.h"
#include "base/str.h"
#include "http/exchange.h"

#define ROUTE_PARAMS_MAX   4
#define ROUTE_SEGMENTS_MAX 8

struct router;

struct route_match {
    int route; /* what router_add() was given */
    struct str
        params[ROUTE_PARAMS_MAX]; /* in order of the pattern; decoded, in the arena or the path itself */
    size_t n_params;
    const char *allow; /* EA_BAD_METHOD and OPTIONS: the methods there are, for the Allow header; the
                          router's */
};

/* Without routes. Free it when no match is in use. */
struct router *router_new(void);
void router_free(struct router *router);

/* `pattern` must outlive the router. Conflicting patterns are a bug and asserted against. */
void router_add(struct router *router, enum http_method method, const char *pattern, int route);

/*
 * EA_OK; EA_UNKNOWN_METHOD: no such path (404); EA_BAD_METHOD: path known, method not (405 with allow);
 * EA_INVALID: a malformed escape. HEAD matches GET. A parameter is never empty, so that a trailing slash is
 * another path. A segment is decoded after the path was split: "%2F" stays inside a name, and "%65" is an "e"
 * in literals too. Allocates (in the arena) only where there is something to decode.
 */
enum err router_match(const struct router *router, enum http_method method, struct str path,
                      struct arena *arena, struct route_match *match, struct error *error) EA_MUST_CHECK;

#endif
