/*
 * The time of the servers beside a store under test: shared memory from which server_clock.c, loaded into a real
 * server before its libc, answers when that asks for the time. So one hand moves the clocks of the store and of its
 * servers together, an hour in a microsecond, and what the suite says about time holds to the millisecond.
 */
#ifndef EA_CONFORMANCE_SERVER_CLOCK_H
#define EA_CONFORMANCE_SERVER_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

#define SERVER_CLOCK_VARIABLE "ELECTION_TEST_SERVER_CLOCK" /* names the file that is mapped */

struct server_clock {
    _Atomic int64_t mono_us;
    _Atomic int64_t wall_us;
};

#endif
