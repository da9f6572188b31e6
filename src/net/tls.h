/* TLS contexts (OpenSSL 3): certificates, verification, ALPN. A context may be shared by loops; a reload
 * makes a new one. */
#ifndef EA_NET_TLS_H
#define EA_NET_TLS_H

#include "base/error.h"
#include "net/stream.h"

struct tls_context;

struct tls_options {
    bool server;
    const char *cert_file; /* PEM chain; required for a server */
    const char *key_file;
    const char *ca_file; /* server: clients must show a certificate signed by it. Client: trust it instead of
                            the system's. */
    const char *alpn[3]; /* in order of preference, NULL-terminated */
};

/* EA_CONFIG with an error that names the file. TLS 1.2 and up. */
enum err tls_context_new(struct tls_context **out, const struct tls_options *options,
                         struct error *error) EA_MUST_CHECK;

/* Counted: streams hold their context. Any thread. */
void tls_context_release(struct tls_context *context);

/* A stream that speaks TLS over `inner`, which it owns from now on (inner must not have been started).
 * `server_name` for clients: sent and verified; empty for servers. */
struct stream *tls_stream(struct stream *inner, struct tls_context *context, struct str server_name);

/* Why the TLS of this stream failed ("self-signed certificate"), for the log; empty if it did not. Also valid
 * in on_closed, where the code is EA_UNAUTHENTICATED if the peer's certificate was refused, EA_PROTOCOL for
 * other failures, EA_CLOSED if the connection ended without saying so. */
const char *tls_stream_failure(const struct stream *stream);

#endif
