/* Lists in pages, from answers that are played here. That real ones come so is tested with the server (test_transfer.c). */
#include "played.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/watch.h"

struct scene {
    struct kube_list list;
    char told[256]; /* the names of the objects */
    bool done;
    unsigned refuse; /* the object of that number; 0: none */
    size_t n;
};

static bool on_item(struct kube_list *list, json_t *object)
{
    struct scene *s = list->user;
    const char *name = json_string_value(json_object_get(object, "name"));
    size_t n = strlen(s->told);
    if (++s->n == s->refuse) {
        (void)error_set(&list->error, EA_TOO_LARGE, "no more of these");
        list->err = EA_TOO_LARGE;
        return false;
    }
    (void)snprintf(s->told + n, sizeof s->told - n, "%s ", name != NULL ? name : "?");
    return true;
}

static void on_done(struct kube_list *list)
{
    struct scene *s = list->user;
    assert_false(s->done);
    s->done = true;
}

static void start(struct scene *s, struct kube_list list)
{
    *s = (struct scene){.list = list};
    s->list.what = "list things";
    s->list.path = "/things";
    s->list.item = on_item;
    s->list.done = on_done;
    s->list.user = s;
    kube_list_start(NULL, &s->list);
    assert_false(s->done);
    assert_true(played_is_asked());
}

static void expect(const struct scene *s, enum err err, const char *told)
{
    assert_true(s->done);
    assert_int_equal(s->list.err, err);
    assert_string_equal(s->told, told);
    assert_false(played_is_asked());
}

#define PAGE(items, more) "{'items':[" items "],'metadata':{'resourceVersion':'7'" more "}}"
#define A                 "{'name':'a'}"
#define B                 "{'name':'b'}"

static void the_question_says_what_is_wanted(void **state)
{
    static const struct {
        struct kube_list list;
        const char *path;
    } rows[] = {
        {{.page_size = 0}, "/things?limit=100"},
        {{.page_size = 7}, "/things?limit=7"},
        {{.selector = ""}, "/things?limit=100"},
        {{.selector = "app in (a, b)"}, "/things?limit=100&labelSelector=app%20in%20(a,%20b)"},
        {{.field = "metadata.name=x&y"}, "/things?limit=100&fieldSelector=metadata.name=x%26y"},
        {{.selector = "a=b", .field = "c=d"}, "/things?limit=100&labelSelector=a=b&fieldSelector=c=d"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene s;
        start(&s, rows[i].list);
        assert_string_equal(played_path(), rows[i].path);
        played_answer(200, PAGE("", ""), 0);
        expect(&s, EA_OK, "");
    }
}

static void a_list_comes_in_pages_and_is_of_one_version(void **state)
{
    for (size_t pieces = 0; pieces < 5; pieces++) {
        struct scene s;
        start(&s, (struct kube_list){.selector = "a=b"});
        played_answer(200, PAGE(A "," B, ",'continue':'next/1'"), pieces);
        assert_false(s.done);
        assert_string_equal(played_path(), "/things?limit=100&labelSelector=a=b&continue=next%2F1");
        played_answer(200, PAGE("", ",'continue':'next/2'"), pieces); /* empty: it goes on all the same */
        assert_string_equal(played_path(), "/things?limit=100&labelSelector=a=b&continue=next%2F2");
        played_answer(200, PAGE("{'name':'c'}", ",'continue':''"), pieces);
        expect(&s, EA_OK, "a b c ");
        assert_string_equal(s.list.version, "7");
        assert_int_equal(s.list.status, 200);
    }
}

#define TEN      "0123456789"
#define SIXTY    TEN TEN TEN TEN TEN TEN
#define TOO_LONG SIXTY "0123"

static void what_is_wrong_with_a_page_ends_the_list(void **state)
{
    static const struct {
        int status;
        enum err err;
        const char *text;
        const char *error;
    } rows[] = {
        {200, EA_PROTOCOL, "{'items':[" A "]}", "list things: the list has no resourceVersion"},
        {200, EA_PROTOCOL, "{'items':[" A "],'metadata':{'resourceVersion':7}}", "has no resourceVersion"},
        {200, EA_PROTOCOL, "{'items':[" A "],'metadata':{'resourceVersion':'" TOO_LONG "'}}",
         "has no resourceVersion"},
        {200, EA_PROTOCOL, "{'items':[" A "],'metadata':", ""},
        {200, EA_PROTOCOL, "{'items':[" A ",]}", ""},
        {200, EA_PROTOCOL, "[" A "]", ""},
        {200, EA_PROTOCOL, "", ""},
        {200, EA_PROTOCOL, "<html>", ""},
        {0, EA_IO, "{'items':[" A, "list things: the connection broke"},
        {403, EA_DENIED, "things is forbidden: User \"u\" cannot list resource \"things\"",
         "list things: things is forbidden: User \"u\" cannot list resource \"things\""},
        {404, EA_NOT_FOUND, "not found", "list things: not found"},
        {410, EA_UNAVAILABLE, "The provided continue parameter is too old", "too old"},
        {503, EA_UNAVAILABLE, "busy", "list things: busy"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct scene s;
        start(&s, (struct kube_list){.page_size = 0});
        played_answer(rows[i].status, rows[i].text, 0);
        assert_true(s.done);
        if (s.list.err != rows[i].err || s.list.error.code != rows[i].err ||
            strstr(s.list.error.text, rows[i].error) == NULL) {
            fail_msg("row %zu: %d %s", i, (int)s.list.err, s.list.error.text);
        }
        assert_int_equal(s.list.status, rows[i].status);
        assert_false(played_is_asked());
    }
}

static void a_list_that_became_too_old_between_two_pages_says_so(void **state)
{
    struct scene s;
    start(&s, (struct kube_list){.page_size = 1});
    played_answer(200, PAGE(A, ",'continue':'n'"), 0);
    played_answer(410, "The provided continue parameter is too old", 0);
    expect(&s, EA_UNAVAILABLE, "a ");
    assert_int_equal(s.list.status, 410);
}

static void whoever_takes_the_objects_may_end_the_list(void **state)
{
    struct scene s;
    start(&s, (struct kube_list){.page_size = 0});
    s.refuse = 2;
    played_answer(200, PAGE(A "," B "," A, ""), 0);
    assert_true(s.done);
    assert_string_equal(s.told, "a ");
    assert_string_equal(s.list.error.text, "no more of these");
    assert_int_not_equal(s.list.err, EA_OK);
}

static void a_list_without_end_is_refused(void **state)
{
    struct scene s;
    struct buf page = BUF_EMPTY;
    buf_add_str(&page, STR("{'items':[" A));
    for (unsigned i = 1; i < 50000; i++) {
        buf_add_str(&page, STR("," A));
    }
    buf_add_str(&page, STR("],'metadata':{'resourceVersion':'7','continue':'more'}}"));
    buf_add(&page, "", 1);
    start(&s, (struct kube_list){.page_size = 50000});
    played_answer(200, page.p, 0);
    assert_false(s.done);
    played_answer(200, page.p, 0);
    assert_false(s.done); /* as many as are allowed */
    played_answer(200, PAGE(B, ""), 0);
    assert_true(s.done);
    assert_int_equal(s.list.err, EA_TOO_LARGE);
    assert_string_equal(s.list.error.text, "list things: there are more than 100000 objects");
    buf_fini(&page);
}

static void a_list_may_be_cancelled_at_any_page_and_begun_anew(void **state)
{
    struct scene s;
    start(&s, (struct kube_list){.page_size = 0});
    kube_list_cancel(&s.list);
    kube_list_cancel(&s.list); /* harmless */
    assert_false(s.done || played_is_asked());
    start(&s, (struct kube_list){.page_size = 0});
    played_answer(200, PAGE(A, ",'continue':'n'"), 0);
    kube_list_cancel(&s.list);
    assert_false(s.done || played_is_asked());
    kube_list_start(NULL, &s.list); /* from the first page */
    assert_string_equal(played_path(), "/things?limit=100");
    played_answer(200, PAGE(A, ""), 0);
    expect(&s, EA_OK, "a a ");
    kube_list_cancel(&s.list); /* after its end, too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_says_what_is_wanted),
        cmocka_unit_test(a_list_comes_in_pages_and_is_of_one_version),
        cmocka_unit_test(what_is_wrong_with_a_page_ends_the_list),
        cmocka_unit_test(a_list_that_became_too_old_between_two_pages_says_so),
        cmocka_unit_test(whoever_takes_the_objects_may_end_the_list),
        cmocka_unit_test(a_list_without_end_is_refused),
        cmocka_unit_test(a_list_may_be_cancelled_at_any_page_and_begun_anew),
    };
    return cmocka_run_group_tests(tests, played_set_up, played_tear_down);
}
