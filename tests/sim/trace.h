/* What a run did, its last lines kept for the case that it fails, and the one place where a failure is noted.
 */
#ifndef EA_SIM_TRACE_H
#define EA_SIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

#define TRACE_LINES      200
#define TRACE_LINE_BYTES 200

struct trace {
    bool loud;      /* every line to stdout as it comes */
    uint64_t lines; /* so far */
    char ring[TRACE_LINES][TRACE_LINE_BYTES];
    char failed[TRACE_LINE_BYTES]; /* empty: nothing failed; begins with the check's name otherwise */
};

void trace_reset(struct trace *trace, bool loud);
void trace_note(struct trace *trace, struct mono now, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first failure is kept: the later ones follow from it. `check` is the function that found it. */
void trace_fail(struct trace *trace, const char *check, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline bool trace_failed(const struct trace *trace)
{
    return trace->failed[0] != '\0';
}

void trace_print(const struct trace *trace);

#endif
