/* The contract of a stream, one table of tests for every kind: sockets, memory, TLS. The clock is the test's.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/loop_private.h"
#include "net/output.h"

struct fixture {
    enum kind kind;
    struct clock_fake clock;
    struct loop *loop;
    struct end a; /* the client where it matters */
    struct end b;
    struct stream *unstarted[2];
};

static struct certificates certificates;
static struct tls_context *client_context;
static struct tls_context *server_context;

static int setup_group(void **state)
{
    struct tls_options server = {.server = true};
    struct tls_options client = {.server = false};

    certificates_make(&certificates);
    server.cert_file = certificates.server;
    server.key_file = certificates.server_key;
    client.ca_file = certificates.ca;
    assert_int_equal(tls_context_new(&server_context, &server, NULL), EA_OK);
    assert_int_equal(tls_context_new(&client_context, &client, NULL), EA_OK);
    return 0;
}

static int teardown_group(void **state)
{
    tls_context_release(client_context);
    tls_context_release(server_context);
    certificates_remove(&certificates);
    return 0;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct loop_options options = {.seed = 7};

    f->kind = *(const enum kind *)*state;
    clock_fake_init(&f->clock);
    options.clock = &f->clock.clock;
    assert_int_equal(loop_new(&f->loop, &options, NULL), EA_OK);
    pair_make(f->loop, f->kind, client_context, server_context, &f->unstarted[0], &f->unstarted[1]);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct end *ends[] = {&f->a, &f->b};

    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->stream != NULL) {
            end_abort(ends[i]);
        }
    }
    settle(f->loop);
    loop_free(f->loop); /* asserts that no handle and no chunk is left */
    for (size_t i = 0; i < 2; i++) {
        buf_fini(&ends[i]->got);
    }
    free(f);
    return 0;
}

static void close_now(struct end *end)
{
    end_close(end);
}

static void start_both(struct fixture *f)
{
    end_start(&f->a, f->unstarted[0]);
    end_start(&f->b, f->unstarted[1]);
}

static void advance_ms(struct fixture *f, int64_t ms)
{
    settle(f->loop);
    clock_fake_advance_us(&f->clock, ms * 1000);
    settle(f->loop);
}

static void assert_pattern(const struct buf *got, size_t n)
{
    assert_int_equal(got->n, n);
    for (size_t i = 0; i < n; i++) {
        if ((uint8_t)got->p[i] != pattern(i)) {
            fail_msg("byte %zu is wrong", i);
        }
    }
}

static void write_pattern(struct end *end, size_t n)
{
    uint8_t *bytes = malloc(n);

    pattern_fill(bytes, 0, n);
    end_write(end, bytes, n);
    free(bytes);
}

/* --- bytes --- */

static void what_is_written_arrives_both_ways(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    end_write(&f->a, "question", 8);
    STEP_UNTIL(f->loop, f->b.got.n == 8);
    assert_memory_equal(f->b.got.p, "question", 8);
    end_write(&f->b, "answer", 6);
    STEP_UNTIL(f->loop, f->a.got.n == 6);
    assert_memory_equal(f->a.got.p, "answer", 6);
    assert_int_equal(stream_backlog(f->a.stream), 0);
}

static void echo(struct end *end, const uint8_t *bytes, size_t n)
{
    end_write(end, bytes, n);
}

static void many_turns_of_question_and_answer(void **state)
{
    struct fixture *f = *state;

    f->b.do_data = echo;
    start_both(f);
    for (size_t i = 0; i < 200; i++) {
        uint8_t bytes[100];

        pattern_fill(bytes, i * sizeof bytes, sizeof bytes);
        end_write(&f->a, bytes, sizeof bytes);
        STEP_UNTIL(f->loop, f->a.got.n == (i + 1) * sizeof bytes);
    }
    assert_pattern(&f->a.got, (size_t)200 * 100);
}

static void reserved_room_is_contiguous_up_to_a_chunk(void **state)
{
    struct fixture *f = *state;
    size_t at = 0;
    size_t room;

    start_both(f);
    for (size_t n = 1; n <= LOOP_CHUNK_BYTES; n = n * 2 + (n == 8192 ? 0 : 1)) {
        uint8_t *p = stream_reserve(f->a.stream, n, &room);

        assert_true(room >= n);
        pattern_fill(p, at, n);
        stream_commit(f->a.stream, n);
        at += n;
    }
    (void)stream_reserve(f->a.stream, LOOP_CHUNK_BYTES, &room);
    assert_true(room >= LOOP_CHUNK_BYTES);
    STEP_UNTIL(f->loop, f->b.got.n == at);
    assert_pattern(&f->b.got, at);
}

static void an_idle_stream_holds_no_chunk(void **state)
{
    struct fixture *f = *state;
    size_t room;

    start_both(f);
    write_pattern(&f->a, 100000);
    STEP_UNTIL(f->loop, f->b.got.n == 100000);
    (void)stream_reserve(f->b.stream, 10, &room); /* and not used */
    settle(f->loop);
    assert_int_equal(loop_chunks(f->loop)->lent, 0);
}

/* --- flow --- */

#define BIG ((size_t)4 * 1024 * 1024)

struct producer {
    size_t made;
    size_t highest;
};

static void produce(struct end *end)
{
    struct producer *producer = end->user;
    uint8_t bytes[5000];

    while (producer->made < BIG && stream_backlog(end->stream) <= STREAM_HIGH_BYTES) {
        size_t n = BIG - producer->made < sizeof bytes ? BIG - producer->made : sizeof bytes;

        pattern_fill(bytes, producer->made, n);
        end_write(end, bytes, n);
        producer->made += n;
    }
    if (stream_backlog(end->stream) > producer->highest) {
        producer->highest = stream_backlog(end->stream);
    }
}

static void pause_now(struct end *end, const uint8_t *bytes, size_t n)
{
    stream_pause(end->stream);
}

static void a_big_transfer_to_a_slow_reader_is_whole_and_bounded(void **state)
{
    struct fixture *f = *state;
    struct producer producer = {0, 0};
    size_t most_chunks = 0;
    unsigned steps = 0;

    f->a.user = &producer;
    f->a.do_drain = produce;
    f->b.do_data = pause_now;
    start_both(f);
    produce(&f->a);
    while (f->b.got.n < BIG) {
        (void)loop_step(f->loop);
        most_chunks = loop_chunks(f->loop)->lent > most_chunks ? loop_chunks(f->loop)->lent : most_chunks;
        if (steps++ % 3 == 0) {
            stream_resume(f->b.stream);
        }
        assert_true(steps < 20000000);
    }
    assert_pattern(&f->b.got, BIG);
    assert_true(f->a.drains > 10);
    assert_true(producer.highest <= STREAM_HIGH_BYTES + 6000);
    /* Both sides' output, ciphertext, and what is held or in flight. */
    assert_true(most_chunks <= 40);
}

static void nothing_arrives_while_paused(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    end_write(&f->a, "x", 1);
    STEP_UNTIL(f->loop, f->b.got.n == 1);
    stream_pause(f->b.stream);
    write_pattern(&f->a, 50000);
    settle(f->loop);
    assert_int_equal(f->b.got.n, 1);
    stream_resume(f->b.stream);
    assert_int_equal(f->b.got.n, 1); /* not inside of resume */
    STEP_UNTIL(f->loop, f->b.got.n == 50001);
}

static void paused_by_its_own_data_a_stream_gets_the_rest_later(void **state)
{
    struct fixture *f = *state;
    unsigned before;

    f->b.do_data = pause_now;
    start_both(f);
    write_pattern(&f->a, 200000);
    STEP_UNTIL(f->loop, f->b.datas == 1);
    settle(f->loop);
    assert_int_equal(f->b.datas, 1);
    while (f->b.got.n < 200000) {
        before = f->b.datas;
        stream_resume(f->b.stream);
        STEP_UNTIL(f->loop, f->b.datas > before);
        assert_int_equal(f->b.datas, before + 1);
    }
    assert_pattern(&f->b.got, 200000);
}

static void paused_and_resumed_in_one_callback_nothing_is_lost(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    for (size_t i = 0; i < 20; i++) {
        stream_pause(f->b.stream);
        end_write(&f->a, "abc", 3);
        (void)loop_step(f->loop);
        stream_resume(f->b.stream);
        stream_pause(f->b.stream);
        stream_resume(f->b.stream);
    }
    STEP_UNTIL(f->loop, f->b.got.n == 60);
}

static void say_hello(struct end *end)
{
    end_write(end, "hello", 5);
}

static void flush_comes_once_at_the_turns_end_and_its_output_goes_with_it(void **state)
{
    struct fixture *f = *state;

    f->a.do_flush = say_hello;
    start_both(f);
    stream_flush_later(f->a.stream);
    stream_flush_later(f->a.stream);
    assert_int_equal(f->a.flushes, 0);
    STEP_UNTIL(f->loop, f->b.got.n == 5);
    settle(f->loop);
    assert_int_equal(f->a.flushes, 1);
    assert_int_equal(f->b.got.n, 5);
}

/* --- ends --- */

/* Unix sockets know no reset: there an abort looks like an end, and b answers it. */
static void start_both_for_abort(struct fixture *f)
{
    f->b.do_end = f->kind == KIND_UNIX ? close_now : NULL;
    start_both(f);
}

static void close_delivers_everything_first(void **state)
{
    struct fixture *f = *state;

    f->b.do_end = close_now;
    start_both(f);
    write_pattern(&f->a, 1000000);
    end_close(&f->a);
    end_write(&f->a, "thrown away", 11);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_pattern(&f->b.got, 1000000);
    assert_int_equal(f->b.ends, 1);
    assert_int_equal(f->a.why, EA_OK);
    assert_int_equal(f->b.why, EA_OK);
}

static void without_on_end_a_stream_closes_when_the_peer_has_ended(void **state)
{
    struct fixture *f = *state;

    end_start(&f->a, f->unstarted[0]);
    end_start_without_end(&f->b, f->unstarted[1]);
    write_pattern(&f->a, 10);
    STEP_UNTIL(f->loop, f->b.got.n == 10);
    end_close(&f->a);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->a.why, EA_OK);
    assert_int_equal(f->b.why, EA_CLOSED);
}

static void a_peer_that_does_not_end_is_left_after_the_linger_time(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    write_pattern(&f->a, 10);
    STEP_UNTIL(f->loop, f->b.got.n == 10);
    end_close(&f->a);
    STEP_UNTIL(f->loop, f->b.ends == 1);
    advance_ms(f, STREAM_LINGER_MS - 1);
    assert_int_equal(f->a.closes, 0);
    advance_ms(f, 1);
    assert_int_equal(f->a.closes, 1);
    assert_int_equal(f->a.why, EA_OK);
}

static void a_peer_that_takes_nothing_is_cut_off_after_close(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    write_pattern(&f->a, 10);
    STEP_UNTIL(f->loop, f->b.got.n == 10);
    stream_pause(f->b.stream);
    write_pattern(&f->a, 16000000);
    end_close(&f->a);
    settle(f->loop);
    assert_true(stream_backlog(f->a.stream) > 0);
    for (unsigned s = 0; s < 25 && f->a.closes == 0; s++) {
        advance_ms(f, 1000);
    }
    assert_int_equal(f->a.closes, 1);
    assert_int_equal(f->a.why, EA_TIMEOUT);
}

static void both_close_at_once(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    end_write(&f->a, "x", 1);
    STEP_UNTIL(f->loop, f->b.got.n == 1);
    end_close(&f->a);
    end_close(&f->b);
    end_close(&f->b); /* harmless */
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->a.why, EA_OK);
    assert_int_equal(f->b.why, EA_OK);
}

static void input_after_close_is_read_and_thrown_away(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    end_write(&f->a, "x", 1);
    STEP_UNTIL(f->loop, f->b.got.n == 1);
    stream_pause(f->b.stream);
    end_close(&f->b);
    write_pattern(&f->a, 300000);
    settle(f->loop);
    end_close(&f->a);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->b.got.n, 1);
    assert_int_equal(f->b.why, EA_OK);
}

static void abort_ends_both_sides_at_once(void **state)
{
    struct fixture *f = *state;

    start_both_for_abort(f);
    write_pattern(&f->a, 10);
    STEP_UNTIL(f->loop, f->b.got.n == 10);
    end_abort(&f->a);
    end_abort(&f->a); /* harmless */
    end_close(&f->a);
    end_write(&f->a, "thrown away", 11);
    assert_int_equal(f->a.closes, 0);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->a.why, EA_OK);
    assert_int_equal(f->b.why, f->kind == KIND_UNIX ? EA_OK : EA_CLOSED);
}

static void abort_hurries_a_close(void **state)
{
    struct fixture *f = *state;

    start_both(f);
    write_pattern(&f->a, 10);
    STEP_UNTIL(f->loop, f->b.got.n == 10);
    stream_pause(f->b.stream);
    write_pattern(&f->a, 16000000);
    end_close(&f->a);
    settle(f->loop);
    assert_int_equal(f->a.closes, 0);
    end_abort(&f->a);
    STEP_UNTIL(f->loop, f->a.closes == 1);
}

/* --- closing in the middle of a callback --- */

static void close_in_data(struct end *end, const uint8_t *bytes, size_t n)
{
    end_write(end, "bye", 3);
    end_close(end);
}

static void abort_in_data(struct end *end, const uint8_t *bytes, size_t n)
{
    end_abort(end);
}

static void abort_now(struct end *end)
{
    end_abort(end);
}

static void write_and_close(struct end *end)
{
    end_write(end, "bye", 3);
    end_close(end);
}

static void closed_in_on_data_the_answer_still_goes_out(void **state)
{
    struct fixture *f = *state;

    f->b.do_data = close_in_data;
    end_start_without_end(&f->a, f->unstarted[0]);
    end_start(&f->b, f->unstarted[1]);
    write_pattern(&f->a, 100000);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->b.datas, 1);
    assert_int_equal(f->a.got.n, 3);
}

static void aborted_in_on_data(void **state)
{
    struct fixture *f = *state;

    f->b.do_data = abort_in_data;
    start_both(f);
    write_pattern(&f->a, 100000);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->b.datas, 1);
    assert_int_equal(f->a.why, EA_CLOSED);
}

static void aborted_in_on_flush(void **state)
{
    struct fixture *f = *state;

    f->a.do_flush = abort_now;
    start_both_for_abort(f);
    stream_flush_later(f->a.stream);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
}

static void closed_in_on_flush_the_answer_still_goes_out(void **state)
{
    struct fixture *f = *state;

    f->a.do_flush = write_and_close;
    f->b.do_end = close_now;
    start_both(f);
    stream_flush_later(f->a.stream);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->b.got.n, 3);
}

static void aborted_in_on_end(void **state)
{
    struct fixture *f = *state;

    f->b.do_end = abort_now;
    start_both(f);
    end_write(&f->a, "x", 1);
    STEP_UNTIL(f->loop, f->b.got.n == 1);
    end_close(&f->a);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->b.why, EA_OK);
}

static void aborted_or_closed_in_on_drain(void **state)
{
    struct fixture *f = *state;

    f->a.do_drain = (unsigned)f->kind % 2 == 0 ? abort_now : close_now;
    f->b.do_end = close_now;
    start_both(f);
    write_pattern(&f->a, 3 * STREAM_HIGH_BYTES);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->a.drains, 1);
}

static void write_and_abort(struct end *end)
{
    end_write(end, "late", 4); /* queues the stream for the next turn, which it does not live to see */
    end_abort(end);
}

static void written_and_aborted_in_on_drain(void **state)
{
    struct fixture *f = *state;

    f->a.do_drain = write_and_abort;
    f->b.do_end = close_now;
    start_both(f);
    /* So much that a socket drains after a poll has said so: then it is still queued when libuv lets go. */
    write_pattern(&f->a, f->kind == KIND_TCP || f->kind == KIND_UNIX ? 16000000 : 3 * STREAM_HIGH_BYTES);
    STEP_UNTIL(f->loop, f->a.closes == 1 && f->b.closes == 1);
    assert_int_equal(f->a.drains, 1);
    assert_int_equal(f->a.why, EA_OK);
}

static void streams_that_were_never_started_can_be_closed_or_aborted(void **state)
{
    struct fixture *f = *state;

    stream_close(f->unstarted[0]);
    stream_abort(f->unstarted[1]);
    settle(f->loop);
}

static void facts_are_told(void **state)
{
    static const char *const prefixes[KINDS] = {
        [KIND_TCP] = "127.0.0.1:",          [KIND_UNIX] = "unix",
        [KIND_MEMORY] = "memory",           [KIND_MEMORY_IN_PIECES] = "memory",
        [KIND_TLS_OVER_MEMORY] = "memory",  [KIND_TLS_IN_PIECES] = "memory",
        [KIND_TLS_OVER_TCP] = "127.0.0.1:",
    };
    struct fixture *f = *state;
    char peer[64];
    char tiny[3];
    size_t n;

    start_both(f);
    n = stream_peer(f->a.stream, peer, sizeof peer);
    assert_int_equal(n, strlen(peer));
    assert_memory_equal(peer, prefixes[f->kind], strlen(prefixes[f->kind]));
    assert_int_equal(stream_peer(f->a.stream, tiny, sizeof tiny), 2);
    assert_int_equal(stream_is_tls(f->a.stream), kind_is_tls(f->kind));
    assert_int_equal(stream_alpn(f->a.stream).n, 0);
}

#define T(name)     \
    {               \
#name, name \
    }
static const struct {
    const char *name;
    CMUnitTestFunction function;
} table[] = {
    T(what_is_written_arrives_both_ways),
    T(many_turns_of_question_and_answer),
    T(reserved_room_is_contiguous_up_to_a_chunk),
    T(an_idle_stream_holds_no_chunk),
    T(a_big_transfer_to_a_slow_reader_is_whole_and_bounded),
    T(nothing_arrives_while_paused),
    T(paused_by_its_own_data_a_stream_gets_the_rest_later),
    T(paused_and_resumed_in_one_callback_nothing_is_lost),
    T(flush_comes_once_at_the_turns_end_and_its_output_goes_with_it),
    T(close_delivers_everything_first),
    T(without_on_end_a_stream_closes_when_the_peer_has_ended),
    T(a_peer_that_does_not_end_is_left_after_the_linger_time),
    T(a_peer_that_takes_nothing_is_cut_off_after_close),
    T(both_close_at_once),
    T(input_after_close_is_read_and_thrown_away),
    T(abort_ends_both_sides_at_once),
    T(abort_hurries_a_close),
    T(closed_in_on_data_the_answer_still_goes_out),
    T(aborted_in_on_data),
    T(aborted_in_on_flush),
    T(closed_in_on_flush_the_answer_still_goes_out),
    T(aborted_in_on_end),
    T(aborted_or_closed_in_on_drain),
    T(written_and_aborted_in_on_drain),
    T(streams_that_were_never_started_can_be_closed_or_aborted),
    T(facts_are_told),
};
#undef T

int main(void)
{
    enum { TESTS = KINDS * ARRAY_LENGTH(table) };
    static struct CMUnitTest tests[TESTS];
    static char names[TESTS][128];
    static enum kind kinds[KINDS];

    for (size_t i = 0; i < TESTS; i++) {
        enum kind kind = (enum kind)(i / ARRAY_LENGTH(table));

        kinds[kind] = kind;
        (void)snprintf(names[i], sizeof names[i], "%s: %s", kind_names[kind],
                       table[i % ARRAY_LENGTH(table)].name);
        tests[i] = (struct CMUnitTest){names[i], table[i % ARRAY_LENGTH(table)].function, setup, teardown,
                                       &kinds[kind]};
    }
    return cmocka_run_group_tests(tests, setup_group, teardown_group);
}
