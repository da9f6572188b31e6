#include "store/redis/census.h"

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

void census_init(struct census *census)
{
    memset(census, 0, sizeof *census);
    if (uv_mutex_init(&census->lock) != 0) {
        abort();
    }
    map_init(&census->led);
    slab_init(&census->entries, sizeof(struct entry), SLAB_KEEP);
}

static void forget(struct census *census, struct entry *entry)
{
    uv_mutex_lock(&census->lock);
    census->kinds[entry->kind].elections--;
    uv_mutex_unlock(&census->lock);
    map_remove(&census->led, &entry->node);
    slab_free(&census->entries, entry);
}

static void forget_node(struct map_node *node, void *arg)
{
    forget(arg, CONTAINER_OF(node, struct entry, node));
}

void census_fini(struct census *census)
{
    uint64_t cursor = 0;
    do {
        cursor = map_scan(&census->led, cursor, forget_node, census);
    } while (cursor != 0 || census->led.nodes > 0);
    map_fini(&census->led);
    slab_fini(&census->entries);
    uv_mutex_destroy(&census->lock);
}

static struct entry *find(const struct census *census, uint64_t hash)
{
    struct map_node *node = map_first(&census->led, hash);
    return node != NULL ? CONTAINER_OF(node, struct entry, node) : NULL;
}

/* CENSUS_KINDS_MAX: no room. With the lock. */
static unsigned kind_index(struct census *census, struct str kind)
{
    for (unsigned i = 0; i < census->n_kinds; i++) {
        if (str_eq((struct str){census->kinds[i].kind, census->kinds[i].n}, kind)) {
            return i;
        }
    }
    if (census->n_kinds < CENSUS_KINDS_MAX) {
        memcpy(census->kinds[census->n_kinds].kind, kind.p, kind.n);
        census->kinds[census->n_kinds].n = (uint8_t)kind.n;
        return census->n_kinds++;
    }
    return CENSUS_KINDS_MAX;
}

void census_led(struct census *census, uint64_t hash, struct str kind, struct mono until)
{
    struct entry *entry = find(census, hash);
    if (entry != NULL) {
        entry->until = until;
        return;
    }
    uv_mutex_lock(&census->lock);
    unsigned index = kind_index(census, kind);
    if (index < CENSUS_KINDS_MAX) {
        census->kinds[index].elections++;
    }
    uv_mutex_unlock(&census->lock);
    if (index == CENSUS_KINDS_MAX) {
        return;
    }
    entry = slab_alloc(&census->entries);
    *entry = (struct entry){.until = until, .kind = index};
    map_add(&census->led, &entry->node, hash);
}

void census_ended(struct census *census, uint64_t hash)
{
    struct entry *entry = find(census, hash);
    if (entry != NULL) {
        forget(census, entry);
    }
}

struct sweep {
    struct census *census;
    struct mono now;
};

static void sweep_node(struct map_node *node, void *arg)
{
    struct sweep *sweep = arg;
    struct entry *entry = CONTAINER_OF(node, struct entry, node);
    if (!mono_before(sweep->now, entry->until)) {
        forget(sweep->census, entry);
    }
}

void census_sweep(struct census *census, struct mono now)
{
    struct sweep sweep = {census, now};
    for (int i = 0; i < SWEEP_BUCKETS && census->led.nodes > 0; i++) {
        census->cursor = map_scan(&census->led, census->cursor, sweep_node, &sweep);
    }
}

void census_sum(struct census *const *censuses, unsigned n,
                void (*row)(void *arg, struct str kind, uint64_t n), void *arg)
{
    /* Kinds are few: the sum of one is made by asking every census for it, and told by the first that has it. */
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < CENSUS_KINDS_MAX; k++) {
            char kind[KIND_BYTES_MAX];
            uint64_t sum = 0;
            bool told = false;
            uv_mutex_lock(&censuses[i]->lock);
            bool there = k < censuses[i]->n_kinds;
            size_t length = there ? censuses[i]->kinds[k].n : 0;
            memcpy(kind, censuses[i]->kinds[k].kind, length);
            uv_mutex_unlock(&censuses[i]->lock);
            for (unsigned j = 0; there && j < n; j++) {
                uv_mutex_lock(&censuses[j]->lock);
                for (unsigned m = 0; m < censuses[j]->n_kinds; m++) {
                    struct str other = {censuses[j]->kinds[m].kind, censuses[j]->kinds[m].n};
                    bool same = str_eq(other, (struct str){kind, length});
                    sum += same ? censuses[j]->kinds[m].elections : 0;
                    told = told || (same && j < i);
                }
                uv_mutex_unlock(&censuses[j]->lock);
            }
            if (there && !told) {
                row(arg, (struct str){kind, length}, sum);
            }
        }
    }
}
