/*
 * What the contest decides becomes requests, and what the API server says becomes news: the elector on a client that is
 * played here, row by row. The contest itself is tested in test_contest.c, all of it together in tests/kube.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "elector/elector.h"
#include "elector/health.h"
#include "elector/pages.h"
#include "kube/internal.h"
#include "kube/lease.h"

#define LEASES "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
#define POD    "/api/v1/namespaces/ns/pods/me"
#define STEPS  8

/* A Lease, with ' for ". */
#define LEASE(version, spec) \
    "{'metadata':{'name':'e','namespace':'ns','uid':'l','resourceVersion':'" version "'},'spec':{" spec "}}"
#define OTHERS(version) \
    LEASE(version, "'holderIdentity':'other','leaseDurationSeconds':60,'leaseTransitions':3")
#define WRITTEN    "" /* what was written, as the API server has it now */
#define LIVING_POD "{'metadata':{'name':'me','uid':'pod-1'}}"
#define DYING_POD  "{'metadata':{'name':'me','uid':'pod-1','deletionTimestamp':'2026-01-01T00:00:00Z'}}"

struct step {
    const char *question; /* method and path */
    const char *body;     /* has this in it; NULL: does not matter */
    int status;
    const char *answer;
    void (*after)(void);
};

static struct {
    struct loop *loop;
    const struct step *steps;
    size_t n;
    struct kube_request *request; /* under way; NULL: none */
    char sent[4096];              /* its body */
    struct loop_task answer;
    struct kube_watch_options watch;
    bool watching;
    struct pages_options pages;
    char shown[256]; /* the leaders that subscribers heard of */
    struct health_options health;
    bool health_open;
    unsigned versions;
} scene;

/* Terminated, with " for '. */
static struct buf quoted(const char *text)
{
    struct buf out = BUF_EMPTY;
    buf_add(&out, text, strlen(text) + 1);
    for (size_t i = 0; i < out.n; i++) {
        out.p[i] = out.p[i] == '\'' ? '"' : out.p[i];
    }
    return out;
}

/* --- the client --- */

enum err kube_open(struct kube **out, const struct kube_options *options, struct error *error)
{
    assert_string_equal(options->user_agent, "elector");
    scene.loop = options->loop;
    *out = (struct kube *)(void *)&scene; /* opaque */
    return EA_OK;
}

void kube_close(struct kube *kube)
{
    assert_null(scene.request);
}

const char *kube_server(const struct kube *kube)
{
    return "http://played";
}

void kube_escape(struct buf *out, struct str s)
{
    buf_add_str(out, s);
}

static void echo(struct buf *out)
{
    json_error_t at;
    json_t *doc = json_loads(scene.sent, 0, &at);
    char version[16];
    assert_non_null(doc);
    (void)snprintf(version, sizeof version, "%u", 100 + scene.versions++);
    json_t *meta = json_object_get(doc, "metadata");
    (void)json_object_set_new(meta, "uid", json_string("l"));
    (void)json_object_set_new(meta, "resourceVersion", json_string(version));
    char *text = json_dumps(doc, JSON_COMPACT);
    buf_add(out, text, strlen(text) + 1);
    mem_free(text);
    json_decref(doc);
}

static void on_answer(struct loop *loop, struct loop_task *task)
{
    struct kube_request *request = scene.request;
    const struct step *step = &scene.steps[scene.n - 1];
    struct buf body = BUF_EMPTY;
    if (request == NULL) { /* cancelled */
        return;
    }
    scene.request = NULL;
    request->transfer = NULL;
    request->status = step->status;
    if (step->status >= 300) {
        request->err = kube_judge(step->status).err;
        (void)error_set(&request->error, request->err, "%s: %s", request->what, step->answer);
    } else if (strcmp(step->answer, WRITTEN) == 0) {
        echo(&body);
    } else {
        body = quoted(step->answer);
    }
    request->answer = body.n > 0 ? str_of(body.p) : str_from(NULL, 0);
    request->done(request);
    buf_fini(&body);
    if (step->after != NULL) {
        step->after();
    }
}

void kube_send(struct kube *kube, struct kube_request *request)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    const struct step *step = &scene.steps[scene.n];
    char question[512];
    (void)snprintf(question, sizeof question, "%s %.*s", methods[request->method], STR_ARG(request->path));
    assert_null(scene.request);
    if (scene.n == STEPS || step->question == NULL || strcmp(question, step->question) != 0) {
        fail_msg("step %zu: %s, not %s", scene.n, question, scene.n < STEPS ? step->question : "");
    }
    assert_true(request->body.n < sizeof scene.sent);
    memcpy(scene.sent, request->body.n > 0 ? request->body.p : "", request->body.n);
    scene.sent[request->body.n] = '\0';
    if (step->body != NULL) {
        struct buf wanted = quoted(step->body);
        if (strstr(scene.sent, wanted.p) == NULL) {
            fail_msg("step %zu: no %s in %s", scene.n, wanted.p, scene.sent);
        }
        buf_fini(&wanted);
    }
    scene.n++;
    scene.request = request;
    request->transfer = (struct kube_transfer *)(void *)&scene; /* not NULL: it runs */
    scene.answer.run = on_answer;
    loop_at_start(scene.loop, &scene.answer);
}

void kube_cancel(struct kube *kube, struct kube_request *request)
{
    if (scene.request == request) {
        scene.request = NULL;
        request->transfer = NULL;
    }
}

/* --- the watch --- */

struct kube_watch *kube_watch_start(struct kube *kube, const struct kube_watch_options *options)
{
    assert_string_equal(options->path, LEASES);
    assert_string_equal(options->field, "metadata.name=e");
    scene.watch = *options;
    scene.watching = true;
    return (struct kube_watch *)(void *)&scene;
}

void kube_watch_stop(struct kube_watch *watch)
{
    scene.watching = false;
}

struct loop *kube_watch_loop(const struct kube_watch *watch)
{
    return scene.loop;
}

bool kube_watch_is_live(const struct kube_watch *watch)
{
    return true;
}

const struct error *kube_watch_error(const struct kube_watch *watch)
{
    static const struct error error = {.code = EA_IO, .text = "watch leases: it broke"};
    return &error;
}

static void tell(enum kube_event event, const char *object)
{
    json_t *doc = NULL;
    if (object != NULL) {
        struct buf text = quoted(object);
        doc = json_loads(text.p, 0, NULL);
        assert_non_null(doc);
        buf_fini(&text);
    }
    scene.watch.on_event(scene.watch.user, event, doc);
    json_decref(doc);
}

/* --- pages and health --- */

enum err pages_open(struct pages **out, const struct pages_options *options, struct error *error)
{
    scene.pages = *options;
    *out = (struct pages *)(void *)&scene;
    return EA_OK;
}

void pages_changed(struct pages *pages)
{
    struct pages_view view = scene.pages.look(scene.pages.user);
    size_t n = strlen(scene.shown);
    (void)snprintf(scene.shown + n, sizeof scene.shown - n, "%s%s ",
                   view.leader[0] != '\0' ? view.leader : "-", view.leads ? "*" : "");
}

void pages_close(struct pages *pages, void (*closed)(void *user))
{
    closed(scene.pages.user);
}

enum err health_open(struct health **out, const struct health_options *options, struct error *error)
{
    scene.health = *options;
    scene.health_open = true;
    *out = (struct health *)(void *)&scene;
    return EA_OK;
}

void health_close(struct health *health)
{
    scene.health_open = false;
}

/* --- running it --- */

static void stop(void)
{
    (void)raise(SIGTERM);
}

/* Runs it through all steps; `shown` is who subscribers heard of, * where it was us. */
static struct pages_view run(enum contest_strategy strategy, const char *health, const struct step *steps,
                             const char *shown)
{
    static struct options options;
    struct elector *elector;
    struct error error = ERROR_NONE;
    log_set_level(LOG_FATAL);
    memset(&scene, 0, sizeof scene);
    scene.steps = steps;
    options = (struct options){.election = "e",
                               .election_namespace = "ns",
                               .pod_name = "me",
                               .strategy = strategy,
                               .lease_duration = 15000000};
    (void)snprintf(options.health_file, sizeof options.health_file, "%s", health);
    assert_int_equal(elector_new(&elector, &options, &error), EA_OK);
    elector_run(elector);
    struct pages_view view = scene.pages.look(scene.pages.user);
    view.leader = NULL; /* not after the elector's end */
    elector_free(elector);
    assert_true(scene.n == STEPS || steps[scene.n].question == NULL); /* all were asked */
    assert_false(scene.watching || scene.health_open);
    assert_string_equal(scene.shown, shown);
    return view;
}

static void an_owner_creates_the_lease_in_the_name_of_its_pod_and_leaves_it_there(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "leases \"e\" not found", NULL},
        {"GET " POD, NULL, 200, LIVING_POD, NULL},
        {"POST " LEASES, "'ownerReferences':[{'apiVersion':'v1','kind':'Pod','name':'me','uid':'pod-1'", 201,
         WRITTEN, stop},
    };
    struct pages_view view = run(CONTEST_OWNER, "", steps, "me* - "); /* it says no more of itself */
    assert_int_equal(view.won, 1);
    assert_int_equal(view.written, 1);
    assert_false(view.ready); /* it stops */
}

static void a_renewer_creates_the_lease_and_releases_it_at_its_end(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "leases \"e\" not found", NULL},
        {"POST " LEASES, "'holderIdentity':'me','leaseDurationSeconds':15,", 201, WRITTEN, stop},
        {"PUT " LEASES "/e", "'spec':{'leaseDurationSeconds':15,", 200, WRITTEN, NULL}, /* without a holder */
    };
    struct pages_view view = run(CONTEST_RENEW, "", steps, "me* - ");
    assert_int_equal(view.won, 1);
    assert_int_equal(view.lost, 1);
    assert_int_equal(view.written, 2);
}

static void a_pod_that_is_being_deleted_does_not_stand(void **state)
{
    static const struct step dying[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "not found", NULL},
        {"GET " POD, NULL, 200, DYING_POD, stop},
    };
    static const struct step gone[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "not found", NULL},
        {"GET " POD, NULL, 404, "pods \"me\" not found", stop},
    };
    assert_int_equal(run(CONTEST_OWNER, "", dying, "").written, 0);
    assert_int_equal(run(CONTEST_OWNER, "", gone, "").written, 0);
}

static void news_of_the_watch(void)
{
    tell(KUBE_LISTING, NULL);
    tell(KUBE_ADDED, OTHERS("5"));
    tell(KUBE_SYNCED, NULL);
    tell(KUBE_BROKEN, NULL);
    tell(KUBE_RESUMED, NULL);
    tell(KUBE_MODIFIED,
         LEASE("6", "'holderIdentity':'third','leaseDurationSeconds':60,'leaseTransitions':4"));
    tell(KUBE_MODIFIED, LEASE("5", "'holderIdentity':'late','leaseDurationSeconds':60")); /* old news */
    stop();
}

static void a_follower_shows_whom_the_watch_names_and_writes_nothing(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 200, OTHERS("5"), news_of_the_watch},
    };
    assert_int_equal(run(CONTEST_RENEW, "", steps, "other third ").written, 0);
}

static void a_list_that_does_not_name_it(void)
{
    tell(KUBE_LISTING, NULL);
    tell(KUBE_SYNCED, NULL);
}

static void a_lease_that_a_list_does_not_name_is_read(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 200, OTHERS("5"), a_list_that_does_not_name_it},
        {"GET " LEASES "/e", NULL, 200, OTHERS("5"), stop}, /* the list was older */
    };
    (void)run(CONTEST_RENEW, "", steps, "other ");
}

static void the_lease_is_deleted(void)
{
    tell(KUBE_DELETED, OTHERS("7"));
}

static void an_owner_campaigns_when_the_watch_says_that_the_lease_is_gone(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 200, LEASE("5", "'holderIdentity':'other'"), the_lease_is_deleted},
        {"GET " POD, NULL, 200, LIVING_POD, NULL},
        {"POST " LEASES, NULL, 409, "already exists", NULL},
        {"GET " LEASES "/e", NULL, 200,
         "{'metadata':{'name':'e','namespace':'ns','uid':'m','resourceVersion':'9'},'spec':{'holderIdentity':"
         "'quick'}}",
         stop},
    };
    assert_int_equal(run(CONTEST_OWNER, "", steps, "other quick ").won, 0);
}

static void a_namespace_that_is_not_there_is_no_lost_election(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "leases \"e\" not found", NULL},
        {"POST " LEASES, NULL, 404, "namespaces \"ns\" not found", NULL},
        {"POST " LEASES, NULL, 201, WRITTEN, stop}, /* after a pause, it was made */
        {"PUT " LEASES "/e", NULL, 200, WRITTEN, NULL},
    };
    assert_int_equal(run(CONTEST_RENEW, "", steps, "me* - ").won, 1);
}

static void be_well(void)
{
    scene.health.changed(scene.health.user, true);
}

static void fall_sick(void)
{
    scene.health.changed(scene.health.user, false);
}

static void a_sick_application_does_not_lead(void **state)
{
    static const struct step steps[STEPS + 1] = {
        {"GET " LEASES "/e", NULL, 404, "not found", be_well}, /* sick until then: it did not stand */
        {"POST " LEASES, "'holderIdentity':'me'", 201, WRITTEN, fall_sick},
        {"PUT " LEASES "/e", "'spec':{'leaseDurationSeconds':15,", 200, WRITTEN, stop},
    };
    assert_int_equal(run(CONTEST_RENEW, "a file", steps, "me* - ").lost, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_owner_creates_the_lease_in_the_name_of_its_pod_and_leaves_it_there),
        cmocka_unit_test(a_renewer_creates_the_lease_and_releases_it_at_its_end),
        cmocka_unit_test(a_pod_that_is_being_deleted_does_not_stand),
        cmocka_unit_test(a_follower_shows_whom_the_watch_names_and_writes_nothing),
        cmocka_unit_test(a_lease_that_a_list_does_not_name_is_read),
        cmocka_unit_test(an_owner_campaigns_when_the_watch_says_that_the_lease_is_gone),
        cmocka_unit_test(a_namespace_that_is_not_there_is_no_lost_election),
        cmocka_unit_test(a_sick_application_does_not_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
