/*
 * The Lease store on a client that is played here: what it asks at its start, and its bound. How elections go is the
 * conformance suite's.
 */
#include "../kube/played.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/lease.h"
#include "net/loop.h"
#include "store/kubernetes/internal.h"

extern const struct store_ops store_kubernetes_ops;

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
#define CHECK  LEASES "?dryRun=All"
#define MADE   "{'metadata':{'name':'x','namespace':'ns','uid':'u','resourceVersion':'1'},'spec':{}}"

static struct {
    struct store *store;
    struct kube_watch_options watch;
    struct error watch_error;
    unsigned status_changes;
} scene;

/* --- the client, as far as played.c does not play it --- */

enum err kube_open(struct kube **out, const struct kube_options *options, struct error *error)
{
    *out = (struct kube *)(void *)&scene; /* opaque */
    return EA_OK;
}

void kube_close(struct kube *kube) {}

static const char *own_namespace = "ns";

const char *kube_namespace(const struct kube *kube)
{
    return own_namespace;
}

const char *kube_server(const struct kube *kube)
{
    return "http://played";
}

struct kube_watch *kube_watch_start(struct kube *kube, const struct kube_watch_options *options)
{
    scene.watch = *options;
    return (struct kube_watch *)(void *)&scene;
}

void kube_watch_stop(struct kube_watch *watch) {}

struct loop *kube_watch_loop(const struct kube_watch *watch)
{
    return played_loop();
}

bool kube_watch_is_live(const struct kube_watch *watch)
{
    return true;
}

const struct error *kube_watch_error(const struct kube_watch *watch)
{
    return &scene.watch_error;
}

static void tell(enum kube_event event, json_t *object)
{
    scene.watch.on_event(scene.watch.user, event, object);
    json_decref(object);
}

/* --- the store --- */

static void on_status(void *user)
{
    scene.status_changes++;
}

static enum err open_store(const char *lease_namespace, struct error *error)
{
    static struct loop *lanes[1];
    struct kubernetes_options kubernetes = {.lease_namespace = lease_namespace};
    lanes[0] = played_loop();
    memset(&scene, 0, sizeof scene);
    const struct store_options options = {
        .driver = "kubernetes",
        .lanes = lanes,
        .n_lanes = 1,
        .clock = &clock_system,
        .seed = 1,
        .max_term_ms = 60000,
        .on_status = on_status,
        .kubernetes = &kubernetes,
    };
    return store_kubernetes_ops.open(&scene.store, &options, error);
}

static void start(void)
{
    struct error error = ERROR_NONE;
    assert_int_equal(open_store(NULL, &error), EA_OK);
    played_turn();
}

static void stop(void)
{
    store_close(scene.store);
    assert_false(played_is_asked());
    played_turn();
}

static void expect(enum store_state state, const char *why)
{
    struct store_status status;
    store_status(scene.store, &status);
    if (status.state != state || strstr(status.why, why) == NULL) {
        fail_msg("state %d, %s", (int)status.state, status.why);
    }
}

static void expect_asked(const char *path)
{
    assert_true(played_is_asked());
    assert_string_equal(played_path(), path);
}

static void list_nothing(void)
{
    tell(KUBE_LISTING, NULL);
    tell(KUBE_SYNCED, NULL);
}

/* --- the check --- */

static void it_is_up_when_the_leases_are_listed_and_the_namespace_is_there(void **state)
{
    static const int passed[] = {201, 409 /* there is one of that name */, 400 /* no dry runs there */};
    for (size_t i = 0; i < ARRAY_LENGTH(passed); i++) {
        start();
        expect_asked(CHECK);
        expect(STORE_STARTING, "");
        played_answer(passed[i], passed[i] == 201 ? MADE : "no", 0);
        expect(STORE_STARTING, "");
        list_nothing();
        expect(STORE_UP, "");
        stop();
        start(); /* the other way round */
        list_nothing();
        expect(STORE_STARTING, "");
        played_answer(passed[i], passed[i] == 201 ? MADE : "no", 0);
        expect(STORE_UP, "");
        assert_int_equal(scene.status_changes, 1);
        played_wait_us(60000000);
        assert_false(played_is_asked()); /* once is enough */
        stop();
    }
}

static void what_people_must_mend_is_said_until_it_is_mended(void **state)
{
    static const struct {
        int status;
        const char *words;
    } rows[] = {
        {404, "namespaces \"ns\" not found"},
        {403, "cannot create resource \"leases\""},
        {401, "Unauthorized"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        start();
        list_nothing();
        for (unsigned k = 0; k < 3; k++) {
            expect_asked(CHECK);
            played_answer(rows[i].status, rows[i].words, 0);
            expect(STORE_DOWN, rows[i].words);
            tell(KUBE_RESUMED, NULL); /* the watch has nothing to say about it */
            expect(STORE_DOWN, rows[i].words);
            assert_int_equal(scene.status_changes, 1);
            played_wait_us(1900000);
            assert_false(played_is_asked());
            played_wait_us(200000);
        }
        played_answer(201, MADE, 0);
        expect(STORE_UP, "");
        stop();
    }
}

static void an_api_server_that_is_away_is_the_watch_s_to_tell(void **state)
{
    start();
    played_answer(503, "busy", 0);
    expect(STORE_STARTING, "");
    (void)error_set(&scene.watch_error, EA_UNAVAILABLE, "watch leases: busy");
    tell(KUBE_BROKEN, NULL);
    expect(STORE_DOWN, "watch leases: busy");
    played_wait_us(2100000);
    played_answer(201, MADE, 0);
    expect(STORE_DOWN, "watch leases: busy");
    list_nothing();
    expect(STORE_UP, "");
    tell(KUBE_BROKEN, NULL);
    expect(STORE_DOWN, "watch leases: busy");
    stop();
}

static void it_may_be_closed_at_any_moment(void **state)
{
    start(); /* the question is under way */
    stop();
    start(); /* the pause before the next */
    played_answer(404, "namespaces \"ns\" not found", 0);
    stop();
}

static void a_namespace_of_more_than_63_bytes_is_refused(void **state)
{
    static const char sixty_three[] = "012345678901234567890123456789012345678901234567890123456789012";
    static const char sixty_four[] = "0123456789012345678901234567890123456789012345678901234567890123";
    struct error error = ERROR_NONE;
    assert_int_equal(open_store(sixty_four, &error), EA_CONFIG);
    assert_string_equal(error.text, "driver kubernetes: the namespace has 64 bytes, at most 63 are allowed");
    own_namespace = sixty_four; /* of the kubeconfig */
    assert_int_equal(open_store(NULL, &error), EA_CONFIG);
    own_namespace = "ns";
    assert_int_equal(open_store(sixty_three, &error), EA_OK);
    played_turn();
    stop();
}

/* --- the bound --- */

static void tell_lease(enum kube_event event, unsigned number)
{
    char name[16];
    (void)snprintf(name, sizeof name, "e%u", number);
    tell(event,
         json_pack("{s:{s:s,s:s,s:s,s:s},s:{s:i}}", "metadata", "name", name, "namespace", "ns", "uid", name,
                   "resourceVersion", event == KUBE_DELETED ? "2" : "1", "spec", "leaseTransitions", 1));
}

static void on_done(struct election_request *request)
{
    *(bool *)request->user = true;
}

struct question {
    struct election_request request;
    struct arena arena;
    bool done;
};

static void campaign(struct question *q, const char *election)
{
    struct mono now = loop_now(played_loop());
    q->done = false;
    arena_init(&q->arena, NULL, 0);
    q->request = (struct election_request){
        .op = OP_CAMPAIGN,
        .kind = STR("default"),
        .election = str_of(election),
        .candidate = STR("a"),
        .term_ms = 10000,
        .start = now,
        .deadline = mono_add_ms(now, 3000),
        .arena = &q->arena,
        .done = on_done,
        .user = &q->done,
    };
    store_submit(scene.store, 0, &q->request);
    played_turn();
}

static void beyond_the_bound_no_new_election_is_taken_and_the_answer_says_what_helps(void **state)
{
    struct question q;
    start();
    played_answer(201, MADE, 0);
    tell(KUBE_LISTING, NULL);
    for (unsigned i = 0; i < LEASES_MAX; i++) {
        tell_lease(KUBE_ADDED, i);
    }
    tell(KUBE_SYNCED, NULL);
    unsigned before = played_requests();
    campaign(&q, "one-more");
    assert_true(q.done);
    assert_int_equal(q.request.err, EA_FULL);
    static const char words[] =
        "the namespace has the most Leases that the driver kubernetes takes, 20000: delete ";
    assert_true(str_starts(q.request.why, STR(words)));
    assert_int_equal(played_requests(), before); /* the API server was not troubled */
    arena_reset(&q.arena);
    campaign(&q, "e7"); /* those that are there go on */
    expect_asked(LEASES "/e7");
    assert_false(q.done);
    played_answer(503, "busy", 0);
    assert_true(q.done);
    assert_int_equal(q.request.err, EA_UNAVAILABLE);
    arena_reset(&q.arena);
    tell_lease(KUBE_DELETED, 8); /* somebody cleans up */
    campaign(&q, "one-more");
    expect_asked(LEASES);
    played_answer(503, "busy", 0);
    assert_true(q.done);
    assert_int_equal(q.request.err, EA_UNAVAILABLE);
    arena_reset(&q.arena);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_up_when_the_leases_are_listed_and_the_namespace_is_there),
        cmocka_unit_test(what_people_must_mend_is_said_until_it_is_mended),
        cmocka_unit_test(an_api_server_that_is_away_is_the_watch_s_to_tell),
        cmocka_unit_test(it_may_be_closed_at_any_moment),
        cmocka_unit_test(a_namespace_of_more_than_63_bytes_is_refused),
        cmocka_unit_test(beyond_the_bound_no_new_election_is_taken_and_the_answer_says_what_helps),
    };
    return cmocka_run_group_tests(tests, played_set_up, played_tear_down);
}
