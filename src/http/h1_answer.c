#include "http/h1_answer.h"

#include <assert.h>

/* Status line, date, framing and connection fields, with the longest numbers. */
#define FIXED_BYTES 192

struct str h1_reason(int status)
{
    switch (status) {
    case 100:
        return STR("Continue");
    case 200:
        return STR("OK");
    case 201:
        return STR("Created");
    case 202:
        return STR("Accepted");
    case 204:
        return STR("No Content");
    case 304:
        return STR("Not Modified");
    case 400:
        return STR("Bad Request");
    case 401:
        return STR("Unauthorized");
    case 403:
        return STR("Forbidden");
    case 404:
        return STR("Not Found");
    case 405:
        return STR("Method Not Allowed");
    case 406:
        return STR("Not Acceptable");
    case 408:
        return STR("Request Timeout");
    case 409:
        return STR("Conflict");
    case 412:
        return STR("Precondition Failed");
    case 413:
        return STR("Content Too Large");
    case 414:
        return STR("URI Too Long");
    case 415:
        return STR("Unsupported Media Type");
    case 417:
        return STR("Expectation Failed");
    case 429:
        return STR("Too Many Requests");
    case 431:
        return STR("Request Header Fields Too Large");
    case 500:
        return STR("Internal Server Error");
    case 501:
        return STR("Not Implemented");
    case 503:
        return STR("Service Unavailable");
    case 504:
        return STR("Gateway Timeout");
    case 505:
        return STR("HTTP Version Not Supported");
    default:
        return STR("");
    }
}

bool h1_answer_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static char *put(char *out, struct str s)
{
    if (s.n > 0) {
        memcpy(out, s.p, s.n);
    }
    return out + s.n;
}

size_t h1_answer_room(const struct h1_answer *answer)
{
    size_t room = FIXED_BYTES;
    for (size_t i = 0; i < answer->n_fields; i++) {
        room += answer->fields[i].name.n + answer->fields[i].value.n + 4;
    }
    return room;
}

static char *put_status(char *out, int status)
{
    if (status == 200) {
        return put(out, STR("HTTP/1.1 200 OK\r\n"));
    }
    assert(status >= 100 && status <= 999);
    out = put(out, STR("HTTP/1.1 "));
    out += str_from_u64((uint64_t)status, out);
    *out++ = ' ';
    out = put(out, h1_reason(status));
    return put(out, STR("\r\n"));
}

static char *put_framing(char *out, const struct h1_answer *answer)
{
    if (!h1_answer_has_body(answer->status) || answer->framing == H1_BY_CLOSE) {
        return out;
    }
    if (answer->framing == H1_BY_CHUNKS) {
        return put(out, STR("transfer-encoding: chunked\r\n"));
    }
    out = put(out, STR("content-length: "));
    out += str_from_u64(answer->length, out);
    return put(out, STR("\r\n"));
}

size_t h1_answer_write(const struct h1_answer *answer, char *out)
{
    char *at = put_status(out, answer->status);
    at = put(at, STR("date: "));
    at = put(at, answer->date);
    at = put(at, STR("\r\n"));
    for (size_t i = 0; i < answer->n_fields; i++) {
        at = put(at, answer->fields[i].name);
        at = put(at, STR(": "));
        at = put(at, answer->fields[i].value);
        at = put(at, STR("\r\n"));
    }
    at = put_framing(at, answer);
    if (answer->close) {
        at = put(at, STR("connection: close\r\n"));
    } else if (answer->keep_alive) {
        at = put(at, STR("connection: keep-alive\r\n"));
    }
    at = put(at, STR("\r\n"));
    return (size_t)(at - out);
}
