#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "kube/internal.h"
#include "kube/items.h"

#define PAUSE_FIRST_US     INT64_C(100000)
#define PAUSE_MOST_US      INT64_C(10000000)
#define PAUSE_DOUBLINGS    7
#define RETRY_AFTER_MOST_S 60

struct kube_verdict kube_judge(long status)
{
    static const struct {
        int status;
        struct kube_verdict verdict;
    } rows[] = {
        {400, {EA_INVALID, false}},     {401, {EA_UNAUTHENTICATED, false}}, {403, {EA_DENIED, false}},
        {404, {EA_NOT_FOUND, false}},   {405, {EA_INVALID, false}},         {409, {EA_HELD, false}},
        {410, {EA_UNAVAILABLE, false}}, {413, {EA_TOO_LARGE, false}},       {415, {EA_INVALID, false}},
        {422, {EA_INVALID, false}},     {429, {EA_EXHAUSTED, true}},        {501, {EA_UNAVAILABLE, false}},
    };
    if (status >= 200 && status < 300) {
        return (struct kube_verdict){EA_OK, false};
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].status == status) {
            return rows[i].verdict;
        }
    }
    return (struct kube_verdict){EA_UNAVAILABLE, status >= 500};
}

/* The API server's words, printable but with its quotes. */
static void printable(struct str words, char *out, size_t cap)
{
    size_t n = 0;
    while (words.n > 0) {
        char c[STR_ESCAPED_BYTES_MAX];
        size_t written = 1;
        size_t used = 1;
        if (words.p[0] == '"') {
            c[0] = '"';
        } else {
            used = str_escape_next(words, c, &written);
        }
        if (n + written >= cap) {
            break;
        }
        memcpy(out + n, c, written);
        n += written;
        words = str_from(words.p + used, words.n - used);
    }
    out[n] = '\0';
}

void kube_explain(struct kube_request *request, enum err err, long status, struct str body)
{
    char message[sizeof request->error.text] = "";
    struct error ignored;
    json_t *doc = NULL;
    if (kube_json_parse(body, &doc, &ignored) == EA_OK) {
        const char *text = json_string_value(json_object_get(doc, "message"));
        const char *reason = json_string_value(json_object_get(doc, "reason"));
        printable(str_of(text), message, sizeof message);
        printable(str_of(reason), request->reason, sizeof request->reason);
        json_decref(doc);
    }
    if (message[0] == '\0') {
        (void)snprintf(message, sizeof message, "the API server answered %ld", status);
    }
    (void)error_set(&request->error, err, "%s: %s", request->what, message);
}

int64_t kube_pause_us(unsigned attempts, int64_t retry_after_s, struct rng *rng)
{
    if (retry_after_s > 0) {
        return (retry_after_s < RETRY_AFTER_MOST_S ? retry_after_s : RETRY_AFTER_MOST_S) * INT64_C(1000000);
    }
    unsigned doublings = attempts > 0 ? attempts - 1 : 0;
    int64_t us = PAUSE_FIRST_US << (doublings < PAUSE_DOUBLINGS ? doublings : PAUSE_DOUBLINGS);
    us = us < PAUSE_MOST_US ? us : PAUSE_MOST_US;
    return rng_range(rng, us / 2, us);
}

/* --- time --- */

static bool digits(struct str text, size_t at, size_t n, int *out)
{
    uint64_t value = 0;
    if (at + n > text.n || !str_to_u64(str_from(text.p + at, n), &value)) {
        return false;
    }
    *out = (int)value;
    return true;
}

/* ".123456789" to microseconds; what it takes of the text. */
static size_t fraction(struct str text, int64_t *us)
{
    size_t n = 1;
    int64_t scale = 100000;
    for (*us = 0; n < text.n && text.p[n] >= '0' && text.p[n] <= '9'; n++, scale /= 10) {
        *us += scale * (text.p[n] - '0');
    }
    return n;
}

/* "Z", "+01:00": seconds east. */
static bool offset(struct str text, int64_t *east_s)
{
    int hours;
    int minutes;
    *east_s = 0;
    if (text.n == 1 && (text.p[0] == 'Z' || text.p[0] == 'z')) {
        return true;
    }
    if (text.n != 6 || (text.p[0] != '+' && text.p[0] != '-') || text.p[3] != ':' ||
        !digits(text, 1, 2, &hours) || !digits(text, 4, 2, &minutes) || hours > 23 || minutes > 59) {
        return false;
    }
    *east_s = (int64_t)(hours * 60 + minutes) * (text.p[0] == '-' ? -60 : 60);
    return true;
}

bool kube_time_parse(struct str text, struct wall *out)
{
    struct tm tm = {.tm_isdst = 0};
    int64_t us = 0;
    int64_t east_s;
    if (text.n < 20 || text.p[4] != '-' || text.p[7] != '-' || (text.p[10] != 'T' && text.p[10] != 't') ||
        text.p[13] != ':' || text.p[16] != ':' || !digits(text, 0, 4, &tm.tm_year) ||
        !digits(text, 5, 2, &tm.tm_mon) || !digits(text, 8, 2, &tm.tm_mday) ||
        !digits(text, 11, 2, &tm.tm_hour) || !digits(text, 14, 2, &tm.tm_min) ||
        !digits(text, 17, 2, &tm.tm_sec)) {
        return false;
    }
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60) {
        return false;
    }
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    text = str_from(text.p + 19, text.n - 19);
    if (text.p[0] == '.') {
        size_t n = fraction(text, &us);
        text = str_from(text.p + n, text.n - n);
    }
    if (!offset(text, &east_s)) {
        return false;
    }
    out->us = ((int64_t)timegm(&tm) - east_s) * 1000000 + us;
    return true;
}

void kube_time_format(struct wall t, char out[KUBE_TIME_BYTES])
{
    char text[WALL_TEXT_BYTES];
    wall_format(t, text);
    int64_t us = t.us % 1000000;
    us = us < 0 ? us + 1000000 : us;
    (void)snprintf(out, KUBE_TIME_BYTES, "%.19s.%06dZ", text, (int)us);
}
