/* What curl is told about a transfer, and the one function of ours that it calls: it stores bytes. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "kube/internal.h"

#define CONNECT_TIMEOUT_MS 5000L
#define KEEPALIVE_S        15L
#define UNACKED_MS         20000U /* data that nobody acknowledges that long: the connection is dead */
#define ERROR_BODY_BYTES   ((size_t)64 * 1024)

static bool refuse(struct kube_transfer *t)
{
    struct kube_request *request = t->request;
    size_t most = request->answer_bytes_max != 0 ? request->answer_bytes_max : KUBE_BODY_BYTES;
    request->err = error_set(&request->error, EA_TOO_LARGE, "%s: the answer has more than %zu bytes",
                             request->what, most);
    return false;
}

static bool store(struct kube_transfer *t, struct str bytes)
{
    struct kube_request *request = t->request;
    long status = 0;
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status < 300;
    if (good && request->take != NULL) {
        return request->take(request, bytes);
    }
    size_t most = request->answer_bytes_max != 0 ? request->answer_bytes_max : KUBE_BODY_BYTES;
    most = good ? most : ERROR_BODY_BYTES;
    if (bytes.n > most - t->answer.n) {
        return good ? refuse(t) : true; /* of an error's words the head will do */
    }
    buf_add_str(&t->answer, bytes);
    return true;
}

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    return store(arg, str_from(p, size * n)) ? size * n : 0;
}

/* The empty line behind the head. */
static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct kube_transfer *t = arg;
    struct kube_request *request = t->request;
    long status = 0;
    if (!str_eq(str_from(p, size * n), STR("\r\n")) || request->take == NULL) {
        return size * n;
    }
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = status >= 200 && status < 300;
    return !good || request->take(request, str_from(NULL, 0)) ? size * n : 0;
}

static int on_new_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
    unsigned ms = UNACKED_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC); /* not for a plugin's eyes */
    return CURL_SOCKOPT_OK;
}

struct setter {
    CURL *easy;
    bool failed;
};

#define SET(setter, option, value) \
    ((setter)->failed = curl_easy_setopt((setter)->easy, option, value) != CURLE_OK || (setter)->failed)

static void set_blob(struct setter *s, CURLoption option, const struct buf *data)
{
    struct curl_blob blob = {.data = data->p, .len = data->n, .flags = CURL_BLOB_COPY};
    SET(s, option, &blob);
}

static void set_tls(struct setter *s, const struct kube *kube)
{
    const struct kube_access *access = &kube->access;
    const struct kube_credential *credential = &kube->credential;
    SET(s, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(s, CURLOPT_SSL_VERIFYPEER, access->insecure ? 0L : 1L);
    SET(s, CURLOPT_SSL_VERIFYHOST, access->insecure ? 0L : 2L);
    SET(s, CURLOPT_CA_CACHE_TIMEOUT, 0L); /* a file that was replaced counts for the next connection */
    if (access->ca.n > 0) {
        set_blob(s, CURLOPT_CAINFO_BLOB, &access->ca);
    } else if (access->ca_file != NULL) {
        SET(s, CURLOPT_CAINFO, access->ca_file);
        SET(s, CURLOPT_CAPATH, NULL); /* the system's authorities have no say here */
    }
    if (credential->cert.n > 0 || access->cert.n > 0) {
        set_blob(s, CURLOPT_SSLCERT_BLOB, credential->cert.n > 0 ? &credential->cert : &access->cert);
    } else if (access->cert_file != NULL) {
        SET(s, CURLOPT_SSLCERT, access->cert_file);
    }
    if (credential->key.n > 0 || access->key.n > 0) {
        set_blob(s, CURLOPT_SSLKEY_BLOB, credential->key.n > 0 ? &credential->key : &access->key);
    } else if (access->key_file != NULL) {
        SET(s, CURLOPT_SSLKEY, access->key_file);
    }
}

static void set_way(struct setter *s, const struct kube *kube)
{
    const struct kube_access *access = &kube->access;
    SET(s, CURLOPT_NOSIGNAL, 1L);
    SET(s, CURLOPT_PROTOCOLS_STR, "http,https");
    SET(s, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    /* "" also keeps curl from looking at http_proxy and its kin. */
    SET(s, CURLOPT_PROXY, access->proxy != NULL ? access->proxy : "");
    SET(s, CURLOPT_NOPROXY, "");
    SET(s, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(s, CURLOPT_TCP_KEEPALIVE, 1L);
    SET(s, CURLOPT_TCP_KEEPIDLE, KEEPALIVE_S);
    SET(s, CURLOPT_TCP_KEEPINTVL, KEEPALIVE_S);
    SET(s, CURLOPT_SOCKOPTFUNCTION, on_new_socket);
    if (kube->access.user != NULL && kube->credential.bearer.n == 0) {
        SET(s, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        SET(s, CURLOPT_USERNAME, access->user);
        SET(s, CURLOPT_PASSWORD, access->password != NULL ? access->password : "");
    }
}

static void set_method(struct setter *s, struct kube_transfer *t)
{
    static const char *const verbs[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    SET(s, CURLOPT_CUSTOMREQUEST, verbs[t->request->method]);
    if (t->body.n > 0) {
        SET(s, CURLOPT_POSTFIELDS, t->body.p);
        SET(s, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body.n);
    }
}

static bool add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    *list = longer != NULL ? longer : *list;
    return longer != NULL;
}

static bool set_lists(struct setter *s, struct kube_transfer *t)
{
    const struct kube *kube = t->kube;
    const char *type = t->request->content_type;
    struct buf line = BUF_EMPTY;
    buf_format(&line, "Content-Type: %s", type != NULL ? type : "application/json");
    buf_add(&line, "", 1);
    bool ok = add(&t->headers, "Accept: application/json") && add(&t->headers, "Expect:") &&
              (t->body.n == 0 || add(&t->headers, line.p));
    buf_fini(&line);
    if (kube->access.server_name != NULL) { /* the URL has that name; the server wants its own */
        const char *host = strstr(kube->access.server, "://") + 3;
        buf_format(&line, "Host: %.*s", (int)strcspn(host, "/"), host);
        buf_add(&line, "", 1);
        ok = ok && add(&t->headers, line.p);
        buf_fini(&line);
    }
    if (kube->credential.bearer.n > 0) {
        ok = ok && add(&t->headers, kube->credential.bearer.p);
    }
    if (kube->resolver.entry.n > 0) {
        ok = ok && add(&t->resolve, kube->resolver.entry.p);
        SET(s, CURLOPT_RESOLVE, t->resolve);
    }
    SET(s, CURLOPT_HTTPHEADER, t->headers);
    return ok;
}

bool kube_easy_set_up(struct kube_transfer *t)
{
    struct setter s = {.easy = t->easy};
    SET(&s, CURLOPT_URL, t->url);
    SET(&s, CURLOPT_PRIVATE, (void *)t);
    SET(&s, CURLOPT_ERRORBUFFER, t->curl_error);
    SET(&s, CURLOPT_WRITEFUNCTION, on_bytes);
    SET(&s, CURLOPT_WRITEDATA, (void *)t);
    SET(&s, CURLOPT_HEADERFUNCTION, on_head);
    SET(&s, CURLOPT_HEADERDATA, (void *)t);
    SET(&s, CURLOPT_USERAGENT, t->kube->user_agent);
    set_way(&s, t->kube);
    set_tls(&s, t->kube);
    set_method(&s, t);
    return set_lists(&s, t) && !s.failed;
}
