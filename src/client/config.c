/* A configuration, checked: every message names the field, what it is, and what would be right. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/internal.h"
#include "core/names.h"
#include "store/redis/keys.h"

#define TTL_DEFAULT_MS    3000
#define TTL_MIN_MS        100
#define TTL_MAX_MS        3600000
#define TICK_DEFAULT_MS   500
#define TICK_MIN_MS       INT64_C(10)
#define CLOSE_DEFAULT_MS  5000
#define DELAY_MAX_MS      86400000
#define PRIORITY_MAX      1000000
#define PROJECT_BYTES_MAX 200
#define OPERATION_MIN_MS  500
#define OPERATION_MAX_MS  3000

/* The first version of the struct; a smaller one is no configuration. */
#define SIZE_MIN (offsetof(struct election_config, user) + sizeof(void *))

static enum err take_name(char to[ELECTION_NAME_BYTES], const char *field, const char *from, size_t max,
                          struct error *error)
{
    struct str name = str_of(from);
    if (name.n < 1 || name.n > max) {
        return error_set(error, EA_CONFIG, "%s: %zu bytes; 1 to %zu are allowed", field, name.n, max);
    }
    enum err err = name_check(field, name, error);
    if (err == EA_OK) {
        memcpy(to, from, name.n + 1);
    }
    return err;
}

/* What the store would refuse later, in its own words and once it is too late to tell the program. */
static enum err check_keys(const struct election_settings *settings, const struct election_config *config,
                           struct error *error)
{
    struct error ignored;
    struct redis_keys keys = {.prefix = str_of(settings->prefix),
                              .layout = (enum redis_layout)config->redis_layout,
                              .tags = config->redis_mode == ELECTION_REDIS_CLUSTER};
    if (redis_keys_check_prefix(keys.prefix, keys.tags, &ignored) != EA_OK) {
        return error_set(error, EA_CONFIG, "redis_prefix: it must not contain { on a Redis Cluster%s",
                         config->redis_prefix == NULL ? ", and is the project's name unless it is set" : "");
    }
    if (redis_keys_check_name(&keys, STR(KIND_DEFAULT), str_of(settings->project), &ignored) == EA_OK) {
        return EA_OK;
    }
    if (settings->project[0] == '}') {
        return error_set(error, EA_CONFIG, "project: it must not begin with } on a Redis Cluster");
    }
    return error_set(error, EA_CONFIG,
                     "project: with ELECTION_REDIS_FLAT it must not begin with \"%.*s/\", as the store's own "
                     "keys do; choose another name, or ELECTION_REDIS_KIND",
                     (int)strcspn(settings->project, "/"), settings->project);
}

static enum err take_node(struct election_settings *out, const struct election_config *config,
                          struct error *error)
{
    char host[ELECTION_NAME_BYTES] = "";
    const char *node = config->node_id;
    if (node == NULL) {
        if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') {
            return error_set(error, EA_CONFIG, "node_id: this machine has no host name; set one");
        }
        node = host;
    }
    return take_name(out->node_id, "node_id", node, ELECTION_NAME_BYTES - 1, error);
}

static enum err take_names(struct election_settings *out, const struct election_config *config,
                           struct error *error)
{
    if (config->project == NULL) {
        return error_set(error, EA_CONFIG, "project: it is required; name what the nodes elect a leader for");
    }
    enum err err = take_name(out->project, "project", config->project, PROJECT_BYTES_MAX, error);
    if (err == EA_OK) {
        const char *prefix = config->redis_prefix != NULL ? config->redis_prefix : config->project;
        err = take_name(out->prefix, "redis_prefix", prefix, REDIS_PREFIX_BYTES_MAX, error);
    }
    if (err == EA_OK) {
        err = check_keys(out, config, error);
    }
    return err == EA_OK ? take_node(out, config, error) : err;
}

static enum err take_ms(int64_t *out, const char *field, int64_t value, int64_t otherwise, int64_t min,
                        int64_t max, struct error *error)
{
    *out = value == 0 ? otherwise : value;
    if (*out >= min && *out <= max) {
        return EA_OK;
    }
    return error_set(error, EA_CONFIG, "%s: %lld ms; it must be %lld to %lld", field, (long long)*out,
                     (long long)min, (long long)max);
}

static enum err take_times(struct failover_settings *out, const struct election_config *config,
                           struct error *error)
{
    enum err err = take_ms(&out->ttl_ms, "lease_ttl_ms", config->lease_ttl_ms, TTL_DEFAULT_MS, TTL_MIN_MS,
                           TTL_MAX_MS, error);
    if (err == EA_OK) {
        err = take_ms(&out->max_drift_ms, "max_drift_ms", config->max_drift_ms, out->ttl_ms / 2,
                      2 * TICK_MIN_MS, out->ttl_ms * 9 / 10, error);
    }
    if (err == EA_OK) {
        int64_t third = out->max_drift_ms / 3;
        int64_t otherwise = third < TICK_MIN_MS       ? TICK_MIN_MS
                            : third < TICK_DEFAULT_MS ? third
                                                      : TICK_DEFAULT_MS;
        err = take_ms(&out->tick_ms, "tick_interval_ms", config->tick_interval_ms, otherwise, TICK_MIN_MS,
                      out->max_drift_ms / 2, error);
    }
    if (err == EA_OK) {
        err = take_ms(&out->fail_back_delay_ms, "fail_back_delay_ms", config->fail_back_delay_ms, 0, 0,
                      DELAY_MAX_MS, error);
    }
    if (err == EA_OK) {
        err = take_ms(&out->min_tenure_ms, "min_tenure_ms", config->min_tenure_ms, 0, 0, DELAY_MAX_MS, error);
    }
    if (err == EA_OK) {
        err = take_ms(&out->close_timeout_ms, "close_timeout_ms", config->close_timeout_ms, CLOSE_DEFAULT_MS,
                      1, DELAY_MAX_MS, error);
    }
    return err;
}

static enum err take_urls(struct election_settings *out, const struct election_config *config,
                          struct error *error)
{
    size_t n = 0;
    if (config->redis_urls == NULL || config->redis_urls[0] == '\0') {
        return error_set(error, EA_CONFIG, "redis_urls: it is required, for example redis://127.0.0.1:6379");
    }
    out->url_text = mem_dup(config->redis_urls, strlen(config->redis_urls) + 1);
    for (char *at = out->url_text; at != NULL;) {
        char *comma = strchr(at, ',');
        if (n == ARRAY_LENGTH(out->urls)) {
            return error_set(error, EA_CONFIG, "redis_urls: more than %zu servers; 3 or 5 are usual", n);
        }
        if (comma != NULL) {
            *comma = '\0';
        }
        at += strspn(at, " ");
        at[strcspn(at, " ")] = '\0';
        out->urls[n++] = at;
        at = comma != NULL ? comma + 1 : NULL;
    }
    out->redis.n_urls = n;
    return EA_OK;
}

static enum err one_of(const char *field, int value, int n, const char *which, struct error *error)
{
    if (value >= 0 && value < n) {
        return EA_OK;
    }
    return error_set(error, EA_CONFIG, "%s: %d; it must be %s", field, value, which);
}

static enum err check_choices(const struct election_config *config, struct error *error)
{
    enum err err = one_of("strategy", (int)config->strategy, 2, "ELECTION_RACE or ELECTION_PRIORITY", error);
    if (err == EA_OK) {
        err = one_of("redis_mode", (int)config->redis_mode, 3,
                     "ELECTION_REDIS_SINGLE, ELECTION_REDIS_SHARDING or ELECTION_REDIS_CLUSTER", error);
    }
    if (err == EA_OK) {
        err = one_of("redis_layout", (int)config->redis_layout, 2,
                     "ELECTION_REDIS_FLAT or ELECTION_REDIS_KIND", error);
    }
    if (err == EA_OK) {
        err = one_of("loop", (int)config->loop, 2, "ELECTION_LOOP_THREAD or ELECTION_LOOP_PROGRAM", error);
    }
    if (err == EA_OK) {
        err = one_of("log_level", (int)config->log_level, 4, "ELECTION_DEBUG to ELECTION_ERROR", error);
    }
    if (err != EA_OK) {
        return err;
    }
    if (config->node_priority < 0 || config->node_priority > PRIORITY_MAX) {
        return error_set(error, EA_CONFIG, "node_priority: %d; it must be 1 to %d", config->node_priority,
                         PRIORITY_MAX);
    }
    if (config->on_start == NULL) {
        return error_set(error, EA_CONFIG, "on_start: it is required; it is what a leader does");
    }
    if (config->agent != NULL) {
        return error_set(
            error, EA_CONFIG,
            "agent: leadership through an agent is not in this version; leave it NULL and set redis_urls");
    }
    if ((config->redis_tls_cert == NULL) != (config->redis_tls_key == NULL)) {
        return error_set(error, EA_CONFIG, "redis_tls_%s: it is missing; certificate and key go together",
                         config->redis_tls_cert == NULL ? "cert" : "key");
    }
    return EA_OK;
}

static void take_redis(struct election_settings *out, const struct election_config *config)
{
    int64_t timeout_ms = out->failover.ttl_ms;
    timeout_ms = timeout_ms < OPERATION_MIN_MS ? OPERATION_MIN_MS : timeout_ms;
    out->redis.operation_timeout_ms = timeout_ms > OPERATION_MAX_MS ? OPERATION_MAX_MS : timeout_ms;
    out->redis.mode = (enum redis_mode)config->redis_mode;
    out->redis.layout = (enum redis_layout)config->redis_layout;
    out->redis.urls = out->urls;
    out->redis.prefix = out->prefix;
    out->redis.allow_eviction = config->redis_allow_eviction;
    out->redis.beats = true;
    /* Files: read while the store is opened. */
    out->redis.tls_ca = config->redis_tls_ca;
    out->redis.tls_cert = config->redis_tls_cert;
    out->redis.tls_key = config->redis_tls_key;
    out->redis.tls_server_name =
        config->redis_tls_server_name != NULL
            ? mem_dup(config->redis_tls_server_name, strlen(config->redis_tls_server_name) + 1)
            : NULL;
}

enum err config_take(struct election_settings *out, const struct election_config *config, struct error *error)
{
    memset(out, 0, sizeof *out);
    if (config->size < SIZE_MIN || config->size > sizeof *config) {
        return error_set(
            error, EA_CONFIG,
            "size: %zu; election_config_init() sets it, and the library must not be older than its header",
            config->size);
    }
    enum err err = check_choices(config, error);
    if (err == EA_OK) {
        err = take_names(out, config, error);
    }
    if (err == EA_OK) {
        err = take_times(&out->failover, config, error);
    }
    if (err == EA_OK) {
        err = take_urls(out, config, error);
    }
    if (err != EA_OK) {
        return err;
    }
    out->failover.node_id = out->node_id;
    out->failover.priority = config->node_priority > 0 ? config->node_priority : 1;
    out->failover.strategy = config->strategy;
    out->own_loop = config->loop == ELECTION_LOOP_THREAD;
    out->program = *config;
    take_redis(out, config);
    return EA_OK;
}
