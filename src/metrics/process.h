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

/* From /proc and getrusage(); any thread. */
void process_read(struct process_facts *out);

/* How many file descriptors the directory /proc/self/fd lists, without the one that lists them: what is left
 * before Linux 6.2. Below 0: cannot be listed. */
int64_t process_list_fds(const char *directory);

#endif
