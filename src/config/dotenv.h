/*
 * The .env file: lines NAME=value, as shells and other tools write them.
 *
 *     # comment               export NAME=value       NAME=value # comment
 *     NAME='as it stands'     NAME="with \n \t \" \\ \$ as escapes"
 *
 * No variables are expanded, no commands run, and no value spans lines.
 */
#ifndef EA_CONFIG_DOTENV_H
#define EA_CONFIG_DOTENV_H

#include "base/error.h"

/* One entry. The slices live until the callback returns. */
typedef void (*dotenv_entry)(void *arg, unsigned line, struct str name, struct str value);

/* EA_CONFIG: "3: no '=' ..."; entries before the broken line have been reported. `file` is for messages. */
enum err dotenv_parse(struct str text, const char *file, dotenv_entry entry, void *arg,
                      struct error *error) EA_MUST_CHECK;

#endif
