/* All elections of the namespace, as a watch tells of them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/kubernetes/internal.h"

static struct entry *entry_of(struct map_node *node)
{
    return CONTAINER_OF(node, struct entry, node);
}

/* --- finding --- */

static struct entry *find(const struct kubernetes *store, const char *name)
{
    uint64_t hash = str_hash(str_of(name), store->seed);
    for (struct map_node *node = map_first(&store->entries, hash); node != NULL;
         node = map_next(node, hash)) {
        if (strcmp(entry_of(node)->view.lease.name, name) == 0) {
            return entry_of(node);
        }
    }
    return NULL;
}

static void on_view_event(void *arg, const struct election_event *event)
{
    struct kubernetes *store = arg;
    if (store->options.on_event != NULL) {
        store->options.on_event(store->options.user, 0, event);
    }
}

static struct entry *add(struct kubernetes *store, const struct lease_election *id, const char *name)
{
    struct entry *entry = entry_new(store, id, name);
    entry->view.on_event = on_view_event;
    entry->view.arg = store;
    map_add(&store->entries, &entry->node, str_hash(str_of(name), store->seed));
    return entry;
}

struct entry *mirror_entry(struct kubernetes *store, struct str kind, struct str election)
{
    char name[LEASE_NAME_BYTES_MAX + 1];
    (void)lease_name_write(kind, election, name);
    struct entry *entry = find(store, name);
    if (entry == NULL) {
        struct lease_election id = {.kind_bytes = kind.n, .election_bytes = election.n};
        memcpy(id.kind, kind.p, kind.n);
        memcpy(id.election, election.p, election.n);
        entry = add(store, &id, name);
    }
    return entry;
}

void mirror_forget(struct entry *entry)
{
    map_remove(&entry->store->entries, &entry->node);
    entry_free(entry);
}

/* --- counting --- */

static struct kind *kind_of(struct kubernetes *store, struct str name)
{
    struct kind *kind = store->kinds; /* only this thread changes the list */
    while (kind != NULL && !str_eq(kind->name, name)) {
        kind = kind->next;
    }
    if (kind == NULL) {
        kind = mem_zalloc(sizeof *kind);
        kind->name = str_from(mem_dup(name.p, name.n), name.n);
        uv_mutex_lock(&store->lock);
        kind->next = store->kinds;
        store->kinds = kind;
        uv_mutex_unlock(&store->lock);
    }
    return kind;
}

void mirror_led(struct entry *entry, bool led)
{
    if (entry->counted != led) {
        if (entry->kind == NULL) {
            entry->kind = kind_of(entry->store, view_kind(&entry->view));
        }
        uv_mutex_lock(&entry->store->lock);
        entry->kind->led += led ? 1 : UINT64_MAX; /* minus one */
        uv_mutex_unlock(&entry->store->lock);
        entry->counted = led;
    }
}

void mirror_count(struct kubernetes *store, void (*row)(void *arg, struct str kind, uint64_t elections),
                  void *arg)
{
    uv_mutex_lock(&store->lock);
    for (const struct kind *kind = store->kinds; kind != NULL; kind = kind->next) {
        if (kind->led > 0) {
            row(arg, kind->name, kind->led);
        }
    }
    uv_mutex_unlock(&store->lock);
}

/* --- lists --- */

struct listing {
    const struct election_request *request;
    struct mono now;
    const struct view **found;
    size_t n;
    size_t room;
};

static void list_entry(struct map_node *node, void *arg)
{
    struct listing *listing = arg;
    const struct view *view = &entry_of(node)->view;
    if (!view_is_led(view, listing->now) || !str_eq(view_kind(view), listing->request->kind) ||
        str_cmp(view_election(view), listing->request->after) <= 0) {
        return;
    }
    if (listing->n == listing->room) {
        listing->room = listing->room == 0 ? 64 : 2 * listing->room;
        listing->found = mem_realloc(listing->found, listing->room * sizeof(const struct view *));
    }
    listing->found[listing->n++] = view;
}

static int by_name(const void *a, const void *b)
{
    return str_cmp(view_election(*(const struct view *const *)a),
                   view_election(*(const struct view *const *)b));
}

static void each(struct kubernetes *store, void (*visit)(struct map_node *node, void *arg), void *arg)
{
    uint64_t cursor = 0;
    do {
        cursor = map_scan(&store->entries, cursor, visit, arg);
    } while (cursor != 0);
}

void mirror_list(struct kubernetes *store, struct job *job)
{
    struct election_request *request = job->request;
    struct listing listing = {.request = request, .now = loop_now(store->loop)};
    struct store_status status;
    if (!mono_before(listing.now, request->deadline)) {
        job_refuse(job, EA_UNAVAILABLE, STR("the request's deadline is over"));
        return;
    }
    if (!store->whole) {
        store_status(&store->store, &status);
        job_refuse(job, EA_UNAVAILABLE, str_of(status.why));
        return;
    }
    each(store, list_entry, &listing);
    if (listing.n > 1) {
        qsort(listing.found, listing.n, sizeof(const struct view *), by_name);
    }
    size_t n = listing.n < request->page_size ? listing.n : request->page_size;
    request->err = EA_OK;
    request->why = str_from(NULL, 0);
    request->elected = false;
    request->tenure = (struct election_tenure){.token = 0};
    request->info = (struct election_info){.n_events = 0};
    request->list = (struct election_list){.n = n, .more = listing.n > n};
    request->list.leaders = arena_zalloc(request->arena, (n + 1) * sizeof request->list.leaders[0]);
    for (size_t i = 0; i < n; i++) {
        const struct view *view = listing.found[i];
        request->list.leaders[i] = (struct election_leader){
            .election = arena_str(request->arena, view_election(view)),
            .leader = arena_str(request->arena, view_leader(view)),
            .token = view->token,
        };
    }
    mem_free(listing.found);
    job_answer(job);
}

/* --- the watch --- */

static void set_status(struct kubernetes *store, enum store_state state, const char *why)
{
    struct store_status status = {.state = state};
    size_t n = strnlen(why, sizeof status.why - 1);
    memcpy(status.why, why, n);
    uv_mutex_lock(&store->lock);
    bool changed = store->status.state != state;
    store->status = status;
    uv_mutex_unlock(&store->lock);
    if (changed && store->options.on_status != NULL) {
        store->options.on_status(store->options.user);
    }
}

void mirror_tell(struct kubernetes *store)
{
    if (!store->check.passed && store->check.trouble[0] != '\0') {
        set_status(store, STORE_DOWN, store->check.trouble);
    } else if (store->heard == STORE_DOWN) {
        set_status(store, STORE_DOWN, kube_lease_watch_error(store->watch)->text);
    } else if (store->heard == STORE_UP && store->check.passed) {
        set_status(store, STORE_UP, "");
    }
}

static void hear(struct kubernetes *store, enum store_state state)
{
    store->whole = state == STORE_UP;
    store->heard = state;
    mirror_tell(store);
}

static void see(struct kubernetes *store, const struct kube_lease *lease)
{
    struct lease_election id;
    struct entry *entry = find(store, lease->name);
    if (entry == NULL) {
        if (!lease_name_read(str_of(lease->name), kube_lease_annotation(lease, LEASE_KIND_NOTE),
                             kube_lease_annotation(lease, LEASE_ELECTION_NOTE), &id)) {
            return; /* somebody's Lease that is no election */
        }
        entry = add(store, &id, lease->name);
    }
    entry->generation = store->generation;
    view_see(&entry->view, lease, !store->synced, loop_now(store->loop), loop_wall(store->loop));
    entry_work(entry);
}

static void see_gone(struct kubernetes *store, const struct kube_lease *lease)
{
    struct entry *entry = find(store, lease->name);
    if (entry != NULL) {
        view_see_gone(&entry->view, lease->uid, loop_now(store->loop), loop_wall(store->loop));
        entry_work(entry);
    }
}

static void doubt(struct map_node *node, void *arg)
{
    struct entry *entry = entry_of(node);
    if (view_exists(&entry->view) && entry->generation != entry->store->generation) {
        entry->doubt = true;
        entry_work(entry);
    }
}

static void on_watch(void *user, enum kube_event event, const struct kube_lease *lease)
{
    struct kubernetes *store = user;
    switch (event) {
    case KUBE_LISTING:
        store->whole = false;
        store->generation++;
        break;
    case KUBE_ADDED:
    case KUBE_MODIFIED:
        see(store, lease);
        break;
    case KUBE_DELETED:
        see_gone(store, lease);
        break;
    case KUBE_SYNCED:
        store->synced = true;
        each(store, doubt, NULL);
        hear(store, STORE_UP);
        break;
    case KUBE_RESUMED:
        hear(store, STORE_UP);
        break;
    case KUBE_BROKEN:
        hear(store, STORE_DOWN);
        break;
    }
}

/* --- life --- */

void mirror_open(struct kubernetes *store)
{
    map_init(&store->entries);
    store->watch = kube_lease_watch_start(
        store->kube,
        &(struct kube_lease_watch_options){.ns = store->ns, .on_event = on_watch, .user = store});
}

static void close_entry(struct map_node *node, void *arg)
{
    entry_close(entry_of(node));
}

static void free_entry(struct map_node *node, void *arg)
{
    mirror_forget(entry_of(node));
}

void mirror_close(struct kubernetes *store)
{
    kube_lease_watch_stop(store->watch);
    each(store, close_entry, NULL);
    while (store->entries.nodes > 0) {
        each(store, free_entry, NULL);
    }
    map_fini(&store->entries);
    while (store->kinds != NULL) {
        struct kind *kind = store->kinds;
        store->kinds = kind->next;
        mem_free((void *)kind->name.p);
        mem_free(kind);
    }
}
