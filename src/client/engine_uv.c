#include "client/engine_uv.h"

#include <pthread.h>

#include <uv.h>

#include "base/mem.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void replace(void)
{
    (void)uv_replace_allocator(mem_try_alloc, mem_try_realloc, mem_try_zalloc, mem_free);
}

void engine_own_libuv(void)
{
    (void)pthread_once(&once, replace);
}
