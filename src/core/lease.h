/*
 * The arithmetic of leases: what a term is worth. Deciding code.
 */
#ifndef EA_CORE_LEASE_H
#define EA_CORE_LEASE_H

#include <stdint.h>

#include "base/clock.h"

/* Clocks run within 1 % of each other's speed; 2 ms covers the resolution of timers (spec: elections.md,
 * "validity"). */
int64_t lease_drift_us(int64_t term_ms);

/* When the holder must stop believing: start + term - drift. */
struct mono lease_valid_until(struct mono start, int64_t term_ms);

/* What is left of a validity in whole milliseconds, rounded down; never negative. */
int64_t lease_left_ms(struct mono valid_until, struct mono now);

/* An operation never shortens what was promised: the later of now + term and the present expiry (invariant
 * L3). */
struct mono lease_expiry(struct mono now, int64_t term_ms, struct mono present);

#endif
