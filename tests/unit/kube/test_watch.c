/*
 * Watches, with transfers that are played here: the test gives a recorded stream, broken and split at every byte, and
 * moves the clock.
 */
#include "json.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/internal.h"
#include "kube/watch.h"

#define OBJECT(name, version)      "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"
#define LIST(version, items)       "{\"items\":[" items "],\"metadata\":{\"resourceVersion\":\"" version "\"}}"

static const char two[] = LIST("10", OBJECT("a", "3") "," OBJECT("b", "4"));
static const char stream[] = EVENT("ADDED", "c", "11") EVENT("MODIFIED", "a", "13")
    EVENT("DELETED", "b", "14") EVENT("BOOKMARK", "", "20") EVENT("MODIFIED", "\\u00e9 {]", "21")
        EVENT("NOVELTY", "x", "22") EVENT("ADDED", "d", "23");
static const char told_in_all[] = "L +a +b S +c *a -b *\xc3\xa9 {] +d ";

/* --- transfers that do what the test says --- */

static struct {
    struct loop *loop;
    struct clock_fake clock;
    struct kube_request *request; /* under way; NULL: none */
    char path[KUBE_PATH_BYTES];   /* of the last */
    unsigned sent;
} fake;

void kube_send(struct kube *kube, struct kube_request *request)
{
    assert_null(fake.request);
    assert_true(request->path.n < sizeof fake.path);
    memcpy(fake.path, request->path.p, request->path.n);
    fake.path[request->path.n] = '\0';
    fake.request = request;
    fake.sent++;
    request->transfer = (struct kube_transfer *)(void *)&fake; /* not NULL: it runs */
}

void kube_cancel(struct kube *kube, struct kube_request *request)
{
    if (fake.request == request) {
        fake.request = NULL;
        request->transfer = NULL;
    }
}

struct loop *kube_loop(const struct kube *kube)
{
    return fake.loop;
}

void kube_escape(struct buf *out, struct str s)
{
    buf_add_str(out, s);
}

/* --- the scene --- */

struct scene {
    struct kube_watch *watch;
    char told[512];
};

static void on_event(void *user, enum kube_event event, json_t *object)
{
    static const char marks[] = "L+*-SBR";
    struct scene *s = user;
    const char *name = json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
    size_t n = strlen(s->told);
    (void)snprintf(s->told + n, sizeof s->told - n, "%c%s ", marks[event], name != NULL ? name : "");
}

static void turn(void)
{
    (void)loop_step(fake.loop);
    (void)loop_step(fake.loop);
}

/* Long enough for any pause. */
static void wait(void)
{
    clock_fake_advance_us(&fake.clock, 11000000);
    turn();
}

static void start(struct scene *s)
{
    *s = (struct scene){.watch = NULL};
    fake.sent = 0;
    s->watch = kube_watch_start(
        NULL, &(struct kube_watch_options){
                  .what = "watch things", .path = "/things", .on_event = on_event, .user = s});
    turn();
}

static void stop(struct scene *s)
{
    kube_watch_stop(s->watch);
    assert_null(fake.request);
    turn();
}

/* The head of the answer, and then bytes; false: they were refused. */
static bool give(const char *bytes, size_t n)
{
    assert_non_null(fake.request);
    return fake.request->take(fake.request, str_from(NULL, 0)) &&
           (n == 0 || fake.request->take(fake.request, str_from(bytes, n)));
}

static void finish(enum err err, int status)
{
    struct kube_request *request = fake.request;
    assert_non_null(request);
    fake.request = NULL;
    request->transfer = NULL;
    request->status = status;
    if (request->err == EA_OK && err != EA_OK) {
        request->err = error_set(&request->error, err, "%s: it broke", request->what);
    }
    request->done(request);
    turn();
}

/* A whole answer. */
static void answer(const char *text)
{
    assert_true(give(text, strlen(text)));
    finish(EA_OK, 200);
}

static void expect(const struct scene *s, const char *told, size_t at)
{
    if (strcmp(s->told, told) != 0) {
        fail_msg("at byte %zu: \"%s\", not \"%s\"", at, s->told, told);
    }
}

static void expect_path(const char *what)
{
    if (strstr(fake.path, what) == NULL) {
        fail_msg("%s has no %s", fake.path, what);
    }
}

/* Without the events that say that nothing is heard, and that it is again. */
static void drop_trouble(char *told)
{
    static const char *const marks[] = {"B ", "R "};
    for (size_t i = 0; i < ARRAY_LENGTH(marks); i++) {
        char *at;
        while ((at = strstr(told, marks[i])) != NULL) {
            memmove(at, at + 2, strlen(at + 2) + 1);
        }
    }
}

/* What the API server would send to a watch from the version in the path: what is behind that event. */
static const char *rest_of_stream(void)
{
    const char *version = strstr(fake.path, "resourceVersion=") + strlen("resourceVersion=");
    char mark[64];
    (void)snprintf(mark, sizeof mark, "\"resourceVersion\":\"%s\"", version);
    const char *event = strstr(stream, mark);
    return event != NULL ? strchr(event, '\n') + 1 : stream;
}

/* --- tests --- */

static void a_watch_tells_what_is_there_and_what_changes(void **state)
{
    struct scene s;
    start(&s);
    expect_path("/things?limit=");
    answer(two);
    expect_path("watch=1&allowWatchBookmarks=true");
    expect_path("&resourceVersion=10");
    assert_false(kube_watch_is_live(s.watch));
    assert_true(give(stream, strlen(stream)));
    assert_true(kube_watch_is_live(s.watch));
    turn();
    expect(&s, told_in_all, 0);
    clock_fake_advance_us(&fake.clock, 300000000);
    turn();
    finish(EA_OK, 200);                /* the server ends it after a while */
    expect_path("resourceVersion=23"); /* and it goes on where it ended, at once */
    expect(&s, told_in_all, 0);
    stop(&s);
}

static void a_stream_that_breaks_at_any_byte_tells_everything_once(void **state)
{
    for (size_t cut = 0; cut <= strlen(stream); cut++) {
        struct scene s;
        start(&s);
        answer(two);
        assert_true(give(stream, cut));
        if (cut % 2 == 0) {
            turn(); /* what has come is told before it breaks; else both are one turn */
        }
        finish(cut % 3 == 0 ? EA_OK : EA_IO, 200);
        wait();
        const char *rest = rest_of_stream();
        assert_true((size_t)(rest - stream) <= cut);
        assert_true(give(rest, strlen(rest)));
        turn();
        drop_trouble(s.told);
        expect(&s, told_in_all, cut);
        assert_int_equal(fake.sent, 3); /* one list, two streams */
        stop(&s);
    }
}

static void a_stream_may_arrive_in_any_two_pieces(void **state)
{
    for (size_t cut = 0; cut <= strlen(stream); cut++) {
        struct scene s;
        start(&s);
        answer(two);
        assert_true(give(stream, cut));
        turn();
        assert_true(give(stream + cut, strlen(stream) - cut));
        turn();
        expect(&s, told_in_all, cut);
        stop(&s);
    }
}

static void a_stream_may_arrive_byte_by_byte(void **state)
{
    struct scene s;
    start(&s);
    answer(two);
    for (size_t i = 0; i < strlen(stream); i++) {
        assert_true(give(stream + i, 1));
        turn();
    }
    expect(&s, told_in_all, 0);
    stop(&s);
}

static void a_list_that_breaks_at_any_byte_is_begun_anew(void **state)
{
    for (size_t cut = 0; cut < strlen(two); cut++) {
        struct scene s;
        start(&s);
        assert_true(give(two, cut));
        finish(cut % 2 == 0 ? EA_IO : EA_OK, 200); /* an answer that is too short is none either */
        assert_non_null(kube_watch_error(s.watch));
        assert_true(kube_watch_error(s.watch)->text[0] != '\0');
        wait();
        expect_path("/things?limit=");
        answer(two);
        char *last = strrchr(s.told, 'L');
        assert_string_equal(last, "L +a +b S ");
        assert_int_equal(kube_watch_error(s.watch)->text[0], '\0');
        stop(&s);
    }
}

static void a_version_that_is_gone_lists_again(void **state)
{
    static const char gone[] =
        EVENT("ADDED", "c", "11") "{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old\"}}\n";
    for (unsigned how = 0; how < 2; how++) { /* inside the stream, or instead of it */
        struct scene s;
        start(&s);
        answer(two);
        if (how == 0) {
            assert_true(give(gone, strlen(gone)));
            turn();
        } else {
            finish(EA_UNAVAILABLE, 410);
        }
        expect_path("/things?limit="); /* at once */
        answer(LIST("30", OBJECT("c", "11")));
        expect(&s, how == 0 ? "L +a +b S +c L +c S " : "L +a +b S L +c S ", how);
        expect_path("resourceVersion=30");
        stop(&s);
    }
}

/* Or a server that is confused would be asked without end. */
static void who_is_gone_again_and_again_is_asked_more_slowly(void **state)
{
    struct scene s;
    start(&s);
    for (unsigned i = 0; i < 10; i++) {
        if (fake.request != NULL && strstr(fake.path, "limit=") != NULL) {
            answer(two);
        }
        if (fake.request != NULL) {
            finish(EA_UNAVAILABLE, 410);
        }
        turn();
    }
    assert_null(fake.request); /* it waits */
    unsigned sent = fake.sent;
    wait();
    assert_int_equal(fake.sent, sent + 1);
    stop(&s);
}

static void nonsense_in_a_stream_breaks_it_and_it_is_opened_anew(void **state)
{
    static const char *const rows[] = {
        "nonsense\n",
        "{}\n",
        "[]\n",
        "{\"type\":\"ADDED\"}\n",
        "{\"type\":\"ADDED\",\"object\":7}\n",
        "{\"type\":1,\"object\":{}}\n",
        "{\"type\":\"ADDED\",\"object\":{}}\n",
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":7}}}\n",
        "{\"type\":\"ADDED\",\"type\":\"ADDED\",\"object\":{}}\n",
        "{\"type\":\"ERROR\",\"object\":{\"code\":500}}\n",
        "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"etcd is away\"}}\n",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene s;
        start(&s);
        answer(two);
        assert_true(give(rows[i], strlen(rows[i])));
        turn();
        expect(&s, "L +a +b S B ", i);
        assert_null(fake.request);
        assert_true(kube_watch_error(s.watch)->text[0] != '\0');
        wait();
        expect_path("resourceVersion=10");
        assert_true(give("", 0));
        turn();
        expect(&s, "L +a +b S B R ", i);
        stop(&s);
    }
}

static void an_event_without_end_is_refused(void **state)
{
    struct scene s;
    char *filler = mem_alloc(KUBE_ITEM_BYTES_MAX);
    memset(filler, ' ', KUBE_ITEM_BYTES_MAX);
    start(&s);
    answer(two);
    assert_true(give(filler, KUBE_ITEM_BYTES_MAX));
    turn();
    assert_true(give(filler, KUBE_ITEM_BYTES_MAX));
    turn();
    assert_false(give(filler, 1));
    finish(EA_TOO_LARGE, 200);
    expect(&s, "L +a +b S B ", 0);
    assert_non_null(strstr(kube_watch_error(s.watch)->text, "an event has more than"));
    stop(&s);
    mem_free(filler);
}

static int set_up(void **state)
{
    log_set_level(LOG_FATAL);
    clock_fake_init(&fake.clock);
    return loop_new(&fake.loop, &(struct loop_options){.clock = &fake.clock.clock, .seed = 1}, NULL) == EA_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    loop_free(fake.loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_watch_tells_what_is_there_and_what_changes),
        cmocka_unit_test(a_stream_that_breaks_at_any_byte_tells_everything_once),
        cmocka_unit_test(a_stream_may_arrive_in_any_two_pieces),
        cmocka_unit_test(a_stream_may_arrive_byte_by_byte),
        cmocka_unit_test(a_list_that_breaks_at_any_byte_is_begun_anew),
        cmocka_unit_test(a_version_that_is_gone_lists_again),
        cmocka_unit_test(who_is_gone_again_and_again_is_asked_more_slowly),
        cmocka_unit_test(nonsense_in_a_stream_breaks_it_and_it_is_opened_anew),
        cmocka_unit_test(an_event_without_end_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
