#include "api/rest.h"

#include <assert.h>

#include "api/body.h"
#include "api/call.h"
#include "api/jwriter.h"
#include "api/message.h"
#include "api/services.h"

/* Most answers are smaller; longer ones move to the arena. */
#define ANSWER_BYTES 512

/*
 * A route's number tells what it is: a method by its path, by its short path, or a page.
 */
enum { ROUTE_PATH = 0, ROUTE_SHORT_PATH = METHOD_COUNT, ROUTE_PAGE = 2 * METHOD_COUNT };

struct router *rest_router_new(bool admin, bool metrics)
{
    struct router *router = router_new();
    for (size_t i = 0; i < METHOD_COUNT && !admin; i++) {
        const struct api_method *method = &api_methods[i];
        if (method->path != NULL) {
            router_add(router, method->verb, method->path, ROUTE_PATH + (int)i);
        }
        if (method->short_path != NULL) {
            router_add(router, method->verb, method->short_path, ROUTE_SHORT_PATH + (int)i);
        }
    }
    for (size_t i = 0; i < api_n_pages; i++) {
        bool here = api_pages[i].handle == page_metrics ? metrics : !admin || api_pages[i].admin;
        if (here) {
            router_add(router, HTTP_GET, api_pages[i].path, ROUTE_PAGE + (int)i);
        }
    }
    return router;
}

/* --- answers ------------------------------------------------------------------------------------------- */

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

/* --- requests ------------------------------------------------------------------------------------------ */

/* A parameter of a pattern: takes "{kind}" from the front of *pattern. False: no more. */
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

/* Whether the field comes from the path. `kind` does even where the path leaves it out: its place is there.
 */
static bool in_path(const void *arg, const ProtobufCFieldDescriptor *field)
{
    const struct api_method *method = arg;
    const char *pattern = method->path;
    struct str name;
    while (next_param(&pattern, &name)) {
        if (str_eq(name, str_of(field->name))) {
            return true;
        }
    }
    return false;
}

static enum err read_path(ProtobufCMessage *request, const char *pattern, const struct route_match *match,
                          struct arena *arena, struct error *error)
{
    struct str name;
    for (size_t i = 0; next_param(&pattern, &name); i++) {
        assert(i < match->n_params);
        const ProtobufCFieldDescriptor *field = message_field(request->descriptor, name);
        assert(field != NULL);
        enum err err = message_set_text(request, field, match->params[i], arena, error);
        if (err != EA_OK) {
            return err;
        }
    }
    return EA_OK;
}

static enum err read_request(struct call *call, const char *pattern, const struct route_match *match,
                             struct error *error)
{
    const struct api_method *method = call->method;
    const struct exchange *ex = call->ex;
    ProtobufCMessage *request = message_new(method->request, call->arena);
    call->request = request;
    enum err err = read_path(request, pattern, match, call->arena, error);
    if (err != EA_OK) {
        return err;
    }
    return method->verb == HTTP_GET ? body_read_query(request, ex->query, in_path, method, call->arena, error)
                                    : body_read(request, ex->body, in_path, method, call->arena, error);
}

static void run_method(const struct api_method *method, const char *pattern, const struct route_match *match,
                       struct exchange *ex, struct api_lane *lane)
{
    struct call *call = call_new(lane, method, ex);
    call->send = send_answer;
    ex->user = call;
    ex->on_gone = lost;
    struct error error = ERROR_NONE;
    enum err err = read_request(call, pattern, match, &error);
    if (err != EA_OK) {
        call_fail(call, err, str_of(error.text));
        return;
    }
    call_run(call); /* all that it needs is in the arena now */
}

static void run_page(const struct api_page *page, struct exchange *ex, struct api_lane *lane)
{
    page->handle(ex, lane);
}

void rest_request(const struct router *router, struct exchange *ex, struct api_lane *lane)
{
    struct route_match match = {.route = -1};
    struct error error = ERROR_NONE;
    if (ex->method == HTTP_OPTIONS && str_eq(ex->path, STR("*"))) {
        answer_allow(ex, 204, STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        return;
    }
    enum err err = router_match(router, ex->method, ex->path, &ex->arena, &match, &error);
    if (ex->method == HTTP_OPTIONS && match.allow != NULL) {
        answer_allow(ex, 204, str_of(match.allow));
    } else if (err == EA_BAD_METHOD) {
        answer_allow(ex, 405, str_of(match.allow));
    } else if (err == EA_UNKNOWN_METHOD) {
        rest_fail(ex, 404, STR("no such path"));
    } else if (err != EA_OK) {
        rest_fail(ex, err_http(err), str_of(error.text));
    } else if (match.route >= ROUTE_PAGE) {
        run_page(&api_pages[match.route - ROUTE_PAGE], ex, lane);
    } else if (match.route >= ROUTE_SHORT_PATH) {
        const struct api_method *method = &api_methods[match.route - ROUTE_SHORT_PATH];
        run_method(method, method->short_path, &match, ex, lane);
    } else {
        const struct api_method *method = &api_methods[match.route];
        run_method(method, method->path, &match, ex, lane);
    }
}
