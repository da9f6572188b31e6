/*
 *                     ┌───────────── the pause is over ──────────────┐
 *                     ▼                                              │
 *   kube_send() ──► WAITING ──credential and address──► RUNNING ──► PAUSING
 *                     │  ▲                               │  │        │
 *                     │  └───────── 401, once ───────────┘  │        │
 *                     └───── cannot be got ──► PAUSING      │        │
 *                     └──────────► OVER ◄───────────────────┴────────┘
 *
 * OVER is the answer: the deadline, a final outcome, or kube_cancel().
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "kube/internal.h"

const struct sm_state kube_transfer_states[KUBE_TRANSFER_STATES] = {
    [KUBE_WAITING] = {"waiting", SM_TO(KUBE_RUNNING) | SM_TO(KUBE_PAUSING) | SM_TO(KUBE_OVER), false},
    [KUBE_RUNNING] = {"running", SM_TO(KUBE_WAITING) | SM_TO(KUBE_PAUSING) | SM_TO(KUBE_OVER), false},
    [KUBE_PAUSING] = {"pausing", SM_TO(KUBE_WAITING) | SM_TO(KUBE_OVER), false},
    [KUBE_OVER] = {"over", 0, true},
};

/* --- the end --- */

static void drop_easy(struct kube_transfer *t)
{
    struct kube *kube = t->kube;
    if (t->easy != NULL) {
        (void)curl_multi_remove_handle(kube->multi, t->easy);
        curl_easy_reset(t->easy);
        if (kube->spare == NULL) {
            kube->spare = t->easy;
        } else {
            curl_easy_cleanup(t->easy);
        }
        t->easy = NULL;
    }
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->resolve);
    t->headers = NULL;
    t->resolve = NULL;
}

static void unlink_transfer(struct kube_transfer *t)
{
    struct loop *loop = t->kube->loop;
    drop_easy(t);
    loop_timer_stop(loop, &t->pause);
    loop_timer_stop(loop, &t->deadline);
    *t->link = t->next;
    if (t->next != NULL) {
        t->next->link = t->link;
    }
    sm_move(&t->sm, KUBE_OVER);
    t->request->transfer = NULL;
}

static void run_free(struct loop *loop, struct loop_task *task)
{
    struct kube_transfer *t = CONTAINER_OF(task, struct kube_transfer, begin);
    buf_fini(&t->body);
    buf_fini(&t->answer);
    mem_free(t->url);
    mem_free(t);
}

/* Its begin task may still be queued: then that frees it. */
static void free_transfer(struct kube_transfer *t)
{
    t->begin.run = run_free;
    if (!t->begin.queued) {
        run_free(NULL, &t->begin);
    }
}

static void finish(struct kube_transfer *t, enum err err)
{
    struct kube_request *request = t->request;
    request->err = err;
    request->error.code = err;
    unlink_transfer(t);
    request->answer = buf_str(&t->answer);
    request->done(request);
    free_transfer(t);
}

/* --- trying --- */

static bool is_write(const struct kube_request *request)
{
    return request->method != KUBE_GET;
}

static void try(struct kube_transfer *t);

static void on_pause_over(struct loop *loop, struct loop_timer *timer)
{
    struct kube_transfer *t = CONTAINER_OF(timer, struct kube_transfer, pause);
    sm_move(&t->sm, KUBE_WAITING);
    try(t);
}

/* Waits and tries again, or gives up with what is in request->error: at once, if there is no time for another. */
static void again_or_finish(struct kube_transfer *t, enum err err, bool again, int64_t retry_after_s)
{
    struct loop *loop = t->kube->loop;
    struct mono at = mono_add_us(loop_now(loop), kube_pause_us(t->attempts, retry_after_s, loop_rng(loop)));
    if (!again || t->request->once || !mono_before(at, t->request->deadline)) {
        finish(t, err);
        return;
    }
    drop_easy(t);
    sm_move(&t->sm, KUBE_PAUSING);
    loop_timer_start(loop, &t->pause, at);
}

static void run(struct kube_transfer *t)
{
    struct kube *kube = t->kube;
    t->easy = kube->spare != NULL ? kube->spare : curl_easy_init();
    kube->spare = NULL;
    t->attempts++;
    t->curl_error[0] = '\0';
    buf_clear(&t->answer);
    sm_move(&t->sm, KUBE_RUNNING);
    if (t->easy == NULL || !kube_easy_set_up(t) || curl_multi_add_handle(kube->multi, t->easy) != CURLM_OK) {
        (void)error_set(&t->request->error, EA_IO, "%s: libcurl cannot make the request", t->request->what);
        finish(t, EA_IO);
    }
}

static void cannot_try(struct kube_transfer *t, const struct error *error)
{
    struct kube_request *request = t->request;
    request->status = 0;
    t->attempts++;
    (void)error_set(&request->error, error->code, "%s: %s", request->what, error->text);
    again_or_finish(t, error->code, true, 0);
}

static void try(struct kube_transfer *t)
{
    struct error error = ERROR_NONE;
    enum err err = kube_credential_get(t->kube, &error);
    if (err == EA_OK) {
        err = kube_resolver_get(t->kube, &error);
    }
    if (err == EA_OK) {
        run(t);
    } else if (err != EA_AGAIN) {
        cannot_try(t, &error);
    }
}

/* Callbacks may send and cancel, so the list is walked from its head after each. A marker would do too; there are never
 * more than some hundred. */
static struct kube_transfer *first_waiting(struct kube *kube)
{
    for (struct kube_transfer *t = kube->transfers; t != NULL; t = t->next) {
        if (sm_now(&t->sm) == KUBE_WAITING && !t->begin.queued) {
            return t;
        }
    }
    return NULL;
}

void kube_transfers_go(struct kube *kube)
{
    struct kube_transfer *t;
    while (!kube->closing && (t = first_waiting(kube)) != NULL) {
        struct error error = ERROR_NONE;
        enum err err = kube_credential_get(kube, &error);
        if (err == EA_OK) {
            err = kube_resolver_get(kube, &error);
        }
        if (err == EA_AGAIN) {
            return;
        }
        if (err == EA_OK) {
            run(t);
        } else {
            cannot_try(t, &error);
        }
    }
}

void kube_transfers_fail(struct kube *kube, const struct error *error)
{
    struct kube_transfer *t;
    while (!kube->closing && (t = first_waiting(kube)) != NULL) {
        cannot_try(t, error);
    }
}

/* --- what came of it --- */

static void answered(struct kube_transfer *t, long status)
{
    struct kube_request *request = t->request;
    struct kube_verdict verdict = kube_judge(status);
    curl_off_t retry_after = 0;
    long connects = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
    (void)curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &connects);
    request->status = (int)status;
    if (verdict.err == EA_OK) {
        finish(t, EA_OK);
        return;
    }
    kube_explain(request, verdict.err, status, buf_str(&t->answer));
    if (status == 401 && !t->refreshed) {
        t->refreshed = true;
        kube_credential_refused(t->kube);
        drop_easy(t);
        sm_move(&t->sm, KUBE_WAITING);
        try(t);
        return;
    }
    /* curl sends a request anew, unasked, when a kept connection turns out to be dead; and who answers 5xx may have
     * done it. */
    request->maybe_done = request->maybe_done || (is_write(request) && (connects > 0 || status >= 500));
    again_or_finish(t, verdict.err, verdict.again, (int64_t)retry_after);
}

static void broke(struct kube_transfer *t, CURLcode code)
{
    struct kube_request *request = t->request;
    long sent = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
    char words[160];
    (void)str_escape(str_of(t->curl_error[0] != '\0' ? t->curl_error : curl_easy_strerror(code)), words,
                     sizeof words);
    (void)error_set(&request->error, EA_IO, "%s: %s: %s", request->what, kube_server(t->kube), words);
    request->status = 0;
    if (sent == 0) {
        kube_resolver_stale(t->kube);
    }
    request->maybe_done = request->maybe_done || (is_write(request) && sent > 0);
    /* What `take` has seen of a body cannot be unseen. */
    again_or_finish(t, EA_IO, sent == 0 || (!is_write(request) && request->take == NULL), 0);
}

void kube_transfer_complete(struct kube_transfer *t, CURLcode code)
{
    long status = 0;
    if (t->request->err != EA_OK) { /* the body was not to somebody's liking */
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        t->request->status = (int)status;
        finish(t, t->request->err);
        return;
    }
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        broke(t, code);
    } else {
        answered(t, status);
    }
}

static void on_deadline(struct loop *loop, struct loop_timer *timer)
{
    struct kube_transfer *t = CONTAINER_OF(timer, struct kube_transfer, deadline);
    struct kube_request *request = t->request;
    long sent = 0;
    if (t->easy != NULL) {
        (void)curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
    }
    request->maybe_done = request->maybe_done || (is_write(request) && sent > 0);
    if (request->error.text[0] != '\0') { /* of the attempt before */
        (void)error_wrap(&request->error, "no answer in time");
    } else {
        (void)error_set(&request->error, EA_TIMEOUT, "%s: %s gave no answer in time", request->what,
                        kube_server(t->kube));
    }
    finish(t, EA_TIMEOUT);
}

/* --- sending --- */

static void begin(struct loop *loop, struct loop_task *task)
{
    try(CONTAINER_OF(task, struct kube_transfer, begin));
}

void kube_send(struct kube *kube, struct kube_request *request)
{
    assert(!kube->closing && request->transfer == NULL && request->what != NULL && request->done != NULL);
    struct kube_transfer *t = mem_zalloc(sizeof *t);
    struct buf url = BUF_EMPTY;
    buf_add_str(&url, str_of(kube->resolver.base));
    buf_add_str(&url, request->path);
    buf_add(&url, "", 1);
    t->url = url.p;
    t->kube = kube;
    t->request = request;
    buf_add_str(&t->body, request->body);
    sm_init(&t->sm, kube_transfer_states, KUBE_TRANSFER_STATES, KUBE_WAITING);
    t->pause.fire = on_pause_over;
    t->deadline.fire = on_deadline;
    t->begin.run = begin;
    t->next = kube->transfers;
    t->link = &kube->transfers;
    if (t->next != NULL) {
        t->next->link = &t->next;
    }
    kube->transfers = t;

    request->transfer = t;
    request->err = EA_OK;
    request->error = ERROR_NONE;
    request->status = 0;
    request->reason[0] = '\0';
    request->maybe_done = false;
    request->answer = str_from(NULL, 0);
    if (request->deadline.us != MONO_NEVER.us) {
        loop_timer_start(kube->loop, &t->deadline, request->deadline);
    }
    loop_at_start(kube->loop, &t->begin);
}

void kube_cancel(struct kube *kube, struct kube_request *request)
{
    struct kube_transfer *t = request->transfer;
    if (t != NULL) {
        unlink_transfer(t);
        free_transfer(t);
    }
}

void kube_escape(struct buf *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            (c != '\0' && strchr("-._~", c) != NULL)) {
            buf_add(out, &s.p[i], 1);
        } else {
            buf_add(out, (char[]){'%', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}
