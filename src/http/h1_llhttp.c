#include "http/h1_llhttp.h"

#include <assert.h>
#include <llhttp.h>

static_assert(sizeof(llhttp_t) <= H1_LLHTTP_BYTES, "H1_LLHTTP_BYTES is too small for this llhttp");

/* What one call of llhttp_execute() works on; llhttp_t.data points to it during the call. */
struct run {
    struct str target;
    struct str name;
    struct str value;
    h1_on_field *on_field;
    h1_on_piece *on_piece;
    void *user;
    enum h1_fault fault; /* of a callback */
    bool head_done;
    bool last_chunk;
    bool message_done;
    bool coded;
};

static llhttp_t *state_of(struct h1_llhttp *parser)
{
    return (llhttp_t *)(void *)parser->state;
}

/* All pieces of a slice come out of one buffer, side by side. */
static void extend(struct str *s, const char *at, size_t n)
{
    if (s->p == NULL) {
        s->p = at;
    }
    s->n = (size_t)(at - s->p) + n;
}

static int stop(struct run *run, enum h1_fault fault)
{
    run->fault = fault;
    return fault == H1_FINE ? HPE_OK : HPE_USER;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t n)
{
    struct run *run = llhttp->data;
    extend(&run->target, at, n);
    return HPE_OK;
}

static int on_header_field(llhttp_t *llhttp, const char *at, size_t n)
{
    struct run *run = llhttp->data;
    extend(&run->name, at, n);
    return HPE_OK;
}

static int on_header_value(llhttp_t *llhttp, const char *at, size_t n)
{
    struct run *run = llhttp->data;
    extend(&run->value, at, n);
    return HPE_OK;
}

static int on_header_value_complete(llhttp_t *llhttp)
{
    struct run *run = llhttp->data;
    struct str name = run->name;
    struct str value = run->value;
    run->name = run->value = (struct str){NULL, 0};
    while (value.n > 0 && (value.p[value.n - 1] == ' ' || value.p[value.n - 1] == '\t')) {
        value.n--;
    }
    if (run->on_field == NULL) {
        return HPE_OK;
    }
    run->fault = run->on_field(run->user, name, value);
    return run->fault == H1_FINE ? HPE_OK : -1;
}

static int on_headers_complete(llhttp_t *llhttp)
{
    struct run *run = llhttp->data;
    run->head_done = true;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *llhttp, const char *at, size_t n)
{
    struct run *run = llhttp->data;
    return stop(run, run->on_piece(run->user, str_from(at, n)));
}

static int on_chunk_header(llhttp_t *llhttp)
{
    struct run *run = llhttp->data;
    run->last_chunk = llhttp->content_length == 0;
    return run->last_chunk ? HPE_PAUSED : HPE_OK;
}

static int on_message_complete(llhttp_t *llhttp)
{
    struct run *run = llhttp->data;
    run->message_done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_message_complete = on_message_complete,
};

static enum llhttp_errno execute(llhttp_t *llhttp, struct run *run, const char *bytes, size_t n)
{
    llhttp->data = run;
    enum llhttp_errno result = llhttp_execute(llhttp, bytes, n);
    llhttp->data = NULL;
    return result;
}

static enum h1_fault head_fault(const struct run *run, const llhttp_t *llhttp, enum llhttp_errno result)
{
    if (run->fault != H1_FINE) {
        return run->fault;
    }
    switch (result) {
    case HPE_INVALID_METHOD:
    case HPE_INVALID_CONSTANT:
        return H1_BAD_LINE;
    case HPE_INVALID_URL:
        return H1_BAD_TARGET;
    case HPE_INVALID_VERSION:
        return H1_BAD_VERSION;
    case HPE_INVALID_CONTENT_LENGTH:
        return H1_BAD_LENGTH;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return (llhttp->flags & F_TRANSFER_ENCODING) != 0 ? H1_LENGTH_AND_CODING : H1_BAD_LENGTH;
    case HPE_INVALID_TRANSFER_ENCODING:
        return H1_BAD_CODING;
    default:
        return run->target.p == NULL ? H1_BAD_LINE : H1_BAD_FIELD;
    }
}

enum h1_fault h1_llhttp_head(struct h1_llhttp *parser, const char *bytes, size_t n, size_t method_bytes,
                             struct h1_llhttp_head *head, h1_on_field *on_field, void *user)
{
    llhttp_t *llhttp = state_of(parser);
    struct run run = {.on_field = on_field, .user = user};
    llhttp_init(llhttp, HTTP_REQUEST, &settings);
    enum llhttp_errno result = HPE_OK;
    if (method_bytes > 0) {
        result = execute(llhttp, &run, "PUT", 3);
    }
    if (result == HPE_OK) {
        result = execute(llhttp, &run, bytes + method_bytes, n - method_bytes);
    }
    if (!run.head_done) {
        return head_fault(&run, llhttp, result);
    }
    head->target = run.target;
    head->length = llhttp->content_length;
    head->major = llhttp->http_major;
    head->minor = llhttp->http_minor;
    head->keep_alive = llhttp_should_keep_alive(llhttp) != 0;
    head->coded = (llhttp->flags & F_TRANSFER_ENCODING) != 0;
    head->chunked = (llhttp->flags & F_CHUNKED) != 0;
    llhttp_resume(llhttp);
    return H1_FINE;
}

size_t h1_llhttp_chunks(struct h1_llhttp *parser, const char *bytes, size_t n, h1_on_piece *on_piece,
                        void *user, bool *last, enum h1_fault *fault)
{
    llhttp_t *llhttp = state_of(parser);
    struct run run = {.on_piece = on_piece, .user = user};
    enum llhttp_errno result = execute(llhttp, &run, bytes, n);
    *last = run.last_chunk && result == HPE_PAUSED;
    *fault = H1_FINE;
    if (result == HPE_OK) {
        return n;
    }
    size_t used = (size_t)(llhttp_get_error_pos(llhttp) - bytes);
    if (*last) {
        llhttp_resume(llhttp);
    } else {
        *fault = run.fault != H1_FINE ? run.fault : H1_BAD_CHUNK;
    }
    return used;
}

enum h1_fault h1_llhttp_trailers(struct h1_llhttp *parser, const char *bytes, size_t n, bool *end)
{
    llhttp_t *llhttp = state_of(parser);
    struct run run = {.user = NULL};
    enum llhttp_errno result = execute(llhttp, &run, bytes, n);
    *end = run.message_done;
    return result == HPE_OK || run.message_done ? H1_FINE : H1_BAD_FIELD;
}
