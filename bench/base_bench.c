/*
 * What the parts of base cost that every request or lease uses, at a million entries: the map, the timer
 * wheel, the slab, a log line, a record of the flight recorder. Entries are used in random order, so that
 * caches help as little as in a real agent. Besides the mean it prints the slowest single call, since that is
 * what an answer waits for.
 *
 *     base_bench [entries]
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/flight.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/slab.h"
#include "base/wheel.h"

#define ENTRIES_DEFAULT 1000000U
#define ENTRIES_MAX     100000000U
#define MS              INT64_C(1000)
#define S               (1000 * MS)

struct item {
    struct map_node node;
    struct wheel_entry timer;
    uint64_t key;
    char rest[192]; /* as large as a lease, so that neighbours share no cache line */
};

static size_t n_items;
static struct item *items;
static uint32_t *order; /* a random permutation */
static volatile uint64_t result;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct meter {
    const char *what;
    int64_t began_ns;
    int64_t call_ns;
    int64_t worst_ns;
};

static struct meter meter_start(const char *what)
{
    return (struct meter){.what = what, .began_ns = now_ns()};
}

static void meter_print(const struct meter *m, size_t calls)
{
    double mean = (double)(now_ns() - m->began_ns) / (double)(calls > 0 ? calls : 1);
    printf("%-52s %9zu %9.1f", m->what, calls, mean);
    if (m->worst_ns > 0) {
        printf(" %12.1f", (double)m->worst_ns / 1000);
    }
    printf("\n");
}

/* Two readings of the clock around a call cost about 40 ns, so they are taken in a pass of their own. */
static void call_begins(struct meter *m)
{
    m->call_ns = now_ns();
}

static void call_ended(struct meter *m)
{
    int64_t took = now_ns() - m->call_ns;
    m->worst_ns = took > m->worst_ns ? took : m->worst_ns;
}

static uint64_t hash_of(const struct item *item)
{
    return str_hash(str_from(&item->key, sizeof item->key), 7);
}

static void fill_map(struct map *map, struct meter *m, bool each)
{
    for (size_t i = 0; i < n_items; i++) {
        struct item *item = &items[order[i]];
        if (each) {
            call_begins(m);
        }
        map_add(map, &item->node, hash_of(item));
        if (each) {
            call_ended(m);
        }
    }
}

static void bench_map(void)
{
    struct map map;
    map_init(&map);
    struct meter m = meter_start("map: hash and add");
    fill_map(&map, &m, false);
    meter_print(&m, n_items);

    m = meter_start("map: hash and find");
    for (size_t i = 0; i < n_items; i++) {
        const struct item *item = &items[order[n_items - 1 - i]];
        uint64_t hash = hash_of(item);
        struct map_node *node = map_first(&map, hash);
        while (node != NULL && CONTAINER_OF(node, struct item, node)->key != item->key) {
            node = map_next(node, hash);
        }
        result += node != NULL;
    }
    meter_print(&m, n_items);

    m = meter_start("map: remove");
    for (size_t i = 0; i < n_items; i++) {
        map_remove(&map, &items[order[i]].node);
    }
    meter_print(&m, n_items);
    map_fini(&map);

    m = meter_start("map: hash and add, each timed");
    fill_map(&map, &m, true);
    meter_print(&m, n_items);
    m = meter_start("map: remove, each timed");
    for (size_t i = 0; i < n_items; i++) {
        call_begins(&m);
        map_remove(&map, &items[order[i]].node);
        call_ended(&m);
    }
    meter_print(&m, n_items);
    map_fini(&map);
}

static void start_all(struct wheel *wheel, int64_t now_us, struct rng *rng)
{
    for (size_t i = 0; i < n_items; i++) {
        wheel_start(wheel, &items[order[i]].timer,
                    (struct mono){now_us + 5 * S + (int64_t)rng_below(rng, 30 * S)});
    }
}

static void bench_wheel(struct wheel *wheel)
{
    struct rng rng;
    rng_seed(&rng, 2);
    wheel_init(wheel, (struct mono){0});
    struct meter m = meter_start("wheel: start (5 to 35 s ahead)");
    start_all(wheel, 0, &rng);
    meter_print(&m, n_items);
    m = meter_start("wheel: move (a lease is extended)");
    start_all(wheel, 0, &rng);
    meter_print(&m, n_items);
    m = meter_start("wheel: stop");
    for (size_t i = 0; i < n_items; i++) {
        wheel_stop(wheel, &items[order[i]].timer);
    }
    meter_print(&m, n_items);

    start_all(wheel, 0, &rng);
    size_t fired = 0;
    m = meter_start("wheel: fire, with time going on 1 ms a turn");
    for (int64_t now = 0; now <= 36 * S; now += MS) {
        call_begins(&m);
        while (wheel_pop(wheel, (struct mono){now}) != NULL) {
            fired++;
        }
        call_ended(&m);
    }
    meter_print(&m, fired);
}

/* Many timers in one millisecond of one slot: what a wheel that cascades would move in one go. */
static void bench_full_slot(struct wheel *wheel)
{
    size_t n = n_items < 100000 ? n_items : 100000;
    wheel_init(wheel, (struct mono){0});
    for (size_t i = 0; i < n; i++) {
        wheel_start(wheel, &items[order[i]].timer, (struct mono){70 * S});
    }
    size_t turns = 0;
    struct meter m = meter_start("wheel: a turn while 100,000 due at once come nearer");
    for (int64_t now = 0; now < 70 * S; now += MS) {
        call_begins(&m);
        result += wheel_pop(wheel, (struct mono){now}) != NULL;
        call_ended(&m);
        turns++;
    }
    meter_print(&m, turns);
    size_t fired = 0;
    m = meter_start("wheel: fire 100,000 of one millisecond");
    for (bool more = true; more; fired += more) {
        call_begins(&m);
        more = wheel_pop(wheel, (struct mono){70 * S}) != NULL;
        call_ended(&m);
    }
    meter_print(&m, fired);
}

static void bench_empty_time(struct wheel *wheel)
{
    enum { HOURS = 1000 };
    wheel_init(wheel, (struct mono){0});
    struct meter m = meter_start("wheel: pass an hour, one timer a day");
    for (int64_t hour = 1; hour <= HOURS; hour++) {
        if (hour % 24 == 1) {
            wheel_start(wheel, &items[0].timer, (struct mono){(hour + 20) * 3600 * S});
        }
        call_begins(&m);
        while (wheel_pop(wheel, (struct mono){hour * 3600 * S}) != NULL) {
            result++;
        }
        call_ended(&m);
    }
    meter_print(&m, HOURS);
}

static void bench_slab(void)
{
    enum { LIVE = 1000, TURNS = 1000000 };
    void *objects[LIVE];
    struct slab slab;
    struct rng rng;
    rng_seed(&rng, 3);
    slab_init(&slab, 512, LIVE);
    for (size_t i = 0; i < LIVE; i++) {
        objects[i] = slab_alloc(&slab);
    }
    struct meter m = meter_start("slab: free and alloc, 1000 live");
    for (size_t i = 0; i < TURNS; i++) {
        size_t k = rng_below(&rng, LIVE);
        slab_free(&slab, objects[k]);
        objects[k] = slab_alloc(&slab);
    }
    meter_print(&m, TURNS);
    for (size_t i = 0; i < LIVE; i++) {
        slab_free(&slab, objects[i]);
    }
    slab_fini(&slab);
}

static void bench_notes(void)
{
    enum { TURNS = 1000000 };
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
        log_set_sink(&(struct log_sink){.format = (enum log_format)format, .fd = fd});
        struct meter m = meter_start(format == LOG_FORMAT_TEXT ? "log: a text line" : "log: a JSON line");
        for (size_t i = 0; i < TURNS; i++) {
            log_info("store", "opened", LOG_TEXT("path", "/var/lib/election-agent/leases.mdb"),
                     LOG_UINT("leases", i));
        }
        meter_print(&m, TURNS);
    }
    close(fd);
    struct meter m = meter_start("flight: a record");
    for (size_t i = 0; i < TURNS; i++) {
        flight_note((struct mono){(int64_t)i}, "turn", i, 0);
    }
    meter_print(&m, TURNS);
}

static void make_items(void)
{
    struct rng rng;
    rng_seed(&rng, 1);
    items = mem_zalloc(n_items * sizeof items[0]);
    order = mem_alloc(n_items * sizeof order[0]);
    for (size_t i = 0; i < n_items; i++) {
        items[i].key = i;
        order[i] = (uint32_t)i;
    }
    for (size_t i = n_items - 1; i > 0; i--) {
        size_t k = rng_below(&rng, i + 1);
        uint32_t swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
}

int main(int argc, char **argv)
{
    uint64_t wanted = ENTRIES_DEFAULT;
    if (argc > 2 || (argc == 2 && !str_to_u64(str_of(argv[1]), &wanted)) || wanted == 0 ||
        wanted > ENTRIES_MAX) {
        fprintf(stderr, "usage: %s [entries, 1 to %u]\n", argv[0], ENTRIES_MAX);
        return 2;
    }
    n_items = (size_t)wanted;
    make_items();
    struct wheel *wheel = mem_alloc(sizeof *wheel);
    printf("%-52s %9s %9s %12s\n", "", "calls", "ns each", "slowest, us");
    bench_map();
    bench_wheel(wheel);
    bench_full_slot(wheel);
    bench_empty_time(wheel);
    bench_slab();
    bench_notes();
    mem_free(wheel);
    mem_free(order);
    mem_free(items);
    return 0;
}
