#include "client/words.h"

#include <stdbool.h>
#include <string.h>

struct pair {
    const char *agent;
    const char *library;
};

static const struct pair pairs[] = {
    {"redis.urls", "redis_urls"},
    {"redis.mode", "redis_mode"},
    {"redis.key_layout", "redis_layout"},
    {"redis.allow_eviction", "redis_allow_eviction"},
    {"redis.tls", "redis_tls"},
    {"redis.tls.ca", "redis_tls_ca"},
    {"redis.tls.cert", "redis_tls_cert"},
    {"redis.tls.key", "redis_tls_key"},
    {"redis.tls.server_name", "redis_tls_server_name"},
    {"key_prefix", "redis_prefix"},
    {"for redis.operation_timeout", "in time"}, /* no option: it follows from lease_ttl_ms */
    {"redis.operation_timeout", "lease_ttl_ms"},
    {"lease.max_term", "lease_ttl_ms"},
    {"every agent", "every node"},
};

static bool of_a_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* A dot that ends a sentence is no part of a name. */
static bool ends_name(const char *at)
{
    return !of_a_name(at[0]) && !(at[0] == '.' && of_a_name(at[1]));
}

static const struct pair *find(const char *at)
{
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        size_t n = strlen(pairs[i].agent);
        if (strncmp(at, pairs[i].agent, n) == 0 && ends_name(at + n)) {
            return &pairs[i];
        }
    }
    return NULL;
}

void words_translate(char *out, size_t bytes, const char *from)
{
    size_t n = 0;
    char before = ' ';
    while (*from != '\0' && n + 1 < bytes) {
        const struct pair *pair = of_a_name(before) || before == '.' ? NULL : find(from);
        before = *from;
        if (pair == NULL) {
            out[n++] = *from++;
            continue;
        }
        for (const char *p = pair->library; *p != '\0' && n + 1 < bytes; p++) {
            out[n++] = *p;
        }
        from += strlen(pair->agent);
    }
    if (bytes > 0) {
        out[n] = '\0';
    }
}
