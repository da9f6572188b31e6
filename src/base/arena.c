#include "base/arena.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/mem.h"

#define ALIGNMENT       16
#define BLOCK_BYTES     ((size_t)4 * 1024)
#define BLOCK_BYTES_MAX ((size_t)64 * 1024)

/* Followed by its bytes. */
struct arena_block {
    struct arena_block *next;
    size_t bytes;
};

_Static_assert(sizeof(struct arena_block) % ALIGNMENT == 0, "what follows the head of a block is aligned");

static void start(struct arena *arena)
{
    arena->at = arena->first;
    arena->end = arena->first_bytes > 0 ? arena->first + arena->first_bytes : arena->first;
}

void arena_init(struct arena *arena, void *block, size_t bytes)
{
    assert((uintptr_t)block % ALIGNMENT == 0);
    arena->first = block;
    arena->first_bytes = block != NULL ? bytes & ~(size_t)(ALIGNMENT - 1) : 0;
    arena->blocks = NULL;
    start(arena);
}

void arena_reset(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        mem_free(block);
    }
    start(arena);
}

/*
 * Blocks double, so that an arena of many bytes takes few of them. What is left of the block before is given
 * up, unless n is so large that it gets a block of its own: then the current block stays current.
 */
void *arena_alloc_slow(struct arena *arena, size_t n)
{
    size_t before = arena->blocks != NULL ? arena->blocks->bytes : 0;
    size_t bytes = before == 0 ? BLOCK_BYTES : 2 * before;
    bytes = bytes > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : bytes;
    assert(n < SIZE_MAX / 2);
    n = (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    bool alone = n > bytes / 2;
    struct arena_block *block = mem_alloc(sizeof *block + (alone ? n : bytes));
    char *memory = (char *)(block + 1);
    if (alone && arena->blocks != NULL) {
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    block->bytes = alone ? 0 : bytes;
    if (!alone) {
        arena->at = memory + n;
        arena->end = memory + bytes;
    }
    return memory;
}

void *arena_zalloc(struct arena *arena, size_t n)
{
    return memset(arena_alloc(arena, n), 0, n);
}

struct str arena_str(struct arena *arena, struct str s)
{
    char *copy = arena_alloc(arena, s.n + 1);
    if (s.n > 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return (struct str){copy, s.n};
}

struct str arena_format(struct arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = (size_t)(arena->end - arena->at);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(arena->at, room, format, args);
    va_end(args);
    assert(length >= 0); /* only a broken format or multibyte text asked for by %ls fails */
    size_t n = (size_t)length;
    char *text = arena_alloc(arena, n + 1); /* where it was just written, if there was room */
    if (n + 1 > room) {
        vsnprintf(text, n + 1, format, again);
    }
    va_end(again);
    return (struct str){text, n};
}
