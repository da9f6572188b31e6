/*
 * OP_LIST: the names come from SCAN, from enough servers that every election with a leader is among them (a
 * tenure stands on a majority, and any majority shares a server with it); whether somebody leads is then asked
 * of the quorum, name by name, as GetLeader does. A page costs a scan of the prefix's servers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/redis/internal.h"

#define SCAN_COUNT  1000
#define READS_MAX   256 /* elections asked for at once */
#define NAMES_BYTES ((size_t)256 * 1024 * 1024)

struct scan {
    struct redis_call call;
    struct list *list;
    struct redis_server *server;
    bool open;
    bool complete;
};

struct read {
    struct election_request request;
    struct list *list;
};

struct list {
    struct election_request *request;
    struct redis_lane *lane;
    struct arena names_arena;
    struct str *names; /* greater than request->after */
    size_t n_names;
    size_t room;
    size_t bytes;
    size_t next; /* of names: not asked for yet */
    unsigned scans_open;
    unsigned reads_open;
    bool scanning;
    enum err err; /* of a read that the quorum could not decide */
    struct str why;
    struct election_leader *leaders; /* in order; at most page_size + 1 */
    size_t n_leaders;
    struct read *reads;
    size_t n_reads;
    size_t n_scans;
    struct scan scans[];
};

static void free_list(struct list *list)
{
    arena_reset(&list->names_arena);
    mem_free(list->names);
    mem_free(list->reads);
    mem_free(list);
}

static void fail(struct list *list, enum err err, struct str why)
{
    struct election_request *request = list->request;
    why = arena_str(request->arena, why);
    free_list(list);
    redis_refuse(request, err, why);
}

/* --- who leads --- */

static void succeed(struct list *list)
{
    struct election_request *request = list->request;
    size_t page = request->page_size;
    request->err = EA_OK;
    request->list.more = list->n_leaders > page;
    request->list.n = request->list.more ? page : list->n_leaders;
    request->list.leaders = list->leaders;
    free_list(list);
    request->done(request);
}

static void read_more(struct list *list);

static void take_reads(struct list *list)
{
    for (size_t i = 0; i < list->n_reads; i++) {
        const struct election_request *read = &list->reads[i].request;
        if (read->err == EA_OK && list->n_leaders <= list->request->page_size) {
            list->leaders[list->n_leaders++] = (struct election_leader){
                arena_str(list->request->arena, read->election), read->tenure.leader, read->tenure.token};
        } else if (read->err != EA_OK && read->err != EA_NOT_FOUND && list->err == EA_OK) {
            list->err = read->err;
            list->why = read->why;
        }
    }
    mem_free(list->reads);
    list->reads = NULL;
    read_more(list);
}

static void read_done(struct election_request *request)
{
    struct list *list = ((struct read *)request->user)->list;
    request->tenure.leader = arena_str(list->request->arena, request->tenure.leader);
    request->why = arena_str(list->request->arena, request->why);
    if (--list->reads_open == 0) {
        take_reads(list);
    }
}

static void read_more(struct list *list)
{
    size_t wanted = (size_t)list->request->page_size + 1 - list->n_leaders;
    size_t left = list->n_names - list->next;
    size_t n = wanted < left ? wanted : left;
    n = n < READS_MAX ? n : READS_MAX;
    if (list->err != EA_OK) {
        fail(list, list->err, list->why);
        return;
    }
    if (n == 0) {
        succeed(list);
        return;
    }
    list->reads = mem_zalloc(n * sizeof *list->reads);
    list->n_reads = n;
    list->reads_open = (unsigned)n + 1; /* one for this function: an answer may come within submit */
    for (size_t i = 0; i < n; i++) {
        struct read *read = &list->reads[i];
        read->list = list;
        read->request = (struct election_request){
            .op = OP_GET,
            .kind = list->request->kind,
            .election = list->names[list->next + i],
            .start = list->request->start,
            .deadline = list->request->deadline,
            .arena = list->request->arena,
            .done = read_done,
            .user = read,
            .lane = list->request->lane,
        };
        group_submit(group_of(list->lane, read->request.kind, read->request.election), &read->request);
    }
    list->next += n;
    if (--list->reads_open == 0) {
        take_reads(list);
    }
}

/* --- names --- */

static int by_bytes(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void sort_names(struct list *list)
{
    size_t n = 0;
    if (list->n_names > 0) {
        qsort(list->names, list->n_names, sizeof list->names[0], by_bytes);
    }
    for (size_t i = 0; i < list->n_names; i++) {
        if (n == 0 || !str_eq(list->names[n - 1], list->names[i])) {
            list->names[n++] = list->names[i];
        }
    }
    list->n_names = n;
}

static void add_name(struct list *list, struct str name)
{
    if (list->n_names == list->room) {
        list->room = list->room == 0 ? 256 : 2 * list->room;
        list->names = mem_realloc(list->names, list->room * sizeof list->names[0]);
    }
    list->names[list->n_names++] = arena_str(&list->names_arena, name);
    list->bytes += name.n + sizeof list->names[0];
}

static void ask(struct scan *scan, struct str cursor)
{
    char pattern[REDIS_PATTERN_BYTES_MAX];
    const struct redis_keys *keys = &scan->list->lane->store->keys;
    size_t n = redis_key_write_pattern(keys, scan->list->request->kind, pattern);
    scan->call.replies = 1;
    struct buf *out = server_call(scan->server, &scan->call);
    resp_begin(out, 6);
    resp_add(out, STR("SCAN"));
    resp_add(out, cursor);
    resp_add(out, STR("MATCH"));
    resp_add(out, (struct str){pattern, n});
    resp_add(out, STR("COUNT"));
    resp_add_u64(out, SCAN_COUNT);
}

/* Of each set of servers that decide together, a majority must have been scanned; in cluster mode that is every
 * slot's owner in a majority of clusters. */
static bool is_enough(const struct list *list)
{
    const struct redis_store *store = list->lane->store;
    unsigned quorum = (unsigned)store->n_nodes / 2 + 1;
    if (store->redis.mode == REDIS_CLUSTER) {
        unsigned whole = 0;
        for (unsigned node = 0; node < store->n_nodes; node++) {
            bool all = true;
            for (unsigned slot = 0; all && slot < REDIS_SLOTS; slot++) {
                const struct redis_server *owner = cluster_owner(list->lane, node, slot);
                bool found = false;
                for (size_t i = 0; i < list->n_scans && owner != NULL && !found; i++) {
                    found = list->scans[i].server == owner && list->scans[i].complete;
                }
                all = found;
            }
            whole += all;
        }
        return whole >= quorum;
    }
    for (unsigned shard = 0; shard < store->shards; shard++) {
        unsigned complete = 0;
        for (size_t i = 0; i < list->n_scans; i++) {
            complete += list->scans[i].server->position == shard && list->scans[i].complete;
        }
        if (complete < quorum) {
            return false;
        }
    }
    return true;
}

static void scan_over(struct scan *scan, bool complete)
{
    struct list *list = scan->list;
    scan->complete = complete;
    if (--list->scans_open > 0) {
        return;
    }
    if (!is_enough(list)) {
        fail(list, EA_UNAVAILABLE, STR("too few nodes could be asked for the names of their elections"));
        return;
    }
    sort_names(list);
    read_more(list);
}

static enum err on_reply(struct redis_conn *conn, struct redis_call *call, const struct resp_value *value)
{
    struct scan *scan = CONTAINER_OF(call, struct scan, call);
    struct list *list = scan->list;
    const struct election_request *request = list->request;
    if (value->type == RESP_ERROR) {
        health_trouble(scan->server, redis_failure_of(value->str));
        scan_over(scan, false);
        return EA_OK;
    }
    if (value->type != RESP_ARRAY || value->n != 2 || value->items[0].type != RESP_STRING ||
        value->items[1].type != RESP_ARRAY) {
        scan_over(scan, false);
        return EA_PROTOCOL;
    }
    const struct resp_value *found = &value->items[1];
    for (size_t i = 0; i < found->n; i++) {
        struct str name;
        if (found->items[i].type == RESP_STRING &&
            redis_key_election(&list->lane->store->keys, request->kind, found->items[i].str, &name) &&
            str_cmp(name, request->after) > 0) {
            add_name(list, name);
        }
    }
    bool late = !mono_before(loop_now(list->lane->loop), request->deadline) || list->bytes > NAMES_BYTES;
    if (str_eq(value->items[0].str, STR("0"))) {
        scan_over(scan, true);
    } else if (late || !conn_is_ready(conn)) {
        scan_over(scan, false);
    } else {
        ask(scan, value->items[0].str);
    }
    return EA_OK;
}

static void on_lost(struct redis_conn *conn, struct redis_call *call)
{
    scan_over(CONTAINER_OF(call, struct scan, call), false);
}

void redis_list_submit(struct redis_lane *lane, struct election_request *request)
{
    size_t n = 0;
    for (struct redis_server *server = lane_next_server(lane, NULL); server != NULL;
         server = lane_next_server(lane, server)) {
        n += conn_is_ready(&server->conn);
    }
    struct list *list = mem_zalloc(sizeof *list + n * sizeof list->scans[0]);
    list->request = request;
    list->lane = lane;
    arena_init(&list->names_arena, NULL, 0);
    list->leaders = arena_alloc(request->arena, ((size_t)request->page_size + 1) * sizeof list->leaders[0]);
    list->scans_open = 1;
    for (struct redis_server *server = lane_next_server(lane, NULL); server != NULL;
         server = lane_next_server(lane, server)) {
        if (conn_is_ready(&server->conn)) {
            struct scan *scan = &list->scans[list->n_scans++];
            *scan =
                (struct scan){.call = {.reply = on_reply, .lost = on_lost}, .list = list, .server = server};
            list->scans_open++;
            ask(scan, STR("0"));
        }
    }
    /* The one more was for this function: without any server the answer is given here. */
    if (list->n_scans == 0) {
        fail(list, EA_UNAVAILABLE, STR("no node can be reached"));
        return;
    }
    list->scans_open--;
}
