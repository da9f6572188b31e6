/*
 * Who we are: a token from a file (read again when the file has changed), from the configuration, or from a plugin (asked
 * again when its answer expires or is refused).
 */
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "kube/internal.h"
#include "kube/items.h"

#define EXPIRY_MARGIN_US INT64_C(10000000) /* a token that ends this soon is not used any more */

static void wipe(struct buf *buf)
{
    if (buf->p != NULL) {
        explicit_bzero(buf->p, buf->cap);
    }
    buf_fini(buf);
}

/* It becomes a header line. */
static bool is_token(struct str token)
{
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] <= ' ' || token.p[i] > '~') {
            return false;
        }
    }
    return token.n > 0 && token.n <= KUBE_TOKEN_BYTES_MAX;
}

static void set_bearer(struct kube *kube, struct str token)
{
    struct buf *bearer = &kube->credential.bearer;
    wipe(bearer);
    if (token.n > 0) {
        (void)buf_reserve(bearer, token.n + 32); /* so that no copy is left behind by growing */
        buf_add_str(bearer, STR("Authorization: Bearer "));
        buf_add_str(bearer, token);
        buf_add(bearer, "", 1);
    }
}

/* --- from a file --- */

static bool mark_of(const char *path, int64_t mark[4])
{
    struct stat s;
    if (stat(path, &s) != 0) {
        return false;
    }
    mark[0] = s.st_mtim.tv_sec;
    mark[1] = s.st_mtim.tv_nsec;
    mark[2] = s.st_size;
    mark[3] = (int64_t)s.st_ino;
    return true;
}

static enum err read_token(struct kube *kube, struct error *error)
{
    struct buf text = BUF_EMPTY;
    enum err err = kube_read_file(kube->access.token_file, KUBE_TOKEN_BYTES_MAX, &text, error);
    struct str token = str_trim(buf_str(&text));
    if (err == EA_OK && !is_token(token)) {
        err = error_set(error, EA_UNAUTHENTICATED, "%s holds no token", kube->access.token_file);
    }
    if (err == EA_OK) {
        set_bearer(kube, token);
    }
    wipe(&text);
    return err;
}

/* A file that cannot be read just now (it is being replaced) leaves the old token. */
static enum err get_from_file(struct kube *kube, struct error *error)
{
    struct kube_credential *credential = &kube->credential;
    int64_t mark[4] = {0};
    bool there = mark_of(kube->access.token_file, mark);
    if (credential->known && there && memcmp(mark, credential->file_mark, sizeof mark) == 0) {
        return EA_OK;
    }
    struct error why = ERROR_NONE;
    enum err err = read_token(kube, &why);
    if (err == EA_OK) {
        memcpy(credential->file_mark, mark, sizeof mark);
        credential->known = true;
    } else if (credential->bearer.n > 0) {
        log_warning("kube", "the token could not be read again, the old one stays",
                    LOG_TEXT("why", why.text));
        err = EA_OK;
    } else {
        *error = why;
    }
    return err;
}

/* --- from a plugin --- */

void kube_plugin_answer_fini(struct kube_plugin_answer *answer)
{
    wipe(&answer->token);
    wipe(&answer->cert);
    wipe(&answer->key);
}

static enum err bad(const char *what, struct error *error)
{
    return error_set(error, EA_PROTOCOL, "the credential plugin's answer %s", what);
}

static enum err read_text(const json_t *status, const char *key, struct buf *out, struct error *error)
{
    const json_t *value = json_object_get(status, key);
    if (value == NULL || json_is_null(value)) {
        return EA_OK;
    }
    if (!json_is_string(value)) {
        return bad("has a value that is no string", error);
    }
    buf_add(out, json_string_value(value), json_string_length(value));
    return EA_OK;
}

static enum err read_status(const json_t *status, struct wall now, struct kube_plugin_answer *out,
                            struct error *error)
{
    const char *expires = json_string_value(json_object_get(status, "expirationTimestamp"));
    struct wall at;
    enum err err = read_text(status, "token", &out->token, error);
    if (err == EA_OK) {
        err = read_text(status, "clientCertificateData", &out->cert, error);
    }
    if (err == EA_OK) {
        err = read_text(status, "clientKeyData", &out->key, error);
    }
    if (err != EA_OK) {
        return err;
    }
    if (out->token.n > 0 && !is_token(buf_str(&out->token))) {
        return bad("has a token that is none", error);
    }
    if ((out->cert.n > 0) != (out->key.n > 0)) {
        return bad("has a certificate without its key, or a key without", error);
    }
    if (out->token.n == 0 && out->cert.n == 0) {
        return bad("has neither a token nor a certificate", error);
    }
    if (expires != NULL) {
        if (!kube_time_parse(str_of(expires), &at)) {
            return bad("has an expirationTimestamp that is no time", error);
        }
        out->left_us = at.us - now.us;
    }
    return EA_OK;
}

enum err kube_plugin_read(struct str json, const char *api_version, struct wall now,
                          struct kube_plugin_answer *out, struct error *error)
{
    json_t *doc;
    *out = (struct kube_plugin_answer){.left_us = INT64_MAX};
    if (kube_json_parse(json, &doc, NULL) != EA_OK) {
        return bad("is no JSON", error);
    }
    const char *version = json_string_value(json_object_get(doc, "apiVersion"));
    const char *kind = json_string_value(json_object_get(doc, "kind"));
    enum err err;
    if (kind == NULL || strcmp(kind, "ExecCredential") != 0 || version == NULL ||
        strcmp(version, api_version) != 0) {
        err = bad("is no ExecCredential of the version that was asked for", error);
    } else {
        err = read_status(json_object_get(doc, "status"), now, out, error);
    }
    json_decref(doc);
    return err;
}

static void take(struct kube *kube, struct kube_plugin_answer *answer)
{
    struct kube_credential *credential = &kube->credential;
    struct mono now = loop_now(kube->loop);
    set_bearer(kube, buf_str(&answer->token));
    wipe(&credential->cert);
    wipe(&credential->key);
    credential->cert = answer->cert;
    credential->key = answer->key;
    answer->cert = BUF_EMPTY;
    answer->key = BUF_EMPTY;
    credential->known = true;
    credential->good_until =
        answer->left_us == INT64_MAX ? MONO_NEVER : mono_add_us(now, answer->left_us - EXPIRY_MARGIN_US);
}

void kube_credential_exec_done(struct kube *kube, enum err err, struct str output, const struct error *error)
{
    struct kube_plugin_answer answer = {.left_us = 0};
    struct error why = *error;
    kube->credential.exec = NULL;
    if (err == EA_OK) {
        err =
            kube_plugin_read(output, kube->access.plugin->api_version, loop_wall(kube->loop), &answer, &why);
    }
    if (err == EA_OK && answer.left_us < EXPIRY_MARGIN_US) {
        err = error_set(&why, EA_UNAUTHENTICATED, "the credential plugin's answer has expired");
    }
    if (err == EA_OK) {
        take(kube, &answer);
        kube_plugin_answer_fini(&answer);
        kube_transfers_go(kube);
    } else {
        kube_plugin_answer_fini(&answer);
        kube_transfers_fail(kube, &why);
    }
}

static enum err get_from_plugin(struct kube *kube)
{
    struct kube_credential *credential = &kube->credential;
    if (credential->exec != NULL) {
        return EA_AGAIN;
    }
    if (credential->known && mono_before(loop_now(kube->loop), credential->good_until)) {
        return EA_OK;
    }
    credential->exec = kube_exec_start(kube);
    return EA_AGAIN;
}

/* --- */

enum err kube_credential_get(struct kube *kube, struct error *error)
{
    const struct kube_access *access = &kube->access;
    if (access->plugin != NULL) {
        return get_from_plugin(kube);
    }
    if (access->token_file != NULL) {
        return get_from_file(kube, error);
    }
    if (access->token != NULL && !kube->credential.known) {
        if (!is_token(str_of(access->token))) {
            return error_set(error, EA_UNAUTHENTICATED, "the kubeconfig's token is none");
        }
        set_bearer(kube, str_of(access->token));
        kube->credential.known = true;
    }
    return EA_OK;
}

void kube_credential_refused(struct kube *kube)
{
    kube->credential.known = false;
}

void kube_credential_fini(struct kube *kube)
{
    wipe(&kube->credential.bearer);
    wipe(&kube->credential.cert);
    wipe(&kube->credential.key);
}
