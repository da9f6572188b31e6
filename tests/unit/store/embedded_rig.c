#include "embedded_rig.h"

#include <assert.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

void rig_init(struct rig *rig)
{
    const char *base = getenv("TMPDIR");
    *rig = (struct rig){.store = NULL};
    snprintf(rig->directory, sizeof rig->directory, "%.40s/ea-store-XXXXXX", base != NULL ? base : "/tmp");
    char *made = mkdtemp(rig->directory);
    assert(made != NULL);
    snprintf(rig->file, sizeof rig->file, "%s/leases.mdb", rig->directory);
    snprintf(rig->boot_id_file, sizeof rig->boot_id_file, "%s/boot_id", rig->directory);
    rig_boot(rig, "11111111-1111-1111-1111-111111111111");
    clock_fake_init(&rig->clock);
    struct loop_options options = {.clock = &rig->clock.clock, .seed = 1};
    enum err err = loop_new(&rig->loop, &options, NULL);
    assert(err == EA_OK);
    (void)err;
    arena_init(&rig->arena, NULL, 0);
}

void rig_fini(struct rig *rig)
{
    static const char *const names[] = {"leases.mdb", "leases.mdb.new", "leases.lock", "boot_id", "copy"};
    rig_close(rig);
    loop_free(rig->loop);
    arena_reset(&rig->arena);
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", rig->directory, names[i]);
        (void)unlink(path);
    }
    int failed = rmdir(rig->directory);
    assert(failed == 0); /* the store leaves nothing else behind */
    (void)failed;
}

void rig_boot(struct rig *rig, const char *boot_id)
{
    rig_write(rig->boot_id_file, boot_id, strlen(boot_id));
}

enum err rig_open(struct rig *rig, struct error *error)
{
    struct store_options options = {
        .driver = "embedded",
        .lanes = &rig->loop,
        .n_lanes = 1,
        .clock = &rig->clock.clock,
        .seed = 5,
        .max_term_ms = 3600000,
        .path = rig->directory,
        .sync_power = rig->power,
    };
    struct embedded_seams seams = {.boot_id_file = rig->boot_id_file};
    return embedded_open(&rig->store, &options, &seams, error);
}

void rig_close(struct rig *rig)
{
    if (rig->store != NULL) {
        store_close(rig->store);
        rig->store = NULL;
    }
}

static void on_done(struct election_request *request)
{
    struct rig *rig = request->user;
    assert(!rig->answered); /* S6 */
    rig->answered = true;
    /* Slices end with this call. */
    snprintf(rig->leader, sizeof rig->leader, "%.*s", STR_ARG(request->tenure.leader));
    snprintf(rig->why, sizeof rig->why, "%.*s", STR_ARG(request->why));
}

void rig_submit(struct rig *rig, struct election_request request)
{
    rig->request = request;
    rig->request.kind = request.kind.n > 0 ? request.kind : STR("default");
    rig->request.term_ms = request.term_ms > 0 ? request.term_ms : RIG_TERM_MS;
    rig->request.start = rig->clock.mono;
    rig->request.deadline = request.deadline.us != 0 ? request.deadline : mono_add_ms(rig->clock.mono, 3000);
    rig->request.arena = &rig->arena;
    rig->request.done = on_done;
    rig->request.user = rig;
    rig->answered = false;
    /* So that the loop's turn has the clock's time. */
    (void)loop_step(rig->loop);
    store_submit(rig->store, 0, &rig->request);
}

void rig_wait(struct rig *rig)
{
    while (!rig->answered) {
        (void)loop_step(rig->loop);
        (void)sched_yield(); /* the writer's turn */
    }
}

struct election_request *rig_ask(struct rig *rig, struct election_request request)
{
    rig_submit(rig, request);
    rig_wait(rig);
    return &rig->request;
}

struct election_request *rig_op(struct rig *rig, enum election_op op, const char *election, const char *who)
{
    return rig_ask(rig,
                   (struct election_request){
                       .op = op, .election = str_of(election), .candidate = str_of(who), .page_size = 100});
}

void rig_advance_ms(struct rig *rig, int64_t ms)
{
    clock_fake_advance_us(&rig->clock, ms * 1000);
    while (loop_step(rig->loop)) {
    }
}

char *rig_read(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    assert(file != NULL);
    (void)fseek(file, 0, SEEK_END);
    *n = (size_t)ftell(file);
    rewind(file);
    char *p = mem_alloc(*n + 1);
    size_t got = fread(p, 1, *n, file);
    assert(got == *n);
    (void)got;
    fclose(file);
    return p;
}

void rig_write(const char *path, const void *p, size_t n)
{
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    size_t put = fwrite(p, 1, n, file);
    assert(put == n);
    (void)put;
    fclose(file);
}
