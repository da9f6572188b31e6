/* The structural invariants of a book, for tests: slow, and quick to notice. */
#include <assert.h>

#include "base/mem.h"
#include "core/book_internal.h"

struct check {
    const struct book *book;
    size_t led;
    size_t vacant;
    uint64_t led_in_kinds;
    uint64_t elections_in_kinds;
};

static void check_lease(struct map_node *node, void *arg)
{
    struct check *check = arg;
    const struct book_lease *lease = CONTAINER_OF(node, struct book_lease, node);
    assert(table_find(check->book, lease_kind(lease), lease_election(lease)) == lease); /* N2, E1 */
    assert(lease->election_bytes > 0 && lease->leader_bytes > 0);
    assert(lease->leader_bytes <= lease->leader_cap);
    assert(lease->token > 0 && lease->token <= check->book->hlc.last); /* T5 */
    if (lease->trail != NULL) {
        events_check(lease->trail);
        assert(lease->trail->n_candidates <= BOOK_CANDIDATES_MAX); /* V3 */
        assert(lease->trail->n_candidates <= lease->trail->candidates_cap);
    }
    assert(wheel_started(&lease->timer) == lease->led);
    if (lease->led) {
        check->led++;
        assert(lease->timer.at.us <= lease->expires.us);
        assert(lease->term_ms > 0 && lease->term_ms <= lease->recorded_ms);
        assert(mono_sub(lease->expires, lease->renewed) <= (int64_t)lease->recorded_ms * 1000); /* L4 */
    } else {
        check->vacant++;
        assert(!lease->implied);
    }
}

struct walk {
    const struct book_kind *kind;
    const struct book_lease *last;
    uint64_t n;
};

static bool check_order(struct book_lease *lease, void *arg)
{
    struct walk *walk = arg;
    assert(lease->led && lease->kind == walk->kind);
    assert(walk->last == NULL || str_cmp(lease_election(walk->last), lease_election(lease)) < 0); /* E9 */
    assert(lease->left == NULL || lease->left->node.hash <= lease->node.hash);
    assert(lease->right == NULL || lease->right->node.hash <= lease->node.hash);
    walk->last = lease;
    walk->n++;
    return true;
}

static void check_kind(struct map_node *node, void *arg)
{
    struct check *check = arg;
    const struct book_kind *kind = CONTAINER_OF(node, struct book_kind, node);
    struct walk walk = {.kind = kind};
    table_walk(kind, (struct str){NULL, 0}, check_order, &walk);
    assert(walk.n == kind->led && kind->led <= kind->elections);
    check->led_in_kinds += kind->led;
    check->elections_in_kinds += kind->elections;
}

static size_t check_vacant_list(const struct book *book)
{
    size_t n = 0;
    size_t bytes = 0;
    const struct book_lease *newer = NULL;
    for (const struct book_lease *lease = book->vacant_newest; lease != NULL; lease = lease->older) {
        assert(!lease->led && lease->newer == newer);
        bytes += sizeof *lease + lease->election_bytes + lease->leader_cap + trail_bytes(lease->trail);
        newer = lease;
        n++;
    }
    assert(book->vacant_oldest == newer);
    assert(book->vacant_bytes == bytes);
    return n;
}

void book_check(const struct book *book)
{
    struct check check = {.book = book};
    for (uint64_t cursor = 0; (cursor = map_scan(&book->leases, cursor, check_lease, &check)) != 0;) {
    }
    /* A walk of the map visits at least once; without growth meanwhile, exactly once. */
    assert(check.led == book->led && check.vacant == book->vacant);
    for (uint64_t cursor = 0; (cursor = map_scan(&book->kinds, cursor, check_kind, &check)) != 0;) {
    }
    assert(check.led_in_kinds == book->led);
    assert(check.elections_in_kinds == book->led + book->vacant);
    assert(check_vacant_list(book) == book->vacant);
    assert(book->vacant <= book->vacant_kept);                                 /* V3 */
    assert(book->vacant <= 1 || book->vacant_bytes <= book->vacant_bytes_max); /* V3 */
}
