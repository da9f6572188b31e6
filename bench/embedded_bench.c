/*
 * What the embedded store costs: memory per lease and time per operation with a million of them, and how long
 * requests wait while a hundred thousand leases end within one second. Prints a table; part of no test.
 *
 *     ninja -C build bench/embedded_bench && build/bench/embedded_bench [leases]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "core/book.h"
#include "net/loop.h"
#include "store/embedded/embedded.h"

#define LEASES_DEFAULT 1000000
#define OPERATIONS     1000000
#define CROWD          100000
#define NAME_BYTES     32

static int64_t read_ns(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

/* What this thread has worked: on a busy machine the fairer clock. */
static int64_t worked_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* Resident memory of our own (RssAnon), in bytes. */
static size_t resident(void)
{
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %zu kB", &kib) == 1) {
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    return kib * 1024;
}

static struct str name_of(char out[NAME_BYTES + 1], const char *what, size_t i)
{
    (void)snprintf(out, NAME_BYTES + 1, "%s-%0*zu", what, (int)(NAME_BYTES - 1 - strlen(what)), i);
    return (struct str){out, NAME_BYTES};
}

/* --- the book --- */

struct work {
    const char *what;
    enum election_op op;
    const char *who; /* NULL: the leader */
};

static void decide(struct book *book, const struct work *work, size_t lease, struct mono now,
                   struct arena *arena)
{
    char election[NAME_BYTES + 1];
    char who[NAME_BYTES + 1];
    struct book_outcome outcome;
    struct election_request request = {
        .op = work->op,
        .kind = STR("default"),
        .election = name_of(election, "election", lease),
        .candidate = name_of(who, work->who != NULL ? work->who : "leader", lease),
        .term_ms = 3600000,
        .page_size = 1000,
        .arena = arena,
    };
    request.after = request.election;
    book_decide(book, now, (struct wall){now.us + INT64_C(1800000000000000)}, &request, &outcome);
}

static void measure(struct book *book, const struct work *work, size_t leases, size_t operations)
{
    struct rng rng;
    struct arena arena;
    char name[NAME_BYTES + 1];
    arena_init(&arena, NULL, 0);
    size_t *order = mem_alloc(operations * sizeof *order);
    rng_seed(&rng, 1);
    for (size_t i = 0; i < operations; i++) {
        order[i] = rng_below(&rng, leases);
    }
    int64_t began = worked_ns();
    for (size_t i = 0; i < operations; i++) {
        (void)name_of(name, "election", order[i]);
        (void)name_of(name, "leader", order[i]);
    }
    int64_t names_ns = worked_ns() - began; /* making names is not the book's */
    int64_t worst_ns = 0;
    began = worked_ns();
    for (size_t i = 0; i < operations; i++) {
        int64_t before = work->op == OP_LIST ? worked_ns() : 0;
        decide(book, work, order[i], (struct mono){2000000}, &arena);
        if (work->op == OP_LIST) {
            int64_t took = worked_ns() - before;
            worst_ns = took > worst_ns ? took : worst_ns;
            arena_reset(&arena);
        }
    }
    int64_t took = worked_ns() - began - (work->op == OP_LIST ? 0 : names_ns);
    printf("  %-34s %8.0f ns", work->what, (double)took / (double)operations);
    if (worst_ns > 0) {
        printf("  (worst %.1f ms)", (double)worst_ns / 1e6);
    }
    printf("\n");
    mem_free(order);
}

static void bench_book(size_t leases)
{
    static const struct work works[] = {
        {"losing campaign, first time", OP_CAMPAIGN, "loser"},
        {"losing campaign, known candidate", OP_CAMPAIGN, "loser"},
        {"own campaign", OP_CAMPAIGN, NULL},
        {"extend", OP_EXTEND, NULL},
        {"get", OP_GET, NULL},
    };
    static const struct work grant = {"grant", OP_CAMPAIGN, NULL};
    static const struct work list = {"list, a page of 1000", OP_LIST, NULL};
    struct book_options options = {.now = {1000000}, .seed = 99, .vacant_kept = 10000};
    struct book *book = book_new(&options);
    size_t before = resident();
    int64_t began = worked_ns();
    int64_t worst_ns = 0;
    for (size_t i = 0; i < leases; i++) {
        int64_t one = worked_ns();
        decide(book, &grant, i, (struct mono){1000000}, NULL);
        one = worked_ns() - one;
        worst_ns = one > worst_ns ? one : worst_ns;
    }
    int64_t took = worked_ns() - began;
    printf("book, %zu leases, names of %d bytes\n", leases, NAME_BYTES);
    printf("  %-34s %8.0f bytes\n", "resident per lease", (double)(resident() - before) / (double)leases);
    printf("  %-34s %8.0f ns  (worst %.1f ms)\n", "grant", (double)took / (double)leases,
           (double)worst_ns / 1e6);
    for (size_t i = 1; i < ARRAY_LENGTH(works); i++) {
        if (works[i].op == OP_CAMPAIGN && works[i].who != NULL) {
            measure(book, &works[i - 1], 1000, 100000); /* all of them known */
            measure(book, &works[i], 1000, OPERATIONS);
        } else {
            measure(book, &works[i], 1000, OPERATIONS);
        }
    }
    printf("the same over all leases, which no cache holds\n");
    for (size_t i = 2; i < ARRAY_LENGTH(works); i++) {
        measure(book, &works[i], leases, OPERATIONS);
    }
    measure(book, &list, leases, 1000);
    book_free(book);
    (void)malloc_trim(0);
}

/* --- the store, while a crowd of leases ends --- */

struct stream {
    struct election_request request;
    struct loop *loop;
    struct store *store;
    struct loop_message next; /* one request a turn */
    int64_t asked_ns;
    int64_t worst_ns;
    int64_t asked_worked_ns;
    int64_t worst_worked_ns;
    size_t answered;
    size_t expired;
    int64_t first_ns;
    int64_t last_ns;
    size_t open;
    size_t granted;
    char election[NAME_BYTES + 1];
    char candidate[NAME_BYTES + 1];
};

static void on_event(void *user, unsigned lane, const struct election_event *event)
{
    struct stream *stream = user;
    if (event->action == ACTION_EXPIRED) {
        stream->last_ns = now_ns();
        stream->first_ns = stream->expired++ == 0 ? stream->last_ns : stream->first_ns;
    }
    (void)lane;
}

static void on_answer(struct election_request *request)
{
    struct stream *stream = request->user;
    int64_t took = now_ns() - stream->asked_ns;
    int64_t worked = worked_ns() - stream->asked_worked_ns;
    stream->worst_ns = took > stream->worst_ns ? took : stream->worst_ns;
    stream->worst_worked_ns = worked > stream->worst_worked_ns ? worked : stream->worst_worked_ns;
    stream->answered++;
    if (stream->expired >= CROWD) {
        loop_stop(stream->loop);
        return;
    }
    stream->asked_ns = now_ns(); /* also the wait for the loop to come round */
    stream->asked_worked_ns = worked_ns();
    loop_post(stream->loop, &stream->next);
}

static void ask_next(struct loop *loop, struct loop_message *message)
{
    struct stream *stream = CONTAINER_OF(message, struct stream, next);
    struct mono now = loop_now(loop);
    /* Every hundredth one is a grant, which waits for the file. */
    bool grant = stream->answered % 100 == 0;
    stream->request = (struct election_request){
        .op = OP_CAMPAIGN,
        .kind = STR("default"),
        .election = grant ? name_of(stream->election, "new", stream->answered) : STR("the one"),
        .candidate = STR("somebody"),
        .term_ms = 3600000,
        .start = now,
        .deadline = mono_add_ms(now, 60000),
        .done = on_answer,
        .user = stream,
    };
    store_submit(stream->store, 0, &stream->request);
}

struct grant {
    struct election_request request;
    struct stream *stream;
    char election[NAME_BYTES + 1];
};

static void on_grant(struct election_request *request)
{
    struct grant *grant = request->user;
    grant->stream->open--;
    grant->stream->granted += request->elected;
    mem_free(grant);
}

/* A hundred thousand leases whose ends are spread over one second. */
static void fill(struct stream *stream, int32_t until_ms)
{
    int64_t began = now_ns();
    for (size_t i = 0; i < CROWD; i++) {
        struct grant *grant = mem_zalloc(sizeof *grant);
        struct mono now = loop_refresh(stream->loop);
        int64_t spent_ms = (now_ns() - began) / 1000000;
        grant->stream = stream;
        grant->request = (struct election_request){
            .op = OP_CAMPAIGN,
            .kind = STR("default"),
            .election = name_of(grant->election, "crowd", i),
            .candidate = STR("a-leader-with-a-name-of-32-bytes"),
            .term_ms = until_ms - (int32_t)spent_ms + (int32_t)(i * 1000 / CROWD),
            .start = now,
            .deadline = mono_add_ms(now, 60000),
            .done = on_grant,
            .user = grant,
        };
        stream->open++;
        store_submit(stream->store, 0, &grant->request);
        if (i % 1000 == 0) {
            (void)loop_step(stream->loop);
        }
    }
    while (stream->open > 0) {
        (void)loop_step(stream->loop);
    }
    printf("  %-34s %8.0f ns  (%zu granted, in crowds of 1000)\n", "grant, written, answered",
           (double)(now_ns() - began) / CROWD, stream->granted);
}

static void bench_store(const char *path, const char *title)
{
    struct stream stream = {.next = {.deliver = ask_next}};
    struct error error = ERROR_NONE;
    struct loop_options loop_options = {.seed = 1};
    if (loop_new(&stream.loop, &loop_options, &error) != EA_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    struct store_options options = {.lanes = &stream.loop,
                                    .n_lanes = 1,
                                    .clock = &clock_system,
                                    .max_term_ms = 3600000,
                                    .on_event = on_event,
                                    .user = &stream,
                                    .path = path};
    if (store_embedded_ops.open(&stream.store, &options, &error) != EA_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    printf("store %s, %d leases ending within one second\n", title, CROWD);
    fill(&stream, 8000);
    stream.asked_ns = now_ns();
    stream.asked_worked_ns = worked_ns();
    loop_post(stream.loop, &stream.next);
    loop_run(stream.loop);
    printf("  %-34s %8.1f ms, of which the loop worked %.1f ms\n", "longest wait of a request",
           (double)stream.worst_ns / 1e6, (double)stream.worst_worked_ns / 1e6);
    printf("  %-34s %8.0f ms, %zu requests answered meanwhile\n", "the leases ended within",
           (double)(stream.last_ns - stream.first_ns) / 1e6, stream.answered);
    store_close(stream.store);
    loop_free(stream.loop);
}

/* --- a restart --- */

static struct store *open_again(struct stream *stream, const char *path)
{
    struct store *store;
    struct error error = ERROR_NONE;
    struct store_options options = {
        .lanes = &stream->loop, .n_lanes = 1, .clock = &clock_system, .max_term_ms = 3600000, .path = path};
    if (store_embedded_ops.open(&store, &options, &error) != EA_OK) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return store;
}

static void bench_restart(const char *path)
{
    struct stream stream = {.loop = NULL};
    struct loop_options loop_options = {.seed = 1};
    if (loop_new(&stream.loop, &loop_options, NULL) != EA_OK) {
        exit(1);
    }
    stream.store = open_again(&stream, path);
    printf("restart\n");
    fill(&stream, 3000000);
    store_close(stream.store);
    int64_t began = now_ns();
    stream.store = open_again(&stream, path);
    printf("  start with %d leases %*s %8.0f ms\n", CROWD, 11, "", (double)(now_ns() - began) / 1e6);
    store_close(stream.store);
    loop_free(stream.loop);
}

int main(int argc, char **argv)
{
    char directory[] = "/tmp/ea-bench-XXXXXX";
    size_t leases = argc > 1 ? strtoul(argv[1], NULL, 10) : LEASES_DEFAULT;
    log_set_level(LOG_WARNING);
    bench_book(leases > 0 ? leases : LEASES_DEFAULT);
    bench_store(":memory:", "in memory");
    if (mkdtemp(directory) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    bench_store(directory, "with a file, sync=process");
    bench_restart(directory);
    static const char *const names[] = {"leases.mdb", "leases.lock"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(directory);
    return 0;
}
