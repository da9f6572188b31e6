/* The public functions that show something, and the log on its way to the program. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/internal.h"
#include "client/version.h"
#include "client/words.h"

#define VALUE_BYTES  300
#define FIELDS_MAX   8
#define LINE_BYTES   4096
#define SHOWN_NODES  10
#define SHOWN_EVENTS 5
#define SHOWN_NAME   64 /* bytes of a name in format_stats */

/* --- words --- */

#define WORDS(array, i) ((size_t)(i) < ARRAY_LENGTH(array) ? (array)[i] : "unknown")

const char *election_error_text(enum election_error error)
{
    static const char *const words[] = {
        [ELECTION_OK] = "ok",
        [ELECTION_CONFIG] = "wrong configuration",
        [ELECTION_NOMEM] = "out of memory",
        [ELECTION_SYSTEM] = "the system refuses something",
        [ELECTION_TIMEOUT] = "timed out",
        [ELECTION_CALLBACK] = "not allowed inside a callback",
        [ELECTION_CLOSED] = "closed",
        [ELECTION_NOT_LEADING] = "this node does not lead",
        [ELECTION_FORKED] = "a child of fork() has no part in the election",
        [ELECTION_ABANDONED] = "closed while a callback still runs",
        [ELECTION_INVALID] = "invalid argument",
    };
    return WORDS(words, error);
}

const char *election_state_text(enum election_state state)
{
    return (unsigned)state <= ELECTION_OVER ? failover_states[state].name : "unknown";
}

const char *election_act_text(enum election_act act)
{
    static const char *const words[] = {
        [ELECTION_ACT_ELECTED] = "elected",
        [ELECTION_ACT_HANDED_OVER] = "handed_over",
        [ELECTION_ACT_RESIGNED] = "resigned",
        [ELECTION_ACT_LOST] = "lost",
        [ELECTION_ACT_STEPPED_DOWN] = "stepped_down",
        [ELECTION_ACT_START_FAILED] = "start_failed",
        [ELECTION_ACT_STOP_LATE] = "stop_late",
        [ELECTION_ACT_JOINED] = "joined",
        [ELECTION_ACT_LEFT] = "left",
    };
    return WORDS(words, act);
}

const char *election_version(void)
{
    return ELECTION_VERSION;
}

/* --- log --- */

/* Names come as they are; sentences in the library's own words. */
static void text_value(const struct log_field *field, char out[VALUE_BYTES])
{
    char text[VALUE_BYTES];
    if (strcmp(field->name, "why") != 0 && strcmp(field->name, "error") != 0) {
        (void)str_escape(field->s, out, VALUE_BYTES);
        return;
    }
    (void)str_escape(field->s, text, sizeof text);
    words_translate(out, VALUE_BYTES, text);
}

static void field_value(const struct log_field *field, char out[VALUE_BYTES])
{
    switch (field->type) {
    case LOG_FIELD_STR:
        text_value(field, out);
        break;
    case LOG_FIELD_INT:
        (void)snprintf(out, VALUE_BYTES, "%lld", (long long)field->i);
        break;
    case LOG_FIELD_UINT:
        (void)snprintf(out, VALUE_BYTES, "%llu", (unsigned long long)field->u);
        break;
    }
}

void show_log(struct log_tap *tap, enum log_level level, const char *part, const char *message,
              const struct log_field *fields, size_t n)
{
    const struct election_config *program = &CONTAINER_OF(tap, struct election, tap)->settings.program;
    struct election_field out[FIELDS_MAX];
    char values[FIELDS_MAX][VALUE_BYTES];
    char text[VALUE_BYTES];
    if (program->logger == NULL) {
        return;
    }
    n = n < FIELDS_MAX ? n : FIELDS_MAX;
    for (size_t i = 0; i < n; i++) {
        field_value(&fields[i], values[i]);
        out[i] = (struct election_field){fields[i].name, values[i]};
    }
    (void)snprintf(text, sizeof text, "%s: %s", part, message);
    program->logger(program->user, level > LOG_ERROR ? ELECTION_ERROR : (enum election_level)level, text, out,
                    n);
}

/* One write, so that lines of different threads and processes don't mix. */
void election_log_stderr(void *user, enum election_level level, const char *message,
                         const struct election_field *fields, size_t n)
{
    char line[LINE_BYTES];
    char time[WALL_TEXT_BYTES];
    (void)user;
    wall_format(clock_wall(&clock_system), time);
    size_t at = (size_t)snprintf(line, sizeof line - 1, "%s %s %.512s", time,
                                 log_level_name((enum log_level)level), message);
    for (size_t i = 0; i < n; i++) {
        int more =
            snprintf(line + at, sizeof line - 1 - at, " %.64s=\"%.512s\"", fields[i].name, fields[i].value);
        if (more < 0 || (size_t)more >= sizeof line - 1 - at) {
            break;
        }
        at += (size_t)more;
    }
    line[at++] = '\n';
    (void)!write(STDERR_FILENO, line, at);
}

/* --- facts --- */

static int by_priority(const void *a, const void *b)
{
    const struct election_node *x = a;
    const struct election_node *y = b;
    if (x->priority != y->priority) {
        return x->priority < y->priority ? -1 : 1;
    }
    return strcmp(x->node_id, y->node_id);
}

/* With the lock. */
static void fill_self(const struct election *e, struct election_node *out)
{
    *out = (struct election_node){.priority = e->settings.failover.priority,
                                  .leading = election_is_leader(e),
                                  .self = true,
                                  .last_seen_ms = clock_wall(&clock_system).us / 1000};
    memcpy(out->node_id, e->settings.node_id, sizeof out->node_id);
}

static void fill_nodes(const struct election *e, struct election_stats *out)
{
    const struct failover *f = &e->failover;
    for (size_t i = 0; i < f->n_nodes; i++) {
        const struct failover_node *node = &f->nodes[i];
        struct election_node *to = &out->nodes[out->n_nodes++];
        *to = (struct election_node){.priority = node->priority, .last_seen_ms = node->seen_wall.us / 1000};
        memcpy(to->node_id, node->name, sizeof to->node_id);
        to->self = strcmp(node->name, e->settings.node_id) == 0;
        to->leading = strcmp(node->name, out->leader) == 0;
    }
    qsort(out->nodes, out->n_nodes, sizeof out->nodes[0], by_priority);
}

static void fill_entries(const struct election *e, struct election_stats *out)
{
    uint64_t first = e->n_entries > ELECTION_ENTRIES_MAX ? e->n_entries - ELECTION_ENTRIES_MAX : 0;
    for (uint64_t i = first; i < e->n_entries; i++) {
        out->entries[out->n_entries++] = e->entries[i % ELECTION_ENTRIES_MAX];
    }
}

enum election_error election_node_info(struct election *e, struct election_node *out)
{
    if (e == NULL || out == NULL) {
        return ELECTION_INVALID;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    (void)pthread_mutex_lock(&e->lock);
    fill_self(e, out);
    (void)pthread_mutex_unlock(&e->lock);
    return ELECTION_OK;
}

enum election_error election_stats(struct election *e, struct election_stats *out)
{
    if (e == NULL || out == NULL || out->size != sizeof *out) {
        return ELECTION_INVALID;
    }
    if (show_is_forked(e)) {
        return ELECTION_FORKED;
    }
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    (void)pthread_mutex_lock(&e->lock);
    memcpy(out->project, e->settings.project, sizeof out->project);
    memcpy(out->leader, e->failover.leader, sizeof out->leader);
    out->leader_token = e->failover.leader_token;
    out->is_leader = election_is_leader(e);
    out->revision = election_revision(e);
    out->state = failover_state(&e->failover);
    out->renewed_ms = e->failover.renewed_wall.us / 1000;
    out->store_up = e->store_up && e->phase != PHASE_CLOSED;
    memcpy(out->store_why, e->store_why, sizeof out->store_why);
    fill_nodes(e, out);
    fill_entries(e, out);
    (void)pthread_mutex_unlock(&e->lock);
    return ELECTION_OK;
}

/* --- for people --- */

struct page {
    char *out;
    size_t bytes;
    size_t n;
    bool full;
};

/* A whole line or nothing; after the first that did not fit nothing more is written. */
static void add_line(struct page *page, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_line(struct page *page, const char *format, ...)
{
    va_list args;
    if (page->full) {
        return;
    }
    size_t room = page->bytes - page->n;
    va_start(args, format);
    int n = vsnprintf(page->out + page->n, room, format, args);
    va_end(args);
    page->full = n < 0 || (size_t)n >= room;
    if (page->full) {
        page->out[page->n] = '\0';
    } else {
        page->n += (size_t)n;
    }
}

/* Every character that means something in HTML becomes an entity; a long name is cut, never inside a character. */
#define HTML_BYTES (SHOWN_NAME * 6 + 8)
static const char *html(const char *text, char out[HTML_BYTES])
{
    struct str rest = str_of(text);
    size_t at = 0;
    size_t used = 0;
    while (rest.n > 0) {
        uint32_t code;
        size_t n = str_utf8_next(rest, &code);
        n = n > 0 ? n : 1;
        if (used + n > SHOWN_NAME) {
            at += (size_t)snprintf(out + at, HTML_BYTES - at, "…");
            break;
        }
        const char *entity = rest.p[0] == '<'    ? "&lt;"
                             : rest.p[0] == '>'  ? "&gt;"
                             : rest.p[0] == '&'  ? "&amp;"
                             : rest.p[0] == '"'  ? "&quot;"
                             : rest.p[0] == '\'' ? "&#39;"
                                                 : NULL;
        at += entity != NULL ? (size_t)snprintf(out + at, HTML_BYTES - at, "%s", entity)
                             : (size_t)snprintf(out + at, HTML_BYTES - at, "%.*s", (int)n, rest.p);
        used += n;
        rest.p += n;
        rest.n -= n;
    }
    out[at] = '\0';
    return out;
}

static const char *clock_time(int64_t ms, char out[WALL_TEXT_BYTES])
{
    wall_format((struct wall){ms * 1000}, out);
    out[19] = '\0'; /* to the second */
    return out + 11;
}

/* With the lock: reads what election_stats() copies, without 45 KiB of stack. */
static void write_page(const struct election *e, struct page *page)
{
    const struct failover *f = &e->failover;
    char name[HTML_BYTES];
    char time[WALL_TEXT_BYTES];
    add_line(page, "<b>%s</b>\n", html(e->settings.project, name));
    if (f->leader[0] != '\0') {
        add_line(page, "Leader: <b>%s</b>, token <code>%llu</code>\n", html(f->leader, name),
                 (unsigned long long)f->leader_token);
    } else {
        add_line(page, "Leader: <i>none</i>\n");
    }
    add_line(page, "This node: %s, %s\n", html(e->settings.node_id, name),
             election_state_text(failover_state(f)));
    if (!e->store_up) {
        add_line(page, "Store: <i>%s</i>\n",
                 html(e->store_why[0] != '\0' ? e->store_why : "not connected", name));
    }
    add_line(page, "Alive: %zu\n", f->n_nodes);
    for (size_t i = 0; i < f->n_nodes && i < SHOWN_NODES; i++) {
        const struct failover_node *node = &f->nodes[i];
        add_line(page, "• %s, priority %d, seen %s\n", html(node->name, name), node->priority,
                 clock_time(node->seen_wall.us / 1000, time));
    }
    uint64_t shown = e->n_entries < SHOWN_EVENTS ? e->n_entries : SHOWN_EVENTS;
    for (uint64_t i = e->n_entries - shown; i < e->n_entries; i++) {
        const struct election_entry *entry = &e->entries[i % ELECTION_ENTRIES_MAX];
        add_line(page, "<code>%s</code> %s %s\n", clock_time(entry->time_ms, time),
                 html(entry->node_id, name), election_act_text(entry->act));
    }
}

size_t election_format_stats(struct election *e, char *out, size_t bytes)
{
    if (out == NULL || bytes == 0) {
        return 0;
    }
    struct page page = {.out = out, .bytes = bytes};
    out[0] = '\0';
    if (e != NULL && !show_is_forked(e)) {
        (void)pthread_mutex_lock(&e->lock);
        write_page(e, &page);
        (void)pthread_mutex_unlock(&e->lock);
    }
    return page.n;
}
