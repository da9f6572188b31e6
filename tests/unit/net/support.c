#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "net/memstream.h"
#include "net/plain.h"

/* --- certificates --- */

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* Signed by `by`, or by itself. */
static struct identity issue(const char *name, const struct identity *by, long serial)
{
    struct identity made = {EVP_EC_gen("P-256"), X509_new()};
    X509 *issuer = by != NULL ? by->cert : made.cert;
    X509_NAME *subject = X509_get_subject_name(made.cert);

    assert_non_null(made.key);
    assert_int_equal(X509_set_version(made.cert, X509_VERSION_3), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), serial);
    X509_gmtime_adj(X509_getm_notBefore(made.cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), 3600);
    X509_set_pubkey(made.cert, made.key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.cert, X509_get_subject_name(issuer));
    if (by == NULL) {
        extend(made.cert, issuer, NID_basic_constraints, "critical,CA:TRUE");
    } else {
        extend(made.cert, issuer, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    }
    assert_true(X509_sign(made.cert, by != NULL ? by->key : made.key, EVP_sha256()) > 0);
    return made;
}

static void save(const struct certificates *c, const struct identity *identity, const char *name,
                 char cert[96], char key[96])
{
    FILE *file;

    (void)snprintf(cert, 96, "%s/%s.pem", c->folder, name);
    file = fopen(cert, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, identity->cert), 1);
    assert_int_equal(fclose(file), 0);
    if (key != NULL) {
        (void)snprintf(key, 96, "%s/%s.key", c->folder, name);
        file = fopen(key, "w");
        assert_non_null(file);
        assert_int_equal(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
        assert_int_equal(fclose(file), 0);
    }
}

static void forget(struct identity *identity)
{
    X509_free(identity->cert);
    EVP_PKEY_free(identity->key);
}

void certificates_make(struct certificates *c)
{
    struct identity ca = issue("test authority", NULL, 1);
    struct identity other = issue("other authority", NULL, 2);
    struct identity server = issue("server", &ca, 3);
    struct identity client = issue("client", &ca, 4);

    (void)snprintf(c->folder, sizeof c->folder, "/tmp/ea-test-net-XXXXXX");
    assert_non_null(mkdtemp(c->folder));
    save(c, &ca, "ca", c->ca, NULL);
    save(c, &other, "other", c->other, NULL);
    save(c, &server, "server", c->server, c->server_key);
    save(c, &client, "client", c->client, c->client_key);
    forget(&ca);
    forget(&other);
    forget(&server);
    forget(&client);
}

void certificates_remove(const struct certificates *c)
{
    const char *const files[] = {c->ca, c->other, c->server, c->server_key, c->client, c->client_key};

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        assert_int_equal(unlink(files[i]), 0);
    }
    assert_int_equal(rmdir(c->folder), 0);
}

/* --- pairs --- */

const char *const kind_names[KINDS] = {
    [KIND_TCP] = "tcp",
    [KIND_UNIX] = "unix",
    [KIND_MEMORY] = "memory",
    [KIND_MEMORY_IN_PIECES] = "memory in pieces",
    [KIND_TLS_OVER_MEMORY] = "tls over memory",
    [KIND_TLS_IN_PIECES] = "tls over memory in pieces",
    [KIND_TLS_OVER_TCP] = "tls over tcp",
};

bool kind_is_tls(enum kind kind)
{
    return kind == KIND_TLS_OVER_MEMORY || kind == KIND_TLS_IN_PIECES || kind == KIND_TLS_OVER_TCP;
}

void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listening = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listening, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listening, 1), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (const struct sockaddr *)&address, size), 0);
    fds[1] = accept(listening, NULL, NULL);
    assert_true(fds[1] >= 0);
    (void)close(listening);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
    }
}

static void socket_pair(struct loop *loop, bool tcp, struct stream **a, struct stream **b)
{
    int fds[2];

    if (tcp) {
        tcp_pair(fds);
    } else {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    }
    assert_int_equal(plain_stream_new(a, loop, fds[0], NULL), EA_OK);
    assert_int_equal(plain_stream_new(b, loop, fds[1], NULL), EA_OK);
}

void pair_make(struct loop *loop, enum kind kind, struct tls_context *client, struct tls_context *server,
               struct stream **a, struct stream **b)
{
    struct memstream_options options = {.capacity = (size_t)64 * 1024};

    if (kind == KIND_TCP || kind == KIND_UNIX || kind == KIND_TLS_OVER_TCP) {
        socket_pair(loop, kind != KIND_UNIX, a, b);
    } else {
        if (kind == KIND_MEMORY_IN_PIECES || kind == KIND_TLS_IN_PIECES) {
            options = (struct memstream_options){.capacity = 1000, .fragment = 7};
        }
        memstream_pair(loop, &options, a, b);
    }
    if (kind_is_tls(kind)) {
        *a = tls_stream(*a, client, STR("localhost"));
        *b = tls_stream(*b, server, STR(""));
    }
}

/* --- a handler that remembers --- */

static void on_data(struct stream *stream, const uint8_t *bytes, size_t n)
{
    struct end *end = stream->user;

    assert_false(end->asked);
    assert_true(n > 0);
    end->datas++;
    buf_add(&end->got, bytes, n);
    if (end->do_data != NULL) {
        end->do_data(end, bytes, n);
    }
}

static void on_end(struct stream *stream)
{
    struct end *end = stream->user;

    assert_false(end->asked);
    end->ends++;
    if (end->do_end != NULL) {
        end->do_end(end);
    }
}

static void on_flush(struct stream *stream)
{
    struct end *end = stream->user;

    assert_false(end->asked);
    end->flushes++;
    if (end->do_flush != NULL) {
        end->do_flush(end);
    }
}

static void on_drain(struct stream *stream)
{
    struct end *end = stream->user;

    assert_false(end->asked);
    end->drains++;
    if (end->do_drain != NULL) {
        end->do_drain(end);
    }
}

static void on_closed(struct stream *stream, enum err why)
{
    struct end *end = stream->user;

    assert_int_equal(end->inside, 0);
    assert_int_equal(end->closes, 0);
    end->closes++;
    end->why = why;
    if (end->do_closed != NULL) {
        end->do_closed(end);
    }
    end->stream = NULL;
}

static const struct stream_handler handler = {on_data, on_end, on_flush, on_drain, on_closed};
static const struct stream_handler handler_without_end = {on_data, NULL, on_flush, on_drain, on_closed};

static void start(struct end *end, struct stream *stream, const struct stream_handler *with)
{
    end->stream = stream;
    end->inside++;
    stream_start(stream, with, end);
    end->inside--;
}

void end_start(struct end *end, struct stream *stream)
{
    start(end, stream, &handler);
}

void end_start_without_end(struct end *end, struct stream *stream)
{
    start(end, stream, &handler_without_end);
}

void end_close(struct end *end)
{
    end->asked = true;
    end->inside++;
    stream_close(end->stream);
    end->inside--;
}

void end_abort(struct end *end)
{
    end->asked = true;
    end->inside++;
    stream_abort(end->stream);
    end->inside--;
}

void end_write(struct end *end, const void *bytes, size_t n)
{
    end->inside++;
    stream_write(end->stream, bytes, n);
    end->inside--;
}

void settle(struct loop *loop)
{
    for (unsigned i = 0; i < 50; i++) {
        for (unsigned n = 0; loop_step(loop); n++) {
            assert_true(n < 1000000);
        }
    }
}

uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

void pattern_fill(uint8_t *out, size_t at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = pattern(at + i);
    }
}
