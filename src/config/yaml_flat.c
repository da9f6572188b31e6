#include "config/yaml_flat.h"

#include <yaml.h>

#include "base/buf.h"
#include "base/mem.h"

/* One open map, with the length of its path in `struct flat`.path. */
struct level {
    size_t path_bytes;
    bool empty;
    yaml_mark_t mark; /* of the key that opened it */
};

struct flat {
    yaml_parser_t parser;
    const char *file;
    yaml_entry_fn entry;
    void *arg;
    struct error *error;
    char path[YAML_KEY_BYTES_MAX]; /* dotted path of the key at hand */
    size_t path_bytes;
    struct level levels[YAML_DEPTH_MAX];
    size_t depth;
    char *seen[YAML_KEYS_MAX]; /* every path so far */
    size_t n_seen;
};

static enum err fail_at(struct flat *flat, yaml_mark_t mark, const char *words)
{
    return error_set(flat->error, EA_CONFIG, "%s:%zu:%zu: %s", flat->file, mark.line + 1, mark.column + 1,
                     words);
}

static enum err next_event(struct flat *flat, yaml_event_t *event)
{
    if (yaml_parser_parse(&flat->parser, event) != 0) {
        return EA_OK;
    }
    const yaml_parser_t *p = &flat->parser;
    if (p->error == YAML_READER_ERROR) {
        return error_set(flat->error, EA_CONFIG, "%s: byte %zu: %s", flat->file, p->problem_offset,
                         p->problem);
    }
    if (p->error == YAML_MEMORY_ERROR) {
        return error_set(flat->error, EA_NOMEM, "%s: out of memory", flat->file);
    }
    return fail_at(flat, p->problem_mark, p->problem != NULL ? p->problem : "not YAML");
}

/* What a file of settings has no use for, and hostile files have. */
static enum err refuse_extras(struct flat *flat, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL;
    const yaml_char_t *tag = NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return fail_at(flat, event->start_mark, "aliases (*name) are not taken; write the value out");
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor != NULL) {
        return fail_at(flat, event->start_mark, "anchors (&name) are not taken");
    }
    if (tag != NULL) {
        return fail_at(flat, event->start_mark, "tags (!name) are not taken");
    }
    return EA_OK;
}

static struct str scalar_text(const yaml_event_t *event)
{
    return str_from((const char *)event->data.scalar.value, event->data.scalar.length);
}

static bool scalar_is_null(const yaml_event_t *event)
{
    struct str s = scalar_text(event);
    return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.n == 0 || str_eq(s, STR("~")) || str_eq_nocase(s, STR("null")));
}

static enum err report(struct flat *flat, enum yaml_kind kind, struct str value, yaml_mark_t mark)
{
    const struct yaml_entry entry = {
        .key = str_from(flat->path, flat->path_bytes),
        .kind = kind,
        .value = value,
        .line = (unsigned)mark.line + 1,
        .column = (unsigned)mark.column + 1,
    };
    return flat->entry(flat->arg, &entry, flat->error);
}

/* Appends the key to the path of the open map, and remembers the whole. */
static enum err enter_key(struct flat *flat, const yaml_event_t *event)
{
    struct level *level = &flat->levels[flat->depth - 1];
    struct str key = scalar_text(event);
    size_t start = level->path_bytes;
    if (key.n == 0) {
        return fail_at(flat, event->start_mark, "a key is empty");
    }
    if (!str_is_utf8(key) || str_has_control(key)) {
        return fail_at(flat, event->start_mark, "a key has control characters");
    }
    if (start + 1 + key.n > sizeof flat->path) {
        return fail_at(flat, event->start_mark, "a key is too long");
    }
    if (start > 0) {
        flat->path[start++] = '.';
    }
    memcpy(flat->path + start, key.p, key.n);
    flat->path_bytes = start + key.n;
    level->empty = false;
    struct str path = str_from(flat->path, flat->path_bytes);
    for (size_t i = 0; i < flat->n_seen; i++) {
        if (str_eq(path, str_of(flat->seen[i]))) {
            char shown[64];
            str_escape(path, shown, sizeof shown);
            return error_set(flat->error, EA_CONFIG, "%s:%zu:%zu: %s is there twice", flat->file,
                             event->start_mark.line + 1, event->start_mark.column + 1, shown);
        }
    }
    if (flat->n_seen == YAML_KEYS_MAX) {
        return fail_at(flat, event->start_mark, "too many keys");
    }
    char *copy = mem_alloc(path.n + 1);
    memcpy(copy, path.p, path.n);
    copy[path.n] = '\0';
    flat->seen[flat->n_seen++] = copy;
    return EA_OK;
}

static enum err open_map(struct flat *flat, yaml_mark_t key_mark, yaml_mark_t mark)
{
    if (flat->depth == YAML_DEPTH_MAX) {
        return fail_at(flat, mark, "maps in maps, too deep");
    }
    flat->levels[flat->depth++] =
        (struct level){.path_bytes = flat->path_bytes, .empty = true, .mark = key_mark};
    return EA_OK;
}

/* The items of a sequence as text with commas. Its start has been read. */
static enum err read_list(struct flat *flat, yaml_mark_t key_mark)
{
    struct buf text = BUF_EMPTY;
    enum err e = EA_OK;
    for (size_t n = 0;; n++) {
        yaml_event_t event;
        e = next_event(flat, &event);
        if (e != EA_OK) {
            break;
        }
        e = refuse_extras(flat, &event);
        bool end = event.type == YAML_SEQUENCE_END_EVENT;
        if (e == EA_OK && !end) {
            if (event.type != YAML_SCALAR_EVENT) {
                e = fail_at(flat, event.start_mark, "a list takes values, not maps or lists");
            } else if (memchr(event.data.scalar.value, ',', event.data.scalar.length) != NULL) {
                e = fail_at(flat, event.start_mark, "a value of a list cannot have a comma in it");
            } else {
                buf_add_str(&text, n > 0 ? STR(",") : STR(""));
                buf_add_str(&text, scalar_text(&event));
            }
        }
        yaml_event_delete(&event);
        if (e != EA_OK || end) {
            break;
        }
    }
    if (e == EA_OK) {
        e = report(flat, YAML_LIST, buf_str(&text), key_mark);
    }
    buf_fini(&text);
    return e;
}

/* A key has been read (its path is set); reads what it stands for, or opens the map it stands for. */
static enum err read_value(struct flat *flat, yaml_mark_t key_mark)
{
    yaml_event_t event;
    enum err e = next_event(flat, &event);
    if (e != EA_OK) {
        return e;
    }
    e = refuse_extras(flat, &event);
    if (e == EA_OK && event.type == YAML_SCALAR_EVENT) {
        e = scalar_is_null(&event) ? report(flat, YAML_NULL, STR(""), key_mark)
                                   : report(flat, YAML_SCALAR, scalar_text(&event), key_mark);
    } else if (e == EA_OK && event.type == YAML_SEQUENCE_START_EVENT) {
        e = read_list(flat, key_mark);
    } else if (e == EA_OK) {
        e = open_map(flat, key_mark, event.start_mark);
    }
    yaml_event_delete(&event);
    return e;
}

static enum err close_map(struct flat *flat)
{
    struct level *level = &flat->levels[--flat->depth];
    flat->path_bytes = level->path_bytes;
    return level->empty && flat->depth > 0 ? report(flat, YAML_EMPTY_MAP, STR(""), level->mark) : EA_OK;
}

/* Inside a map: a key and its value, or the map's end. */
static enum err read_pair(struct flat *flat)
{
    yaml_event_t event;
    enum err e = next_event(flat, &event);
    if (e != EA_OK) {
        return e;
    }
    yaml_mark_t mark = event.start_mark;
    e = refuse_extras(flat, &event);
    if (e == EA_OK && event.type == YAML_MAPPING_END_EVENT) {
        e = close_map(flat);
    } else if (e == EA_OK && event.type != YAML_SCALAR_EVENT) {
        e = fail_at(flat, mark, "a key is a word, not a map or list");
    } else if (e == EA_OK) {
        e = enter_key(flat, &event);
        if (e == EA_OK) {
            e = read_value(flat, mark);
        }
    }
    yaml_event_delete(&event);
    return e;
}

/* One event outside of maps: starts and ends of stream and document, and the root. */
static enum err read_outside(struct flat *flat, unsigned *documents, bool *end)
{
    yaml_event_t event;
    enum err e = next_event(flat, &event);
    if (e != EA_OK) {
        return e;
    }
    e = refuse_extras(flat, &event);
    if (e == EA_OK) {
        switch (event.type) {
        case YAML_DOCUMENT_START_EVENT:
            if (++*documents > 1) {
                e = fail_at(flat, event.start_mark, "a second document (---) is not taken");
            }
            break;
        case YAML_MAPPING_START_EVENT:
            e = open_map(flat, event.start_mark, event.start_mark);
            break;
        case YAML_SCALAR_EVENT:
            if (!scalar_is_null(&event)) {
                e = fail_at(flat, event.start_mark, "expected \"key: value\"");
            }
            break;
        case YAML_SEQUENCE_START_EVENT:
            e = fail_at(flat, event.start_mark, "expected \"key: value\", not a list");
            break;
        case YAML_STREAM_END_EVENT:
            *end = true;
            break;
        default:
            break;
        }
    }
    yaml_event_delete(&event);
    return e;
}

enum err yaml_parse_flat(struct str text, const char *file, yaml_entry_fn entry, void *arg,
                         struct error *error)
{

    struct flat *flat = mem_zalloc(sizeof *flat);
    flat->file = file;
    flat->entry = entry;
    flat->arg = arg;
    flat->error = error;
    enum err e = EA_OK;
    if (yaml_parser_initialize(&flat->parser) == 0) {
        e = error_set(error, EA_NOMEM, "%s: out of memory", file);
        goto out;
    }
    yaml_parser_set_encoding(&flat->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&flat->parser, (const unsigned char *)(text.n > 0 ? text.p : ""), text.n);
    unsigned documents = 0;
    for (bool end = false; e == EA_OK && !end;) {
        e = flat->depth > 0 ? read_pair(flat) : read_outside(flat, &documents, &end);
    }
    yaml_parser_delete(&flat->parser);
out:
    for (size_t i = 0; i < flat->n_seen; i++) {
        mem_free(flat->seen[i]);
    }
    mem_free(flat);
    return e;
}
