#include "http/h2_guard.h"

#include <assert.h>

#include <nghttp2/nghttp2.h>

#define SECOND_US 1000000

void h2_guard_init(struct h2_guard *guard, int64_t ping_min_us, struct mono now)
{
    *guard = (struct h2_guard){
        .ping_min_us = ping_min_us,
        .last_ping = {INT64_MIN / 2},
        .filled = now,
        .quiet = H2_GUARD_QUIET_MAX,
        .resets = H2_GUARD_RESETS,
    };
}

static uint16_t raised(uint16_t allowance, int64_t by, uint16_t most)
{
    return by >= most - allowance ? most : (uint16_t)(allowance + by);
}

/* Whole grains of time only, so that many calls a millisecond lose nothing to rounding. */
static void fill(struct h2_guard *guard, struct mono now)
{
    const int64_t grain_us = SECOND_US / H2_GUARD_QUIET_PER_SECOND;
    _Static_assert(H2_GUARD_RESETS == H2_GUARD_QUIET_PER_SECOND, "one grain of time adds one of each");
    int64_t grains = mono_sub(now, guard->filled) / grain_us;
    if (grains > 0) {
        guard->filled = mono_add_us(guard->filled, grains * grain_us);
        guard->quiet = raised(guard->quiet, grains, H2_GUARD_QUIET_MAX);
        guard->resets = raised(guard->resets, grains, H2_GUARD_RESETS);
    }
}

enum h2_verdict h2_guard_frame(struct h2_guard *guard, uint8_t type, uint8_t flags, size_t length,
                               struct mono now)
{
    uint16_t cost = 1;
    switch (type) {
    case NGHTTP2_HEADERS:
        guard->quiet = raised(guard->quiet, H2_GUARD_QUIET_PER_REQUEST, H2_GUARD_QUIET_MAX);
        return H2_FINE;
    case NGHTTP2_DATA:
        if (length > 0 || (flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            return H2_FINE;
        }
        break;
    case NGHTTP2_SETTINGS:
        /* Its acknowledgement answers one of ours. */
        cost = (flags & NGHTTP2_FLAG_ACK) != 0 ? 1 : H2_GUARD_SETTINGS_COST;
        break;
    default:
        break;
    }
    if (guard->quiet < cost) {
        fill(guard, now);
        if (guard->quiet < cost) {
            return H2_TOO_MANY_FRAMES;
        }
    }
    guard->quiet = (uint16_t)(guard->quiet - cost);
    return H2_FINE;
}

enum h2_verdict h2_guard_ping(struct h2_guard *guard, struct mono now)
{
    /* A tenth is forgiven: the network does not delay every ping by the same time. */
    bool early = mono_sub(now, guard->last_ping) < guard->ping_min_us - guard->ping_min_us / 10;
    guard->last_ping = now;
    if (early && ++guard->strikes > H2_GUARD_PING_STRIKES) {
        return H2_TOO_MANY_PINGS;
    }
    return H2_FINE;
}

enum h2_verdict h2_guard_reset(struct h2_guard *guard, struct mono now)
{
    fill(guard, now);
    if (guard->resets == 0) {
        return H2_TOO_MANY_RESETS;
    }
    guard->resets--;
    return H2_FINE;
}

void h2_guard_answered(struct h2_guard *guard)
{
    guard->strikes = 0;
    guard->last_ping = (struct mono){INT64_MIN / 2};
    guard->quiet = raised(guard->quiet, H2_GUARD_QUIET_PER_ANSWER, H2_GUARD_QUIET_MAX);
}

const char *h2_verdict_text(enum h2_verdict verdict)
{
    static const char *const texts[H2_VERDICTS] = {
        [H2_FINE] = "",
        [H2_TOO_MANY_PINGS] = "too_many_pings",
        [H2_TOO_MANY_RESETS] = "too_many_resets",
        [H2_TOO_MANY_FRAMES] = "too_many_frames",
        [H2_TOO_MANY_HEADERS] = "too_many_headers",
    };
    assert(verdict < H2_VERDICTS);
    return texts[verdict];
}
