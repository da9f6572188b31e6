/*
 * When an HTTP/2 client has asked for more work than it brought: the rules against floods. Deciding code:
 * frames and times come in, a verdict goes out. One per connection, caller's memory.
 *
 * Three rules:
 *  - pings (gRPC's rule, doc/keepalive.md there): a PING sooner than ping_min_us after the last one is a
 * strike, the third ends the connection; whatever we send of an answer forgives all;
 *  - resets (CVE-2023-44487 "rapid reset", CVE-2025-8671 "made you reset"): streams that ended by RST_STREAM,
 *    whoever was brought to send it, H2_GUARD_RESETS a second;
 *  - quiet frames: all that neither asks nor carries anything (SETTINGS, PRIORITY, WINDOW_UPDATE, PING, empty
 *    DATA). What nghttp2 skips unseen (unknown types, frames of closed streams) costs its reading only. A
 * connection has an allowance of them that grows with time, with requests and with what we send it, so that a
 * client pays for its noise with real work.
 */
#ifndef EA_HTTP_H2_GUARD_H
#define EA_HTTP_H2_GUARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define H2_GUARD_PING_STRIKES 2
#define H2_GUARD_RESETS       100
/* The allowance of quiet frames: its most, what a second adds, what a request, and a frame of an answer add.
 */
#define H2_GUARD_QUIET_MAX         1000
#define H2_GUARD_QUIET_PER_SECOND  100
#define H2_GUARD_QUIET_PER_REQUEST 8
#define H2_GUARD_QUIET_PER_ANSWER  2
/* A SETTINGS frame costs more: it is acknowledged, and may make us rebuild a table. */
#define H2_GUARD_SETTINGS_COST 10

enum h2_verdict {
    H2_FINE,
    H2_TOO_MANY_PINGS,
    H2_TOO_MANY_RESETS,
    H2_TOO_MANY_FRAMES,
    H2_TOO_MANY_HEADERS, /* far more header bytes than the limit, though it was told */
    H2_VERDICTS
};

struct h2_guard {
    int64_t ping_min_us; /* 0: pings are free */
    struct mono last_ping;
    struct mono filled; /* when the allowances last grew */
    uint16_t quiet;     /* allowances left */
    uint16_t resets;
    uint8_t strikes;
};

/* ping_min_us: 0 makes pings free. The caller's memory, nothing to free. */
void h2_guard_init(struct h2_guard *guard, int64_t ping_min_us, struct mono now);

/* A frame's header has come. Not for RST_STREAM, see below; PING also has a rule of its own. */
enum h2_verdict h2_guard_frame(struct h2_guard *guard, uint8_t type, uint8_t flags, size_t length,
                               struct mono now);
enum h2_verdict h2_guard_ping(struct h2_guard *guard, struct mono now);

/* A stream was reset: by the client, or by us for what the client did to it. */
enum h2_verdict h2_guard_reset(struct h2_guard *guard, struct mono now);

/* A frame of an answer (HEADERS, DATA) was sent. */
void h2_guard_answered(struct h2_guard *guard);

/* The debug data of GOAWAY ENHANCE_YOUR_CALM. gRPC's clients know "too_many_pings" and ping less. */
const char *h2_verdict_text(enum h2_verdict verdict);

#endif
