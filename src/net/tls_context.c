#include <assert.h>
#include <errno.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/mem.h"
#include "net/tls.h"
#include "net/tls_private.h"

/* TLS 1.2 with forward secrecy and authenticated encryption only, as HTTP/2 wants it (RFC 9113, 9.2.2). */
static const char ciphers_tls12[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

/* Sessions resumed by ticket belong to this service; needed as soon as clients are verified. */
static const unsigned char session_context[] = "election-agent";

static const char *words_of(unsigned long code, const char *otherwise)
{
    const char *words = NULL;

    if (code != 0) {
        words =
            ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    }
    return words != NULL ? words : otherwise;
}

const char *tls_error_words(const char *otherwise)
{
    const char *words = words_of(ERR_get_error(), otherwise);

    ERR_clear_error();
    return words;
}

/* That something below failed, and not why. */
static bool names_no_cause(unsigned long code)
{
    return !ERR_SYSTEM_ERROR(code) && (code & ERR_RFLAG_COMMON) != 0 && (code & ERR_RFLAG_FATAL) == 0;
}

/* "cannot WHAT FILE: why". A lack of memory counts wherever OpenSSL's queue has it: what it says first is often only
 * what followed from that. Where no cause is named, there was none left to name it with. */
static enum err refuse(struct error *error, const char *what, const char *file)
{
    const char *words = words_of(ERR_peek_error(), "unknown reason");
    bool memory = true;
    unsigned long code;

    while ((code = ERR_get_error()) != 0) {
        if (ERR_GET_REASON(code) == (ERR_SYSTEM_ERROR(code) ? ENOMEM : ERR_R_MALLOC_FAILURE)) {
            memory = true;
            break;
        }
        memory = memory && names_no_cause(code);
    }
    ERR_clear_error();
    return memory ? error_set(error, EA_NOMEM, "cannot %s%s: out of memory", what, file)
                  : error_set(error, EA_CONFIG, "cannot %s%s: %s", what, file, words);
}

/* A key that is encrypted must not make the daemon ask for a password on the terminal. */
static int no_password(char *out, int cap, int writing, void *user)
{
    return 0;
}

static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_n,
                       const unsigned char *offered, unsigned offered_n, void *user)
{
    const struct tls_context *context = user;
    unsigned char *found;

    if (SSL_select_next_proto(&found, chosen_n, context->alpn, context->alpn_n, offered, offered_n) !=
        OPENSSL_NPN_NEGOTIATED) {
        /* Who comes for another protocol (or is made to come, ALPACA) is told so: RFC 7301, 3.2. */
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static enum err set_alpn(struct tls_context *context, const struct tls_options *options, struct error *error)
{
    for (size_t i = 0; i < ARRAY_LENGTH(options->alpn) && options->alpn[i] != NULL; i++) {
        size_t n = strlen(options->alpn[i]);

        if (n == 0 || context->alpn_n + 1 + n > sizeof context->alpn) {
            return error_set(error, EA_CONFIG, "unusable protocol name for ALPN: %s", options->alpn[i]);
        }
        context->alpn[context->alpn_n] = (unsigned char)n;
        memcpy(context->alpn + context->alpn_n + 1, options->alpn[i], n);
        context->alpn_n += 1 + (unsigned)n;
    }
    if (context->alpn_n > 0 && context->server) {
        SSL_CTX_set_alpn_select_cb(context->ctx, choose_alpn, context);
    } else if (context->alpn_n > 0 &&
               SSL_CTX_set_alpn_protos(context->ctx, context->alpn, context->alpn_n) != 0) {
        return error_set(error, EA_NOMEM, "cannot set up TLS: out of memory");
    }
    return EA_OK;
}

static enum err load_identity(SSL_CTX *ctx, const struct tls_options *options, struct error *error)
{
    if (options->cert_file == NULL) {
        return options->server ? error_set(error, EA_CONFIG, "a TLS server needs a certificate") : EA_OK;
    }
    if (options->key_file == NULL) {
        return error_set(error, EA_CONFIG, "the certificate %s needs a key", options->cert_file);
    }
    if (SSL_CTX_use_certificate_chain_file(ctx, options->cert_file) != 1) {
        return refuse(error, "use the certificate ", options->cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(ctx, options->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(ctx) != 1) {
        return refuse(error, "use the key ", options->key_file);
    }
    return EA_OK;
}

static enum err load_trust(SSL_CTX *ctx, const struct tls_options *options, struct error *error)
{
    int mode = SSL_VERIFY_NONE;

    if (options->ca_file != NULL && SSL_CTX_load_verify_file(ctx, options->ca_file) != 1) {
        return refuse(error, "use the certificate authority ", options->ca_file);
    }
    if (!options->server) {
        mode = SSL_VERIFY_PEER;
        if (options->ca_file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1) {
            return refuse(error, "use the system's certificate authorities", "");
        }
    } else if (options->ca_file != NULL) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(options->ca_file);

        if (names == NULL) {
            return refuse(error, "use the certificate authority ", options->ca_file);
        }
        SSL_CTX_set_client_CA_list(ctx, names); /* owns the names */
        mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(ctx, mode, NULL);
    return EA_OK;
}

static bool set_rules(SSL_CTX *ctx)
{
    SSL_CTX_set_default_passwd_cb(ctx, no_password);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* An idle connection gives its record buffers back. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* Resumption by ticket costs us no memory. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(ctx, ciphers_tls12) == 1 && SSL_CTX_set_num_tickets(ctx, 1) == 1 &&
           SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1) == 1;
}

enum err tls_context_new(struct tls_context **out, const struct tls_options *options, struct error *error)
{
    struct tls_context *context = mem_zalloc(sizeof *context);
    enum err err;

    *out = NULL;
    ERR_clear_error();
    atomic_init(&context->references, 1);
    context->server = options->server;
    context->bio = tls_bio_method();
    context->ctx = SSL_CTX_new(options->server ? TLS_server_method() : TLS_client_method());
    if (context->bio == NULL || context->ctx == NULL || !set_rules(context->ctx)) {
        err = refuse(error, "set up TLS", "");
        goto fail;
    }
    err = load_identity(context->ctx, options, error);
    if (err == EA_OK) {
        err = load_trust(context->ctx, options, error);
    }
    if (err == EA_OK) {
        err = set_alpn(context, options, error);
    }
    if (err != EA_OK) {
        goto fail;
    }
    *out = context;
    return EA_OK;

fail:
    tls_context_release(context);
    return err;
}

void tls_context_hold(struct tls_context *context)
{
    (void)atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
}

void tls_context_release(struct tls_context *context)
{
    if (atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->bio);
    mem_free(context);
}
