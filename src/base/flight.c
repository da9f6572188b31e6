/*
 * A record's `sequence` is its number in the process plus one, and 0 while it is being written; readers take
 * a record only if the number is the expected one before and after they copied it. A writer that is overtaken
 * by 4096 others while it writes may leave a mixed record: `what` is a literal in any case, so that is no
 * danger.
 *
 * All the dumping is async-signal-safe: no memory, no lock, no stdio.
 */
#include "base/flight.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define US_PER_S 1000000U
/* A handler needs the block of lines below and what the kernel saves. */
#define STACK_BYTES ((size_t)64 * 1024)
#define BLOCK_BYTES ((size_t)8 * 1024)

struct record {
    _Atomic uint64_t sequence;
    _Atomic int64_t at_us;
    const char *_Atomic what;
    _Atomic uint64_t a;
    _Atomic uint64_t b;
};

static struct record records[FLIGHT_RECORDS];
static _Atomic uint64_t noted;

static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
static struct sigaction before[ARRAY_LENGTH(signals)];
static atomic_flag dying = ATOMIC_FLAG_INIT;

void flight_note(struct mono now, const char *what, uint64_t a, uint64_t b)
{
    uint64_t number = atomic_fetch_add_explicit(&noted, 1, memory_order_relaxed);
    struct record *record = &records[number % FLIGHT_RECORDS];
    atomic_store_explicit(&record->sequence, 0, memory_order_relaxed);
    /* Released, each of them: who sees a new value also sees the 0. */
    atomic_store_explicit(&record->at_us, now.us, memory_order_release);
    atomic_store_explicit(&record->what, what, memory_order_release);
    atomic_store_explicit(&record->a, a, memory_order_release);
    atomic_store_explicit(&record->b, b, memory_order_release);
    atomic_store_explicit(&record->sequence, number + 1, memory_order_release);
}

static size_t add_text(char *out, size_t n, const char *text, size_t length_max)
{
    size_t length = strnlen(text, length_max);
    memcpy(out + n, text, length);
    return n + length;
}

/* "12.000345 what a b\n" */
static size_t format_record(int64_t at_us, const char *what, uint64_t a, uint64_t b,
                            char out[FLIGHT_LINE_BYTES])
{
    uint64_t us = at_us > 0 ? (uint64_t)at_us : 0;
    char fraction[20];
    size_t n = str_from_u64(us / US_PER_S, out);
    out[n++] = '.';
    /* With a 1 in front, so that leading zeros are kept; which is left out. */
    size_t digits = str_from_u64(US_PER_S + us % US_PER_S, fraction);
    memcpy(out + n, fraction + 1, digits - 1);
    n += digits - 1;
    out[n++] = ' ';
    n = add_text(out, n, what, 64);
    out[n++] = ' ';
    n += str_from_u64(a, out + n);
    out[n++] = ' ';
    n += str_from_u64(b, out + n);
    out[n++] = '\n';
    return n;
}

/* The line of the record with this number; 0 if it isn't there (any more, or yet). */
static size_t format_number(uint64_t number, char out[FLIGHT_LINE_BYTES])
{
    struct record *record = &records[number % FLIGHT_RECORDS];
    if (atomic_load_explicit(&record->sequence, memory_order_acquire) != number + 1) {
        return 0;
    }
    int64_t at_us = atomic_load_explicit(&record->at_us, memory_order_acquire);
    const char *what = atomic_load_explicit(&record->what, memory_order_acquire);
    uint64_t a = atomic_load_explicit(&record->a, memory_order_acquire);
    uint64_t b = atomic_load_explicit(&record->b, memory_order_acquire);
    if (atomic_load_explicit(&record->sequence, memory_order_relaxed) != number + 1) {
        return 0;
    }
    return format_record(at_us, what, a, b, out);
}

static uint64_t first_number(uint64_t end)
{
    return end > FLIGHT_RECORDS ? end - FLIGHT_RECORDS : 0;
}

void flight_dump(struct buf *out)
{
    uint64_t end = atomic_load_explicit(&noted, memory_order_acquire);
    for (uint64_t number = first_number(end); number < end; number++) {
        out->n += format_number(number, buf_reserve(out, FLIGHT_LINE_BYTES));
    }
}

static void put(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        p += written;
        n -= (size_t)written;
    }
}

void flight_dump_fd(int fd)
{
    char block[BLOCK_BYTES];
    size_t n = 0;
    uint64_t end = atomic_load_explicit(&noted, memory_order_acquire);
    for (uint64_t number = first_number(end); number < end; number++) {
        if (sizeof block - n < FLIGHT_LINE_BYTES) {
            put(fd, block, n);
            n = 0;
        }
        n += format_number(number, block + n);
    }
    put(fd, block, n);
}

static void restore(int number)
{
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
        if (signals[i] == number) {
            sigaction(number, &before[i], NULL);
        }
    }
}

/*
 * Returning to a fault makes it happen again, now with the handler from before (a sanitizer's, or the
 * kernel's): so the core dump shows the place of the fault. A signal that was sent has to be sent again; it
 * comes when this handler returns.
 */
static void on_death(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (atomic_flag_test_and_set(&dying)) {
        /* Another thread is already writing, and ends the process. A fault while writing doesn't come here:
         * the kernel ends a process that faults with the signal blocked. */
        for (;;) {
            pause();
        }
    }
    static const char head[] = "the last events before the end:\n";
    put(STDERR_FILENO, head, sizeof head - 1);
    flight_dump_fd(STDERR_FILENO);
    restore(number);
    if (info->si_code <= 0) {
        raise(number);
    }
}

void flight_install(void)
{
    static char stack[STACK_BYTES];
    stack_t alternative = {.ss_sp = stack, .ss_size = sizeof stack};
    stack_t present;
    /* A sanitizer has already given this thread one. */
    if (sigaltstack(NULL, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
        sigaltstack(&alternative, NULL);
    }
    struct sigaction action = {.sa_sigaction = on_death, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
        sigaddset(&action.sa_mask, signals[i]);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++) {
        sigaction(signals[i], &action, &before[i]);
    }
}
