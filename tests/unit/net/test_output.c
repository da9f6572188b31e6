#include "support.h"

#include <string.h>

#include "net/loop_private.h"
#include "net/output.h"

static struct loop *loop;

static int setup(void **state)
{
    struct loop_options options = {.seed = 7};

    return loop_new(&loop, &options, NULL) == EA_OK ? 0 : -1;
}

static int teardown(void **state)
{
    loop_free(loop);
    return 0;
}

static size_t peek_all(const struct output *out, uint8_t *to)
{
    struct iovec pieces[64];
    size_t n;
    size_t at = 0;
    unsigned count = output_peek(out, pieces, ARRAY_LENGTH(pieces), &n);

    for (unsigned i = 0; i < count; i++) {
        memcpy(to + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    assert_int_equal(at, n);
    return n;
}

static void bytes_come_out_as_they_went_in_however_they_are_cut(void **state)
{
    enum { TOTAL = 40000 };
    static uint8_t all[TOTAL];
    static uint8_t seen[TOTAL];

    pattern_fill(all, 0, TOTAL);
    for (size_t in = 1; in < 40000; in = in * 3 + 1) {
        for (size_t away = 1; away < 40000; away = away * 5 + 2) {
            struct output out = {NULL, NULL, 0};
            size_t written = 0;
            size_t taken = 0;

            while (taken < TOTAL) {
                size_t n = TOTAL - written < in ? TOTAL - written : in;
                size_t waiting;

                output_write(&out, loop, all + written, n);
                written += n;
                waiting = peek_all(&out, seen);
                assert_int_equal(waiting, out.bytes);
                assert_memory_equal(seen, all + taken, waiting);
                n = waiting < away ? waiting : away;
                n = waiting > TOTAL / 2 ? waiting : n; /* chunks stay within what peek_all() looks at */
                output_consume(&out, loop, n);
                taken += n;
            }
            assert_int_equal(out.bytes, 0);
            assert_int_equal(loop_chunks(loop)->lent, 0);
        }
    }
}

static void a_reservation_that_does_not_fit_begins_a_chunk(void **state)
{
    struct output out = {NULL, NULL, 0};
    size_t room;
    uint8_t *first = output_reserve(&out, loop, 1, &room);

    assert_int_equal(room, LOOP_CHUNK_BYTES);
    output_commit(&out, LOOP_CHUNK_BYTES - 10);
    assert_ptr_equal(output_reserve(&out, loop, 10, &room), first + LOOP_CHUNK_BYTES - 10);
    assert_int_equal(room, 10);
    (void)output_reserve(&out, loop, 11, &room);
    assert_int_equal(room, LOOP_CHUNK_BYTES);
    assert_int_equal(loop_chunks(loop)->lent, 2);
    output_clear(&out, loop);
    assert_int_equal(loop_chunks(loop)->lent, 0);
}

static void trimming_gives_back_what_was_not_needed_since_the_last_time(void **state)
{
    struct chunk_pool pool = {0};
    struct chunk *chunks[40];

    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++) {
        chunks[i] = chunk_pool_get(&pool);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++) {
        chunk_pool_put(&pool, chunks[i]);
    }
    assert_true(chunk_pool_trim(&pool)); /* all were needed in this time */
    assert_int_equal(pool.n, 40);
    for (size_t i = 0; i < 15; i++) {
        chunks[i] = chunk_pool_get(&pool);
    }
    for (size_t i = 0; i < 15; i++) {
        chunk_pool_put(&pool, chunks[i]);
    }
    assert_true(chunk_pool_trim(&pool)); /* only 15 were */
    assert_int_equal(pool.n, 15);
    assert_false(chunk_pool_trim(&pool));
    assert_int_equal(pool.n, CHUNK_POOL_KEEP);
    chunk_pool_fini(&pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_come_out_as_they_went_in_however_they_are_cut),
        cmocka_unit_test(a_reservation_that_does_not_fit_begins_a_chunk),
        cmocka_unit_test(trimming_gives_back_what_was_not_needed_since_the_last_time),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
