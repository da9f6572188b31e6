#include "store/embedded/startup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/hlc.h"
#include "base/mem.h"
#include "store/embedded/reader.h"

#define LOAD_BYTES     ((size_t)4 * 1024 * 1024) /* records a transaction of the load takes */
#define DIRECTORY_MODE 0700
#define FILE_MODE      0600
#define MAP_FACTOR     4

/* --- the directory and its lock --- */

static enum err directory_error(struct error *error, int errnum, const char *doing, const char *directory)
{
    const char *cure = "";
    switch (errnum) {
    case EACCES:
    case EPERM:
        cure =
            "; give it to the user that runs the agent, or set embedded.path to a directory of that user's";
        break;
    case ENOENT:
    case ENOTDIR:
        cure = "; the directory above it has to be there";
        break;
    default:
        break;
    }
    char words[128];
    return error_set(error, EA_CONFIG, "cannot %s %s: %s%s", doing, directory,
                     strerror_r(errnum, words, sizeof words), cure);
}

static enum err make_directory(const char *directory, struct error *error)
{
    struct stat stat_of;
    if (mkdir(directory, DIRECTORY_MODE) == 0) {
        return EA_OK;
    }
    if (errno != EEXIST) {
        return directory_error(error, errno, "create the directory", directory);
    }
    if (stat(directory, &stat_of) != 0 || !S_ISDIR(stat_of.st_mode)) {
        return error_set(error, EA_CONFIG, "%s is not a directory", directory);
    }
    return EA_OK;
}

/* One agent: a lock the kernel takes back when the process ends, however it ends. */
static enum err take_lock(struct startup *s, const char *directory, struct error *error)
{
    char path[sizeof s->path + 16];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    (void)snprintf(path, sizeof path, "%s/leases.lock", directory);
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (s->lock_fd < 0) {
        return directory_error(error, errno, "write in the directory", directory);
    }
    if (fcntl(s->lock_fd, F_SETLK, &lock) == 0) {
        return EA_OK;
    }
    int errnum = errno;
    lock.l_type = F_WRLCK;
    if ((errnum == EACCES || errnum == EAGAIN) && fcntl(s->lock_fd, F_GETLK, &lock) == 0 &&
        lock.l_type != F_UNLCK) {
        if (lock.l_pid <= 0) { /* it is in another container */
            return error_set(error, EA_BUSY,
                             "%s is in use by a process that cannot be seen from here: one agent "
                             "a directory",
                             directory);
        }
        return error_set(error, EA_BUSY, "%s is in use by process %ld: one agent a directory", directory,
                         (long)lock.l_pid);
    }
    return error_set_errno(error, EA_IO, errnum, "cannot lock %s", path);
}

static enum err sync_directory(const char *directory, struct error *error)
{
    enum err err = EA_OK;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        err = error_set_errno(error, EA_IO, errno, "cannot sync the directory %s", directory);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return err;
}

/* --- from the old file to the new one --- */

struct load {
    struct startup *startup;
    struct buf records; /* not written yet, as a stream */
    bool found;
    struct database_header old;
    int32_t longest_ms; /* of the leases in the file */
    enum err err;
    struct error error;
};

static enum err put_records(struct database_txn *txn, void *arg)
{
    const struct buf *records = arg;
    enum err err = EA_OK;
    for (size_t at = 0; at < records->n && err == EA_OK;) {
        uint16_t sizes[2];
        memcpy(sizes, records->p + at, sizeof sizes);
        const char *key = records->p + at + sizeof sizes;
        err = database_put(txn, (struct str){key, sizes[0]}, (struct str){key + sizes[0], sizes[1]});
        at += sizeof sizes + sizes[0] + sizes[1];
    }
    return err;
}

static void load_write(struct load *load)
{
    if (load->err == EA_OK && load->records.n > 0) {
        load->err = database_write(load->startup->db, put_records, &load->records, &load->error);
    }
    buf_clear(&load->records);
}

static void load_header(void *arg, const struct database_header *header)
{
    struct load *load = arg;
    load->found = true;
    load->old = *header;
}

static void load_lease(void *arg, struct str key, struct str value, const struct book_record *record)
{
    struct load *load = arg;
    const uint16_t sizes[2] = {(uint16_t)key.n, (uint16_t)value.n};
    load->startup->leases++;
    load->longest_ms = record->term_ms > load->longest_ms ? record->term_ms : load->longest_ms;
    buf_add(&load->records, sizes, sizeof sizes);
    buf_add_str(&load->records, key);
    buf_add_str(&load->records, value);
    if (load->records.n >= LOAD_BYTES) {
        load_write(load);
    }
}

static enum err load_old(struct load *load, const char *path, struct error *error)
{
    struct record_stream stream = {.header = load_header, .lease = load_lease, .arg = load};
    enum err err = reader_run(path, &stream, error);
    record_stream_fini(&stream);
    if (err == EA_OK) {
        load_write(load);
        err = load->err;
        if (err != EA_OK && error != NULL) {
            *error = load->error;
        }
    }
    return err;
}

/* --- what the time before means --- */

static void read_boot_id(const char *path, char out[BOOT_ID_BYTES])
{
    memset(out, 0, BOOT_ID_BYTES);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    if (read(fd, out, BOOT_ID_BYTES) != BOOT_ID_BYTES) {
        memset(out, 0, BOOT_ID_BYTES);
    }
    (void)close(fd);
}

/*
 * Whether what was answered last may be missing from the file: the machine went down, and the file had been
 * neither closed nor synced with every commit. A boot id that cannot be read counts as another one.
 */
static bool may_have_lost(const struct database_header *old, const char boot_id[BOOT_ID_BYTES])
{
    static const char unknown[BOOT_ID_BYTES];
    bool same_boot =
        memcmp(old->boot_id, boot_id, BOOT_ID_BYTES) == 0 && memcmp(boot_id, unknown, BOOT_ID_BYTES) != 0;
    return !same_boot && !old->clean && !old->power;
}

uint64_t startup_ceiling(uint64_t token, struct wall now)
{
    assert(token < HLC_LIMIT);
    if (now.us > 0 && (uint64_t)now.us < HLC_WALL_LIMIT && (uint64_t)now.us > token) {
        token = (uint64_t)now.us; /* about where the next one will be */
    }
    return token < HLC_LIMIT - 1 - CEILING_STEP_US ? token + CEILING_STEP_US : HLC_LIMIT - 1;
}

static void judge_past(struct startup *s, const struct startup_options *options, const struct load *load)
{
    struct wall wall = clock_wall(options->clock);
    s->first_token = load->found ? load->old.ceiling : 0;
    s->header.ceiling = startup_ceiling(s->first_token, wall); /* S4 */
    s->sync_power = options->sync_power;
    s->header.longest_ms = load->longest_ms;
    read_boot_id(options->boot_id_file, s->boot_id);
    if (load->found && may_have_lost(&load->old, s->boot_id)) {
        s->quarantine_ms = load->old.longest_ms;
        s->header.longest_ms = load->old.longest_ms;
    }
    if (s->quarantine_ms == 0) {
        memcpy(s->header.boot_id, s->boot_id, BOOT_ID_BYTES);
        s->header.power = s->sync_power;
    }
}

static enum err put_header(struct database_txn *txn, void *arg)
{
    char value[HEADER_VALUE_BYTES];
    header_value(arg, value);
    return database_put(txn, header_key, (struct str){value, sizeof value});
}

static enum err build(struct startup *s, const struct startup_options *options, const char *made,
                      struct error *error)
{
    struct load load = {.startup = s};
    struct stat stat_of;
    bool there = stat(s->path, &stat_of) == 0;
    if (!there && errno != ENOENT) { /* what cannot be seen is not taken for absent */
        return error_set_errno(error, EA_CONFIG, errno, "cannot look at %s", s->path);
    }
    size_t bytes = there ? (size_t)stat_of.st_size * MAP_FACTOR : 0;
    enum err err = database_new(&s->db, made, bytes, false, error);
    if (err == EA_OK && there) {
        err = load_old(&load, s->path, error);
    }
    if (err == EA_OK) {
        judge_past(s, options, &load);
        err = database_write(s->db, put_header, &s->header, error);
    }
    if (err == EA_OK) {
        err = database_sync(s->db, error);
    }
    buf_fini(&load.records);
    return err;
}

enum err startup_run(struct startup *out, const struct startup_options *options, struct error *error)
{
    char made[sizeof out->path + 16];
    enum err err;
    *out = (struct startup){.lock_fd = -1, .clock = options->clock};
    int n = snprintf(out->path, sizeof out->path, "%s/leases.mdb", options->directory);
    if (n < 0 || (size_t)n >= sizeof out->path) {
        return error_set(error, EA_CONFIG, "embedded.path is too long");
    }
    (void)snprintf(made, sizeof made, "%s.new", out->path);
    if ((err = make_directory(options->directory, error)) != EA_OK ||
        (err = take_lock(out, options->directory, error)) != EA_OK ||
        (err = build(out, options, made, error)) != EA_OK) {
        goto out;
    }
    if (rename(made, out->path) != 0) {
        err = error_set_errno(error, EA_IO, errno, "cannot rename %s", made);
        goto out;
    }
    database_renamed(out->db, out->path);
    database_set_sync(out->db, options->sync_power);
    err = sync_directory(options->directory, error);
out:
    if (err != EA_OK) {
        if (out->db != NULL) {
            (void)unlink(made);
        }
        startup_fini(out);
    }
    return err;
}

void startup_fini(struct startup *startup)
{
    database_free(startup->db);
    startup->db = NULL;
    if (startup->lock_fd >= 0) {
        (void)close(startup->lock_fd);
        startup->lock_fd = -1;
    }
}

/* --- back into memory --- */

struct restore {
    void (*visit)(void *arg, const struct book_record *record);
    void *arg;
};

static enum err restore_record(void *arg, struct str key, struct str value, struct error *error)
{
    const struct restore *restore = arg;
    struct book_record record;
    if (str_eq(key, header_key)) {
        return EA_OK;
    }
    enum err err = record_read(key, value, &record, error);
    if (err == EA_OK) {
        restore->visit(restore->arg, &record);
    }
    return err;
}

enum err startup_restore(struct startup *startup, void (*visit)(void *arg, const struct book_record *record),
                         void *arg, struct error *error)
{
    struct restore restore = {visit, arg};
    return database_each(startup->db, restore_record, &restore, error);
}
