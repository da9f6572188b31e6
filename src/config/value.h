/*
 * One setting's value: from text, to text, compared, freed; by the type of its row. Nothing here knows where
 * a value comes from.
 */
#ifndef EA_CONFIG_VALUE_H
#define EA_CONFIG_VALUE_H

#include "config/row.h"

/* No value is longer: paths of the system end here. */
#define CONFIG_VALUE_BYTES_MAX 4096
/* What stands in for a secret. As a value it is refused: somebody loads what --print-config printed. */
#define CONFIG_MASK "********"

/*
 * Reads text into *member, which is zeroed or unset memory of the row's type. EA_CONFIG with words that say
 * what was expected ("expected a whole number from 1 to 64"), without the value; *member needs no fini then.
 */
enum err config_value_parse(const struct config_row *row, struct str text, void *member,
                            struct error *error) EA_MUST_CHECK;

/* As config_value_parse() takes it; a secret as its mask, no value as nothing. */
void config_value_print(const struct config_row *row, const void *member, struct buf *out);

/* One word for a kind of value: "duration". */
const char *config_type_name(enum config_type type);

/* What values the row takes: "true or false", "a duration from 1s to 24h". */
void config_value_expected(const struct config_row *row, struct buf *out);

/* In the largest unit that leaves a whole number: "90s", "24h". `us` is a whole number of milliseconds.
 * Returns out. */
#define CONFIG_DURATION_BYTES 32
const char *config_duration_text(int64_t us, char out[CONFIG_DURATION_BYTES]);

/* Two members of the row's type. */
bool config_value_equal(const struct config_row *row, const void *a, const void *b);

/* Frees what the member holds. */
void config_value_fini(const struct config_row *row, void *member);

#endif
