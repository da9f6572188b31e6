/*
 * The elector's flags and variables; one row of options.def each.
 */
#ifndef EA_ELECTOR_OPTIONS_H
#define EA_ELECTOR_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "elector/contest.h"

#define OPTIONS_TEXT_BYTES 1024
#define OPTIONS_NAME_BYTES 254
#define OPTIONS_HOST_BYTES 256

struct address {
    char host[OPTIONS_HOST_BYTES]; /* as listener_options.address wants it */
    uint16_t port;
};

enum backend { BACKEND_KUBERNETES, BACKEND_AGENT };

#define OPTIONS_C_TEXT(member)       char member[OPTIONS_TEXT_BYTES] /* empty: not given */
#define OPTIONS_C_NAME(member)       char member[OPTIONS_NAME_BYTES]
#define OPTIONS_C_ADDRESS(member)    struct address member
#define OPTIONS_C_SECONDS(member)    int64_t member /* us */
#define OPTIONS_C_STRATEGY(member)   enum contest_strategy member
#define OPTIONS_C_BACKEND(member)    enum backend member
#define OPTIONS_C_LOG_FORMAT(member) enum log_format member
#define OPTIONS_C_LOG_LEVEL(member)  enum log_level member

struct options {
#define O(type, member, ...) OPTIONS_C_##type(member);
#include "elector/options.def"
#undef O
};

enum options_action { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

/* Reads flags over variables over defaults, and checks that they fit together. EA_CONFIG, with the name, the value and
 * what would be right. env: NAME=value, ended by NULL. `options` is complete only for OPTIONS_RUN. */
enum err options_read(struct options *options, int argc, char *const *argv, char *const *env,
                      enum options_action *action, struct error *error) EA_MUST_CHECK;

/* Appends what --help prints. */
void options_help(struct buf *out);

#endif
