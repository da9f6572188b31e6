/*
 * Settings in words, for --help and for docs/configuration.md.
 */
#ifndef EA_CONFIG_SHOW_H
#define EA_CONFIG_SHOW_H

#include "config/row.h"

/* "443; 50051 in development", "number of processors, at most 8", "" when there is none. */
void config_show_default(const struct config_row *row, struct buf *out);

/* A YAML scalar that reads back as exactly `text`: plain where that is safe, else in double quotes. */
void config_show_yaml(struct str text, struct buf *out);

#endif
