#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/mem.h"

/* What ends a line that was cut; room for it is kept free. */
#define TAIL_BYTES_MAX 16

struct line {
    char bytes[LOG_LINE_BYTES];
    size_t n;
    bool json;
    bool cut; /* something didn't fit; nothing but the tail comes any more */
};

static struct log_sink sink = {.format = LOG_FORMAT_TEXT, .fd = STDERR_FILENO, .clock = &clock_system};
static _Atomic int level_now = LOG_INFO;
static __thread struct log_tap *tap __attribute__((tls_model("initial-exec"))); /* static: see base/mem.c */

static const char *const level_names[] = {
    [LOG_DEBUG] = "debug", [LOG_INFO] = "info",   [LOG_WARNING] = "warning",
    [LOG_ERROR] = "error", [LOG_PANIC] = "panic", [LOG_FATAL] = "fatal",
};

void log_set_sink(const struct log_sink *new_sink)
{
    sink = *new_sink;
    if (sink.clock == NULL) {
        sink.clock = &clock_system;
    }
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

struct log_tap *log_use(struct log_tap *fresh)
{
    struct log_tap *before = tap;
    tap = fresh;
    return before;
}

bool log_enabled(enum log_level level)
{
    if (tap != NULL) {
        return level >= tap->level;
    }
    return (int)level >= atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool log_level_parse(struct str s, enum log_level *out)
{
    if (str_eq_nocase(s, STR("warn"))) {
        *out = LOG_WARNING;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(level_names); i++) {
        if (str_eq_nocase(s, str_of(level_names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return (size_t)level < ARRAY_LENGTH(level_names) ? level_names[level] : "unknown";
}

/* The room before the tail, less `keep` bytes. */
static size_t room_of(const struct line *line, size_t keep)
{
    size_t room = sizeof line->bytes - TAIL_BYTES_MAX - line->n;
    return room > keep ? room - keep : 0;
}

/* All of it or nothing. `keep` bytes are left free behind it besides the tail's. */
static void add(struct line *line, struct str s, size_t keep)
{
    if (line->cut || s.n > room_of(line, keep)) {
        line->cut = true;
        return;
    }
    memcpy(line->bytes + line->n, s.p, s.n);
    line->n += s.n;
}

/* Escaped, as much as fits with one byte left for the closing quote. */
static void add_escaped(struct line *line, struct str s)
{
    while (s.n > 0 && !line->cut) {
        size_t plain = str_plain(s);
        size_t room = room_of(line, 1);
        plain = plain < room ? plain : room;
        add(line, str_from(s.p, plain), 1);
        s.p += plain;
        s.n -= plain;
        if (s.n == 0) {
            return;
        }
        char piece[STR_ESCAPED_BYTES_MAX];
        size_t written;
        size_t used = line->json ? str_json_next(s, piece, &written) : str_escape_next(s, piece, &written);
        add(line, str_from(piece, written), 1);
        s.p += used;
        s.n -= used;
    }
}

static void add_quoted(struct line *line, struct str s)
{
    add(line, STR("\""), 1);
    if (line->cut) {
        return;
    }
    add_escaped(line, s);
    line->bytes[line->n++] = '"'; /* its room was kept */
}

/* Whether there is room for the name of a field with the signs around it and at least a short value. */
static bool fits_name(struct line *line, const char *name)
{
    const size_t value_bytes_min = 32;
    if (strlen(name) > room_of(line, value_bytes_min)) {
        line->cut = true;
    }
    return !line->cut;
}

static void add_name(struct line *line, const char *name)
{
    if (line->json) {
        add(line, STR(",\""), 0);
        add(line, str_of(name), 0);
        add(line, STR("\":"), 0);
    } else {
        add(line, STR(" "), 0);
        add(line, str_of(name), 0);
        add(line, STR("="), 0);
    }
}

static void add_field(struct line *line, const struct log_field *field)
{
    if (!fits_name(line, field->name)) {
        return;
    }
    add_name(line, field->name);
    char digits[24];
    size_t n = 0;
    switch (field->type) {
    case LOG_FIELD_STR:
        add_quoted(line, field->s);
        return;
    case LOG_FIELD_INT:
        if (field->i < 0) {
            digits[n++] = '-';
        }
        n += str_from_u64(field->i < 0 ? -(uint64_t)field->i : (uint64_t)field->i, digits + n);
        break;
    case LOG_FIELD_UINT:
        n = str_from_u64(field->u, digits);
        break;
    }
    add(line, str_from(digits, n), 0);
}

static void add_head(struct line *line, enum log_level level, const char *part, const char *message)
{
    char time[WALL_TEXT_BYTES];
    wall_format(clock_wall(sink.clock), time);
    if (line->json) {
        add(line, STR("{\"time\":\""), 0);
        add(line, str_of(time), 0);
        add(line, STR("\",\"level\":\""), 0);
        add(line, str_of(log_level_name(level)), 0);
        add(line, STR("\""), 0);
        add_field(line, &LOG_TEXT("part", part));
        add_field(line, &LOG_TEXT("message", message));
    } else {
        add(line, str_of(time), 0);
        add(line, STR(" "), 0);
        add(line, str_of(log_level_name(level)), 0);
        add(line, STR(" "), 0);
        add_escaped(line, str_of(part));
        add(line, STR(": "), 0);
        add_escaped(line, str_of(message));
    }
}

static void add_tail(struct line *line)
{
    struct str tail = line->json ? (line->cut ? STR(",\"cut\":true}\n") : STR("}\n"))
                                 : (line->cut ? STR(" (cut)\n") : STR("\n"));
    memcpy(line->bytes + line->n, tail.p, tail.n);
    line->n += tail.n;
}

/*
 * One write(2), so that lines of different threads and processes don't mix. It is tried again only where a
 * signal came first or, rarely, a part was taken; a log that can't be written is not worth more than that.
 */
static void put(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, p, n);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return;
        }
        p += written;
        n -= (size_t)written;
    }
}

void log_write(enum log_level level, const char *part, const char *message, const struct log_field *fields,
               size_t n)
{
    int saved_errno = errno;
    if (tap != NULL) {
        tap->take(tap, level, part, message, fields, n);
        errno = saved_errno;
        return;
    }
    struct line line; /* not initialised: four kilobytes of zeros a line would be for nothing */
    line.n = 0;
    line.cut = false;
    line.json = sink.format == LOG_FORMAT_JSON;
    add_head(&line, level, part, message);
    for (size_t i = 0; i < n; i++) {
        add_field(&line, &fields[i]);
    }
    add_tail(&line);
    if (sink.write != NULL) {
        sink.write(sink.arg, level, str_from(line.bytes, line.n));
    } else {
        put(sink.fd, line.bytes, line.n);
    }
    errno = saved_errno;
}
