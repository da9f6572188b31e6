#include "metrics/kinds.h"

#include <assert.h>

#include "base/map.h"
#include "base/mem.h"

_Static_assert((KINDS_SLOTS & (KINDS_SLOTS - 1)) == 0, "slots are found by masking");
_Static_assert(KINDS_SLOTS > 2 * METRICS_KINDS_MAX, "a probe ends soon");

void kinds_init(struct kinds *kinds)
{
    memset(kinds, 0, sizeof *kinds);
    pthread_mutex_init(&kinds->adding, NULL);
}

void kinds_fini(struct kinds *kinds)
{
    for (size_t i = 0; i < KINDS_SLOTS; i++) {
        mem_free(atomic_load_explicit(&kinds->slots[i], memory_order_relaxed));
    }
    pthread_mutex_destroy(&kinds->adding);
}

/* The kind, or NULL and the slot where it would go. */
static struct kind *find(struct kinds *kinds, struct str name, uint64_t hash, size_t *slot)
{
    for (size_t i = hash & (KINDS_SLOTS - 1);; i = (i + 1) & (KINDS_SLOTS - 1)) {
        struct kind *kind = atomic_load_explicit(&kinds->slots[i], memory_order_acquire);
        if (kind == NULL || (kind->hash == hash && str_eq(kind->name, name))) {
            *slot = i;
            return kind;
        }
    }
}

static struct kind *new_kind(struct str name, uint64_t hash, unsigned index)
{
    /* The name lies behind the struct. */
    struct kind *kind = mem_alloc(sizeof *kind + name.n);
    char *text = (char *)(kind + 1);
    memcpy(text, name.n > 0 ? name.p : "", name.n);
    *kind = (struct kind){.hash = hash, .index = index, .name = str_from(text, name.n)};
    return kind;
}

unsigned kinds_index(struct kinds *kinds, struct str name)
{
    uint64_t hash = str_hash(name, 0);
    size_t slot;
    struct kind *kind = find(kinds, name, hash, &slot);
    if (kind != NULL) {
        return kind->index;
    }
    /* A flood of new kinds comes to this line and no further. */
    if (atomic_load_explicit(&kinds->count, memory_order_relaxed) == METRICS_KINDS_MAX) {
        return KINDS_OTHER;
    }
    pthread_mutex_lock(&kinds->adding);
    unsigned index = KINDS_OTHER;
    unsigned count = atomic_load_explicit(&kinds->count, memory_order_relaxed);
    kind = find(kinds, name, hash, &slot);
    if (kind != NULL) {
        index = kind->index;
    } else if (count < METRICS_KINDS_MAX) {
        kind = new_kind(name, hash, count);
        index = count;
        atomic_store_explicit(&kinds->by_index[count], kind, memory_order_relaxed);
        atomic_store_explicit(&kinds->slots[slot], kind, memory_order_release);
        atomic_store_explicit(&kinds->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&kinds->adding);
    return index;
}

unsigned kinds_count(struct kinds *kinds)
{
    return atomic_load_explicit(&kinds->count, memory_order_acquire);
}

struct str kinds_name(struct kinds *kinds, unsigned index)
{
    struct kind *kind = atomic_load_explicit(&kinds->by_index[index], memory_order_acquire);
    assert(kind != NULL);
    return kind->name;
}
