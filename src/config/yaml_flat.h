/*
 * The YAML of a configuration file, flattened: maps become dotted keys, sequences of scalars become text with
 * commas. The file is hostile until proven otherwise: its size, depth and number of keys are bounded,
 * duplicate keys, anchors, aliases, tags and second documents are refused. libyaml stays behind this header.
 */
#ifndef EA_CONFIG_YAML_FLAT_H
#define EA_CONFIG_YAML_FLAT_H

#include "base/error.h"

#define YAML_DEPTH_MAX     8
#define YAML_KEYS_MAX      256
#define YAML_KEY_BYTES_MAX 256

enum yaml_kind {
    YAML_SCALAR,
    YAML_LIST,
    YAML_NULL,     /* no value: `key:`, `~`, null */
    YAML_EMPTY_MAP /* a map that says nothing; reported so that a misspelt group is noticed */
};

struct yaml_entry {
    struct str key; /* dotted path */
    enum yaml_kind kind;
    struct str value; /* empty for YAML_NULL and YAML_EMPTY_MAP */
    unsigned line;    /* of the key, from 1 */
    unsigned column;
};

/* Slices live until the callback returns; an error it returns ends the parse. */
typedef enum err (*yaml_entry_fn)(void *arg, const struct yaml_entry *entry, struct error *error);

/* EA_CONFIG: "agent.yaml:3:9: what is wrong". An empty document has no entries. `file` is for messages. */
enum err yaml_parse_flat(struct str text, const char *file, yaml_entry_fn entry, void *arg,
                         struct error *error) EA_MUST_CHECK;

#endif
