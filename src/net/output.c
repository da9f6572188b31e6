#include "net/output.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "net/loop_private.h"

struct chunk *chunk_pool_get(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->idle;

    if (chunk == NULL) {
        /* Not zeroed: only the pages that carry bytes are ever touched. */
        chunk = mem_alloc(sizeof *chunk);
    } else {
        pool->idle = chunk->next;
        pool->n--;
        if (pool->n < pool->unused) {
            pool->unused = pool->n;
        }
    }
    pool->lent++;
    chunk->next = NULL;
    chunk->begin = 0;
    chunk->end = 0;
    return chunk;
}

void chunk_pool_put(struct chunk_pool *pool, struct chunk *chunk)
{
    pool->lent--;
    if (pool->n >= CHUNK_POOL_MAX) {
        mem_free(chunk);
        return;
    }
    chunk->next = pool->idle;
    pool->idle = chunk;
    pool->n++;
}

static void drop(struct chunk_pool *pool)
{
    struct chunk *chunk = pool->idle;

    pool->idle = chunk->next;
    pool->n--;
    mem_free(chunk);
}

bool chunk_pool_trim(struct chunk_pool *pool)
{
    size_t n = pool->unused;

    for (; n > 0 && pool->n > CHUNK_POOL_KEEP; n--) {
        drop(pool);
    }
    pool->unused = pool->n;
    return pool->n > CHUNK_POOL_KEEP;
}

void chunk_pool_fini(struct chunk_pool *pool)
{
    assert(pool->lent == 0); /* else a stream has kept one */
    while (pool->idle != NULL) {
        drop(pool);
    }
}

uint8_t *output_reserve(struct output *out, struct loop *loop, size_t min, size_t *room)
{
    struct chunk *tail = out->tail;

    assert(min <= LOOP_CHUNK_BYTES);
    if (tail == NULL || LOOP_CHUNK_BYTES - tail->end < (min > 0 ? min : 1)) {
        tail = chunk_pool_get(loop_chunks(loop));
        if (out->tail != NULL) {
            out->tail->next = tail;
        } else {
            out->head = tail;
        }
        out->tail = tail;
    }
    *room = LOOP_CHUNK_BYTES - tail->end;
    return tail->bytes + tail->end;
}

void output_commit(struct output *out, size_t n)
{
    if (n == 0) {
        return;
    }
    assert(out->tail != NULL && n <= LOOP_CHUNK_BYTES - out->tail->end);
    out->tail->end += (uint32_t)n;
    out->bytes += n;
}

void output_write(struct output *out, struct loop *loop, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;

    while (n > 0) {
        size_t room;
        uint8_t *to = output_reserve(out, loop, 1, &room);
        size_t part = n < room ? n : room;

        memcpy(to, from, part);
        output_commit(out, part);
        from += part;
        n -= part;
    }
}

unsigned output_peek(const struct output *out, struct iovec *pieces, unsigned max, size_t *n)
{
    unsigned count = 0;

    *n = 0;
    for (struct chunk *chunk = out->head; chunk != NULL && count < max; chunk = chunk->next) {
        size_t size = chunk->end - chunk->begin;

        if (size > 0) {
            pieces[count++] = (struct iovec){chunk->bytes + chunk->begin, size};
            *n += size;
        }
    }
    return count;
}

void output_consume(struct output *out, struct loop *loop, size_t n)
{
    assert(n <= out->bytes);
    out->bytes -= n;
    while (out->head != NULL) {
        struct chunk *chunk = out->head;
        size_t size = chunk->end - chunk->begin;

        if (n < size) {
            chunk->begin += (uint32_t)n;
            return;
        }
        n -= size;
        out->head = chunk->next;
        if (out->head == NULL) {
            out->tail = NULL;
        }
        chunk_pool_put(loop_chunks(loop), chunk);
    }
    assert(n == 0);
}

void output_clear(struct output *out, struct loop *loop)
{
    output_consume(out, loop, out->bytes);
}
