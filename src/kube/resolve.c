/*
 * curl as Debian builds it starts a thread to resolve a name. So names are resolved by libuv and handed to curl as
 * addresses (CURLOPT_RESOLVE); in a cluster the API server is an address anyway.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "kube/internal.h"

#define GOOD_MS       60000
#define ADDRESSES_MAX 16

/* --- what is to be connected to --- */

struct place {
    struct str scheme;
    struct str host; /* without brackets */
    struct str rest; /* from the first '/', or empty */
    uint16_t port;
    bool brackets;
};

static bool split_port(struct str text, uint16_t fallback, uint16_t *port)
{
    uint64_t value = 0;
    *port = fallback;
    if (text.n == 0) {
        return true;
    }
    bool ok = text.p[0] == ':' && str_to_u64(str_from(text.p + 1, text.n - 1), &value) && value > 0 &&
              value <= UINT16_MAX;
    *port = (uint16_t)value;
    return ok;
}

static bool split(struct str url, struct place *out)
{
    *out = (struct place){.port = 0};
    const char *colon = memmem(url.p, url.n, "://", 3);
    if (colon == NULL) {
        return false;
    }
    out->scheme = str_from(url.p, (size_t)(colon - url.p));
    struct str rest = str_from(colon + 3, url.n - out->scheme.n - 3);
    const char *slash = memchr(rest.p, '/', rest.n);
    size_t n = slash != NULL ? (size_t)(slash - rest.p) : rest.n;
    struct str authority = str_from(rest.p, n);
    out->rest = str_from(rest.p + n, rest.n - n);
    const char *at = memrchr(authority.p, '@', authority.n); /* a proxy's */
    if (at != NULL) {
        authority = str_from(at + 1, authority.n - (size_t)(at + 1 - authority.p));
    }
    out->brackets = authority.n > 0 && authority.p[0] == '[';
    const char *end = memchr(authority.p, out->brackets ? ']' : ':', authority.n);
    if (out->brackets && end == NULL) {
        return false;
    }
    size_t skip = out->brackets ? 1 : 0;
    size_t length = (end != NULL ? (size_t)(end - authority.p) : authority.n) - skip;
    out->host = str_from(authority.p + skip, length);
    size_t used = length + 2 * skip;
    uint16_t fallback = str_eq(out->scheme, STR("https")) ? 443 : 80;
    return out->host.n > 0 && out->host.n <= KUBE_NAME_BYTES_MAX &&
           split_port(str_from(authority.p + used, authority.n - used), fallback, &out->port);
}

static bool is_address(struct str host)
{
    char text[INET6_ADDRSTRLEN + 16];
    unsigned char address[16];
    if (host.n == 0 || host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* curl resolves for socks4 and socks5 itself, and knows more schemes than we want. */
static enum err take_proxy(struct kube *kube, struct place *place, struct error *error)
{
    struct kube_access *access = &kube->access;
    struct str proxy = str_of(access->proxy);
    if (str_starts(proxy, STR("socks5://"))) {
        struct buf text = BUF_EMPTY;
        buf_format(&text, "socks5h%s", access->proxy + strlen("socks5"));
        buf_add(&text, "", 1);
        mem_free(access->proxy);
        access->proxy = text.p;
        proxy = str_of(text.p);
    }
    if (!split(proxy, place) || !(str_eq(place->scheme, STR("http")) || str_eq(place->scheme, STR("https")) ||
                                  str_eq(place->scheme, STR("socks5h")))) {
        return error_set(error, EA_CONFIG,
                         "the proxy (proxy-url, HTTPS_PROXY) must be http, https or socks5");
    }
    return EA_OK;
}

enum err kube_resolver_init(struct kube *kube, const struct kube_options *options, struct error *error)
{
    struct kube_resolver *resolver = &kube->resolver;
    struct kube_access *access = &kube->access;
    struct place server;
    struct buf base = BUF_EMPTY;
    if (!split(str_of(access->server), &server)) {
        return error_set_str(error, EA_CONFIG, "the API server's URL is none", str_of(access->server));
    }
    struct place peer = server;
    if (access->proxy == NULL) {
        access->proxy = kube_proxy_from_env(options, server.scheme, server.host, server.port);
    }
    if (access->proxy != NULL) {
        enum err err = take_proxy(kube, &peer, error);
        if (err != EA_OK) {
            return err;
        }
        if (access->server_name != NULL) {
            return error_set(error, EA_CONFIG, "the kubeconfig's tls-server-name does not go with a proxy");
        }
    }
    const char *name = access->server_name;
    struct str asked = name != NULL ? str_of(name) : peer.host;
    if (name != NULL) {
        buf_format(&base, "%.*s://%s:%u%.*s", STR_ARG(server.scheme), name, (unsigned)server.port,
                   STR_ARG(server.rest));
    } else {
        buf_add_str(&base, str_of(access->server));
    }
    buf_add(&base, "", 1);
    resolver->base = base.p;
    resolver->port = peer.port;
    if (name != NULL || !is_address(peer.host)) {
        resolver->host = kube_text(peer.host);
        resolver->entry_name = kube_text(asked);
    }
    return EA_OK;
}

void kube_resolver_fini(struct kube *kube)
{
    mem_free(kube->resolver.base);
    mem_free(kube->resolver.host);
    mem_free(kube->resolver.entry_name);
    buf_fini(&kube->resolver.entry);
}

/* --- asking --- */

static unsigned add_addresses(struct buf *entry, const struct addrinfo *info)
{
    unsigned n = 0;
    for (; info != NULL && n < ADDRESSES_MAX; info = info->ai_next) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(info->ai_addr, info->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0 &&
            strchr(text, '%') == NULL) { /* curl takes no scope here */
            buf_format(entry, info->ai_family == AF_INET6 ? "%s[%s]" : "%s%s", n > 0 ? "," : "", text);
            n++;
        }
    }
    return n;
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *info)
{
    struct kube *kube = request->data;
    struct kube_resolver *resolver = &kube->resolver;
    struct error error = ERROR_NONE;
    loop_enter(kube->loop);
    resolver->busy = false;
    buf_clear(&resolver->entry);
    buf_format(&resolver->entry, "+%s:%u:", resolver->entry_name, (unsigned)resolver->port);
    if (status == 0 && add_addresses(&resolver->entry, info) > 0) {
        buf_add(&resolver->entry, "", 1);
        resolver->good_until = mono_add_ms(loop_now(kube->loop), GOOD_MS);
    } else {
        buf_clear(&resolver->entry);
        (void)error_set(&error, EA_IO, "cannot resolve %s: %s", resolver->host,
                        status != 0 ? uv_strerror(status) : "there is no address");
    }
    uv_freeaddrinfo(info);
    if (resolver->entry.n > 0) {
        kube_transfers_go(kube);
    } else {
        kube_transfers_fail(kube, &error);
    }
    kube_release(kube);
}

enum err kube_resolver_get(struct kube *kube, struct error *error)
{
    struct kube_resolver *resolver = &kube->resolver;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    if (resolver->host == NULL ||
        (resolver->entry.n > 0 && mono_before(loop_now(kube->loop), resolver->good_until))) {
        return EA_OK;
    }
    if (resolver->busy) {
        return EA_AGAIN;
    }
    resolver->request.data = kube;
    int rc =
        uv_getaddrinfo(loop_uv(kube->loop), &resolver->request, on_resolved, resolver->host, NULL, &hints);
    if (rc != 0) {
        return error_set_errno(error, EA_IO, -rc, "cannot resolve %s", resolver->host);
    }
    resolver->busy = true;
    kube->handles++;
    return EA_AGAIN;
}

void kube_resolver_stale(struct kube *kube)
{
    kube->resolver.good_until = (struct mono){0};
}
