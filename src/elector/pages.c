#include "elector/pages.h"

#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/server.h"
#include "http/sse.h"
#include "net/listener.h"

#define AWAKE_US        INT64_C(15000000)
#define CLOSE_US        INT64_C(1000000)
#define ID_BYTES        24
#define CONNECTIONS_MAX 4096 /* each group of pages */

enum group { GROUP_LEADER, GROUP_PROBES, GROUP_METRICS, GROUPS };

/* One address. */
struct site {
    struct pages *pages;
    enum group group;
    struct http_server *server;
    struct listener *listener;
};

struct subscriber {
    struct pages *pages;
    struct exchange *ex;
    struct subscriber *prev;
    struct subscriber *next;
    bool full;   /* it was sent more than it takes */
    bool behind; /* and has missed something since */
};

struct pages {
    struct pages_options options;
    struct site sites[GROUPS];
    struct subscriber *subscribers;
    struct loop_timer awake;
    unsigned undrained;
    void (*closed)(void *user);
};

/* --- who leads --- */

static void encode_leader(const struct pages_view *view, struct buf *out)
{
    if (!view->known) {
        buf_add_str(out, STR("{}"));
        return;
    }
    char time[WALL_TEXT_BYTES];
    wall_format(view->changed, time);
    buf_add_str(out, STR("{\"name\":"));
    buf_add_json(out, str_of(view->leader));
    buf_format(out, ",\"last_update\":\"%s\"}", time);
}

static void answer(struct exchange *ex, int status, struct str type, struct str body)
{
    const struct http_field fields[] = {{STR("content-type"), type}, {STR("cache-control"), STR("no-cache")}};
    exchange_answer(ex, status, fields, ARRAY_LENGTH(fields), body);
}

static void answer_text(struct exchange *ex, int status, struct str text)
{
    answer(ex, status, STR("text/plain; charset=utf-8"), text);
}

static void answer_leader(struct pages *pages, struct exchange *ex)
{
    struct pages_view view = pages->options.look(pages->options.user);
    struct buf body = BUF_EMPTY;
    encode_leader(&view, &body);
    answer(ex, view.known ? 200 : 503, STR("application/json"), buf_str(&body));
    buf_fini(&body);
}

/* --- subscribers --- */

/* The id of a state is when it came about, in microseconds. */
static size_t state_id(const struct pages_view *view, char out[ID_BYTES])
{
    return str_from_u64((uint64_t)view->changed.us, out);
}

static void send_state(struct subscriber *s, const struct pages_view *view)
{
    if (s->full) {
        s->behind = true;
        return;
    }
    char id[ID_BYTES];
    struct buf data = BUF_EMPTY;
    encode_leader(view, &data);
    struct sse_event event = {.id = str_from(id, state_id(view, id)), .data = buf_str(&data)};
    s->full = sse_send(s->ex, &event) > EXCHANGE_HIGH_BYTES;
    buf_fini(&data);
}

static void drop(struct subscriber *s)
{
    if (s->next != NULL) {
        s->next->prev = s->prev;
    }
    if (s->prev != NULL) {
        s->prev->next = s->next;
    } else {
        s->pages->subscribers = s->next;
    }
    mem_free(s);
}

static void on_gone(struct exchange *ex)
{
    drop(ex->user);
}

static void on_writable(struct exchange *ex)
{
    struct subscriber *s = ex->user;
    s->full = false;
    if (s->behind) {
        s->behind = false;
        struct pages_view view = s->pages->options.look(s->pages->options.user);
        send_state(s, &view);
    }
}

static void subscribe(struct pages *pages, struct exchange *ex)
{
    struct pages_view view = pages->options.look(pages->options.user);
    char id[ID_BYTES];
    /* Who comes back and has seen this state already does not hear of it twice. */
    bool seen = view.known && str_eq(sse_last_id(ex), str_from(id, state_id(&view, id)));
    sse_start(ex);
    if (ex->method == HTTP_HEAD) {
        exchange_finish(ex, NULL, 0);
        return;
    }
    struct subscriber *s = mem_zalloc(sizeof *s);
    s->pages = pages;
    s->ex = ex;
    s->next = pages->subscribers;
    if (s->next != NULL) {
        s->next->prev = s;
    }
    pages->subscribers = s;
    ex->user = s;
    ex->on_gone = on_gone;
    ex->on_writable = on_writable;
    if (view.known && !seen) {
        send_state(s, &view);
    } else {
        sse_keep_awake(ex); /* so that the client sees an answer */
    }
}

void pages_changed(struct pages *pages)
{
    struct pages_view view = pages->options.look(pages->options.user);
    for (struct subscriber *s = pages->subscribers; s != NULL && view.known; s = s->next) {
        send_state(s, &view);
    }
}

static void keep_awake(struct loop *loop, struct loop_timer *timer)
{
    struct pages *pages = CONTAINER_OF(timer, struct pages, awake);
    for (struct subscriber *s = pages->subscribers; s != NULL; s = s->next) {
        if (!s->full) {
            s->full = sse_keep_awake(s->ex) > EXCHANGE_HIGH_BYTES;
        }
    }
    loop_timer_start(loop, timer, mono_add_us(loop_now(loop), AWAKE_US));
}

/* --- probes and metrics --- */

static void answer_metrics(struct pages *pages, struct exchange *ex)
{
    struct pages_view view = pages->options.look(pages->options.user);
    const struct {
        const char *name;
        const char *type;
        const char *help;
        uint64_t value;
    } metrics[] = {
        {"elector_elections_won", "counter", "Times this pod became the leader.", view.won},
        {"elector_elections_lost", "counter", "Times this pod stopped being the leader.", view.lost},
        {"elector_kubernetes_resources_written", "counter", "Leases created or updated.", view.written},
        {"elector_is_leader", "gauge", "Whether this pod leads.", view.leads},
    };
    struct buf text = BUF_EMPTY;
    for (size_t i = 0; i < ARRAY_LENGTH(metrics); i++) {
        buf_format(&text, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", metrics[i].name, metrics[i].help,
                   metrics[i].name, metrics[i].type, metrics[i].name, (unsigned long long)metrics[i].value);
    }
    answer(ex, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&text));
    buf_fini(&text);
}

static void answer_ready(struct pages *pages, struct exchange *ex)
{
    struct pages_view view = pages->options.look(pages->options.user);
    answer_text(ex, view.ready ? 200 : 503, view.ready ? STR("ready\n") : STR("no leader is known yet\n"));
}

static void answer_alive(struct pages *pages, struct exchange *ex)
{
    answer_text(ex, 200, STR("ok\n"));
}

static const struct {
    enum group group;
    const char *path;
    void (*answer)(struct pages *pages, struct exchange *ex);
} all_pages[] = {
    {GROUP_LEADER, "/", answer_leader},          {GROUP_LEADER, "/sse", subscribe},
    {GROUP_PROBES, "/healthz", answer_alive},    {GROUP_PROBES, "/readyz", answer_ready},
    {GROUP_METRICS, "/metrics", answer_metrics},
};

/* --- serving --- */

static enum http_intake on_head(struct exchange *ex, void *user)
{
    return HTTP_BUFFER;
}

static void on_request(struct exchange *ex, void *user)
{
    struct site *site = user;
    for (size_t i = 0; i < ARRAY_LENGTH(all_pages); i++) {
        if (all_pages[i].group != site->group || !str_eq(ex->path, str_of(all_pages[i].path))) {
            continue;
        }
        if (ex->method == HTTP_GET || ex->method == HTTP_HEAD) {
            all_pages[i].answer(site->pages, ex);
            return;
        }
        const struct http_field allow = {STR("allow"), STR("GET, HEAD")};
        exchange_answer(ex, 405, &allow, 1, STR(""));
        return;
    }
    answer_text(ex, 404, STR("no such page\n"));
}

static const struct http_handler handler = {.on_head = on_head, .on_request = on_request};

static bool admit(void *user)
{
    const struct site *site = user;
    const struct http_counts *counts = http_server_counts(site->server);
    uint64_t open = 0;
    for (size_t i = 0; i < 4; i++) {
        open += atomic_load_explicit(&counts->connections[i / 2][i % 2], memory_order_relaxed);
    }
    return open < CONNECTIONS_MAX;
}

static void on_accept(struct stream *stream, void *user)
{
    struct site *site = user;
    http_server_accept(site->server, stream);
}

static enum err site_open(struct site *site, const struct address *address, struct error *error)
{
    static const char *const names[GROUPS] = {"leader", "probes", "metrics"};
    struct loop *loop = site->pages->options.loop;
    struct http_limits limits = http_limits_default;
    limits.body_bytes = 1024;
    limits.age_us = 0; /* a subscription lasts as long as its client */
    site->server = http_server_new(
        &(struct http_server_options){.loop = loop, .limits = limits, .handler = &handler, .user = site});
    struct listener_options listen = {
        .address = str_of(address->host),
        .port = address->port,
        .admit = admit,
        .on_accept = on_accept,
        .user = site,
    };
    enum err err = listener_open(&site->listener, loop, &listen, error);
    if (err == EA_OK) {
        log_info("http", "listening", LOG_TEXT("pages", names[site->group]),
                 LOG_TEXT("address", address->host), LOG_UINT("port", listener_port(site->listener)));
    }
    return err;
}

static void sites_close(struct pages *pages)
{
    for (int i = 0; i < GROUPS; i++) {
        struct site *site = &pages->sites[i];
        if (site->listener != NULL) {
            listener_close(site->listener);
        }
        if (site->server != NULL) {
            http_server_free(site->server);
        }
    }
}

enum err pages_open(struct pages **out, const struct pages_options *options, struct error *error)
{
    const struct address *addresses[GROUPS] = {&options->options->http, &options->options->probe_address,
                                               &options->options->metrics_address};
    struct pages *pages = mem_zalloc(sizeof *pages);
    pages->options = *options;
    for (int i = 0; i < GROUPS; i++) {
        pages->sites[i].pages = pages;
        pages->sites[i].group = (enum group)i;
        enum err err = site_open(&pages->sites[i], addresses[i], error);
        if (err != EA_OK) {
            sites_close(pages);
            mem_free(pages);
            return err;
        }
    }
    pages->awake.fire = keep_awake;
    loop_timer_start(options->loop, &pages->awake, mono_add_us(loop_now(options->loop), AWAKE_US));
    *out = pages;
    return EA_OK;
}

static void drained(void *user)
{
    struct pages *pages = user;
    if (--pages->undrained > 0) {
        return;
    }
    for (int i = 0; i < GROUPS; i++) {
        http_server_free(pages->sites[i].server);
    }
    void (*closed)(void *) = pages->closed;
    void *closed_user = pages->options.user;
    mem_free(pages);
    closed(closed_user);
}

void pages_close(struct pages *pages, void (*closed)(void *user))
{
    struct loop *loop = pages->options.loop;
    pages->closed = closed;
    loop_timer_stop(loop, &pages->awake);
    while (pages->subscribers != NULL) {
        struct exchange *ex = pages->subscribers->ex;
        drop(pages->subscribers);
        ex->on_gone = NULL;
        ex->on_writable = NULL;
        exchange_finish(ex, NULL, 0);
    }
    pages->undrained = GROUPS;
    for (int i = 0; i < GROUPS; i++) {
        listener_close(pages->sites[i].listener);
        pages->sites[i].listener = NULL;
    }
    struct mono deadline = mono_add_us(loop_now(loop), CLOSE_US);
    for (int i = 0; i < GROUPS; i++) {
        http_server_drain(pages->sites[i].server, deadline, drained, pages);
    }
}
