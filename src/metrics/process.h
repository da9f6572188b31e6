/*
 * What the system knows of this process.
 */
#ifndef EA_METRICS_PROCESS_H
#define EA_METRICS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

struct process_facts {
    int64_t cpu_us;
    /* Below 0: could not be found out. */
    int64_t resident_bytes;
    int64_t open_fds;
    int64_t max_fds; /* INT64_MAX: no limit */
};

void process_read(struct process_facts *out);

#endif
