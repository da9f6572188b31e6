/*
 * OP_LIST over several lanes: each is asked for its own page, and the pages are merged. The first `page_size`
 * names of all lanes are among the first `page_size` of each.
 */
#include <assert.h>

#include "base/mem.h"
#include "store/embedded/internal.h"

struct list_part {
    struct election_request request;
    struct arena arena;
    struct list_job *job;
    size_t at; /* merged so far */
};

struct list_job {
    struct embedded *store;
    struct election_request *asked;
    unsigned open; /* parts without an answer, and one while they are being sent */
    unsigned n;
    struct list_part parts[];
};

static const struct election_leader *part_head(const struct list_part *part)
{
    return part->at < part->request.list.n ? &part->request.list.leaders[part->at] : NULL;
}

/* The part with the least name left; NULL when all are used up. */
static struct list_part *least_part(struct list_job *job)
{
    struct list_part *least = NULL;
    for (unsigned i = 0; i < job->n; i++) {
        struct list_part *part = &job->parts[i];
        if (part_head(part) != NULL &&
            (least == NULL || str_cmp(part_head(part)->election, part_head(least)->election) < 0)) {
            least = part;
        }
    }
    return least;
}

static void merge(struct list_job *job)
{
    struct election_request *asked = job->asked;
    struct election_list *list = &asked->list;
    size_t most = 0;
    for (unsigned i = 0; i < job->n; i++) {
        most += job->parts[i].request.list.n;
        list->more = list->more || job->parts[i].request.list.more;
    }
    size_t page = job->parts[0].request.page_size;
    most = most < page ? most : page;
    list->leaders = arena_alloc(asked->arena, (most + 1) * sizeof *list->leaders);
    while (list->n < most) {
        struct list_part *part = least_part(job);
        const struct election_leader *leader = part_head(part);
        list->leaders[list->n++] = (struct election_leader){
            .election = arena_str(asked->arena, leader->election),
            .leader = arena_str(asked->arena, leader->leader),
            .token = leader->token,
        };
        part->at++;
    }
    list->more = list->more || least_part(job) != NULL;
}

static void job_release(struct list_job *job)
{
    if (--job->open > 0) {
        return;
    }
    struct election_request *asked = job->asked;
    struct embedded *store = job->store;
    asked->err = EA_OK;
    for (unsigned i = 0; i < job->n && asked->err == EA_OK; i++) {
        if (job->parts[i].request.err != EA_OK) {
            embedded_refuse(asked, arena_str(asked->arena, job->parts[i].request.why));
        }
    }
    if (asked->err == EA_OK) {
        merge(job);
    }
    for (unsigned i = 0; i < job->n; i++) {
        arena_reset(&job->parts[i].arena);
    }
    mem_free(job);
    embedded_answer(store, asked);
}

static void part_done(struct election_request *request)
{
    struct list_part *part = request->user;
    if (request->err != EA_OK) {
        request->why = arena_str(&part->arena, request->why);
    }
    job_release(part->job);
}

void list_submit(struct lane *lane, struct election_request *request)
{
    struct embedded *store = lane->store;
    struct list_job *job = mem_zalloc(sizeof *job + store->n_lanes * sizeof job->parts[0]);
    job->store = store;
    job->asked = request;
    job->n = store->n_lanes;
    job->open = job->n + 1;
    request->decided = request->start;
    request->why = (struct str){NULL, 0};
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = 0};
    for (unsigned i = 0; i < job->n; i++) {
        struct list_part *part = &job->parts[i];
        arena_init(&part->arena, NULL, 0);
        part->job = job;
        part->request = (struct election_request){
            .op = OP_LIST,
            .kind = request->kind,
            .after = request->after,
            .page_size = request->page_size < BOOK_PAGE_MAX ? request->page_size : BOOK_PAGE_MAX,
            .start = request->start,
            .deadline = request->deadline,
            .arena = &part->arena,
            .done = part_done,
            .user = part,
            .lane = lane->index,
        };
        if (i == lane->index) {
            lane_decide(lane, &part->request);
        } else {
            hop_ask(lane, &store->lanes[i], &part->request);
        }
    }
    job_release(job);
}
