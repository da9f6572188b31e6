/*
 * The command line: --key=value or --key value. `-` in a key is taken as `_`, and a switch (--grpc.enable)
 * needs no value. The last of several wins.
 */
#ifndef EA_CONFIG_FLAGS_H
#define EA_CONFIG_FLAGS_H

#include "config/row.h"

struct flags_sink {
    /* A setting. `value` points into argv or to a literal. */
    void (*setting)(void *arg, const struct config_row *row, struct str value);
    /* A name the specification has and this version does not act on. */
    enum err (*later)(void *arg, const struct config_later *later, struct error *error);
    void *arg;
};

/*
 * EA_CONFIG names the flag, and a near one. Where --help or --version is among the arguments, *action says so
 * and nothing else is looked at.
 */
enum err flags_parse(int argc, char **argv, const struct flags_sink *sink, enum config_action *action,
                     struct error *error) EA_MUST_CHECK;

#endif
