/*
 * Fails every allocation of election_run() in turn: malloc, calloc, realloc, posix_memalign, mmap, and threads. Each
 * must be ELECTION_NOMEM (or ELECTION_SYSTEM, where the kernel is what refuses), leave no memory behind, and the first
 * run without a failure must work. Afterwards every allocation fails while an instance leads, renews and closes.
 *
 *     election_oom URL
 *     election_oom URL CA FIRST STRIDE     with TLS: only the sweep, of every so-many-th allocation, on the program's
 *                                          loop; needs no server
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <election.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);

/* Seen by the library instead of the C library's. */
#pragma GCC visibility push(default)
void *malloc(size_t n);
void *calloc(size_t count, size_t n);
void *realloc(void *p, size_t n);
int posix_memalign(void **out, size_t alignment, size_t n);
void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
#pragma GCC visibility pop

static atomic_long countdown = -1; /* so many more succeed; -1: all */
static atomic_bool all_fail;
static atomic_long failed;

static bool fails(void)
{
    if (atomic_load(&all_fail)) {
        atomic_fetch_add(&failed, 1);
        return true;
    }
    if (atomic_load(&countdown) < 0 || atomic_fetch_sub(&countdown, 1) != 0) {
        return false;
    }
    atomic_fetch_add(&failed, 1);
    return true;
}

void *malloc(size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_malloc(n);
}

void *calloc(size_t count, size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_calloc(count, n);
}

void *realloc(void *p, size_t n)
{
    return fails() ? (errno = ENOMEM, NULL) : __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
    *out = fails() ? NULL : __libc_memalign(alignment, n);
    return *out != NULL ? 0 : ENOMEM;
}

void *mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (real == NULL) {
        real = (void *(*)(void *, size_t, int, int, int, off_t))dlsym(RTLD_NEXT, "mmap");
    }
    return fails() ? (errno = ENOMEM, MAP_FAILED) : real(at, n, protection, flags, fd, offset);
}

static int lead(void *user, struct election_context *context)
{
    return (int)election_context_wait(context, -1);
}

static enum election_error run(struct election **out, char **argv, char *words)
{
    struct election_config config;
    election_config_init(&config);
    config.project = "memory";
    config.node_id = "a";
    config.redis_urls = argv[1];
    config.redis_tls_ca = argv[2];
    config.lease_ttl_ms = argv[2] != NULL ? 100 : 300;
    config.loop = argv[2] != NULL ? ELECTION_LOOP_PROGRAM : ELECTION_LOOP_THREAD;
    config.on_start = lead;
    return election_run(out, &config, words, ELECTION_WORDS_BYTES);
}

static int sweep(char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election *election = NULL;
    /* OpenSSL sets itself up once, and for good: what fails then is remembered. Not part of the sweep. */
    if (run(&election, argv, words) != ELECTION_OK || election_free(election) != ELECTION_OK) {
        printf("%s\n", words);
        return 1;
    }
    long stride = argv[2] != NULL ? strtol(argv[4], NULL, 10) : 1;
    long refused = 0;
    for (long n = argv[2] != NULL ? strtol(argv[3], NULL, 10) : 0; n < 100000; n += stride) {
        atomic_store(&failed, 0);
        atomic_store(&countdown, n);
        enum election_error error = run(&election, argv, words);
        atomic_store(&countdown, -1);
        if (atomic_load(&failed) == 0) {
            printf("swept %ld refused %ld\n", n, refused);
            return error == ELECTION_OK && election_free(election) == ELECTION_OK ? 0 : 1;
        }
        if (error == ELECTION_OK) { /* a thread had it, or somebody could do without */
            (void)election_free(election);
        } else if (error != ELECTION_NOMEM && error != ELECTION_SYSTEM) {
            printf("allocation %ld: %d %s\n", n, (int)error, words);
            return 1;
        } else {
            refused++;
        }
    }
    return 1;
}

/* Once it runs it needs nothing from the heap to go on, and what it still asks for it can do without. */
static int starve(char **argv)
{
    char words[ELECTION_WORDS_BYTES];
    struct election *election = NULL;
    if (run(&election, argv, words) != ELECTION_OK ||
        election_wait(election, ELECTION_UNTIL_LEADING, 10000) != ELECTION_OK) {
        return 1;
    }
    atomic_store(&all_fail, true);
    enum election_error lost = election_wait(election, ELECTION_UNTIL_NOT_LEADING, 2000);
    enum election_error closed = election_close(election);
    atomic_store(&all_fail, false);
    printf("starved: wait %d, close %d, failed %ld\n", (int)lost, (int)closed, atomic_load(&failed));
    return lost == ELECTION_TIMEOUT && closed == ELECTION_OK && election_free(election) == ELECTION_OK ? 0
                                                                                                       : 1;
}

int main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int result = sweep(argv);
    return result != 0 || argv[2] != NULL ? result : starve(argv);
}
