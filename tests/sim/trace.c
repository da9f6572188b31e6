/* What a run did: see trace.h. */
#include "trace.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define US_PER_MS 1000

void trace_reset(struct trace *trace, bool loud)
{
    trace->loud = loud;
    trace->lines = 0;
    trace->failed[0] = '\0';
}

void trace_note(struct trace *trace, struct mono now, const char *format, ...)
{
    char *line = trace->ring[trace->lines++ % TRACE_LINES];
    int n =
        snprintf(line, TRACE_LINE_BYTES, "%9" PRId64 ".%03d ", now.us / US_PER_MS, (int)(now.us % US_PER_MS));
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line + n, (size_t)(TRACE_LINE_BYTES - n), format, args);
    va_end(args);
    if (trace->loud) {
        (void)puts(line);
    }
}

void trace_fail(struct trace *trace, const char *check, const char *format, ...)
{
    if (trace_failed(trace)) {
        return;
    }
    int n = snprintf(trace->failed, sizeof trace->failed, "%s: ", check);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(trace->failed + n, sizeof trace->failed - (size_t)n, format, args);
    va_end(args);
}

void trace_print(const struct trace *trace)
{
    uint64_t first = trace->lines > TRACE_LINES ? trace->lines - TRACE_LINES : 0;
    for (uint64_t i = first; !trace->loud && i < trace->lines; i++) {
        (void)puts(trace->ring[i % TRACE_LINES]);
    }
}
