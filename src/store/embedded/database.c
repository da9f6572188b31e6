#include "store/embedded/database.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/mem.h"

/* Address space, not memory and not disk: the file grows as it is written. */
#define MAP_BYTES_MIN ((size_t)64 * 1024 * 1024)
#define MAP_BYTES_MAX ((size_t)1024 * 1024 * 1024 * 1024)
#define FILE_MODE     0600

struct database {
    MDB_env *env; /* NULL: to be opened again */
    MDB_dbi dbi;
    size_t map_bytes;
    bool sync;
    char path[4096];
};

struct database_txn {
    MDB_txn *txn;
    MDB_dbi dbi;
    int failed; /* LMDB's or errno's code of the first failure */
};

static enum err fail(const struct database *db, struct error *error, const char *doing, int code)
{
    return error_set(error, EA_IO, "cannot %s %s: %s", doing, db->path, mdb_strerror(code));
}

static int open_env(struct database *db)
{
    unsigned flags = MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD | (db->sync ? 0 : MDB_NOSYNC);
    MDB_txn *txn = NULL;
    int code = mdb_env_create(&db->env);
    if (code != 0) {
        db->env = NULL;
        return code;
    }
    code = mdb_env_set_mapsize(db->env, db->map_bytes);
    if (code == 0) {
        code = mdb_env_open(db->env, db->path, flags, FILE_MODE);
    }
    if (code == 0) {
        code = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    }
    if (code == 0) {
        code = mdb_dbi_open(txn, NULL, 0, &db->dbi);
        mdb_txn_abort(txn);
    }
    if (code != 0) {
        mdb_env_close(db->env);
        db->env = NULL;
    }
    return code;
}

enum err database_new(struct database **out, const char *path, size_t bytes, bool sync, struct error *error)
{
    struct database *db = mem_zalloc(sizeof *db);
    enum err err = EA_OK;
    int n = snprintf(db->path, sizeof db->path, "%s", path);
    db->sync = sync;
    db->map_bytes = MAP_BYTES_MIN;
    while (db->map_bytes < bytes && db->map_bytes < MAP_BYTES_MAX) {
        db->map_bytes *= 2;
    }
    if (n < 0 || (size_t)n >= sizeof db->path) {
        err = error_set(error, EA_CONFIG, "the path of the database is too long");
        goto out;
    }
    (void)unlink(path); /* left over from a start that was killed; never the file in use */
    int code = open_env(db);
    if (code != 0) {
        err = fail(db, error, "create", code);
        goto out;
    }
    *out = db;
    db = NULL;
out:
    mem_free(db);
    return err;
}

void database_free(struct database *db)
{
    if (db != NULL && db->env != NULL) {
        mdb_env_close(db->env);
    }
    mem_free(db);
}

void database_renamed(struct database *db, const char *path)
{
    (void)snprintf(db->path, sizeof db->path, "%s", path);
}

/* Opens what was closed after a failure. LMDB would make a new, empty file if ours is gone. */
static int reopen_env(struct database *db)
{
    if (db->env != NULL) {
        return 0;
    }
    return access(db->path, F_OK) == 0 ? open_env(db) : errno;
}

/* One try. Returns 0, MDB_MAP_FULL when a larger map can cure it, or what failed. */
static int write_once(struct database *db, enum err (*fill)(struct database_txn *txn, void *arg), void *arg)
{
    struct database_txn txn = {.dbi = db->dbi};
    int code = mdb_txn_begin(db->env, NULL, 0, &txn.txn);
    if (code != 0) {
        return code;
    }
    if (fill(&txn, arg) != EA_OK) {
        mdb_txn_abort(txn.txn);
        assert(txn.failed != 0); /* fill fails only with what failed here */
        return txn.failed;
    }
    return mdb_txn_commit(txn.txn);
}

static void close_env(struct database *db)
{
    mdb_env_close(db->env);
    db->env = NULL;
}

enum err database_write(struct database *db, enum err (*fill)(struct database_txn *txn, void *arg), void *arg,
                        struct error *error)
{
    int code = reopen_env(db);
    if (code == 0) {
        code = write_once(db, fill, arg);
    }
    while (code == MDB_MAP_FULL && db->map_bytes < MAP_BYTES_MAX) {
        code = mdb_env_set_mapsize(db->env, db->map_bytes * 2);
        if (code == 0) {
            db->map_bytes *= 2;
            code = write_once(db, fill, arg);
        }
    }
    if (code == 0) {
        return EA_OK;
    }
    enum err err = fail(db, error, "write", code);
    if (db->env != NULL) {
        /* What a failed write has left in the environment's memory is not worth trusting. */
        close_env(db);
    }
    return err;
}

static enum err note(struct database_txn *txn, int code)
{
    if (code == 0) {
        return EA_OK;
    }
    txn->failed = code;
    return EA_IO;
}

static MDB_val val_of(struct str s)
{
    return (MDB_val){.mv_size = s.n, .mv_data = (void *)s.p};
}

enum err database_put(struct database_txn *txn, struct str key, struct str value)
{
    MDB_val k = val_of(key);
    MDB_val v = val_of(value);
    return note(txn, mdb_put(txn->txn, txn->dbi, &k, &v, 0));
}

enum err database_delete(struct database_txn *txn, struct str key)
{
    MDB_val k = val_of(key);
    int code = mdb_del(txn->txn, txn->dbi, &k, NULL);
    return note(txn, code == MDB_NOTFOUND ? 0 : code);
}

enum err database_sync(struct database *db, struct error *error)
{
    int code = reopen_env(db);
    if (code == 0) {
        code = mdb_env_sync(db->env, 1);
    }
    return code == 0 ? EA_OK : fail(db, error, "sync", code);
}

void database_set_sync(struct database *db, bool sync)
{
    db->sync = sync;
    if (db->env != NULL) {
        (void)mdb_env_set_flags(db->env, MDB_NOSYNC, !sync);
    }
}

enum err database_each(struct database *db,
                       enum err (*visit)(void *arg, struct str key, struct str value, struct error *error),
                       void *arg, struct error *error)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor = NULL;
    enum err err = EA_OK;
    int code = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
    if (code == 0) {
        code = mdb_cursor_open(txn, db->dbi, &cursor);
    }
    while (code == 0 && err == EA_OK) {
        MDB_val k;
        MDB_val v;
        code = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
        if (code == 0) {
            err = visit(arg, (struct str){k.mv_data, k.mv_size}, (struct str){v.mv_data, v.mv_size}, error);
        }
    }
    if (err == EA_OK && code != MDB_NOTFOUND) {
        err = fail(db, error, "read", code);
    }
    if (cursor != NULL) {
        mdb_cursor_close(cursor);
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    return err;
}
