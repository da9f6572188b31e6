/*
 * Reading a database file that was there before. LMDB checks little of what it maps: a damaged page can make
 * it crash, loop, or read what is not there. So a child process does it, before there are threads, and the
 * parent believes only what comes through a pipe and passes record_stream's checks, within limits of time and
 * bytes. Whatever happens to the child, the file is not written.
 */
#ifndef EA_STORE_EMBEDDED_READER_H
#define EA_STORE_EMBEDDED_READER_H

#include <stddef.h>

#include "base/error.h"
#include "store/embedded/record.h"

/* Feeds `stream` (its callbacks set) with everything in the file. EA_CORRUPT, with words that say what to do;
 * EA_CONFIG if it may not be read; EA_IO. */
enum err reader_run(const char *path, struct record_stream *stream, struct error *error) EA_MUST_CHECK;

#endif
