#include "store/redis/tally.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define SWEEP_BUCKETS 64
#define SLAB_KEEP     64

struct entry {
    struct map_node node;
    struct mono until;
    unsigned kind;
};

void tally_init(struct tally *tally)
{
    memset(tally, 0, sizeof *tally);
    if (uv_mutex_init(&tally->lock) != 0) {
        abort();
    }
    map_init(&tally->led);
    slab_init(&tally->entries, sizeof(struct entry), SLAB_KEEP);
}

static void forget(struct tally *tally, struct entry *entry)
{
    uv_mutex_lock(&tally->lock);
    tally->kinds[entry->kind].elections--;
    uv_mutex_unlock(&tally->lock);
    map_remove(&tally->led, &entry->node);
    slab_free(&tally->entries, entry);
}

static void forget_node(struct map_node *node, void *arg)
{
    forget(arg, CONTAINER_OF(node, struct entry, node));
}

void tally_fini(struct tally *tally)
{
    uint64_t cursor = 0;
    do {
        cursor = map_scan(&tally->led, cursor, forget_node, tally);
    } while (cursor != 0 || tally->led.nodes > 0);
    map_fini(&tally->led);
    slab_fini(&tally->entries);
    uv_mutex_destroy(&tally->lock);
}

static struct entry *find(const struct tally *tally, uint64_t hash)
{
    struct map_node *node = map_first(&tally->led, hash);
    return node != NULL ? CONTAINER_OF(node, struct entry, node) : NULL;
}

/* TALLY_KINDS_MAX: no room. With the lock. */
static unsigned kind_index(struct tally *tally, struct str kind)
{
    for (unsigned i = 0; i < tally->n_kinds; i++) {
        if (str_eq((struct str){tally->kinds[i].kind, tally->kinds[i].n}, kind)) {
            return i;
        }
    }
    if (tally->n_kinds < TALLY_KINDS_MAX) {
        memcpy(tally->kinds[tally->n_kinds].kind, kind.p, kind.n);
        tally->kinds[tally->n_kinds].n = (uint8_t)kind.n;
        return tally->n_kinds++;
    }
    return TALLY_KINDS_MAX;
}

void tally_led(struct tally *tally, uint64_t hash, struct str kind, struct mono until)
{
    struct entry *entry = find(tally, hash);
    if (entry != NULL) {
        entry->until = until;
        return;
    }
    uv_mutex_lock(&tally->lock);
    unsigned index = kind_index(tally, kind);
    if (index < TALLY_KINDS_MAX) {
        tally->kinds[index].elections++;
    }
    uv_mutex_unlock(&tally->lock);
    if (index == TALLY_KINDS_MAX) {
        return;
    }
    entry = slab_alloc(&tally->entries);
    *entry = (struct entry){.until = until, .kind = index};
    map_add(&tally->led, &entry->node, hash);
}

void tally_ended(struct tally *tally, uint64_t hash)
{
    struct entry *entry = find(tally, hash);
    if (entry != NULL) {
        forget(tally, entry);
    }
}

struct sweep {
    struct tally *tally;
    struct mono now;
};

static void sweep_node(struct map_node *node, void *arg)
{
    struct sweep *sweep = arg;
    struct entry *entry = CONTAINER_OF(node, struct entry, node);
    if (!mono_before(sweep->now, entry->until)) {
        forget(sweep->tally, entry);
    }
}

void tally_sweep(struct tally *tally, struct mono now)
{
    struct sweep sweep = {tally, now};
    for (int i = 0; i < SWEEP_BUCKETS && tally->led.nodes > 0; i++) {
        tally->cursor = map_scan(&tally->led, tally->cursor, sweep_node, &sweep);
    }
}

void tally_sum(struct tally *const *tallies, unsigned n, void (*row)(void *arg, struct str kind, uint64_t n),
               void *arg)
{
    /* Kinds are few: the sum of one is made by asking every tally for it, and told by the first that has it. */
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < TALLY_KINDS_MAX; k++) {
            char kind[KIND_BYTES_MAX];
            uint64_t sum = 0;
            bool told = false;
            uv_mutex_lock(&tallies[i]->lock);
            bool there = k < tallies[i]->n_kinds;
            size_t length = there ? tallies[i]->kinds[k].n : 0;
            memcpy(kind, tallies[i]->kinds[k].kind, length);
            uv_mutex_unlock(&tallies[i]->lock);
            for (unsigned j = 0; there && j < n; j++) {
                uv_mutex_lock(&tallies[j]->lock);
                for (unsigned m = 0; m < tallies[j]->n_kinds; m++) {
                    struct str other = {tallies[j]->kinds[m].kind, tallies[j]->kinds[m].n};
                    bool same = str_eq(other, (struct str){kind, length});
                    sum += same ? tallies[j]->kinds[m].elections : 0;
                    told = told || (same && j < i);
                }
                uv_mutex_unlock(&tallies[j]->lock);
            }
            if (there && !told) {
                row(arg, (struct str){kind, length}, sum);
            }
        }
    }
}
