/* Paths: whatever comes, the router answers with one of its four results, decoded segments are inside what it
 * was given, and its words can be shown. */
#include <assert.h>
#include <stdint.h>

#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct router *router = router_new();
    router_add(router, HTTP_GET, "/", 1);
    router_add(router, HTTP_POST, "/election/{kind}/{name}", 2);
    router_add(router, HTTP_GET, "/election/{name}", 3);
    router_add(router, HTTP_GET, "/election/{kind}/{name}/events", 4);
    router_add(router, HTTP_GET, "/a/{1}/{2}/{3}/{4}", 5);

    struct arena arena;
    arena_init(&arena, NULL, 0);
    struct route_match match;
    struct error error = ERROR_NONE;
    struct str path = str_from(data + 1, size - 1);
    enum err err =
        router_match(router, (enum http_method)(data[0] % (HTTP_OTHER + 1)), path, &arena, &match, &error);
    size_t decoded = 0;
    switch (err) {
    case EA_OK:
        assert(match.route >= 1 && match.route <= 5 && match.n_params <= ROUTE_PARAMS_MAX);
        for (size_t i = 0; i < match.n_params; i++) {
            assert(match.params[i].n > 0);
            decoded += match.params[i].n;
        }
        assert(decoded < path.n);
        break;
    case EA_BAD_METHOD:
        assert(match.allow != NULL);
        break;
    case EA_UNKNOWN_METHOD:
        assert(match.route == -1 && match.allow == NULL);
        break;
    case EA_INVALID:
        assert(memchr(path.p, '%', path.n) != NULL);
        break;
    default:
        assert(false);
    }
    arena_reset(&arena);
    router_free(router);
    return 0;
}
