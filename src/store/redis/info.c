/*
 * OP_INFO: the quorum tells the tenure; what is kept for display (the election's meta and candidates) is then
 * asked of every server that holds it, and what they say is put together (recall.h). Display only: a server that does
 * not answer is left out.
 */
#include "base/mem.h"
#include "store/redis/internal.h"
#include "store/redis/recall.h"

#define ASK_MS 1000 /* for what is only shown */

struct info;

struct question {
    struct redis_call call;
    struct info *info;
    unsigned node;
};

struct info {
    struct election_request inner; /* what the quorum is asked */
    struct election_request *outer;
    struct redis_group *group;
    struct loop_timer timer;
    unsigned open; /* questions without an answer; the last one frees */
    bool answered;
    struct recall recall;
    struct question questions[];
};

static struct str keep(struct info *info, struct str text)
{
    return arena_str(info->outer->arena, text);
}

/* --- the answer --- */

static void finish(struct info *info)
{
    struct election_request *outer = info->outer;
    if (!info->answered) {
        info->answered = true;
        loop_timer_stop(info->group->lane->loop, &info->timer);
        if (info->inner.err == EA_OK || (info->inner.err == EA_NOT_FOUND && info->recall.any)) {
            outer->err = EA_OK;
            outer->tenure = info->inner.tenure;
            recall_answer(&info->recall, redis_now(info->group->lane), outer);
            listen_learnt(info->group->lane->store, outer);
            outer->done(outer);
        } else {
            redis_refuse(outer, info->inner.err, info->inner.why);
        }
    }
    if (info->open == 0) {
        mem_free(info);
    }
}

static void on_timer(struct loop *loop, struct loop_timer *timer)
{
    finish(CONTAINER_OF(timer, struct info, timer));
}

static void question_over(struct question *question)
{
    struct info *info = question->info;
    info->open--;
    if (info->open == 0) {
        finish(info);
    }
}

static enum err on_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct question *question = CONTAINER_OF(call, struct question, call);
    struct info *info = question->info;
    enum err err = EA_OK;
    bool wanted = !info->answered; /* else the arena is gone */
    if (wanted && call->replies == 2) {
        err = recall_take_meta(&info->recall, question->node, value);
    } else if (wanted && call->replies == 1) {
        err = recall_take_candidates(&info->recall, value);
    } else if (wanted) {
        err = recall_take_fence(&info->recall, value, loop_wall(info->group->lane->loop));
    }
    if (call->replies == 0) {
        question_over(question);
    }
    return err;
}

static void on_lost(struct redis_conn *conn, struct redis_call *call)
{
    question_over(CONTAINER_OF(call, struct question, call));
}

/* --- the questions --- */

static void add_key(const struct info *info, enum redis_key which, struct buf *out)
{
    char key[REDIS_KEY_BYTES_MAX];
    size_t n = redis_key_write(&info->group->lane->store->keys, which, info->outer->kind,
                               info->outer->election, key);
    resp_add(out, (struct str){key, n});
}

static void ask(struct info *info, unsigned node, struct redis_server *server)
{
    struct question *question = &info->questions[node];
    *question = (struct question){.info = info, .node = node};
    question->call = (struct redis_call){.replies = 3, .reply = on_reply, .lost = on_lost};
    info->open++;
    struct buf *out = server_call(server, &question->call);
    resp_begin(out, 2);
    resp_add(out, STR("HGETALL"));
    add_key(info, REDIS_KEY_META, out);
    resp_begin(out, 5);
    resp_add(out, STR("ZREVRANGE"));
    add_key(info, REDIS_KEY_CANDIDATES, out);
    resp_add(out, STR("0"));
    resp_add_u64(out, RECALL_CANDIDATES_MAX - 1);
    resp_add(out, STR("WITHSCORES"));
    resp_begin(out, 2);
    resp_add(out, STR("PTTL"));
    add_key(info, REDIS_KEY_FENCE, out);
}

static void decided(struct election_request *inner)
{
    struct info *info = inner->user;
    struct redis_group *group = info->group;
    struct loop *loop = group->lane->loop;
    inner->why = keep(info, inner->why);
    inner->tenure.leader = keep(info, inner->tenure.leader);
    if (inner->err == EA_OK || inner->err == EA_NOT_FOUND) {
        for (unsigned i = 0; i < group->lane->store->n_nodes; i++) {
            struct redis_server *server = group->seats[i].server;
            if (server != NULL && conn_is_ready(&server->conn)) {
                ask(info, i, server);
            }
        }
    }
    if (info->open == 0) {
        finish(info);
        return;
    }
    info->timer.fire = on_timer;
    loop_timer_start(loop, &info->timer,
                     mono_min(mono_add_ms(loop_now(loop), ASK_MS), info->outer->deadline));
}

void redis_info_submit(struct redis_group *group, struct election_request *request)
{
    size_t nodes = group->lane->store->n_nodes;
    struct info *info = mem_zalloc(sizeof *info + nodes * sizeof info->questions[0]);
    info->inner = *request;
    info->inner.done = decided;
    info->inner.user = info;
    info->outer = request;
    info->group = group;
    recall_init(&info->recall, (unsigned)nodes, request->arena);
    group_submit(group, &info->inner);
}
