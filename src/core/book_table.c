/*
 * Where the leases of a book are. Three structures, all made of the leases themselves:
 *
 *   the map      finds an election by the seeded hash of (kind, name); led and vacant ones
 *   the tree     one per kind, the led elections in byte order of their names, for OP_LIST. A treap: ordered
 * by name, a heap by hash, hence balanced like a tree of random insertions whatever names clients choose.
 * Only a grant and an end touch it, at the cost of its depth; reads and renewals do not. the wheel    when
 * they end
 *
 * and the list of vacant elections, newest first.
 */
#include "core/book_internal.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

static uint64_t hash_kind(const struct book *book, struct str kind)
{
    return str_hash(kind, book->seed);
}

static uint64_t hash_election(uint64_t kind_hash, struct str election)
{
    return str_hash(election, kind_hash);
}

struct book_lease *table_find(const struct book *book, struct str kind, struct str election)
{
    uint64_t hash = hash_election(hash_kind(book, kind), election);
    for (struct map_node *n = map_first(&book->leases, hash); n != NULL; n = map_next(n, hash)) {
        struct book_lease *lease = CONTAINER_OF(n, struct book_lease, node);
        if (str_eq(lease_election(lease), election) && str_eq(lease_kind(lease), kind)) {
            return lease;
        }
    }
    return NULL;
}

/* --- kinds --- */

static struct book_kind *kind_find(const struct book *book, struct str kind, uint64_t hash)
{
    for (struct map_node *n = map_first(&book->kinds, hash); n != NULL; n = map_next(n, hash)) {
        struct book_kind *found = CONTAINER_OF(n, struct book_kind, node);
        if (str_eq((struct str){found->name, found->name_bytes}, kind)) {
            return found;
        }
    }
    return NULL;
}

struct book_kind *table_kind(const struct book *book, struct str kind)
{
    return kind_find(book, kind, hash_kind(book, kind));
}

static struct book_kind *kind_obtain(struct book *book, struct str kind, uint64_t hash)
{
    struct book_kind *found = kind_find(book, kind, hash);
    if (found != NULL) {
        return found;
    }
    assert(kind.n > 0 && kind.n <= UINT8_MAX);
    struct book_kind *made = mem_zalloc(sizeof *made + kind.n);
    made->name_bytes = (uint8_t)kind.n;
    memcpy(made->name, kind.p, kind.n);
    map_add(&book->kinds, &made->node, hash);
    return made;
}

static void kind_release(struct book *book, struct book_kind *kind)
{
    assert(kind->elections > 0);
    if (--kind->elections == 0) {
        assert(kind->led == 0 && kind->root == NULL);
        map_remove(&book->kinds, &kind->node);
        mem_free(kind);
    }
}

void table_tell_kind(struct book *book, struct book_kind *kind)
{
    if (book->hooks.kind != NULL) {
        book->hooks.kind(book->hooks.arg, &kind->slot, (struct str){kind->name, kind->name_bytes}, kind->led);
    }
}

/* --- the tree of a kind --- */

static bool tree_before(const struct book_lease *a, const struct book_lease *b)
{
    return str_cmp(lease_election(a), lease_election(b)) < 0;
}

static void tree_insert(struct book_lease **root, struct book_lease *lease)
{
    struct book_lease **link = root;
    while (*link != NULL && (*link)->node.hash >= lease->node.hash) {
        link = tree_before(lease, *link) ? &(*link)->left : &(*link)->right;
    }
    /* What is below is split by our name, and we take its place. */
    struct book_lease *rest = *link;
    struct book_lease **lesser = &lease->left;
    struct book_lease **greater = &lease->right;
    while (rest != NULL) {
        if (tree_before(rest, lease)) {
            *lesser = rest;
            lesser = &rest->right;
            rest = rest->right;
        } else {
            *greater = rest;
            greater = &rest->left;
            rest = rest->left;
        }
    }
    *lesser = NULL;
    *greater = NULL;
    *link = lease;
}

static void tree_remove(struct book_lease **root, struct book_lease *lease)
{
    struct book_lease **link = root;
    while (*link != lease) {
        assert(*link != NULL);
        link = tree_before(lease, *link) ? &(*link)->left : &(*link)->right;
    }
    struct book_lease *lesser = lease->left;
    struct book_lease *greater = lease->right;
    while (lesser != NULL && greater != NULL) {
        if (lesser->node.hash >= greater->node.hash) {
            *link = lesser;
            link = &lesser->right;
            lesser = lesser->right;
        } else {
            *link = greater;
            link = &greater->left;
            greater = greater->left;
        }
    }
    *link = lesser != NULL ? lesser : greater;
    lease->left = NULL;
    lease->right = NULL;
}

void table_walk(const struct book_kind *kind, struct str after,
                bool (*visit)(struct book_lease *lease, void *arg), void *arg)
{
    /* On the stack: those that come after everything visited so far, the next one on top; what is between
     * them is in their left subtrees, which have been walked down already. */
    struct book_lease *stack[BOOK_DEPTH_MAX];
    size_t depth = 0;
    for (struct book_lease *at = kind->root; at != NULL;) {
        if (str_cmp(lease_election(at), after) > 0) {
            assert(depth < BOOK_DEPTH_MAX);
            stack[depth++] = at;
            at = at->left;
        } else {
            at = at->right;
        }
    }
    while (depth > 0) {
        struct book_lease *next = stack[--depth];
        for (struct book_lease *at = next->right; at != NULL; at = at->left) {
            assert(depth < BOOK_DEPTH_MAX);
            stack[depth++] = at;
        }
        if (!visit(next, arg)) {
            break;
        }
    }
}

/* --- led --- */

void table_lead(struct book *book, struct book_lease *lease)
{
    assert(!lease->led);
    lease->led = true;
    tree_insert(&lease->kind->root, lease);
    wheel_start(&book->wheel, &lease->timer, lease->expires);
    book->led++;
    lease->kind->led++;
}

void table_unlead(struct book *book, struct book_lease *lease)
{
    assert(lease->led);
    lease->led = false;
    tree_remove(&lease->kind->root, lease);
    wheel_stop(&book->wheel, &lease->timer);
    book->led--;
    lease->kind->led--;
}

/* --- vacant --- */

/* Nothing of it changes while the election is vacant. */
static size_t vacant_bytes(const struct book_lease *lease)
{
    return sizeof *lease + lease->election_bytes + lease->leader_cap + trail_bytes(lease->trail);
}

static bool vacant_too_many(const struct book *book)
{
    return book->vacant > book->vacant_kept ||
           (book->vacant > 1 && book->vacant_bytes > book->vacant_bytes_max);
}

void table_occupy(struct book *book, struct book_lease *lease)
{
    assert(!lease->led);
    if (lease->newer != NULL) {
        lease->newer->older = lease->older;
    } else {
        assert(book->vacant_newest == lease);
        book->vacant_newest = lease->older;
    }
    if (lease->older != NULL) {
        lease->older->newer = lease->newer;
    } else {
        assert(book->vacant_oldest == lease);
        book->vacant_oldest = lease->newer;
    }
    lease->newer = NULL;
    lease->older = NULL;
    book->vacant--;
    book->vacant_bytes -= vacant_bytes(lease);
}

void table_vacate(struct book *book, struct book_lease *lease)
{
    assert(!lease->led);
    lease->newer = NULL;
    lease->older = book->vacant_newest;
    if (lease->older != NULL) {
        lease->older->newer = lease;
    } else {
        book->vacant_oldest = lease;
    }
    book->vacant_newest = lease;
    book->vacant++;
    book->vacant_bytes += vacant_bytes(lease);
    while (vacant_too_many(book)) { /* V3 */
        struct book_lease *oldest = book->vacant_oldest;
        table_occupy(book, oldest);
        table_remove(book, oldest);
    }
}

/* --- leases --- */

static struct book_lease *lease_new(struct str election, struct str leader)
{
    assert(election.n > 0 && election.n <= UINT8_MAX && leader.n > 0 && leader.n <= UINT8_MAX);
    struct book_lease *lease = mem_alloc(sizeof *lease + election.n + leader.n);
    memset(lease, 0, sizeof *lease);
    lease->election_bytes = (uint8_t)election.n;
    lease->leader_bytes = (uint8_t)leader.n;
    lease->leader_cap = (uint8_t)leader.n;
    memcpy(lease->names, election.p, election.n);
    memcpy(lease->names + election.n, leader.p, leader.n);
    return lease;
}

struct book_lease *table_add(struct book *book, struct str kind, struct str election, struct str leader)
{
    uint64_t kind_hash = hash_kind(book, kind);
    struct book_lease *lease = lease_new(election, leader);
    lease->kind = kind_obtain(book, kind, kind_hash);
    lease->kind->elections++;
    map_add(&book->leases, &lease->node, hash_election(kind_hash, election));
    return lease;
}

void table_remove(struct book *book, struct book_lease *lease)
{
    assert(!lease->led && !wheel_started(&lease->timer));
    map_remove(&book->leases, &lease->node);
    kind_release(book, lease->kind);
    trail_free(lease->trail);
    mem_free(lease);
}

struct book_lease *table_rename(struct book *book, struct book_lease *lease, struct str leader)
{
    assert(!lease->led && !wheel_started(&lease->timer));
    if (leader.n <= lease->leader_cap) {
        memmove(lease->names + lease->election_bytes, leader.p, leader.n);
        lease->leader_bytes = (uint8_t)leader.n;
        return lease;
    }
    struct book_lease *larger = lease_new(lease_election(lease), leader);
    uint64_t hash = lease->node.hash;
    uint8_t cap = larger->leader_cap;
    map_remove(&book->leases, &lease->node);
    memcpy(larger, lease, sizeof *larger); /* all but the names */
    larger->leader_bytes = (uint8_t)leader.n;
    larger->leader_cap = cap;
    map_add(&book->leases, &larger->node, hash);
    mem_free(lease);
    return larger;
}
