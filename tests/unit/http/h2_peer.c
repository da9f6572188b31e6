#include "h2_peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define FRAME_HEADER_BYTES 9
#define BLOCK_BYTES_MAX    ((size_t)256 * 1024)

/* --- the server's side --- */

static void on_gone(struct exchange *ex)
{
    struct peer *peer = ex->user;
    buf_format(&peer->heard, "gone;");
    if (peer->ex == ex) {
        peer->ex = NULL;
    }
}

static void on_data(struct exchange *ex, struct str piece, bool last)
{
    struct peer *peer = ex->user;
    buf_format(&peer->heard, "piece %zu%s;", piece.n, last ? " last" : "");
}

static void on_writable(struct exchange *ex)
{
    struct peer *peer = ex->user;
    buf_format(&peer->heard, "writable;");
}

static enum http_intake on_head(struct exchange *ex, void *user)
{
    struct peer *peer = user;
    ex->user = peer;
    ex->no_date = true;
    if (grpc_is(ex)) {
        return grpc_on_head(peer->grpc, ex);
    }
    ex->on_gone = on_gone;
    ex->on_writable = on_writable;
    if (str_eq(ex->path, STR("/stream"))) {
        ex->on_data = on_data;
        peer->ex = ex;
        return HTTP_STREAM;
    }
    if (str_eq(ex->path, STR("/done"))) {
        exchange_answer(ex, 200, NULL, 0, STR("done"));
        return HTTP_DONE;
    }
    return HTTP_BUFFER;
}

static void on_request(struct exchange *ex, void *user)
{
    struct peer *peer = user;
    buf_format(&peer->heard, "%s %.*s?%.*s host=%.*s body=%zu%s;", http_method_name(ex->method),
               STR_ARG(ex->path), STR_ARG(ex->query), STR_ARG(ex->host), ex->body.n,
               ex->stable ? " stable" : "");
    if (str_eq(ex->path, STR("/echo"))) {
        exchange_answer(ex, 200, NULL, 0, ex->body);
    } else if (str_eq(ex->path, STR("/late"))) {
        exchange_keep(ex);
        peer->ex = ex;
    } else if (str_eq(ex->path, STR("/bytes"))) {
        uint64_t n = 0;
        assert(str_to_u64(ex->query, &n));
        char *bytes = mem_zalloc((size_t)n);
        exchange_answer(ex, 200, NULL, 0, str_from(bytes, (size_t)n));
        mem_free(bytes);
    } else {
        exchange_answer(ex, 404, NULL, 0, (struct str){NULL, 0});
    }
}

static void on_refused(int status, void *user)
{
    struct peer *peer = user;
    peer->refused++;
    peer->last_refused = status;
}

const struct http_handler peer_handler = {
    .on_head = on_head,
    .on_request = on_request,
    .on_refused = on_refused,
};

/* --- what the server sends --- */

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void log_bytes(struct peer *peer, const uint8_t *p, size_t n)
{
    if (n > 64) {
        buf_format(&peer->log, "(%zu bytes)", n);
        return;
    }
    buf_format(&peer->log, "\"");
    for (size_t i = 0; i < n; i++) {
        buf_format(&peer->log, p[i] >= 0x20 && p[i] <= 0x7E ? "%c" : "\\%02x", p[i]);
    }
    buf_format(&peer->log, "\"");
}

static void log_fields(struct peer *peer)
{
    const uint8_t *in = (const uint8_t *)peer->block.p;
    size_t n = peer->block.n;
    for (;;) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t used = nghttp2_hd_inflate_hd2(peer->inflater, &nv, &flags, in, n, 1);
        assert(used >= 0);
        in += used;
        n -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
            buf_format(&peer->log, " %.*s=%.*s", (int)nv.namelen, (const char *)nv.name, (int)nv.valuelen,
                       (const char *)nv.value);
        }
        if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) {
            break;
        }
    }
    nghttp2_hd_inflate_end_headers(peer->inflater);
    buf_clear(&peer->block);
}

static void frame_came(struct peer *peer, uint8_t type, uint8_t flags, int32_t id, const uint8_t *p, size_t n)
{
    const char *end = (flags & NGHTTP2_FLAG_END_STREAM) != 0 ? " END" : "";
    switch (type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        buf_add(&peer->block, p, n);
        if ((flags & NGHTTP2_FLAG_END_HEADERS) != 0) {
            buf_format(&peer->log, "HEADERS %d", id);
            log_fields(peer);
            buf_format(&peer->log, "%s\n", end);
        }
        break;
    case NGHTTP2_DATA:
        buf_format(&peer->log, "DATA %d ", id);
        log_bytes(peer, p, n);
        buf_format(&peer->log, "%s\n", end);
        break;
    case NGHTTP2_RST_STREAM:
        buf_format(&peer->log, "RST_STREAM %d %u\n", id, get_u32(p));
        break;
    case NGHTTP2_GOAWAY:
        buf_format(&peer->log, "GOAWAY %u %u ", get_u32(p), get_u32(p + 4));
        log_bytes(peer, p + 8, n - 8);
        buf_format(&peer->log, "\n");
        break;
    case NGHTTP2_PING:
        buf_format(&peer->log, (flags & NGHTTP2_FLAG_ACK) != 0 ? "PING ACK\n" : "PING\n");
        if ((flags & NGHTTP2_FLAG_ACK) == 0 && !peer->silent) {
            peer_frame(peer, NGHTTP2_PING, NGHTTP2_FLAG_ACK, 0, p, n);
        }
        break;
    case NGHTTP2_SETTINGS:
        for (size_t at = 0; at + 6 <= n; at += 6) {
            if (p[at] == 0 && p[at + 1] == NGHTTP2_SETTINGS_HEADER_TABLE_SIZE && !peer->silent) {
                nghttp2_hd_deflate_change_table_size(peer->deflater, get_u32(p + at + 2));
            }
        }
        if ((flags & NGHTTP2_FLAG_ACK) == 0 && !peer->silent) {
            peer_frame(peer, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, NULL, 0);
        }
        break;
    case NGHTTP2_WINDOW_UPDATE:
        peer->window_updates++;
        peer->window[id != 0] += get_u32(p);
        break;
    default:
        buf_format(&peer->log, "FRAME %u\n", type);
        break;
    }
}

static void client_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct peer *peer = stream->user;
    if (peer->text) {
        buf_add(&peer->log, bytes, n);
        return;
    }
    buf_add(&peer->in, bytes, n);
    size_t at = 0;
    for (;;) {
        const uint8_t *p = (const uint8_t *)peer->in.p + at;
        size_t left = peer->in.n - at;
        size_t length = left >= FRAME_HEADER_BYTES ? (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2] : 0;
        if (left < FRAME_HEADER_BYTES + length || left < FRAME_HEADER_BYTES) {
            break;
        }
        frame_came(peer, p[3], p[4], (int32_t)get_u32(p + 5), p + FRAME_HEADER_BYTES, length);
        at += FRAME_HEADER_BYTES + length;
    }
    size_t rest = peer->in.n - at;
    memmove(peer->in.p, peer->in.p + at, rest);
    peer->in.n = rest;
}

static void client_end(struct stream *stream)
{
    struct peer *peer = stream->user;
    buf_format(&peer->log, "CLOSED\n");
    stream_close(stream);
}

static void client_closed(struct stream *stream, enum err why)
{
    struct peer *peer = stream->user;
    if (why != EA_OK) {
        buf_format(&peer->log, "ABORTED\n");
    }
    peer->stream = NULL;
}

static const struct stream_handler client_handler = {
    .on_data = client_data,
    .on_end = client_end,
    .on_closed = client_closed,
};

/* --- the client's side --- */

void peer_init(struct peer *peer, const struct peer_options *options)
{
    memset(peer, 0, sizeof *peer);
    clock_fake_init(&peer->clock);
    const struct loop_options loop_options = {.clock = &peer->clock.clock, .seed = 1};
    enum err err = loop_new(&peer->loop, &loop_options, NULL);
    assert(err == EA_OK);
    peer->limits = options->limits != NULL ? *options->limits : http_limits_default;
    peer->grpc = grpc_server_new(options->methods, options->n_methods, peer);
    const struct http_server_options server_options = {
        .loop = peer->loop,
        .limits = peer->limits,
        .handler = &peer_handler,
        .user = peer,
    };
    peer->server = http_server_new(&server_options);
    assert(nghttp2_hd_deflate_new(&peer->deflater, 4096) == 0);
    assert(nghttp2_hd_inflate_new(&peer->inflater) == 0);
    struct stream *server_end = NULL;
    const struct memstream_options endless = {.capacity = 0};
    memstream_pair(peer->loop, options->stream != NULL ? options->stream : &endless, &peer->stream,
                   &server_end);
    stream_start(peer->stream, &client_handler, peer);
    http_server_accept(peer->server, server_end);
    if (!options->mute) {
        peer_raw(peer, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
        peer_frame(peer, NGHTTP2_SETTINGS, 0, 0, NULL, 0);
        peer_run(peer);
        (void)peer_log(peer);
    }
}

void peer_fini(struct peer *peer)
{
    if (peer->stream != NULL) {
        stream_abort(peer->stream);
    }
    peer_run(peer);
    http_server_free(peer->server);
    grpc_server_free(peer->grpc);
    peer_run(peer);
    loop_free(peer->loop);
    nghttp2_hd_deflate_del(peer->deflater);
    nghttp2_hd_inflate_del(peer->inflater);
    buf_fini(&peer->in);
    buf_fini(&peer->block);
    buf_fini(&peer->log);
    buf_fini(&peer->heard);
}

void peer_run(struct peer *peer)
{
    while (loop_step(peer->loop)) {
    }
}

void peer_wait_us(struct peer *peer, int64_t us)
{
    const int64_t step_us = 100000;
    peer_run(peer);
    while (us > 0) {
        clock_fake_advance_us(&peer->clock, us < step_us ? us : step_us);
        us -= step_us;
        peer_run(peer);
    }
}

static const char *take_text(struct buf *b)
{
    buf_add(b, "", 1);
    b->n = 0;
    return b->p;
}

const char *peer_log(struct peer *peer)
{
    return take_text(&peer->log);
}

const char *peer_heard(struct peer *peer)
{
    return take_text(&peer->heard);
}

void peer_raw(struct peer *peer, const void *bytes, size_t n)
{
    if (peer->stream != NULL && n > 0) {
        stream_write(peer->stream, bytes, n);
    }
}

void peer_frame(struct peer *peer, uint8_t type, uint8_t flags, int32_t id, const void *payload, size_t n)
{
    uint8_t head[FRAME_HEADER_BYTES] = {
        (uint8_t)(n >> 16),  (uint8_t)(n >> 8),   (uint8_t)n,         type,        flags,
        (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id,
    };
    peer_raw(peer, head, sizeof head);
    peer_raw(peer, payload, n);
}

void peer_headers(struct peer *peer, int32_t id, uint8_t flags, const struct peer_field *fields, size_t n)
{
    nghttp2_nv *nva = mem_alloc((n + 1) * sizeof *nva);
    for (size_t i = 0; i < n; i++) {
        nva[i] = (nghttp2_nv){
            .name = (uint8_t *)fields[i].name,
            .namelen = strlen(fields[i].name),
            .value = (uint8_t *)fields[i].value,
            .valuelen = strlen(fields[i].value),
        };
    }
    uint8_t *block = mem_alloc(BLOCK_BYTES_MAX);
    ssize_t length = nghttp2_hd_deflate_hd(peer->deflater, block, BLOCK_BYTES_MAX, nva, n);
    assert(length >= 0);
    size_t at = 0;
    const size_t most = 16384;
    do {
        size_t part = (size_t)length - at < most ? (size_t)length - at : most;
        bool last = at + part == (size_t)length;
        uint8_t type = at == 0 ? NGHTTP2_HEADERS : NGHTTP2_CONTINUATION;
        uint8_t frame_flags = (uint8_t)((at == 0 ? flags & ~NGHTTP2_FLAG_END_HEADERS : 0) |
                                        (last ? flags & NGHTTP2_FLAG_END_HEADERS : 0));
        peer_frame(peer, type, frame_flags, id, block + at, part);
        at += part;
    } while (at < (size_t)length);
    mem_free(block);
    mem_free(nva);
}

void peer_data(struct peer *peer, int32_t id, const void *bytes, size_t n, bool end)
{
    const size_t most = 16384;
    const uint8_t *p = bytes;
    do {
        size_t part = n < most ? n : most;
        n -= part;
        peer_frame(peer, NGHTTP2_DATA, end && n == 0 ? NGHTTP2_FLAG_END_STREAM : 0, id, p, part);
        p = p != NULL ? p + part : NULL;
    } while (n > 0);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void peer_reset(struct peer *peer, int32_t id, uint32_t code)
{
    uint8_t payload[4];
    put_u32(payload, code);
    peer_frame(peer, NGHTTP2_RST_STREAM, 0, id, payload, sizeof payload);
}

void peer_ping(struct peer *peer)
{
    peer_frame(peer, NGHTTP2_PING, 0, 0, "12345678", 8);
}

void peer_window(struct peer *peer, int32_t id, uint32_t n)
{
    uint8_t payload[4];
    put_u32(payload, n);
    peer_frame(peer, NGHTTP2_WINDOW_UPDATE, 0, id, payload, sizeof payload);
}

void peer_settings(struct peer *peer, uint16_t id, uint32_t value)
{
    uint8_t payload[6] = {(uint8_t)(id >> 8), (uint8_t)id};
    put_u32(payload + 2, value);
    peer_frame(peer, NGHTTP2_SETTINGS, 0, 0, payload, sizeof payload);
}

static void request(struct peer *peer, int32_t id, const char *method, const char *path, uint8_t flags)
{
    const struct peer_field fields[] = {
        {":method", method},
        {":scheme", "http"},
        {":path", path},
        {":authority", "agent"},
    };
    peer_headers(peer, id, (uint8_t)(flags | NGHTTP2_FLAG_END_HEADERS), fields, ARRAY_LENGTH(fields));
}

void peer_get(struct peer *peer, int32_t id, const char *path)
{
    request(peer, id, "GET", path, NGHTTP2_FLAG_END_STREAM);
}

void peer_post(struct peer *peer, int32_t id, const char *path)
{
    request(peer, id, "POST", path, 0);
}
