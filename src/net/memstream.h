/* A pair of connected streams in memory, for tests: what is written to one arrives at the other in the next
 * turn of the loop. */
#ifndef EA_NET_MEMSTREAM_H
#define EA_NET_MEMSTREAM_H

#include "net/stream.h"

struct memstream_options {
    size_t capacity; /* bytes one direction takes before the backlog grows; 0: no limit */
    size_t fragment; /* bytes are delivered at most so many at a time; 0: as written */
};

/* options may be NULL: no limits. Both streams must be closed or aborted, also those never started. */
void memstream_pair(struct loop *loop, const struct memstream_options *options, struct stream **a,
                    struct stream **b);

#endif
