/*
 * The addresses of Redis: `redis[s]://user:password@host:port/db?addr=host2:port2&addr=...` (spec: redis.md,
 * "Modes"). Each URL is one node of the quorum. No I/O. A message never holds a password.
 */
#ifndef EA_STORE_REDIS_URL_H
#define EA_STORE_REDIS_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "store/redis_options.h"

#define REDIS_NODES_MAX   15
#define REDIS_SERVERS_MAX 64 /* of one URL */
#define REDIS_PORT        6379
#define REDIS_DB_MAX      65535

struct redis_address {
    char *host; /* without the brackets of an IPv6 address */
    uint16_t port;
    char *text; /* "host:port", "[::1]:6379"; printable */
};

struct redis_url {
    bool tls;
    char *user;     /* NULL: the default user */
    char *password; /* NULL: no authentication */
    unsigned db;
    struct redis_address servers[REDIS_SERVERS_MAX];
    size_t n_servers;
};

/* EA_CONFIG: the message shows the URL with its password as ***. */
enum err redis_url_parse(struct redis_url *out, struct str text, struct error *error) EA_MUST_CHECK;
void redis_url_fini(struct redis_url *url);

/*
 * All of them: an odd number, each fit for the mode, groups of one size, no server twice. `out` has room for
 * REDIS_NODES_MAX; *n is set, also on an error those that are to be freed (redis_urls_fini).
 */
enum err redis_urls_parse(struct redis_url *out, size_t *n, const char *const *texts, size_t n_texts,
                          enum redis_mode mode, struct error *error) EA_MUST_CHECK;
void redis_urls_fini(struct redis_url *urls, size_t n);

/* The URL as it may be shown: no password, no value of an unknown parameter, printable. Terminated. */
void redis_url_show(struct str text, char *out, size_t cap);

#endif
