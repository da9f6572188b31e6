/*
 * The proxy that the environment asks for, as other clients of Kubernetes read it: HTTPS_PROXY or HTTP_PROXY by the
 * server's scheme, but for the hosts of NO_PROXY and for this machine itself. Deciding code.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "kube/internal.h"

#define V4_PREFIX_BITS 96 /* of ::ffff:0:0/96 */

/* Both families in sixteen bytes, so that one comparison serves them. */
struct ip {
    unsigned char bytes[16];
    bool v4;
};

static bool read_ip(struct str text, struct ip *out)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *out = (struct ip){.bytes = {[10] = 0xff, [11] = 0xff}, .v4 = true};
    if (inet_pton(AF_INET, copy, out->bytes + 12) == 1) {
        return true;
    }
    out->v4 = false;
    return inet_pton(AF_INET6, copy, out->bytes) == 1;
}

static bool same_bits(const struct ip *a, const struct ip *b, unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned char mask = (unsigned char)(0xff00U >> (bits % 8));
    return memcmp(a->bytes, b->bytes, whole) == 0 &&
           (bits % 8 == 0 || ((a->bytes[whole] ^ b->bytes[whole]) & mask) == 0);
}

/* "10.0.0.0/8" */
static bool is_in_network(struct str network, const struct ip *host)
{
    struct str address;
    struct ip base;
    uint64_t bits = 0;
    if (!str_split(&network, '/', &address) || !read_ip(address, &base) || !str_to_u64(network, &bits) ||
        bits > (base.v4 ? 32 : 128)) {
        return false;
    }
    return same_bits(&base, host, (unsigned)bits + (base.v4 ? V4_PREFIX_BITS : 0));
}

/* "example.com" is meant with all below it; ".example.com" and "*.example.com" are what is below alone. */
static bool is_in_domain(struct str domain, struct str host)
{
    if (str_starts(domain, STR("*."))) {
        domain = str_from(domain.p + 1, domain.n - 1);
    }
    if (domain.n == 0 || domain.n > host.n) {
        return false;
    }
    size_t above = host.n - domain.n;
    if (strncasecmp(host.p + above, domain.p, domain.n) != 0) {
        return false;
    }
    return above == 0 ? domain.p[0] != '.' : domain.p[0] == '.' || host.p[above - 1] == '.';
}

/* Takes ":443" off an entry; false if it is another port. An address of version 6 with a port is in brackets. */
static bool take_port(struct str *entry, uint16_t port)
{
    uint64_t wanted = port;
    const char *colon = memrchr(entry->p, ':', entry->n);
    bool brackets = entry->p[0] == '[';
    bool bare_v6 = !brackets && colon != NULL && memchr(entry->p, ':', entry->n) != colon;
    if (colon != NULL && !bare_v6 && (!brackets || colon[-1] == ']')) {
        size_t n = (size_t)(colon - entry->p);
        if (!str_to_u64(str_from(colon + 1, entry->n - n - 1), &wanted)) {
            return false;
        }
        entry->n = n;
    }
    if (brackets && entry->n >= 2 && entry->p[entry->n - 1] == ']') {
        *entry = str_from(entry->p + 1, entry->n - 2);
    }
    return wanted == port;
}

static bool is_excepted(struct str list, struct str host, uint16_t port)
{
    struct ip ip;
    struct ip other;
    struct str entry;
    bool is_ip = read_ip(host, &ip);
    while (str_split(&list, ',', &entry)) {
        entry = str_trim(entry);
        if (entry.n == 0) {
            continue;
        }
        if (str_eq(entry, STR("*"))) {
            return true;
        }
        if (is_ip && is_in_network(entry, &ip)) {
            return true;
        }
        if (!take_port(&entry, port)) {
            continue;
        }
        if (is_ip ? read_ip(entry, &other) && memcmp(&ip, &other, sizeof ip) == 0
                  : is_in_domain(entry, host)) {
            return true;
        }
    }
    return false;
}

static bool is_this_machine(struct str host)
{
    static const struct ip v6 = {.bytes = {[15] = 1}};
    static const struct ip v4 = {.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127}, .v4 = true};
    struct ip ip;
    if (!read_ip(host, &ip)) {
        return host.n == strlen("localhost") && strncasecmp(host.p, "localhost", host.n) == 0;
    }
    return same_bits(&ip, &v6, 128) || same_bits(&ip, &v4, V4_PREFIX_BITS + 8);
}

static const char *first_of(const struct kube_options *options, const char *capitals, const char *small)
{
    const char *value = kube_env(options, capitals);
    return value != NULL && value[0] != '\0' ? value : kube_env(options, small);
}

char *kube_proxy_from_env(const struct kube_options *options, struct str scheme, struct str host,
                          uint16_t port)
{
    bool tls = str_eq(scheme, STR("https"));
    const char *proxy =
        tls ? first_of(options, "HTTPS_PROXY", "https_proxy") : first_of(options, "HTTP_PROXY", "http_proxy");
    const char *except = first_of(options, "NO_PROXY", "no_proxy");
    if (proxy == NULL || proxy[0] == '\0' || is_this_machine(host) ||
        (except != NULL && is_excepted(str_of(except), host, port))) {
        return NULL;
    }
    struct buf text = BUF_EMPTY;
    buf_format(&text, strstr(proxy, "://") != NULL ? "%s" : "http://%s", proxy);
    buf_add(&text, "", 1);
    return text.p;
}
