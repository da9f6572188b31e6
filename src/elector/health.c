#include "elector/health.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/connect.h"

#define LOOK_US       INT64_C(1000000)
#define FAILURES_SICK 3
#define HOST_BYTES    256
#define STATUS_BYTES  12 /* "HTTP/1.1 200" */

struct health {
    struct health_options options;
    char host[HOST_BYTES];
    uint16_t port;
    const char *path;
    struct loop_timer timer;
    struct loop_timer deadline;
    struct connect *connect;
    struct stream *stream;
    char status[STATUS_BYTES]; /* the first bytes of the answer */
    size_t got;
    unsigned failures;
    bool healthy;
    bool closing;
};

/* http://host[:port][/path] */
static enum err read_url(struct health *h, const char *url, struct error *error)
{
    const char *host = url + strlen("http://");
    size_t n = strcspn(host, "/?#");
    struct str place = str_from(host, n);
    const char *colon = n > 0 && host[n - 1] != ']' ? memrchr(host, ':', n) : NULL;
    uint64_t port = 80;
    if (colon != NULL) {
        place.n = (size_t)(colon - host);
        if (!str_to_u64(str_from(colon + 1, n - place.n - 1), &port) || port == 0 || port > UINT16_MAX) {
            return error_set_str(error, EA_CONFIG, "--health-url: the port is no number from 1 to 65535",
                                 str_of(url));
        }
    }
    if (place.n >= 2 && place.p[0] == '[' && place.p[place.n - 1] == ']') {
        place = str_from(place.p + 1, place.n - 2);
    }
    if (place.n == 0 || place.n >= HOST_BYTES || strpbrk(url, " \t#") != NULL) {
        return error_set_str(error, EA_CONFIG, "--health-url: want http://host:port/path", str_of(url));
    }
    memcpy(h->host, place.p, place.n);
    h->host[place.n] = '\0';
    h->port = (uint16_t)port;
    h->path = host[n] == '\0' ? "/" : host + n;
    return host[n] == '?' ? error_set_str(error, EA_CONFIG, "--health-url: a path begins with /", str_of(url))
                          : EA_OK;
}

static bool file_is_fresh(const struct health *h)
{
    struct stat st;
    if (h->options.file[0] == '\0') {
        return true;
    }
    if (stat(h->options.file, &st) != 0) {
        return false;
    }
    int64_t touched = (int64_t)st.st_mtim.tv_sec * 1000000 + st.st_mtim.tv_nsec / 1000;
    return loop_wall(h->options.loop).us - touched <= h->options.file_age_us;
}

static void judge(struct health *h, bool good)
{
    bool was = h->healthy;
    h->failures = good ? 0 : h->failures + 1;
    h->healthy = good || (was && h->failures < FAILURES_SICK);
    loop_timer_stop(h->options.loop, &h->deadline);
    loop_timer_start(h->options.loop, &h->timer, mono_add_us(loop_now(h->options.loop), LOOK_US));
    if (h->healthy != was) {
        log_info("health", h->healthy ? "the application is well" : "the application is not well");
        h->options.changed(h->options.user, h->healthy);
    }
}

/* --- the page --- */

static void on_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct health *h = stream->user;
    size_t room = STATUS_BYTES - h->got;
    size_t take = n < room ? n : room;
    memcpy(h->status + h->got, bytes, take);
    h->got += take;
    if (h->got == STATUS_BYTES) {
        stream_abort(stream); /* the rest does not matter */
    }
}

static void on_closed(struct stream *stream, enum err why)
{
    struct health *h = stream->user;
    h->stream = NULL;
    if (h->closing) {
        mem_free(h);
        return;
    }
    bool good = h->got == STATUS_BYTES && memcmp(h->status, "HTTP/1.", 7) == 0 && h->status[8] == ' ' &&
                h->status[9] == '2';
    judge(h, good && file_is_fresh(h));
}

static const struct stream_handler page_handler = {.on_data = on_data, .on_closed = on_closed};

static void connected(void *user, struct stream *stream, enum err err, const struct error *error)
{
    struct health *h = user;
    h->connect = NULL;
    if (err != EA_OK) {
        judge(h, false);
        return;
    }
    h->stream = stream;
    h->got = 0;
    stream_start(stream, &page_handler, h);
    struct buf request = BUF_EMPTY;
    bool v6 = strchr(h->host, ':') != NULL;
    buf_format(&request,
               "GET %s HTTP/1.1\r\nHost: %s%s%s:%u\r\nUser-Agent: elector\r\nAccept: */*\r\nConnection: "
               "close\r\n\r\n",
               h->path, v6 ? "[" : "", h->host, v6 ? "]" : "", h->port);
    stream_write(stream, request.p, request.n);
    buf_fini(&request);
}

static void too_late(struct loop *loop, struct loop_timer *timer)
{
    struct health *h = CONTAINER_OF(timer, struct health, deadline);
    if (h->stream != NULL) {
        h->got = 0;
        stream_abort(h->stream);
    }
}

static void look(struct loop *loop, struct loop_timer *timer)
{
    struct health *h = CONTAINER_OF(timer, struct health, timer);
    if (h->options.url[0] == '\0') {
        judge(h, file_is_fresh(h));
        return;
    }
    struct mono deadline = mono_add_us(loop_now(loop), LOOK_US);
    loop_timer_start(loop, &h->deadline, deadline);
    h->connect = connect_open(
        loop,
        &(struct connect_options){
            .host = str_of(h->host), .port = h->port, .deadline = deadline, .done = connected, .user = h});
}

enum err health_open(struct health **out, const struct health_options *options, struct error *error)
{
    struct health *h = mem_zalloc(sizeof *h);
    h->options = *options;
    h->timer.fire = look;
    h->deadline.fire = too_late;
    enum err err = options->url[0] != '\0' ? read_url(h, options->url, error) : EA_OK;
    if (err != EA_OK) {
        mem_free(h);
        return err;
    }
    loop_timer_start(options->loop, &h->timer, loop_now(options->loop));
    *out = h;
    return EA_OK;
}

void health_close(struct health *h)
{
    loop_timer_stop(h->options.loop, &h->timer);
    loop_timer_stop(h->options.loop, &h->deadline);
    if (h->connect != NULL) {
        connect_cancel(h->connect);
    }
    h->closing = true;
    if (h->stream != NULL) {
        stream_abort(h->stream);
    } else {
        mem_free(h);
    }
}
