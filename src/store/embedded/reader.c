#include "store/embedded/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/buf.h"
#include "base/clock.h"

#define LIMIT_MS_MIN       10000
#define LIMIT_BYTES_PER_MS 4096 /* 4 MiB a second: the slowest disk worth waiting for */
#define STREAM_BYTES_MIN   ((size_t)64 * 1024)
#define CHUNK_BYTES        ((size_t)64 * 1024)
#define MAP_BYTES_MORE     ((size_t)1024 * 1024)

/* How the child ends; the words are the parent's. */
#define CHILD_ENDS(END)                                           \
    END(DONE, "")                                                 \
    END(META, "its two meta pages do not fit together")           \
    END(OPEN, "LMDB does not take it for a database")             \
    END(READ, "LMDB cannot walk through it")                      \
    END(COUNT, "it holds another number of records than it says") \
    END(PIPE, "the reader could not hand over what it read")

enum child_end {
#define END(name, words) CHILD_##name,
    CHILD_ENDS(END)
#undef END
        CHILD_END_COUNT
};

static const char *const child_words[] = {
#define END(name, words) words,
    CHILD_ENDS(END)
#undef END
};

/* --- the child --- */

/*
 * LMDB keeps two meta pages, written in turn, and believes the one with the greater transaction number. A
 * damaged number would make it fall back, without a word, to the state before the last commit. In a whole
 * file the numbers are neighbours, the even one in front. The layout is that of LMDB's data version 1 on
 * 64-bit machines (lmdb's mdb.c: MDB_page's head of 16 bytes, then MDB_meta).
 */
#define META_VERSION_OFFSET   20
#define META_PAGE_SIZE_OFFSET 40
#define META_TXN_OFFSET       144
#define META_VERSION          1

static bool metas_fit(int fd)
{
    uint64_t txn[2];
    uint32_t page_bytes = 0;
    if (pread(fd, &page_bytes, sizeof page_bytes, META_PAGE_SIZE_OFFSET) != (ssize_t)sizeof page_bytes ||
        page_bytes < 512 || page_bytes > 65536) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        off_t page = (off_t)page_bytes * i;
        uint32_t version = 0;
        if (pread(fd, &version, sizeof version, page + META_VERSION_OFFSET) != (ssize_t)sizeof version ||
            version != META_VERSION ||
            pread(fd, &txn[i], sizeof txn[i], page + META_TXN_OFFSET) != (ssize_t)sizeof txn[i]) {
            return false;
        }
    }
    return (txn[0] & 1) == 0 && (txn[0] + 1 == txn[1] || txn[1] + 1 == txn[0]);
}

static bool write_all(int fd, struct buf *out)
{
    for (size_t at = 0; at < out->n;) {
        ssize_t n = write(fd, out->p + at, out->n - at);
        if (n <= 0) {
            return false;
        }
        at += (size_t)n;
    }
    buf_clear(out);
    return true;
}

static enum child_end stream_records(MDB_txn *txn, MDB_dbi dbi, int fd)
{
    struct buf out = BUF_EMPTY;
    MDB_cursor *cursor;
    MDB_stat stat;
    MDB_val k;
    MDB_val v;
    uint64_t records = 0;
    int code;
    if (mdb_stat(txn, dbi, &stat) != 0 || mdb_cursor_open(txn, dbi, &cursor) != 0) {
        return CHILD_READ;
    }
    while ((code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        if (k.mv_size == 0 || k.mv_size > RECORD_KEY_BYTES_MAX || v.mv_size > RECORD_VALUE_BYTES_MAX) {
            return CHILD_READ;
        }
        record_stream_add(&out, (struct str){k.mv_data, k.mv_size}, (struct str){v.mv_data, v.mv_size});
        records++;
        if (out.n >= CHUNK_BYTES && !write_all(fd, &out)) {
            return CHILD_PIPE;
        }
    }
    if (code != MDB_NOTFOUND || records != stat.ms_entries) {
        return code != MDB_NOTFOUND ? CHILD_READ : CHILD_COUNT;
    }
    record_stream_add_end(&out, records > 0 ? records - 1 : 0);
    return write_all(fd, &out) ? CHILD_DONE : CHILD_PIPE;
}

static enum child_end read_file(const char *path, int file, size_t bytes, int fd)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_RDONLY;
    if (!metas_fit(file)) {
        return CHILD_META;
    }
    if (mdb_env_create(&env) != 0 || mdb_env_set_mapsize(env, bytes + MAP_BYTES_MORE) != 0 ||
        mdb_env_open(env, path, flags, 0) != 0 || mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0 ||
        mdb_dbi_open(txn, NULL, 0, &dbi) != 0) {
        return CHILD_OPEN;
    }
    return stream_records(txn, dbi, fd); /* the process ends: nothing is freed */
}

/* A crash here is an answer, not news: no report, no core file, no handlers of the parent's. */
static void expect_crash(int64_t limit_ms, pid_t parent)
{
    static const int signals[] = {SIGSEGV, SIGBUS,  SIGILL, SIGFPE, SIGABRT,
                                  SIGPIPE, SIGTERM, SIGINT, SIGXCPU};
    struct rlimit none = {0, 0};
    struct rlimit cpu = {(rlim_t)(limit_ms / 1000 + 1), (rlim_t)(limit_ms / 1000 + 1)};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        (void)signal(signals[i], SIG_DFL);
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)setrlimit(RLIMIT_CPU, &cpu);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (null >= 0) {
        (void)dup2(null, STDERR_FILENO);
    }
    if (getppid() != parent) {
        _exit(CHILD_PIPE); /* it died before the line above */
    }
}

/* --- the parent --- */

struct reading {
    int fd;
    pid_t child;
    struct mono until;
    size_t bytes_left;
};

static enum err receive(struct reading *reading, struct record_stream *stream, struct error *error)
{
    char chunk[16 * 1024];
    for (;;) {
        int64_t left_us = mono_sub(reading->until, clock_mono(&clock_system));
        struct pollfd poll_fd = {.fd = reading->fd, .events = POLLIN};
        int ready = left_us > 0 ? poll(&poll_fd, 1, (int)(left_us / 1000) + 1) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            return error_set(error, EA_CORRUPT, "reading it takes too long");
        }
        ssize_t n = read(reading->fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(error, EA_IO, errno, "cannot read from the reader");
        }
        if (n == 0) {
            return EA_OK;
        }
        if ((size_t)n > reading->bytes_left) {
            return error_set(error, EA_CORRUPT, "it yields more than it holds");
        }
        reading->bytes_left -= (size_t)n;
        enum err err = record_stream_feed(stream, chunk, (size_t)n, error);
        if (err != EA_OK) {
            return err;
        }
    }
}

/* How the child ended goes before what it sent: the crash is the cause. */
static enum err judge(int status, enum err err, const struct record_stream *stream, struct error *error)
{
    if (err != EA_OK) {
        return err;
    }
    if (WIFSIGNALED(status)) {
        return error_set(error, EA_CORRUPT, "reading it crashes (signal %d)", WTERMSIG(status));
    }
    int end = WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_READ;
    if (end != CHILD_DONE) {
        return error_set(error, EA_CORRUPT, "%s",
                         end < CHILD_END_COUNT ? child_words[end] : child_words[CHILD_READ]);
    }
    return record_stream_end(stream, error);
}

static enum err run_child(const char *path, int file, size_t bytes, struct record_stream *stream,
                          struct error *error)
{
    int64_t limit_ms = LIMIT_MS_MIN + (int64_t)(bytes / LIMIT_BYTES_PER_MS);
    pid_t parent = getpid();
    int ends[2];
    int status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return error_set_errno(error, EA_IO, errno, "cannot make a pipe");
    }
    pid_t child = fork();
    if (child == 0) {
        (void)close(ends[0]);
        expect_crash(limit_ms, parent);
        _exit((int)read_file(path, file, bytes, ends[1])); /* no exit handlers: they are the parent's */
    }
    int errnum = errno;
    (void)close(ends[1]);
    enum err err;
    if (child < 0) {
        err = error_set_errno(error, EA_IO, errnum, "cannot start a process to read %s", path);
    } else {
        struct reading reading = {.fd = ends[0],
                                  .child = child,
                                  .until = mono_add_ms(clock_mono(&clock_system), limit_ms),
                                  .bytes_left = 2 * bytes + STREAM_BYTES_MIN};
        err = receive(&reading, stream, error);
        if (err != EA_OK) {
            (void)kill(child, SIGKILL);
        }
        while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
        }
        err = judge(status, err, stream, error);
    }
    (void)close(ends[0]);
    return err;
}

enum err reader_run(const char *path, struct record_stream *stream, struct error *error)
{
    struct stat stat;
    enum err err;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return error_set_errno(error, EA_CONFIG, errno, "cannot read %s", path);
    }
    if (fstat(file, &stat) != 0) {
        err = error_set_errno(error, EA_IO, errno, "cannot look at %s", path);
    } else if (!S_ISREG(stat.st_mode)) {
        err = error_set(error, EA_CONFIG, "%s is not a file", path);
    } else {
        struct error cause = ERROR_NONE;
        err = run_child(path, file, (size_t)stat.st_size, stream, &cause);
        if (err == EA_CORRUPT) {
            err = error_set(error, EA_CORRUPT,
                            "%s is damaged (%s): move it away to start empty, or restore a copy", path,
                            cause.text);
        } else if (err != EA_OK && error != NULL) {
            *error = cause;
        }
    }
    (void)close(file);
    return err;
}
