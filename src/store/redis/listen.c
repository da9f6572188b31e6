/*
 * Listening to what the nodes publish, for stores that are watched: a connection beside the one for commands
 * per server (cluster: to one server of each, which hears them all), on lane 0, where the news are told.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/redis/internal.h"
#include "store/redis/news.h"

#define QUESTIONS_MAX 256 /* to the quorum at once */

struct listener {
    struct redis_listen *listen;
    struct redis_conn conn;
    unsigned node;
    size_t address; /* cluster: which of the seeds */
    bool deaf;      /* was told */
};

struct question {
    struct election_request request;
    struct redis_listen *listen;
    struct news_item *item;
};

struct redis_listen {
    struct redis_store *store;
    struct redis_lane *lane;
    struct news news;
    struct loop_timer timer;
    struct loop_task settle;
    struct slab questions;
    unsigned n_questions;
    bool told_dropped;
    size_t n_listeners;
    struct listener listeners[];
};

static struct news_now news_now_of(const struct redis_listen *listen)
{
    return (struct news_now){loop_now(listen->lane->loop), loop_wall(listen->lane->loop)};
}

static void touch(struct redis_listen *listen)
{
    loop_at_end(listen->lane->loop, LOOP_STAGE_STORE, &listen->settle);
}

static void settle(struct loop *loop, struct loop_task *task)
{
    struct redis_listen *listen = CONTAINER_OF(task, struct redis_listen, settle);
    loop_timer_start(loop, &listen->timer, news_next(&listen->news)); /* MONO_NEVER stops it */
    if (listen->news.dropped > 0 && !listen->told_dropped) {
        listen->told_dropped = true;
        log_warning("redis", "there are more elections than changes can be followed of",
                    LOG_UINT("followed", NEWS_ELECTIONS_MAX));
    }
}

static void fire(struct loop *loop, struct loop_timer *timer)
{
    struct redis_listen *listen = CONTAINER_OF(timer, struct redis_listen, timer);
    news_timer(&listen->news, news_now_of(listen));
    touch(listen);
}

/* --- the news' hooks --- */

static void on_event(void *arg, const struct election_event *event)
{
    const struct redis_listen *listen = arg;
    const struct store_options *options = &listen->store->options;
    if (!listen->store->closing) {
        options->on_event(options->user, listen->lane->index, event);
    }
}

static void answered(struct election_request *request)
{
    struct question *question = request->user;
    struct redis_listen *listen = question->listen;
    struct news_present present = {
        .answer = request->err == EA_OK          ? NEWS_LED
                  : request->err == EA_NOT_FOUND ? NEWS_NOBODY
                                                 : NEWS_UNDECIDED,
        .leader = request->tenure.leader,
        .token = request->tenure.token,
        .expires = request->tenure.expires,
    };
    news_answered(&listen->news, news_now_of(listen), question->item, &present);
    listen->n_questions--;
    slab_free(&listen->questions, question);
    touch(listen);
}

static bool on_ask(void *arg, struct news_item *item, struct str kind, struct str election)
{
    struct redis_listen *listen = arg;
    struct redis_lane *lane = listen->lane;
    struct redis_group *group = group_of(lane, kind, election);
    if (listen->n_questions == QUESTIONS_MAX || listen->store->closing || !group->is_up) {
        return false;
    }
    struct question *question = slab_alloc(&listen->questions);
    *question = (struct question){.listen = listen, .item = item};
    question->request = (struct election_request){
        .op = OP_INFO,
        .kind = kind,
        .election = election,
        .start = loop_now(lane->loop),
        .deadline = mono_add_ms(loop_now(lane->loop), listen->store->redis.operation_timeout_ms),
        .done = answered,
        .user = question,
        .lane = lane->index,
    };
    listen->n_questions++;
    group_submit(group, &question->request);
    return true;
}

/* --- the connections --- */

static void on_message(struct redis_conn *conn, struct str text)
{
    struct listener *listener = conn->options.user;
    struct redis_listen *listen = listener->listen;
    struct news_notice notice;
    if (news_notice_read(text, &notice)) { /* what else stands on the channel is not ours */
        news_heard(&listen->news, news_now_of(listen), listener->node, &notice);
        touch(listen);
    }
}

static void up(struct redis_conn *conn)
{
    struct listener *listener = conn->options.user;
    if (listener->deaf) {
        listener->deaf = false;
        log_info("redis", "notices are heard again", LOG_TEXT("server", conn->options.address->text));
    }
    news_listening(&listener->listen->news, news_now_of(listener->listen));
    touch(listener->listen);
}

static void down(struct redis_conn *conn, const char *why)
{
    struct listener *listener = conn->options.user;
    struct redis_store *store = listener->listen->store;
    if (!listener->deaf && !store->closing) {
        listener->deaf = true;
        log_info("redis", "notices are not heard: news come late",
                 LOG_TEXT("server", conn->options.address->text), LOG_TEXT("why", why));
    }
    if (store->redis.mode == REDIS_CLUSTER) { /* any server of it will do */
        const struct redis_url *url = &store->urls[listener->node];
        listener->address = (listener->address + 1) % url->n_servers;
        conn->options.address = &url->servers[listener->address];
    }
}

static void open_listener(struct redis_listen *listen, size_t index, unsigned node, unsigned position)
{
    struct redis_store *store = listen->store;
    struct listener *listener = &listen->listeners[index];
    *listener = (struct listener){.listen = listen, .node = node};
    struct redis_conn_options options =
        redis_conn_options(listen->lane, node, &store->urls[node].servers[position]);
    options.channel = str_of(store->channel);
    options.message = on_message;
    options.up = up;
    options.down = down;
    options.user = listener;
    conn_init(&listener->conn, &options);
}

/* --- life --- */

struct redis_listen *listen_new(struct redis_store *store)
{
    size_t n = store->n_nodes * store->shards;
    struct redis_listen *listen = mem_zalloc(sizeof *listen + n * sizeof listen->listeners[0]);
    struct redis_lane *lane = &store->lanes[0];
    listen->store = store;
    listen->lane = lane;
    listen->n_listeners = n;
    listen->timer.fire = fire;
    listen->settle.run = settle;
    slab_init(&listen->questions, sizeof(struct question), QUESTIONS_MAX);
    const struct news_hooks hooks = {.event = on_event, .ask = on_ask, .arg = listen};
    news_init(&listen->news, (unsigned)store->n_nodes, rng_next(loop_rng(lane->loop)), &hooks,
              loop_now(lane->loop));
    for (unsigned i = 0; i < n; i++) {
        open_listener(listen, i, i / store->shards, i % store->shards);
    }
    return listen;
}

/* --- what other lanes learn --- */

struct lesson {
    struct loop_message message;
    struct redis_store *store;
    struct news_present present;
    struct str kind;
    struct str election;
    char bytes[];
};

static void learn(struct loop *loop, struct loop_message *message)
{
    struct lesson *lesson = CONTAINER_OF(message, struct lesson, message);
    struct redis_listen *listen = lesson->store->listen;
    if (listen != NULL && !lesson->store->closing) {
        news_learnt(&listen->news, news_now_of(listen), lesson->kind, lesson->election, &lesson->present);
        touch(listen);
    }
    atomic_fetch_sub_explicit(&lesson->store->lessons, 1, memory_order_release);
    mem_free(lesson);
}

static struct str put(char **at, struct str s)
{
    struct str out = {*at, s.n};
    memcpy(*at, s.p, s.n);
    *at += s.n;
    return out;
}

void listen_learnt(struct redis_store *store, const struct election_request *request)
{
    const struct election_tenure *tenure = &request->tenure;
    if (!atomic_load_explicit(&store->watched, memory_order_relaxed) || tenure->leader.n == 0) {
        return;
    }
    struct lesson *lesson =
        mem_alloc(sizeof *lesson + request->kind.n + request->election.n + tenure->leader.n);
    char *at = lesson->bytes;
    *lesson = (struct lesson){.message.deliver = learn, .store = store};
    lesson->kind = put(&at, request->kind);
    lesson->election = put(&at, request->election);
    lesson->present =
        (struct news_present){NEWS_LED, put(&at, tenure->leader), tenure->token, tenure->expires};
    atomic_fetch_add_explicit(&store->lessons, 1, memory_order_relaxed);
    loop_post(store->lanes[0].loop, &lesson->message);
}

void listen_close(struct redis_listen *listen)
{
    for (size_t i = 0; i < listen->n_listeners; i++) {
        conn_close(&listen->listeners[i].conn);
    }
}

bool listen_is_closed(const struct redis_listen *listen)
{
    for (size_t i = 0; i < listen->n_listeners; i++) {
        if (!conn_is_closed(&listen->listeners[i].conn)) {
            return false;
        }
    }
    return true;
}

void listen_free(struct redis_listen *listen)
{
    loop_timer_stop(listen->lane->loop, &listen->timer);
    for (size_t i = 0; i < listen->n_listeners; i++) {
        conn_fini(&listen->listeners[i].conn);
    }
    news_fini(&listen->news);
    slab_fini(&listen->questions);
    mem_free(listen);
}
