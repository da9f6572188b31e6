/*
 * Load over gRPC: so many connections, one request in flight on each, as fast as the server answers or at a
 * given rate. It knows just enough of HTTP/2 to do so at a fraction of a client library's cost, since on a small
 * machine it shares the processors with what it measures; headers of answers are skipped, and an answer counts
 * as good if it carries a message. At a given rate the delay counts from when the request was due, so that a
 * slow server is not spared.
 *
 *     grpc_load --port N --method Campaign --election NAME [--fresh | --spread] [--candidate NAME --term MS]
 *               [--connections N] [--rate N] [--seconds N] [--warm-up-ms N] [--hold]
 *
 * --fresh: each request is about an election of its own, NAME-1, NAME-2...; --spread: each connection has one.
 * --hold: one request on each connection, then says HOLDING and keeps them open until its input ends.
 * Else prints BEGIN and END around what is measured, then one line: requests, seconds, the median, 99th
 * percentile and longest delay in microseconds, failed requests, answers that begin with true (elected, extended).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NAME_BYTES      200 /* shorter than what HPACK and protobuf need a second length byte for */
#define REQUEST_BYTES   1024
#define INPUT_BYTES     16384
#define CONTROL_BYTES   64 /* of a frame that is looked into: PING, the head of DATA */
#define EVENTS          256
#define STREAM_LAST     (UINT32_C(1) << 30)
#define WINDOW_BYTES    (UINT32_C(1) << 24)
#define SECOND_NS       INT64_C(1000000000)
#define DRAIN_NS        (5 * SECOND_NS)
#define DELAYS_AT_FIRST ((size_t)1 << 20)

enum { FRAME_DATA, FRAME_HEADERS, FRAME_RST = 3, FRAME_SETTINGS, FRAME_PING = 6, FRAME_GOAWAY, FRAME_WINDOW };
enum { FLAG_END_STREAM = 1, FLAG_ACK = 1, FLAG_END_HEADERS = 4 };
#define FRAME_HEAD_BYTES 9

struct conn {
    int fd;
    uint32_t stream; /* of the last request */
    bool busy;
    bool good;        /* its answer has a message... */
    bool elected;     /* ...that begins with true */
    uint32_t unacked; /* bytes of DATA since the window was last opened */
    int64_t began_ns;
    struct conn *next_idle;
    uint8_t head[FRAME_HEAD_BYTES + CONTROL_BYTES]; /* of the frame that arrives */
    size_t n;                                       /* of head */
    size_t skip;                                    /* of the frame, still to come */
};

struct load {
    /* options */
    uint16_t port;
    const char *method;
    const char *election;
    const char *candidate;
    long term;
    long connections;
    long rate;
    long seconds;
    long warm_up_ms;
    bool fresh;
    bool spread;
    bool hold;
    /* state */
    int epoll;
    struct conn *conns;
    struct conn *idle;
    uint64_t asked;
    long in_flight;
    bool measuring;
    bool over;
    uint32_t *delays;
    size_t n_delays;
    size_t room;
    uint64_t failed;
    uint64_t elected;
};

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* --- writing --- */

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
    uint32_t big = htonl(value);
    memcpy(p, &big, sizeof big);
    return p + sizeof big;
}

static uint8_t *put_head(uint8_t *p, size_t n, uint8_t type, uint8_t flags, uint32_t stream)
{
    *p++ = (uint8_t)(n >> 16);
    *p++ = (uint8_t)(n >> 8);
    *p++ = (uint8_t)n;
    *p++ = type;
    *p++ = flags;
    return put_u32(p, stream);
}

/* A length of one byte, in HPACK without Huffman code as in protobuf. */
static uint8_t *put_text(uint8_t *p, const char *text)
{
    size_t n = strlen(text);
    if (n > 126) {
        die("too long: %s", text);
    }
    *p++ = (uint8_t)n;
    memcpy(p, text, n);
    return p + n;
}

static uint8_t *put_varint(uint8_t *p, uint64_t value)
{
    for (; value > 127; value >>= 7) {
        *p++ = (uint8_t)(value | 128);
    }
    *p++ = (uint8_t)value;
    return p;
}

/* The agent offers no table to compress headers with, so clients send literals: the first byte accepts that. */
static uint8_t *put_fields(const struct load *load, uint8_t *p)
{
    char path[NAME_BYTES];
    (void)snprintf(path, sizeof path, "/grpc.election_agent.v1.Election/%s", load->method);
    *p++ = 0x20; /* a table of 0 bytes */
    *p++ = 0x83; /* :method POST */
    *p++ = 0x86; /* :scheme http */
    *p++ = 4;
    p = put_text(p, path);
    *p++ = 1; /* :authority */
    p = put_text(p, "localhost");
    *p++ = 0x0F; /* content-type */
    *p++ = 31 - 0x0F;
    p = put_text(p, "application/grpc");
    *p++ = 0x0F; /* user-agent */
    *p++ = 58 - 0x0F;
    p = put_text(p, "grpc_load");
    *p++ = 0;
    p = put_text(p, "te");
    return put_text(p, "trailers");
}

static uint8_t *put_message(struct load *load, const struct conn *conn, uint8_t *p)
{
    char election[NAME_BYTES];
    long place = load->fresh ? (long)load->asked : conn - load->conns;
    load->asked++;
    (void)snprintf(election, sizeof election, load->fresh || load->spread ? "%s-%ld" : "%s", load->election,
                   place);
    *p++ = 1 << 3 | 2;
    p = put_text(p, election);
    if (load->candidate != NULL) {
        *p++ = 2 << 3 | 2;
        p = put_text(p, load->candidate);
        *p++ = 3 << 3;
        p = put_varint(p, (uint64_t)load->term);
    }
    return p;
}

static void write_all(struct load *load, struct conn *conn, const uint8_t *bytes, size_t n)
{
    ssize_t written = send(conn->fd, bytes, n, MSG_NOSIGNAL);
    if (written != (ssize_t)n) { /* a few hundred bytes on a connection that has nothing else under way */
        die("cannot write a request: %s", written < 0 ? strerror(errno) : "the server does not read");
    }
}

static void ask(struct load *load, struct conn *conn, int64_t began_ns)
{
    uint8_t request[REQUEST_BYTES];
    conn->stream += conn->stream == 0 ? 1 : 2;
    if (conn->stream > STREAM_LAST) {
        die("a connection has used up its streams");
    }
    uint8_t *fields = request + FRAME_HEAD_BYTES;
    uint8_t *end = put_fields(load, fields);
    (void)put_head(request, (size_t)(end - fields), FRAME_HEADERS, FLAG_END_HEADERS, conn->stream);
    uint8_t *data = end;
    uint8_t *message = data + FRAME_HEAD_BYTES + 5;
    end = put_message(load, conn, message);
    data = put_head(data, (size_t)(end - message) + 5, FRAME_DATA, FLAG_END_STREAM, conn->stream);
    *data++ = 0; /* not compressed */
    (void)put_u32(data, (uint32_t)(end - message));
    conn->busy = true;
    conn->good = false;
    conn->elected = false;
    conn->began_ns = began_ns;
    load->in_flight++;
    write_all(load, conn, request, (size_t)(end - request));
}

/* --- answers --- */

static void count_delay(struct load *load, int64_t ns)
{
    if (load->n_delays == load->room) {
        load->room *= 2;
        load->delays = realloc(load->delays, load->room * sizeof *load->delays);
        if (load->delays == NULL) {
            die("out of memory");
        }
    }
    load->delays[load->n_delays++] = (uint32_t)(ns / 1000);
}

static void answered(struct load *load, struct conn *conn)
{
    conn->busy = false;
    load->in_flight--;
    if (load->measuring) {
        load->failed += !conn->good;
        load->elected += conn->elected;
        count_delay(load, now_ns() - conn->began_ns);
    }
    if (load->over || load->hold) {
        return;
    }
    if (load->rate == 0) {
        ask(load, conn, now_ns());
    } else {
        conn->next_idle = load->idle;
        load->idle = conn;
    }
}

static void open_window(struct load *load, struct conn *conn, uint32_t n)
{
    uint8_t frame[FRAME_HEAD_BYTES + 4];
    conn->unacked += n;
    if (conn->unacked > WINDOW_BYTES / 2) {
        (void)put_u32(put_head(frame, 4, FRAME_WINDOW, 0, 0), conn->unacked);
        write_all(load, conn, frame, sizeof frame);
        conn->unacked = 0;
    }
}

/* A whole frame; of its payload only the first CONTROL_BYTES are in head. */
static void take_frame(struct load *load, struct conn *conn, size_t length)
{
    uint8_t type = conn->head[3];
    uint8_t flags = conn->head[4];
    const uint8_t *payload = conn->head + FRAME_HEAD_BYTES;
    uint8_t frame[FRAME_HEAD_BYTES + 8];
    if (type == FRAME_DATA) {
        conn->good = conn->good || length >= 5;
        conn->elected = conn->elected || (length >= 7 && payload[5] == 1 << 3 && payload[6] == 1);
        open_window(load, conn, (uint32_t)length);
    } else if (type == FRAME_SETTINGS && (flags & FLAG_ACK) == 0) {
        (void)put_head(frame, 0, FRAME_SETTINGS, FLAG_ACK, 0);
        write_all(load, conn, frame, FRAME_HEAD_BYTES);
    } else if (type == FRAME_PING && (flags & FLAG_ACK) == 0) {
        memcpy(put_head(frame, 8, FRAME_PING, FLAG_ACK, 0), payload, 8);
        write_all(load, conn, frame, sizeof frame);
    } else if (type == FRAME_GOAWAY) {
        die("the server sends a connection away");
    }
    if ((type == FRAME_DATA || type == FRAME_HEADERS) && (flags & FLAG_END_STREAM) != 0) {
        answered(load, conn);
    } else if (type == FRAME_RST) {
        conn->good = false;
        answered(load, conn);
    }
}

static void take_bytes(struct load *load, struct conn *conn, const uint8_t *p, size_t n)
{
    while (n > 0) {
        if (conn->skip > 0) {
            size_t skipped = n < conn->skip ? n : conn->skip;
            conn->skip -= skipped;
            p += skipped;
            n -= skipped;
            continue;
        }
        size_t length = 0;
        size_t wanted = FRAME_HEAD_BYTES;
        if (conn->n >= FRAME_HEAD_BYTES) {
            length = (size_t)conn->head[0] << 16 | (size_t)conn->head[1] << 8 | conn->head[2];
            wanted += length < CONTROL_BYTES ? length : CONTROL_BYTES;
        }
        size_t taken = wanted - conn->n < n ? wanted - conn->n : n;
        memcpy(conn->head + conn->n, p, taken);
        conn->n += taken;
        p += taken;
        n -= taken;
        if (conn->n < wanted) {
            return;
        }
        if (wanted == FRAME_HEAD_BYTES && (conn->head[0] | conn->head[1] | conn->head[2]) != 0 &&
            length == 0) {
            continue; /* now the length is known */
        }
        conn->n = 0;
        conn->skip = length - (wanted - FRAME_HEAD_BYTES);
        take_frame(load, conn, length);
    }
}

static void read_input(struct load *load, struct conn *conn)
{
    uint8_t input[INPUT_BYTES];
    ssize_t n = recv(conn->fd, input, sizeof input, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) {
        die("a connection ended: %s", n < 0 ? strerror(errno) : "the server closed it");
    }
    take_bytes(load, conn, input, (size_t)n);
}

/* --- the run --- */

static void open_conn(struct load *load, struct conn *conn)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    uint8_t hello[128];
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(load->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int yes = 1;
    *conn = (struct conn){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (conn->fd < 0 || connect(conn->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        die("cannot connect to port %u: %s", load->port, strerror(errno));
    }
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    memcpy(hello, preface, sizeof preface - 1);
    uint8_t *p = put_head(hello + sizeof preface - 1, 6, FRAME_SETTINGS, 0, 0);
    *p++ = 0;
    *p++ = 4; /* SETTINGS_INITIAL_WINDOW_SIZE */
    p = put_u32(p, WINDOW_BYTES);
    p = put_u32(put_head(p, 4, FRAME_WINDOW, 0, 0), WINDOW_BYTES);
    write_all(load, conn, hello, (size_t)(p - hello));
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, conn->fd, &event) < 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
}

/* Reads what arrives until then. */
static void wait_until(struct load *load, int64_t until_ns)
{
    struct epoll_event events[EVENTS];
    int64_t ns = until_ns - now_ns();
    struct timespec patience = {0, 0};
    if (ns > 0) {
        patience = (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
    }
    int n = epoll_pwait2(load->epoll, events, EVENTS, &patience, NULL);
    if (n < 0 && errno != EINTR) {
        die("epoll_pwait2: %s", strerror(errno));
    }
    for (int i = 0; i < n; i++) {
        read_input(load, events[i].data.ptr);
    }
}

static void run(struct load *load, int64_t for_ns)
{
    int64_t started = now_ns();
    int64_t end = started + for_ns;
    uint64_t due = 0; /* requests that were due by now */
    for (int64_t now = started; now < end; now = now_ns()) {
        int64_t wake = end;
        if (load->rate > 0) {
            int64_t next = started + (int64_t)due * SECOND_NS / load->rate;
            while (next <= now && load->idle != NULL) {
                struct conn *conn = load->idle;
                load->idle = conn->next_idle;
                ask(load, conn, next);
                due++;
                next = started + (int64_t)due * SECOND_NS / load->rate;
            }
            wake = load->idle != NULL && next < end ? next : end;
        }
        wait_until(load, wake);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void say(const char *word)
{
    (void)puts(word);
    (void)fflush(stdout);
}

static void measure(struct load *load)
{
    for (long i = 0; i < load->connections; i++) {
        struct conn *conn = &load->conns[i];
        if (load->rate == 0) {
            ask(load, conn, now_ns());
        } else {
            conn->next_idle = load->idle;
            load->idle = conn;
        }
    }
    run(load, load->warm_up_ms * 1000000);
    say("BEGIN");
    load->measuring = true;
    int64_t began = now_ns();
    run(load, load->seconds * SECOND_NS);
    double seconds = (double)(now_ns() - began) / 1e9;
    load->measuring = false;
    load->over = true;
    say("END");
    for (int64_t end = now_ns() + DRAIN_NS; load->in_flight > 0 && now_ns() < end;) {
        wait_until(load, end);
    }
    size_t n = load->n_delays;
    if (n == 0 || load->in_flight > 0) {
        die("%zu answers, %ld requests without one", n, load->in_flight);
    }
    qsort(load->delays, n, sizeof *load->delays, compare);
    printf("%zu %.6f %u %u %u %llu %llu\n", n, seconds, load->delays[n / 2], load->delays[n * 99 / 100],
           load->delays[n - 1], (unsigned long long)load->failed, (unsigned long long)load->elected);
}

static void hold(struct load *load)
{
    struct epoll_event input = {.events = EPOLLIN, .data.ptr = NULL};
    struct epoll_event events[EVENTS];
    for (long i = 0; i < load->connections; i++) {
        ask(load, &load->conns[i], now_ns());
        while (load->conns[i].busy) { /* one after the other: this is about what they occupy */
            wait_until(load, now_ns() + SECOND_NS);
        }
    }
    say("HOLDING");
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &input) < 0) {
        die("epoll_ctl: %s", strerror(errno));
    }
    for (;;) {
        int n = epoll_wait(load->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL) {
                return;
            }
            read_input(load, events[i].data.ptr);
        }
    }
}

static long number(const char *text)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 0) {
        die("not a number: %s", text);
    }
    return value;
}

static void parse(struct load *load, int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, NULL, 'p'},      {"method", 1, NULL, 'm'},  {"election", 1, NULL, 'e'},
        {"candidate", 1, NULL, 'c'}, {"term", 1, NULL, 't'},    {"connections", 1, NULL, 'n'},
        {"rate", 1, NULL, 'r'},      {"seconds", 1, NULL, 's'}, {"warm-up-ms", 1, NULL, 'w'},
        {"fresh", 0, NULL, 'f'},     {"spread", 0, NULL, 'd'},  {"hold", 0, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int c = 0; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            load->port = (uint16_t)number(optarg);
            break;
        case 'm':
            load->method = optarg;
            break;
        case 'e':
            load->election = optarg;
            break;
        case 'c':
            load->candidate = optarg;
            break;
        case 't':
            load->term = number(optarg);
            break;
        case 'n':
            load->connections = number(optarg);
            break;
        case 'r':
            load->rate = number(optarg);
            break;
        case 's':
            load->seconds = number(optarg);
            break;
        case 'w':
            load->warm_up_ms = number(optarg);
            break;
        case 'f':
            load->fresh = true;
            break;
        case 'd':
            load->spread = true;
            break;
        case 'h':
            load->hold = true;
            break;
        default:
            exit(2);
        }
    }
    if (load->port == 0 || load->method == NULL || load->election == NULL || load->connections == 0) {
        die("--port, --method and --election are needed, and a connection at least");
    }
}

int main(int argc, char **argv)
{
    struct load load = {.connections = 100, .seconds = 4, .warm_up_ms = 1000, .term = 30000};
    parse(&load, argc, argv);
    struct rlimit files = {.rlim_cur = (rlim_t)load.connections + 64, .rlim_max = 0};
    struct rlimit had;
    if (getrlimit(RLIMIT_NOFILE, &had) == 0 && had.rlim_cur < files.rlim_cur) {
        files.rlim_max = had.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &files) < 0) {
            die("cannot open that many connections: %s", strerror(errno));
        }
    }
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.conns = calloc((size_t)load.connections, sizeof *load.conns);
    load.room = DELAYS_AT_FIRST;
    load.delays = malloc(load.room * sizeof *load.delays);
    if (load.epoll < 0 || load.conns == NULL || load.delays == NULL) {
        die("out of memory or files");
    }
    for (long i = 0; i < load.connections; i++) {
        open_conn(&load, &load.conns[i]);
    }
    if (load.hold) {
        hold(&load);
    } else {
        measure(&load);
    }
    for (long i = 0; i < load.connections; i++) {
        (void)close(load.conns[i].fd);
    }
    free(load.delays);
    free(load.conns);
    (void)close(load.epoll);
    return 0;
}
