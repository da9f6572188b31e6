/* What the loop lends to the other files of net/ and to nobody else. Loop thread. */
#ifndef EA_NET_LOOP_PRIVATE_H
#define EA_NET_LOOP_PRIVATE_H

#include "base/slab.h"
#include "net/loop.h"

struct chunk_pool;

struct chunk_pool *loop_chunks(struct loop *loop);

/* A chunk's worth of memory that takes what is thrown away. */
uint8_t *loop_scratch(struct loop *loop);

/* The slab of the loop's plain streams; the first caller's size is the size. */
struct slab *loop_stream_slab(struct loop *loop, size_t object_bytes);

#endif
