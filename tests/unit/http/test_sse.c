#include "h1_fixture.h"

#include "http/sse.h"

static void expect_text(const struct sse_event *event, const char *text)
{
    struct buf out = BUF_EMPTY;
    sse_encode(&out, event);
    buf_add(&out, "", 1);
    assert_string_equal(out.p, text);
    buf_fini(&out);
}

static void an_event_has_its_fields_and_ends_in_an_empty_line(void **state)
{
    expect_text(&(struct sse_event){.data = STR("x")}, "data: x\n\n");
    expect_text(&(struct sse_event){.id = STR("7"), .name = STR("elected"), .data = STR("x")},
                "id: 7\nevent: elected\ndata: x\n\n");
}

static void each_line_of_data_is_a_line_of_its_own(void **state)
{
    expect_text(&(struct sse_event){.data = STR("a\nb\r\nc\rd")}, "data: a\ndata: b\ndata: c\ndata: d\n\n");
    expect_text(&(struct sse_event){.data = STR("a\n")}, "data: a\ndata: \n\n");
    expect_text(&(struct sse_event){.data = STR("\r\n\n")}, "data: \ndata: \ndata: \n\n");
}

static void no_data_is_an_empty_line_of_data(void **state)
{
    expect_text(&(struct sse_event){.id = STR("1")}, "id: 1\ndata: \n\n");
    expect_text(&(struct sse_event){.data = STR("")}, "data: \n\n");
}

static void what_looks_like_a_field_stays_data(void **state)
{
    expect_text(&(struct sse_event){.data = STR("id: 9\nevent: x")}, "data: id: 9\ndata: event: x\n\n");
}

/* --- on an exchange --- */

struct record {
    struct exchange ex;
    int status;
    struct buf fields;
    struct buf written;
};

static struct record record;

static void start(struct exchange *ex, int status, const struct http_field *fields, size_t n)
{
    record.status = status;
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&record.fields, fields[i].name);
        buf_add(&record.fields, "=", 1);
        buf_add_str(&record.fields, fields[i].value);
        buf_add(&record.fields, ";", 1);
    }
}

static size_t write_some(struct exchange *ex, struct str bytes)
{
    buf_add_str(&record.written, bytes);
    return record.written.n;
}

static const struct exchange_ops ops = {.start = start, .write = write_some};

static void a_stream_is_not_to_be_cached_or_buffered(void **state)
{
    record = (struct record){.ex = {.ops = &ops}};
    sse_start(&record.ex);
    buf_add(&record.fields, "", 1);
    assert_int_equal(record.status, 200);
    assert_string_equal(record.fields.p,
                        "content-type=text/event-stream;cache-control=no-cache;x-accel-buffering=no;");
    buf_fini(&record.fields);
}

static void writes_say_how_much_waits(void **state)
{
    record = (struct record){.ex = {.ops = &ops, .started = true}};
    assert_int_equal(sse_send(&record.ex, &(struct sse_event){.data = STR("x")}), 9);
    assert_int_equal(sse_keep_awake(&record.ex), 12);
    buf_add(&record.written, "", 1);
    assert_string_equal(record.written.p, "data: x\n\n:\n\n");
    buf_fini(&record.written);
}

static void the_last_id_is_what_the_client_says(void **state)
{
    record = (struct record){.ex = {.ops = &ops}};
    assert_int_equal(sse_last_id(&record.ex).n, 0);
    record.ex.header[HTTP_LAST_EVENT_ID] = STR("42");
    assert_true(str_eq(sse_last_id(&record.ex), STR("42")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_has_its_fields_and_ends_in_an_empty_line),
        cmocka_unit_test(each_line_of_data_is_a_line_of_its_own),
        cmocka_unit_test(no_data_is_an_empty_line_of_data),
        cmocka_unit_test(what_looks_like_a_field_stays_data),
        cmocka_unit_test(a_stream_is_not_to_be_cached_or_buffered),
        cmocka_unit_test(writes_say_how_much_waits),
        cmocka_unit_test(the_last_id_is_what_the_client_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
