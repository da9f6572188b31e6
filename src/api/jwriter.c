#include "api/jwriter.h"

#include <assert.h>

void jwriter_init(struct jwriter *json, struct arena *arena, char *room, size_t room_bytes)
{
    *json = (struct jwriter){.p = room, .cap = room_bytes, .arena = arena};
}

static char *reserve(struct jwriter *json, size_t n)
{
    if (n > json->cap - json->n) {
        size_t cap = json->cap * 2 > json->n + n ? json->cap * 2 : json->n + n;
        char *p = arena_alloc(json->arena, cap);
        if (json->n > 0) {
            memcpy(p, json->p, json->n);
        }
        json->p = p;
        json->cap = cap;
    }
    return json->p + json->n;
}

static void put(struct jwriter *json, const char *p, size_t n)
{
    if (n > 0) {
        memcpy(reserve(json, n), p, n);
        json->n += n;
    }
}

static void put_key(struct jwriter *json, const char *key)
{
    if (json->comma) {
        put(json, ",", 1);
    }
    json->comma = true;
    if (key != NULL) {
        put(json, "\"", 1);
        put(json, key, strlen(key));
        put(json, "\":", 2);
    }
}

static void open_level(struct jwriter *json, const char *key, bool array)
{
    assert(json->arrays >> 63 == 0);
    put_key(json, key);
    put(json, array ? "[" : "{", 1);
    json->arrays = json->arrays << 1 | (array ? 1U : 0U);
    json->comma = false;
}

void jwriter_object(struct jwriter *json, const char *key)
{
    open_level(json, key, false);
}

void jwriter_array(struct jwriter *json, const char *key)
{
    open_level(json, key, true);
}

void jwriter_end(struct jwriter *json)
{
    put(json, (json->arrays & 1) != 0 ? "]" : "}", 1);
    json->arrays >>= 1;
    json->comma = true;
}

/* The escape of one byte, NULL if it stands for itself. */
static const char *escape_of(unsigned char byte, bool utf8, char room[7])
{
    static const char digits[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    default:
        if (byte >= 0x20 && byte != 0x7f) {
            return byte < 0x80 || utf8 ? NULL : "?";
        }
        memcpy(room, "\\u00", 4);
        room[4] = digits[byte >> 4];
        room[5] = digits[byte & 15];
        room[6] = '\0';
        return room;
    }
}

void jwriter_text(struct jwriter *json, const char *key, struct str value)
{
    bool utf8 = str_is_utf8(value);
    put_key(json, key);
    put(json, "\"", 1);
    size_t from = 0;
    for (size_t i = 0; i < value.n; i++) {
        char room[7];
        const char *escape = escape_of((unsigned char)value.p[i], utf8, room);
        if (escape != NULL) {
            put(json, value.p + from, i - from);
            put(json, escape, strlen(escape));
            from = i + 1;
        }
    }
    if (from < value.n) {
        put(json, value.p + from, value.n - from);
    }
    put(json, "\"", 1);
}

void jwriter_int(struct jwriter *json, const char *key, int64_t value)
{
    put_key(json, key);
    if (value < 0) {
        put(json, "-", 1);
    }
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    json->n += str_from_u64(size, reserve(json, 20));
}

void jwriter_bool(struct jwriter *json, const char *key, bool value)
{
    put_key(json, key);
    if (value) {
        put(json, "true", 4);
    } else {
        put(json, "false", 5);
    }
}

void jwriter_token(struct jwriter *json, const char *key, uint64_t value)
{
    put_key(json, key);
    put(json, "\"", 1);
    json->n += str_from_u64(value, reserve(json, 20));
    put(json, "\"", 1);
}
