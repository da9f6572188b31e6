/*
 *                      ┌──────────────── 410 Gone ────────────────┐
 *                      ▼                                          │
 *   start ──────► LISTING ──all pages──► STREAMING ◄──────────────┤
 *                   │  ▲                    │  the stream ended   │
 *             failed│  │ not synced         ▼                     │
 *                   └► PAUSING ◄────── failed                     │
 *                        └──────── synced ────────────────────────┘
 *
 * Bytes of the stream are stored while curl gives them and told at the end of the turn, a line an event, so that
 * on_event may do as it likes.
 */
#include "kube/watch.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sm.h"
#include "kube/internal.h"

#define STREAM_S       300 /* asked of the server; a fifth more or less */
#define STREAM_GRACE_S 20  /* it should have ended by then */
#define LIST_MS        60000
#define SHORT_MS       1000 /* a stream that lived less counts as a failure, or we would ask without end */
#define GONE           410

enum { LISTING, STREAMING, PAUSING, STOPPED, WATCH_STATES };

static const struct sm_state states[WATCH_STATES] = {
    [LISTING] = {"listing", SM_TO(STREAMING) | SM_TO(PAUSING) | SM_TO(STOPPED), false},
    [STREAMING] = {"streaming", SM_TO(STREAMING) | SM_TO(LISTING) | SM_TO(PAUSING) | SM_TO(STOPPED), false},
    [PAUSING] = {"pausing", SM_TO(LISTING) | SM_TO(STREAMING) | SM_TO(STOPPED), false},
    [STOPPED] = {"stopped", 0, true},
};

struct kube_watch {
    struct kube *kube;
    struct kube_watch_options options; /* strings are the watch's own */
    struct sm sm;
    struct kube_list list;
    struct kube_request request;
    struct buf bytes; /* of the stream, not yet told */
    json_t *added;    /* of the list, not yet told; NULL: none */
    struct loop_task tell;
    struct loop_task end;
    struct loop_timer pause;
    struct mono opened; /* the present stream's head came; 0: not yet */
    bool heard;         /* ... and this is to be told */
    bool synced;
    bool broken;       /* and that was told */
    bool relist;       /* the stream said 410 */
    unsigned failures; /* in a row */
    char version[KUBE_VERSION_BYTES];
    struct error error;
};

static void list(struct kube_watch *w);
static void stream(struct kube_watch *w);

static bool stopped(const struct kube_watch *w)
{
    return sm_now(&w->sm) == STOPPED;
}

static void tell(struct kube_watch *w, enum kube_event event, json_t *object)
{
    if (!stopped(w)) {
        w->options.on_event(w->options.user, event, object);
    }
}

/* --- failing --- */

static void on_pause_over(struct loop *loop, struct loop_timer *timer)
{
    struct kube_watch *w = CONTAINER_OF(timer, struct kube_watch, pause);
    if (w->synced && !w->relist) {
        stream(w);
    } else {
        list(w);
    }
}

static void pause_for(struct kube_watch *w)
{
    struct loop *loop = kube_loop(w->kube);
    w->failures++;
    sm_move(&w->sm, PAUSING);
    loop_timer_start(loop, &w->pause,
                     mono_add_us(loop_now(loop), kube_pause_us(w->failures, 0, loop_rng(loop))));
}

static void fail(struct kube_watch *w, const struct error *error)
{
    w->error = *error;
    pause_for(w);
    if (!w->broken) {
        w->broken = true;
        log_warning("kube", "a watch is broken", LOG_TEXT("watch", w->options.path),
                    LOG_TEXT("why", error->text));
        tell(w, KUBE_BROKEN, NULL);
    }
}

static void heal(struct kube_watch *w)
{
    w->error = ERROR_NONE;
    if (w->broken) {
        w->broken = false;
        log_info("kube", "a watch is whole again", LOG_TEXT("watch", w->options.path));
    }
}

/* --- the list --- */

/* Inside the transfer: kept, and told at the end of the turn. */
static bool on_listed(struct kube_list *l, json_t *object)
{
    struct kube_watch *w = l->user;
    if (w->added == NULL) {
        w->added = json_array();
    }
    if (json_array_append(w->added, object) != 0) {
        (void)error_set(&l->error, EA_NOMEM, "%s: out of memory", l->what);
        return false;
    }
    loop_at_end(kube_loop(w->kube), LOOP_STAGE_STORE, &w->tell);
    return true;
}

static void tell_added(struct kube_watch *w)
{
    json_t *added = w->added;
    w->added = NULL;
    for (size_t i = 0; i < json_array_size(added); i++) {
        tell(w, KUBE_ADDED, json_array_get(added, i));
    }
    json_decref(added);
}

static void on_list_done(struct kube_list *l)
{
    struct kube_watch *w = l->user;
    tell_added(w);
    if (stopped(w)) {
        return;
    }
    if (l->err != EA_OK) {
        fail(w, &l->error);
        return;
    }
    memcpy(w->version, l->version, sizeof w->version);
    w->synced = true;
    /* Of a server that calls each list's version gone at once only a stream that lives is a success. */
    w->failures = w->relist ? w->failures : 0;
    w->relist = false;
    heal(w);
    stream(w);
    tell(w, KUBE_SYNCED, NULL);
}

static void list(struct kube_watch *w)
{
    struct loop *loop = kube_loop(w->kube);
    sm_move(&w->sm, LISTING);
    w->synced = false;
    w->list = (struct kube_list){
        .what = w->options.what,
        .path = w->options.path,
        .selector = w->options.selector,
        .field = w->options.field,
        .deadline = mono_add_ms(loop_now(loop), LIST_MS),
        .once = true, /* how it is tried again is decided here, and told */
        .item = on_listed,
        .done = on_list_done,
        .user = w,
    };
    kube_list_start(w->kube, &w->list);
    tell(w, KUBE_LISTING, NULL);
}

/* --- the stream --- */

static bool set_version(struct kube_watch *w, const json_t *object)
{
    const char *version =
        json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
    if (version == NULL || strlen(version) >= sizeof w->version) {
        return false;
    }
    memcpy(w->version, version, strlen(version) + 1);
    return true;
}

/* The stream is over with a Status object in it. */
static enum err told_error(struct kube_watch *w, const json_t *status, struct error *error)
{
    const char *message = json_string_value(json_object_get(status, "message"));
    w->relist = json_integer_value(json_object_get(status, "code")) == GONE;
    return error_set_str(error, EA_UNAVAILABLE, w->options.what,
                         str_of(message != NULL ? message : "no reason given"));
}

static enum err tell_line(struct kube_watch *w, struct str line, struct error *error)
{
    static const struct {
        const char *type;
        enum kube_event event;
    } events[] = {{"ADDED", KUBE_ADDED}, {"MODIFIED", KUBE_MODIFIED}, {"DELETED", KUBE_DELETED}};
    json_t *doc;
    enum err err = kube_json_parse(line, &doc, error);
    if (err != EA_OK) {
        return err;
    }
    const char *type = json_string_value(json_object_get(doc, "type"));
    json_t *object = json_object_get(doc, "object");
    if (type == NULL || !json_is_object(object)) {
        err = error_set(error, EA_PROTOCOL, "%s: an event without type or object", w->options.what);
    } else if (strcmp(type, "ERROR") == 0) {
        err = told_error(w, object, error);
    } else if (!set_version(w, object)) {
        err = error_set(error, EA_PROTOCOL, "%s: an event without resourceVersion", w->options.what);
    } else {
        w->failures = 0;
        for (size_t i = 0; i < ARRAY_LENGTH(events); i++) { /* others: bookmarks, and what is not known yet */
            if (strcmp(type, events[i].type) == 0) {
                tell(w, events[i].event, object);
            }
        }
    }
    json_decref(doc);
    return err;
}

static enum err tell_stream(struct kube_watch *w, struct error *error)
{
    struct buf bytes = w->bytes;
    const char *at = bytes.p;
    const char *end = bytes.n > 0 ? bytes.p + bytes.n : bytes.p; /* there may be no bytes, and no pointer */
    enum err err = EA_OK;
    w->bytes = BUF_EMPTY;
    if (w->heard) {
        w->heard = false;
        bool was_broken = w->broken;
        heal(w);
        if (was_broken) {
            tell(w, KUBE_RESUMED, NULL);
        }
    }
    while (err == EA_OK && !stopped(w) && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL) {
            break;
        }
        if (newline > at) {
            err = tell_line(w, str_from(at, (size_t)(newline - at)), error);
        }
        at = newline + 1;
    }
    if (err == EA_OK && !stopped(w) &&
        at < end) { /* half a line; nothing came meanwhile, curl was not asked */
        buf_add(&w->bytes, at, (size_t)(end - at));
    }
    buf_fini(&bytes);
    return err;
}

static bool on_bytes(struct kube_request *request, struct str bytes)
{
    struct kube_watch *w = CONTAINER_OF(request, struct kube_watch, request);
    if (w->opened.us == 0) {
        w->opened = loop_now(kube_loop(w->kube));
        w->heard = true;
    }
    /* All whole lines are told at the end of each turn: what stays is one object, and what one turn reads. */
    if (bytes.n > 2 * KUBE_ITEM_BYTES_MAX - w->bytes.n) {
        request->err = error_set(&request->error, EA_TOO_LARGE, "%s: an event has more than %zu bytes",
                                 request->what, 2 * KUBE_ITEM_BYTES_MAX);
        return false;
    }
    buf_add_str(&w->bytes, bytes);
    loop_at_end(kube_loop(w->kube), LOOP_STAGE_STORE, &w->tell);
    return true;
}

static void again(struct kube_watch *w)
{
    if (w->relist) {
        list(w);
    } else {
        stream(w);
    }
}

static void on_stream_over(struct kube_request *request)
{
    struct kube_watch *w = CONTAINER_OF(request, struct kube_watch, request);
    struct error error = ERROR_NONE;
    struct mono opened = w->opened;
    enum err err = tell_stream(w, &error);
    w->opened = (struct mono){0};
    if (stopped(w)) {
        return;
    }
    buf_clear(&w->bytes); /* an event that was cut off comes again */
    bool lived = opened.us != 0 && mono_sub(loop_now(kube_loop(w->kube)), opened) >= SHORT_MS * INT64_C(1000);
    w->failures = lived ? 0 : w->failures;
    if (request->status == GONE && err == EA_OK) {
        w->relist = true;
    }
    if (w->relist && w->failures == 0) {
        w->failures = 1; /* the next one in a row waits */
        list(w);
    } else if (err != EA_OK || (request->err != EA_OK && !lived)) {
        fail(w, err != EA_OK ? &error : &request->error);
    } else if (lived) {
        again(w);
    } else {
        pause_for(w);
    }
}

static void stream(struct kube_watch *w)
{
    struct loop *loop = kube_loop(w->kube);
    int64_t seconds = rng_range(loop_rng(loop), STREAM_S * 4 / 5, STREAM_S * 6 / 5);
    struct buf path = BUF_EMPTY;
    sm_move(&w->sm, STREAMING);
    buf_format(&path,
               "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%d&resourceVersion=", w->options.path,
               (int)seconds);
    kube_escape(&path, str_of(w->version));
    if (w->options.selector != NULL && w->options.selector[0] != '\0') {
        buf_add_str(&path, STR("&labelSelector="));
        kube_escape(&path, str_of(w->options.selector));
    }
    if (w->options.field != NULL && w->options.field[0] != '\0') {
        buf_add_str(&path, STR("&fieldSelector="));
        kube_escape(&path, str_of(w->options.field));
    }
    w->opened = (struct mono){0};
    w->heard = false;
    w->request = (struct kube_request){
        .method = KUBE_GET,
        .what = w->options.what,
        .path = buf_str(&path),
        .deadline = mono_add_ms(loop_now(loop), (seconds + STREAM_GRACE_S) * 1000),
        .once = true, /* how it is tried again is decided here */
        .take = on_bytes,
        .done = on_stream_over,
    };
    kube_send(w->kube, &w->request);
    buf_fini(&path);
}

/* --- the end of the turn --- */

static void on_tell(struct loop *loop, struct loop_task *task)
{
    struct kube_watch *w = CONTAINER_OF(task, struct kube_watch, tell);
    struct error error = ERROR_NONE;
    tell_added(w);
    if (!stopped(w) && sm_now(&w->sm) == STREAMING && tell_stream(w, &error) != EA_OK && !stopped(w)) {
        kube_cancel(w->kube, &w->request);
        w->opened = (struct mono){0};
        buf_clear(&w->bytes);
        if (w->relist && w->failures == 0) {
            w->failures = 1;
            list(w);
        } else {
            fail(w, &error);
        }
    }
}

/* --- life --- */

static const char *copy(const char *text)
{
    return text != NULL ? kube_text(str_of(text)) : NULL;
}

struct kube_watch *kube_watch_start(struct kube *kube, const struct kube_watch_options *options)
{
    struct kube_watch *w = mem_zalloc(sizeof *w);
    struct loop *loop = kube_loop(kube);
    w->kube = kube;
    w->options = *options;
    w->options.path = copy(options->path);
    w->options.selector = copy(options->selector);
    w->options.field = copy(options->field);
    w->tell.run = on_tell;
    w->pause.fire = on_pause_over;
    sm_init(&w->sm, states, WATCH_STATES, PAUSING);
    loop_timer_start(loop, &w->pause, loop_now(loop)); /* nothing is told inside here */
    return w;
}

static void run_end(struct loop *loop, struct loop_task *task)
{
    struct kube_watch *w = CONTAINER_OF(task, struct kube_watch, end);
    if (w->tell.queued) { /* in the next turn it will not be */
        loop_at_end(loop, LOOP_STAGE_FREE, &w->end);
        return;
    }
    mem_free((char *)w->options.path);
    mem_free((char *)w->options.selector);
    mem_free((char *)w->options.field);
    buf_fini(&w->bytes);
    json_decref(w->added);
    mem_free(w);
}

void kube_watch_stop(struct kube_watch *w)
{
    struct loop *loop = kube_loop(w->kube);
    kube_list_cancel(&w->list);
    kube_cancel(w->kube, &w->request);
    loop_timer_stop(loop, &w->pause);
    sm_move(&w->sm, STOPPED);
    w->end.run = run_end;
    loop_at_end(loop, LOOP_STAGE_FREE, &w->end);
}

struct loop *kube_watch_loop(const struct kube_watch *w)
{
    return kube_loop(w->kube);
}

bool kube_watch_is_live(const struct kube_watch *w)
{
    return sm_now(&w->sm) == STREAMING && w->opened.us != 0;
}

const struct error *kube_watch_error(const struct kube_watch *w)
{
    return &w->error;
}
