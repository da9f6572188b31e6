/*
 * The flight recorder: a ring in memory that keeps the last events of the process (state changes, closed
 * connections, late turns), cheap enough to be always on. It is written out when the process dies by an
 * assertion or a fault, and on request (SIGUSR1). Any thread; a record costs one atomic addition.
 */
#ifndef EA_BASE_FLIGHT_H
#define EA_BASE_FLIGHT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"

#define FLIGHT_RECORDS 4096

/* The longest line of the text, and an upper bound of all of it. */
#define FLIGHT_LINE_BYTES 160

/* `what` must be a string literal; a and b are whatever helps (an id, a state, microseconds). */
void flight_note(struct mono now, const char *what, uint64_t a, uint64_t b);

/*
 * The records, oldest first, as text, one a line: "seconds.microseconds what a b". Those that are being
 * written right now are left out.
 */
void flight_dump(struct buf *out);

/* Async-signal-safe: writes the same to fd. */
void flight_dump_fd(int fd);

/*
 * Installs handlers for SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE that write the recorder to stderr and die as
 * before. Once, before threads start. They run on a stack of their own on the calling thread, so an
 * overflowing stack is written about too; on other threads only faults that leave some stack are.
 */
void flight_install(void);

#endif
