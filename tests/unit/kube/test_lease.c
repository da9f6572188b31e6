/* Leases against the test API server: written with their versions, watched through everything that goes wrong. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/lease.h"

struct lease_call {
    struct kube_lease_call call;
    struct kube_lease lease; /* a copy of the answer */
    bool done;
};

static void on_done(struct kube_lease_call *call)
{
    struct lease_call *mine = CONTAINER_OF(call, struct lease_call, call);
    kube_lease_copy(&mine->lease, &call->lease);
    mine->done = true;
}

enum what { GET, CREATE, UPDATE, DELETE };

static void ask(struct rig *rig, struct lease_call *mine, enum what what, const struct kube_lease *lease)
{
    mine->done = false;
    mine->call.done = on_done;
    mine->call.deadline = mono_add_ms(clock_mono(&clock_system), 5000);
    switch (what) {
    case GET:
        kube_lease_get(rig->kube, &mine->call, lease->ns, lease->name);
        break;
    case CREATE:
        kube_lease_create(rig->kube, &mine->call, lease);
        break;
    case UPDATE:
        kube_lease_update(rig->kube, &mine->call, lease);
        break;
    case DELETE:
        kube_lease_delete(rig->kube, &mine->call, lease);
        break;
    }
    rig_until(rig, &mine->done);
}

static const struct kube_lease plain = {
    .ns = "default", .name = "l", .holder = "a", .duration_s = 15, .transitions = 3};

static void a_lease_comes_back_as_it_was_written(void **state)
{
    struct rig *rig = *state;
    struct lease_call c = {.done = false};
    struct kube_lease lease = plain;
    lease.acquired.us = lease.renewed.us = INT64_C(1795525809123456);
    kube_lease_annotate(&lease, "x/kind", STR("m\xc3\xb6gen"));
    kube_lease_label(&lease, "x/l", "v");
    ask(rig, &c, CREATE, &lease);
    assert_int_equal(c.call.err, EA_OK);
    ask(rig, &c, GET, &lease);
    assert_string_equal(c.lease.holder, "a");
    assert_int_equal(c.lease.duration_s, 15);
    assert_int_equal(c.lease.transitions, 3);
    assert_int_equal(c.lease.acquired.us, lease.acquired.us);
    assert_int_equal(c.lease.renewed.us, lease.renewed.us);
    assert_true(c.lease.version[0] != '\0' && c.lease.uid[0] != '\0');
    assert_true(str_eq(kube_lease_annotation(&c.lease, "x/kind"), STR("m\xc3\xb6gen")));
    kube_lease_fini(&lease);
    kube_lease_fini(&c.lease);
}

static void a_write_over_an_unseen_change_is_held(void **state)
{
    struct rig *rig = *state;
    struct lease_call first = {.done = false};
    struct lease_call second = {.done = false};
    ask(rig, &first, CREATE, &plain);
    struct kube_lease lease = {.meta = NULL};
    kube_lease_copy(&lease, &first.lease);
    (void)snprintf(lease.holder, sizeof lease.holder, "b");
    ask(rig, &second, UPDATE, &lease);
    assert_int_equal(second.call.err, EA_OK);
    ask(rig, &second, UPDATE, &lease); /* with the old version */
    assert_int_equal(second.call.err, EA_HELD);
    assert_string_equal(second.call.reason, "Conflict");
    ask(rig, &second, DELETE, &lease);
    assert_int_equal(second.call.err, EA_HELD);
    ask(rig, &second, GET, &lease);
    assert_string_equal(second.lease.holder, "b");
    kube_lease_copy(&lease, &second.lease);
    ask(rig, &second, DELETE, &lease);
    assert_int_equal(second.call.err, EA_OK);
    kube_lease_fini(&lease);
    kube_lease_fini(&first.lease);
    kube_lease_fini(&second.lease);
}

/* --- watching --- */

struct watcher {
    struct kube_lease_watch *watch;
    char log[4096];
    const char *wanted;
};

static void on_event(void *user, enum kube_event event, const struct kube_lease *lease)
{
    static const char *const words[] = {"listing", "added",  "modified", "deleted",
                                        "synced",  "broken", "resumed"};
    struct watcher *w = user;
    size_t n = strlen(w->log);
    (void)snprintf(w->log + n, sizeof w->log - n, "%s%s%s;", words[event], lease != NULL ? ":" : "",
                   lease != NULL ? lease->holder : "");
}

static bool has_wanted(void *arg)
{
    const struct watcher *w = arg;
    return strstr(w->log, w->wanted) != NULL;
}

static void until_heard(struct rig *rig, struct watcher *w, const char *wanted)
{
    w->wanted = wanted;
    rig_until_true(rig, has_wanted, w);
}

static void start_watch(struct rig *rig, struct watcher *w)
{
    memset(w, 0, sizeof *w);
    w->watch = kube_lease_watch_start(
        rig->kube,
        &(struct kube_lease_watch_options){.ns = "default", .name = "l", .on_event = on_event, .user = w});
    assert_string_equal(w->log, "");
}

static void put(struct rig *rig, const char *name, const char *holder)
{
    rig_order(rig,
              "{'what': 'put', 'object': {'kind': 'Lease', 'apiVersion': 'coordination.k8s.io/v1', "
              "'metadata': {'name': "
              "'%s'}, 'spec': {'holderIdentity': '%s'}}}",
              name, holder);
}

static void a_watch_tells_what_is_and_what_changes(void **state)
{
    struct rig *rig = *state;
    struct watcher w;
    put(rig, "l", "a");
    put(rig, "other", "x");
    start_watch(rig, &w);
    until_heard(rig, &w, "listing;added:a;synced;");
    put(rig, "l", "b");
    until_heard(rig, &w, "modified:b;");
    rig_order(rig, "{'what': 'remove', 'kind': 'Lease', 'name': 'l', 'namespace': 'default'}");
    until_heard(rig, &w, "deleted:b;");
    assert_true(kube_lease_watch_is_live(w.watch));
    assert_null(strstr(w.log, "x"));
    kube_lease_watch_stop(w.watch);
}

static void a_broken_watch_goes_on_and_misses_nothing(void **state)
{
    struct rig *rig = *state;
    struct watcher w;
    put(rig, "l", "a");
    start_watch(rig, &w);
    until_heard(rig, &w, "synced;");
    rig_order(rig, "{'what': 'fault', 'verb': 'watch', 'close': true}");
    rig_order(rig, "{'what': 'watches', 'how': 'cut'}");
    until_heard(rig, &w, "broken;");
    assert_false(kube_lease_watch_is_live(w.watch));
    assert_true(kube_lease_watch_error(w.watch)->text[0] != '\0');
    rig_order(rig, "{'what': 'heal'}");
    put(rig, "l", "b");
    until_heard(rig, &w, "modified:b;");
    kube_lease_watch_stop(w.watch);
}

static void a_watch_that_is_too_old_lists_again(void **state)
{
    struct rig *rig = *state;
    struct watcher w;
    put(rig, "l", "a");
    start_watch(rig, &w);
    until_heard(rig, &w, "synced;");
    while (rig_asked(rig, "watch", "leases") == 0) {
        ; /* each question is a turn of the loop: there must be a watch to expire */
    }
    rig_order(rig, "{'what': 'watches', 'how': 'expire'}");
    until_heard(rig, &w, "synced;listing;added:a;synced;");
    put(rig, "l", "b");
    until_heard(rig, &w, "modified:b;");
    kube_lease_watch_stop(w.watch);
}

static void a_stream_cut_at_any_byte_tells_every_change_in_the_end(void **state)
{
    struct rig *rig = *state;
    struct watcher w;
    put(rig, "l", "a");
    start_watch(rig, &w);
    until_heard(rig, &w, "synced;");
    for (unsigned cut = 1; cut < 700; cut += 61) {
        char holder[16];
        char wanted[32];
        rig_order(rig, "{'what': 'fault', 'verb': 'watch', 'cut_after': %u, 'times': 1}", cut);
        rig_order(rig, "{'what': 'watches', 'how': 'cut'}");
        (void)snprintf(holder, sizeof holder, "h%u", cut);
        (void)snprintf(wanted, sizeof wanted, ":%s;", holder);
        put(rig, "l", holder);
        until_heard(rig, &w, wanted);
        memset(w.log, 0, sizeof w.log);
    }
    kube_lease_watch_stop(w.watch);
}

static void on_event_stop(void *user, enum kube_event event, const struct kube_lease *lease)
{
    struct watcher *w = user;
    w->log[0] = 'x';
    if (w->watch != NULL && (lease != NULL || event == KUBE_SYNCED)) {
        kube_lease_watch_stop(w->watch);
        w->watch = NULL;
    }
}

static void a_watch_may_be_stopped_in_its_own_callback(void **state)
{
    struct rig *rig = *state;
    struct watcher w = {.wanted = "x"};
    put(rig, "l", "a");
    w.watch = kube_lease_watch_start(rig->kube, &(struct kube_lease_watch_options){
                                                    .ns = "default", .on_event = on_event_stop, .user = &w});
    while (w.watch != NULL) {
        (void)loop_step(rig->loop);
    }
    w.log[0] = '\0';
    put(rig, "l", "b");
    assert_string_equal(w.log, "");
}

static void what_is_no_lease_is_refused(void **state)
{
    static const char *const texts[] = {
        "[]",
        "{}",
        "{\"metadata\":{}}",
        "{\"metadata\":{\"name\":1}}",
        "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"leaseTransitions\":-1}}",
        "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"leaseTransitions\":3000000000}}",
        "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"renewTime\":\"yesterday\"}}",
        "{\"metadata\":{\"name\":\"x\"},\"spec\":{\"holderIdentity\":{}}}",
        "{\"metadata\":{\"name\":\"x\",\"annotations\":[]},\"spec\":{}}",
        "{\"metadata\":{\"name\":\"x\"},\"spec\":7}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct kube_lease lease;
        struct error error = ERROR_NONE;
        json_t *doc = json_loads(texts[i], 0, NULL);
        assert_non_null(doc);
        assert_int_equal(kube_lease_decode(&lease, doc, &error), EA_PROTOCOL);
        json_decref(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_lease_is_refused),
        RIG_TEST(a_lease_comes_back_as_it_was_written),
        RIG_TEST(a_write_over_an_unseen_change_is_held),
        RIG_TEST(a_watch_tells_what_is_and_what_changes),
        RIG_TEST(a_broken_watch_goes_on_and_misses_nothing),
        RIG_TEST(a_watch_that_is_too_old_lists_again),
        RIG_TEST(a_stream_cut_at_any_byte_tells_every_change_in_the_end),
        RIG_TEST(a_watch_may_be_stopped_in_its_own_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
