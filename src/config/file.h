/*
 * Whole small files.
 */
#ifndef EA_CONFIG_FILE_H
#define EA_CONFIG_FILE_H

#include "base/buf.h"
#include "base/error.h"

#define CONFIG_FILE_BYTES_MAX ((size_t)1024 * 1024)

/*
 * Appends the file to out; pipes work too. EA_NOT_FOUND when there is none, EA_CONFIG for everything else
 * (not readable, a directory, larger than CONFIG_FILE_BYTES_MAX); errors name the path.
 */
enum err config_file_read(const char *path, struct buf *out, struct error *error) EA_MUST_CHECK;

/* A path fit for a message: printable, and short enough to leave room for the words. */
#define CONFIG_SHOWN_PATH_BYTES 72
void config_file_show(const char *path, char out[CONFIG_SHOWN_PATH_BYTES]);

#endif
