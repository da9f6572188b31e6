/*
 * How long this node leads, and with which token: what election_is_leader(), election_revision() and on_start's context
 * read on any thread without a lock. On a page of its own that a fork empties: a child reads zeros, which is nobody's
 * leadership.
 *
 * Once a deadline has passed and somebody was told so, the leadership is over for good: a renewal that comes later does
 * not bring it back. Otherwise on_start could see the end and return, and the node would lead on with nobody at work.
 */
#ifndef EA_CLIENT_TERM_H
#define EA_CLIENT_TERM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* All zeros: no leadership, in a child of the process that set `alive`. */
struct election_term {
    _Atomic uint64_t alive; /* 1 in the process that made it */
    _Atomic int64_t until_us;
    _Atomic uint64_t token;
};

/* --- the loop's thread --- */

/* A deadline is never used twice, so that a reader that finds it unchanged has read its token. */
void term_begin(struct election_term *term, struct mono until, uint64_t token);

/* False: the deadline before was over at `now`, or seen to be over; there is no leadership any more. */
bool term_prolong(struct election_term *term, struct mono until, struct mono now);

void term_end(struct election_term *term);

/* --- any thread --- */

/* The deadline, or 0 if there is none after `now`; then it stays 0 until the next leadership. */
int64_t term_until_us(struct election_term *term, struct mono now);

/* The token of the leadership, 0 where term_until_us() is. */
uint64_t term_token(struct election_term *term, struct mono now);

bool term_is_forked(const struct election_term *term);

#endif
