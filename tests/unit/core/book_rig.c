#include "book_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"

void tell(struct told *told, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(told->text + told->n, sizeof told->text - told->n, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof told->text - told->n) {
        told->n += (size_t)n;
    }
}

static void on_keep(void *arg, const struct book_record *record)
{
    struct bench *b = arg;
    tell(&b->told, "keep %.*s %.*s %.*s %d\n", STR_ARG(record->kind), STR_ARG(record->election),
         STR_ARG(record->leader), record->term_ms);
}

static void on_drop(void *arg, struct str kind, struct str election, bool answered)
{
    struct bench *b = arg;
    tell(&b->told, "drop %.*s %.*s %s\n", STR_ARG(kind), STR_ARG(election), answered ? "answered" : "lazily");
}

static void on_event(void *arg, const struct election_event *event)
{
    struct bench *b = arg;
    tell(&b->told, "%s %.*s %.*s (%.*s)\n", election_action_word(event->action), STR_ARG(event->election),
         STR_ARG(event->leader), STR_ARG(event->previous));
}

static void on_kind(void *arg, void **slot, struct str kind, uint64_t led)
{
    struct bench *b = arg;
    assert_true(led > 0 || b->book != NULL);
    *slot = led > 0 ? b : NULL;
    (void)kind;
}

void bench_init(struct bench *b, size_t vacant_kept, uint64_t first_token)
{
    *b = (struct bench){.book = NULL};
    clock_fake_init(&b->clock);
    arena_init(&b->arena, NULL, 0);
    struct book_options options = {
        .now = b->clock.mono,
        .seed = 7,
        .first_token = first_token,
        .vacant_kept = vacant_kept,
        .hooks = {.keep = on_keep, .drop = on_drop, .event = on_event, .kind = on_kind, .arg = b},
    };
    b->book = book_new(&options);
}

void bench_fini(struct bench *b)
{
    book_check(b->book);
    book_free(b->book);
    arena_reset(&b->arena);
}

int set_up(void **state)
{
    struct bench *b = mem_zalloc(sizeof *b);
    bench_init(b, 100, 0);
    *state = b;
    return 0;
}

int tear_down(void **state)
{
    bench_fini(*state);
    mem_free(*state);
    return 0;
}

struct election_request *decide(struct bench *b, struct election_request request)
{
    b->request = request;
    if (b->request.kind.n == 0) {
        b->request.kind = STR("default");
    }
    if (b->request.election.n == 0) {
        b->request.election = STR("e");
    }
    if (b->request.term_ms == 0) {
        b->request.term_ms = TERM_MS;
    }
    b->request.arena = &b->arena;
    b->told = (struct told){.n = 0};
    book_decide(b->book, b->clock.mono, b->clock.wall, &b->request, &b->outcome);
    return &b->request;
}

struct election_request *campaign(struct bench *b, const char *who)
{
    return decide(b, (struct election_request){.op = OP_CAMPAIGN, .candidate = str_of(who), .priority = 1});
}

struct election_request *op(struct bench *b, enum election_op operation, const char *who)
{
    return decide(b, (struct election_request){.op = operation, .candidate = str_of(who)});
}

void advance_ms(struct bench *b, int64_t ms)
{
    clock_fake_advance_us(&b->clock, ms * 1000);
}

struct book_record record_of(const char *election, const char *leader, uint64_t token)
{
    return (struct book_record){.kind = STR("default"),
                                .election = str_of(election),
                                .leader = str_of(leader),
                                .token = token,
                                .term_ms = TERM_MS,
                                .elected_at = {1000}};
}
