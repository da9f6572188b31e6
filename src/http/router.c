#include "http/router.h"

#include <assert.h>

#include "base/mem.h"

struct segment {
    struct str literal; /* p NULL: a parameter */
};

/* A pattern, with the routes of all its methods. */
struct place {
    struct place *next;
    size_t n;
    struct segment segments[ROUTE_SEGMENTS_MAX];
    bool has[HTTP_OTHER]; /* by method */
    int route[HTTP_OTHER];
    char allow[64];
};

/* Places by number of segments; in a list, those with a literal come before those that have a parameter in
 * the same position, so the first that matches is the right one. */
struct router {
    struct place *places[ROUTE_SEGMENTS_MAX + 1];
};

struct router *router_new(void)
{
    return mem_zalloc(sizeof(struct router));
}

void router_free(struct router *router)
{
    for (size_t n = 0; n <= ROUTE_SEGMENTS_MAX; n++) {
        for (struct place *place = router->places[n], *next; place != NULL; place = next) {
            next = place->next;
            mem_free(place);
        }
    }
    mem_free(router);
}

/* <0: a before b, 0: the same pattern (names of parameters do not matter). */
static int compare(const struct place *a, const struct place *b)
{
    for (size_t i = 0; i < a->n; i++) {
        struct str x = a->segments[i].literal;
        struct str y = b->segments[i].literal;
        if ((x.p == NULL) != (y.p == NULL)) {
            return x.p != NULL ? -1 : 1;
        }
        int order = x.p != NULL ? str_cmp(x, y) : 0;
        if (order != 0) {
            return order;
        }
    }
    return 0;
}

static void parse_pattern(struct place *place, const char *pattern)
{
    assert(pattern[0] == '/');
    struct str rest = str_of(pattern + 1);
    struct str part;
    size_t params = 0;
    while (str_split(&rest, '/', &part)) {
        assert(place->n < ROUTE_SEGMENTS_MAX);
        bool param = part.n > 1 && part.p[0] == '{';
        assert(!param || part.p[part.n - 1] == '}');
        params += param;
        assert(params <= ROUTE_PARAMS_MAX);
        if (!param) {
            place->segments[place->n].literal = part;
        }
        place->n++;
    }
}

static void write_allow(struct place *place)
{
    size_t at = 0;
    for (enum http_method method = HTTP_GET; method < HTTP_OTHER; method++) {
        bool allowed =
            place->has[method] || method == HTTP_OPTIONS || (method == HTTP_HEAD && place->has[HTTP_GET]);
        if (allowed) {
            struct str name = str_of(http_method_name(method));
            assert(at + 2 + name.n < sizeof place->allow);
            if (at > 0) {
                memcpy(place->allow + at, ", ", 2);
                at += 2;
            }
            memcpy(place->allow + at, name.p, name.n);
            at += name.n;
        }
    }
    place->allow[at] = '\0';
}

void router_add(struct router *router, enum http_method method, const char *pattern, int route)
{
    assert(method < HTTP_OTHER);
    struct place *place = mem_zalloc(sizeof *place);
    parse_pattern(place, pattern);
    struct place **at = &router->places[place->n];
    while (*at != NULL && compare(*at, place) < 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && compare(*at, place) == 0) {
        mem_free(place);
        place = *at;
    } else {
        place->next = *at;
        *at = place;
    }
    assert(!place->has[method]);
    place->has[method] = true;
    place->route[method] = route;
    write_allow(place);
}

/* Splits the path behind its first '/' and decodes. Returns the number of segments, SIZE_MAX for a malformed
 * escape; paths with too many segments give ROUTE_SEGMENTS_MAX + 1. */
static size_t split(struct str path, struct arena *arena, struct str segments[ROUTE_SEGMENTS_MAX])
{
    bool escaped = memchr(path.p, '%', path.n) != NULL;
    struct str rest = str_from(path.p + 1, path.n - 1);
    size_t n = 0;
    struct str part;
    bool malformed = false;
    while (str_split(&rest, '/', &part)) {
        if (escaped && part.n > 0 && memchr(part.p, '%', part.n) != NULL) {
            char *decoded = arena_alloc(arena, part.n);
            size_t length = str_percent_decode(part, decoded);
            malformed = malformed || length == SIZE_MAX;
            part = str_from(decoded, length);
        }
        if (n < ROUTE_SEGMENTS_MAX) {
            segments[n] = part;
        }
        n++;
    }
    if (malformed) {
        return SIZE_MAX;
    }
    return n <= ROUTE_SEGMENTS_MAX ? n : ROUTE_SEGMENTS_MAX + 1;
}

static bool matches(const struct place *place, const struct str *segments)
{
    for (size_t i = 0; i < place->n; i++) {
        struct str literal = place->segments[i].literal;
        if (literal.p == NULL ? segments[i].n == 0 : !str_eq(literal, segments[i])) {
            return false;
        }
    }
    return true;
}

enum err router_match(const struct router *router, enum http_method method, struct str path,
                      struct arena *arena, struct route_match *match, struct error *error)
{
    *match = (struct route_match){.route = -1};
    struct str segments[ROUTE_SEGMENTS_MAX] = {{NULL, 0}};
    size_t n = ROUTE_SEGMENTS_MAX + 1;
    if (path.n > 0 && path.p[0] == '/') {
        n = split(path, arena, segments);
    }
    if (n == SIZE_MAX) {
        return error_set(error, EA_INVALID,
                         "the path has a %% that is not followed by two hexadecimal digits");
    }
    const struct place *place = n <= ROUTE_SEGMENTS_MAX ? router->places[n] : NULL;
    while (place != NULL && !matches(place, segments)) {
        place = place->next;
    }
    if (place == NULL) {
        return error_set(error, EA_UNKNOWN_METHOD, "there is nothing at this path");
    }
    for (size_t i = 0; i < n; i++) {
        if (place->segments[i].literal.p == NULL) {
            match->params[match->n_params++] = segments[i];
        }
    }
    if (method == HTTP_OPTIONS) {
        match->allow = place->allow;
    }
    if (method == HTTP_HEAD && !place->has[HTTP_HEAD]) {
        method = HTTP_GET;
    }
    if (method >= HTTP_OTHER || !place->has[method]) {
        match->allow = place->allow;
        return error_set(error, EA_BAD_METHOD, "this path knows %s only", place->allow);
    }
    match->route = place->route[method];
    return EA_OK;
}
