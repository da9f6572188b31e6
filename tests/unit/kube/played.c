#include "played.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/internal.h"
#include "kube/watch.h"
#include "net/loop.h"

static struct {
    struct loop *loop;
    struct clock_fake clock;
    struct kube_request *request; /* under way; NULL: none */
    char path[KUBE_PATH_BYTES * 2];
    unsigned requests;
} played;

/* --- what the client would do --- */

void kube_send(struct kube *kube, struct kube_request *request)
{
    assert_null(played.request);
    assert_true(request->path.n < sizeof played.path);
    memcpy(played.path, request->path.p, request->path.n);
    played.path[request->path.n] = '\0';
    played.request = request;
    played.requests++;
    request->transfer = (struct kube_transfer *)(void *)&played; /* not NULL: it runs */
}

void kube_cancel(struct kube *kube, struct kube_request *request)
{
    if (played.request == request) {
        played.request = NULL;
        request->transfer = NULL;
    }
}

struct loop *kube_loop(const struct kube *kube)
{
    return played.loop;
}

void kube_escape(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) { /* enough to see that it was called */
        if (s.p[i] == ' ' || s.p[i] == '/' || s.p[i] == '&') {
            buf_format(out, "%%%02X", (unsigned)s.p[i]);
        } else {
            buf_add(out, &s.p[i], 1);
        }
    }
}

/* --- what the test does --- */

struct loop *played_loop(void)
{
    return played.loop;
}

void played_turn(void)
{
    (void)loop_step(played.loop);
    (void)loop_step(played.loop);
}

void played_wait_us(int64_t us)
{
    clock_fake_advance_us(&played.clock, us);
    played_turn();
}

bool played_is_asked(void)
{
    return played.request != NULL;
}

const char *played_path(void)
{
    return played.path;
}

unsigned played_requests(void)
{
    return played.requests;
}

static void give(struct kube_request *request, struct str text, size_t pieces)
{
    if (!request->take(request, str_from(NULL, 0))) {
        return;
    }
    size_t step = pieces != 0 ? pieces : text.n;
    for (size_t at = 0; at < text.n; at += step) {
        size_t n = step < text.n - at ? step : text.n - at;
        if (!request->take(request, str_from(text.p + at, n))) {
            return;
        }
    }
}

void played_answer(int status, const char *text, size_t pieces)
{
    struct kube_request *request = played.request;
    struct buf body = BUF_EMPTY;
    assert_non_null(request);
    bool good = status == 0 || (status >= 200 && status < 300);
    if (good) {
        buf_add_str(&body, str_of(text));
        for (size_t i = 0; i < body.n; i++) {
            body.p[i] = body.p[i] == '\'' ? '"' : body.p[i];
        }
    } else {
        buf_format(&body, "{\"kind\":\"Status\",\"message\":");
        buf_add_json(&body, str_of(text));
        buf_format(&body, "}");
    }
    request->status = status;
    if (!good) {
        request->err = kube_judge(status).err;
        kube_explain(request, request->err, status, buf_str(&body));
    } else if (request->take != NULL) {
        give(request, buf_str(&body), pieces);
    }
    if (status == 0 && request->err == EA_OK) {
        request->err = error_set(&request->error, EA_IO, "%s: the connection broke", request->what);
    }
    request->answer = good && request->take == NULL ? buf_str(&body) : str_from(NULL, 0);
    played.request = NULL;
    request->transfer = NULL;
    request->done(request);
    buf_fini(&body);
}

int played_set_up(void **state)
{
    log_set_level(LOG_FATAL);
    clock_fake_init(&played.clock);
    return loop_new(&played.loop, &(struct loop_options){.clock = &played.clock.clock, .seed = 1}, NULL) ==
                   EA_OK
               ? 0
               : -1;
}

int played_tear_down(void **state)
{
    loop_free(played.loop);
    return played.request == NULL ? 0 : -1;
}
