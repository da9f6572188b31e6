/*
 * The Redis store (spec: redis.md, protocol.md): a quorum over independent Redis servers. The protocol is
 * core/quorum; this room moves its commands. internal.h names the parts.
 */
#ifndef EA_STORE_REDIS_REDIS_H
#define EA_STORE_REDIS_REDIS_H

#include "store/store.h"

extern const struct store_ops store_redis_ops;

#endif
