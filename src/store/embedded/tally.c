#include "store/embedded/tally.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "core/names.h"

struct tally_row {
    struct tally_row *next;
    struct tally_row **link; /* what points at this one */
    _Atomic uint64_t led;
    uint8_t kind_bytes;
    char kind[KIND_BYTES_MAX];
};

struct tally_count {
    uint64_t led;
    uint8_t kind_bytes;
    char kind[KIND_BYTES_MAX];
};

enum err tally_init(struct tally *tally, struct error *error)
{
    tally->rows = NULL;
    int failed = uv_mutex_init(&tally->lock);
    return failed == 0 ? EA_OK : error_set(error, EA_IO, "cannot make a mutex: %s", uv_strerror(failed));
}

void tally_fini(struct tally *tally)
{
    while (tally->rows != NULL) {
        struct tally_row *row = tally->rows;
        tally->rows = row->next;
        mem_free(row);
    }
    uv_mutex_destroy(&tally->lock);
}

static struct tally_row *row_add(struct tally *tally, struct str kind)
{
    assert(kind.n <= KIND_BYTES_MAX);
    struct tally_row *row = mem_zalloc(sizeof *row);
    row->kind_bytes = (uint8_t)kind.n;
    memcpy(row->kind, kind.p, kind.n);
    uv_mutex_lock(&tally->lock);
    row->next = tally->rows;
    row->link = &tally->rows;
    if (row->next != NULL) {
        row->next->link = &row->next;
    }
    tally->rows = row;
    uv_mutex_unlock(&tally->lock);
    return row;
}

static void row_remove(struct tally *tally, struct tally_row *row)
{
    uv_mutex_lock(&tally->lock);
    *row->link = row->next;
    if (row->next != NULL) {
        row->next->link = row->link;
    }
    uv_mutex_unlock(&tally->lock);
    mem_free(row);
}

void tally_set(struct tally *tally, void **slot, struct str kind, uint64_t led)
{
    struct tally_row *row = *slot;
    if (led == 0) {
        if (row != NULL) {
            row_remove(tally, row);
        }
        *slot = NULL;
        return;
    }
    if (row == NULL) {
        row = row_add(tally, kind);
        *slot = row;
    }
    atomic_store_explicit(&row->led, led, memory_order_relaxed);
}

void tally_add_to(struct tally *tally, struct tally_sum *sum)
{
    uv_mutex_lock(&tally->lock);
    for (const struct tally_row *row = tally->rows; row != NULL; row = row->next) {
        struct tally_count count = {.led = atomic_load_explicit(&row->led, memory_order_relaxed),
                                    .kind_bytes = row->kind_bytes};
        memcpy(count.kind, row->kind, row->kind_bytes);
        buf_add(&sum->rows, &count, sizeof count);
    }
    uv_mutex_unlock(&tally->lock);
}

static struct str count_kind(const struct tally_count *count)
{
    return (struct str){count->kind, count->kind_bytes};
}

static int by_kind(const void *a, const void *b)
{
    return str_cmp(count_kind(a), count_kind(b));
}

void tally_sum_tell(struct tally_sum *sum, void (*row)(void *arg, struct str kind, uint64_t elections),
                    void *arg)
{
    struct tally_count *counts = (struct tally_count *)(void *)sum->rows.p;
    size_t n = sum->rows.n / sizeof *counts;
    if (n > 0) {
        qsort(counts, n, sizeof *counts, by_kind);
    }
    for (size_t i = 0; i < n;) {
        struct str kind = count_kind(&counts[i]);
        uint64_t led = 0;
        for (; i < n && str_eq(count_kind(&counts[i]), kind); i++) {
            led += counts[i].led;
        }
        if (led > 0) {
            row(arg, kind, led);
        }
    }
    buf_fini(&sum->rows);
    sum->rows = BUF_EMPTY;
}
