/* What tls.c and tls_context.c share. */
#ifndef EA_NET_TLS_PRIVATE_H
#define EA_NET_TLS_PRIVATE_H

#include <stdatomic.h>

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* of tls.c, made with the context so that there is no global one */
    atomic_uint references;
    bool server;
    unsigned char alpn[64]; /* as on the wire: a length byte before each name */
    unsigned alpn_n;
};

void tls_context_hold(struct tls_context *context);

/* tls.c's methods, put into a new table. NULL: out of memory. */
BIO_METHOD *tls_bio_method(void);

/* Takes this thread's OpenSSL errors off the queue; the words of the first, or `otherwise`. Static text. */
const char *tls_error_words(const char *otherwise);

#endif
