#include "http/sse.h"

#include <assert.h>
#include <string.h>

static void add_line(struct buf *out, const char *field, struct str text)
{
    buf_add_str(out, str_of(field));
    buf_add_str(out, text);
    buf_add(out, "\n", 1);
}

static bool is_one_line(struct str s)
{
    return s.n == 0 || (memchr(s.p, '\n', s.n) == NULL && memchr(s.p, '\r', s.n) == NULL &&
                        memchr(s.p, '\0', s.n) == NULL);
}

/* Takes the first line of *rest, whatever ends it. False when there is none left. */
static bool next_line(struct str *rest, struct str *line)
{
    if (rest->p == NULL) {
        return false;
    }
    size_t n = 0;
    while (n < rest->n && rest->p[n] != '\n' && rest->p[n] != '\r') {
        n++;
    }
    *line = str_from(rest->p, n);
    if (n == rest->n) {
        *rest = str_from(NULL, 0);
        return true;
    }
    size_t end = rest->p[n] == '\r' && n + 1 < rest->n && rest->p[n + 1] == '\n' ? 2 : 1;
    *rest = str_from(rest->p + n + end, rest->n - n - end);
    return true;
}

void sse_encode(struct buf *out, const struct sse_event *event)
{
    assert(is_one_line(event->id) && is_one_line(event->name));
    if (event->id.n > 0) {
        add_line(out, "id: ", event->id);
    }
    if (event->name.n > 0) {
        add_line(out, "event: ", event->name);
    }
    struct str rest = event->data.p != NULL ? event->data : STR("");
    struct str line;
    while (next_line(&rest, &line)) {
        add_line(out, "data: ", line);
    }
    buf_add(out, "\n", 1);
}

void sse_start(struct exchange *ex)
{
    static const struct http_field fields[] = {
        {STR_INIT("content-type"), STR_INIT("text/event-stream")},
        {STR_INIT("cache-control"), STR_INIT("no-cache")},
        {STR_INIT("x-accel-buffering"), STR_INIT("no")}, /* nginx */
    };
    exchange_start(ex, 200, fields, sizeof fields / sizeof fields[0]);
}

size_t sse_send(struct exchange *ex, const struct sse_event *event)
{
    struct buf text = BUF_EMPTY;
    sse_encode(&text, event);
    size_t waiting = exchange_write(ex, buf_str(&text));
    buf_fini(&text);
    return waiting;
}

size_t sse_keep_awake(struct exchange *ex)
{
    return exchange_write(ex, STR(":\n\n"));
}

struct str sse_last_id(const struct exchange *ex)
{
    return ex->header[HTTP_LAST_EVENT_ID];
}
