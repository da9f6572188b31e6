/* What a server's error means for us, and what cures it (spec: redis.md, "Connections"). */
#ifndef EA_STORE_REDIS_FAILURE_H
#define EA_STORE_REDIS_FAILURE_H

#include <stdbool.h>

#include "base/str.h"

struct redis_failure {
    struct str word;  /* "READONLY"; empty in the last row: any other */
    const char *cure; /* "it is a replica: ..." */
};

/* The row of an error reply's text, also of one that a script passed on. Never NULL. */
const struct redis_failure *redis_failure_of(struct str error);

bool redis_failure_is(const struct redis_failure *failure, const char *word);

#endif
