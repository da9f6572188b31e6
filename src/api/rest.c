#include "api/rest.h"

#include <assert.h>

#include "api/body.h"
#include "api/call.h"
#include "api/jwriter.h"
#include "api/message.h"
#include "api/services.h"
#include "base/mem.h"
#include "http/router.h"

/* Most answers are smaller; longer ones move to the arena. */
#define ANSWER_BYTES 512

/* What a path leads to: a method, or a page. */
struct rest_route {
    const struct api_method *method; /* NULL: a page */
    const struct api_page *page;
    /* The request's field that each parameter of the path sets. */
    const ProtobufCFieldDescriptor *params[ROUTE_PARAMS_MAX];
    uint64_t from_path; /* fields that neither body nor query can set: a bit for each */
};

struct rest {
    struct router *router;
    size_t n_routes;
    struct rest_route routes[2 * METHOD_COUNT + API_PAGES];
};

/* Takes the name of the next "{parameter}" from the front of *pattern. False: no more. */
static bool next_param(const char **pattern, struct str *name)
{
    const char *open = strchr(*pattern, '{');
    if (open == NULL) {
        return false;
    }
    const char *shut = strchr(open, '}');
    assert(shut != NULL);
    *name = str_from(open + 1, (size_t)(shut - open) - 1);
    *pattern = shut + 1;
    return true;
}

/* The fields that a pattern's parameters name; their bits. */
static uint64_t fields_of(const char *pattern, const ProtobufCMessageDescriptor *type,
                          const ProtobufCFieldDescriptor *fields[ROUTE_PARAMS_MAX])
{
    uint64_t bits = 0;
    struct str name = {NULL, 0};
    for (size_t i = 0; next_param(&pattern, &name); i++) {
        assert(i < ROUTE_PARAMS_MAX);
        fields[i] = message_field(type, name);
        assert(fields[i] != NULL);
        bits |= UINT64_C(1) << (fields[i] - type->fields);
    }
    return bits;
}

static struct rest_route *add_route(struct rest *rest, enum http_method verb, const char *pattern)
{
    assert(rest->n_routes < ARRAY_LENGTH(rest->routes));
    router_add(rest->router, verb, pattern, (int)rest->n_routes);
    return &rest->routes[rest->n_routes++];
}

static void add_method(struct rest *rest, const struct api_method *method)
{
    struct rest_route *route = add_route(rest, method->verb, method->path);
    route->method = method;
    route->from_path = fields_of(method->path, method->request, route->params);
    if (method->short_path != NULL) {
        struct rest_route *brief = add_route(rest, method->verb, method->short_path);
        brief->method = method;
        fields_of(method->short_path, method->request, brief->params);
        /* The kind comes from the path even where the path leaves it out: it is `default` then. */
        brief->from_path = route->from_path;
    }
}

struct rest *rest_new(bool admin, bool metrics)
{
    struct rest *rest = mem_zalloc(sizeof *rest);
    rest->router = router_new();
    for (size_t i = 0; i < METHOD_COUNT && !admin; i++) {
        if (api_methods[i].path != NULL) {
            add_method(rest, &api_methods[i]);
        }
    }
    for (size_t i = 0; i < API_PAGES; i++) {
        const struct api_page *page = &api_pages[i];
        if (page->handle == page_metrics ? metrics : !admin || page->admin) {
            add_route(rest, HTTP_GET, page->path)->page = page;
        }
    }
    return rest;
}

void rest_free(struct rest *rest)
{
    router_free(rest->router);
    mem_free(rest);
}

/* --- answers --- */

static void answer_json(struct exchange *ex, int status, const struct jwriter *json)
{
    const struct http_field fields[] = {{STR("content-type"), REST_JSON_TYPE}};
    exchange_answer(ex, status, fields, 1, jwriter_str(json));
}

void rest_fail(struct exchange *ex, int status, struct str message)
{
    char room[ANSWER_BYTES];
    struct jwriter json;
    jwriter_init(&json, &ex->arena, room, sizeof room);
    jwriter_object(&json, NULL);
    jwriter_text(&json, "message", message);
    jwriter_end(&json);
    answer_json(ex, status, &json);
}

/* Which methods a path has: to OPTIONS, and to a method that it has not. */
static void answer_allow(struct exchange *ex, int status, struct str allow)
{
    static const char body[] = "{\"message\":\"method not allowed; the Allow header lists those that are\"}";
    const struct http_field fields[] = {{STR("allow"), allow}, {STR("content-type"), REST_JSON_TYPE}};
    if (status == 204) {
        exchange_answer(ex, status, fields, 1, STR(""));
    } else {
        exchange_answer(ex, status, fields, 2, str_of(body));
    }
}

static void send_answer(struct call *call, enum err err, const ProtobufCMessage *response, struct str message)
{
    char room[ANSWER_BYTES];
    struct jwriter json;
    jwriter_init(&json, call->arena, room, sizeof room);
    if (err == EA_OK) {
        call->method->answer(&json, response);
    } else {
        jwriter_object(&json, NULL);
        if (call->method->id == METHOD_GET_LEADER && err == EA_NOT_FOUND) {
            jwriter_text(&json, "leader", STR("")); /* clients look at it without looking at the status */
        }
        jwriter_text(&json, "message", message);
        jwriter_end(&json);
    }
    answer_json(call->ex, err_http(err), &json);
}

static void lost(struct exchange *ex)
{
    call_lost(ex->user);
}

/* --- requests --- */

static enum err read_path(ProtobufCMessage *request, const struct rest_route *route,
                          const struct route_match *match, struct arena *arena, struct error *error)
{
    for (size_t i = 0; i < match->n_params; i++) {
        enum err err = message_set_text(request, route->params[i], match->params[i], arena, error);
        if (err != EA_OK) {
            return err;
        }
    }
    return EA_OK;
}

static enum err read_request(struct call *call, const struct rest_route *route,
                             const struct route_match *match, struct error *error)
{
    const struct exchange *ex = call->ex;
    ProtobufCMessage *request = message_new(call->method->request, call->arena);
    call->request = request;
    enum err err = read_path(request, route, match, call->arena, error);
    if (err != EA_OK) {
        return err;
    }
    return call->method->verb == HTTP_GET
               ? body_read_query(request, ex->query, route->from_path, call->arena, error)
               : body_read(request, ex->body, route->from_path, call->arena, error);
}

static void run_method(const struct rest_route *route, const struct route_match *match, struct exchange *ex,
                       struct api_lane *lane)
{
    struct call *call = call_new(lane, route->method, ex);
    call->send = send_answer;
    ex->user = call;
    ex->on_gone = lost;
    if (!call_admit(call)) {
        return;
    }
    struct error error = ERROR_NONE;
    enum err err = read_request(call, route, match, &error);
    if (err != EA_OK) {
        call_fail(call, err, str_of(error.text));
        return;
    }
    call_run(call); /* all that it needs is in the arena now */
}

static void run_route(const struct rest_route *route, const struct route_match *match, struct exchange *ex,
                      struct api_lane *lane)
{
    if (route->method != NULL) {
        run_method(route, match, ex, lane);
    } else {
        route->page->handle(ex, lane);
    }
}

void rest_request(const struct rest *rest, struct exchange *ex, struct api_lane *lane)
{
    if (ex->method == HTTP_OPTIONS && str_eq(ex->path, STR("*"))) {
        answer_allow(ex, 204, STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        return;
    }
    struct route_match match = {.route = -1};
    struct error error = ERROR_NONE;
    enum err err = router_match(rest->router, ex->method, ex->path, &ex->arena, &match, &error);
    if (ex->method == HTTP_OPTIONS && match.allow != NULL) {
        answer_allow(ex, 204, str_of(match.allow));
    } else if (err == EA_BAD_METHOD) {
        answer_allow(ex, 405, str_of(match.allow));
    } else if (err == EA_UNKNOWN_METHOD) {
        rest_fail(ex, 404, STR("no such path"));
    } else if (err != EA_OK) {
        rest_fail(ex, err_http(err), str_of(error.text));
    } else {
        run_route(&rest->routes[match.route], &match, ex, lane);
    }
}
