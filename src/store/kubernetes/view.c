#include "store/kubernetes/view.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define MS_PER_S 1000

void view_init(struct view *view, const struct lease_election *id, const char *ns, const char *name)
{
    assert(strlen(ns) < sizeof view->lease.ns && strlen(name) < sizeof view->lease.name);
    *view = (struct view){.id = *id};
    memcpy(view->lease.ns, ns, strlen(ns) + 1);
    memcpy(view->lease.name, name, strlen(name) + 1);
}

void view_fini(struct view *view)
{
    kube_lease_fini(&view->lease);
    notes_fini(&view->notes);
}

/* --- events --- */

static void tell(struct view *view, enum election_action action, struct wall at, struct str previous)
{
    struct election_event event = {
        .at = at,
        .action = action,
        .kind = view_kind(view),
        .election = view_election(view),
        .leader = view_leader(view),
        .previous = previous,
        .token = view->token,
    };
    notes_event(&view->notes, &event);
    if (view->on_event != NULL) {
        view->on_event(view->arg, &event);
    }
}

static void unseat(struct view *view, struct mono now)
{
    view->led = false;
    notes_see(&view->notes, view_leader(view), view->priority, view->seen, view->renewed_at, now);
}

static void end(struct view *view, enum election_action action, struct wall at, struct mono now)
{
    unseat(view, now);
    tell(view, action, at, str_from(NULL, 0));
}

void view_end(struct view *view, struct mono now, struct wall wall)
{
    if (view->led && !view_is_led(view, now)) {
        end(view, ACTION_EXPIRED, (struct wall){wall.us - mono_sub(now, view->expires)}, now);
    }
}

/* --- reading a Lease --- */

/* What the annotation says about this token; ACTION_COUNT: nothing. */
static enum election_action last_action(const struct kube_lease *lease)
{
    struct str note = kube_lease_annotation(lease, LEASE_LAST_NOTE);
    struct str word;
    uint64_t token;
    if (note.n == 0 || !str_split(&note, ' ', &word) || !str_to_u64(note, &token) ||
        token != (uint64_t)lease->transitions) {
        return ACTION_COUNT;
    }
    unsigned action = 0;
    while (action < ACTION_COUNT &&
           !str_eq(word, str_of(election_action_word((enum election_action)action)))) {
        action++;
    }
    return (enum election_action)action;
}

static bool is_older(const char *version, const char *than)
{
    uint64_t a;
    uint64_t b;
    return str_to_u64(str_of(version), &a) && str_to_u64(str_of(than), &b) && a < b;
}

static bool is_same_tenure(const struct view *view, const struct kube_lease *lease)
{
    return view->led && view->token == (uint64_t)lease->transitions &&
           str_eq(view_leader(view), str_of(lease->holder));
}

/* The tenure before, if it is still running by our clock, gives way to the one in the Lease. True if that is one
 * event and not two. */
static bool give_way(struct view *view, const struct kube_lease *lease, struct mono now, struct wall wall)
{
    if (!view->led) {
        return false;
    }
    if (last_action(lease) == ACTION_HANDED_OVER) {
        return true;
    }
    bool itself = str_eq(view_leader(view), str_of(lease->holder)); /* started over, with `past` */
    end(view, itself ? ACTION_RESIGNED : ACTION_EXPIRED, wall, now);
    return false;
}

static void seat(struct view *view, const struct kube_lease *lease, struct mono now)
{
    struct str holder = str_of(lease->holder);
    view->led = true;
    view->token = (uint64_t)lease->transitions;
    view->elected_at = lease->acquired;
    memcpy(view->leader, holder.p, holder.n);
    view->leader_bytes = holder.n;
    view->priority = notes_take(&view->notes, holder, now);
}

static void begin(struct view *view, const struct kube_lease *lease, bool first, struct mono now,
                  struct wall wall)
{
    char previous[NAME_BYTES_MAX];
    int32_t priority = view->priority;
    bool moved = give_way(view, lease, now, wall);
    bool itself = moved && str_eq(view_leader(view), str_of(lease->holder));
    size_t previous_bytes = view->leader_bytes;
    memcpy(previous, view->leader, previous_bytes);
    if (moved) {
        unseat(view, now);
    }
    seat(view, lease, now);
    view->priority = itself ? priority : view->priority;
    if (!first) {
        tell(view, moved ? ACTION_HANDED_OVER : ACTION_ELECTED, wall, str_from(previous, previous_bytes));
    }
}

static void take_holder(struct view *view, const struct kube_lease *lease, bool first, struct mono now,
                        struct wall wall)
{
    bool same = is_same_tenure(view, lease);
    if (!same) {
        begin(view, lease, first, now, wall);
    }
    view->forever = lease->duration_s == 0;
    view->ours = last_action(lease) != ACTION_COUNT;
    view->expires = view->forever ? MONO_NEVER : mono_add_ms(now, (int64_t)lease->duration_s * MS_PER_S);
    view->term_ms = lease->duration_s <= INT32_MAX / MS_PER_S ? lease->duration_s * MS_PER_S : INT32_MAX;
    view->renewed_at = lease->renewed.us != 0 ? lease->renewed : lease->acquired;
    view->seen = now;
}

void view_see(struct view *view, const struct kube_lease *lease, bool first, struct mono now,
              struct wall wall)
{
    struct error ignored;
    if ((view->gone[0] != '\0' && strcmp(lease->uid, view->gone) == 0) ||
        (view_exists(view) && (strcmp(lease->version, view->lease.version) == 0 ||
                               is_older(lease->version, view->lease.version)))) {
        return;
    }
    kube_lease_copy(&view->lease, lease);
    view->mine = false;
    view->token_max = lease->transitions > view->token_max ? lease->transitions : view->token_max;
    struct str holder = str_of(lease->holder);
    view->strange = holder.n > 0 && name_check("holder", holder, &ignored) != EA_OK;
    view_end(view, now, wall); /* an expiry comes before what follows it (V2) */
    if (holder.n > 0 && !view->strange) {
        take_holder(view, lease, first, now, wall);
    } else if (view->led) {
        end(view, last_action(lease) == ACTION_EXPIRED ? ACTION_EXPIRED : ACTION_RESIGNED, wall, now);
    }
}

void view_see_gone(struct view *view, const char *uid, struct mono now, struct wall wall)
{
    if (!view_exists(view) || (uid != NULL && strcmp(uid, view->lease.uid) != 0)) {
        return;
    }
    memcpy(view->gone, view->lease.uid, sizeof view->gone);
    view->lease.uid[0] = view->lease.version[0] = '\0';
    json_decref(view->lease.meta); /* was the deleted object's: owners, finalizers */
    view->lease.meta = NULL;
    view->strange = false;
    view_end(view, now, wall);
    if (view->led && view->forever) { /* it was led by existing */
        end(view, ACTION_EXPIRED, wall, now);
    }
}

struct election_tenure view_tenure(const struct view *view, struct mono now)
{
    if (!view_is_led(view, now)) {
        return (struct election_tenure){.token = 0};
    }
    struct mono unknown = {0};
    return (struct election_tenure){
        .leader = view_leader(view),
        .token = view->token,
        .expires = view->forever ? unknown : view->expires,
        .term_ms = view->term_ms,
        .elected_at = view->elected_at,
        .renewed_at = view->renewed_at,
    };
}
