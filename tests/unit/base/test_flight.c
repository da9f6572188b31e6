#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/flight.h"
#include "base/mem.h"
#include "helpers.h"

static void dump(struct buf *out)
{
    buf_clear(out);
    flight_dump(out);
    *buf_reserve(out, 1) = '\0';
}

static size_t lines(const struct buf *text)
{
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++) {
        n += text->p[i] == '\n';
    }
    return n;
}

static void records_come_out_oldest_first(void **state)
{
    struct buf out = BUF_EMPTY;
    dump(&out);
    assert_int_equal(out.n, 0);
    flight_note((struct mono){12000345}, "opened", 1, 2);
    flight_note((struct mono){-5}, "closed", UINT64_MAX, 0);
    dump(&out);
    assert_string_equal(out.p, "12.000345 opened 1 2\n0.000000 closed 18446744073709551615 0\n");
    buf_fini(&out);
}

static void only_the_last_records_are_kept(void **state)
{
    struct buf out = BUF_EMPTY;
    for (uint64_t i = 0; i < 2 * FLIGHT_RECORDS + 10; i++) {
        flight_note((struct mono){1000000}, "turn", i, 0);
    }
    dump(&out);
    assert_int_equal(lines(&out), FLIGHT_RECORDS);
    char first[64];
    snprintf(first, sizeof first, "1.000000 turn %d 0\n", FLIGHT_RECORDS + 10);
    assert_memory_equal(out.p, first, strlen(first));
    buf_fini(&out);
}

static void the_longest_record_fits_its_line(void **state)
{
    struct buf out = BUF_EMPTY;
    flight_note((struct mono){INT64_MAX},
                "a text that is much longer than any sensible event's name, so that it has to be cut "
                "somewhere near its end",
                UINT64_MAX, UINT64_MAX);
    dump(&out);
    const char *last = strstr(out.p, "9223372036854.775807 a text");
    assert_non_null(last);
    assert_true(strlen(last) <= FLIGHT_LINE_BYTES);
    assert_non_null(strstr(last, " 18446744073709551615 18446744073709551615\n"));
    buf_fini(&out);
}

static void the_dump_to_a_descriptor_is_the_same(void **state)
{
    struct buf expected = BUF_EMPTY;
    FILE *file = tmpfile();
    assert_non_null(file);
    dump(&expected);
    flight_dump_fd(fileno(file));
    char *got = mem_zalloc(expected.n + 1);
    rewind(file);
    assert_int_equal(fread(got, 1, expected.n + 1, file), expected.n);
    assert_memory_equal(got, expected.p, expected.n);
    mem_free(got);
    fclose(file);
    buf_fini(&expected);
}

static void *note_many(void *arg)
{
    for (uint64_t i = 0; i < 50000; i++) {
        flight_note((struct mono){7}, "thread", i, i);
    }
    return NULL;
}

static void threads_may_note_while_another_dumps(void **state)
{
    pthread_t threads[2];
    struct buf out = BUF_EMPTY;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, NULL), 0);
    }
    for (int i = 0; i < 20; i++) {
        dump(&out);
        assert_true(lines(&out) <= FLIGHT_RECORDS);
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
    }
    dump(&out);
    /* A thread that stalled while the other wrote a whole round leaves a record that is not shown. */
    assert_in_range(lines(&out), FLIGHT_RECORDS - 2, FLIGHT_RECORDS);
    struct str rest = buf_str(&out);
    struct str line;
    while (str_split(&rest, '\n', &line) && line.n > 0) {
        assert_true(str_starts(line, STR("0.000007 thread ")));
    }
    buf_fini(&out);
}

static void die_by(void *arg)
{
    int number = *(int *)arg;
    flight_install();
    flight_note((struct mono){3000000}, "last words", 4, 5);
    if (number == SIGSEGV) {
        /* Not NULL: the sanitizer would see that before the processor does. */
        volatile char *nowhere = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        *nowhere = 1;
    } else if (number == SIGABRT) {
        abort();
    } else {
        kill(getpid(), number);
        pause();
    }
}

static void a_dying_process_writes_its_last_events_and_dies_as_before(void **state)
{
    static const int numbers[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        struct buf words = BUF_EMPTY;
        int number = numbers[i];
        int status = run_in_child(die_by, &number, &words);
        assert_true(died_by(status, number));
        assert_non_null(strstr(words.p, "the last events before the end:\n"));
        assert_non_null(strstr(words.p, "3.000000 last words 4 5\n"));
        buf_fini(&words);
    }
}

static int overflow(volatile char *below);

/* Volatile, so that no compiler sees the recursion and warns or makes a loop of it. */
static int (*volatile deeper)(volatile char *below) = overflow;

static int overflow(volatile char *below)
{
    volatile char frame[4096];
    frame[0] = below[0];
    frame[1] = 1;
    return deeper(frame) + frame[1];
}

static void overflow_the_stack(void *arg)
{
    char one = 1;
    flight_install();
    flight_note((struct mono){3000000}, "deep", 4, 5);
    if (overflow(&one) == 7) {
        _exit(7);
    }
}

static void an_overflowing_stack_is_written_about_too(void **state)
{
    struct buf words = BUF_EMPTY;
    int status = run_in_child(overflow_the_stack, NULL, &words);
    assert_true(died_by(status, SIGSEGV));
    assert_non_null(strstr(words.p, "3.000000 deep 4 5\n"));
    buf_fini(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_come_out_oldest_first),
        cmocka_unit_test(only_the_last_records_are_kept),
        cmocka_unit_test(the_longest_record_fits_its_line),
        cmocka_unit_test(the_dump_to_a_descriptor_is_the_same),
        cmocka_unit_test(threads_may_note_while_another_dumps),
        cmocka_unit_test(a_dying_process_writes_its_last_events_and_dies_as_before),
        cmocka_unit_test(an_overflowing_stack_is_written_about_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
