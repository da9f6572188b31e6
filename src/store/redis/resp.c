#include "store/redis/resp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

/* --- values, made by hiredis' reader through these --- */

/* NULL: too much of it; the reader then takes it for out of memory and fails. */
static void *allocate(const redisReadTask *task, size_t n)
{
    struct resp_reader *reader = task->privdata;
    if (n > RESP_MEMORY_MAX - reader->memory) {
        return NULL;
    }
    reader->memory += n;
    return arena_alloc(&reader->arena, n);
}

static struct resp_value *place(const redisReadTask *task)
{
    if (task->parent != NULL) {
        struct resp_value *array = task->parent->obj;
        assert(array->type == RESP_ARRAY && (size_t)task->idx < array->n);
        return &array->items[task->idx];
    }
    return allocate(task, sizeof(struct resp_value));
}

static void *create_string(const redisReadTask *task, char *p, size_t n)
{
    struct resp_value *value = place(task);
    char *copy = value != NULL ? allocate(task, n) : NULL;
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, p, n);
    *value = (struct resp_value){
        .type = task->type == REDIS_REPLY_ERROR    ? RESP_ERROR
                : task->type == REDIS_REPLY_STATUS ? RESP_STATUS
                                                   : RESP_STRING,
        .str = {copy, n},
    };
    return value;
}

/* Version 1 of the library counts with size_t. */
#if HIREDIS_MAJOR >= 1
typedef size_t elements;
#else
typedef int elements;
#endif

static void *create_array(const redisReadTask *task, elements n)
{
    struct resp_value *value = place(task);
    size_t count = (size_t)n;
    if (value == NULL || count > RESP_MEMORY_MAX / sizeof *value) {
        return NULL;
    }
    struct resp_value *items = allocate(task, count * sizeof *items);
    if (items == NULL) {
        return NULL;
    }
    memset(items, 0, count * sizeof *items);
    *value = (struct resp_value){.type = RESP_ARRAY, .items = items, .n = count};
    return value;
}

static void *create_integer(const redisReadTask *task, long long integer)
{
    struct resp_value *value = place(task);
    if (value != NULL) {
        *value = (struct resp_value){.type = RESP_INTEGER, .integer = integer};
    }
    return value;
}

static void *create_nil(const redisReadTask *task)
{
    struct resp_value *value = place(task);
    if (value != NULL) {
        *value = (struct resp_value){.type = RESP_NIL};
    }
    return value;
}

static void free_object(void *object)
{
    (void)object; /* the arena's */
}

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
    .freeObject = free_object,
};

/* --- the reader --- */

static void open_reader(struct resp_reader *reader)
{
    reader->memory = 0;
    reader->hiredis = redisReaderCreateWithFunctions(&functions);
    if (reader->hiredis != NULL) {
        reader->hiredis->privdata = reader;
    }
}

static void close_reader(struct resp_reader *reader)
{
    if (reader->hiredis != NULL) {
        redisReaderFree(reader->hiredis);
        reader->hiredis = NULL;
    }
}

void resp_reader_init(struct resp_reader *reader)
{
    arena_init(&reader->arena, reader->block, sizeof reader->block);
    open_reader(reader);
}

void resp_reader_fini(struct resp_reader *reader)
{
    close_reader(reader);
    arena_reset(&reader->arena);
}

void resp_reader_reset(struct resp_reader *reader)
{
    close_reader(reader);
    arena_reset(&reader->arena);
    open_reader(reader);
}

enum err resp_reader_feed(struct resp_reader *reader, const void *bytes, size_t n, struct error *error)
{
    if (reader->hiredis ==
        NULL) { /* hiredis takes memory from the heap: there was none; the connection ends */
        return error_set(error, EA_NOMEM, "out of memory");
    }
    if (redisReaderFeed(reader->hiredis, bytes, n) != REDIS_OK) {
        return error_set(error, EA_PROTOCOL, "a reply could not be taken in");
    }
    if (reader->hiredis->len - reader->hiredis->pos > RESP_BYTES_MAX + n) {
        return error_set(error, EA_PROTOCOL, "a reply is larger than %zu bytes", RESP_BYTES_MAX);
    }
    return EA_OK;
}

enum err resp_reader_next(struct resp_reader *reader, const struct resp_value **out, struct error *error)
{
    void *reply = NULL;
    /* Between replies nothing of the arena is in use; half a reply's values are. */
    if (reader->hiredis->ridx == -1) {
        arena_reset(&reader->arena);
        reader->memory = 0;
    }
    *out = NULL;
    if (redisReaderGetReply(reader->hiredis, &reply) != REDIS_OK) {
        if (reader->hiredis->err == REDIS_ERR_OOM) {
            return error_set(error, EA_PROTOCOL, "a reply is larger than is allowed");
        }
        return error_set_str(error, EA_PROTOCOL, "what it sends is no reply of a Redis",
                             str_of(reader->hiredis->errstr));
    }
    *out = reply;
    return EA_OK;
}

/* --- commands --- */

/* A mark, a number, the end of the line: up to 24 bytes. */
#define LENGTH_BYTES 24

static char *put_length(char *p, char mark, size_t n)
{
    *p++ = mark;
    if (n < 10) { /* nearly all are */
        *p++ = (char)('0' + n);
    } else {
        p += str_from_u64(n, p);
    }
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

void resp_begin(struct buf *out, size_t n)
{
    char *p = buf_reserve(out, LENGTH_BYTES);
    out->n += (size_t)(put_length(p, '*', n) - p);
}

void resp_add(struct buf *out, struct str word)
{
    char *p = buf_reserve(out, LENGTH_BYTES + word.n + 2);
    char *at = put_length(p, '$', word.n);
    if (word.n > 0) {
        memcpy(at, word.p, word.n);
    }
    at += word.n;
    *at++ = '\r';
    *at++ = '\n';
    out->n += (size_t)(at - p);
}

void resp_add_u64(struct buf *out, uint64_t word)
{
    char digits[20];
    resp_add(out, (struct str){digits, str_from_u64(word, digits)});
}

void resp_add_i64(struct buf *out, int64_t word)
{
    char digits[21] = "-";
    uint64_t magnitude = word < 0 ? 0 - (uint64_t)word : (uint64_t)word;
    size_t sign = word < 0;
    resp_add(out, (struct str){digits, sign + str_from_u64(magnitude, digits + sign)});
}

/* --- values --- */

bool resp_to_u64(const struct resp_value *value, uint64_t *out)
{
    if (value->type == RESP_INTEGER && value->integer >= 0) {
        *out = (uint64_t)value->integer;
        return true;
    }
    return value->type == RESP_STRING && str_to_u64(value->str, out);
}

bool resp_to_i64(const struct resp_value *value, int64_t *out)
{
    if (value->type == RESP_INTEGER) {
        *out = value->integer;
        return true;
    }
    return value->type == RESP_STRING && str_to_i64(value->str, out);
}
