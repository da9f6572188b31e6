/* What is the in-memory streams' own; what they share with the others is in test_stream.c. */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "net/memstream.h"

struct fixture {
    struct clock_fake clock;
    struct loop *loop;
    struct end a;
    struct end b;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};

    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    end_abort(&f->a);
    end_abort(&f->b);
    settle(f->loop);
    loop_free(f->loop);
    buf_fini(&f->a.got);
    buf_fini(&f->b.got);
    free(f);
    return 0;
}

static void meet(struct fixture *f, size_t capacity, size_t fragment)
{
    const struct memstream_options options = {.capacity = capacity, .fragment = fragment};
    struct stream *a;
    struct stream *b;

    memstream_pair(f->loop, &options, &a, &b);
    end_start(&f->a, a);
    end_start(&f->b, b);
    settle(f->loop);
}

static void bytes_arrive_in_the_next_turn(void **state)
{
    struct fixture *f = *state;

    meet(f, 0, 0);
    end_write(&f->a, "x", 1);
    assert_int_equal(f->b.got.n, 0);
    (void)loop_step(f->loop); /* written before the poll, so that it can arrive after it */
    (void)loop_step(f->loop);
    assert_int_equal(f->b.got.n, 1);
}

static void pieces_are_at_most_as_long_as_asked_for(void **state)
{
    struct fixture *f = *state;

    meet(f, 0, 3);
    end_write(&f->a, "0123456789", 10);
    settle(f->loop);
    assert_int_equal(f->b.got.n, 10);
    assert_int_equal(f->b.datas, 4);
    assert_memory_equal(f->b.got.p, "0123456789", 10);
}

static void over_its_capacity_the_backlog_grows(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[5000] = {0};

    meet(f, 1000, 0);
    stream_pause(f->b.stream);
    end_write(&f->a, bytes, sizeof bytes);
    settle(f->loop);
    assert_int_equal(stream_backlog(f->a.stream), 4000);
    stream_resume(f->b.stream);
    settle(f->loop);
    assert_int_equal(stream_backlog(f->a.stream), 0);
    assert_int_equal(f->b.got.n, 5000);
}

static void without_a_limit_there_is_no_backlog(void **state)
{
    struct fixture *f = *state;
    static uint8_t bytes[1000000];

    meet(f, 0, 0);
    stream_pause(f->b.stream);
    end_write(&f->a, bytes, sizeof bytes);
    settle(f->loop);
    assert_int_equal(stream_backlog(f->a.stream), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        T(bytes_arrive_in_the_next_turn),
        T(pieces_are_at_most_as_long_as_asked_for),
        T(over_its_capacity_the_backlog_grows),
        T(without_a_limit_there_is_no_backlog),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
