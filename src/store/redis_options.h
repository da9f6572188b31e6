/* What the Redis store is told by configuration (spec: config.md, EA_REDIS_*; redis.md). */
#ifndef EA_STORE_REDIS_OPTIONS_H
#define EA_STORE_REDIS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a URL is: one server; a group of servers that share the elections; the seeds of a Redis Cluster. */
enum redis_mode { REDIS_SINGLE, REDIS_SHARDING, REDIS_CLUSTER };

/* Where the lease of the default kind lies: see store/redis/keys.h. */
enum redis_layout { REDIS_FLAT, REDIS_KIND };

struct redis_options {
    enum redis_mode mode;
    enum redis_layout layout;
    const char *const *urls; /* a node of the quorum each */
    size_t n_urls;
    const char *prefix;
    int64_t operation_timeout_ms;
    bool allow_eviction;
    bool beats; /* every candidate tells of itself by store_beat(): who loses need not be told of besides */
    bool old_servers;   /* treat every server as one before 7.0; for tests */
    const char *tls_ca; /* NULL: the system's; files in PEM */
    const char *tls_cert;
    const char *tls_key;
    const char *tls_server_name; /* NULL: the host of the URL */
};

#endif
