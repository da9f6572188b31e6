/*
 * The log: one line an event, with time, level, message and fields; JSON or text. Any thread.
 *
 * A line begins with the part of the program that speaks (`net`, `store`, ...). Foreign bytes are escaped
 * here, so callers pass them as they are. A line is formatted on the caller's stack and written with one
 * write(2); nothing is queued. A line is at most LOG_LINE_BYTES long: what doesn't fit is cut, which the line
 * says at its end (" (cut)", or "cut":true). errno stays. Nothing is logged per request at info.
 *
 *     2026-11-24T13:10:09.123Z info store: opened path="/var/lib/x" leases=3
 *     {"time":"2026-11-24T13:10:09.123Z","level":"info","part":"store","message":"opened","path":...,"leases":3}
 *
 *     log_info("store", "opened", LOG_STR("path", path), LOG_INT("leases", n));
 */
#ifndef EA_BASE_LOG_H
#define EA_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/str.h"

#define LOG_LINE_BYTES 4096

/* `panic` and `fatal` are names that existing configurations use for "almost nothing". */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR, LOG_PANIC, LOG_FATAL };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

struct log_field {
    const char *name;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_UINT } type;
    struct str s;
    int64_t i;
    uint64_t u;
};

#define LOG_STR(k, v)  ((struct log_field){.name = (k), .type = LOG_FIELD_STR, .s = (v)})
#define LOG_TEXT(k, v) ((struct log_field){.name = (k), .type = LOG_FIELD_STR, .s = str_of(v)})
#define LOG_INT(k, v)  ((struct log_field){.name = (k), .type = LOG_FIELD_INT, .i = (int64_t)(v)})
#define LOG_UINT(k, v) ((struct log_field){.name = (k), .type = LOG_FIELD_UINT, .u = (uint64_t)(v)})

/* Where lines go. The process has one sink; set it before threads start. Default: text to file descriptor 2
 * from info. */
struct log_sink {
    enum log_format format;
    int fd;
    void (*write)(void *arg, enum log_level level,
                  struct str line); /* instead of fd when set; line ends in \n */
    void *arg;
    const struct clock *clock; /* NULL: the system's */
};

/* Copied. Before threads start. */
void log_set_sink(const struct log_sink *sink);

/* Where the lines of one thread go instead, not yet formatted: for a library, whose process has a log of its own. */
struct log_tap {
    enum log_level level; /* lesser ones are not taken */
    void (*take)(struct log_tap *tap, enum log_level level, const char *part, const char *message,
                 const struct log_field *fields, size_t n);
};

/* Of this thread from now on; NULL: the process's sink. Returns the one before. */
struct log_tap *log_use(struct log_tap *fresh);

/* May change while threads run (SIGHUP). */
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* A level's name in any case; also "warn". */
bool log_level_parse(struct str s, enum log_level *out) EA_MUST_CHECK;
const char *log_level_name(enum log_level level);

/* One line, whatever the level: the macros below ask log_enabled() before they make the fields. Values are escaped. Any
 * thread. */
void log_write(enum log_level level, const char *part, const char *message, const struct log_field *fields,
               size_t n);

#define LOG_AT(level, part, message, ...)                                           \
    do {                                                                            \
        if (log_enabled(level)) {                                                   \
            const struct log_field log_fields_[] = {{.name = NULL}, ##__VA_ARGS__}; \
            log_write(level, part, message, log_fields_ + 1,                        \
                      sizeof log_fields_ / sizeof log_fields_[0] - 1);              \
        }                                                                           \
    } while (0)

#define log_debug(part, ...)   LOG_AT(LOG_DEBUG, part, __VA_ARGS__)
#define log_info(part, ...)    LOG_AT(LOG_INFO, part, __VA_ARGS__)
#define log_warning(part, ...) LOG_AT(LOG_WARNING, part, __VA_ARGS__)
#define log_error(part, ...)   LOG_AT(LOG_ERROR, part, __VA_ARGS__)

#endif
