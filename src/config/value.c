#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "base/mem.h"
#include "config/near.h"

#define BUCKET_MIN_S 1e-6 /* durations are counted in whole microseconds */
#define BUCKET_MAX_S 1e6
/* Longest text of a bound that is a number anybody means. */
#define NUMBER_BYTES_MAX 32

/* Enums of all kinds are read and written as int. */
_Static_assert(sizeof(enum config_env) == sizeof(int), "an enum is an int");
_Static_assert(sizeof(enum log_level) == sizeof(int), "an enum is an int");
_Static_assert(sizeof(enum log_format) == sizeof(int), "an enum is an int");
_Static_assert(sizeof(enum config_sync) == sizeof(int), "an enum is an int");

static enum err fail_expected(const struct config_row *row, struct error *error)
{
    struct buf words = BUF_EMPTY;
    config_value_expected(row, &words);
    enum err e = error_set(error, EA_CONFIG, "expected %.*s", STR_ARG(buf_str(&words)));
    buf_fini(&words);
    return e;
}

static char *copy_text(struct str text)
{
    char *z = mem_alloc(text.n + 1);
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    return z;
}

static enum err parse_text(const struct config_row *row, struct str text, char **member, struct error *error)
{
    if (text.n == 0 || (row->high > 0 && text.n > (size_t)row->high)) {
        return fail_expected(row, error);
    }
    *member = copy_text(text);
    return EA_OK;
}

static bool is_address(struct str text)
{
    char z[sizeof((struct sockaddr_un *)NULL)->sun_path];
    if (str_starts(text, STR("unix:"))) {
        struct str path = str_from(text.p + 5, text.n - 5);
        return path.n > 1 && path.n < sizeof z && path.p[0] == '/';
    }
    if (text.n >= sizeof z) {
        return false;
    }
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    struct in6_addr parsed;
    return inet_pton(AF_INET, z, &parsed) == 1 || inet_pton(AF_INET6, z, &parsed) == 1;
}

static enum err parse_address(const struct config_row *row, struct str text, char **member,
                              struct error *error)
{
    if (!is_address(text)) {
        return fail_expected(row, error);
    }
    *member = copy_text(text);
    return EA_OK;
}

static enum err parse_driver(const struct config_row *row, struct str text, char **member,
                             struct error *error)
{
    /* Names that existing configurations use for the one Redis store. */
    if (str_eq_nocase(text, STR("goredis")) || str_eq_nocase(text, STR("rueidis"))) {
        text = STR("redis");
    }
    if (text.n == 0) {
        return fail_expected(row, error);
    }
    *member = copy_text(text);
    return EA_OK;
}

static enum err parse_secret(const struct config_row *row, struct str text, struct config_secret *member,
                             struct error *error)
{
    if (str_eq(text, STR(CONFIG_MASK))) {
        return error_set(error, EA_CONFIG, "this is what --print-config shows in place of a secret");
    }
    if (text.n == 0) {
        return fail_expected(row, error);
    }
    member->text = copy_text(text);
    return EA_OK;
}

/* How many parts str_split() will find. */
static size_t count_items(struct str text)
{
    size_t n = 1;
    for (size_t i = 0; i < text.n; i++) {
        n += text.p[i] == ',';
    }
    return n;
}

static enum err parse_list(const struct config_row *row, struct str text, struct config_list *member,
                           struct error *error)
{
    size_t room = count_items(text);
    if (row->high > 0 && room > (size_t)row->high) {
        return fail_expected(row, error);
    }
    struct config_list list = {.items = mem_zalloc(room * sizeof(char *))};
    for (struct str item; str_split(&text, ',', &item);) {
        item = str_trim(item);
        if (item.n == 0) {
            for (size_t i = 0; i < list.n; i++) {
                mem_free(list.items[i]);
            }
            mem_free(list.items);
            return fail_expected(row, error);
        }
        list.items[list.n++] = copy_text(item);
    }
    *member = list;
    return EA_OK;
}

/* A decimal number as JSON has it, without a sign: strtod() also takes spaces, hexadecimal, "inf", "nan". */
static bool parse_number(struct str text, double *out)
{
    char z[NUMBER_BYTES_MAX + 1];
    if (text.n == 0 || text.n > NUMBER_BYTES_MAX || text.p[0] < '0' || text.p[0] > '9') {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("0123456789.eE+-", text.p[i]) == NULL || text.p[i] == '\0') {
            return false;
        }
    }
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    char *end;
    *out = strtod(z, &end);
    return *end == '\0' && isfinite(*out);
}

static enum err parse_buckets(const struct config_row *row, struct str text, struct config_buckets *member,
                              struct error *error)
{
    size_t room = count_items(text);
    if (room > (size_t)row->high) {
        return fail_expected(row, error);
    }
    struct config_buckets buckets = {.seconds = mem_alloc(room * sizeof(double))};
    double last_us = 0;
    for (struct str item; str_split(&text, ',', &item);) {
        double s = 0;
        /* Two bounds that are the same microsecond would be one bucket that is always empty. */
        if (!parse_number(str_trim(item), &s) || s < BUCKET_MIN_S || s > BUCKET_MAX_S ||
            round(s * 1e6) <= last_us) {
            mem_free(buckets.seconds);
            return fail_expected(row, error);
        }
        last_us = round(s * 1e6);
        buckets.seconds[buckets.n++] = s;
    }
    *member = buckets;
    return EA_OK;
}

/* A whole number within bounds, or `none`, which is the number below them. */
static enum err parse_integer(const struct config_row *row, struct str text, int64_t *member,
                              struct error *error)
{
    bool or_none = (row->flags & CONFIG_OR_NONE) != 0;
    int64_t low = row->low;
    int64_t high = row->type == CONFIG_TYPE_PORT ? UINT16_MAX : row->high;
    if (or_none && str_eq_nocase(text, STR("none"))) {
        *member = low - 1;
        return EA_OK;
    }
    uint64_t v;
    if (str_to_u64(text, &v) && v <= (uint64_t)high && (int64_t)v >= (or_none ? low - 1 : low)) {
        *member = (int64_t)v;
        return EA_OK;
    }
    if (row->type == CONFIG_TYPE_PORT && str_starts(text, STR("tcp://"))) {
        return error_set(error, EA_CONFIG,
                         "expected a port; Kubernetes sets such variables for services: "
                         "enableServiceLinks: false in the pod prevents it");
    }
    return fail_expected(row, error);
}

static enum err parse_bool(const struct config_row *row, struct str text, bool *member, struct error *error)
{
    static const char *const words[2][5] = {{"false", "no", "off", "0", "f"},
                                            {"true", "yes", "on", "1", "t"}};
    for (int v = 0; v < 2; v++) {
        for (size_t i = 0; i < ARRAY_LENGTH(words[v]); i++) {
            if (str_eq_nocase(text, str_of(words[v][i]))) {
                *member = v == 1;
                return EA_OK;
            }
        }
    }
    return fail_expected(row, error);
}

static enum err parse_duration(const struct config_row *row, struct str text, int64_t *member,
                               struct error *error)
{
    int64_t us;
    if (!str_to_duration_us(text, &us) || us < row->low || us > row->high || us % CONFIG_MS_US != 0) {
        return fail_expected(row, error);
    }
    *member = us;
    return EA_OK;
}

static enum err parse_word(const struct config_row *row, struct str text, int *member, struct error *error)
{
    struct near near = {.wanted = text};
    for (const struct config_word *w = row->words; w->word != NULL; w++) {
        if (str_eq_nocase(text, str_of(w->word))) {
            *member = w->value;
            return EA_OK;
        }
        near_try(&near, w->word);
    }
    enum err e = fail_expected(row, error);
    if (near.word != NULL && error != NULL) {
        struct error first = *error;
        return error_set(error, e, "%s (did you mean %s?)", first.text, near.word);
    }
    return e;
}

enum err config_value_parse(const struct config_row *row, struct str text, void *member, struct error *error)
{
    if (text.n > CONFIG_VALUE_BYTES_MAX) {
        return error_set(error, EA_CONFIG, "expected at most %d bytes", CONFIG_VALUE_BYTES_MAX);
    }
    if (!str_is_utf8(text) || str_has_control(text)) {
        return error_set(error, EA_CONFIG, "expected UTF-8 text without control characters");
    }
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        return parse_text(row, text, member, error);
    case CONFIG_TYPE_ADDRESS:
        return parse_address(row, text, member, error);
    case CONFIG_TYPE_DRIVER:
        return parse_driver(row, text, member, error);
    case CONFIG_TYPE_SECRET:
        return parse_secret(row, text, member, error);
    case CONFIG_TYPE_LIST:
        return parse_list(row, text, member, error);
    case CONFIG_TYPE_BUCKETS:
        return parse_buckets(row, text, member, error);
    case CONFIG_TYPE_BOOL:
        return parse_bool(row, text, member, error);
    case CONFIG_TYPE_DURATION:
        return parse_duration(row, text, member, error);
    case CONFIG_TYPE_ENUM_WORDS:
        return parse_word(row, text, member, error);
    case CONFIG_TYPE_COUNT:
    case CONFIG_TYPE_PORT:
        break;
    }
    int64_t v = 0;
    enum err e = parse_integer(row, text, &v, error);
    if (e != EA_OK) {
        return e;
    }
    if (row->type == CONFIG_TYPE_COUNT) {
        *(uint32_t *)member = (uint32_t)v;
    } else {
        *(int *)member = (int)v;
    }
    return EA_OK;
}

/* The shortest text that reads back as v; with an exponent only where it takes one. */
static void print_number(double v, struct buf *out)
{
    char text[NUMBER_BYTES_MAX];
    for (int decimals = 0; decimals <= 9; decimals++) {
        snprintf(text, sizeof text, "%.*f", decimals, v);
        if (strtod(text, NULL) == v) {
            buf_add_str(out, str_of(text));
            return;
        }
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    buf_add_str(out, str_of(text));
}

const char *config_duration_text(int64_t us, char out[CONFIG_DURATION_BYTES])
{
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {
        {CONFIG_HOUR_US, "h"}, {60 * CONFIG_SECOND_US, "m"}, {CONFIG_SECOND_US, "s"}, {CONFIG_MS_US, "ms"}};
    size_t i = 0;
    while (i + 1 < ARRAY_LENGTH(units) && (us == 0 || us % units[i].us != 0)) {
        i++;
    }
    snprintf(out, CONFIG_DURATION_BYTES, "%" PRId64 "%s", us / units[i].us, us == 0 ? "s" : units[i].name);
    return out;
}

static void print_integer(const struct config_row *row, int64_t v, struct buf *out)
{
    if ((row->flags & CONFIG_OR_NONE) != 0 && v < row->low) {
        buf_add_str(out, STR("none"));
        return;
    }
    buf_format(out, "%" PRId64, v);
}

/* Where a password begins is the first colon behind "://", where it ends the last @, however broken the URL. */
static void print_masked(struct str url, struct buf *out)
{
    const char *scheme = memmem(url.p, url.n, "://", 3);
    const char *begin = scheme != NULL ? scheme + 3 : url.p;
    const char *at = memrchr(url.p, '@', url.n);
    const char *colon = at != NULL && at > begin ? memchr(begin, ':', (size_t)(at - begin)) : NULL;
    if (colon == NULL) {
        buf_add_str(out, url);
        return;
    }
    buf_add(out, url.p, (size_t)(colon + 1 - url.p));
    buf_add_str(out, STR(CONFIG_MASK));
    buf_add(out, at, url.n - (size_t)(at - url.p));
}

void config_value_print(const struct config_row *row, const void *member, struct buf *out)
{
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_ADDRESS:
    case CONFIG_TYPE_DRIVER:
        buf_add_str(out, str_of(*(char *const *)member));
        break;
    case CONFIG_TYPE_SECRET:
        buf_add_str(out, ((const struct config_secret *)member)->text != NULL ? STR(CONFIG_MASK) : STR(""));
        break;
    case CONFIG_TYPE_LIST: {
        const struct config_list *list = member;
        for (size_t i = 0; i < list->n; i++) {
            buf_add_str(out, i > 0 ? STR(",") : STR(""));
            if ((row->flags & CONFIG_MASKED) != 0) {
                print_masked(str_of(list->items[i]), out);
            } else {
                buf_add_str(out, str_of(list->items[i]));
            }
        }
        break;
    }
    case CONFIG_TYPE_BUCKETS: {
        const struct config_buckets *buckets = member;
        for (size_t i = 0; i < buckets->n; i++) {
            buf_add_str(out, i > 0 ? STR(",") : STR(""));
            print_number(buckets->seconds[i], out);
        }
        break;
    }
    case CONFIG_TYPE_COUNT:
        print_integer(row, *(const uint32_t *)member, out);
        break;
    case CONFIG_TYPE_PORT:
        print_integer(row, *(const int *)member, out);
        break;
    case CONFIG_TYPE_BOOL:
        buf_add_str(out, *(const bool *)member ? STR("true") : STR("false"));
        break;
    case CONFIG_TYPE_DURATION: {
        char text[CONFIG_DURATION_BYTES];
        buf_add_str(out, str_of(config_duration_text(*(const int64_t *)member, text)));
        break;
    }
    case CONFIG_TYPE_ENUM_WORDS:
        for (const struct config_word *w = row->words; w->word != NULL; w++) {
            if (w->value == *(const int *)member) {
                buf_add_str(out, str_of(w->word));
                break;
            }
        }
        break;
    }
}

const char *config_type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_TYPE_TEXT] = "text",         [CONFIG_TYPE_PATH] = "path",
        [CONFIG_TYPE_ADDRESS] = "address",   [CONFIG_TYPE_DRIVER] = "store",
        [CONFIG_TYPE_SECRET] = "secret",     [CONFIG_TYPE_LIST] = "list",
        [CONFIG_TYPE_BUCKETS] = "list",      [CONFIG_TYPE_COUNT] = "number",
        [CONFIG_TYPE_PORT] = "port",         [CONFIG_TYPE_BOOL] = "bool",
        [CONFIG_TYPE_DURATION] = "duration", [CONFIG_TYPE_ENUM_WORDS] = "word",
    };
    return names[type];
}

static void expected_words(const struct config_word *words, struct buf *out)
{
    for (const struct config_word *w = words; w->word != NULL; w++) {
        if (w != words) {
            buf_add_str(out, w[1].word != NULL ? STR(", ") : STR(" or "));
        }
        buf_add_str(out, str_of(w->word));
    }
}

void config_value_expected(const struct config_row *row, struct buf *out)
{
    char low[CONFIG_DURATION_BYTES];
    char high[CONFIG_DURATION_BYTES];
    const char *or_none = (row->flags & CONFIG_OR_NONE) != 0 ? ", or none" : "";
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
        buf_format(out, "text of 1 to %" PRId64 " bytes",
                   row->high > 0 ? row->high : (int64_t)CONFIG_VALUE_BYTES_MAX);
        break;
    case CONFIG_TYPE_PATH:
        buf_add_str(out, STR("a path"));
        break;
    case CONFIG_TYPE_ADDRESS:
        buf_add_str(out, STR("an IP address such as 127.0.0.1 or ::, or unix:/path"));
        break;
    case CONFIG_TYPE_DRIVER:
        buf_add_str(out, STR("the name of a store"));
        break;
    case CONFIG_TYPE_SECRET:
        buf_add_str(out, STR("a secret"));
        break;
    case CONFIG_TYPE_LIST:
        buf_add_str(out, STR("a list, separated by commas, without empty items"));
        if (row->high > 0) {
            buf_format(out, ", at most %" PRId64, row->high);
        }
        break;
    case CONFIG_TYPE_BUCKETS:
        buf_format(out, "at most %" PRId64 " numbers from 0.000001 to 1000000, ascending", row->high);
        break;
    case CONFIG_TYPE_COUNT:
        buf_format(out, "a whole number from %" PRId64 " to %" PRId64 "%s", row->low, row->high, or_none);
        break;
    case CONFIG_TYPE_PORT:
        buf_format(out, "a port from 0 to 65535%s", or_none);
        break;
    case CONFIG_TYPE_BOOL:
        buf_add_str(out, STR("true or false"));
        break;
    case CONFIG_TYPE_DURATION:
        buf_format(out, "a duration from %s to %s in whole milliseconds", config_duration_text(row->low, low),
                   config_duration_text(row->high, high));
        break;
    case CONFIG_TYPE_ENUM_WORDS:
        expected_words(row->words, out);
        break;
    }
}

static bool text_equal(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool config_value_equal(const struct config_row *row, const void *a, const void *b)
{
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_ADDRESS:
    case CONFIG_TYPE_DRIVER:
        return text_equal(*(char *const *)a, *(char *const *)b);
    case CONFIG_TYPE_SECRET:
        return text_equal(((const struct config_secret *)a)->text, ((const struct config_secret *)b)->text);
    case CONFIG_TYPE_LIST: {
        const struct config_list *x = a;
        const struct config_list *y = b;
        bool equal = x->n == y->n;
        for (size_t i = 0; equal && i < x->n; i++) {
            equal = text_equal(x->items[i], y->items[i]);
        }
        return equal;
    }
    case CONFIG_TYPE_BUCKETS: {
        const struct config_buckets *x = a;
        const struct config_buckets *y = b;
        bool equal = x->n == y->n;
        for (size_t i = 0; equal && i < x->n; i++) {
            equal = x->seconds[i] == y->seconds[i];
        }
        return equal;
    }
    case CONFIG_TYPE_COUNT:
        return *(const uint32_t *)a == *(const uint32_t *)b;
    case CONFIG_TYPE_PORT:
    case CONFIG_TYPE_ENUM_WORDS:
        return *(const int *)a == *(const int *)b;
    case CONFIG_TYPE_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case CONFIG_TYPE_DURATION:
        return *(const int64_t *)a == *(const int64_t *)b;
    }
    return false;
}

void config_value_fini(const struct config_row *row, void *member)
{
    switch (row->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
    case CONFIG_TYPE_ADDRESS:
    case CONFIG_TYPE_DRIVER:
        mem_free(*(char **)member);
        *(char **)member = NULL;
        break;
    case CONFIG_TYPE_SECRET: {
        struct config_secret *secret = member;
        if (secret->text != NULL) {
            explicit_bzero(secret->text, strlen(secret->text));
        }
        mem_free(secret->text);
        secret->text = NULL;
        break;
    }
    case CONFIG_TYPE_LIST: {
        struct config_list *list = member;
        for (size_t i = 0; i < list->n; i++) {
            mem_free(list->items[i]);
        }
        mem_free(list->items);
        *list = (struct config_list){NULL, 0};
        break;
    }
    case CONFIG_TYPE_BUCKETS:
        mem_free(((struct config_buckets *)member)->seconds);
        *(struct config_buckets *)member = (struct config_buckets){NULL, 0};
        break;
    case CONFIG_TYPE_COUNT:
    case CONFIG_TYPE_PORT:
    case CONFIG_TYPE_BOOL:
    case CONFIG_TYPE_DURATION:
    case CONFIG_TYPE_ENUM_WORDS:
        break;
    }
}
