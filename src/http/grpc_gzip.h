/* gzip of gRPC messages, in only: answers are small and go as they are. Bounded: a bomb ends at the limit. */
#ifndef EA_HTTP_GRPC_GZIP_H
#define EA_HTTP_GRPC_GZIP_H

#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

/*
 * One gzip member, whole and without anything behind it. EA_OK: *out is on the heap (mem_free()), *n its
 * length; EA_CORRUPT: not that; EA_TOO_LARGE: more than `limit` bytes.
 */
enum err grpc_gunzip(struct str message, size_t limit, char **out, size_t *n) EA_MUST_CHECK;

#endif
