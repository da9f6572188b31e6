/* Header fields to an exchange. See h2.h. */
#include "http/h2.h"

#include <string.h>

/* What RFC 9113, 10.5.1 counts for a field beside its name and value. */
#define FIELD_OVERHEAD_BYTES 32

/* This and the next two return how much memory that took. */
static size_t add_field(struct exchange *ex, enum http_header id, struct str value)
{
    struct str *slot = &ex->header[id];
    if (slot->p == NULL) {
        *slot = arena_str(&ex->arena, value);
        return value.n;
    }
    /* Several of a name are one list (RFC 9110, 5.3). */
    const struct str comma = STR(", ");
    size_t n = slot->n + comma.n + value.n;
    char *joined = arena_alloc(&ex->arena, n);
    memcpy(joined, slot->p, slot->n);
    memcpy(joined + slot->n, comma.p, comma.n);
    if (value.n > 0) {
        memcpy(joined + slot->n + comma.n, value.p, value.n);
    }
    *slot = str_from(joined, n);
    return n;
}

static size_t set_path(struct exchange *ex, struct str value)
{
    ex->path = arena_str(&ex->arena, value);
    const char *mark = memchr(ex->path.p, '?', ex->path.n);
    if (mark != NULL) {
        size_t n = (size_t)(mark - ex->path.p);
        ex->query = str_from(mark + 1, ex->path.n - n - 1);
        ex->path.n = n;
    }
    return value.n;
}

static size_t set_field(struct h2_stream *stream, struct str name, struct str value)
{
    struct exchange *ex = &stream->ex;
    if (name.n > 0 && name.p[0] == ':') {
        if (str_eq(name, STR(":method"))) {
            ex->method = http_method_find(value);
            stream->head_only = ex->method == HTTP_HEAD;
        } else if (str_eq(name, STR(":path"))) {
            return set_path(ex, value);
        } else if (str_eq(name, STR(":authority"))) {
            ex->host = arena_str(&ex->arena, value);
            return value.n;
        }
        return 0;
    }
    enum http_header id = http_header_find(name);
    if (id != HTTP_HEADERS) {
        return add_field(ex, id, value);
    }
    if (ex->host.p == NULL && str_eq(name, STR("host"))) {
        ex->host = arena_str(&ex->arena, value);
        return value.n;
    }
    if (str_eq(name, STR("expect"))) {
        stream->awaits_continue = str_eq_nocase(value, STR("100-continue"));
    }
    return 0;
}

int h2_head_field(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                  nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    (void)flags;
    struct h2_conn *conn = user;
    struct h2_stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (stream == NULL) {
        return 0;
    }
    const struct http_limits *limits = http_server_limits(conn->http.server);
    nghttp2_vec name_bytes = nghttp2_rcbuf_get_buf(name);
    nghttp2_vec value_bytes = nghttp2_rcbuf_get_buf(value);
    stream->header_count++;
    stream->header_bytes += name_bytes.len + value_bytes.len + FIELD_OVERHEAD_BYTES;
    if (stream->header_bytes > H2_HEADER_EXCESS * limits->header_bytes) {
        h2_conn_condemn(conn, H2_TOO_MANY_HEADERS);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (stream->header_bytes > limits->header_bytes || stream->header_count > limits->header_count) {
        stream->refused = 431;
    } else if (stream->refused == 0 && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        size_t kept = set_field(stream, str_from(name_bytes.base, name_bytes.len),
                                str_from(value_bytes.base, value_bytes.len));
        stream->head_bytes += kept;
        conn->head_bytes += kept;
        if (stream->head_bytes > limits->header_bytes || conn->head_bytes > H2_HEADS_BYTES_MAX) {
            stream->refused = 431;
        }
    }
    return 0;
}
