/* HTTP/1.1 as a client sees it: bytes in, exact bytes out, on a clock that the test moves. */
#include "h1_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\ndate: " TEST_DATE "\r\n"

/* The body of an answer: what stands behind the first empty line. */
static const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");
    return end != NULL ? end + 4 : "(no head)";
}

static unsigned count_of(const char *text, const char *what)
{
    unsigned n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        n++;
    }
    return n;
}

/* --- the table: every request gives the same answer however it is cut ------------------------------------
 */

struct row {
    const char *request; /* NULL: made by `make` */
    size_t n;            /* 0: strlen */
    int status;          /* 0: no answer is expected */
    const char *body;    /* exact, or the message of a refusal */
    bool closes;
};

#define GET(more)          "GET /echo HTTP/1.1\r\nHost: a\r\n" more "\r\n"
#define POST(more)         "POST /echo HTTP/1.1\r\nHost: a\r\n" more
#define CHUNKED(more)      POST("Transfer-Encoding: chunked\r\n\r\n" more)
#define SAID(method, body) method " /echo query= host=a accept= body=" body
#define LINE               "the request line is not: method, space, target, space, HTTP/1.1"
#define TARGET             "the request target is not a path or an http URI"
#define VERSION            "the version is neither HTTP/1.1 nor HTTP/1.0, nor HTTP/2 with its preface"
#define FIELD              "a header line is malformed"
#define LENGTH             "content-length is not one decimal number"
#define BOTH               "content-length and transfer-encoding contradict each other"
#define CODING             "transfer-encoding is malformed or does not end in chunked"
#define UNKNOWN            "the only transfer-encoding known here is chunked"
#define CHUNK              "the chunked body is malformed"
#define BARE_LF            "a line feed without a carriage return before it"
#define BARE_CR            "a carriage return without a line feed behind it"
#define FOLDED             "a header line begins with a space: folded lines are obsolete and not accepted"
#define HOST               "the host field is malformed"
#define WITH_NUL(text)     text, sizeof(text) - 1

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

/* --- exact bytes -----------------------------------------------------------------------------------------
 */

/* Sends one request over a connection of its own and returns what came. */
static const char *ask(const char *request)
{
    struct fixture f;
    struct client client;
    fixture_init(&f, NULL);
    client_open(&f, &client, NULL);
    client_send(&client, str_of(request));
    fixture_settle(&f);
    const char *answer = client_take(&client);
    client_fini(&f, &client);
    fixture_fini(&f);
    return answer;
}

static void answers_are_exactly_these_bytes(void **state)
{
    (void)state;
    assert_string_equal(ask(GET("")), OK_HEAD "content-type: text/plain\r\ncontent-length: 37\r\n\r\n"
                                              "GET /echo query= host=a accept= body=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_gets_its_answer),
        cmocka_unit_test(every_request_gets_the_same_answer_byte_by_byte),
        cmocka_unit_test(every_request_gets_the_same_answer_in_pieces_of_seven),
        cmocka_unit_test(answers_are_exactly_these_bytes),
    };
    (void)count_of;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
