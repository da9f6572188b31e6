/*
 * The file of leases: LMDB, written by one process and one thread at a time. The environment is always one
 * that this process made itself, from checked records (reader.h says why): LMDB trusts its pages.
 */
#ifndef EA_STORE_EMBEDDED_DATABASE_H
#define EA_STORE_EMBEDDED_DATABASE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct database;
struct database_txn;

/*
 * Makes a new file at `path`, replacing what is there, with room for `bytes` and more. With `sync` every
 * commit is on the disk before it returns; without, it survives the process, not the machine. EA_IO.
 */
enum err database_new(struct database **out, const char *path, size_t bytes, bool sync,
                      struct error *error) EA_MUST_CHECK;

/* Without a last sync. */
void database_free(struct database *db);

/* The file has been renamed to this. */
void database_renamed(struct database *db, const char *path);

/*
 * One transaction: `fill` is called with it, again from the start if the file had to grow. All of it is in
 * the file afterwards, or nothing and EA_IO. After some failures LMDB wants the environment opened anew,
 * which the next write does.
 */
enum err database_write(struct database *db, enum err (*fill)(struct database_txn *txn, void *arg), void *arg,
                        struct error *error) EA_MUST_CHECK;

/* Within `fill`; pass on what they return. A key that is not there is deleted as well. */
enum err database_put(struct database_txn *txn, struct str key, struct str value) EA_MUST_CHECK;
enum err database_delete(struct database_txn *txn, struct str key) EA_MUST_CHECK;

/* Everything written so far to the disk, whatever `sync` was. EA_IO. */
enum err database_sync(struct database *db, struct error *error) EA_MUST_CHECK;

/* Changes `sync` of database_new(). */
void database_set_sync(struct database *db, bool sync);

/* Visits every record in order of keys, until `visit` fails. EA_IO, or what visit returned. */
enum err database_each(struct database *db,
                       enum err (*visit)(void *arg, struct str key, struct str value, struct error *error),
                       void *arg, struct error *error) EA_MUST_CHECK;

#endif
