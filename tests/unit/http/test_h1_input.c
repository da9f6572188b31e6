/* Requests over HTTP/1.1: every request, its answer, and the limits. */
#include "h1_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A request in the making; each test leaves it empty. */
static struct buf text;

/* --- the table: every request gives the same answer however it is cut --- */

struct row {
    const char *request; /* NULL: made by `make` */
    size_t n;            /* 0: strlen */
    int status;          /* 0: no answer is expected */
    const char *body;    /* exact, or the message of a refusal */
    bool closes;
};

#define CHUNKED(more)  POST("Transfer-Encoding: chunked\r\n\r\n" more)
#define LINE           "the request line is not: method, space, target, space, HTTP/1.1"
#define TARGET         "the request target is not a path or an http URI"
#define VERSION        "the version is neither HTTP/1.1 nor HTTP/1.0, nor HTTP/2 with its preface"
#define FIELD          "a header line is malformed"
#define LENGTH         "content-length is not one decimal number"
#define BOTH           "content-length and transfer-encoding contradict each other"
#define CODING         "transfer-encoding is malformed or does not end in chunked"
#define UNKNOWN        "the only transfer-encoding known here is chunked"
#define CHUNK          "the chunked body is malformed"
#define BARE_LF        "a line feed without a carriage return before it"
#define BARE_CR        "a carriage return without a line feed behind it"
#define FOLDED         "a header line begins with a space: folded lines are obsolete and not accepted"
#define HOST           "the host field is malformed"
#define WITH_NUL(text) text, sizeof(text) - 1

static const struct row rows[] = {
    /* methods and targets */
    {GET(""), 0, 200, SAID("GET", ""), false},
    {POST("Content-Length: 5\r\n\r\nhello"), 0, 200, SAID("POST", "hello"), false},
    {POST("content-LENGTH:5  \r\n\r\nhello"), 0, 200, SAID("POST", "hello"), false},
    {POST("Content-Length: 0\r\n\r\n"), 0, 200, SAID("POST", ""), false},
    {"PUT /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("PUT", ""), false},
    {"PATCH /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("PATCH", ""), false},
    {"DELETE /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("DELETE", ""), false},
    {"OPTIONS /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("OPTIONS", ""), false},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "OPTIONS * query= host=a accept= body=", false},
    {"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "OPTIONS * query= host=b accept= body=", false},
    {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"PROPFIND /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("OTHER", ""), false},
    {"BREW /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi", 0, 200, SAID("OTHER", "hi"), false},
    {"get /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, SAID("OTHER", ""), false},
    {"CONNECT b:443 HTTP/1.1\r\nHost: b\r\n\r\n", 0, 501, "CONNECT is not offered: this is not a proxy",
     true},
    {"GET /echo?a=b&c HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200,
     "GET /echo query=a=b&c host=a accept= body=", false},
    {"GET /echo?? HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "GET /echo query=? host=a accept= body=", false},
    {"GET http://b:8080/echo?x HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200,
     "GET /echo query=x host=b:8080 accept= body=", false},
    {"GET HTTPS://[::1]:8080/echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200,
     "GET /echo query= host=[::1]:8080 accept= body=", false},
    {"GET http://u@b/echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET http:///echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET ftp://b/echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET /echo#f HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, TARGET, true},
    {"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", 0, 404, "", false},
    {"\r\n\r\n" GET(""), 0, 200, SAID("GET", ""), false},
    /* the request line */
    {"GET  /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"GET /echo  HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"GET /echo HTTP/1.1 \r\nHost: a\r\n\r\n", 0, 505, VERSION, true},
    {"GET /echo\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"GET /echo RTSP/1.1\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 0, 505, VERSION, true},
    {"GET /echo HTTP/0.9\r\nHost: a\r\n\r\n", 0, 505, VERSION, true},
    {"GET /echo HTTP/1.2\r\nHost: a\r\n\r\n", 0, 505, VERSION, true},
    {"PRI * HTTP/2.0\r\nHost: a\r\n\r\n", 0, 505, VERSION, true},
    {"GE(T /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"GET\r\nHost: a\r\n\r\n", 0, 400, LINE, true},
    {"\x16\x03\x01\x02", 0, 400, "this is not HTTP (TLS on a plain port?)", true},
    {" GET /echo HTTP/1.1\r\n", 0, 400, "this is not HTTP (TLS on a plain port?)", true},
    /* versions and hosts */
    {"GET /echo HTTP/1.0\r\n\r\n", 0, 200, "GET /echo query= host= accept= body=", true},
    {"GET /echo HTTP/1.1\r\n\r\n", 0, 400, "HTTP/1.1 needs a host field", true},
    {"GET /echo HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 0, 400, "there is more than one host field", true},
    {"GET /echo HTTP/1.1\r\nHost:\r\n\r\n", 0, 200, "GET /echo query= host= accept= body=", false},
    {"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n", 0, 400, HOST, true},
    {"GET /echo HTTP/1.1\r\nHost: a/b\r\n\r\n", 0, 400, HOST, true},
    {"GET /echo HTTP/1.1\r\nHost: a:b\r\n\r\n", 0, 400, HOST, true},
    {"GET /echo HTTP/1.1\r\nHost: [::1\r\n\r\n", 0, 400, HOST, true},
    {"GET /echo HTTP/1.1\r\nHost: [::1]x\r\n\r\n", 0, 400, HOST, true},
    {GET("Connection: close\r\n"), 0, 200, SAID("GET", ""), true},
    {GET("Connection: x, Close\r\n"), 0, 200, SAID("GET", ""), true},
    {GET("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"), 0, 200,
     SAID("GET", ""), false},
    {POST("Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), 0,
     200, SAID("POST", "hi"), false},
    /* fields */
    {GET("Accept: x\r\nACCEPT: y\r\n"), 0, 200, "GET /echo query= host=a accept=x, y body=", false},
    {GET("Accept:\tx y\t \r\n"), 0, 200, "GET /echo query= host=a accept=x y body=", false},
    {GET("X: \xff\xfe\r\n"), 0, 200, SAID("GET", ""), false},
    {GET("Accept : x\r\n"), 0, 400, FIELD, true},
    {GET(": x\r\n"), 0, 400, FIELD, true},
    {GET("Accept\r\n"), 0, 400, FIELD, true},
    {GET("Acc ept: x\r\n"), 0, 400, FIELD, true},
    {GET("Accept: x\x01\r\n"), 0, 400, FIELD, true},
    {GET("Accept: x\x7f\r\n"), 0, 400, FIELD, true},
    {WITH_NUL("GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), 400, FIELD, true},
    {WITH_NUL("GET /echo HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n"), 400, FIELD, true},
    {WITH_NUL("GET /e\0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400, TARGET, true},
    {GET("X: a\r\n b\r\n"), 0, 400, FOLDED, true},
    {GET("X:\r\n\tb\r\n"), 0, 400, FOLDED, true},
    {"GET /echo HTTP/1.1\r\n Host: a\r\n\r\n", 0, 400, FOLDED, true},
    {"GET /echo HTTP/1.1\nHost: a\n\n", 0, 400, BARE_LF, true},
    {GET("X: a\nY: b\r\n"), 0, 400, BARE_LF, true},
    {"GET /echo HTTP/1.1\r\nHost: a\r\n\n", 0, 400, BARE_LF, true},
    {"\nGET /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 400, BARE_LF, true},
    {GET("X: a\rY: b\r\n"), 0, 400, BARE_CR, true},
    {"GET /echo HTTP/1.1\rHost: a\r\n\r\n", 0, 400, BARE_CR, true},
    {"GET /echo HTTP/1.1\r\nHost: a\r\n\rX", 0, 400, BARE_CR, true},
    /* the length of a body: smuggling */
    {POST("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length: 5, 5\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length: +5\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length: -1\r\n\r\n"), 0, 400, LENGTH, true},
    {POST("Content-Length: 0x5\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length: 5 5\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length:\r\n\r\nhello"), 0, 400, LENGTH, true},
    {POST("Content-Length: 99999999999999999999999\r\n\r\n"), 0, 400, LENGTH, true},
    {POST("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 0, 400, BOTH, true},
    {POST("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 0, 400, BOTH, true},
    {POST("Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 0, 501, UNKNOWN, true},
    {POST("Transfer-Encoding: gzip\r\n\r\n"), 0, 501, UNKNOWN, true},
    {POST("Transfer-Encoding: chunked, gzip\r\n\r\n"), 0, 400, CODING, true},
    {POST("Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"), 0, 400, CODING, true},
    {POST("Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), 0, 501, UNKNOWN, true},
    {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, CODING, true},
    {POST("Content-Length: 65537\r\n\r\n"), 0, 413, "the body is larger than 65536 bytes", true},
    {POST("Content-Length: 18446744073709551615\r\n\r\n"), 0, 413, "the body is larger than 65536 bytes",
     true},
    /* chunks */
    {CHUNKED("5\r\nhello\r\n0\r\n\r\n"), 0, 200, SAID("POST", "hello"), false},
    {CHUNKED("3\r\nhel\r\n2\r\nlo\r\n00\r\n\r\n"), 0, 200, SAID("POST", "hello"), false},
    {CHUNKED("a;x;z=\"q\"\r\n0123456789\r\n0;e\r\n\r\n"), 0, 200, SAID("POST", "0123456789"), false},
    {CHUNKED("0\r\n\r\n"), 0, 200, SAID("POST", ""), false},
    {CHUNKED("2\r\nhi\r\n0\r\nX: y\r\nContent-Length: 7\r\n\r\n"), 0, 200, SAID("POST", "hi"), false},
    {CHUNKED("5\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("5\r\nhello\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("5\r\nhelloXX0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("5;a\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("5 \r\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("-5\r\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("0x5\r\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("\r\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 0, 400, CHUNK, true},
    {CHUNKED("0\r\n\n"), 0, 400, BARE_LF, true},
    {CHUNKED("0\r\nX: y\n\r\n"), 0, 400, BARE_LF, true},
    {CHUNKED("0\r\nX: y\rz\r\n\r\n"), 0, 400, BARE_CR, true},
    {CHUNKED("0\r\nX: y\r\n z\r\n\r\n"), 0, 400, FOLDED, true},
    {CHUNKED("0\r\nX : y\r\n\r\n"), 0, 400, FIELD, true},
    /* expectations */
    {GET("Expect: 100-continue\r\n"), 0, 200, SAID("GET", ""), false},
    {GET("Expect: tea\r\n"), 0, 417, "the only expectation known here is 100-continue", true},
    {"GET /echo HTTP/1.0\r\nExpect: tea\r\n\r\n", 0, 200, "GET /echo query= host= accept= body=", true},
    /* other handlers */
    {"GET /early HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "early", false},
    {"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "early", false},
    {"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", 0, 200, "5", false},
    {"POST /upload HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "0", false},
    {"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
     0, 200, "5", false},
    {"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "3\r\none\r\n14\r\ntwo-and-a-half-of-it\r\n0\r\n\r\n",
     false},
    {"GET /stream HTTP/1.0\r\n\r\n", 0, 200, "onetwo-and-a-half-of-it", true},
    {"HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "", false},
    {"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n", 0, 200, "", false},
    {"GET /empty HTTP/1.1\r\nHost: a\r\n\r\n", 0, 204, "", false},
};

static void check_row(const struct row *row, size_t fragment)
{
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    const struct memstream_options cut = {.fragment = fragment};
    client_open(&f, &client, &cut);
    size_t n = row->n > 0 ? row->n : strlen(row->request);
    client_send(&client, str_from(row->request, n));
    fixture_settle(&f);

    char status[32];
    snprintf(status, sizeof status, "HTTP/1.1 %d ", row->status);
    bool closed = client.closed;
    const char *answer = client_take(&client);
    if (strncmp(answer, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 0) {
        answer += 25;
    }
    char wanted[512];
    bool refused = row->status >= 400 && row->closes;
    snprintf(wanted, sizeof wanted, refused ? "{\"message\":\"%s\"}" : "%s", row->body);
    bool right = f.refused == refused && f.last_refused == (refused ? row->status : 0) &&
                 strncmp(answer, status, strlen(status)) == 0 && strcmp(body_of(answer), wanted) == 0 &&
                 closed == row->closes;
    if (!right) {
        print_error("request: %s\nwanted: %d %s closes=%d\ngot (closed=%d): %s\n", row->request, row->status,
                    wanted, row->closes, closed, answer);
    }
    assert_true(right);
    bool says_close = strstr(answer, "\r\nconnection: close\r\n") != NULL;
    assert_int_equal(says_close, row->closes);
    client_fini(&f, &client);
    fixture_fini(&f);
}

static void every_request_gets_its_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], 0);
    }
}

static void every_request_gets_the_same_answer_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], 1);
    }
}

static void every_request_gets_the_same_answer_in_pieces_of_seven(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_row(&rows[i], 7);
    }
}

/* --- limits --- */

/* Sends `text`, checks status and message of the answer (message NULL: of /echo), empties `text`. */
static void check_limit(int status, const char *reason, const char *message)
{
    for (size_t fragment = 0; fragment <= 1000; fragment += 1000) {
        struct fixture f;
        struct client client;
        fixture_init(&f, NULL);
        client_open(&f, &client, &(struct memstream_options){.fragment = fragment});
        client_send(&client, buf_str(&text));
        fixture_settle(&f);
        const char *answer = client_take(&client);
        if (message != NULL) {
            assert_string_equal(answer, refusal(status, reason, message));
        } else {
            assert_memory_equal(answer, OK_HEAD, sizeof OK_HEAD - 1);
        }
        assert_int_equal(client.closed, message != NULL);
        client_fini(&f, &client);
        fixture_fini(&f);
    }
    buf_clear(&text);
}

static void a_request_line_has_at_most_8_kib(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_add_str(&text, STR("GET /echo?"));
        repeat(&text, 'x', 8192 - 10 - 9 + over);
        buf_add_str(&text, STR(" HTTP/1.1\r\nHost: a\r\n\r\n"));
        check_limit(414, "URI Too Long", over ? "the request line is longer than 8192 bytes" : NULL);
    }
    /* Nobody waits for the end of a line that is too long already. */
    buf_add_str(&text, STR("GET /echo?"));
    repeat(&text, 'x', 8192);
    check_limit(414, "URI Too Long", "the request line is longer than 8192 bytes");
}

static void header_fields_have_at_most_16_kib(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_add_str(&text, STR("GET /echo HTTP/1.1\r\nHost: a\r\nX: "));
        repeat(&text, 'x', 16384 - 9 - 5 + over);
        buf_add_str(&text, STR("\r\n\r\n"));
        check_limit(431, "Request Header Fields Too Large",
                    over ? "the header fields are larger than 16384 bytes" : NULL);
    }
}

static void there_are_at_most_100_header_fields(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_add_str(&text, STR("GET /echo HTTP/1.1\r\nHost: a\r\n"));
        for (size_t i = 1; i < 100 + over; i++) {
            buf_add_str(&text, STR("X: y\r\n"));
        }
        buf_add_str(&text, STR("\r\n"));
        check_limit(431, "Request Header Fields Too Large",
                    over ? "there are more than 100 header fields" : NULL);
    }
}

static void lists_of_many_fields_are_bounded(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_add_str(&text, STR("GET /echo HTTP/1.1\r\nHost: a\r\n"));
        for (size_t i = 0; i < (over ? 90 : 20); i++) {
            buf_add_str(&text, STR("Accept: text/plain; charset=utf-8\r\n"));
        }
        buf_add_str(&text, STR("\r\n"));
        check_limit(431, "Request Header Fields Too Large",
                    over ? "the values of header fields that come several times are too large together"
                         : NULL);
    }
}

static void a_body_has_at_most_64_kib(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_format(&text, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", 65536 + over);
        repeat(&text, 'x', 65536 + over);
        check_limit(413, "Content Too Large", over ? "the body is larger than 65536 bytes" : NULL);

        buf_format(&text, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n",
                   65536 + over);
        repeat(&text, 'x', 65536 + over);
        buf_add_str(&text, STR("\r\n0\r\n\r\n"));
        check_limit(413, "Content Too Large", over ? "the body is larger than 65536 bytes" : NULL);
    }
}

static void trailers_have_the_limits_of_header_fields(void **state)
{
    (void)state;
    for (size_t over = 0; over <= 1; over++) {
        buf_add_str(&text, STR(CHUNKED("2\r\nhi\r\n0\r\nX: ")));
        repeat(&text, 'x', 16384 - 5 + over);
        buf_add_str(&text, STR("\r\n\r\n"));
        check_limit(431, "Request Header Fields Too Large",
                    over ? "the header fields are larger than 16384 bytes" : NULL);
    }
}

static void chunks_have_not_much_more_framing_than_content(void **state)
{
    (void)state;
    buf_add_str(&text, STR(CHUNKED("2;")));
    repeat(&text, 'x', 20000);
    buf_add_str(&text, STR("\r\nhi\r\n0\r\n\r\n"));
    check_limit(400, "Bad Request", "the chunked body has more framing than content");
    /* Chunks of one byte are poor, but allowed. */
    buf_add_str(&text, STR(CHUNKED("")));
    for (size_t i = 0; i < 20000; i++) {
        buf_add_str(&text, STR("1\r\nx\r\n"));
    }
    buf_add_str(&text, STR("0\r\n\r\n"));
    check_limit(200, "OK", NULL);
}

static void few_empty_lines_may_come_before_a_request(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, &(struct memstream_options){.fragment = 1});
    client_send(&client, STR("\r\n\r\n\r\n\r\n\r\n"));
    fixture_settle(&f);
    assert_string_equal(client_take(&client),
                        refusal(400, "Bad Request", "too many empty lines before the request"));
    client_fini(&f, &client);
    fixture_fini(&f);
}

/* --- pipelining --- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct one *one = *state;
    say(one, "GET /echo?1 HTTP/1.1\r\nHost: a\r\n\r\n"
             "POST /echo?2 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
             "GET /echo?3 HTTP/1.1\r\nHost: a\r\n\r\nGET /ech");
    const char *answers = client_take(&one->client);
    assert_int_equal(count_of(answers, "HTTP/1.1 200 OK"), 3);
    const char *first = strstr(answers, "query=1");
    const char *second = strstr(answers, "query=2 host=a accept= body=hello");
    const char *third = strstr(answers, "query=3");
    assert_true(first != NULL && second > first && third > second);
    say(one, "o?4 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_non_null(strstr(client_take(&one->client), "query=4"));
}

static void what_follows_an_unanswered_request_waits(void **state)
{
    struct one *one = *state;
    say(one, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" GET("") "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n" GET(""));
    say(one, GET("") "bad");
    assert_int_equal(one->f.requests, 1);
    assert_string_equal(client_take(&one->client), "");

    struct exchange *held = one->f.held;
    exchange_answer(held, 200, NULL, 0, STR("first"));
    exchange_release(held);
    fixture_settle(&one->f);
    assert_int_equal(one->f.requests, 3);
    const char *answers = client_take(&one->client);
    assert_string_equal(body_of(body_of(answers)), SAID("GET", ""));

    exchange_answer(one->f.held, 200, NULL, 0, STR("third"));
    exchange_release(one->f.held);
    fixture_settle(&one->f);
    answers = client_take(&one->client);
    assert_int_equal(count_of(answers, "HTTP/1.1 200 OK"), 3);
    assert_int_equal(one->f.requests, 5);
    say(one, "\r\n\r\n");
    assert_int_equal(count_of(client_take(&one->client), "HTTP/1.1 400 Bad Request"), 1);
}

static void a_client_that_pipelines_without_end_is_not_read(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, &(struct memstream_options){.capacity = 1000});
    client_send(&client, STR("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    fixture_settle(&f);
    repeat(&text, 'x', 1000000);
    client_send_buf(&client, &text);
    fixture_settle(&f);
    /* Of a million bytes only the first read was taken, the rest waits at the client. */
    assert_true(stream_backlog(client.stream) >= 900000);
    client_fini(&f, &client);
    fixture_fini(&f);
}

static void nothing_is_answered_after_the_last_answer(void **state)
{
    struct one *one = *state;
    say(one, GET("Connection: close\r\n") GET(""));
    assert_int_equal(count_of(client_take(&one->client), "HTTP/1.1 200 OK"), 1);
    assert_true(one->client.closed);
    assert_int_equal(one->f.requests, 1);
}

static void a_thousand_pipelined_requests_are_answered(void **state)
{
    struct one *one = *state;
    for (int i = 0; i < 1000; i++) {
        buf_add_str(&text, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client_send_buf(&one->client, &text);
    fixture_settle(&one->f);
    assert_int_equal(count_of(client_take(&one->client), "HTTP/1.1 404"), 1000);
}

static void a_client_that_does_not_read_is_not_answered_without_end(void **state)
{
    (void)state;
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, &(struct memstream_options){.capacity = 1000});
    client.take = 1;
    for (int i = 0; i < 50; i++) {
        buf_add_str(&text, STR("GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    client_send_buf(&client, &text);
    fixture_settle(&f);
    assert_true(f.requests <= 2);
    client.take = 0;
    stream_resume(client.stream);
    fixture_settle(&f);
    assert_int_equal(f.requests, 50);
    assert_true(client.got.n > 5000000);
    client_fini(&f, &client);
    fixture_fini(&f);
}

/* --- expectations, early answers, memory --- */

static void who_expects_it_is_told_to_continue(void **state)
{
    struct one *one = *state;
    say(one, POST("Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n"));
    assert_string_equal(client_take(&one->client), "HTTP/1.1 100 Continue\r\n\r\n");
    say(one, "hello");
    assert_string_equal(body_of(client_take(&one->client)), SAID("POST", "hello"));
    assert_false(one->client.closed);
}

static void an_early_answer_to_who_waits_for_continue_closes(void **state)
{
    struct one *one = *state;
    say(one, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_string_equal(client_take(&one->client),
                        OK_HEAD "content-length: 5\r\nconnection: close\r\n\r\nearly");
    say(one, "hello");
    assert_true(one->client.closed);
}

static void a_body_that_nobody_wants_is_thrown_away_up_to_the_limit(void **state)
{
    struct one *one = *state;
    say(one, "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n");
    assert_string_equal(body_of(client_take(&one->client)), "early");
    repeat(&text, 'x', 65537);
    client_send_buf(&one->client, &text);
    fixture_settle(&one->f);
    assert_true(one->client.closed);
    assert_string_equal(client_take(&one->client), "");
    assert_int_equal(exchanges(one), 0);
}

static void an_idle_connection_holds_no_exchange(void **state)
{
    struct one *one = *state;
    say(one, GET(""));
    assert_int_equal(exchanges(one), 0);
    say(one, "G");
    assert_int_equal(exchanges(one), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_gets_its_answer),
        cmocka_unit_test(every_request_gets_the_same_answer_byte_by_byte),
        cmocka_unit_test(every_request_gets_the_same_answer_in_pieces_of_seven),
        cmocka_unit_test(a_request_line_has_at_most_8_kib),
        cmocka_unit_test(header_fields_have_at_most_16_kib),
        cmocka_unit_test(there_are_at_most_100_header_fields),
        cmocka_unit_test(lists_of_many_fields_are_bounded),
        cmocka_unit_test(a_body_has_at_most_64_kib),
        cmocka_unit_test(trailers_have_the_limits_of_header_fields),
        cmocka_unit_test(chunks_have_not_much_more_framing_than_content),
        cmocka_unit_test(few_empty_lines_may_come_before_a_request),
        ONE(pipelined_requests_are_answered_in_order),
        ONE(what_follows_an_unanswered_request_waits),
        cmocka_unit_test(a_client_that_pipelines_without_end_is_not_read),
        ONE(nothing_is_answered_after_the_last_answer),
        ONE(a_thousand_pipelined_requests_are_answered),
        cmocka_unit_test(a_client_that_does_not_read_is_not_answered_without_end),
        ONE(who_expects_it_is_told_to_continue),
        ONE(an_early_answer_to_who_waits_for_continue_closes),
        ONE(a_body_that_nobody_wants_is_thrown_away_up_to_the_limit),
        ONE(an_idle_connection_holds_no_exchange),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_fini(&text);
    return failed;
}
