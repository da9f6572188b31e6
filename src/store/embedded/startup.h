/*
 * From a directory to an open database: the lock, the old file's records, a new file with the same ones, and
 * what has to be known of the time before. DESIGN.md has the order of steps, and what a crash between any two
 * of them leaves.
 */
#ifndef EA_STORE_EMBEDDED_STARTUP_H
#define EA_STORE_EMBEDDED_STARTUP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "core/book.h"
#include "store/embedded/database.h"
#include "store/embedded/record.h"

/*
 * How far ahead of the tokens the ceiling is written: ten minutes of the clock they come from. The writer
 * raises it when half of that is used up, so that no answer waits for it; a restart skips at most that much.
 */
#define CEILING_STEP_US UINT64_C(600000000)

struct startup_options {
    const char *directory;
    const struct clock *clock;
    bool sync_power;
    const char *boot_id_file;
};

struct startup {
    int lock_fd;
    const struct clock *clock;
    struct database *db;
    struct database_header
        header; /* as it stands in the new file; in quarantine it has no boot id and does not
                                      claim `power`, so that a restart meanwhile begins the quarantine anew */
    bool sync_power;
    char boot_id[BOOT_ID_BYTES]; /* of this boot */
    uint64_t first_token;        /* all tokens given out before are at most this */
    int64_t quarantine_ms;       /* so long nothing may be confirmed; 0: no reason to */
    uint64_t leases;
    char path[4096]; /* of the file */
};

/* Everything above. EA_BUSY (another agent has it; error names its process), EA_CORRUPT, EA_IO. */
enum err startup_run(struct startup *out, const struct startup_options *options,
                     struct error *error) EA_MUST_CHECK;

/* Visits every lease of the new file. */
enum err startup_restore(struct startup *startup, void (*visit)(void *arg, const struct book_record *record),
                         void *arg, struct error *error) EA_MUST_CHECK;

/* Closes what startup_run() opened. */
void startup_fini(struct startup *startup);

/* The ceiling to write when tokens up to `token` have been given out and the time is `now`. */
uint64_t startup_ceiling(uint64_t token, struct wall now);

#endif
